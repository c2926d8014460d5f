"""Real against generated: what the generator leaves out, and the units that make what it does not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dissectreport.analysis.results.real_images import Reality
from dissectreport.report.common.model import Site, interpretable_labels, rows_of, view_of
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.charts import Point
from dissectreport.report.html.frame import Frame, Link
from dissectreport.report.html.numbers import ratio
from dissectreport.report.pages.real_images_chart import Held, ratios

LEAST, MOST = 24, 12
"""Concepts in the chart: those of the smallest ratios, and those of the largest."""


@dataclass(frozen=True)
class RealRow:
    """A concept in real and in generated images."""

    concept: str
    category: str
    mark: str
    real: Point
    generated: Point
    difference: Point
    ratio: Point
    in_real: float
    in_generated: float
    verdict: str
    compared: bool
    units: tuple[Link, ...]
    """Layers with units of the concept, in words the number of them."""
    causes: str
    """The page about what causes it; '' where that was not studied."""

    @property
    def held(self) -> Held:
        """The concept as the chart shows it."""
        return Held(self.concept, self.mark, self.ratio, self.real.value, self.generated.value, bool(self.verdict))


@dataclass(frozen=True)
class RealPage:
    """What the generator leaves out."""

    frame: Frame
    model: str
    segmenter: str
    source: str
    """What the real images are, in words."""
    real: int
    generated: int
    answer: str
    chart: Markup
    left_off: int
    """Concepts between those of the chart."""
    rows: tuple[RealRow, ...]
    csv: str
    json: str


def real_page(site: Site, found: Reality) -> RealPage:
    """The comparison of concept areas with its chart and its table."""
    places, dissection = site.places, site.dissection
    around = site.frame(
        places.page("real"),
        f"Real against generated · {dissection.title}",
        f"What {dissection.title} leaves out.",
        current="real images",
    )
    rows = _rows(site, around, found)
    compared = [row for row in rows if row.compared]
    shown = compared if len(compared) <= LEAST + MOST else [*compared[:LEAST], *compared[-MOST:]]
    return RealPage(
        frame=around,
        model=dissection.title,
        segmenter=str(dissection.provenance.segmenter.get("name", "")),
        source=_source(site, found),
        real=found.real,
        generated=found.generated,
        answer=answer(rows),
        chart=ratios(
            "chart-real",
            "Generated area of each concept, relative to its area in real images",
            "A dot a concept, with 95 % interval, on a scale of doublings; the table below has the numbers.",
            [row.held for row in shown],
        ),
        left_off=len(compared) - len(shown),
        rows=rows,
        csv=around.to(places.data("real", "csv")),
        json=around.to(places.data("real", "json")),
    )


def answer(rows: tuple[RealRow, ...]) -> str:
    """What is left out, in a sentence or two."""
    less = [row for row in rows if row.verdict == "less"]
    more = [row for row in reversed(rows) if row.verdict == "more"]
    compared = sum(row.compared for row in rows)
    if not compared:
        return "No concept is in enough images to be compared."
    if not less and not more:
        return f"Of {compared} concepts, none can be told to be generated more or less than real images show it."
    told = [f"{len(less)} of {compared} concepts are generated less than real images show them{_leading(less)}"]
    told += [f"{len(more)} {'is' if len(more) == 1 else 'are'} generated more{_leading(more)}"]
    return ", and ".join(told) + "."


def _leading(rows: list[RealRow], most: int = 3) -> str:
    named = ", ".join(
        f"{row.concept} {ratio(row.ratio.value) if row.real.value else 'without any'}" for row in rows[:most]
    )
    return f" ({named}{' …' if len(rows) > most else ''})" if rows else ""


def _source(site: Site, found: Reality) -> str:
    folder = site.dissection.provenance.reference
    return f"images of the folder {folder['folder']}" if folder else "images like those it was trained on"


def _rows(site: Site, around: Frame, found: Reality) -> tuple[RealRow, ...]:
    units = _units(site, around)
    places = site.places
    return tuple(
        RealRow(
            concept=str(row.concept),
            category=str(row.category),
            mark=mark_of(str(row.category)),
            **{name: _point(row, name) for name in ("real", "generated", "difference", "ratio")},
            in_real=float(row.in_real),
            in_generated=float(row.in_generated),
            verdict=str(row.verdict),
            compared=bool(row.compared),
            units=units.get((str(row.concept), str(row.category)), ()),
            causes=around.to(places.concept(row.concept)) if row.concept in places.concepts else "",
        )
        for row in rows_of(found.table)
    )


def _point(row: Any, name: str) -> Point:
    return Point(*(float(getattr(row, f"{name}{end}")) for end in ("", "_low", "_high")))


def _units(site: Site, around: Frame) -> dict[tuple[str, str], tuple[Link, ...]]:
    """By concept and category, each layer that has interpretable units of it, with their number."""
    found: dict[tuple[str, str], tuple[Link, ...]] = {}
    for layer in site.dissection.layers:
        labels = interpretable_labels(layer)
        number = Counter(zip(labels["concept"].astype(str), labels["category"].astype(str), strict=True))
        for (concept, category), units in number.items():
            href = f"{around.to(site.places.layer(layer.name))}#{view_of(concept)}"
            link = Link(href, f"{units} in {layer.name}")
            found[concept, category] = (*found.get((concept, category), ()), link)
    return found
