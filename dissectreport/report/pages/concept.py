"""The page of a concept: its units by layer, its causal effects, its real and generated images, and its segmenter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from markupsafe import Markup

from dissectreport.analysis.dissection.label_error import HELD_OUT
from dissectreport.analysis.results.dissection import Control, Layer
from dissectreport.report.causes.concept_page import ConceptCauses, concept_causes
from dissectreport.report.causes.summary import Studied, rows_for, studied
from dissectreport.report.common.model import BELOW_BASELINE, Site, rows_of, view_of
from dissectreport.report.common.unit_cards import Card, card, neighbours, strip_size
from dissectreport.report.common.wording import TOO_FEW
from dissectreport.report.html.charts import Point
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.effect_charts import Amount, MatchDot, bars, match_and_effect
from dissectreport.report.html.frame import Frame, Link
from dissectreport.report.html.numbers import Agreement, count, decimal, interval, plural
from dissectreport.report.pages.concepts import concepts_by_units, labels_by_layer
from dissectreport.report.pages.example_images import SeenGroup, seen_groups
from dissectreport.report.pages.real_images import RealRow

CARDS = 6
"""Cards of a layer's units before the rest is left to the layer's page."""
NEAREST = 3
"""Units that are shown where none is interpretable."""
UNKNOWN = Point(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class LayerUnits:
    """The units of a layer that have the concept as a label."""

    layer: str
    href: str
    """The layer's page, showing these units."""
    units: int
    of: int
    cards: tuple[Card, ...]
    """The strongest first."""
    per_strip: int


@dataclass(frozen=True)
class ConceptLabelError:
    """How far the labels of a concept may be off, and what this means for the strongest unit that has it as a label."""

    wrong: float
    """The share of labels that are wrong."""
    missed: float
    """The pixels that are missed, for each labelled one."""
    source: str
    """What the two are known from."""
    at_most: bool
    """Whether they are bounds."""
    unit: Link | None
    """None where no unit has the label."""
    row: Any
    """That unit's row of the table of units."""


@dataclass(frozen=True)
class ConceptPage:
    """One concept, whether its causal effects were measured or not."""

    frame: Frame
    model: str
    concept: NamedConcept
    summary: str
    """Where its units are, in sentences."""
    area_of_all: Point
    images: int
    of_images: int
    reads: bool
    """Whether the images are read, not generated."""
    found: tuple[LayerUnits, ...]
    total: int
    nearest: tuple[tuple[str, int, Card], ...]
    """Layer, images in a strip, and card of the units that match it best, where none is interpretable."""
    chart_depth: Markup | None
    match_and_effect: str
    """How many of the units that remove it also match it, in a sentence; '' where that was not measured."""
    chart_match: Markup | None
    matches: tuple[MatchDot, ...]
    """What the chart shows, by falling effect."""
    real: RealRow | None
    seen: tuple[SeenGroup, ...]
    segmenter: str
    segmenter_iou: float
    label_error: ConceptLabelError | None
    """None where the error of the segmenter's labels is not known."""
    twins: tuple[Link, ...]
    untested: str
    """Why it cannot be a label; '' where it can."""
    also_studied: tuple[Link, ...]
    """The concepts whose causal effects were measured, where this one's were not."""
    hrefs: Mapping[str, str]
    """The pages of real images, the segmenter, all concepts and causal effects."""


@dataclass(frozen=True)
class StudiedConceptPage(ConceptPage, ConceptCauses):
    """One concept whose causal effects were measured."""


@dataclass(frozen=True)
class ConceptRows:
    """The tables of a model by concept, so that the page of a concept need not search them."""

    order: tuple[str, ...]
    """The names of all concepts that have a page, in their order."""
    units: Sequence[Sequence[Any]]
    """The rows of each layer's table."""
    labels: Mapping[str, Sequence[Any]]
    """The rows of interpretable labels, strongest first; `layer` is the layer's number."""
    pairs: Mapping[str, Sequence[Any]]
    """Likewise of the best concepts of every unit."""
    studied: Mapping[str, Studied]

    @classmethod
    def of(cls, site: Site) -> ConceptRows:
        """Of a whole model."""
        layers = site.dissection.layers
        labels = labels_by_layer(site)
        pairs = pd.concat([layer.pairs.assign(layer=i) for i, layer in enumerate(layers)])
        interventions = site.dissection.interventions
        every = () if interventions is None else studied(interventions)
        listed = [concept.name for concept in concepts_by_units(site, labels)]
        return cls(
            tuple(dict.fromkeys([*listed, *site.places.concepts])),
            [rows_of(layer.table) for layer in layers],
            _by_concept(labels),
            _by_concept(pairs),
            {one.concept.name: one for one in every},
        )


def _by_concept(table: pd.DataFrame) -> Mapping[str, Sequence[Any]]:
    """The rows of a table by concept, those of the largest selection score first."""
    groups: dict[str, list[Any]] = {}
    for row in rows_of(table.sort_values("selection_score", ascending=False, kind="stable")):
        groups.setdefault(str(row.concept), []).append(row)
    return groups


def concept_page(site: Site, rows: ConceptRows, name: str) -> ConceptPage:
    """The page of one concept; with its causal effects where they were measured."""
    page = _page(site, rows, name)
    interventions = site.dissection.interventions
    if interventions is None or name not in rows.studied:
        return page
    causes = concept_causes(site, interventions, page.frame, rows.studied[name])
    dots = _matches(site, rows, name)
    page = replace(
        page,
        match_and_effect=_match_and_effect(site, rows, name),
        chart_match=_match_chart(name, interventions.layer, dots) if dots else None,
        matches=dots,
    )
    return StudiedConceptPage(**vars(page), **vars(causes))


def _page(site: Site, rows: ConceptRows, name: str) -> ConceptPage:
    dissection, places = site.dissection, site.places
    row = next(iter(rows_of(dissection.concepts[dissection.concepts["concept"] == name])), None)
    frame = _frame(site, rows, name)
    concept = rows.studied[name].concept if row is None else NamedConcept.of(row)
    found = _units_by_layer(site, frame, rows, name)
    return ConceptPage(
        frame=frame,
        model=dissection.title,
        concept=concept,
        summary=_summary(site, name, found) if dissection.has_enough_images else f"{TOO_FEW}.",
        area_of_all=UNKNOWN if row is None else Point(float(row.area), float(row.area_low), float(row.area_high)),
        images=0 if row is None else int(row.images),
        of_images=dissection.provenance.samples,
        reads=bool(dissection.provenance.reads),
        found=found,
        total=sum(one.units for one in found),
        nearest=() if found else _nearest(site, frame, rows, name),
        chart_depth=_depth_chart(site, concept) if len(found) and len(dissection.layers) > 1 else None,
        match_and_effect="",
        chart_match=None,
        matches=(),
        real=_real(site, frame, name),
        seen=seen_groups(site, frame, name),
        segmenter=str(dissection.provenance.segmenter.get("name", "")),
        segmenter_iou=math.nan if row is None else float(row.segmenter_iou),
        label_error=None if row is None else _label_error(site, frame, rows, row),
        twins=() if row is None else _twins(site, frame, row),
        untested=site.wording.untested if row is not None and not row.tested else "",
        also_studied=() if name in rows.studied else _studied_links(site, frame, rows),
        hrefs={page: frame.to(places.page(page)) for page in ("real", "trust", "concepts", "causes", "methods")},
    )


def _studied_links(site: Site, frame: Frame, rows: ConceptRows) -> tuple[Link, ...]:
    return tuple(Link(site.concept_href(frame, other), other) for other in rows.studied)


def _label_error(site: Site, frame: Frame, rows: ConceptRows, row: Any) -> ConceptLabelError | None:
    source = getattr(row, "label_error_from", "")
    if not source:
        return None
    every = [(layer, unit) for layer, units in zip(site.dissection.layers, rows.units, strict=True) for unit in units]
    own = [(layer, unit) for layer, unit in every if unit.interpretable and unit.concept == row.concept]
    if not own:
        return ConceptLabelError(row.label_wrong, row.label_missed, source, source != HELD_OUT, None, None)
    layer, best = max(own, key=lambda one: float(one[1].selection_score))
    unit = Link(frame.to(site.places.unit(layer.name, best.unit)), f"{layer.name} unit {best.unit}")
    return ConceptLabelError(row.label_wrong, row.label_missed, source, source != HELD_OUT, unit, best)


def _frame(site: Site, rows: ConceptRows, name: str) -> Frame:
    """The surroundings of the page, between those of the concepts before and after."""
    places, at = site.places, rows.order.index(name)
    frame = site.frame(
        places.concept(name),
        f"{name} · {site.dissection.title}",
        f"The units of {site.dissection.title} that match {name}, what they cause, and images with it.",
        *((site.assets.causes,) if name in places.studied else ()),
        current="concepts",
    )
    home = Link(frame.to(places.page("index")), site.dissection.title)
    up = Link(frame.to(places.page("concepts")), "concepts")
    return neighbours(
        replace(frame, crumbs=(home, up), up=up), [(places.concept(other), other) for other in rows.order], at
    )


def _units_by_layer(site: Site, frame: Frame, rows: ConceptRows, name: str) -> tuple[LayerUnits, ...]:
    """The layers with interpretable units of a concept, in their order."""
    by_layer: dict[int, list[Any]] = {}
    for label in rows.labels.get(name, ()):
        by_layer.setdefault(int(label.layer), []).append(label)
    layers = site.dissection.layers
    return tuple(
        LayerUnits(
            layer=layers[number].name,
            href=f"{frame.to(site.places.layer(layers[number].name))}#{view_of(name)}",
            units=len(labels),
            of=layers[number].units,
            cards=tuple(_card(site, frame, rows, label) for label in labels[:CARDS]),
            per_strip=strip_size(layers[number]),
        )
        for number, labels in sorted(by_layer.items())
    )


def _card(site: Site, frame: Frame, rows: ConceptRows, match: Any, interpretable: bool = True) -> Card:
    """The card of a unit with its IoU with this concept, and beside it its overall label where that is another."""
    own = card(site, frame, site.dissection.layers[match.layer], rows.units[match.layer][int(match.unit)])
    other = own.concept.name
    return replace(
        own,
        flags=tuple(flag for flag in own.flags if flag != BELOW_BASELINE or other == match.concept),
        concept=NamedConcept.of(match),
        agreement=Agreement.of(match),
        interpretable=interpretable,
        also=(other,) if other and other != match.concept else (),
    )


def _nearest(site: Site, frame: Frame, rows: ConceptRows, name: str) -> tuple[tuple[str, int, Card], ...]:
    """The units of the largest selection score with a concept, of all layers."""
    layers = site.dissection.layers
    return tuple(
        (layers[row.layer].name, strip_size(layers[row.layer]), _card(site, frame, rows, row, False))
        for row in rows.pairs.get(name, ())[:NEAREST]
    )


def _summary(site: Site, name: str, found: Sequence[LayerUnits]) -> str:
    """How many units match a concept, in which layers, in a sentence."""
    layers = len(site.dissection.layers)
    if not found:
        return f"No interpretable unit has {name} as its label."
    total, most = sum(one.units for one in found), max(found, key=lambda one: one.units)
    where = f"in {len(found)} of {layers} layers" if len(found) > 1 else f"in {most.layer}"
    verb = "has" if total == 1 else "have"
    first = f"{plural(total, 'interpretable unit')} {verb} {name} as a label, {where}"
    alone = sum(one.units == most.units for one in found) == 1 < len(found)
    return f"{first}; most are in {most.layer} ({most.units})." if alone else f"{first}."


def _depth_chart(site: Site, concept: NamedConcept) -> Markup:
    return bars(
        "chart-depth",
        f"Interpretable units with the label {concept.name}, by layer",
        "One bar a layer, with 95% intervals; the tick is the number of random directions. The cards below show them.",
        [_depth(layer, concept) for layer in site.dissection.layers],
        form=count,
    )


def _depth(layer: Layer, concept: NamedConcept) -> Amount:
    """How many units of a layer have a concept as their label, and how many random directions."""
    table = layer.by_concept
    rows = {row.control: row for row in rows_of(table[table["concept"] == concept.name])}
    own, random = rows.get(Control.MEASURED), rows.get(Control.RANDOM_DIRECTIONS)
    measured = bool((layer.controls["control"] == Control.RANDOM_DIRECTIONS).any())
    point = (
        Point(0.0, 0.0, 0.0) if own is None else Point(float(own.units), float(own.units_low), float(own.units_high))
    )
    reference = float(random.units) if random is not None else 0.0 if measured else math.nan
    words = f"{count(point.value)} {interval(point.low, point.high, count)}" if point.value else "0"
    return Amount(layer.name, point, reference, concept.mark, bool(point.value), words)


def _match_and_effect(site: Site, rows: ConceptRows, name: str) -> str:
    """How many of the units that remove a concept also have it as a label, and how many would by chance."""
    interventions, one = site.dissection.interventions, rows.studied[name]
    if interventions is None or one.leading is None:
        return ""
    layer = site.dissection.layer(interventions.layer)
    labelled = _labelled(site, rows, name, layer.name)
    table = interventions.rankings
    chosen = table[(table["concept"] == name) & (table["ranking"] == one.best) & (table["rank"] <= one.leading.units)]
    both = len(labelled & {int(unit) for unit in chosen["unit"]})
    expected = len(chosen) * len(labelled) / layer.units
    verb = "has" if both == 1 else "have"
    return (
        f"Of the {plural(len(chosen), 'unit')} of {layer.name} that are ablated first, {both} {verb} {name} as a label;"
        f" {decimal(expected, 1)} would be expected if match and effect were unrelated."
    )


def _labelled(site: Site, rows: ConceptRows, name: str, layer: str) -> set[int]:
    """The interpretable units of a layer that have a concept as their label."""
    number = site.dissection.layer_number(layer)
    return {int(label.unit) for label in rows.labels.get(name, ()) if int(label.layer) == number}


def _matches(site: Site, rows: ConceptRows, name: str) -> tuple[MatchDot, ...]:
    """The units whose match with a concept and whose effect on it are known, by falling effect."""
    interventions = site.dissection.interventions
    if interventions is None:
        return ()
    number = site.dissection.layer_number(interventions.layer)
    matches = {int(r.unit): float(r.corrected_iou) for r in rows.pairs.get(name, ()) if int(r.layer) == number}
    labelled = _labelled(site, rows, name, interventions.layer)
    dots = []
    for row in rows_for(interventions.effects, name):
        unit, measured = int(row.unit), not math.isnan(row.measured_effect)
        effect = float(row.measured_effect if measured else row.estimate)
        if not math.isnan(matches.get(unit, math.nan) + effect):
            dots.append(MatchDot(unit, matches[unit], effect, measured, unit in labelled))
    return tuple(sorted(dots, key=lambda dot: (-dot.effect, dot.unit)))


def _match_chart(name: str, layer: str, dots: Sequence[MatchDot]) -> Markup:
    return match_and_effect(
        "chart-match",
        f"Match with {name} and effect on it, of the units of {layer}",
        "Each disc is a unit: how well it matches the concept (horizontal), and the share of the concept's area that"
        " ablating it alone removes (vertical). The table below has the numbers.",
        dots,
    )


def _real(site: Site, frame: Frame, name: str) -> RealRow | None:
    """The concept in the comparison of real and generated images; None without one."""
    reality = site.dissection.reality
    if reality is None:
        return None
    row = next(iter(rows_of(reality.table[reality.table["concept"] == name])), None)
    return None if row is None else RealRow.of(row, (), frame.to(site.places.page("real")))


def _twins(site: Site, frame: Frame, row: Any) -> tuple[Link, ...]:
    """The pages of the concepts that count as the same."""
    concepts = site.dissection.concepts
    names = concepts.loc[(concepts["counts_as"] == row.counts_as) & (concepts["concept"] != row.concept), "concept"]
    return tuple(Link(site.concept_href(frame, str(name)), str(name)) for name in names)
