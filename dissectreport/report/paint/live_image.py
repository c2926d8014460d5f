"""The image at the head of the overview, of which the reader switches units off while the network draws it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dissectreport.analysis.results.painting import Painting
from dissectreport.report.common.model import Site
from dissectreport.report.html.frame import Frame
from dissectreport.report.paint.page import network_data

LITTLE = 0.01
"""The share of an image from which on a concept is seen at a glance."""


@dataclass(frozen=True)
class LiveImage:
    """A scene of the gallery, and the causal units of a concept in the order in which they are switched off."""

    concept: str
    layer: str
    picture: str
    sample: int
    width: int
    height: int
    units: int
    megabytes: float
    """What loads when the first unit is switched off."""
    href: str
    """The Paint page with the same scene."""
    data: Mapping[str, Any]


def live_image(site: Site, frame: Frame, concept: str) -> LiveImage | None:
    """A scene that shows much of a concept; None where nothing can be painted, or the concept has no brush."""
    painting = site.dissection.painting
    brushes = () if painting is None else painting.brushes
    brush = next((brush for brush in brushes if brush.concept == concept), None)
    if painting is None or brush is None:
        return None
    network = painting.network
    number = _telling_scene(painting, brush.number)
    sample = int(network.samples[number])
    data = network_data(site, frame, painting, without=("labels",))
    return LiveImage(
        concept=concept,
        layer=painting.layer,
        picture=frame.to(site.places.painted(sample)),
        sample=sample,
        width=network.images.shape[2],
        height=network.images.shape[1],
        units=len(brush.ranked),
        megabytes=data["bytes"]["wasm"] / 1e6,
        href=f"{frame.to(site.places.page('paint'))}#s={sample}",
        data={**data, "ranked": list(brush.ranked), "sample": sample},
    )


def _telling_scene(painting: Painting, concept: int) -> int:
    """The number in the gallery of a scene that shows much of a concept, and as many others as possible."""
    areas = painting.network.areas[painting.network.samples >= 0]
    much = areas[:, concept] >= areas[:, concept].max() / 2
    shown = (areas >= painting.network.pixels * LITTLE).sum(1)
    return int(np.where(much, shown, -1).argmax())
