"""Slow and obvious code for the planted classifier: its predictions from the colours of pixels, in exact fractions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction

import numpy as np

from dissectreport.models.planted_classifier import CLASSES, UNIT, WEIGHTS, every_image, label_of, latents_of
from dissectreport.segmenters.planted import PAINTS

COLOUR_OF = {
    **{paint.name: paint.colour for paint in PAINTS},
    "crown_twin": next(paint.colour for paint in PAINTS if paint.name == "crown"),
}


def means(number: int) -> Mapping[int, Fraction]:
    """The mean of every unit in an image: the share of its pixels that have exactly the unit's colour."""
    image = every_image()[number].numpy()
    pixels = image.shape[1] * image.shape[2]
    found = {}
    for name, unit in UNIT.items():
        if name in COLOUR_OF:
            colour = np.array(COLOUR_OF[name], np.float32)[:, None, None]
            found[unit] = Fraction(int((image == colour).all(0).sum()), pixels)
        else:
            found[unit] = Fraction(int(name == "always_on"))
    return found


def prediction(areas: Mapping[int, Fraction], off: Collection[int] = ()) -> int:
    """The class with the highest score, the first of several, with some units ablated."""
    scores = [
        sum(
            (Fraction(weight) * areas[UNIT[name]] for name, weight in WEIGHTS[of].items() if UNIT[name] not in off),
            Fraction(0),
        )
        for of in CLASSES
    ]
    return max(range(len(scores)), key=lambda at: (scores[at], -at))


def label(number: int) -> int:
    """The class of an image."""
    return label_of(latents_of(number, 1)[0])


def rates(truth: Sequence[int], predicted: Sequence[int], of: int) -> tuple[float, float, float]:
    """Recall, false positives and balanced accuracy of a class, counted one by one."""
    hit = missed = false = right = 0
    for true, guess in zip(truth, predicted, strict=True):
        if true == of and guess == of:
            hit += 1
        elif true == of:
            missed += 1
        elif guess == of:
            false += 1
        else:
            right += 1
    recall, wrong = hit / (hit + missed), false / (false + right)
    return recall, wrong, (recall + 1 - wrong) / 2
