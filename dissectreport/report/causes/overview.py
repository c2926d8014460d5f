"""The overview of causal effects, and its summary on the model's first page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from dissectreport.analysis.results.dissection import Layer
from dissectreport.analysis.results.interventions import Interventions, RandomControl
from dissectreport.report.causes.galleries import AblatedImage, most_changed, strongest_pair, with_and_without
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
from dissectreport.report.html.numbers import percent, removed
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
    ranking: str
    """The ranking method of the chart, in words."""
    inserted: bool
    """Whether its page says where inserting its units works."""


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
    name = studied.concept.name
    return StudiedRow(
        studied,
        frame.to(site.places.concept(name)),
        *pair,
        chart,
        ranking_words(studied.best),
        bool((interventions.context["concept"] == name).any()),
    )


@dataclass(frozen=True)
class StoryPicture:
    """One of the pictures of one image that show what its units do."""

    source: str
    head: str
    words: str
    alt: str
    overlay: str = ""
    """A see-through picture over it; '' for none."""
    href: str = ""
    """The page of the unit that is shown; '' for the others."""


@dataclass(frozen=True)
class Teaser:
    """The strongest causal effect, for the model's first page."""

    answer: str
    href: str
    concept: str
    concept_href: str
    layer: str
    sentence: str
    headline: str
    """The effect in one sentence, without intervals."""
    pictures: tuple[StoryPicture, ...]
    """One image: as it is, where a unit is active, what the segmenter sees, units off, and random units off."""
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
        _headline(strongest, lead, layer),
        _pictures(site, interventions, frame, strongest),
        _steps(strongest),
        lead.random,
        lead.units,
    )


def _headline(strongest: Studied, lead: Removal, layer: Layer) -> str:
    """What switching the units off does, and what random units do."""
    name = strongest.concept.name
    units = f"Switching off {lead.units} of the {layer.units} units of {layer.name}"
    first = f"{units} removes {removed(lead.removed.value)} of all {name} pixels"
    if not lead.exceeds_random:
        return f"{first}; random units may remove as much."
    if math.isnan(lead.random.value) or lead.random.value > LEAST_REMOVED:
        return f"{first}; switching off {lead.units} random units removes {removed(lead.random.value)}."
    return f"{first}; switching off {lead.units} random units removes none."


LEAST_REMOVED = 0.01
"""The share of an area from which the first page says that random units remove some of it."""


def _pictures(site: Site, interventions: Interventions, frame: Frame, studied: Studied) -> tuple[StoryPicture, ...]:
    """The image of a concept that loses most of it, step by step."""
    name, pictures = studied.concept.name, interventions.pictures[studied.concept.name]
    rows = with_and_without(site, frame, name, pictures.ablated)
    if not rows:
        return ()
    at = most_changed(rows)
    row, units = rows[at], len(pictures.ablated.units)
    areas = f"{name}: {percent(row.area_before)} of the image before, {percent(row.area_after)} after."
    return (
        StoryPicture(
            row.before, "An image is generated", f"Image {row.sample} of the generator.", f"Image {row.sample}"
        ),
        *_active(site, interventions, frame, name, row, at),
        StoryPicture(row.seen, f"A segmenter finds {name}", f"{name}, inside the yellow line.", f"{name} outlined"),
        StoryPicture(row.after, f"{units} units off", areas, f"The same image with {units} units off"),
        *_random(site, frame, name, pictures.control, at),
    )


def _active(
    site: Site, interventions: Interventions, frame: Frame, concept: str, row: AblatedImage, at: int
) -> Iterator[StoryPicture]:
    """Where one of the concept's units is active in the image."""
    unit = interventions.pictures[concept].control.unit
    if unit < 0:
        return
    yield StoryPicture(
        row.before,
        f"Unit {unit} is active",
        f"One of the {len(interventions.pictures[concept].ablated.units)} units: bright where it is on.",
        f"The same image, dark where unit {unit} of {interventions.layer} is off",
        frame.to(site.places.changed(concept, at, "active", "png")),
        frame.to(site.places.unit(interventions.layer, unit)),
    )


def _random(site: Site, frame: Frame, concept: str, control: RandomControl, at: int) -> Iterator[StoryPicture]:
    """The image with random units off instead."""
    if not control.units:
        return
    words = f"{len(control.units)} random units"
    yield StoryPicture(
        frame.to(site.places.changed(concept, at, "random")),
        f"{words} off instead",
        "A control: as many units, of similar mean activation.",
        f"The same image with {words} off",
    )


def _steps(studied: Studied) -> tuple[tuple[int, Point], ...]:
    """The curve of the preselected ranking."""
    curve = next((curve for curve in studied.curves if curve.ranking == studied.best), None)
    return () if curve is None else tuple(zip(curve.units, curve.points, strict=True))
