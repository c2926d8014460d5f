"""The segmenter of drawn rooms.

segmenter = load()
concepts = segmenter(images)            # (n, 4, 128, 128) int64: object, part, material, colour; 0 = nothing
"""

from __future__ import annotations

from pathlib import Path

from dissectreport.segmenters.unet import UNetSegmenter, load_unet

OBJECTS = (
    *("wall", "floor", "ceiling", "window", "curtain", "door", "picture"),
    *("rug", "bed", "sofa", "table", "chair", "lamp"),
)
PARTS = (
    *("pane", "window frame", "door leaf", "door frame", "picture frame"),
    *("headboard", "pillow", "blanket", "cushion"),
    *("table top", "table leg", "chair back", "chair seat", "chair leg", "lamp shade", "lamp stand"),
)
MATERIALS = (
    *("plaster", "paper", "brick", "wood", "tile", "carpet"),
    *("fabric", "leather", "glass", "metal"),
)
LEARNED = {"object": OBJECTS, "part": PARTS, "material": MATERIALS}


def load(weights: Path | None = None) -> UNetSegmenter:
    """The segmenter with the weights of the package, or with those of a file; see `load_unet`."""
    return load_unet("rooms", LEARNED, weights)
