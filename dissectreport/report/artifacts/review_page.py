"""The contact sheet of a layer, on which a person marks units that cause artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dissectreport.analysis.results.dissection import ExampleKind, Layer
from dissectreport.report.common import commands
from dissectreport.report.common.model import Site, rows_of
from dissectreport.report.common.unit_cards import Card, card, neighbours, strip_size
from dissectreport.report.html.frame import Frame, Link

KINDS = (("artifact", "a"), ("fine", "f"), ("unsure", "u"))
"""What a unit may be marked as, with the key for it."""


@dataclass(frozen=True)
class ReviewPage:
    """Every unit of a layer in order of numbers, to be marked."""

    frame: Frame
    command: str
    """The command that tests the marked units."""
    layer: str
    per_strip: int
    cards: tuple[Card, ...]
    kinds: tuple[tuple[str, str], ...]
    data: Mapping[str, Any]


def review_page(site: Site, layer: Layer) -> ReviewPage:
    """The contact sheet with what its script needs to know."""
    dissection, places = site.dissection, site.places
    title = f"Review of {layer.name} · {dissection.title}"
    frame = site.frame(
        places.review(layer.name), title, f"Mark the units of {layer.name} that cause artifacts.", site.assets.review
    )
    up = Link(frame.to(places.layer(layer.name)), layer.name)
    frame = replace(frame, crumbs=(Link(frame.to(places.page("index")), dissection.title), up), keys=("[", "]"))
    listed = [(places.review(layer.name), layer.name) for layer in dissection.layers]
    frame = neighbours(frame, listed, [name for _, name in listed].index(layer.name))
    data = _data(site, frame, layer)
    return ReviewPage(
        frame,
        commands.measure_again_with(dissection, data["file"]),
        layer.name,
        strip_size(layer),
        tuple(card(site, frame, layer, row) for row in rows_of(layer.table)),
        KINDS,
        data,
    )


def _data(site: Site, frame: Frame, layer: Layer) -> Mapping[str, Any]:
    top = [i for i, kind in enumerate(layer.examples.kind.tolist()) if kind == ExampleKind.TOP][: strip_size(layer)]
    folder = site.places.layers[layer.name]
    return {
        "model": site.dissection.model,
        "layer": layer.name,
        "identity": str(site.dissection.provenance.generator.get("identity", "")),
        "file": f"{site.places.home}-{folder}-marks.json",
        "units": [int(unit) for unit in layer.table["unit"]],
        "samples": layer.examples.samples[:, top].tolist(),
        "folder": frame.to(site.places.picture(0)).removesuffix("0.webp"),
        "tile": site.tile,
    }
