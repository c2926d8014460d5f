"""What every page has: title, navigation, neighbours, notes and a foot."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import quote

from dissectreport.analysis.results.dissection import Dissection
from dissectreport.report.html.images import TILE, tile_width
from dissectreport.report.html.names import link
from dissectreport.report.html.places import COMPARING, SEARCH, Places


@dataclass(frozen=True)
class Link:
    """An address with the words that stand for it."""

    href: str
    words: str
    current: bool = False


@dataclass(frozen=True)
class Assets:
    """Where style, scripts and plotly lie, from the top of the site."""

    style: str
    serif: str
    sans: str
    site: str
    charts: str
    menus: str
    unit_labels: str
    units: str
    unit: str
    lookup: str
    causes: str
    map: str
    icon: str
    compare: str
    compare_elements: str
    compare_charts: str
    compare_figures: str
    compare_sections: str
    compare_choice: str
    index: str
    review: str
    preference: str
    search: str
    paint_random: str
    paint_strokes: str
    paint_worker: str
    paint_windows: str
    paint_network: str
    paint_stage: str
    paint_panel: str
    paint: str
    paint_live: str
    plotly: str

    @property
    def files(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(vars(self).values())

    @property
    def painting(self) -> tuple[str, ...]:
        """The scripts of the Paint page, in the order in which they run."""
        return (
            self.paint_random,
            self.paint_strokes,
            self.paint_worker,
            self.paint_windows,
            self.paint_network,
            self.paint_stage,
            self.paint_panel,
            self.paint,
        )

    @property
    def live(self) -> tuple[str, ...]:
        """The scripts of the live image of the overview, in the order in which they run."""
        return (self.paint_strokes, self.paint_worker, self.paint_windows, self.paint_network, self.paint_live)

    @property
    def comparing(self) -> tuple[str, ...]:
        """The scripts of the page that compares models, in the order in which they run."""
        return (
            self.compare_elements,
            self.compare_charts,
            self.compare_figures,
            self.compare_sections,
            self.compare_choice,
            self.compare,
        )


@dataclass(frozen=True)
class Frame:
    """The surroundings of a page."""

    here: str
    """The page's own address from the top of the site."""
    title: str
    description: str
    home: str
    """Link to the first page of the site."""
    style: str
    icon: str
    favicon: str
    plotly: str
    scripts: tuple[str, ...]
    fonts: tuple[str, ...] = ()
    """Fonts that are loaded before the style asks for them, so that no word moves."""
    search: str = ""
    """The scripts of the search, with spaces between them: its own, then its index; '' where there is none."""
    menu: tuple[Link, ...] = ()
    more: tuple[Link, ...] = ()
    """Further pages of the model, which the menu shows when it is opened."""
    layers: tuple[Link, ...] = ()
    """The pages of the model's layers."""
    crumbs: tuple[Link, ...] = ()
    before: Link | None = None
    after: Link | None = None
    up: Link | None = None
    keys: tuple[str, str] = ("k ArrowLeft", "j ArrowRight")
    """Keys that lead to the page before and after."""
    notes: tuple[str, ...] = ()
    foot: str = ""
    command: str = ""
    tile: int = TILE
    """Width of one of the model's images in a strip."""
    published: str = ""
    """The page's full address where the site will be published; '' where that is unknown."""
    card: str = ""
    """The full address of the page's preview picture on other sites; '' where there is none."""
    policy: str = ""
    """The Content-Security-Policy; '' for that of a page whose style and scripts are files of the site."""
    inline_style: str = ""
    inline_scripts: tuple[str, ...] = ()
    """Style and scripts of a page that is complete in one file."""

    @property
    def pages(self) -> tuple[Link, ...]:
        """All pages that the menu shows."""
        return (*self.menu, *self.more)

    def to(self, there: str) -> str:
        """The relative address of `there`."""
        return link(self.here, there)


def frame(here: str, title: str, description: str, assets: Assets, scripts: tuple[str, ...] = ()) -> Frame:
    """The surroundings of a page that belongs to no model."""
    return Frame(
        here=here,
        title=title,
        description=description,
        home=link(here, "index.html"),
        style=link(here, assets.style),
        icon=link(here, assets.icon),
        favicon=link(here, "favicon.ico"),
        plotly=link(here, assets.plotly),
        search=_search(here, assets),
        fonts=(link(here, assets.serif), link(here, assets.sans)),
        scripts=tuple(link(here, s) for s in (assets.site, assets.charts, assets.menus, *scripts)),
    )


def _search(here: str, assets: Assets, *models: str) -> str:
    return " ".join(link(here, script) for script in (assets.search, SEARCH, *models))


def published(around: Frame, base_url: str, card: str = "") -> Frame:
    """The frame with full addresses, where `base_url` is that of the site."""
    if not base_url:
        return around
    return replace(around, published=full_address(base_url, around.here), card=card and full_address(base_url, card))


def full_address(base_url: str, place: str) -> str:
    """The address on the published site of a file; a folder stands for the page that it shows first."""
    return base_url + quote(re.sub(r"(^|/)index\.html$", r"\1", place))


MORE = ("look-up", "real images", "segmenter", "replication", "methods and tables", "compare")
"""Entries of the menu of a model that are shown when it is opened."""


def model_frame(
    here: str,
    title: str,
    description: str,
    assets: Assets,
    dissection: Dissection,
    places: Places,
    scripts: tuple[str, ...] = (),
    current: str = "",
) -> Frame:
    """The surroundings of a page of one model; `current` names its entry in the menu."""
    facts = dissection.provenance
    causes = {} if dissection.interventions is None else {"causal effects": places.page("causes")}
    classes = {} if dissection.classes is None else {"classes": places.page("classes")}
    artifacts = {} if dissection.artifacts is None else {"artifact units": places.page("artifacts")}
    paint = {} if dissection.painting is None else {"paint": places.page("paint")}
    real = {} if dissection.reality is None else {"real images": places.page("real")}
    entries = {
        "overview": places.page("index"),
        "concepts": places.page("concepts"),
        "map": places.page("map"),
        **causes,
        **classes,
        **artifacts,
        **paint,
        "look-up": places.page("lookup"),
        **real,
        "segmenter": places.page("trust"),
        "methods and tables": places.page("methods"),
        "compare": f"{COMPARING}#m={places.home}",
    }
    every = {words: Link(link(here, there), words, words == current) for words, there in entries.items()}
    foot = (
        f"{dissection.title} · rule {facts.rule} · {facts.samples:,} images, seed {facts.seed}"
        f" · segmenter {facts.segmenter.get('name', 'unnamed')}"
    )
    return replace(
        frame(here, title, description, assets, scripts),
        menu=tuple(every[words] for words in entries if words not in MORE),
        more=tuple(every[words] for words in entries if words in MORE),
        layers=tuple(
            Link(link(here, places.layer(layer.name)), layer.name, here == places.layer(layer.name))
            for layer in dissection.layers
        ),
        search=_search(here, assets, places.search),
        notes=dissection.notes,
        foot=foot,
        command=facts.command,
        tile=tile_width(dissection.pictures.pixels),
    )
