"""Which images rank units and which score them: every class is divided into halves, in the order of the samples."""

from __future__ import annotations

import numpy as np

from dissectreport.stats.base import Ints
from dissectreport.stats.predictions import ClassScores, known_truth

FEWEST = 4
"""Fewest images of a class that is studied: two in each half."""
SOLID = 20
"""Images of a class in each half below which pages warn that its ranks and intervals are rough."""


def truth_of(scores: ClassScores) -> Ints:
    """(n,) the class of each image: its label, or the network's prediction if there is no label."""
    return known_truth(scores.truth, scores.logits)


def is_selection(truth: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(n,) True for every other image of each class, beginning with its first.

    >>> is_selection(np.array([3, 5, 3, 3])).tolist()
    [True, True, False, True]
    """
    selected = np.zeros(len(truth), bool)
    for number in np.unique(truth):
        selected[np.flatnonzero(truth == number)[::2]] = True
    return selected


def studied_classes(truth: Ints, most: int) -> Ints:
    """The numbers of the classes with most images, at most so many; none of them has fewer than `FEWEST` images."""
    numbers, images = np.unique(truth, return_counts=True)
    order = np.lexsort((numbers, -images))
    kept = [at for at in order if images[at] >= FEWEST][:most]
    return np.asarray(numbers[kept], np.int64)
