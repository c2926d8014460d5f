"""The page of a concept: what removes it, what adds it, what else changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from dissectreport.analysis.results.dissection import Layer
from dissectreport.analysis.results.interventions import Interventions
from dissectreport.report.causes.galleries import Insertion, Warm, With, heat_maps, insertions, with_and_without
from dissectreport.report.causes.image_files import heat_limit
from dissectreport.report.causes.summary import (
    Removal,
    Studied,
    downloads,
    falling,
    finding,
    layer_of,
    meaning,
    point_of,
    rows_for,
)
from dissectreport.report.common.model import Site, rows_of
from dissectreport.report.common.plotly_figures import Figure, effect_scatter, removal_plot
from dissectreport.report.common.unit_cards import Card, card, neighbours, strip_size
from dissectreport.report.html import effect_charts as causal_charts
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.charts import Point
from dissectreport.report.html.effect_charts import Amount, Dot, order_mark, order_words
from dissectreport.report.html.frame import Frame, Link
from dissectreport.report.html.numbers import gain

COMMON = 0.001
"""Share of all pixels that a concept must cover to stand in the chart of side effects."""


CARDS = 9
"""Cards of the causal set before the rest is folded."""


@dataclass(frozen=True)
class SetUnit:
    """A unit of the causal set."""

    place: int
    card: Card
    estimate: float
    exact: Point


@dataclass(frozen=True)
class EffectRow:
    """What one unit does to one concept."""

    unit: int
    href: str
    label: str
    rank: int
    estimate: float
    exact: Point


@dataclass(frozen=True)
class SideRow:
    """What happens to another concept."""

    concept: str
    category: str
    mark: str
    before: float
    after: float
    change: Point
    own: bool


@dataclass(frozen=True)
class GroundRow:
    """What switching units on adds where one concept stood."""

    ground: str
    mark: str
    insertions: int
    gain: Point
    random: Point


@dataclass(frozen=True)
class CausePage:
    """One concept: what removes it, what adds it, and what else changes."""

    frame: Frame
    model: str
    layer: str
    layer_href: str
    one: Studied
    finding: str
    lead: Removal | None
    samples: int
    choosing: int
    random_sets: int
    block: float
    rows: tuple[With, ...]
    off: int
    """Units that are off in the pictures."""
    chart_curves: Markup
    counts: tuple[int, ...]
    """The numbers of units of the curves, for the table."""
    curves: Figure
    orders: tuple[tuple[str, str, str], ...]
    """Words, sign and meaning of each order of the curves."""
    units: tuple[SetUnit, ...]
    cards: int
    per_strip: int
    effects: tuple[EffectRow, ...]
    chart_scatter: Markup | None
    scatter: Figure | None
    sides: tuple[SideRow, ...]
    side_units: int
    chart_sides: Markup | None
    common: float
    insertions: tuple[Insertion, ...]
    on: int
    """Units that are switched on in the pictures."""
    grounds: tuple[GroundRow, ...]
    chart_grounds: Markup | None
    insight: str
    heat: tuple[Warm, ...]
    limit: float
    downloads: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]


def cause_page(site: Site, found: Interventions, every: tuple[Studied, ...], at: int) -> CausePage:
    """The page of the concept at one place of `every`."""
    one, places = every[at], site.places
    layer = layer_of(site, found)
    title = f"{one.concept} · causes · {site.dissection.title}"
    words = f"Which units of {layer.name} draw {one.concept}, tested by turning them off and on."
    around = site.frame(places.concept(one.concept), title, words, site.assets.causes, current="causes")
    home = Link(around.to(places.page("index")), site.dissection.title)
    up = Link(around.to(places.page("causes")), "causes")
    around = replace(around, crumbs=(home, up), up=up)
    around = neighbours(around, [(places.concept(other.concept), other.concept) for other in every], at)
    pictures = found.pictures.get(one.concept)
    effects = _effects(site, found, around, layer, one.concept)
    sides = _sides(site, found, one.concept)
    grounds = _grounds(site, found, one.concept)
    side_units = [int(row.units) for row in rows_for(found.side, one.concept)]
    return CausePage(
        frame=around,
        model=site.dissection.title,
        layer=layer.name,
        layer_href=around.to(places.layer(layer.name)),
        one=one,
        finding=finding(one, layer),
        lead=one.leading,
        samples=found.samples,
        choosing=found.choosing,
        random_sets=found.random_sets,
        block=found.block,
        rows=() if pictures is None else with_and_without(site, around, one.concept, pictures.ablated),
        off=0 if pictures is None else len(pictures.ablated.units),
        chart_curves=_curves_chart(one),
        counts=tuple(sorted({n for curve in one.curves for n in curve.units})),
        curves=removal_plot(one.curves),
        orders=tuple((order_words(c.order), order_mark(c.order), meaning(c.order, found)) for c in one.curves),
        units=_causal_set(site, found, around, layer, one),
        cards=CARDS,
        per_strip=strip_size(layer),
        effects=effects,
        chart_scatter=_scatter_chart(one, effects),
        scatter=effect_scatter([Dot(e.unit, e.estimate, e.exact) for e in effects]) if _exact(effects) else None,
        sides=sides,
        side_units=max(side_units, default=0),
        chart_sides=_sides_chart(one, sides),
        common=COMMON,
        insertions=() if pictures is None else insertions(site, around, one.concept, pictures),
        on=0 if pictures is None else len(pictures.inserted.units),
        grounds=grounds,
        chart_grounds=_grounds_chart(one, grounds),
        insight=_insight(one, grounds),
        heat=() if pictures is None else heat_maps(site, around, one.concept, pictures),
        limit=0.0 if pictures is None else heat_limit(pictures.heat),
        downloads=downloads(site, around, layer),
        notes=found.notes,
    )


def _curves_chart(one: Studied) -> Markup:
    return causal_charts.removal_curves(
        "chart-curves",
        f"How much {one.concept} goes with how many units",
        "Share of the concept's area that goes, against the number of units that are off, by the order in which they"
        " were chosen, with 95 % bands; grey, random units. The table below has the numbers.",
        one.curves,
    )


def _causal_set(site: Site, found: Interventions, around: Frame, layer: Layer, one: Studied) -> tuple[SetUnit, ...]:
    """The units of the best order, as many as the leading figure turns off."""
    rows = [row for row in rows_for(found.orders, one.concept) if row.order == one.best]
    rows = sorted(rows, key=lambda row: int(row.place))[: one.leading.units if one.leading else 20]
    effects = {int(row.unit): row for row in rows_for(found.effects, one.concept)}
    table = rows_of(layer.table)
    made = []
    for row in rows:
        effect = effects.get(int(row.unit))
        made.append(
            SetUnit(
                int(row.place),
                card(site, around, layer, table[int(row.unit)]),
                math.nan if effect is None else float(effect.estimate),
                Point(math.nan, math.nan, math.nan) if effect is None else point_of(effect, "exact"),
            )
        )
    return tuple(made)


def _effects(site: Site, found: Interventions, around: Frame, layer: Layer, concept: str) -> tuple[EffectRow, ...]:
    labels = layer.table["concept"].tolist()
    return tuple(
        EffectRow(
            unit=int(row.unit),
            href=around.to(site.places.unit(layer.name, int(row.unit))),
            label=str(labels[int(row.unit)]),
            rank=int(row.rank),
            estimate=float(row.estimate),
            exact=point_of(row, "exact"),
        )
        for row in rows_for(found.effects, concept)
    )


def _exact(effects: Sequence[EffectRow]) -> list[EffectRow]:
    return [e for e in effects if not math.isnan(e.exact.value)]


def _scatter_chart(one: Studied, effects: Sequence[EffectRow]) -> Markup | None:
    both = _exact(effects)
    if not both:
        return None
    return causal_charts.scatter(
        "chart-scatter",
        f"Estimated and measured effect of single units on {one.concept}",
        "A disc a unit: share of the concept's area that ablating it removes, estimated to first order across,"
        " measured up, with 95 % intervals. On the dotted line both agree. The table below has the numbers.",
        [Dot(e.unit, e.estimate, e.exact) for e in both],
    )


def _category_marks(site: Site) -> Mapping[str, str]:
    rows = rows_of(site.dissection.vocabulary)
    return {str(row.concept): mark_of(str(row.category)) for row in reversed(rows) if row.category != "-"}


def _sides(site: Site, found: Interventions, concept: str) -> tuple[SideRow, ...]:
    """Every concept that occurs, the studied one first and then by falling change."""
    rows = [
        SideRow(
            concept=str(row.other),
            category=str(row.category),
            mark=mark_of(str(row.category)),
            before=float(row.before),
            after=float(row.after),
            change=point_of(row, "change"),
            own=str(row.other) == concept,
        )
        for row in rows_for(found.side, concept)
    ]
    return tuple(sorted(rows, key=lambda r: (not r.own, falling(abs(r.change.value)))))


def _sides_chart(one: Studied, sides: Sequence[SideRow], most: int = 12) -> Markup | None:
    shown = [s for s in sides if s.own or (s.before >= COMMON and not math.isnan(s.change.value))][: most + 1]
    if not shown:
        return None
    return causal_charts.bars(
        "chart-sides",
        f"What else changes when {one.concept} is removed",
        "Relative change of each concept's area, with 95 % intervals, largest first. The table below has the numbers.",
        [Amount(s.concept, s.change, mark=s.mark, lead=s.own) for s in shown],
        most=1.5,
    )


def _grounds(site: Site, found: Interventions, concept: str) -> tuple[GroundRow, ...]:
    marks = _category_marks(site)
    rows = [
        GroundRow(
            ground=str(row.ground) or "nothing",
            mark=marks.get(str(row.ground), "quiet"),
            insertions=int(row.insertions),
            gain=point_of(row, "gain"),
            random=point_of(row, "random_gain"),
        )
        for row in rows_for(found.context, concept)
    ]
    return tuple(sorted(rows, key=lambda r: falling(r.gain.value)))


def _grounds_chart(one: Studied, grounds: Sequence[GroundRow]) -> Markup | None:
    if not grounds:
        return None
    return causal_charts.bars(
        "chart-grounds",
        f"Pixels of {one.concept} gained by where its units are switched on",
        "Mean gain per insertion by the concept that stood there, with 95 % intervals; the tick is what random units"
        " gain. The table below has the numbers.",
        [Amount(g.ground, g.gain, g.random.value, g.mark, True) for g in grounds],
        told=gain,
    )


def _insight(one: Studied, grounds: Sequence[GroundRow]) -> str:
    """Where it works best and where it is refused, in a sentence."""
    if not grounds:
        return ""
    best, worst = grounds[0], grounds[-1]
    if best is worst or best.gain.low <= worst.gain.high:
        return f"Switched on at one place, its units change {one.concept} much the same whatever stood there."
    return (
        f"Switched on at one place, its units gain {gain(best.gain.value)} pixels of {one.concept}"
        f" where {best.ground} stood, and {gain(worst.gain.value)} where {worst.ground} stood."
    )
