"""Writes comparisons of the models of a site: the files that its live page reads, and fixed pages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dissectreport.report.common.rendering import render
from dissectreport.report.compare import selection
from dissectreport.report.compare.live_files import FOLDER, LiveFile, live_files
from dissectreport.report.compare.page import page_of
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.html.assets import load_assets
from dissectreport.report.site.shared_files import shared_pages, write_shared_pages
from dissectreport.report.site.summaries import address_of_site, read_summaries
from dissectreport.report.site.writing import LEDGER, Written, is_inside, remove_ours, write_if_changed


@dataclass(frozen=True)
class LiveFilesWritten:
    """What became of the files of a site."""

    files: int
    changed: int
    bytes: int


def write_live_files(out: Path, site: SiteModels) -> LiveFilesWritten:
    """Bring the files of the site at `out` up to date.

    The ledger has the digest of what every file was computed from. Before anything is written it names old and new
    files together, new ones without a digest, so that a run that dies in between leaves nothing unknown.
    """
    folder, files = out / FOLDER, live_files(site)
    before = read_digests(folder)
    now = {name: file.digest for name, file in files.items()}
    stale = [name for name in files if before.get(name) != now[name] or not (folder / name).is_file()]
    if before != now:
        _write_digests(folder, before | now | dict.fromkeys(stale, ""))
    changed = sum(write_if_changed(folder / name, files[name].content()) for name in stale)
    remove_ours(folder, set(before) - set(now))
    if before or now:
        _write_digests(folder, now)
    return LiveFilesWritten(len(files), changed, _size(folder, files))


def write_comparison(out: Path, models: Sequence[str], layers: Sequence[str] = (), file: Path | None = None) -> Written:
    """Write a page that compares some models of the site at `out`: one file, complete without scripts.

    It goes among the site's pages, which then list it, or to `file`; without `layers` the models are compared by a
    leading layer.
    """
    summaries = read_summaries(out)
    compared = SiteModels.read(out, summaries)
    subject = selection.chosen(out, summaries, compared, models, layers)
    path = file or selection.place(out, subject)
    address = address_of_site(summaries)
    content = render("comparison.html", page_of(out, subject, path, address))
    written = Written(path, 1, int(write_if_changed(path, content)), len(content))
    write_shared_pages(out, shared_pages(out, summaries, compared, load_assets()[0], address))
    return written


def _size(folder: Path, files: Mapping[str, LiveFile]) -> int:
    return sum((folder / name).stat().st_size for name in files)


def read_digests(folder: Path) -> dict[str, str]:
    """The files that were written to `folder`, with the digests of what they were computed from."""
    try:
        digests = json.loads((folder / LEDGER).read_text("utf-8"))["files"]
        return {str(name): str(digest) for name, digest in digests.items() if is_inside(name)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_digests(folder: Path, digests: Mapping[str, str]) -> None:
    content = json.dumps({"files": dict(sorted(digests.items()))}, indent=0, ensure_ascii=True)
    write_if_changed(folder / LEDGER, content.encode() + b"\n")
