"""The causal effects of one unit, for its page: measured where it was ablated by itself, else estimated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dissectreport.analysis.results.dissection import Layer
from dissectreport.analysis.results.interventions import Ablated
from dissectreport.report.causes.summary import area_removed, falling, point_of
from dissectreport.report.common.model import Site, rows_of
from dissectreport.report.html.charts import Point
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.effect_charts import Amount, bars
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.numbers import removed


@dataclass(frozen=True)
class UnitCause:
    """The effect of one unit on one concept."""

    concept: NamedConcept
    href: str
    rank: int
    estimate: float
    measured_effect: Point


@dataclass(frozen=True)
class Without:
    """One image with and without a unit."""

    sample: int
    before: str
    after: str
    difference: str


@dataclass(frozen=True)
class UnitCauses:
    """The causal effects of one unit, for its page."""

    measured: bool
    """Whether it was ablated by itself."""
    sentence: str
    rows: tuple[UnitCause, ...]
    chart: Markup | None
    pictures: tuple[Without, ...]
    href: str
    samples: int
    selection: int


def unit_causes(site: Site, frame: Frame, layer: Layer, unit: int, rows: Sequence[Any]) -> UnitCauses | None:
    """The causal effects of a unit, from its `rows` of effects; None where nothing is known."""
    interventions = site.dissection.interventions
    if interventions is None or interventions.layer != layer.name or not rows:
        return None
    concepts = {str(row.concept): NamedConcept.of(row) for row in rows_of(interventions.concepts)}
    causes = [
        UnitCause(
            concept=concepts[str(row.concept)],
            href=frame.to(site.places.concept(str(row.concept))),
            rank=int(row.rank),
            estimate=float(row.estimate),
            measured_effect=point_of(row, "measured_effect"),
        )
        for row in rows
        if str(row.concept) in site.places.studied
    ]
    measured_effect = any(not math.isnan(c.measured_effect.value) for c in causes)
    causes.sort(key=lambda c: (falling(c.measured_effect.value if measured_effect else c.estimate), c.concept.name))
    return UnitCauses(
        measured=measured_effect,
        sentence=_unit_sentence(causes, measured_effect),
        rows=tuple(causes),
        chart=_unit_chart(layer, unit, causes) if measured_effect else None,
        pictures=_without(site, frame, layer, unit, interventions.unit_pictures.get(unit)),
        href=frame.to(site.places.page("causes")),
        samples=interventions.samples,
        selection=interventions.selection,
    )


def _unit_sentence(causes: Sequence[UnitCause], measured: bool) -> str:
    if not causes:
        return ""
    first = causes[0]
    if measured and first.measured_effect.low > 0:
        share = area_removed(first.measured_effect)
        return f"Ablating this unit alone removes {share} of all {first.concept.name} pixels."
    if measured:
        return "Ablating this unit alone does not significantly reduce any of the studied concepts."
    return (
        f"This unit was not ablated by itself. By the first-order estimate (gradient × activation), ablating it would"
        f" remove {removed(first.estimate)} of all {first.concept.name} pixels."
    )


def _unit_chart(layer: Layer, unit: int, causes: Sequence[UnitCause]) -> Markup:
    return bars(
        "chart-causes",
        f"Area removed by ablating unit {unit} of {layer.name}",
        "Share of each concept's area that is removed, with 95% intervals; the tick is the first-order estimate.",
        [Amount(c.concept.name, c.measured_effect, c.estimate, c.concept.mark, i == 0) for i, c in enumerate(causes)],
        form=removed,
    )


def _without(site: Site, frame: Frame, layer: Layer, unit: int, ablated: Ablated | None) -> tuple[Without, ...]:
    if ablated is None:
        return ()
    return tuple(
        Without(
            int(sample),
            frame.to(site.places.original(int(sample))),
            *(frame.to(site.places.unit_changed(layer.name, unit, i, kind)) for kind in ("off", "difference")),
        )
        for i, sample in enumerate(ablated.samples.tolist())
    )
