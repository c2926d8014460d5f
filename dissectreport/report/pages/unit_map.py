"""The map of units: all units of all layers as thumbnails, those with similar labels beside each other."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from dissectreport.analysis.results.dissection import ExampleKind, Layer
from dissectreport.report.common.model import Site, leading_units, rows_of
from dissectreport.report.html import images
from dissectreport.report.html.category_marks import COLOURS
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.frame import Frame, Link
from dissectreport.report.pages.unit_layout import grid_for, unit_cells

WIDTH = 1180
"""Pixels that the map is wide, where its cells become neither too small nor too large."""
SMALLEST, LARGEST = 28, 96
"""Pixels along a side of a cell."""
BORDER = 2
NAMES = 36
"""Most concepts that are named on the map."""
FAINT = 0.35
"""How much of the picture of a unit that is not interpretable is left."""
PAPER = np.array((128, 126, 122), np.float32)
"""What such a picture fades into: readable on light and on dark pages."""
QUALITY = 60


@dataclass(frozen=True)
class MapUnit:
    """A unit of the map."""

    layer: int
    row: Any
    """Its row in the layer's table."""

    @property
    def concept(self) -> NamedConcept:
        """Its label; without a name where it is not interpretable."""
        return NamedConcept.of(self.row) if self.row.interpretable else NamedConcept("", "")


@dataclass(frozen=True)
class UnitMap:
    """The units of a model, strongest first, and the cell of each in a grid."""

    units: tuple[MapUnit, ...]
    cells: NDArray[np.int64]
    columns: int
    rows: int

    @property
    def cell(self) -> int:
        """Pixels along a side of a cell."""
        return min(max(WIDTH // self.columns, SMALLEST), LARGEST)

    @classmethod
    def of(cls, site: Site) -> UnitMap:
        """Of all layers; the interpretable units have the first choice of cells."""
        layers = site.dissection.layers
        units = [MapUnit(i, row) for i, layer in enumerate(layers) for row in rows_of(leading_units(layer))]
        units.sort(key=lambda one: (not one.row.interpretable, -float(np.nan_to_num(one.row.selection_score, nan=-9))))
        columns, rows = grid_for(len(units))
        return cls(tuple(units), unit_cells(_matches(site, units), columns, rows), columns, rows)


def _matches(site: Site, units: Sequence[MapUnit]) -> NDArray[np.float64]:
    """(units, concepts) the selection score of each unit with each of its best concepts, and 0 elsewhere."""
    pairs = pd.concat([layer.pairs.assign(layer=i) for i, layer in enumerate(site.dissection.layers)])
    at = {(one.layer, int(one.row.unit)): i for i, one in enumerate(units)}
    names = {str(name): i for i, name in enumerate(dict.fromkeys(pairs["concept"]))}
    matches = np.zeros((len(units), max(len(names), 1)))
    columns = (pairs["layer"], pairs["unit"], pairs["concept"], pairs["selection_score"])
    for layer, unit, concept, score in zip(*columns, strict=True):
        matches[at[int(layer), int(unit)], names[str(concept)]] = max(float(np.nan_to_num(score)), 0.0)
    return matches


@dataclass(frozen=True)
class MapName:
    """A concept that is named on the map, in the middle of its units."""

    concept: NamedConcept
    href: str
    left: str
    top: str


@dataclass(frozen=True)
class MapRow:
    """A concept in the list that says the same as the map."""

    concept: NamedConcept
    href: str
    layers: tuple[tuple[Link, tuple[Link, ...]], ...]
    """Layers with their units of the concept, strongest first."""


@dataclass(frozen=True)
class MapPage:
    """All units of a model on one picture."""

    frame: Frame
    model: str
    picture: str
    width: int
    height: int
    total: int
    interpretable: int
    layers: tuple[str, ...]
    names: tuple[MapName, ...]
    rows: tuple[MapRow, ...]
    effects: bool
    """Whether causal effects of units are known."""
    data: Mapping[str, Any]


def map_page(site: Site, made: UnitMap) -> MapPage:
    """The map with its names, its list, and what its script needs."""
    dissection, places = site.dissection, site.places
    frame = site.frame(
        places.page("map"),
        f"Map of units · {dissection.title}",
        f"All units of {dissection.title}, those with similar labels beside each other.",
        site.assets.map,
        current="map",
    )
    return MapPage(
        frame=frame,
        model=dissection.title,
        picture=frame.to(places.image("map")),
        width=made.columns * made.cell,
        height=made.rows * made.cell,
        total=len(made.units),
        interpretable=sum(bool(one.row.interpretable) for one in made.units),
        layers=tuple(layer.name for layer in dissection.layers),
        names=_names(site, frame, made),
        rows=_rows(site, frame, made),
        effects=bool(site.strongest_effects),
        data=_data(site, frame, made),
    )


def _by_concept(made: UnitMap) -> dict[NamedConcept, list[int]]:
    """The interpretable units of each concept, those with most units first."""
    groups: dict[NamedConcept, list[int]] = {}
    for i, one in enumerate(made.units):
        if one.concept.name:
            groups.setdefault(one.concept, []).append(i)
    return dict(sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0].name)))


def _names(site: Site, frame: Frame, made: UnitMap) -> tuple[MapName, ...]:
    """The concepts with most units, each on its unit nearest to their median, unless a larger one is named there."""
    named: list[tuple[float, float]] = []
    shown: list[MapName] = []
    for concept, units in _by_concept(made).items():
        down, across = np.divmod(made.cells[units], made.columns)
        middle = np.argmin((across - np.median(across)) ** 2 + (down - np.median(down)) ** 2)
        x, y = (float(across[middle]) + 0.5) / made.columns, (float(down[middle]) + 0.5) / made.rows
        if len(shown) < NAMES and all(abs(x - a) > 0.085 or abs(y - b) > 0.05 for a, b in named):
            named.append((x, y))
            href = site.concept_href(frame, concept.name)
            shown.append(MapName(concept, href, f"{100 * x:.1f}%", f"{100 * y:.1f}%"))
    return tuple(shown)


def _rows(site: Site, frame: Frame, made: UnitMap) -> tuple[MapRow, ...]:
    return tuple(
        MapRow(concept, site.concept_href(frame, concept.name), tuple(_layers_of(site, frame, made, units)))
        for concept, units in sorted(_by_concept(made).items(), key=lambda pair: pair[0].name)
    )


def _layers_of(site: Site, frame: Frame, made: UnitMap, units: Sequence[int]) -> list[tuple[Link, tuple[Link, ...]]]:
    places, by_layer = site.places, dict[int, list[int]]()
    for i in units:
        by_layer.setdefault(made.units[i].layer, []).append(int(made.units[i].row.unit))
    return [
        (
            Link(frame.to(places.layer(layer.name)), layer.name),
            tuple(Link(frame.to(places.unit(layer.name, unit)), str(unit)) for unit in by_layer[number]),
        )
        for number, layer in enumerate(site.dissection.layers)
        if number in by_layer
    ]


def _data(site: Site, frame: Frame, made: UnitMap) -> Mapping[str, Any]:
    """Unit by unit: its cell, layer, number, label, hundredths of IoU, whether interpretable, and what it removes."""
    layers, names = site.dissection.layers, {str(n): i for i, n in enumerate(site.dissection.vocabulary["concept"])}
    interventions = site.dissection.interventions
    edited = "" if interventions is None else interventions.layer
    rows = [one.row for one in made.units]
    return {
        "columns": made.columns,
        "rows": made.rows,
        "layers": [
            [layer.name, frame.to(site.places.layer(layer.name)).removesuffix("index.html")] for layer in layers
        ],
        "unit": site.places.unit_ends,
        "names": list(names),
        "cells": made.cells.tolist(),
        "layer": [one.layer for one in made.units],
        "units": [int(row.unit) for row in rows],
        "labels": [names.get(str(row.concept), 0) for row in rows],
        "corrected": [None if np.isnan(row.corrected_iou) else round(100 * row.corrected_iou) for row in rows],
        "sure": "".join(str(int(row.interpretable)) for row in rows),
        "effects": {
            str(i): site.strongest_effects[int(one.row.unit)].words
            for i, one in enumerate(made.units)
            if layers[one.layer].name == edited and int(one.row.unit) in site.strongest_effects
        },
    }


def map_picture(site: Site, made: UnitMap) -> bytes:
    """Every unit's thumbnail in its cell, framed in the colour of its category; faint where not interpretable."""
    side, inner = made.cell, made.cell - 2 * BORDER
    canvas = np.zeros((made.rows * side, made.columns * side, 4), np.uint8)
    for one, cell in zip(made.units, made.cells.tolist(), strict=True):
        down, across = divmod(cell, made.columns)
        box = canvas[down * side : (down + 1) * side - 1, across * side : (across + 1) * side - 1]
        shown = thumbnail(site, site.dissection.layers[one.layer], int(one.row.unit), inner)
        if one.row.interpretable:
            box[..., :3], box[..., 3] = COLOURS[one.concept.mark], 255
        else:
            shown = np.asarray(shown * FAINT + PAPER * (1 - FAINT), np.uint8)
        box[BORDER : BORDER + inner, BORDER : BORDER + inner, :3] = shown
        box[BORDER : BORDER + inner, BORDER : BORDER + inner, 3] = 255
    out = io.BytesIO()
    Image.fromarray(canvas).save(out, "WEBP", quality=QUALITY, method=4, exact=False)
    return out.getvalue()


def thumbnail(site: Site, layer: Layer, unit: int, side: int) -> images.Bytes:
    """(side, side, 3): the half of the unit's first image around the place where it is most active."""
    examples = layer.examples
    first = int((examples.kind == ExampleKind.TOP).argmax())
    pixels = site.dissection.pictures.of(int(examples.samples[unit, first]))
    map_ = examples.maps[unit, first]
    down, across = np.unravel_index(int(map_.argmax()), map_.shape)
    height, width = pixels.shape[:2]
    edge = max(1, min(height, width) // 2)
    top = int(np.clip((down + 0.5) / map_.shape[0] * height - edge / 2, 0, height - edge))
    left = int(np.clip((across + 0.5) / map_.shape[1] * width - edge / 2, 0, width - edge))
    crop = Image.fromarray(np.ascontiguousarray(pixels[top : top + edge, left : left + edge]))
    return np.asarray(crop.resize((side, side), Image.Resampling.BICUBIC))
