"""The first page of a model: its layers with their controls, and the layers of its concepts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from dissectreport.analysis.common.student import joint_reach
from dissectreport.analysis.dissection.match_curves import resampled_variance
from dissectreport.analysis.results.dissection import Control, Dissection, Kind, Layer
from dissectreport.report.artifacts.page import RepairTeaser, repair_teaser
from dissectreport.report.causes.overview import Teaser, teaser
from dissectreport.report.classes.unit_section import ClassTeaser, class_teaser
from dissectreport.report.common.model import (
    InterpretableCount,
    Site,
    above_chance,
    counts,
    counts_by_category,
    different,
    interpretable_labels,
    leading_units,
    rows_of,
    twins_in_words,
)
from dissectreport.report.common.wording import Wording, against_directions, what_units_know
from dissectreport.report.html.charts import Point, Series, over_layers
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.images import HEAD
from dissectreport.report.html.numbers import Agreement, listing
from dissectreport.report.html.policy import paint_policy
from dissectreport.report.pages.concepts import ConceptGrid, concept_grid
from dissectreport.report.pages.matches import MatchChart, match_charts, own_units_alone, privileged_layers
from dissectreport.report.pages.real_images import under_and_over
from dissectreport.report.paint.live_image import LiveImage, live_image


@dataclass(frozen=True)
class Within:
    """A layer's units by their label within one category, with the controls."""

    category: str
    mark: str
    counts: Mapping[str, InterpretableCount]
    css: Mapping[str, str]
    """Positions of bar, interval and random directions, as a percentage of the layer."""

    @classmethod
    def of(cls, category: str, mark: str, by_control: Mapping[str, InterpretableCount]) -> Within:
        """From the counts by control."""
        own = by_control[Control.MEASURED].as_share()
        positions = {"units": own.value, "low": own.low, "span": own.high - own.low}
        if Control.RANDOM_DIRECTIONS in by_control:
            positions[Control.RANDOM_DIRECTIONS] = by_control[Control.RANDOM_DIRECTIONS].as_share().value
        css = {name: f"{100 * (0 if math.isnan(value) else value):.1f}%" for name, value in positions.items()}
        return cls(category, mark, by_control, css)


@dataclass(frozen=True)
class OverviewLayer:
    """A layer on the overview."""

    name: str
    href: str
    units: int
    size: str
    counts: Mapping[str, InterpretableCount]
    within: tuple[Within, ...]
    strip: str
    unit: int
    concept: NamedConcept
    unit_href: str
    agreement: Agreement | None


@dataclass(frozen=True)
class OverviewPage:
    """A model's first page."""

    frame: Frame
    model: str
    interpretable: int
    units: int
    concepts: int
    has_enough_images: bool
    """Whether there were enough images to test which units are interpretable."""
    wording: Wording
    above_chance_note: str
    """How many interpretable units also match better than chance, where the rule does not require it."""
    held_out: int
    leading: OverviewLayer
    twins: str
    """Concepts that count as one, in words; '' where there are none."""
    within: int
    """Different concepts when every unit counts by its label in each category."""
    random_directions: float | None
    """Random directions that are interpretable, if they were measured in every layer."""
    answer: tuple[str, str]
    """Whether units are more interpretable than random directions: the difference, and a verdict."""
    bases: int
    """Random bases in which directions were measured."""
    own_units: str
    """How many concepts have a unit of their own; '' where that was not measured."""
    headline: str
    """What units match, in one sentence; '' where no unit is interpretable."""
    kinds: str
    """How many units are of each kind; '' where that was not measured."""
    band: str
    band_size: int
    reads: bool
    """Whether the images are read, not generated."""
    rows: tuple[OverviewLayer, ...]
    chart_units: Markup
    chart_concepts: Markup
    match_charts: tuple[MatchChart, ...]
    """Of the layer with most different labels: units by how well they match."""
    highlights: tuple[OverviewLayer, ...]
    lookup: str
    grid: ConceptGrid
    causes: Teaser | None
    classes: ClassTeaser | None
    repair: RepairTeaser | None
    live: LiveImage | None
    paint: str
    """The Paint page; '' where there is none."""
    no_classes: str
    """Why a classifier has no page of classes; '' where it has one, and for other models."""
    no_painting: str
    """Why there is none; '' where there is one, or it was not wanted."""
    more: Mapping[str, str]
    missing: str
    """Which concepts are under-represented in generated images; '' where that was not measured."""
    replication: str
    """The page of the second measurement; '' where none was made."""


def overview_page(site: Site) -> OverviewPage:
    """The model as a whole: layers against controls, and where concepts live."""
    dissection, places = site.dissection, site.places
    frame = site.frame(
        places.page("index"),
        dissection.title,
        f"Which concepts the units of {dissection.title} match, layer by layer.",
        current="overview",
    )
    rows = tuple(_layer_row(site, frame, layer) for layer in dissection.layers)
    named = pd.concat([layer.interpretable["concept"] for layer in dissection.layers])
    effects = teaser(site, frame)
    live = None if effects is None else live_image(site, frame, effects.concept)
    if live is not None:
        scripts = tuple(frame.to(script) for script in site.assets.live)
        frame = replace(frame, policy=paint_policy(), scripts=(*frame.scripts, *scripts))
    return OverviewPage(
        frame=frame,
        model=dissection.title,
        interpretable=len(named),
        units=sum(layer.units for layer in dissection.layers),
        concepts=different(dissection, named),
        has_enough_images=dissection.has_enough_images,
        wording=site.wording,
        above_chance_note=site.wording.also(len(named), sum(map(above_chance, dissection.layers))),
        held_out=dissection.provenance.held_out,
        twins=twins_in_words(dissection),
        leading=_leading(rows),
        within=different(
            dissection, pd.concat([interpretable_labels(layer)["concept"] for layer in dissection.layers])
        ),
        random_directions=_interpretable_directions(dissection.layers),
        answer=against_random_directions(dissection.layers, dissection.provenance.groups),
        bases=max(1, *(len(layer.by_rotation) for layer in dissection.layers)),
        own_units=_own_units(dissection.layers),
        headline=_headline(site),
        kinds=_what_units_know(dissection.layers),
        band=frame.to(places.image("band")),
        band_size=band_size(dissection),
        reads=bool(dissection.provenance.reads),
        rows=rows,
        chart_units=_layer_chart(dissection, True),
        chart_concepts=_layer_chart(dissection, False),
        match_charts=_match_charts(dissection, rows),
        highlights=_highlights(site, frame),
        lookup=frame.to(places.page("lookup")),
        grid=concept_grid(site, frame, limit=18),
        causes=effects,
        classes=class_teaser(site, frame),
        repair=repair_teaser(site, frame),
        live=live,
        paint="" if dissection.painting is None else frame.to(places.page("paint")),
        no_classes=dissection.no_classes,
        no_painting=dissection.no_painting,
        more={name: frame.to(places.page(name)) for name in ("concepts", "trust", "methods", "lookup", "real")},
        missing="" if dissection.reality is None else under_and_over(site, frame, dissection.reality),
        replication="" if dissection.replication is None else frame.to(places.page("replication")),
    )


def _interpretable_directions(layers: Sequence[Layer]) -> float | None:
    """Interpretable directions of all layers, if they were measured in every layer."""
    random_directions = [
        by_control[Control.RANDOM_DIRECTIONS].units
        for by_control in map(counts, layers)
        if Control.RANDOM_DIRECTIONS in by_control
    ]
    return sum(random_directions) if len(random_directions) == len(layers) else None


def against_random_directions(layers: Sequence[Layer], groups: int) -> tuple[str, str]:
    """Whether the units of some layers are more interpretable than random directions; '' if not measured.

    `groups` is the number of groups of images that score.
    """
    pairs = [
        (units_count[Control.MEASURED], units_count[Control.RANDOM_DIRECTIONS])
        for units_count in map(counts, layers)
        if Control.RANDOM_DIRECTIONS in units_count
    ]
    if len(pairs) < len(layers) or not all(
        units_count.known and directions_count.known for units_count, directions_count in pairs
    ):
        return "", ""
    units, random_directions, of = (
        sum(values)
        for values in zip(
            *(
                (units_count.units, directions_count.units, units_count.layer_units)
                for units_count, directions_count in pairs
            ),
            strict=True,
        )
    )
    return against_directions(
        units, random_directions, of, *_difference(layers, groups, units - random_directions, pairs)
    )


def _difference(
    layers: Sequence[Layer], groups: int, value: float, pairs: Sequence[tuple[InterpretableCount, InterpretableCount]]
) -> tuple[float, float]:
    """The 95% interval of a difference of counts, from the bootstrap, whose replicates are shared, if it was kept."""
    if all({Control.MEASURED, Control.RANDOM_DIRECTIONS} <= set(layer.resampled) for layer in layers):
        # Resampling lowers the counts of units and of directions differently; the mean loss is not uncertainty.
        shared = min(len(_replicated_difference(layer)) for layer in layers)
        every = np.sum([_replicated_difference(layer)[:shared] for layer in layers], axis=0)
        images = float(resampled_variance(every, groups))
        bases = min((len(layer.by_rotation) for layer in layers), default=0)
        spread = sum(float(np.var(one.by_rotation, ddof=1)) * (1 + 1 / bases) for one in layers) if bases > 1 else 0.0
        reach = joint_reach(images, max(1, groups - 1), spread, len(layers) * max(1, bases - 1))
        return min(math.floor(value - reach), value), max(math.ceil(value + reach), value)
    down = math.hypot(
        *(
            v
            for units_count, directions_count in pairs
            for v in (units_count.units - units_count.units_low, directions_count.units_high - directions_count.units)
        )
    )
    up = math.hypot(
        *(
            v
            for units_count, directions_count in pairs
            for v in (units_count.units_high - units_count.units, directions_count.units - directions_count.units_low)
        )
    )
    return math.floor(value - down), math.ceil(value + up)


def _leading(rows: Sequence[OverviewLayer]) -> OverviewLayer:
    """The layer with most different labels."""
    return max(rows, key=lambda r: (r.counts[Control.MEASURED].concepts, r.counts[Control.MEASURED].units))


def _match_charts(dissection: Dissection, rows: Sequence[OverviewLayer]) -> tuple[MatchChart, ...]:
    return match_charts(dissection.layers[rows.index(_leading(rows))])


def _replicated_difference(layer: Layer) -> NDArray[np.float64]:
    """(replicates,) interpretable units less interpretable random directions, of the replicates that both have."""
    units, directions = layer.resampled[Control.MEASURED], layer.resampled[Control.RANDOM_DIRECTIONS]
    return np.asarray(units[: len(directions)] - directions[: len(units)], np.float64)


def _own_units(layers: Sequence[Layer]) -> str:
    """How many concepts have a unit of their own, in the layer with most of them, and in which layers units are
    privileged; '' where that was not measured."""
    most = max(layers, key=lambda one: int(one.own_units["own_unit"].sum()))
    return " ".join(filter(None, (own_units_alone(most), privileged_layers(layers))))


def _what_units_know(layers: Sequence[Layer]) -> str:
    """How many units localise their concept, or tell which images show it; '' where that was not measured."""
    table = pd.concat([layer.table for layer in layers], ignore_index=True)
    if not (table["kind"] != "").any():
        return ""
    good = table[table["interpretable"].astype(bool)]
    localise = good[good["kind"] == Kind.OBJECT]
    objects, scenes = localise["category"].isin(LOCAL), good["kind"] == Kind.SCENE
    return what_units_know(len(table), len(localise), int(objects.sum()), int(scenes.sum()))


def band_size(dissection: Dissection) -> int:
    """Images in the row at the head of the overview."""
    return min(HEAD, len(dissection.pictures.numbers))


def _layer_row(site: Site, frame: Frame, layer: Layer, row: Any = None) -> OverviewLayer:
    best = row if row is not None else next(iter(rows_of(leading_units(layer))))
    return OverviewLayer(
        name=layer.name,
        href=frame.to(site.places.layer(layer.name)),
        units=layer.units,
        size=f"{layer.height} × {layer.width}",
        counts=counts(layer),
        within=tuple(Within.of(*row) for row in counts_by_category(site, layer)),
        strip=frame.to(site.places.strip(layer.name, int(best.unit))),
        unit=int(best.unit),
        concept=NamedConcept.of(best),
        unit_href=frame.to(site.places.unit(layer.name, int(best.unit))),
        agreement=Agreement.of(best) if not math.isnan(best.iou) else None,
    )


LOCAL = ("object", "part")
"""Categories of concepts that have a place of their own in each image."""


def first_page_story(site: Site) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The sentences that the first page begins with, and its pictures with their words, from the top of the site."""
    effects = teaser(site, site.frame("index.html", "", ""))
    if effects is None:
        return _headline(site), ()
    pictures = tuple((picture.source, picture.head) for picture in effects.pictures if not picture.overlay)
    return f"{_headline(site)} {effects.headline}".strip(), pictures


def _headline(site: Site, most: int = 6) -> str:
    """The concepts of the units that are shown first, in one sentence; '' if no unit is known to be interpretable."""
    if not site.dissection.has_enough_images:
        return ""
    names = _strongest_labels(site, most)["concept"].tolist()
    verb = "reads" if site.dissection.provenance.reads else "draws"
    return f"Single units of this network match what it {verb}: {listing(names)}." if names else ""


def _highlights(site: Site, frame: Frame, most: int = 6) -> tuple[OverviewLayer, ...]:
    """The strongest unit of each concept."""
    layers = site.dissection.layers
    return tuple(_layer_row(site, frame, layers[row.at], row) for row in rows_of(_strongest_labels(site, most)))


def _strongest_labels(site: Site, most: int) -> pd.DataFrame:
    """The strongest unit of each concept: those that localise objects and parts first, then scenes, then colours."""
    tables = [leading_units(layer).assign(at=i) for i, layer in enumerate(site.dissection.layers)]
    ranked = pd.concat(tables, ignore_index=True)
    ranked = ranked[ranked["interpretable"]].sort_values("selection_score", ascending=False, kind="stable")
    first = ranked.drop_duplicates("concept")
    turns = first.assign(turn=first.groupby("category").cumcount(), rank=_ranks(first))
    chosen = turns.sort_values(["rank", "turn", "selection_score"], ascending=[True, True, False], kind="stable")
    return chosen.head(most)


def _ranks(units: pd.DataFrame) -> list[int]:
    """0 for units that localise objects or parts, 1 for scenes of any concept but colours, 2 for colours and others."""
    local = units["category"].isin(LOCAL) & (units["kind"] == Kind.OBJECT)
    scene = (units["kind"] == Kind.SCENE) & (units["category"] != "colour")
    return [0 if is_local else 1 if is_scene else 2 for is_local, is_scene in zip(local, scene, strict=True)]


def _layer_chart(dissection: Dissection, units: bool) -> Markup:
    per_layer = [counts(layer) for layer in dissection.layers]
    controls = list(dict.fromkeys(c for by_control in per_layer for c in by_control))
    gap = Point(math.nan, math.nan, math.nan)

    def point(by_control: dict[str, InterpretableCount], control: str) -> Point:
        if control not in by_control:
            return gap
        return by_control[control].as_share() if units else by_control[control].as_concepts()

    series = [Series(c, tuple(point(by_control, c) for by_control in per_layer)) for c in controls]
    what = "Share of interpretable units" if units else "Number of different labels"
    return over_layers(
        "chart-units" if units else "chart-concepts",
        f"{what}, by layer",
        f"{what}, for each layer and its controls, with 95% intervals; the table below has the numbers.",
        [layer.name for layer in dissection.layers],
        series,
        as_share=units,
    )
