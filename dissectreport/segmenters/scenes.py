"""The segmenter of drawn scenes with a church.

segmenter = load()
concepts = segmenter(images)            # (n, 4, 128, 128) int64: object, part, material, colour; 0 = nothing
"""

from __future__ import annotations

from pathlib import Path

from dissectreport.segmenters.drawn import DrawnSegmenter, load_drawn

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


def load(weights: Path | None = None) -> DrawnSegmenter:
    """The segmenter with the weights of the package, or with others; a card beside them is checked."""
    return load_drawn("scenes", LEARNED, weights)
