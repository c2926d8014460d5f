"""The image at the head of the overview, of which the reader switches units off while the network draws it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dissectreport.report.common.model import Site
from dissectreport.report.html.frame import Frame
from dissectreport.report.paint.page import network_data


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
    """The scene that shows most of a concept; None where nothing can be painted, or the concept has no brush."""
    painting = site.dissection.painting
    brushes = () if painting is None else painting.brushes
    brush = next((brush for brush in brushes if brush.concept == concept), None)
    if painting is None or brush is None:
        return None
    network = painting.network
    number = int(network.areas[network.samples >= 0, brush.number].argmax())
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
