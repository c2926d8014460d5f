"""Real and generated images compared: which concepts are under-represented, and which units match them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dissectreport.analysis.results.real_images import Reality
from dissectreport.report.common.model import Site, interpretable_labels, rows_of, view_of
from dissectreport.report.html.charts import Point
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.frame import Frame, Link
from dissectreport.report.html.numbers import ratio
from dissectreport.report.pages.example_images import SeenGroup, seen_groups
from dissectreport.report.pages.real_images_chart import RatioRow, ratios

LEAST, MOST = 24, 12
"""Concepts in the chart: those of the smallest ratios, and those of the largest."""

GALLERIES = 4
"""Under-represented concepts whose images are shown."""


@dataclass(frozen=True)
class RealRow:
    """A concept in real and in generated images."""

    concept: NamedConcept
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
    href: str
    """Its page."""

    @classmethod
    def of(cls, row: Any, units: tuple[Link, ...], href: str) -> RealRow:
        """From a row of the table of areas."""
        return cls(
            concept=NamedConcept.of(row),
            **{name: _point(row, name) for name in ("real", "generated", "difference", "ratio")},
            in_real=float(row.in_real),
            in_generated=float(row.in_generated),
            verdict=str(row.verdict),
            compared=bool(row.compared),
            units=units,
            href=href,
        )

    @property
    def in_chart(self) -> RatioRow:
        """The concept as the chart shows it."""
        return RatioRow(self.concept, self.ratio, self.real.value, self.generated.value, bool(self.verdict))


@dataclass(frozen=True)
class RealPage:
    """Concepts in real and in generated images."""

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
    galleries: tuple[tuple[RealRow, tuple[SeenGroup, ...]], ...]
    """Under-represented concepts with the example images that show them, real and generated."""
    csv: str
    json: str


def real_page(site: Site, reality: Reality) -> RealPage:
    """The comparison of concept areas with its chart and its table."""
    places, dissection = site.places, site.dissection
    frame = site.frame(
        places.page("real"),
        f"Real and generated images · {dissection.title}",
        f"Which concepts {dissection.title} under-represents.",
        current="real images",
    )
    rows = _rows(site, frame, reality)
    compared = [row for row in rows if row.compared]
    shown = compared if len(compared) <= LEAST + MOST else [*compared[:LEAST], *compared[-MOST:]]
    return RealPage(
        frame=frame,
        model=dissection.title,
        segmenter=str(dissection.provenance.segmenter.get("name", "")),
        source=_source(site, reality),
        real=reality.real,
        generated=reality.generated,
        answer=answer(rows),
        chart=ratios(
            "chart-real",
            "Generated area of each concept, relative to its area in real images",
            "One dot per concept, with a 95% interval, on a logarithmic scale; the table below has the numbers.",
            [row.in_chart for row in shown],
        ),
        left_off=len(compared) - len(shown),
        rows=rows,
        galleries=_galleries(site, frame, rows),
        csv=frame.to(places.data("real", "csv")),
        json=frame.to(places.data("real", "json")),
    )


def _galleries(
    site: Site, frame: Frame, rows: tuple[RealRow, ...]
) -> tuple[tuple[RealRow, tuple[SeenGroup, ...]], ...]:
    """The concepts that are left out most, of those that an example image shows and that have a page with masks.

    A concept that no generated image shows has no page.
    """
    with_page = [row for row in rows if row.verdict == "less" and row.concept.name in site.places.concepts]
    less = [(row, seen_groups(site, frame, row.concept.name)) for row in with_page]
    return tuple((row, groups) for row, groups in less if any(group.examples for group in groups))[:GALLERIES]


def under_and_over(site: Site, frame: Frame, reality: Reality) -> str:
    """Which concepts are under- and over-represented, in a sentence of another page."""
    return answer(_rows(site, frame, reality))


def answer(rows: tuple[RealRow, ...]) -> str:
    """Which concepts are under- and over-represented, in a sentence."""
    less = [row for row in rows if row.verdict == "less"]
    more = [row for row in reversed(rows) if row.verdict == "more"]
    compared = sum(row.compared for row in rows)
    if not compared:
        return "No concept is in enough images to be compared."
    if not less and not more:
        return f"None of {compared} concepts differs significantly between real and generated images."
    under = f"{len(less)} of {compared} concepts {'is' if len(less) == 1 else 'are'} under-represented{_leading(less)}"
    over = f"{len(more)} {'is' if len(more) == 1 else 'are'} over-represented{_leading(more)}"
    return f"Compared with real images, {under}, and {over}."


def _leading(rows: list[RealRow], most: int = 3) -> str:
    named = ", ".join(
        f"{row.concept.name} {ratio(row.ratio.value) if row.real.value else 'in no real image'}" for row in rows[:most]
    )
    return f" ({named}{', …' if len(rows) > most else ''})" if rows else ""


def _source(site: Site, reality: Reality) -> str:
    folder = site.dissection.provenance.reference
    return f"images of the folder {folder['folder']}" if folder else "images like those it was trained on"


def _rows(site: Site, frame: Frame, reality: Reality) -> tuple[RealRow, ...]:
    units = _units(site, frame)
    return tuple(
        RealRow.of(
            row, units.get((str(row.concept), str(row.category)), ()), site.concept_href(frame, str(row.concept))
        )
        for row in rows_of(reality.table)
    )


def _point(row: Any, name: str) -> Point:
    return Point(*(float(getattr(row, f"{name}{end}")) for end in ("", "_low", "_high")))


def _units(site: Site, frame: Frame) -> dict[tuple[str, str], tuple[Link, ...]]:
    """By concept and category, each layer that has interpretable units of it, with their number."""
    links: dict[tuple[str, str], tuple[Link, ...]] = {}
    for layer in site.dissection.layers:
        labels = interpretable_labels(layer)
        number = Counter(zip(labels["concept"].astype(str), labels["category"].astype(str), strict=True))
        for (concept, category), units in number.items():
            href = f"{frame.to(site.places.layer(layer.name))}#{view_of(concept)}"
            link = Link(href, f"{units} in {layer.name}")
            links[concept, category] = (*links.get((concept, category), ()), link)
    return links
