"""The causal effects on a concept, for its page: which units remove it, which add it, and what else they change."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dissectreport.analysis.results.dissection import Layer
from dissectreport.analysis.results.interventions import Interventions
from dissectreport.report.causes.galleries import (
    AblatedImage,
    HeatMap,
    Insertion,
    heat_maps,
    insertions,
    most_changed,
    with_and_without,
)
from dissectreport.report.causes.image_files import heat_limit
from dissectreport.report.causes.summary import (
    Removal,
    Studied,
    downloads,
    edits_sentence,
    falling,
    finding,
    layer_of,
    match,
    meaning,
    point_of,
    rows_for,
)
from dissectreport.report.common.model import Site, rows_of
from dissectreport.report.common.plotly_figures import Figure, effect_scatter
from dissectreport.report.common.unit_cards import Card, card, strip_size
from dissectreport.report.html.charts import Point
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.effect_charts import (
    Amount,
    Dot,
    bars,
    ranking_mark,
    ranking_words,
    removal_curves,
    scatter,
)
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.numbers import gain

COMMON = 0.001
"""Share of all pixels that a concept must cover to be in the chart of side effects."""
CARDS = 9
"""Cards of causal units before the rest is folded."""
SIGNIFICANT = 0.05
"""Gains differ between contexts if their p-value is smaller."""
UNKNOWN = Point(math.nan, math.nan, math.nan)
NOTHING = NamedConcept("nothing", "")
"""The context of a patch where the segmenter sees no concept."""


@dataclass(frozen=True)
class CausalUnit:
    """One of the units with the largest effect on the concept."""

    rank: int
    card: Card
    estimate: float
    measured_effect: Point
    alone: Point
    """The effect of ablating it alone in the images of its strip; unknown where these show another concept."""


@dataclass(frozen=True)
class EffectRow:
    """The effect of one unit on one concept."""

    unit: int
    href: str
    label: str
    rank: int
    estimate: float
    measured_effect: Point


@dataclass(frozen=True)
class SideRow:
    """The change of another concept."""

    concept: NamedConcept
    before: float
    after: float
    change: Point
    own: bool


@dataclass(frozen=True)
class ContextRow:
    """The gain of inserting units where one concept was."""

    context: NamedConcept
    insertions: int
    gain: Point
    random_insertions: int
    random: Point


@dataclass(frozen=True)
class ConceptCauses:
    """The causal effects on a concept: which units remove it, which add it, and what else they change."""

    layer: str
    layer_href: str
    one: Studied
    finding: str
    lead: Removal | None
    edits: str
    """What other edits of the units do, in words."""
    match: str
    """How alike random sets are to the units that they are compared with."""
    samples: int
    selection: int
    random_sets: int
    block: float
    rows: tuple[AblatedImage, ...]
    opens: int
    """The image that loses most of the concept: the first to be compared."""
    off: int
    """Units that are ablated in the pictures."""
    chart_curves: Markup
    counts: tuple[int, ...]
    """The numbers of units of the curves, for the table."""
    rankings: tuple[tuple[str, str, str], ...]
    """Name, sign and meaning of each ranking method of the curves."""
    units: tuple[CausalUnit, ...]
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
    """Units that are inserted in the pictures."""
    contexts: tuple[ContextRow, ...]
    chart_contexts: Markup | None
    insight: str
    heat: tuple[HeatMap, ...]
    limit: float
    downloads: tuple[tuple[str, str, str], ...]
    strip_images: int
    """Images in which every unit was ablated alone; 0 where that was not done."""
    notes: tuple[str, ...]


def concept_causes(site: Site, interventions: Interventions, frame: Frame, one: Studied) -> ConceptCauses:
    """What was measured of one studied concept, for the page of `frame`."""
    name = one.concept.name
    layer = layer_of(site, interventions)
    pictures = interventions.pictures.get(name)
    effects = _effects(site, interventions, frame, layer, name)
    dots = _dots(effects)
    sides = _sides(interventions, name)
    contexts = _contexts(site, interventions, name)
    rows = () if pictures is None else with_and_without(site, frame, name, pictures.ablated)
    return ConceptCauses(
        layer=layer.name,
        layer_href=frame.to(site.places.layer(layer.name)),
        one=one,
        finding=finding(one, layer),
        lead=one.leading,
        edits=edits_sentence(one.edits, name),
        match=match(one.leading),
        samples=interventions.samples,
        selection=interventions.selection,
        random_sets=interventions.random_sets,
        block=interventions.block,
        rows=rows,
        opens=most_changed(rows),
        off=0 if pictures is None else len(pictures.ablated.units),
        chart_curves=_curves_chart(one),
        counts=tuple(sorted({n for curve in one.curves for n in curve.units})),
        rankings=tuple(
            (ranking_words(c.ranking), ranking_mark(c.ranking), meaning(c.ranking, interventions)) for c in one.curves
        ),
        units=_causal_units(site, interventions, frame, layer, one),
        cards=CARDS,
        per_strip=strip_size(layer),
        effects=effects,
        chart_scatter=_scatter_chart(name, dots),
        scatter=effect_scatter(dots) if dots else None,
        sides=sides,
        side_units=max((int(row.units) for row in rows_for(interventions.side_effects, name)), default=0),
        chart_sides=_sides_chart(name, sides),
        common=COMMON,
        insertions=() if pictures is None else insertions(site, frame, name, pictures),
        on=0 if pictures is None else len(pictures.inserted.units),
        contexts=contexts,
        chart_contexts=_contexts_chart(name, contexts),
        insight=_insight(one, contexts),
        heat=() if pictures is None else heat_maps(site, frame, name, pictures),
        limit=0.0 if pictures is None else heat_limit(pictures.heat),
        downloads=downloads(site, frame, layer),
        strip_images=max((len(strip.samples) for strip in interventions.strips.values()), default=0),
        notes=_notes_about(one.concept.name, interventions),
    )


def _notes_about(concept: str, interventions: Interventions) -> tuple[str, ...]:
    """The notes that name the concept, or no studied concept at all."""
    studied = interventions.concepts["concept"].tolist()
    named = [
        (note, {name for name in studied if re.search(rf"\b{re.escape(name)}\b", note)}) for note in interventions.notes
    ]
    return tuple(note for note, names in named if not names or concept in names)


def _curves_chart(studied: Studied) -> Markup:
    return removal_curves(
        "chart-curves",
        f"Removal of {studied.concept.name} by number of ablated units",
        "Share of the concept's area that is removed, against the number of ablated units, for each ranking method,"
        " with 95% bands; random units in grey. The table below has the numbers.",
        studied.curves,
    )


def _causal_units(
    site: Site, interventions: Interventions, frame: Frame, layer: Layer, studied: Studied
) -> tuple[CausalUnit, ...]:
    """The units of the best ranking, as many as the leading figure ablates."""
    rows = [row for row in rows_for(interventions.rankings, studied.concept.name) if row.ranking == studied.best]
    rows = sorted(rows, key=lambda row: int(row.rank))[: studied.leading.units if studied.leading else 20]
    effects = {int(row.unit): row for row in rows_for(interventions.effects, studied.concept.name)}
    table = rows_of(layer.table)
    alone = {
        int(row.unit): point_of(row, "measured_effect") for row in rows_for(interventions.alone, studied.concept.name)
    }

    def causal_unit(rank: int, unit: int) -> CausalUnit:
        shown = card(site, frame, layer, table[unit])
        if unit not in effects:
            return CausalUnit(rank, shown, math.nan, UNKNOWN, UNKNOWN)
        effect = point_of(effects[unit], "measured_effect")
        return CausalUnit(rank, shown, float(effects[unit].estimate), effect, alone.get(unit, UNKNOWN))

    return tuple(causal_unit(int(row.rank), int(row.unit)) for row in rows)


def _effects(
    site: Site, interventions: Interventions, frame: Frame, layer: Layer, concept: str
) -> tuple[EffectRow, ...]:
    labels = layer.table["concept"].tolist()
    return tuple(
        EffectRow(
            unit=int(row.unit),
            href=frame.to(site.places.unit(layer.name, int(row.unit))),
            label=str(labels[int(row.unit)]),
            rank=int(row.rank),
            estimate=float(row.estimate),
            measured_effect=point_of(row, "measured_effect"),
        )
        for row in rows_for(interventions.effects, concept)
    )


def _dots(effects: Sequence[EffectRow]) -> list[Dot]:
    """The units that were ablated one by one."""
    return [Dot(e.unit, e.estimate, e.measured_effect) for e in effects if not math.isnan(e.measured_effect.value)]


def _scatter_chart(concept: str, dots: Sequence[Dot]) -> Markup | None:
    if not dots:
        return None
    return scatter(
        "chart-scatter",
        f"Estimated and measured effect of single units on {concept}",
        "Each disc is a unit: the share of the concept's area that ablating it removes, estimated by gradient ×"
        " activation (horizontal) and measured (vertical), with 95% intervals. On the dotted line both are equal. The"
        " table below has the numbers.",
        dots,
    )


def _sides(interventions: Interventions, concept: str) -> tuple[SideRow, ...]:
    """Every concept that occurs, the studied one first and then by falling change."""
    rows = [
        SideRow(
            concept=NamedConcept(str(row.other_concept), str(row.category)),
            before=float(row.before),
            after=float(row.after),
            change=point_of(row, "change"),
            own=str(row.other_concept) == concept,
        )
        for row in rows_for(interventions.side_effects, concept)
    ]
    return tuple(sorted(rows, key=lambda r: (not r.own, falling(abs(r.change.value)))))


def _sides_chart(concept: str, sides: Sequence[SideRow], most: int = 12) -> Markup | None:
    shown = [s for s in sides if s.own or (s.before >= COMMON and not math.isnan(s.change.value))][: most + 1]
    if not shown:
        return None
    return bars(
        "chart-sides",
        f"Change of other concepts when {concept} is removed",
        "Relative change of each concept's area, with 95% intervals, largest first. The table below has the numbers.",
        [Amount(s.concept.name, s.change, mark=s.concept.mark, lead=s.own) for s in shown],
        most=1.5,
    )


def _contexts(site: Site, interventions: Interventions, concept: str) -> tuple[ContextRow, ...]:
    vocabulary = _vocabulary(site)
    rows = [
        ContextRow(
            context=vocabulary.get(str(row.context_concept), NOTHING),
            insertions=int(row.insertions),
            gain=point_of(row, "gain"),
            random_insertions=int(row.random_insertions),
            random=point_of(row, "random_gain"),
        )
        for row in rows_for(interventions.context, concept)
    ]
    return tuple(sorted(rows, key=lambda r: falling(r.gain.value)))


def _vocabulary(site: Site) -> Mapping[str, NamedConcept]:
    """The concepts by name; of two with one name, the first."""
    concepts = [NamedConcept.of(row) for row in rows_of(site.dissection.vocabulary)]
    return {concept.name: concept for concept in reversed(concepts) if concept.category != "-"}


def _contexts_chart(concept: str, contexts: Sequence[ContextRow]) -> Markup | None:
    if not contexts:
        return None
    return bars(
        "chart-contexts",
        f"Pixels of {concept} gained by inserting its units, by context",
        "Mean gain per insertion by the concept at the patch before the insertion, with 95% intervals; the tick is the"
        " gain of random units. The table below has the numbers.",
        [Amount(c.context.name, c.gain, c.random.value, c.context.mark, True) for c in contexts],
        form=gain,
    )


def _insight(studied: Studied, contexts: Sequence[ContextRow]) -> str:
    """Whether the gain of insertion depends on the context, and where it is largest and smallest, in a sentence."""
    if not contexts:
        return ""
    concept, best, worst = studied.concept.name, contexts[0], contexts[-1]
    if best is worst:
        changed = f"changes {concept} by {gain(best.gain.value)} pixels"
        return f"Inserting its units at one patch {changed}; the only context is {best.context.name}."
    of = f"(permutation test of the largest difference between {len(contexts)} contexts, p = {studied.context_p:.2g})"
    if not studied.context_p < SIGNIFICANT:
        return f"The gain of inserting its units at one patch does not differ significantly between contexts {of}."
    return (
        f"Inserting its units at one patch changes {concept} by {gain(best.gain.value)} pixels where the context is"
        f" {best.context.name}, and by {gain(worst.gain.value)} pixels where it is {worst.context.name} {of}."
    )
