"""The class of a drawn scene: its light, or what kind of church stands in it by clear day.

    scene_class(draw(seed=0, number=7, size=64), 0, 7)          # 4: a church with a spire

Every scene has one class. Weather is known from how the scene was drawn, and the church from what is visible of it.
"""

from __future__ import annotations

import numpy

from dissectreport.drawings.brush import Bytes, Drawing
from dissectreport.drawings.scenes import SCENES, choose_weather
from dissectreport.segmenters.scenes import OBJECTS, PARTS

CLASSES = ("dusk", "overcast", "no church", "plain church", "dome", "spire", "cupola", "dome and tower")
"""By clear day: no church, one without dome and tower, one with a dome, with a tower that has a spire or a cupola, and
with both dome and tower."""
VISIBLE = 1 / 500
"""Share of the image that must show a part of a church for it to count."""


def scene_class(drawing: Drawing, seed: int, number: int) -> int:
    """The position in `CLASSES` of drawing `number` of the series `seed` of scenes."""
    weather = choose_weather(numpy.random.default_rng((seed, number)))
    if weather:
        return CLASSES.index("dusk" if weather == 2 else "overcast")
    return CLASSES.index(_church(drawing.labels[0], drawing.labels[1]))


def _church(objects: Bytes, parts: Bytes) -> str:
    """The church in the labels (h, w) of objects and parts."""

    def shown(mask: numpy.ndarray) -> bool:
        return bool(mask.mean() > VISIBLE)

    def has(name: str) -> numpy.ndarray:
        return numpy.asarray(objects == OBJECTS.index(name) + 1)

    cupola, spire = (parts == PARTS.index(name) + 1 for name in ("cupola", "spire"))
    if not shown(has("wall")) and not shown(has("tower")):
        return "no church"
    dome, tower = shown(has("dome") & ~cupola), shown(has("tower"))
    if tower:
        return "dome and tower" if dome else "spire" if shown(spire) else "cupola"
    return "dome" if dome else "plain church"


assert tuple(SCENES.words) == ("object", "part", "material"), "labels are objects, parts and materials"
