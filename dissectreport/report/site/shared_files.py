"""The files that all models of a site share: its first page, the page that compares, assets and the sitemap."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from dissectreport.report.common.ledger import LEDGER, Ledger, read_ledger
from dissectreport.report.common.rendering import render
from dissectreport.report.common.sharing import first_card, sitemap
from dissectreport.report.common.summary import Summary
from dissectreport.report.compare import selection as comparison
from dissectreport.report.compare.index import compare_page, index_page
from dissectreport.report.compare.live_files import FOLDER
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.html.assets import favicon
from dissectreport.report.html.frame import Assets
from dissectreport.report.html.places import COMPARING, SEARCH, Files
from dissectreport.report.site.existing_files import others_among, refuse_others
from dissectreport.report.site.search_index import models_index
from dissectreport.report.site.summaries import assets_of
from dissectreport.report.site.writing import Content, SiteFolder, write_folder

PAGES = (".nojekyll", "favicon.ico", "index.html", COMPARING, SEARCH)
"""At the top of every site."""
SITEMAP = "sitemap.xml"
SHARED = (*PAGES, SITEMAP, "assets/")
"""The beginnings of the addresses of all shared files, except pages that compare chosen models."""


def shared_pages(out: Path, summaries: list[Summary], compared: SiteModels, assets: Assets, base_url: str) -> Files:
    """The files at the top of the site, of all models together."""
    homes = [summary.home for summary in summaries]
    card_of_site = first_card(out, homes)
    index = index_page(summaries, assets, base_url, card_of_site)
    kept = comparison.kept(out)
    comparing = compare_page(summaries, compared, kept, assets, base_url, card_of_site)
    top = {".nojekyll": b"", "favicon.ico": favicon(), "index.html": render("index.html", index)}
    top[COMPARING] = render("live_comparison.html", comparing)
    top[SEARCH] = models_index(summaries)
    if base_url:
        pages = [f"{home}/{name}" for home in homes for name in (read_ledger(out, home) or Ledger()).files]
        top[SITEMAP] = render(SITEMAP, sitemap(base_url, ["index.html", COMPARING, *kept, *pages]))
    return top


def refuse_foreign(target: SiteFolder, home: str, own: Mapping[str, bytes], shared: Mapping[str, bytes]) -> None:
    """Refuse, before anything is written, to replace files of others with a model's files or with shared ones."""
    if not target.replace:
        top = dict.fromkeys((*PAGES, LEDGER), None) if read_ledger(target.out) is None else dict.fromkeys(PAGES, None)
        known = {".nojekyll": b"", "favicon.ico": favicon(), **shared}
        others = others_among(target.out, "", top | known)
        refuse_others(target.out, [*others, *others_among(target.out, home, own)])


def write_assets(target: SiteFolder, home: str, assets: Mapping[str, bytes]) -> int:
    """Write style, scripts and fonts, before the pages of the model in `home` use them; how many changed."""
    old = read_ledger(target.out) or Ledger()
    return write_folder(target, "", Content(assets, old.files.keys(), {*old.folders, home}))


def write_shared_pages(target: SiteFolder, pages: Mapping[str, bytes], summaries: Collection[Summary]) -> int:
    """Write the files at the top of the site, and remove assets that no model uses; how many changed."""
    old = read_ledger(target.out) or Ledger()
    kept = [name for name in old.files if name in assets_of(summaries) or comparison.is_kept(name)]
    return write_folder(target, "", Content(pages, kept, _folders(target.out, summaries)))


def _folders(out: Path, summaries: Iterable[Summary]) -> list[str]:
    """The folders that have a ledger of their own."""
    folders = [*(summary.home for summary in summaries), FOLDER]
    return [folder for folder in folders if read_ledger(out, folder) is not None]
