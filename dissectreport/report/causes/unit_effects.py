"""What one unit causes, for its page: measured where it was turned off by itself, else estimated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dissectreport.analysis.results.dissection import Layer
from dissectreport.analysis.results.interventions import Ablated
from dissectreport.report.causes.summary import falling, point_of, told
from dissectreport.report.common.model import Site, rows_of
from dissectreport.report.html import effect_charts as causal_charts
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.charts import Point
from dissectreport.report.html.effect_charts import Amount
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.numbers import removed


@dataclass(frozen=True)
class UnitCause:
    """What one unit does to one concept."""

    concept: str
    href: str
    mark: str
    rank: int
    estimate: float
    exact: Point


@dataclass(frozen=True)
class Without:
    """One image with and without a unit."""

    sample: int
    before: str
    after: str
    difference: str


@dataclass(frozen=True)
class UnitCauses:
    """What one unit causes, for its page."""

    measured: bool
    """Whether it was ablated by itself."""
    sentence: str
    rows: tuple[UnitCause, ...]
    chart: Markup | None
    pictures: tuple[Without, ...]
    href: str
    samples: int
    choosing: int


def unit_causes(site: Site, around: Frame, layer: Layer, unit: int, rows: Sequence[Any]) -> UnitCauses | None:
    """What a unit causes, from its `rows` of effects; None where nothing is known."""
    found = site.dissection.interventions
    if found is None or found.layer != layer.name or not rows:
        return None
    marks = {str(row.concept): mark_of(str(row.category)) for row in rows_of(found.concepts)}
    causes = [
        UnitCause(
            concept=str(row.concept),
            href=around.to(site.places.concept(str(row.concept))),
            mark=marks[str(row.concept)],
            rank=int(row.rank),
            estimate=float(row.estimate),
            exact=point_of(row, "exact"),
        )
        for row in rows
        if str(row.concept) in site.places.concepts
    ]
    exact = any(not math.isnan(c.exact.value) for c in causes)
    causes.sort(key=lambda c: (falling(c.exact.value if exact else c.estimate), c.concept))
    return UnitCauses(
        measured=exact,
        sentence=_unit_sentence(causes, exact),
        rows=tuple(causes),
        chart=_unit_chart(layer, unit, causes) if exact else None,
        pictures=_without(site, around, layer, unit, found.unit_pictures.get(unit)),
        href=around.to(site.places.page("causes")),
        samples=found.samples,
        choosing=found.choosing,
    )


def _unit_sentence(causes: Sequence[UnitCause], measured: bool) -> str:
    if not causes:
        return ""
    first = causes[0]
    if measured and first.exact.low > 0:
        return f"Turning off this unit alone removes {told(first.exact)} of all {first.concept} pixels."
    if measured:
        return "Turning off this unit alone surely removes nothing of any concept that was studied."
    return (
        f"It was not turned off by itself. To first order, turning it off would remove {removed(first.estimate)}"
        f" of all {first.concept} pixels: an estimate, not a measurement."
    )


def _unit_chart(layer: Layer, unit: int, causes: Sequence[UnitCause]) -> Markup:
    return causal_charts.bars(
        "chart-causes",
        f"What turning off unit {unit} of {layer.name} removes",
        "Share of each concept's area that goes, with 95 % intervals; the tick is the estimate to first order.",
        [Amount(c.concept, c.exact, c.estimate, c.mark, i == 0) for i, c in enumerate(causes)],
        told=removed,
    )


def _without(site: Site, around: Frame, layer: Layer, unit: int, ablated: Ablated | None) -> tuple[Without, ...]:
    if ablated is None:
        return ()
    return tuple(
        Without(
            int(sample),
            around.to(site.places.original(int(sample))),
            *(around.to(site.places.unit_changed(layer.name, unit, i, kind)) for kind in ("off", "difference")),
        )
        for i, sample in enumerate(ablated.samples.tolist())
    )
