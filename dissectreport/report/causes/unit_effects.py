"""The causal effects of one unit, for its page: measured where it was ablated by itself, else estimated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from dissectreport.analysis.results.dissection import Layer
from dissectreport.analysis.results.interventions import Ablated, Interventions
from dissectreport.report.causes.summary import area_removed, falling, point_of
from dissectreport.report.common.model import Site, rows_of
from dissectreport.report.html.charts import Point
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.effect_charts import Amount, bars
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.numbers import change, interval, removed


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
class StripImage:
    """One of the small images of a strip."""

    sample: int
    left: str
    """Where it lies in the files of the strip, as CSS."""
    change: float
    """Relative change of the concept's pixels in this image; NaN where it shows none."""


@dataclass(frozen=True)
class AloneStrip:
    """Small images with and without one unit, and what ablating it alone removes in them."""

    concept: NamedConcept
    href: str
    before: str
    after: str
    difference: str
    width: str
    """The width of the files, as CSS: all images lie side by side."""
    images: tuple[StripImage, ...]
    effect: Point


@dataclass(frozen=True)
class UnitCauses:
    """The causal effects of one unit, for its page."""

    measured: bool
    """Whether it was ablated by itself."""
    sentence: str
    rows: tuple[UnitCause, ...]
    chart: Markup | None
    pictures: tuple[Without, ...]
    strip: AloneStrip | None
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
    strip = _strip(site, frame, interventions, unit, concepts)
    return UnitCauses(
        measured=measured_effect,
        sentence=_unit_sentence(causes, measured_effect, strip),
        rows=tuple(causes),
        chart=_unit_chart(layer, unit, causes) if measured_effect else None,
        pictures=_without(site, frame, layer, unit, interventions.unit_pictures.get(unit)),
        strip=strip,
        href=frame.to(site.places.page("causes")),
        samples=interventions.samples,
        selection=interventions.selection,
    )


def _strip(
    site: Site, frame: Frame, interventions: Interventions, unit: int, concepts: Mapping[str, NamedConcept]
) -> AloneStrip | None:
    """The strip of a unit; None where there is none."""
    strip, places = interventions.strips.get(unit), site.places
    if strip is None:
        return None
    number = len(strip.samples)
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = np.where(strip.pixels_before > 0, strip.pixels_after / strip.pixels_before - 1, np.nan)
    return AloneStrip(
        concept=concepts[strip.concept],
        href=frame.to(places.concept(strip.concept)),
        before=frame.to(places.alone_before(strip.concept)),
        after=frame.to(places.alone(interventions.layer, unit, "off")),
        difference=frame.to(places.alone(interventions.layer, unit, "difference")),
        width=f"{100 * number}%",
        images=tuple(
            StripImage(int(sample), f"-{100 * i}%", float(changes[i])) for i, sample in enumerate(strip.samples)
        ),
        effect=point_of(alone_effect(interventions, unit), "measured_effect"),
    )


def alone_effect(interventions: Interventions, unit: int) -> Any:
    """The row of a unit of a strip in the table of units that were ablated alone."""
    return next(row for row in rows_of(interventions.alone[interventions.alone["unit"] == unit]))


def _unit_sentence(causes: Sequence[UnitCause], measured: bool, strip: AloneStrip | None) -> str:
    if not causes:
        return ""
    first = causes[0]
    if measured and first.measured_effect.low > 0:
        share = area_removed(first.measured_effect)
        return f"Ablating this unit alone removes {share} of all {first.concept.name} pixels."
    if measured:
        return "Ablating this unit alone does not significantly reduce any of the studied concepts."
    if strip is not None:
        return _strip_sentence(strip)
    return (
        f"This unit was not ablated by itself. By the first-order estimate (gradient × activation), ablating it would"
        f" remove {removed(first.estimate)} of all {first.concept.name} pixels."
    )


def _strip_sentence(strip: AloneStrip) -> str:
    effect = strip.effect
    size = f"{change(-effect.value)} {interval(-effect.high, -effect.low, change)}"
    significant = effect.low > 0 or effect.high < 0
    verdict = "" if significant else ", which is not significant"
    return (
        f"Ablating this unit alone changes the area of {strip.concept.name} in {len(strip.images)} images by"
        f" {size}{verdict}."
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
