"""The page of one unit: its images, the concepts that it matches, its thresholds, and correlated units."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from dissectreport.analysis.results.dissection import ExampleKind, Layer
from dissectreport.analysis.results.interventions import Interventions
from dissectreport.report.artifacts.summary import UnitArtifact, unit_artifact
from dissectreport.report.causes.unit_effects import UnitCauses, unit_causes
from dissectreport.report.classes.unit_section import UnitClasses, unit_classes
from dissectreport.report.common.formulas import UnitFormula, was_searched
from dissectreport.report.common.model import Site, leading_units, rows_of
from dissectreport.report.common.unit_cards import Card, card, neighbours, strip_size
from dissectreport.report.common.wording import TOO_FEW, Wording
from dissectreport.report.common.words import UnitWord
from dissectreport.report.html import charts
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.frame import Frame, Link
from dissectreport.report.html.numbers import Agreement, percent, share
from dissectreport.stats.iou import chance_corrected_iou

CurveRow = tuple[float, float, float, float, float, float, float]
"""A row of `_curve_rows`."""


@dataclass(frozen=True)
class Example:
    """One image of a unit, and the position of its mask in the unit's overlay."""

    sample: int
    picture: str
    left: str
    peak: float
    alt: str


@dataclass(frozen=True)
class ExampleGroup:
    """Images of one kind."""

    kind: str
    words: str
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class PairRow:
    """A concept, and the unit's IoU with it."""

    concept: NamedConcept
    href: str
    """The page of the concept."""
    agreement: Agreement
    on_fraction: float
    tested: bool


@dataclass(frozen=True)
class Companion:
    """A unit whose activations are correlated, positively or negatively."""

    correlation: float
    card: Card


@dataclass(frozen=True)
class UnitHeader:
    """What a reader sees of a unit first, and the units next to it."""

    badges: tuple[str, ...]
    """Short remarks: a weak match, an artifact unit, how its effect is known."""
    rank: int
    """Its place among the units of the layer, strongest first."""
    stronger: Link | None
    """The unit before it in that order."""
    weaker: Link | None
    alike: Link | None
    """The unit whose activations are most correlated."""


@dataclass(frozen=True)
class UnitPage:
    """Everything about one unit."""

    frame: Frame
    model: str
    layer: str
    units: int
    card: Card
    header: UnitHeader
    row: Any
    concept_href: str
    """The page of its label; '' without a label."""
    verdict: str
    """Whether the unit is interpretable, in words."""
    wording: Wording
    size: str
    held_out: int
    samples: int
    groups: tuple[ExampleGroup, ...]
    veil: str
    veil_width: str
    pairs: tuple[PairRow, ...]
    labels: tuple[PairRow, ...]
    chart_ranking: Markup
    chart_histogram: Markup
    chart_curve: Markup
    curve: Mapping[str, Any] | None
    curve_rows: tuple[CurveRow, ...]
    curve_concepts: tuple[NamedConcept, ...]
    curve_banded: bool
    """Whether the IoU of the curve has an interval at every threshold; without one it is not printed."""
    numbers: str
    companions: tuple[Companion, ...]
    """Positively correlated units."""
    opposites: tuple[Companion, ...]
    """Negatively correlated units."""
    citation: str
    """The unit's name for a citation, without its address."""
    paint: str
    """Where the unit can be painted with; '' where it cannot."""
    causes: UnitCauses | None
    classes: UnitClasses | None
    artifact: UnitArtifact | None
    formula: UnitFormula | None
    """The formula of concepts that matches it significantly better than its label."""
    formulas_searched: bool
    word: UnitWord | None
    """The word of a list that predicts it better than random words do."""
    methods: str
    """Where it stands how formulas and words are found."""
    per_strip: int


KINDS: Mapping[str, str] = {
    ExampleKind.TOP: "Highest activations",
    ExampleKind.MIDDLE: "Intermediate activations",
    ExampleKind.RANDOM: "Random images",
}


@dataclass(frozen=True)
class LayerRows:
    """A layer's tables by unit, so that a unit's page need not search them."""

    table: list[Any]
    pairs: Mapping[int, list[Any]]
    labels: Mapping[int, list[Any]]
    correlated: Mapping[int, list[Any]]
    effects: Mapping[int, list[Any]]
    order: Sequence[int]
    """The units of the layer, strongest first."""
    strip_images: int
    """Images on which every unit was ablated alone; 0 where that was not done."""

    @classmethod
    def of(cls, layer: Layer, units: range, interventions: Interventions | None = None) -> LayerRows:
        """The rows of some units, grouped, in the table of all; `interventions` has the effects of one layer."""
        is_edited = interventions is not None and interventions.layer == layer.name
        strips = interventions.strips.values() if interventions is not None and is_edited else ()
        return cls(
            rows_of(layer.table),
            _by_unit(layer.pairs, units),
            _by_unit(layer.labels, units),
            _by_unit(layer.correlated, units),
            _by_unit(interventions.effects, units)
            if interventions is not None and interventions.layer == layer.name
            else {},
            leading_units(layer)["unit"].tolist(),
            max((len(strip.samples) for strip in strips), default=0),
        )


def _by_unit(table: pd.DataFrame, units: range) -> Mapping[int, list[Any]]:
    groups: dict[int, list[Any]] = {}
    for row in rows_of(table[table["unit"].between(units.start, units.stop - 1)]):
        groups.setdefault(int(row.unit), []).append(row)
    return groups


def unit_page(site: Site, layer: Layer, rows: LayerRows, unit: int) -> UnitPage:
    """The page of one unit; `rows` are the layer's."""
    dissection, places, row = site.dissection, site.places, rows.table[unit]
    name = f"{layer.name} unit {unit}"
    frame = _frame(site, layer, unit, f"{row.concept or 'no label'} · {name} · {dissection.title}")
    unit_card = card(site, frame, layer, row)
    pairs = tuple(_pair(site, frame, r) for r in rows.pairs.get(unit, []))
    traces = _traces(layer, unit, dissection.vocabulary)
    companions = _companions(site, frame, layer, rows, unit)
    return UnitPage(
        frame=frame,
        model=dissection.title,
        layer=layer.name,
        units=layer.units,
        card=unit_card,
        header=_header(site, frame, layer, rows, unit_card),
        row=row,
        concept_href=site.concept_href(frame, unit_card.concept.name),
        verdict=_verdict(site.wording, unit_card, bool(row.beats_chance)) if dissection.has_enough_images else TOO_FEW,
        wording=site.wording,
        size=f"{layer.height} × {layer.width}",
        held_out=dissection.provenance.held_out,
        samples=dissection.provenance.samples,
        groups=_examples(site, frame, layer, unit_card),
        veil=frame.to(places.veil(layer.name, unit)),
        veil_width=f"{100 * len(layer.examples.kind)}%",
        pairs=pairs,
        labels=tuple(_pair(site, frame, r) for r in rows.labels.get(unit, [])),
        chart_ranking=_ranking_chart(name, unit_card, pairs, site.wording.order),
        chart_histogram=_histogram_chart(name, layer, unit, row, unit_card),
        chart_curve=_curve_chart(name, layer, unit, traces, unit_card) if traces else Markup(""),
        curve=_curve_data(site, layer, unit, unit_card) if traces else None,
        curve_rows=_curve_rows(layer, unit) if traces else (),
        curve_concepts=tuple(concept for concept, _ in traces),
        curve_banded=layer.curves.low is not None,
        numbers=frame.to(places.data("histogram", "csv", layer.name)),
        companions=tuple(c for c in companions if not c.correlation < 0),
        opposites=tuple(c for c in companions if c.correlation < 0),
        citation=f"{name} ({unit_card.concept.label}), {frame.foot}",
        paint=_paint_address(site, frame, layer, unit),
        causes=unit_causes(site, frame, layer, unit, rows.effects.get(unit, [])),
        classes=unit_classes(site, frame, layer, unit),
        artifact=unit_artifact(site, frame, layer, unit),
        formula=UnitFormula.of(row),
        formulas_searched=was_searched(row),
        word=UnitWord.of(row),
        methods=frame.to(places.page("methods")),
        per_strip=strip_size(layer),
    )


def _paint_address(site: Site, frame: Frame, layer: Layer, unit: int) -> str:
    painting = site.dissection.painting
    if painting is None or painting.layer != layer.name:
        return ""
    return f"{frame.to(site.places.page('paint'))}#b=u{unit}"


def _frame(site: Site, layer: Layer, unit: int, title: str) -> Frame:
    """The surroundings of a unit's page, between those of the units before and after."""
    places = site.places
    description = f"The images and concepts that {layer.name} unit {unit} responds to."
    frame = site.frame(places.unit(layer.name, unit), title, description, site.assets.unit)
    home = Link(frame.to(places.page("index")), site.dissection.title)
    up = Link(frame.to(places.layer(layer.name)), layer.name)
    frame = replace(frame, crumbs=(home, up), up=replace(up, href=f"{up.href}#u={unit}"))
    return neighbours(frame, [(places.unit(layer.name, u), f"unit {u}") for u in range(layer.units)], unit)


def _header(site: Site, frame: Frame, layer: Layer, rows: LayerRows, unit_card: Card) -> UnitHeader:
    places, at = site.places, rows.order.index(unit_card.unit)

    def to(unit: int, words: str) -> Link:
        return Link(frame.to(places.unit(layer.name, unit)), words)

    alike = max(rows.correlated.get(unit_card.unit, []), key=lambda row: float(row.correlation), default=None)
    return UnitHeader(
        badges=_badges(unit_card, rows.effects.get(unit_card.unit, []), rows.strip_images),
        rank=at + 1,
        stronger=to(rows.order[at - 1], f"unit {rows.order[at - 1]}") if at else None,
        weaker=to(rows.order[at + 1], f"unit {rows.order[at + 1]}") if at + 1 < len(rows.order) else None,
        alike=None
        if alike is None or not alike.correlation > 0
        else to(int(alike.other_unit), f"unit {int(alike.other_unit)} (correlation {share(alike.correlation)})"),
    )


def _badges(unit_card: Card, effects: Sequence[Any], strip_images: int) -> tuple[str, ...]:
    """The remarks of a unit's header; `effects` are its rows in the table of causal effects.

    A unit was measured on many images, or on those of its strip, or not at all.
    """
    weak = ("weak match",) if unit_card.concept.name and not unit_card.interpretable else ()
    measured = any(not math.isnan(row.measured_effect) for row in effects)
    on_strip = f"effect measured in {strip_images} images" if strip_images else "effect estimated"
    effect = ("effect measured" if measured else on_strip,) if effects else ()
    return (*weak, *unit_card.flags, *effect)


def _companions(site: Site, frame: Frame, layer: Layer, rows: LayerRows, unit: int) -> tuple[Companion, ...]:
    return tuple(
        Companion(float(row.correlation), card(site, frame, layer, rows.table[int(row.other_unit)]))
        for row in rows.correlated.get(unit, [])
    )


def _verdict(words: Wording, unit_card: Card, beats_chance: bool) -> str:
    if unit_card.interpretable:
        return words.with_label(unit_card.concept.name, beats_chance)
    if unit_card.agreement.known:
        best = f"The best match is {unit_card.concept.name}, but this unit is not interpretable"
        return f"{best} ({words.unsure})"
    return words.nothing


def _pair(site: Site, frame: Frame, row: Any) -> PairRow:
    on_fraction, tested = float(getattr(row, "on_fraction", math.nan)), bool(getattr(row, "tested", True))
    href = site.concept_href(frame, str(row.concept))
    return PairRow(NamedConcept.of(row), href, Agreement.of(row), on_fraction, tested)


def _examples(site: Site, frame: Frame, layer: Layer, unit_card: Card) -> tuple[ExampleGroup, ...]:
    shown = layer.examples
    name, label = f"{layer.name} unit {unit_card.unit}", unit_card.concept.label
    groups = []
    for kind in dict.fromkeys(shown.kind.tolist()):
        columns = [i for i, k in enumerate(shown.kind.tolist()) if k == kind]
        examples = tuple(
            Example(
                sample=int(shown.samples[unit_card.unit, i]),
                picture=frame.to(site.places.picture(int(shown.samples[unit_card.unit, i]))),
                left=f"-{100 * i}%",
                peak=float(shown.peaks[unit_card.unit, i]),
                alt=f"{name}, {kind} image {n + 1} of {len(columns)}: {label}",
            )
            for n, i in enumerate(columns)
        )
        groups.append(ExampleGroup(kind, KINDS.get(kind, kind), examples))
    return tuple(groups)


def _ranking_chart(name: str, unit_card: Card, pairs: tuple[PairRow, ...], order: str) -> Markup:
    shown = [
        charts.Ranked(
            p.concept.name,
            p.concept.mark,
            p.agreement.iou,
            p.agreement.low,
            p.agreement.high,
            p.agreement.chance_level,
            p.concept == unit_card.concept,
            p.tested,
        )
        for p in pairs
    ]
    return charts.ranking(
        "chart-ranking",
        f"IoU of {name} with its best concepts",
        f"IoU with 95% interval; the tick across each bar is the chance level. Ordered by {order}.",
        shown,
    )


def _histogram_chart(name: str, layer: Layer, unit: int, row: Any, unit_card: Card) -> Markup:
    return charts.histogram(
        "chart-histogram",
        f"Activations of {name}",
        "Frequency of each activation, on a square-root scale: coloured above the threshold, faint in wide bins.",
        layer.histogram[unit],
        layer.edges[unit],
        float(row.threshold),
        unit_card.concept.mark,
    )


def _traces(layer: Layer, unit: int, vocabulary: pd.DataFrame) -> list[tuple[NamedConcept, charts.Trace]]:
    """IoU and chance level by threshold, for each concept of the unit's curve."""
    curves, known = layer.curves, rows_of(vocabulary)
    concepts = [(i, NamedConcept.of(known[c])) for i, c in enumerate(curves.concepts[unit].tolist()) if c > 0]
    return [
        (
            concept,
            charts.Trace(
                concept.name,
                concept.mark,
                tuple(curves.iou[unit, i].tolist()),
                tuple(curves.chance_level[unit, i].tolist()),
            ),
        )
        for i, concept in concepts
        if not np.isnan(curves.iou[unit, i]).all()
    ]


def _curve_chart(
    name: str, layer: Layer, unit: int, traces: list[tuple[NamedConcept, charts.Trace]], unit_card: Card
) -> Markup:
    return charts.curve(
        "chart-curve",
        f"IoU of {name} at every threshold",
        f"IoU with {traces[0][0].name} against the on-fraction, the share of pixels where the unit is on; dashed, the"
        " chance level. The vertical line is the unit's own threshold.",
        layer.curves.on_fractions[unit].tolist(),
        [trace for _, trace in traces],
        unit_card.on_fraction,
        *(band.tolist() for band in _band(layer, unit)),
    )


def _band(layer: Layer, unit: int) -> tuple[Any, Any]:
    """The interval of the first concept's IoU at every threshold; NaN where none was computed."""
    curves = layer.curves
    none = np.full(curves.thresholds.shape[1], math.nan)
    return (
        none if curves.low is None else curves.low[unit],
        none if curves.high is None else curves.high[unit],
    )


def _curve_rows(layer: Layer, unit: int) -> tuple[CurveRow, ...]:
    """Threshold, on-fraction, IoU, its interval, chance level and chance-corrected IoU, threshold by threshold."""
    curves = layer.curves
    iou, chance_level = curves.iou[unit, 0], curves.chance_level[unit, 0]
    corrected = chance_corrected_iou(iou, chance_level)
    columns = (curves.thresholds[unit], curves.on_fractions[unit], iou, *_band(layer, unit), chance_level, corrected)
    return tuple(zip(*(c.astype(float).tolist() for c in columns), strict=True))


def _curve_data(site: Site, layer: Layer, unit: int, unit_card: Card) -> Mapping[str, Any]:
    """What the slider needs: the curve, and small maps of all images shown to draw their masks anew."""
    curves = layer.curves
    on_fractions = curves.on_fractions[unit].tolist()
    scale = charts.tail_scale(on_fractions)
    own = (
        int(np.abs(np.log(np.maximum(on_fractions, 1e-9)) - math.log(max(unit_card.on_fraction, 1e-9))).argmin())
        if unit_card.on_fraction > 0
        else 0
    )
    kinds = layer.examples.kind.tolist()
    as_shown = [i for kind in dict.fromkeys(kinds) for i, k in enumerate(kinds) if k == kind]
    maps = layer.examples.maps[unit, as_shown].astype(np.float32)
    step = max(1, maps.shape[1] // 32)
    maps = maps[:, ::step, ::step]
    low, high = float(maps.min()), float(maps.max())
    codes = np.round((maps - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
    return {
        "own": own,
        "threshold": [float(f"{v:.6g}") for v in curves.thresholds[unit].tolist()],
        "on": [percent(v) for v in on_fractions],
        "iou": _short(curves.iou[unit, 0]),
        "chance_level": _short(curves.chance_level[unit, 0]),
        "corrected_iou": _short(chance_corrected_iou(curves.iou[unit, 0], curves.chance_level[unit, 0])),
        "low": _short(_band(layer, unit)[0]),
        "high": _short(_band(layer, unit)[1]),
        "x": [round(scale(t), 1) for t in on_fractions],
        "maps": base64.b64encode(codes.tobytes()).decode(),
        "shape": list(maps.shape),
        "edge": site.edge,
        "tile": site.tile,
        "least": round(low, 5),
        "most": round(high, 5),
    }


def _short(values: Any) -> list[float | None]:
    return [None if math.isnan(v) else round(v, 4) for v in values.tolist()]
