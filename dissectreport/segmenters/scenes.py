"""The segmenter of drawn scenes with a church.

segmenter = load()
concepts = segmenter(images)            # (n, 4, 128, 128) int64: object, part, material, colour; 0 = nothing
"""

from __future__ import annotations

from pathlib import Path

from dissectreport.segmenters.unet import UNetSegmenter, load_unet

OBJECTS = (
    *("sky", "cloud", "hill", "grass", "path", "wall"),
    *("roof", "dome", "window", "door", "tree", "tower"),
)
PARTS = (
    *("tree crown", "tree trunk", "spire", "cupola", "belfry"),
    *("tower shaft", "wall window", "tower window"),
)
MATERIALS = (
    *("brick", "stone", "plaster", "tile", "slate", "metal"),
    *("glass", "wood", "foliage", "turf", "earth", "rock"),
)
LEARNED = {"object": OBJECTS, "part": PARTS, "material": MATERIALS}


def load(weights: Path | None = None) -> UNetSegmenter:
    """The segmenter with the weights of the package, or with those of a file; see `load_unet`."""
    return load_unet("scenes", LEARNED, weights)
