"""What units cause: an overview of the concepts that were studied, and a page for each of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from dissectreport.analysis.dissection import Layer
from dissectreport.analysis.interventions import COLUMNS, ORDERS, Ablated, ConceptPictures, Interventions
from dissectreport.report import causal_charts, images
from dissectreport.report.causal_charts import RANDOM, Amount, Curve, Dot, order_mark, order_words
from dissectreport.report.causal_images import concept_number, heat_limit
from dissectreport.report.charts import Point
from dissectreport.report.figures import gain, removed
from dissectreport.report.frame import Frame, Link
from dissectreport.report.layer_pages import Card, card, neighbours, strip_size
from dissectreport.report.marks import mark_of
from dissectreport.report.model import Pairs, Site, flat, rows_of
from dissectreport.report.plots import Figure, effect_scatter, removal_plot

ENOUGH = 0.6
"""The share of a concept's area whose removal the overview counts as a success."""
COMMON = 0.001
"""Share of all pixels that a concept must cover to stand in the chart of side effects."""
CARDS = 9
"""Cards of the causal set before the rest is folded."""


@dataclass(frozen=True)
class Removal:
    """What goes when the first units of an order are turned off together, beside as many random units."""

    order: str
    words: str
    mark: str
    units: int
    removed: Point
    random: Point
    beyond: Point
    best: bool

    @property
    def enough(self) -> bool:
        """Whether most of the concept goes, and surely more than with random units."""
        return self.removed.value >= ENOUGH and self.beyond.low > 0

    @property
    def beats(self) -> bool:
        """Whether surely more goes than with random units."""
        return self.beyond.low > 0


def _point(row: Any, name: str) -> Point:
    return Point(*(float(getattr(row, f"{name}{end}")) for end in ("", "_low", "_high")))


@dataclass(frozen=True)
class Studied:
    """One concept, by all that the tables say of it."""

    concept: str
    category: str
    mark: str
    area: float
    images: int
    best: str
    removals: tuple[Removal, ...]
    curves: tuple[Curve, ...]
    """One an order, best first, and the random sets last."""
    spearman: Point
    reliability: float
    single: int
    """Units that were turned off one by one."""

    @property
    def of_best(self) -> tuple[Removal, ...]:
        """The removals of the best order, by rising number of units."""
        return tuple(r for r in self.removals if r.best)

    @property
    def leading(self) -> Removal | None:
        """What the best order removes with the most units."""
        return self.of_best[-1] if self.of_best else None

    @property
    def fewest(self) -> Removal | None:
        """What the best order removes with the fewest units of the table."""
        return self.of_best[0] if len(self.of_best) > 1 else None


def studied(found: Interventions) -> tuple[Studied, ...]:
    """Every concept that was studied, commonest first."""
    return tuple(_studied(found, row) for row in rows_of(found.concepts))


def _of(table: pd.DataFrame, concept: str) -> list[Any]:
    return rows_of(table[table["concept"] == concept])


def _studied(found: Interventions, row: Any) -> Studied:
    concept, best = str(row.concept), str(row.best)
    agreement = next(iter(_of(found.agreement, concept)), None)
    nothing = Point(math.nan, math.nan, math.nan)
    return Studied(
        concept=concept,
        category=str(row.category),
        mark=mark_of(str(row.category)),
        area=float(row.area),
        images=int(row.images),
        best=best,
        removals=_removals(found, concept, best),
        curves=_curves(found, concept, best),
        spearman=nothing if agreement is None else _point(agreement, "spearman"),
        reliability=math.nan if agreement is None else float(agreement.reliability),
        single=0 if agreement is None else int(agreement.units),
    )


def _first(best: str, orders: Sequence[str]) -> list[str]:
    """The best order, the others as the methods list them, and random sets last."""
    listed = [best, *ORDERS, *orders, RANDOM]
    return [order for order in dict.fromkeys(o for o in listed if o != RANDOM) if order in orders] + [RANDOM]


def _removals(found: Interventions, concept: str, best: str) -> tuple[Removal, ...]:
    rows = [row for row in _of(found.removal, concept) if row.order != RANDOM]
    rank = {order: i for i, order in enumerate(_first(best, [str(row.order) for row in rows]))}
    made = [
        Removal(
            order=str(row.order),
            words=order_words(str(row.order)),
            mark=order_mark(str(row.order)),
            units=int(row.units),
            removed=_point(row, "removed"),
            random=_point(row, "random"),
            beyond=_point(row, "beyond"),
            best=str(row.order) == best,
        )
        for row in rows
    ]
    return tuple(sorted(made, key=lambda r: (rank[r.order], r.units)))


def _curves(found: Interventions, concept: str, best: str) -> tuple[Curve, ...]:
    rows: dict[str, list[Any]] = {}
    for row in _of(found.curves, concept):
        rows.setdefault(str(row.order), []).append(row)
    made = []
    for order in _first(best, list(rows)):
        ordered = sorted(rows.get(order, []), key=lambda row: int(row.units))
        if ordered:
            units = tuple(int(row.units) for row in ordered)
            made.append(Curve(order, units, tuple(_point(row, "removed") for row in ordered)))
    return tuple(made)


def told(point: Point) -> str:
    """A removal with its interval."""
    return f"{removed(point.value)} [{removed(point.low)}, {removed(point.high)}]"


def finding(one: Studied, layer: Layer) -> str:
    """What was found of a concept, in a sentence."""
    lead = one.leading
    if lead is None:
        return f"Nothing was measured of what removes {one.concept}."
    of = f"{lead.units} of the {layer.units} units of {layer.name}"
    rivals = f"{lead.units} random units of the same mean activation {_does(lead.random)}"
    joined = "; " if lead.beats else ". That is not surely more than by chance: "
    return f"Turning off {of} removes {told(lead.removed)} of all {one.concept} pixels{joined}{rivals}."


def _does(point: Point) -> str:
    """What units do to a concept: they remove some, or let it grow."""
    if point.value < 0:
        return f"let it grow by {removed(-point.value)} [{removed(-point.high)}, {removed(-point.low)}]"
    return f"remove {told(point)}"


@dataclass(frozen=True)
class Shade:
    """A concept's colour in what the segmenter sees, and its share of an image before and after."""

    concept: str
    colour: str
    before: float
    after: float


@dataclass(frozen=True)
class With:
    """One image with and without units."""

    sample: int
    before: str
    after: str
    difference: str
    seen: str
    unseen: str
    area_before: float
    area_after: float
    shades: tuple[Shade, ...]


@dataclass(frozen=True)
class Insertion:
    """One image with and without units switched on at one place."""

    sample: int
    before: str
    after: str
    box: str
    """Where the place lies, as style."""
    ground: str
    gain: int


@dataclass(frozen=True)
class Warm:
    """One image, and where switching units on would work in it."""

    sample: int
    picture: str
    overlay: str


def area_of(labels: np.ndarray[Any, Any], number: int) -> float:
    """Share of an image's pixels that show a concept: (slots, h, w) concept numbers."""
    return float((labels == number).any(0).mean())


def _with(site: Site, around: Frame, concept: str, ablated: Ablated) -> tuple[With, ...]:
    places, number = site.places, concept_number(site, concept)
    colours = images.concept_colours(len(site.dissection.vocabulary))
    rows = []
    for i, sample in enumerate(ablated.samples.tolist()):
        seen, unseen = ablated.seen_before[i], ablated.seen_after[i]
        off, difference, shown, gone = (
            around.to(places.changed(concept, i, kind)) for kind in ("off", "difference", "seen", "unseen")
        )
        rows.append(
            With(
                sample=int(sample),
                before=around.to(places.original(int(sample))),
                after=off,
                difference=difference,
                seen=shown,
                unseen=gone,
                area_before=area_of(seen, number),
                area_after=area_of(unseen, number),
                shades=_shades(site, number, seen, unseen, colours),
            )
        )
    return tuple(rows)


def _shades(
    site: Site,
    number: int,
    seen: np.ndarray[Any, Any],
    unseen: np.ndarray[Any, Any],
    colours: images.Bytes,
    most: int = 6,
) -> tuple[Shade, ...]:
    """The concept and the most others that cover an image, before or after, in the colours of the picture."""
    names = site.dissection.vocabulary["concept"].tolist()
    before, after = (
        np.bincount(images.leading_labels(labels, number).reshape(-1), minlength=len(names)) / labels[0].size
        for labels in (seen, unseen)
    )
    covered = np.maximum(before, after)
    covered[0] = 0.0
    order = [i for i in np.argsort(-covered, kind="stable").tolist() if covered[i] > 0.005 and i != number]
    chosen = ([number] if number else []) + order[: most - 1]
    return tuple(Shade(names[i], "#" + bytes(colours[i]).hex(), float(before[i]), float(after[i])) for i in chosen)


def _insertions(site: Site, around: Frame, concept: str, pictures: ConceptPictures) -> tuple[Insertion, ...]:
    made = pictures.inserted
    rows = []
    for i, sample in enumerate(made.samples.tolist()):
        top, left, height, width = (100 * float(v) for v in made.places[i])
        rows.append(
            Insertion(
                sample=int(sample),
                before=around.to(site.places.original(int(sample))),
                after=around.to(site.places.changed(concept, i, "on")),
                box=f"top:{top:.2f}%;left:{left:.2f}%;height:{height:.2f}%;width:{width:.2f}%",
                ground=str(made.grounds[i]) or "nothing",
                gain=int(made.gains[i]),
            )
        )
    return tuple(rows)


def _heat(site: Site, around: Frame, concept: str, pictures: ConceptPictures) -> tuple[Warm, ...]:
    return tuple(
        Warm(
            int(sample),
            around.to(site.places.original(int(sample))),
            around.to(site.places.changed(concept, i, "heat", "png")),
        )
        for i, sample in enumerate(pictures.heat.samples.tolist())
    )


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
    title = f"{one.concept} · causes · {site.dissection.model}"
    words = f"Which units of {layer.name} draw {one.concept}, tested by turning them off and on."
    around = site.frame(places.concept(one.concept), title, words, site.assets.causes, current="causes")
    home = Link(around.to(places.page("index")), site.dissection.model)
    up = Link(around.to(places.page("causes")), "causes")
    around = replace(around, crumbs=(home, up), up=up)
    around = neighbours(around, [(places.concept(other.concept), other.concept) for other in every], at)
    pictures = found.pictures.get(one.concept)
    effects = _effects(site, found, around, layer, one.concept)
    sides = _sides(site, found, one.concept)
    grounds = _grounds(site, found, one.concept)
    side_units = [int(row.units) for row in _of(found.side, one.concept)]
    return CausePage(
        frame=around,
        model=site.dissection.model,
        layer=layer.name,
        layer_href=around.to(places.layer(layer.name)),
        one=one,
        finding=finding(one, layer),
        lead=one.leading,
        samples=found.samples,
        choosing=found.choosing,
        random_sets=found.random_sets,
        block=found.block,
        rows=() if pictures is None else _with(site, around, one.concept, pictures.ablated),
        off=0 if pictures is None else len(pictures.ablated.units),
        chart_curves=_curves_chart(one),
        counts=tuple(sorted({n for curve in one.curves for n in curve.units})),
        curves=removal_plot(one.curves),
        orders=tuple((order_words(c.order), order_mark(c.order), _meaning(c.order, found)) for c in one.curves),
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
        insertions=() if pictures is None else _insertions(site, around, one.concept, pictures),
        on=0 if pictures is None else len(pictures.inserted.units),
        grounds=grounds,
        chart_grounds=_grounds_chart(one, grounds),
        insight=_insight(one, grounds),
        heat=() if pictures is None else _heat(site, around, one.concept, pictures),
        limit=0.0 if pictures is None else heat_limit(pictures.heat),
        downloads=_downloads(site, around, layer),
        notes=found.notes,
    )


def layer_of(site: Site, found: Interventions) -> Layer:
    """The layer whose units were turned off and on."""
    return next(layer for layer in site.dissection.layers if layer.name == found.layer)


def _meaning(order: str, found: Interventions) -> str:
    if order == RANDOM:
        return f"{found.random_sets} sets of units of the same mean activation; band: least and most"
    return ORDERS.get(order, "")


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
    rows = [row for row in _of(found.orders, one.concept) if row.order == one.best]
    rows = sorted(rows, key=lambda row: int(row.place))[: one.leading.units if one.leading else 20]
    effects = {int(row.unit): row for row in _of(found.effects, one.concept)}
    table = rows_of(layer.table)
    made = []
    for row in rows:
        effect = effects.get(int(row.unit))
        made.append(
            SetUnit(
                int(row.place),
                card(site, around, layer, table[int(row.unit)]),
                math.nan if effect is None else float(effect.estimate),
                Point(math.nan, math.nan, math.nan) if effect is None else _point(effect, "exact"),
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
            exact=_point(row, "exact"),
        )
        for row in _of(found.effects, concept)
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
            change=_point(row, "change"),
            own=str(row.other) == concept,
        )
        for row in _of(found.side, concept)
    ]
    return tuple(sorted(rows, key=lambda r: (not r.own, _falling(abs(r.change.value)))))


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
            gain=_point(row, "gain"),
            random=_point(row, "random_gain"),
        )
        for row in _of(found.context, concept)
    ]
    return tuple(sorted(rows, key=lambda r: _falling(r.gain.value)))


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


TABLES = ("concepts", "effects", "agreement", "orders", "curves", "removal", "side", "context")
"""The tables of interventions that can be downloaded."""


def causal_tables(found: Interventions) -> dict[str, pd.DataFrame]:
    """Every table of interventions, by the name of its download."""
    return {f"causes-{name}": getattr(found, name).reset_index(drop=True) for name in TABLES}


def _downloads(site: Site, around: Frame, layer: Layer) -> tuple[tuple[str, str, str], ...]:
    def place(name: str, kind: str) -> str:
        return around.to(site.places.data(f"causes-{name}", kind, layer.name))

    return tuple((name, place(name, "csv"), place(name, "json")) for name in TABLES)


@dataclass(frozen=True)
class StudiedRow:
    """A concept on the overview."""

    one: Studied
    href: str
    before: str
    after: str
    sample: int
    chart: Markup


@dataclass(frozen=True)
class CausesPage:
    """All concepts that were studied."""

    frame: Frame
    model: str
    layer: str
    layer_href: str
    units: int
    answer: str
    rows: tuple[StudiedRow, ...]
    counts: tuple[int, ...]
    """The numbers of units whose removal is tabled."""
    orders: tuple[tuple[str, str, str], ...]
    samples: int
    choosing: int
    random_sets: int
    settings: Pairs
    downloads: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]


def causes_page(site: Site, found: Interventions, every: tuple[Studied, ...]) -> CausesPage:
    """Which concepts have units that cause them."""
    layer = layer_of(site, found)
    around = site.frame(
        site.places.page("causes"),
        f"What units cause · {site.dissection.model}",
        f"What turning units of {layer.name} off and on does.",
        current="causes",
    )
    counts = tuple(sorted({r.units for one in every for r in one.removals}))
    orders = [c.order for one in every for c in one.curves]
    high = max([p.high for one in every for c in one.curves for p in c.points if not math.isnan(p.high)] + [0.2])
    return CausesPage(
        frame=around,
        model=site.dissection.model,
        layer=layer.name,
        layer_href=around.to(site.places.layer(layer.name)),
        units=layer.units,
        answer=answer(every, layer),
        rows=tuple(_studied_row(site, found, around, one, i, high) for i, one in enumerate(every)),
        counts=counts,
        orders=tuple((order_words(o), order_mark(o), _meaning(o, found)) for o in _listed(orders)),
        samples=found.samples,
        choosing=found.choosing,
        random_sets=found.random_sets,
        settings=flat(found.settings),
        downloads=_downloads(site, around, layer),
        notes=found.notes,
    )


def _listed(orders: Sequence[str]) -> list[str]:
    return [o for o in dict.fromkeys([*ORDERS, *orders]) if o in orders and o != RANDOM] + [RANDOM] * (RANDOM in orders)


def answer(every: Sequence[Studied], layer: Layer) -> str:
    """For how many concepts the best units remove most of the area, in a sentence."""
    leads = [one.leading for one in every if one.leading is not None]
    if not leads:
        return "Nothing was measured of what removes concepts."
    most = max(lead.units for lead in leads)
    good = [lead for lead in leads if lead.enough]
    few = [one.fewest for one in every if one.fewest is not None]
    off = f"turning off the best {most} of {layer.units} units"
    if not good:
        one, lead = max(
            ((one, one.leading) for one in every if one.leading is not None), key=lambda pair: pair[1].removed.value
        )
        return (
            f"For none of {len(every)} concepts does {off} remove {removed(ENOUGH)} of the concept's area, and surely"
            f" more than random units do. Most goes of {one.concept}: {told(lead.removed)}."
        )
    sentence = (
        f"For {len(good)} of {len(every)} concepts, {off} removes at least {removed(ENOUGH)} of the concept's area, and"
        " surely more than random units of the same mean activation do."
    )
    if few:
        enough = sum(f.enough for f in few)
        sentence += f" For {enough if enough else 'none of them'}, {few[0].units} units are enough."
    return sentence


def _studied_row(site: Site, found: Interventions, around: Frame, one: Studied, at: int, high: float) -> StudiedRow:
    shown = [curve for curve in one.curves if curve.order in (one.best, RANDOM)]
    chart = causal_charts.small_curves(
        f"curve-{at}",
        f"Removal of {one.concept} over units that are off",
        f"The best order, {order_words(one.best)}, with its 95 % band, and random units in grey.",
        shown,
        high,
    )
    pair = strongest_pair(site, found, around, one)
    return StudiedRow(one, around.to(site.places.concept(one.concept)), *pair, chart)


def strongest_pair(site: Site, found: Interventions, around: Frame, one: Studied) -> tuple[str, str, int]:
    """The image of a concept that loses most of it: before, after, and its number; ('', '', 0) without images."""
    pictures, number = found.pictures.get(one.concept), concept_number(site, one.concept)
    if pictures is None or not len(pictures.ablated.samples):
        return "", "", 0
    made = pictures.ablated
    lost = [area_of(b, number) - area_of(a, number) for b, a in zip(made.seen_before, made.seen_after, strict=True)]
    i = int(np.argmax(lost))
    sample = int(made.samples[i])
    off = around.to(site.places.changed(one.concept, i, "off"))
    return around.to(site.places.original(sample)), off, sample


@dataclass(frozen=True)
class Teaser:
    """What the model's first page tells of interventions."""

    answer: str
    href: str
    concept: str
    concept_href: str
    sentence: str
    before: str
    after: str
    sample: int
    units: int


def teaser(site: Site, around: Frame) -> Teaser | None:
    """The concept of which most goes, beyond what random units remove; None where nothing was measured."""
    found = site.dissection.interventions
    if found is None:
        return None
    every = studied(found)
    leads = [(one, one.leading) for one in every if one.leading is not None and one.concept in found.pictures]
    if not leads:
        return None
    one, lead = max(leads, key=lambda pair: -9.0 if math.isnan(pair[1].beyond.value) else pair[1].beyond.value)
    layer = layer_of(site, found)
    return Teaser(
        answer(every, layer),
        around.to(site.places.page("causes")),
        one.concept,
        around.to(site.places.concept(one.concept)),
        finding(one, layer),
        *strongest_pair(site, found, around, one),
        lead.units,
    )


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
            exact=_point(row, "exact"),
        )
        for row in rows
        if str(row.concept) in site.places.concepts
    ]
    exact = any(not math.isnan(c.exact.value) for c in causes)
    causes.sort(key=lambda c: (_falling(c.exact.value if exact else c.estimate), c.concept))
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


def _falling(value: float) -> float:
    """A key that sorts large numbers first, and no number last."""
    return math.inf if math.isnan(value) else -value


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


@dataclass(frozen=True)
class CausalMethods:
    """How interventions were measured, for the page of methods."""

    layer: str
    href: str
    samples: int
    choosing: int
    random_sets: int
    block: float
    concepts: int
    orders: tuple[tuple[str, str, str], ...]
    learned: bool
    """Whether the order alpha is among them."""
    settings: Pairs
    columns: Mapping[str, str]


def causal_methods(site: Site, around: Frame) -> CausalMethods | None:
    """How interventions were measured; None where they were not."""
    found = site.dissection.interventions
    if found is None:
        return None
    listed = _listed([str(order) for order in found.curves["order"]])
    return CausalMethods(
        found.layer,
        around.to(site.places.page("causes")),
        found.samples,
        found.choosing,
        found.random_sets,
        found.block,
        len(found.concepts),
        tuple((order_words(o), order_mark(o), _meaning(o, found)) for o in listed),
        "alpha" in listed,
        flat(found.settings),
        dictionary(site, found),
    )


def dictionary(site: Site, found: Interventions) -> Mapping[str, str]:
    """What every column of the tables of interventions means, in the order in which they first appear."""
    known = {**site.wording.dictionary(), **COLUMNS}
    names = dict.fromkeys(str(name) for table in causal_tables(found).values() for name in table.columns)
    return {name: known.get(name, "") for name in names}
