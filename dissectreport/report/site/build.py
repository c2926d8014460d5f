"""Writes the site: makes every page and picture of a model first, then writes what changed.

written = write_site(dissection, Path("site"))
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dissectreport.analysis.results.dissection import Dissection
from dissectreport.errors import OutputError
from dissectreport.files import Say, locked, remove_parts, silent
from dissectreport.report.common.model import Site
from dissectreport.report.common.site_options import PLAIN, SITE_LIMIT, SiteSettings, with_detail
from dissectreport.report.compare.live_files import FOLDER
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.html.assets import load_assets
from dissectreport.report.html.frame import Assets
from dissectreport.report.html.parts import runtime_assets
from dissectreport.report.html.places import Files, Places
from dissectreport.report.site.existing_files import check_folder
from dissectreport.report.site.gather import Progress, gather
from dissectreport.report.site.live_comparison import write_live_files
from dissectreport.report.site.shared_files import (
    SHARED,
    refuse_foreign,
    shared_pages,
    write_assets,
    write_shared_pages,
)
from dissectreport.report.site.summaries import address_of_site, occupied_by_others, read_summaries
from dissectreport.report.site.writing import Content, SiteFolder, Written, report_changed, write_folder
from dissectreport.run.parallel import Spread, in_turn


def write_site(
    dissection: Dissection,
    out: Path,
    progress: Progress | None = None,
    limit: int = SITE_LIMIT,
    settings: SiteSettings = PLAIN,
    spread: Spread = in_turn,
    say: Say = silent,
) -> Written:
    """Write the pages of `dissection` into the site at `out`, in addition to the models that are already there.

    Nothing is written if the model's files would take more than `limit` megabytes; 0 means no limit.
    """
    check_folder(out, settings.replace)
    assets, _ = load_assets()
    around = _Surroundings.of(dissection, out, settings)
    made = _within(dissection, around, assets, progress, limit, settings, spread)
    with locked(out, say):
        now = _Surroundings.of(dissection, out, settings)
        if now != around:  # Another process has written into the site.
            made = _within(dissection, now, assets, progress, limit, settings, spread)
        site, files, left_out = made
        target = SiteFolder(out, settings.replace, say)
        return replace(write_home(target, site.places.home, files, now.base_url), left_out=left_out)


@dataclass(frozen=True)
class _Surroundings:
    """What the pages of a model depend on besides the model: where other models of the site lie, and its address."""

    occupied: dict[str, str]
    base_url: str

    @classmethod
    def of(cls, dissection: Dissection, out: Path, settings: SiteSettings) -> _Surroundings:
        """As they are now in the site at `out`."""
        summaries = read_summaries(out)
        occupied = occupied_by_others(summaries, dissection.provenance)
        return cls(occupied, address_of_site(summaries, settings.base_url))


def write_home(target: SiteFolder, home: str, files: Files, base_url: str = "") -> Written:
    """Write the files of one model, whose folder is `home`, and those that all models of a site share.

    The site has to be locked.
    """
    assets, shared = load_assets()
    if f"{home}/paint.html" in files:
        shared = shared | runtime_assets()
    own = {name.removeprefix(f"{home}/"): content for name, content in files.items()}
    refuse_foreign(target, home, own, shared)
    remove_parts(target.out)
    report_changed(target, (f"{home}/", f"{FOLDER}/", *SHARED))
    changed = write_assets(target, home, shared) + write_folder(target, home, Content(own))
    summaries = read_summaries(target.out)
    compared = SiteModels.read(target.out, summaries)
    live = write_live_files(target, compared)
    pages = shared_pages(target.out, summaries, compared, assets, base_url)
    changed += write_shared_pages(target, shared | pages, summaries) + live.changed
    every = [*files.values(), *shared.values(), *pages.values()]
    return Written(target.out / "index.html", len(every) + live.files, changed, sum(map(len, every)) + live.bytes)


def _within(
    dissection: Dissection,
    around: _Surroundings,
    assets: Assets,
    progress: Progress | None,
    limit: int,
    settings: SiteSettings,
    spread: Spread,
) -> tuple[Site, Files, tuple[str, ...]]:
    """All files of a model, with as much detail as stays within `limit` megabytes, and what that left out."""
    notes: list[str] = []
    size = 0
    for detail in settings.steps:
        shown = with_detail(dissection, detail)
        places = Places.of(shown, around.occupied, detail.unit_pages)
        site = Site(shown, places, assets, replace(settings, detail=detail, base_url=around.base_url))
        files = gather(site, progress, spread)
        size = sum(map(len, files.values()))
        if detail != settings.detail:
            notes.append(f"left out {detail.left_out}: {size / 1e6:,.1f} MB")
        if not limit or size <= limit * 10**6:
            return site, files, tuple(notes)
    raise _too_large(dissection.model, size, limit, settings.fit)


def _too_large(model: str, size: int, limit: int, fit: bool) -> OutputError:
    """What is wrong with a model whose files take `size` bytes where only `limit` megabytes may be written."""
    least = " even with everything left out that can be" if fit else ""
    do = "" if fit else ", or with --fit to leave out images and pages"
    return OutputError(
        f"the pages of {model} take {size / 1e6:,.1f} MB{least}, more than the {limit:,} MB of --site-limit; nothing "
        f"was written. Build it with fewer --layers (what was measured is kept){do}, or give a larger limit, or 0 for "
        "none"
    )
