"""The first page of a site, and the page on which models are chosen and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dissectreport.analysis.results.dissection import Control
from dissectreport.report.common.model import (
    InterpretableCount,
)
from dissectreport.report.common.summary import Summary
from dissectreport.report.compare.chart_tables import MOST_ROWS
from dissectreport.report.compare.charts import MOST, signs
from dissectreport.report.compare.live_files import FOLDER
from dissectreport.report.compare.model_parts import HEAP_HEADS
from dissectreport.report.compare.site_axes import axes_of
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.compare.texts import Texts
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.frame import Assets, Frame, Link, frame, published
from dissectreport.report.html.places import COMPARING


@dataclass(frozen=True)
class Entry:
    """A model on the first page of the site."""

    summary: Summary
    href: str
    band: str
    leading: Mapping[str, Any]
    random_directions: InterpretableCount | None
    count: InterpretableCount
    categories: tuple[tuple[str, str, InterpretableCount], ...]
    """Category, its mark, and the leading layer's units by their label within it."""
    story: tuple[tuple[str, str], ...]
    """Pictures of what its units cause, with their words."""

    @property
    def name(self) -> str:
        """What the model calls itself."""
        return self.summary.title or self.summary.model


@dataclass(frozen=True)
class IndexPage:
    """The first page of the site."""

    frame: Frame
    models: tuple[Entry, ...]
    compare: str
    most: int
    """Models that can be compared at a time."""


def index_page(summaries: list[Summary], assets: Assets, base_url: str = "", card: str = "") -> IndexPage:
    """All models of the site; `card` is the picture that stands for them."""
    what = "Networks" if any(s.reads for s in summaries) else "Image generators"
    around = frame("index.html", "Models", f"{what} dissected: what their units mean.", assets, (assets.index,))
    around = published(around, base_url, card)
    return IndexPage(around, tuple(_entry(around, s) for s in summaries), around.to(COMPARING), MOST)


@dataclass(frozen=True)
class ComparePage:
    """Models chosen and compared in the browser."""

    frame: Frame
    models: tuple[Entry, ...]
    comparable: bool
    """Whether there is anything to compare: several models, or several layers of the only one."""
    data: Mapping[str, Any]
    kept: tuple[Link, ...]
    """Fixed pages that compare chosen models."""


def compare_page(
    summaries: list[Summary],
    compared: SiteModels,
    kept: Mapping[str, str],
    assets: Assets,
    base_url: str = "",
    card: str = "",
) -> ComparePage:
    """The page that compares models; it reads what it shows from the files of the models that are chosen."""
    around = frame(COMPARING, "Compare", "Image generators compared, unit by unit.", assets, assets.comparing)
    around = published(around, base_url, card)
    entries = tuple(_entry(around, s) for s in summaries)
    pages = tuple(Link(around.to(place), title) for place, title in kept.items())
    layers = sum(len(model.profile.layers) for model in compared.sited.values())
    bands = {summary.home: entry.band for summary, entry in zip(summaries, entries, strict=True)}
    data = live_data(compared, bands) if compared.sited else {"models": []}
    return ComparePage(around, entries, layers > 1, data, pages)


def live_data(compared: SiteModels, bands: Mapping[str, str]) -> Mapping[str, Any]:
    """What the live page has of the site before a model is chosen; `bands` are pictures of models by their folders."""
    models = [
        {
            "home": home,
            "model": model.profile.model,
            "title": model.profile.title,
            "rule": model.profile.rule,
            "band": bands.get(home, ""),
        }
        for home, model in compared.sited.items()
    ]
    return {
        "most": MOST,
        "rows": MOST_ROWS,
        "folder": FOLDER,
        "models": models,
        "texts": asdict(Texts()),
        "axes": asdict(axes_of(compared.scales)),
        "signs": signs(),
        "heads": HEAP_HEADS,
    }


def _entry(around: Frame, summary: Summary) -> Entry:
    leading = max(
        summary.layers,
        key=lambda layer: (layer[Control.MEASURED]["concepts"] or 0, layer[Control.MEASURED]["units"] or 0),
    )
    random_directions = leading.get(Control.RANDOM_DIRECTIONS)
    return Entry(
        summary=summary,
        href=around.to(f"{summary.home}/index.html"),
        band=around.to(summary.band),
        leading=leading,
        random_directions=InterpretableCount.of_json(random_directions) if random_directions else None,
        count=InterpretableCount.of_json(leading[Control.MEASURED]),
        categories=tuple(
            (c, mark_of(c), InterpretableCount.of_json(n)) for c, n in leading.get("categories", {}).items()
        ),
        story=tuple((around.to(address), words) for address, words in summary.story),
    )
