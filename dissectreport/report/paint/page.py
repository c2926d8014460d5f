"""The Paint page: what it shows without scripts, and the data that its scripts work with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from dissectreport.analysis.results.dissection import Layer
from dissectreport.analysis.results.painting import Painting, UnitBrush
from dissectreport.report.common.model import Site
from dissectreport.report.html import images
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.parts import RUNTIMES, runtime_files
from dissectreport.report.html.places import Files
from dissectreport.report.html.policy import paint_policy
from dissectreport.report.paint.network_files import floats, network_files, packed_files

MOST_SCENES = 100_000
MOST_NUMBERS = 2**26
"""Random numbers that the page draws for one scene, those of all scenes before it included: about three seconds."""


@dataclass(frozen=True)
class PaintBrush:
    """A brush, as a button."""

    concept: NamedConcept
    units: int


@dataclass(frozen=True)
class PaintScene:
    """An image of the gallery."""

    sample: int
    picture: str
    shows: str
    """The studied concepts that it shows, in words."""


@dataclass(frozen=True)
class PaintPhoto:
    """An inverted photo of the gallery."""

    name: str
    scene: PaintScene
    original: str
    """The photo itself."""


@dataclass(frozen=True)
class PaintPage:
    """The page."""

    frame: Frame
    model: str
    layer: str
    layer_href: str
    units: int
    width: int
    height: int
    brushes: tuple[PaintBrush, ...]
    scenes: tuple[PaintScene, ...]
    photos: tuple[PaintPhoto, ...]
    megabytes: float
    """What the page loads, besides itself."""
    segments: bool
    last: int
    """The largest number of a new scene; -1 where there are none."""
    repair: int
    """Units of the repair; 0 where there is none."""
    notes: tuple[str, ...]
    data: Mapping[str, Any]


def paint_page(site: Site, painting: Painting) -> PaintPage:
    """The Paint page of a model."""
    dissection, places, network = site.dissection, site.places, painting.network
    frame = site.frame(
        places.page("paint"),
        f"Paint · {dissection.title}",
        f"Paint units of {painting.layer} into images of {dissection.title} and see what the network draws.",
        *site.assets.painting,
        current="paint",
    )
    layer = dissection.layer(painting.layer)
    data = _data(site, frame, painting, layer)
    return PaintPage(
        frame=replace(frame, policy=paint_policy()),
        model=dissection.title,
        layer=painting.layer,
        layer_href=frame.to(places.layer(painting.layer)),
        units=data["units"],
        width=network.images.shape[2],
        height=network.images.shape[1],
        brushes=tuple(PaintBrush(_named(site, brush), len(brush.units)) for brush in painting.brushes),
        scenes=tuple(_scene(site, frame, painting, k) for k in np.flatnonzero(network.samples >= 0).tolist()),
        photos=tuple(_photo(site, frame, painting, k) for k in range(len(network.photos))),
        megabytes=data["bytes"]["wasm"] / 1e6,
        segments=bool(network.labels),
        last=data["last"],
        repair=len(painting.repair),
        notes=network.notes,
        data=data,
    )


def _named(site: Site, brush: UnitBrush) -> NamedConcept:
    row = site.dissection.vocabulary.iloc[brush.number]
    return NamedConcept(brush.concept, str(row["category"]))


def _scene(site: Site, frame: Frame, painting: Painting, number: int) -> PaintScene:
    network = painting.network
    shown = [brush.concept for brush in painting.brushes if network.areas[number, brush.number]]
    sample = int(network.samples[number])
    return PaintScene(sample, frame.to(site.places.painted(sample)), ", ".join(shown))


def _photo(site: Site, frame: Frame, painting: Painting, number: int) -> PaintPhoto:
    network = painting.network
    at = len(network.samples) - len(network.photos) + number
    original = frame.to(site.places.painted_photo(number + 1))
    return PaintPhoto(network.photos[number], _scene(site, frame, painting, at), original)


def last_scene(painting: Painting) -> int:
    """The largest number of a scene that the page draws from its latent; -1 where it draws none."""
    numbers = prod(painting.network.latents.shape[1:])
    return min(MOST_SCENES, MOST_NUMBERS // max(1, numbers)) - 1 if painting.network.head else -1


def network_data(site: Site, frame: Frame, painting: Painting, without: Sequence[str] = ()) -> dict[str, Any]:
    """What scripts need to run the network of a page, without some of its files, as plain JSON."""
    network = painting.network
    packed = {name: file for name, file in packed_files(painting).items() if name not in without}
    runtime = runtime_files()
    own = {
        name: [frame.to(site.places.paint_part(name, part)) for part in range(len(file.parts))]
        for name, file in packed.items()
    }
    sizes = {name: sum(len(script) for _, script in scripts) for name, scripts in runtime.items()}
    return {
        "units": network.activations.shape[1],
        "cells": [side - 2 * network.margin for side in network.activations.shape[2:]],
        "margin": network.margin,
        "reach": network.reach,
        "image": [int(side) for side in network.images.shape[1:3]],
        "seed": network.seed,
        "latent": [int(side) for side in network.latents.shape[1:]],
        "samples": [int(sample) for sample in network.samples],
        "stored": len(network.activations),
        "last": last_scene(painting),
        "others": {name: list(network.others[name].shape[1:]) for name in sorted(network.others)},
        "files": {name: [frame.to(address) for address, _ in scripts] for name, scripts in runtime.items()} | own,
        "bytes": {
            processor: sum(sizes[name] for name in names) + sum(file.size for file in packed.values())
            for processor, names in RUNTIMES.items()
        },
    }


def _data(site: Site, frame: Frame, painting: Painting, layer: Layer) -> dict[str, Any]:
    """What the scripts of the page need, as plain JSON."""
    network, facts = painting.network, site.dissection.provenance
    return network_data(site, frame, painting) | {
        "model": facts.model,
        "identity": str(facts.generator.get("identity", "")),
        "layer": painting.layer,
        "photos": list(network.photos),
        "pictures": [frame.to(site.places.painted(int(sample))) for sample in network.samples],
        "contexts": network.contexts.tolist(),
        "areas": network.areas.tolist(),
        "pixels": network.pixels,
        "levels": floats(painting.levels),
        "brushes": [_brush(brush) for brush in painting.brushes],
        "repair": list(painting.repair),
        "concepts": [str(name) for name in site.dissection.vocabulary["concept"]],
        "colours": [_hex(colour) for colour in images.concept_colours(site.dissection.vocabulary)],
        "labels": [str(name) for name in layer.table["concept"]],
    }


def _hex(colour: Any) -> str:
    return "#" + "".join(f"{int(value):02x}" for value in colour)


def _brush(brush: UnitBrush) -> dict[str, Any]:
    return {
        "concept": brush.concept,
        "number": brush.number,
        "units": list(brush.units),
        "values": list(brush.values),
        "gains": {
            str(number): [gain.gain, gain.low, gain.high, gain.insertions] for number, gain in brush.contexts.items()
        },
    }


def paint_files(site: Site, painting: Painting) -> Files:
    """The scripts with the network, and the images of the gallery."""
    network = painting.network
    pictures = {
        site.places.painted(int(sample)): images.webp(np.asarray(pixels), images.QUALITY)
        for sample, pixels in zip(network.samples, network.images, strict=True)
    }
    photos = {
        site.places.painted_photo(number): images.webp(np.asarray(pixels), images.QUALITY)
        for number, pixels in enumerate(network.originals, start=1)
    }
    return network_files(site.places, painting) | pictures | photos
