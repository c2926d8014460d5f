"""Writes the site: makes every page and picture of a model first, then writes what changed.

written = write_site(dissection, Path("site"))
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dissectreport.analysis.results.dissection import Dissection
from dissectreport.errors import OutputError
from dissectreport.report.common.model import Site
from dissectreport.report.common.site_options import PLAIN, SITE_LIMIT, Drawing, with_detail
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.html.assets import load_assets
from dissectreport.report.html.frame import Assets
from dissectreport.report.html.places import Files, Places
from dissectreport.report.site.gather import Progress, gather
from dissectreport.report.site.live_comparison import write_live_files
from dissectreport.report.site.shared_files import shared_pages, write_shared_pages
from dissectreport.report.site.summaries import address_of_site, assets_of, occupied_by_others, read_summaries
from dissectreport.report.site.writing import Written, remove_ours, write_if_changed, write_model
from dissectreport.run.parallel import Spread, in_turn


def write_site(
    dissection: Dissection,
    out: Path,
    progress: Progress | None = None,
    limit: int = SITE_LIMIT,
    drawing: Drawing = PLAIN,
    spread: Spread = in_turn,
) -> Written:
    """Write the pages of `dissection` into the site at `out`, beside the models that are already there.

    Nothing is written if the model's files would take more than `limit` megabytes; 0 is no limit.
    """
    assets, _ = load_assets()
    drawing = replace(drawing, base_url=address_of_site(read_summaries(out), drawing.base_url))
    site, files, left_out = _within(dissection, out, assets, progress, limit, drawing, spread)
    return replace(write_home(out, site.places.home, files, drawing.base_url), left_out=left_out)


def write_home(out: Path, home: str, files: Files, base_url: str = "") -> Written:
    """Write the files of one model, whose folder is `home`, and those that all models of the site at `out` share."""
    assets, shared = load_assets()
    changed = sum(write_if_changed(out / name, content) for name, content in shared.items())
    old = assets_of(read_summaries(out))
    changed += write_model(out / home, {name.removeprefix(f"{home}/"): content for name, content in files.items()})
    summaries = read_summaries(out)
    compared = SiteModels.read(out, summaries)
    live = write_live_files(out, compared)
    pages = shared_pages(out, summaries, compared, assets, base_url)
    changed += write_shared_pages(out, pages) + live.changed
    remove_ours(out, old - assets_of(summaries))
    every = [*files.values(), *shared.values(), *pages.values()]
    return Written(out / "index.html", len(every) + live.files, changed, sum(map(len, every)) + live.bytes)


def _within(
    dissection: Dissection,
    out: Path,
    assets: Assets,
    progress: Progress | None,
    limit: int,
    drawing: Drawing,
    spread: Spread,
) -> tuple[Site, Files, tuple[str, ...]]:
    """All files of a model, with as much detail as stays within `limit` megabytes, and what that left out."""
    occupied = occupied_by_others(out, dissection.model, dissection.provenance.rule)
    notes: list[str] = []
    size = 0
    for detail in drawing.steps:
        shown = with_detail(dissection, detail)
        places = Places.of(shown, occupied, detail.unit_pages)
        site = Site(shown, places, assets, replace(drawing, detail=detail))
        files = gather(site, progress, spread)
        size = sum(map(len, files.values()))
        if detail != drawing.detail:
            notes.append(f"left out {detail.left_out}: {size / 1e6:,.1f} MB")
        if not limit or size <= limit * 10**6:
            return site, files, tuple(notes)
    raise _too_large(dissection.model, size, limit, drawing.fit)


def _too_large(model: str, size: int, limit: int, fit: bool) -> OutputError:
    """What is wrong with a model whose files take `size` bytes where only `limit` megabytes may be written."""
    least = " even with everything left out that can be" if fit else ""
    do = "" if fit else ", or with --fit to leave out images and pages"
    return OutputError(
        f"the pages of {model} take {size / 1e6:,.1f} MB{least}, more than the {limit:,} MB of --site-limit; nothing "
        f"was written. Build it with fewer --layers (what was measured is kept){do}, or give a larger limit, or 0 for "
        "none"
    )
