"""The files that all models of a site share: its first page, the page that compares, assets and the sitemap."""

from __future__ import annotations

from pathlib import Path

from dissectreport.report.common.rendering import render
from dissectreport.report.common.sharing import first_card, sitemap
from dissectreport.report.common.summary import Summary
from dissectreport.report.compare import selection as comparison
from dissectreport.report.compare.index import compare_page, index_page
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.html.assets import favicon
from dissectreport.report.html.frame import Assets
from dissectreport.report.html.places import COMPARING, Files
from dissectreport.report.site.writing import read_ledger, remove_ours, write_if_changed


def shared_pages(out: Path, summaries: list[Summary], compared: SiteModels, assets: Assets, base_url: str) -> Files:
    """The files at the top of the site, of all models together."""
    card_of_site = first_card(out, [summary.home for summary in summaries])
    index = index_page(summaries, assets, base_url, card_of_site)
    kept = comparison.kept(out)
    comparing = compare_page(summaries, compared, kept, assets, base_url, card_of_site)
    top = {".nojekyll": b"", "favicon.ico": favicon(), "index.html": render("index.html", index)}
    top[COMPARING] = render("live_comparison.html", comparing)
    if base_url:
        pages = [f"{summary.home}/{name}" for summary in summaries for name in read_ledger(out / summary.home)]
        top["sitemap.xml"] = render("sitemap.xml", sitemap(base_url, ["index.html", COMPARING, *kept, *pages]))
    return top


def _is_sitemap(path: Path) -> bool:
    """Whether a sitemap was written by an earlier render."""
    return path.is_file() and b"<!-- dissectreport -->" in path.read_bytes()[:200]


def write_shared_pages(out: Path, pages: Files) -> int:
    """Write the files at the top of the site; how many changed."""
    if "sitemap.xml" not in pages and _is_sitemap(out / "sitemap.xml"):
        remove_ours(out, {"sitemap.xml"})
    return sum(write_if_changed(out / name, content) for name, content in pages.items())
