"""The page of one unit: its images, its agreement with concepts and over thresholds, its companions."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from dissectreport.analysis.results.dissection import Layer
from dissectreport.analysis.results.interventions import Interventions
from dissectreport.report.artifacts.summary import UnitArtifact, unit_artifact
from dissectreport.report.causes.unit_effects import UnitCauses, unit_causes
from dissectreport.report.common.model import Site, rows_of
from dissectreport.report.common.unit_cards import Card, card, neighbours, strip_size
from dissectreport.report.common.wording import TOO_FEW, Wording
from dissectreport.report.html import charts
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.frame import Frame, Link
from dissectreport.report.html.numbers import Agreement, percent


@dataclass(frozen=True)
class Example:
    """One image of a unit, and where its veil lies in the unit's overlay."""

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
    """A concept that the unit agrees with."""

    concept: str
    category: str
    mark: str
    agreement: Agreement
    tail: float
    tested: bool


@dataclass(frozen=True)
class Companion:
    """A unit that fires at the same places, or at the opposite ones."""

    correlation: float
    card: Card


@dataclass(frozen=True)
class UnitPage:
    """Everything about one unit."""

    frame: Frame
    model: str
    layer: str
    card: Card
    row: Any
    verdict: str
    """What the unit does, in words."""
    wording: Wording
    size: str
    scoring: int
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
    curve_rows: tuple[tuple[float, float, float, float, float, float], ...]
    curve_concepts: tuple[tuple[str, str], ...]
    curve_banded: bool
    """Whether the IoU of the curve has an interval at every level; without one it is not printed."""
    numbers: str
    companions: tuple[Companion, ...]
    """Units that fire at the same places."""
    opposites: tuple[Companion, ...]
    """Units that fire where this one does not."""
    citation: str
    """What the unit is called from afar, without its address."""
    causes: UnitCauses | None
    artifact: UnitArtifact | None
    per_strip: int


KINDS = {
    "top": "Where it fires most",
    "middle": "From the middle",
    "random": "At random",
}


@dataclass(frozen=True)
class LayerRows:
    """A layer's tables by unit, so that a unit's page need not search them."""

    table: list[Any]
    pairs: Mapping[int, list[Any]]
    labels: Mapping[int, list[Any]]
    correlated: Mapping[int, list[Any]]
    effects: Mapping[int, list[Any]]

    @classmethod
    def of(cls, layer: Layer, units: range, found: Interventions | None = None) -> LayerRows:
        """The rows of some units, grouped, in the table of all; `found` is what the units of one layer cause."""
        return cls(
            list(layer.table.itertuples()),
            _by_unit(layer.pairs, units),
            _by_unit(layer.labels, units),
            _by_unit(layer.correlated, units),
            _by_unit(found.effects, units) if found is not None and found.layer == layer.name else {},
        )


def _by_unit(table: pd.DataFrame, units: range) -> Mapping[int, list[Any]]:
    groups: dict[int, list[Any]] = {}
    for row in rows_of(table[table["unit"].between(units.start, units.stop - 1)]):
        groups.setdefault(int(row.unit), []).append(row)
    return groups


def unit_page(site: Site, layer: Layer, rows: LayerRows, unit: int) -> UnitPage:
    """The page of one unit; `rows` are the layer's."""
    found, places = site.dissection, site.places
    row = rows.table[unit]
    name = f"{layer.name} unit {unit}"
    title = f"{row.concept or 'no label'} · {name} · {found.title}"
    around = site.frame(places.unit(layer.name, unit), title, f"What {name} responds to.", site.assets.unit)
    home = Link(around.to(places.page("index")), found.title)
    up = Link(f"{around.to(places.layer(layer.name))}#u={unit}", layer.name)
    around = replace(around, crumbs=(home, replace(up, href=around.to(places.layer(layer.name)))), up=up)
    around = neighbours(around, [(places.unit(layer.name, u), f"unit {u}") for u in range(layer.units)], unit)
    one = card(site, around, layer, row)
    pairs = tuple(_pair(r) for r in rows.pairs.get(unit, []))
    names = found.vocabulary["concept"].tolist()
    categories = found.vocabulary["category"].tolist()
    traces = _traces(layer, unit, names, categories)
    curve = _curve_data(site, layer, unit, one) if traces else None
    k = len(layer.examples.kind)
    companions = tuple(
        Companion(float(r.correlation), card(site, around, layer, rows.table[int(r.other)]))
        for r in rows.correlated.get(unit, [])
    )
    return UnitPage(
        frame=around,
        model=found.title,
        layer=layer.name,
        card=one,
        row=row,
        verdict=_verdict(site.wording, one, bool(row.beats_chance)) if found.tells else TOO_FEW,
        wording=site.wording,
        size=f"{layer.height} × {layer.width}",
        scoring=found.provenance.scoring,
        samples=found.provenance.samples,
        groups=_examples(site, around, layer, one),
        veil=around.to(places.veil(layer.name, unit)),
        veil_width=f"{100 * k}%",
        pairs=pairs,
        labels=tuple(_pair(r) for r in rows.labels.get(unit, [])),
        chart_ranking=_ranking_chart(name, one, pairs, site.wording.order),
        chart_histogram=charts.histogram(
            "chart-histogram",
            f"Activations of {name}",
            "How often each activation occurs, on a square-root scale; coloured above the level.",
            layer.histogram[unit],
            layer.edges[unit],
            float(row.level),
            one.mark,
        ),
        chart_curve=_curve_chart(name, layer, unit, traces, one) if traces else Markup(""),
        curve=curve,
        curve_rows=_curve_rows(layer, unit) if traces else (),
        curve_concepts=tuple((t.concept, t.mark) for t in traces),
        curve_banded=layer.curves.low is not None,
        numbers=around.to(places.data("histogram", "csv", layer.name)),
        companions=tuple(k for k in companions if not k.correlation < 0),
        opposites=tuple(k for k in companions if k.correlation < 0),
        citation=f"{name} ({one.words}), {around.foot}",
        causes=unit_causes(site, around, layer, unit, rows.effects.get(unit, [])),
        artifact=unit_artifact(site, around, layer, unit),
        per_strip=strip_size(layer),
    )


def _verdict(words: Wording, one: Card, beats_chance: bool) -> str:
    if one.interpretable:
        return words.with_label(one.concept, beats_chance)
    if one.agreement.known:
        return f"Nearest to {one.concept}, but the rule does not call it interpretable"
    return words.nothing


def _pair(row: Any) -> PairRow:
    tail = float(getattr(row, "tail", math.nan))
    return PairRow(
        str(row.concept),
        str(row.category),
        mark_of(str(row.category)),
        Agreement.of(row),
        tail,
        bool(getattr(row, "tested", True)),
    )


def _examples(site: Site, around: Frame, layer: Layer, one: Card) -> tuple[ExampleGroup, ...]:
    shown = layer.examples
    groups = []
    for kind in dict.fromkeys(shown.kind.tolist()):
        columns = [i for i, k in enumerate(shown.kind.tolist()) if k == kind]
        examples = tuple(
            Example(
                sample=int(shown.samples[one.unit, i]),
                picture=around.to(site.places.picture(int(shown.samples[one.unit, i]))),
                left=f"-{100 * i}%",
                peak=float(shown.peaks[one.unit, i]),
                alt=f"{layer.name} unit {one.unit}, {kind} image {n + 1} of {len(columns)}: {one.words}",
            )
            for n, i in enumerate(columns)
        )
        groups.append(ExampleGroup(kind, KINDS.get(kind, kind), examples))
    return tuple(groups)


def _ranking_chart(name: str, one: Card, pairs: tuple[PairRow, ...], order: str) -> Markup:
    shown = [
        charts.Ranked(
            p.concept,
            p.mark,
            p.agreement.iou,
            p.agreement.low,
            p.agreement.high,
            p.agreement.null,
            p.concept == one.concept,
            p.tested,
        )
        for p in pairs
    ]
    return charts.ranking(
        "chart-ranking",
        f"Agreement of {name} with its leading concepts",
        f"IoU with 95 % interval; the tick across each bar is what chance gives. Ordered by {order}.",
        shown,
    )


def _traces(layer: Layer, unit: int, names: list[str], categories: list[str]) -> list[charts.Trace]:
    curves = layer.curves
    return [
        charts.Trace(
            names[c],
            mark_of(categories[c]),
            tuple(curves.iou[unit, i].tolist()),
            tuple(curves.null[unit, i].tolist()),
        )
        for i, c in enumerate(curves.concepts[unit].tolist())
        if c > 0 and not np.isnan(curves.iou[unit, i]).all()
    ]


def _curve_chart(name: str, layer: Layer, unit: int, traces: list[charts.Trace], one: Card) -> Markup:
    return charts.curve(
        "chart-curve",
        f"Agreement of {name} at every threshold",
        f"IoU with {traces[0].concept} against the share of pixels that are on; dashed, what chance gives."
        " The upright line is the unit's own level.",
        layer.curves.tails[unit].tolist(),
        traces,
        one.tail,
        *(band.tolist() for band in _band(layer, unit)),
    )


def _band(layer: Layer, unit: int) -> tuple[Any, Any]:
    """The interval of the first concept's IoU at every level; NaN where none was computed."""
    curves = layer.curves
    none = np.full(curves.levels.shape[1], math.nan)
    return (
        none if curves.low is None else curves.low[unit],
        none if curves.high is None else curves.high[unit],
    )


def _curve_rows(layer: Layer, unit: int) -> tuple[tuple[float, float, float, float, float, float], ...]:
    """Level, share of pixels, IoU, its interval and the null, level by level."""
    curves = layer.curves
    iou, null = curves.iou[unit, 0], curves.null[unit, 0]
    columns = (curves.levels[unit], curves.tails[unit], iou, *_band(layer, unit), null)
    return tuple(zip(*(c.astype(float).tolist() for c in columns), strict=True))


def _curve_data(site: Site, layer: Layer, unit: int, one: Card) -> Mapping[str, Any]:
    """What the slider needs: the curve, and small maps of all images shown to draw their masks anew."""
    curves = layer.curves
    tails = curves.tails[unit].tolist()
    scale = charts.tail_scale(tails)
    own = int(np.abs(np.log(np.maximum(tails, 1e-9)) - math.log(max(one.tail, 1e-9))).argmin()) if one.tail > 0 else 0
    kinds = layer.examples.kind.tolist()
    as_shown = [i for kind in dict.fromkeys(kinds) for i, k in enumerate(kinds) if k == kind]
    maps = layer.examples.maps[unit, as_shown].astype(np.float32)
    step = max(1, maps.shape[1] // 32)
    maps = maps[:, ::step, ::step]
    low, high = float(maps.min()), float(maps.max())
    codes = np.round((maps - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
    return {
        "own": own,
        "level": [float(f"{v:.6g}") for v in curves.levels[unit].tolist()],
        "on": [percent(v) for v in tails],
        "iou": _short(curves.iou[unit, 0]),
        "null": _short(curves.null[unit, 0]),
        "low": _short(_band(layer, unit)[0]),
        "high": _short(_band(layer, unit)[1]),
        "x": [round(scale(t), 1) for t in tails],
        "maps": base64.b64encode(codes.tobytes()).decode(),
        "shape": list(maps.shape),
        "edge": site.edge,
        "tile": site.tile,
        "least": round(low, 5),
        "most": round(high, 5),
    }


def _short(values: Any) -> list[float | None]:
    return [None if math.isnan(v) else round(v, 4) for v in values.tolist()]
