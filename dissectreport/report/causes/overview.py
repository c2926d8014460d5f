"""The overview of causal effects, and its summary on the model's first page."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from dissectreport.analysis.results.interventions import Interventions
from dissectreport.report.causes.galleries import strongest_pair
from dissectreport.report.causes.summary import Studied, answer, downloads, finding, layer_of, listed, meaning, studied
from dissectreport.report.common.model import Pairs, Site, flat
from dissectreport.report.html.effect_charts import RANDOM, order_mark, order_words, small_curves
from dissectreport.report.html.frame import Frame


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
    selection: int
    random_sets: int
    settings: Pairs
    downloads: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]


def causes_page(site: Site, interventions: Interventions, every: tuple[Studied, ...]) -> CausesPage:
    """The causal effects on all concepts that were studied."""
    layer = layer_of(site, interventions)
    frame = site.frame(
        site.places.page("causes"),
        f"Causal effects · {site.dissection.title}",
        f"The effect of ablating and inserting units of {layer.name}.",
        current="causal effects",
    )
    counts = tuple(sorted({r.units for one in every for r in one.removals}))
    orders = [c.order for one in every for c in one.curves]
    high = max([p.high for one in every for c in one.curves for p in c.points if not math.isnan(p.high)] + [0.2])
    return CausesPage(
        frame=frame,
        model=site.dissection.title,
        layer=layer.name,
        layer_href=frame.to(site.places.layer(layer.name)),
        units=layer.units,
        answer=answer(every, layer),
        rows=tuple(_studied_row(site, interventions, frame, one, i, high) for i, one in enumerate(every)),
        counts=counts,
        orders=tuple((order_words(o), order_mark(o), meaning(o, interventions)) for o in listed(orders)),
        samples=interventions.samples,
        selection=interventions.selection,
        random_sets=interventions.random_sets,
        settings=flat(interventions.settings),
        downloads=downloads(site, frame, layer),
        notes=interventions.notes,
    )


def _studied_row(
    site: Site, interventions: Interventions, frame: Frame, one: Studied, at: int, high: float
) -> StudiedRow:
    shown = [curve for curve in one.curves if curve.order in (one.best, RANDOM)]
    chart = small_curves(
        f"curve-{at}",
        f"Removal of {one.concept.name} by number of ablated units",
        f"The best ranking, {order_words(one.best)}, with its 95% band; random units in grey.",
        shown,
        high,
    )
    pair = strongest_pair(site, interventions, frame, one)
    return StudiedRow(one, frame.to(site.places.concept(one.concept.name)), *pair, chart)


@dataclass(frozen=True)
class Teaser:
    """The strongest causal effect, for the model's first page."""

    answer: str
    href: str
    concept: str
    concept_href: str
    sentence: str
    before: str
    after: str
    sample: int
    units: int


def teaser(site: Site, frame: Frame) -> Teaser | None:
    """The concept of which most is removed, among those with a significant effect if there are any."""
    interventions = site.dissection.interventions
    if interventions is None:
        return None
    every = studied(interventions)
    leads = [
        (one, one.leading) for one in every if one.leading is not None and one.concept.name in interventions.pictures
    ]
    if not leads:
        return None
    leads = [pair for pair in leads if pair[1].exceeds_random] or leads
    one, lead = max(leads, key=lambda pair: -9.0 if math.isnan(pair[1].removed.value) else pair[1].removed.value)
    layer = layer_of(site, interventions)
    return Teaser(
        answer(every, layer),
        frame.to(site.places.page("causes")),
        one.concept.name,
        frame.to(site.places.concept(one.concept.name)),
        finding(one, layer),
        *strongest_pair(site, interventions, frame, one),
        lead.units,
    )
