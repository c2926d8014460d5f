"""Writes a page that compares some models of a site."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from dissectreport.files import Say, locked, silent
from dissectreport.report.common.ledger import Ledger, read_ledger
from dissectreport.report.common.rendering import render
from dissectreport.report.compare import selection
from dissectreport.report.compare.page import page_of
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.html.assets import load_assets
from dissectreport.report.html.places import COMPARISONS
from dissectreport.report.site.shared_files import shared_pages, write_shared_pages
from dissectreport.report.site.summaries import address_of_site, read_summaries
from dissectreport.report.site.writing import Content, SiteFolder, Written, write_folder, write_if_changed


def write_comparison(
    out: Path, models: Sequence[str], layers: Sequence[str] = (), file: Path | None = None, say: Say = silent
) -> Written:
    """Write a page that compares some models of the site at `out`: one file, complete without scripts.

    It goes among the site's pages, which then list it, or to `file`; without `layers` the models are compared by a
    leading layer.
    """
    with nullcontext() if read_ledger(out) is None else locked(out, say):
        summaries = read_summaries(out)
        compared = SiteModels.read(out, summaries)
        subject = selection.chosen(out, summaries, compared, models, layers)
        path = file or selection.place(out, subject)
        address = address_of_site(summaries)
        content = render("fixed_comparison.html", page_of(out, subject, path, address))
        name = _name_within(out, path)
        changed = _write_page(SiteFolder(out, say=say), name, content) if name else int(write_if_changed(path, content))
        assets, shared = load_assets()
        pages = shared_pages(out, summaries, compared, assets, address)
        write_shared_pages(SiteFolder(out, say=say), shared | pages, summaries)
        return Written(path, 1, changed, len(content))


def _name_within(out: Path, path: Path) -> str:
    """The address of a page among those of the site; '' where it lies elsewhere."""
    folder = (out / COMPARISONS).resolve()
    return f"{COMPARISONS}/{path.name}" if path.resolve().parent == folder and path.suffix == ".html" else ""


def _write_page(target: SiteFolder, name: str, content: bytes) -> int:
    old = read_ledger(target.out) or Ledger()
    return write_folder(target, "", Content({name: content}, old.files.keys(), old.folders))
