"""The page of a layer with a card for every unit, and the page of its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from markupsafe import Markup

from dissectreport.analysis.results.dissection import Control, Layer
from dissectreport.report.common.formulas import formulas_summary
from dissectreport.report.common.model import (
    InterpretableCount,
    Site,
    above_chance,
    counts,
    counts_by_category,
    interpretable_labels,
    leading_units,
    rows_of,
    units_by_kind,
    view_of,
)
from dissectreport.report.common.plotly_figures import Figure, agreement_scatter
from dissectreport.report.common.unit_cards import Card, Labels, card, labels_of, neighbours, strip_size
from dissectreport.report.common.wording import Wording
from dissectreport.report.html import charts
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.frame import Frame, Link
from dissectreport.report.html.numbers import Agreement, count, interval, plural
from dissectreport.report.pages.matches import MatchChart, OwnUnit, match_charts, own_units, own_units_summary


@dataclass(frozen=True)
class Uninformative:
    """A unit that is constant or a copy of another, and which of these."""

    unit: int
    href: str
    state: str


@dataclass(frozen=True)
class LayerPage:
    """A layer and all of its units."""

    frame: Frame
    model: str
    layer: str
    units: int
    size: str
    wording: Wording
    above_chance_note: str
    """How many interpretable units also match better than chance, where the rule does not require it."""
    held_out: int
    counts: Mapping[str, InterpretableCount]
    chart: Markup
    bars: tuple[charts.BarGroup, ...]
    by_category: tuple[tuple[str, str, Mapping[str, InterpretableCount]], ...]
    """Category, its mark and the counts of the labels within it, by control."""
    cards: tuple[Card, ...]
    data: Mapping[str, Any]
    categories: tuple[tuple[str, str], ...]
    kinds: tuple[tuple[str, int], ...]
    """The kinds of its interpretable units, and how many there are of each."""
    concepts: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    uninformative: tuple[Uninformative, ...]
    own_units_summary: str
    """How many concepts have a unit of their own; '' where that was not measured."""
    formulas_summary: str
    """How many units a formula of concepts matches better than their label; '' where none was searched for."""
    table: str
    review: str
    """Where its units can be marked by hand; '' where the network generates no images."""
    scatter: Figure
    per_strip: int


def layer_page(site: Site, layer: Layer) -> LayerPage:
    """The bar chart of concepts and a card for every unit."""
    dissection, places = site.dissection, site.places
    here = places.layer(layer.name)
    title = f"{layer.name} · {dissection.title}"
    frame = site.frame(
        here,
        title,
        f"The labels of the {layer.units} units of {layer.name}.",
        site.assets.unit_labels,
        site.assets.units,
    )
    listed = [(places.layer(other_layer.name), other_layer.name) for other_layer in dissection.layers]
    frame = neighbours(frame, listed, [name for _, name in listed].index(layer.name))
    home = Link(frame.to(places.page("index")), dissection.title)
    frame = replace(frame, crumbs=(home,), up=home, keys=("[", "]"))
    labels = labels_of(layer)
    cards = tuple(card(site, frame, layer, row, labels) for row in rows_of(leading_units(layer)))
    groups = _bar_groups(site, layer)
    named = interpretable_labels(layer)
    categories = {*named["category"], *layer.table["category"]}
    return LayerPage(
        frame=frame,
        model=dissection.title,
        layer=layer.name,
        units=layer.units,
        size=f"{layer.height} × {layer.width}",
        wording=site.wording,
        above_chance_note=site.wording.also(len(layer.interpretable), above_chance(layer)),
        held_out=dissection.provenance.held_out,
        counts=counts(layer),
        chart=_bars_chart(layer, groups),
        bars=groups,
        by_category=counts_by_category(site, layer),
        cards=cards,
        data=_sorting(cards, labels),
        categories=tuple((c, mark_of(c)) for c in site.categories if c in categories),
        kinds=units_by_kind(layer.interpretable),
        concepts=_options(site, named),
        uninformative=tuple(
            Uninformative(c.unit, c.href, c.state) for c in sorted(cards, key=lambda c: c.unit) if c.state
        ),
        own_units_summary=own_units_summary(layer),
        formulas_summary=formulas_summary(layer),
        table=frame.to(places.layer_table(layer.name)),
        review="" if dissection.provenance.reads else frame.to(places.review(layer.name)),
        scatter=agreement_scatter(layer, site.categories),
        per_strip=strip_size(layer),
    )


def _options(site: Site, named: pd.DataFrame) -> tuple[tuple[str, tuple[tuple[str, int], ...]], ...]:
    groups = []
    for category in site.categories:
        number = named.loc[named["category"] == category, "concept"].value_counts().sort_index()
        if len(number):
            groups.append((category, tuple((str(c), int(n)) for c, n in number.items())))
    return tuple(groups)


def _sorting(cards: tuple[Card, ...], labels: Labels) -> Mapping[str, Any]:
    """What the page's script sorts, filters and fills cards by, card by card in the order of the page."""
    return {
        "unit": [c.unit for c in cards],
        "labels": [_all_labels(c, labels.get(c.unit, [])) for c in cards],
        "sure": [int(c.interpretable) for c in cards],
        "state": [" ".join(c.flags) for c in cards],
        "removed": [None if math.isnan(c.removed) else round(c.removed, 4) for c in cards],
    }


def _all_labels(card: Card, others: list[Any]) -> list[list[Any]]:
    """The card's own label and its labels in other categories: words, figures, and whether the charts count it."""
    counted = {(str(r.concept), str(r.category)) for r in others}
    own = [(card.concept.name, card.concept.category, card.agreement, card.threshold)] if card.concept.name else []
    more = [
        (str(r.concept), str(r.category), Agreement.of(r), float(r.threshold))
        for r in others
        if r.concept != card.concept.name
    ]
    return [
        [concept, category, *_figures(agreement, threshold), int((concept, category) in counted)]
        for concept, category, agreement, threshold in own + more
    ]


def _figures(a: Agreement, threshold: float) -> list[Any]:
    """IoU, its interval, chance level, lift, chance-corrected IoU, selection score, threshold, kind and four widths."""
    shown = (a.iou, a.low, a.high, a.chance_level, a.lift, a.corrected_iou, a.selection_score)
    short = None if math.isnan(threshold) else float(f"{threshold:.3g}")
    return [*(None if math.isnan(v) else round(v, 4) for v in shown), short, a.kind, list(a.shades)]


def _bar_groups(site: Site, layer: Layer) -> tuple[charts.BarGroup, ...]:
    good, overall = interpretable_labels(layer), layer.interpretable
    groups = []
    for category in site.categories:
        number = good.loc[good["category"] == category, "concept"].value_counts()
        leading = overall.loc[overall["category"] == category, "concept"].value_counts()
        ordered = sorted(((str(c), int(n)) for c, n in number.items()), key=lambda pair: (-pair[1], pair[0]))
        bars = tuple(charts.Bar(c, n, min(int(leading.get(c, 0)), n), f"#{view_of(c)}") for c, n in ordered)
        if bars:
            heading, controls = _heading(counts(layer, category))
            groups.append(charts.BarGroup(category, mark_of(category), heading, controls, bars))
    return tuple(groups)


def _heading(by_control: Mapping[str, InterpretableCount]) -> tuple[str, str]:
    """'31 units [29, 34]', and the controls: 'random directions 28 · untrained 3 · chance level 0'."""
    own = by_control[Control.MEASURED]
    head = f"{plural(own.units, 'unit')} {interval(own.units_low, own.units_high, count)}"
    rest = (
        f"{charts.CONTROL_WORDS[name]} {count(counted.units)}"
        for name, counted in by_control.items()
        if name != Control.MEASURED
    )
    return head, " · ".join(rest)


def _bars_chart(layer: Layer, groups: tuple[charts.BarGroup, ...]) -> Markup:
    leading = ", ".join(f"{bar.concept} {bar.units}" for group in groups for bar in group.bars[:3])
    return charts.concept_bars(
        "chart-bars",
        f"Interpretable units of {layer.name} per concept, by category",
        f"Columns, one a concept; most frequent: {leading or 'none'}. The table below has the numbers.",
        groups,
    )


@dataclass(frozen=True)
class TablePage:
    """All numbers of a layer's units."""

    frame: Frame
    model: str
    layer: str
    wording: Wording
    rows: tuple[tuple[Card, Any], ...]
    downloads: tuple[tuple[str, str, str], ...]
    columns: Mapping[str, str]
    own_units: tuple[OwnUnit, ...]
    own_units_summary: str
    match_charts: tuple[MatchChart, ...]


def table_page(site: Site, layer: Layer, names: tuple[str, ...]) -> TablePage:
    """The layer's table as a page; `names` are the tables that can be downloaded."""
    places = site.places
    title = f"Numbers of {layer.name} · {site.dissection.title}"
    frame = site.frame(places.layer_table(layer.name), title, f"Every figure about the units of {layer.name}.")
    up = Link(frame.to(places.layer(layer.name)), layer.name)
    frame = replace(frame, up=up, crumbs=(Link(frame.to(places.page("index")), site.dissection.title), up))
    rows = tuple((card(site, frame, layer, row), row) for row in rows_of(layer.table))
    downloads = tuple(
        (n, frame.to(places.data(n, "csv", layer.name)), frame.to(places.data(n, "json", layer.name))) for n in names
    )
    return TablePage(
        frame,
        site.dissection.title,
        layer.name,
        site.wording,
        rows,
        downloads,
        site.wording.dictionary(),
        own_units(site, frame, layer),
        own_units_summary(layer),
        match_charts(layer),
    )
