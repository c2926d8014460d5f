"""A report as one file that can be sent by mail: its main pages in one document, with all that they show.

content, left_out = single_file(dissection, cap=25)
"""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from dissectreport.analysis.results.dissection import Dissection
from dissectreport.errors import OutputError
from dissectreport.report.common.model import Site
from dissectreport.report.common.rendering import render
from dissectreport.report.common.site_options import CAP, DETAILS, SiteSettings, with_detail
from dissectreport.report.export.bundle import Binding, Leaf, as_data, key_of, leaf
from dissectreport.report.html import images
from dissectreport.report.html.assets import load_assets, templates_folder
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.places import Places
from dissectreport.report.html.policy import single_policy, theme_script
from dissectreport.report.site.gather import Progress, gather

_ONE_FILE = replace(DETAILS[-1], name="one file", left_out="what only fits into a folder", quality=images.QUALITY)


@dataclass(frozen=True)
class Size:
    """How much a single file shows."""

    left_out: str
    scale: float = 1.0
    """Of pictures along a side."""
    cards: int = 0
    """Most units a layer; 0 for all."""


SIZES = (
    Size(""),
    Size("half the pixels of pictures along each side", scale=0.5),
    Size("half the pixels of pictures along each side, and all but the first 60 units of each layer", 0.5, 60),
)
"""From everything down."""


@dataclass(frozen=True)
class Door:
    """A leaf in the table of contents."""

    href: str
    words: str


@dataclass(frozen=True)
class Single:
    """The one document."""

    title: str
    description: str
    policy: str
    icon: str
    style: str
    scripts: tuple[str, ...]
    doors: tuple[Door, ...]
    leaves: tuple[Leaf, ...]
    notes: tuple[str, ...]
    foot: str
    command: str


def single_file(dissection: Dissection, cap: int = CAP, progress: Progress | None = None) -> tuple[bytes, str]:
    """The report as one page of at most `cap` megabytes (0: any), and what was left out to stay within them.

    It contains the overview, the layers with every unit's card, concepts, causal effects, the segmenter and the
    methods; not the page of each unit, nor the tables to download.
    """
    assets, shared = load_assets()
    shown = replace(with_detail(dissection, _ONE_FILE), notes=dissection.notes, painting=None)
    site = Site(shown, Places.of(shown, unit_pages=False), assets, SiteSettings(_ONE_FILE))
    files = gather(site, progress)
    frame = site.frame(
        site.places.page("index"), dissection.title, f"Which concepts the units of {dissection.title} match."
    )
    sizes: list[int] = []
    for size in SIZES:
        content = render("single.html", _document(site, frame, files, shared, size))
        sizes.append(len(content))
        if not cap or len(content) <= cap * 10**6:
            return content, size.left_out
    raise _too_large(dissection.model, sizes, cap)


def _too_large(model: str, sizes: list[int], cap: int) -> OutputError:
    sizes_in_words = "; ".join(
        f"{size / 1e6:,.1f} MB {f'without {detail.left_out}' if detail.left_out else 'as it is'}"
        for detail, size in zip(SIZES, sizes, strict=True)
    )
    return OutputError(
        f"the report of {model} as one file takes more than the {cap:,} MB of --cap: {sizes_in_words}; measure "
        "fewer --layers, give a larger --cap, or 0 for none, or send the folder that `dissectreport render` writes"
    )


def _document(site: Site, frame: Frame, files: Mapping[str, bytes], shared: Mapping[str, bytes], size: Size) -> Single:
    doors = _doors(site, frame, files)
    pages = {page: key_of(page.removeprefix(f"{site.places.home}/")) for page in _pages(site, doors)}

    @cache
    def picture(address: str) -> str:
        return as_data(files[address], address, size.scale)

    binding = Binding(pages, picture, size.cards)
    leaves = tuple(leaf(page, files[page].decode(), binding) for page in pages)
    left_out = (f"To limit its size, this file leaves out {size.left_out}.",) if size.left_out else ()
    style = _style(site, shared)
    own = tuple(shared[script] for script in (site.assets.site, site.assets.charts, site.assets.menus))
    scripts = (*(script.decode() for script in own), (templates_folder() / "static" / "single.js").read_text("utf-8"))
    return Single(
        title=frame.title,
        description=frame.description,
        policy=single_policy((theme_script(), *scripts), (style,)),
        icon=as_data(shared[site.assets.icon], site.assets.icon),
        style=style,
        scripts=scripts,
        doors=tuple(Door(f"#{pages[page]}", words) for page, words in doors.items()),
        leaves=leaves,
        notes=(*frame.notes, *left_out),
        foot=frame.foot,
        command=frame.command,
    )


def _doors(site: Site, frame: Frame, files: Mapping[str, bytes]) -> dict[str, str]:
    """The pages that the table of contents lists, with their words: the layers, and what a page's own menu lists."""
    places = site.places
    menu = {posixpath.normpath(posixpath.join(places.home, link.href)): link.words for link in frame.pages}
    # Looking up a point needs scripts with every unit's maps, and the map of units a script of its own.
    scripted = {places.page("lookup"), places.page("map")}
    listed = {page: words for page, words in menu.items() if page in files and page not in scripted}
    first = places.page("index")
    return {
        first: listed[first],
        **{places.layer(layer.name): layer.name for layer in site.dissection.layers},
        **listed,
    }


def _pages(site: Site, doors: Mapping[str, str]) -> list[str]:
    """The pages of the document, in order: those that are listed, and each concept's after the causal effects."""
    pages = list(doors)
    if site.dissection.interventions is not None:
        at = pages.index(site.places.page("causes")) + 1
        pages[at:at] = [site.places.concept(concept) for concept in site.places.studied]
    return pages


def _style(site: Site, shared: Mapping[str, bytes]) -> str:
    """The style sheet with its fonts in it."""
    style = shared[site.assets.style].decode()
    for font in (site.assets.serif, site.assets.sans):
        content = base64.b64encode(shared[font]).decode()
        style = style.replace(f"url({font.removeprefix('assets/')})", f"url(data:font/woff2;base64,{content})")
    return style
