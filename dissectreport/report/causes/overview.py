"""The overview of causal effects, and its summary on the model's first page."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from dissectreport.analysis.results.interventions import Interventions
from dissectreport.report.causes.galleries import strongest_pair
from dissectreport.report.causes.summary import Studied, answer, downloads, finding, layer_of, listed, meaning, studied
from dissectreport.report.common.model import Pairs, Site, flat
from dissectreport.report.html.effect_charts import ranking_mark, ranking_words, small_curves
from dissectreport.report.html.frame import Frame
from dissectreport.run.rankings import Ranking


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
    rankings: tuple[tuple[str, str, str], ...]
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
    counts = tuple(sorted({r.units for concept in every for r in concept.removals}))
    rankings = [c.ranking for concept in every for c in concept.curves]
    high = max(
        [p.high for concept in every for c in concept.curves for p in c.points if not math.isnan(p.high)] + [0.2]
    )
    return CausesPage(
        frame=frame,
        model=site.dissection.title,
        layer=layer.name,
        layer_href=frame.to(site.places.layer(layer.name)),
        units=layer.units,
        answer=answer(every, layer),
        rows=tuple(_studied_row(site, interventions, frame, concept, i, high) for i, concept in enumerate(every)),
        counts=counts,
        rankings=tuple((ranking_words(o), ranking_mark(o), meaning(o, interventions)) for o in listed(rankings)),
        samples=interventions.samples,
        selection=interventions.selection,
        random_sets=interventions.random_sets,
        settings=flat(interventions.settings),
        downloads=downloads(site, frame, layer),
        notes=interventions.notes,
    )


def _studied_row(
    site: Site, interventions: Interventions, frame: Frame, studied: Studied, at: int, high: float
) -> StudiedRow:
    shown = [curve for curve in studied.curves if curve.ranking in (studied.best, Ranking.RANDOM)]
    chart = small_curves(
        f"curve-{at}",
        f"Removal of {studied.concept.name} by number of ablated units",
        f"The preselected ranking, {ranking_words(studied.best)}, with its 95% band; random units in grey.",
        shown,
        high,
    )
    pair = strongest_pair(site, interventions, frame, studied)
    return StudiedRow(studied, frame.to(site.places.concept(studied.concept.name)), *pair, chart)


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
        (concept, concept.leading)
        for concept in every
        if concept.leading is not None and concept.concept.name in interventions.pictures
    ]
    if not leads:
        return None
    leads = [pair for pair in leads if pair[1].exceeds_random] or leads
    strongest, lead = max(leads, key=lambda pair: -9.0 if math.isnan(pair[1].removed.value) else pair[1].removed.value)
    layer = layer_of(site, interventions)
    return Teaser(
        answer(every, layer),
        frame.to(site.places.page("causes")),
        strongest.concept.name,
        frame.to(site.places.concept(strongest.concept.name)),
        finding(strongest, layer),
        *strongest_pair(site, interventions, frame, strongest),
        lead.units,
    )
