"""Look-up: from a point of an image to the units with high activations there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dissectreport.analysis.results.dissection import Layer
from dissectreport.report.common.model import Site
from dissectreport.report.common.unit_cards import strip_size
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.frame import Frame, Link


@dataclass(frozen=True)
class ActiveUnit:
    """A unit with high activations over much of an image."""

    unit: int
    href: str
    concept: NamedConcept
    where: str


@dataclass(frozen=True)
class LookedUp:
    """An image, and the most active units of each layer in it."""

    sample: int
    picture: str
    layers: tuple[tuple[str, tuple[ActiveUnit, ...]], ...]


@dataclass(frozen=True)
class LookupPage:
    """The units at a point of an image that the reader chooses."""

    frame: Frame
    model: str
    images: tuple[LookedUp, ...]
    layers: tuple[Link, ...]
    data: Mapping[str, Any]


def lookup_page(site: Site) -> LookupPage:
    """The look-up page, with a list for readers without scripts."""
    dissection, places = site.dissection, site.places
    frame = site.frame(
        places.page("lookup"),
        f"Look-up · {dissection.title}",
        "Which units are active at a point of an image.",
        site.assets.lookup,
        current="look-up",
    )
    samples = [int(s) for s in dissection.layers[0].lookup.samples]
    images = tuple(
        LookedUp(
            sample,
            frame.to(places.picture(sample)),
            tuple((layer.name, _strongest(site, frame, layer, sample)) for layer in dissection.layers),
        )
        for sample in samples
    )
    layers = tuple(Link(frame.to(places.layer(layer.name)), layer.name) for layer in dissection.layers)
    data = {"layers": [_lookup_layer(site, frame, layer) for layer in dissection.layers], "start": _start(site)}
    return LookupPage(frame, dissection.title, images, layers, data)


def _start(site: Site) -> Mapping[str, Any]:
    """Where the page opens: in the layer with most interpretable units, where most of them are highly active."""
    layers = site.dissection.layers
    number = max(range(len(layers)), key=lambda i: int(layers[i].table["interpretable"].sum()))
    lookup = layers[number].lookup
    high = (lookup.maps >= 243) & layers[number].table["interpretable"].to_numpy(bool)[None, :, None, None]
    sample, row, column = np.unravel_index(int(high.sum(1).argmax()), high[:, 0].shape)
    height, width = high.shape[2:]
    return {
        "sample": int(lookup.samples[sample]),
        "layer": number,
        "x": (int(column) + 0.5) / width,
        "y": (int(row) + 0.5) / height,
    }


def _lookup_layer(site: Site, frame: Frame, layer: Layer) -> Mapping[str, Any]:
    _, units, height, width = layer.lookup.maps.shape
    return {
        "name": layer.name,
        "folder": frame.to(site.places.layer(layer.name)).removesuffix("index.html"),
        "unit": site.places.unit_ends,
        "scripts": {int(s): frame.to(site.places.lookup(layer.name, int(s))) for s in layer.lookup.samples},
        "shape": [units, height, width],
        "strip": site.tile * strip_size(layer),
        "concepts": [str(c) for c in layer.table["concept"]],
        "marks": [mark_of(str(c)) for c in layer.table["category"]],
        "sure": [bool(i) for i in layer.table["interpretable"]],
    }


def _strongest(site: Site, frame: Frame, layer: Layer, sample: int, most: int = 5) -> tuple[ActiveUnit, ...]:
    at = list(layer.lookup.samples).index(sample)
    maps = layer.lookup.maps[at]
    mean = maps.reshape(len(maps), -1).mean(1)
    table = layer.table.set_index("unit")
    usable = np.array([bool(table.at[u, "interpretable"]) for u in range(len(maps))])
    order = np.argsort(-(mean + 1000 * usable), kind="stable")[:most]
    return tuple(
        ActiveUnit(
            unit=int(u),
            href=frame.to(site.places.unit(layer.name, int(u))),
            concept=NamedConcept(str(table.at[u, "concept"]), str(table.at[u, "category"])),
            where=_where(maps[u]),
        )
        for u in order
    )


def _where(map_: np.ndarray[Any, Any]) -> str:
    """The part of the image in which a map is highest, in words."""
    row, column = np.unravel_index(int(map_.argmax()), map_.shape)
    down = ("top", "middle", "bottom")[int(3 * row / map_.shape[0])]
    across = ("left", "centre", "right")[int(3 * column / map_.shape[1])]
    return f"{down} {across}"
