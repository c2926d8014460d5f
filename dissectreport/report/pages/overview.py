"""The first page of the site, and the first page of a model: a frozen dataclass for each template."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from dissectreport.analysis.results.dissection import Dissection, Layer
from dissectreport.report.artifacts.page import RepairTeaser, repair_teaser
from dissectreport.report.causes.overview import Teaser, teaser
from dissectreport.report.common.model import (
    Count,
    Site,
    beyond_chance,
    counts,
    counts_by_category,
    interpretable_labels,
    leading_units,
    rows_of,
)
from dissectreport.report.common.wording import Wording, against_directions, below_position
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.charts import Point, Series, over_layers
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.images import HEAD
from dissectreport.report.html.numbers import Agreement
from dissectreport.report.pages.concepts import ConceptGrid, concept_grid


@dataclass(frozen=True)
class Within:
    """A layer's units by their label within one category, beside the controls."""

    category: str
    mark: str
    counts: Mapping[str, Count]
    css: Mapping[str, str]
    """Where bar, interval and the rotated layer stand, in per cent of the layer."""

    @classmethod
    def of(cls, category: str, mark: str, found: Mapping[str, Count]) -> Within:
        """From the counts by control."""
        own = found["measured"].as_share()
        fit = {"units": own.value, "low": own.low, "span": own.high - own.low}
        if "rotated" in found:
            fit["rotated"] = found["rotated"].as_share().value
        css = {name: f"{100 * (0 if math.isnan(value) else value):.1f}%" for name, value in fit.items()}
        return cls(category, mark, found, css)


@dataclass(frozen=True)
class LayerRow:
    """A layer on the overview."""

    name: str
    href: str
    units: int
    size: str
    counts: Mapping[str, Count]
    within: tuple[Within, ...]
    strip: str
    unit: int
    concept: str
    mark: str
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
    tells: bool
    """Whether there were images enough to tell which units are interpretable."""
    wording: Wording
    beside: str
    """How many interpretable units also beat chance, in words, where the rule does not ask for it."""
    scoring: int
    leading: LayerRow
    within: int
    """Different concepts when every unit counts by its label in each category."""
    rotated: float | None
    """Random directions that are interpretable, if every layer was rotated."""
    answer: tuple[str, str]
    """Whether units do better than random directions: the interval of the difference, and what follows."""
    position: str
    """How many interpretable units do worse than a mask that ignores the image."""
    band: str
    band_size: int
    reads: bool
    """Whether the images are read, not generated."""
    rows: tuple[LayerRow, ...]
    chart_units: Markup
    chart_concepts: Markup
    highlights: tuple[LayerRow, ...]
    lookup: str
    grid: ConceptGrid
    causes: Teaser | None
    repair: RepairTeaser | None
    more: Mapping[str, str]


def overview_page(site: Site) -> OverviewPage:
    """The model as a whole: layers against controls, and where concepts live."""
    found, places = site.dissection, site.places
    around = site.frame(
        places.page("index"),
        found.title,
        f"What the units of {found.title} mean, layer by layer.",
        current="overview",
    )
    rows = tuple(_layer_row(site, around, layer) for layer in found.layers)
    named = pd.concat([layer.interpretable["concept"] for layer in found.layers])
    return OverviewPage(
        frame=around,
        model=found.title,
        interpretable=len(named),
        units=sum(layer.units for layer in found.layers),
        concepts=int(named.nunique()),
        tells=found.tells,
        wording=site.wording,
        beside=site.wording.also(len(named), sum(map(beyond_chance, found.layers))),
        scoring=found.provenance.scoring,
        leading=max(rows, key=lambda r: (r.counts["measured"].concepts, r.counts["measured"].units)),
        within=int(pd.concat([interpretable_labels(layer)["concept"] for layer in found.layers]).nunique()),
        rotated=_rotated(found.layers),
        answer=against_rotated(found.layers),
        position=_below_position(found.layers),
        band=around.to(places.image("band")),
        band_size=band_size(found),
        reads=bool(found.provenance.reads),
        rows=rows,
        chart_units=_layer_chart(found, True),
        chart_concepts=_layer_chart(found, False),
        highlights=_highlights(site, around),
        lookup=around.to(places.page("lookup")),
        grid=concept_grid(site, around, limit=18),
        causes=teaser(site, around),
        repair=repair_teaser(site, around),
        more={name: around.to(places.page(name)) for name in ("concepts", "trust", "methods", "lookup")},
    )


def _rotated(layers: Sequence[Layer]) -> float | None:
    """Interpretable directions of all layers, if every layer was rotated."""
    found = [one["rotated"].units for one in map(counts, layers) if "rotated" in one]
    return sum(found) if len(found) == len(layers) else None


def against_rotated(layers: Sequence[Layer]) -> tuple[str, str]:
    """Whether the units of some layers do better than random directions; '' where that was not measured."""
    pairs = [(found["measured"], found["rotated"]) for found in map(counts, layers) if "rotated" in found]
    if len(pairs) < len(layers) or not all(one.known and other.known for one, other in pairs):
        return "", ""
    units, rotated, of = (
        sum(values) for values in zip(*((one.units, other.units, one.of) for one, other in pairs), strict=True)
    )
    return against_directions(units, rotated, of, *_difference(layers, units - rotated, pairs))


def _difference(layers: Sequence[Layer], value: float, pairs: Sequence[tuple[Count, Count]]) -> tuple[float, float]:
    """The 95 % interval of a difference of counts, from the bootstrap, whose replicates are shared, if it was kept."""
    if all({"measured", "rotated"} <= set(layer.resampled) for layer in layers):
        spread = sum(layer.resampled["measured"] - layer.resampled["rotated"] for layer in layers)
        # Resampling costs units and directions differently; what it costs on average is no part of the uncertainty.
        low, high = np.percentile(spread - np.mean(spread) + value, [2.5, 97.5])
        return min(math.floor(low), value), max(math.ceil(high), value)
    down = math.hypot(*(v for one, other in pairs for v in (one.units - one.units_low, other.units_high - other.units)))
    up = math.hypot(*(v for one, other in pairs for v in (one.units_high - one.units, other.units - other.units_low)))
    return math.floor(value - down), math.ceil(value + up)


def _below_position(layers: Sequence[Layer]) -> str:
    tables = [layer.interpretable for layer in layers]
    below = sum(int((table["iou"] < table["position_only"]).sum()) for table in tables)
    return below_position(sum(map(len, tables)), below)


def band_size(found: Dissection) -> int:
    """Images in the row at the head of the overview."""
    return min(HEAD, len(found.pictures.numbers))


def _layer_row(site: Site, around: Frame, layer: Layer, row: Any = None) -> LayerRow:
    best = row if row is not None else next(iter(rows_of(leading_units(layer))))
    return LayerRow(
        name=layer.name,
        href=around.to(site.places.layer(layer.name)),
        units=layer.units,
        size=f"{layer.height} × {layer.width}",
        counts=counts(layer),
        within=tuple(Within.of(*found) for found in counts_by_category(site, layer)),
        strip=around.to(site.places.strip(layer.name, int(best.unit))),
        unit=int(best.unit),
        concept=str(best.concept),
        mark=mark_of(str(best.category)),
        unit_href=around.to(site.places.unit(layer.name, int(best.unit))),
        agreement=Agreement.of(best) if not math.isnan(best.iou) else None,
    )


def _highlights(site: Site, around: Frame, most: int = 6) -> tuple[LayerRow, ...]:
    """The surest unit of each concept, the categories taking turns."""
    tables = [leading_units(layer).assign(at=i) for i, layer in enumerate(site.dissection.layers)]
    ranked = pd.concat(tables, ignore_index=True)
    ranked = ranked[ranked["interpretable"]].sort_values("excess_low", ascending=False, kind="stable")
    first = ranked.drop_duplicates("concept")
    turns = first.assign(turn=first.groupby("category").cumcount())
    chosen = turns.sort_values(["turn", "excess_low"], ascending=[True, False], kind="stable").head(most)
    layers = site.dissection.layers
    return tuple(_layer_row(site, around, layers[row.at], row) for row in rows_of(chosen))


def _layer_chart(found: Dissection, units: bool) -> Markup:
    per_layer = [counts(layer) for layer in found.layers]
    controls = list(dict.fromkeys(c for one in per_layer for c in one))
    gap = Point(math.nan, math.nan, math.nan)

    def point(one: dict[str, Count], control: str) -> Point:
        if control not in one:
            return gap
        return one[control].as_share() if units else one[control].as_concepts()

    series = [Series(c, tuple(point(one, c) for one in per_layer)) for c in controls]
    what = "Share of units that are interpretable" if units else "Different concepts among interpretable units"
    return over_layers(
        "chart-units" if units else "chart-concepts",
        f"{what}, by layer",
        f"{what}, for the layer and its controls, with 95 % intervals; the table below has the numbers.",
        [layer.name for layer in found.layers],
        series,
        as_share=units,
    )
