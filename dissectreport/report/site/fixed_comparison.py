"""Writes a page that compares some models of a site."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dissectreport.report.common.rendering import render
from dissectreport.report.compare import selection
from dissectreport.report.compare.page import page_of
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.html.assets import load_assets
from dissectreport.report.site.shared_files import shared_pages, write_shared_pages
from dissectreport.report.site.summaries import address_of_site, read_summaries
from dissectreport.report.site.writing import Written, write_if_changed


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
    content = render("fixed_comparison.html", page_of(out, subject, path, address))
    written = Written(path, 1, int(write_if_changed(path, content)), len(content))
    write_shared_pages(out, shared_pages(out, summaries, compared, load_assets()[0], address))
    return written
