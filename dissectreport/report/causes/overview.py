"""What units cause, all concepts at a glance; and what the model's first page tells of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from dissectreport.analysis.results.interventions import Interventions
from dissectreport.report.causes.galleries import strongest_pair
from dissectreport.report.causes.summary import Studied, answer, downloads, finding, layer_of, listed, meaning, studied
from dissectreport.report.common.model import Pairs, Site, flat
from dissectreport.report.html import effect_charts as causal_charts
from dissectreport.report.html.effect_charts import RANDOM, order_mark, order_words
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
        f"What units cause · {site.dissection.title}",
        f"What turning units of {layer.name} off and on does.",
        current="causes",
    )
    counts = tuple(sorted({r.units for one in every for r in one.removals}))
    orders = [c.order for one in every for c in one.curves]
    high = max([p.high for one in every for c in one.curves for p in c.points if not math.isnan(p.high)] + [0.2])
    return CausesPage(
        frame=around,
        model=site.dissection.title,
        layer=layer.name,
        layer_href=around.to(site.places.layer(layer.name)),
        units=layer.units,
        answer=answer(every, layer),
        rows=tuple(_studied_row(site, found, around, one, i, high) for i, one in enumerate(every)),
        counts=counts,
        orders=tuple((order_words(o), order_mark(o), meaning(o, found)) for o in listed(orders)),
        samples=found.samples,
        choosing=found.choosing,
        random_sets=found.random_sets,
        settings=flat(found.settings),
        downloads=downloads(site, around, layer),
        notes=found.notes,
    )


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
    """The concept of which most goes, of those of which surely more goes than with random units if there are any."""
    found = site.dissection.interventions
    if found is None:
        return None
    every = studied(found)
    leads = [(one, one.leading) for one in every if one.leading is not None and one.concept in found.pictures]
    if not leads:
        return None
    leads = [pair for pair in leads if pair[1].beats] or leads
    one, lead = max(leads, key=lambda pair: -9.0 if math.isnan(pair[1].removed.value) else pair[1].removed.value)
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
