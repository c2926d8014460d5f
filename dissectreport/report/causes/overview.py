"""The overview of causal effects, and its summary on the model's first page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from dissectreport.analysis.results.interventions import Interventions
from dissectreport.report.causes.galleries import most_changed, strongest_pair, with_and_without
from dissectreport.report.causes.summary import (
    Removal,
    Studied,
    answer,
    downloads,
    finding,
    layer_of,
    listed,
    meaning,
    studied,
)
from dissectreport.report.common.model import Pairs, Site, flat
from dissectreport.report.html.charts import Point
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
    edited: tuple[Studied, ...]
    """The concepts whose units were edited in other ways."""
    counts: tuple[int, ...]
    """The numbers of units whose removal is tabled."""
    rankings: tuple[tuple[str, str, str], ...]
    samples: int
    selection: int
    random_sets: int
    random_images: int
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
        edited=tuple(concept for concept in every if concept.edits is not None),
        counts=counts,
        rankings=tuple((ranking_words(o), ranking_mark(o), meaning(o, interventions)) for o in listed(rankings)),
        samples=interventions.samples,
        selection=interventions.selection,
        random_sets=interventions.random_sets,
        random_images=interventions.random_images,
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
class LeadingPicture:
    """One of the pictures of an image whose units are switched off."""

    source: str
    words: str
    alt: str
    href: str
    """The page of the only unit that is off; '' for the others."""


@dataclass(frozen=True)
class Teaser:
    """The strongest causal effect, for the model's first page."""

    answer: str
    href: str
    concept: str
    concept_href: str
    layer: str
    sentence: str
    pictures: tuple[LeadingPicture, ...]
    """One image: as it is, what the segmenter sees, single units off where that was stored, and all of them off."""
    steps: tuple[tuple[int, Point], ...]
    """How much of the concept is removed by the first units of the preselected ranking, by their number."""
    random: Point
    units: int


def strongest_studied(interventions: Interventions) -> tuple[Studied, Removal] | None:
    """The concept with pictures of which most is removed, among those with a significant effect if there are any."""
    leads = [
        (concept, concept.leading)
        for concept in studied(interventions)
        if concept.leading is not None and concept.concept.name in interventions.pictures
    ]
    leads = [pair for pair in leads if pair[1].exceeds_random] or leads
    return max(leads, key=lambda pair: float(np.nan_to_num(pair[1].removed.value, nan=-9.0)), default=None)


def teaser(site: Site, frame: Frame) -> Teaser | None:
    """The strongest causal effect; None where none was measured."""
    interventions = site.dissection.interventions
    pair = None if interventions is None else strongest_studied(interventions)
    if interventions is None or pair is None:
        return None
    strongest, lead = pair
    layer = layer_of(site, interventions)
    return Teaser(
        answer(studied(interventions), layer),
        frame.to(site.places.page("causes")),
        strongest.concept.name,
        frame.to(site.places.concept(strongest.concept.name)),
        layer.name,
        finding(strongest, layer),
        _pictures(site, interventions, frame, strongest),
        _steps(strongest),
        lead.random,
        lead.units,
    )


def _pictures(site: Site, interventions: Interventions, frame: Frame, studied: Studied) -> tuple[LeadingPicture, ...]:
    """The image of a concept that loses most of it, step by step."""
    name, ablated = studied.concept.name, interventions.pictures[studied.concept.name].ablated
    rows = with_and_without(site, frame, name, ablated)
    if not rows:
        return ()
    row, off = rows[most_changed(rows)], f"{len(ablated.units)} units off"
    return (
        LeadingPicture(row.before, "a generated image", f"Image {row.sample}", ""),
        LeadingPicture(row.seen, f"the segmenter sees {name}", f"The same image, {name} outlined", ""),
        *_alone(site, interventions, frame, ablated.units, row.sample),
        LeadingPicture(row.after, off, f"The same image with {off}", ""),
        LeadingPicture(row.unseen, "what the segmenter sees then", f"The image with {off}, {name} outlined", ""),
    )


def _alone(
    site: Site, interventions: Interventions, frame: Frame, units: Sequence[int], sample: int, most: int = 2
) -> tuple[LeadingPicture, ...]:
    """The first units that were also switched off alone in an image."""
    layer, shown = interventions.layer, interventions.unit_pictures
    alone = [unit for unit in units if unit in shown and sample in shown[unit].samples][:most]
    return tuple(
        LeadingPicture(
            frame.to(site.places.unit_changed(layer, unit, shown[unit].samples.tolist().index(sample), "off")),
            f"unit {unit} alone off",
            f"The same image with unit {unit} off",
            frame.to(site.places.unit(layer, unit)),
        )
        for unit in alone
    )


def _steps(studied: Studied) -> tuple[tuple[int, Point], ...]:
    """The curve of the preselected ranking."""
    curve = next((curve for curve in studied.curves if curve.ranking == studied.best), None)
    return () if curve is None else tuple(zip(curve.units, curve.points, strict=True))
