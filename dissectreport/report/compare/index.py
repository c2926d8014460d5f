"""The first page of a site, and the page on which models are chosen and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dissectreport.report.common.model import (
    Count,
)
from dissectreport.report.common.summary import Summary
from dissectreport.report.compare.charts import MOST
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
    rotated: Count | None
    count: Count
    categories: tuple[tuple[str, str, Count], ...]
    """Category, its mark, and the leading layer's units by their label within it."""

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
    data: Mapping[str, Any]
    kept: tuple[Link, ...]
    """Fixed pages that compare chosen models."""


def compare_page(
    summaries: list[Summary], kept: Mapping[str, str], assets: Assets, base_url: str = "", card: str = ""
) -> ComparePage:
    """The page that compares models; it reads what it compares from the folders of the models that are chosen."""
    around = frame(COMPARING, "Compare", "Image generators compared, unit by unit.", assets, (assets.compare,))
    around = published(around, base_url, card)
    entries = tuple(_entry(around, s) for s in summaries)
    known = [
        {
            "home": one.summary.home,
            "model": one.summary.model,
            "title": one.name,
            "rule": one.summary.rule,
            "script": around.to(one.summary.compare),
        }
        for one in entries
        if one.summary.compare
    ]
    pages = tuple(Link(around.to(place), title) for place, title in kept.items())
    return ComparePage(around, entries, {"most": MOST, "models": known}, pages)


def _entry(around: Frame, one: Summary) -> Entry:
    leading = max(one.layers, key=lambda layer: (layer["measured"]["concepts"] or 0, layer["measured"]["units"] or 0))
    rotated = leading.get("rotated")
    return Entry(
        summary=one,
        href=around.to(f"{one.home}/index.html"),
        band=around.to(one.band),
        leading=leading,
        rotated=Count.of_json(rotated) if rotated else None,
        count=Count.of_json(leading["measured"]),
        categories=tuple((c, mark_of(c), Count.of_json(n)) for c, n in leading.get("categories", {}).items()),
    )
