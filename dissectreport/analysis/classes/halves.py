"""Which images rank units and which score them: training and validation images, or halves of every class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dissectreport.run.shards import SHARD
from dissectreport.stats.base import Ints
from dissectreport.stats.predictions import ClassScores, known_truth

FEWEST_OF_HALF = 2
"""Fewest images in each half of a class that is studied."""
FEWEST = 2 * FEWEST_OF_HALF
SOLID = 20
"""Images of a class in each half below which pages warn that its ranks and intervals are rough."""

Bools = NDArray[np.bool_]


def truth_of(scores: ClassScores) -> Ints:
    """(n,) the class of each image: its label, or the network's prediction if there is no label."""
    return known_truth(scores.truth, scores.logits)


def selection_of(samples: Ints, truth: Ints, has_validation: bool) -> Bools:
    """(n,) whether each image ranks units: training images, or every other image of each class without these.

    With validation images, even shards are training images, and odd ones validation images.
    """
    return samples // SHARD % 2 == 0 if has_validation else is_selection(truth)


def is_selection(truth: Ints) -> Bools:
    """(n,) True for every other image of each class, beginning with its first, and of all that are alone in a class.

    >>> is_selection(np.array([3, 5, 3, 3, 8, 9])).tolist()
    [True, True, False, True, False, True]
    """
    selected = np.zeros(len(truth), bool)
    numbers, images = np.unique(truth, return_counts=True)
    for number in numbers[images > 1]:
        selected[np.flatnonzero(truth == number)[::2]] = True
    selected[np.flatnonzero(np.isin(truth, numbers[images == 1]))[::2]] = True
    return selected


def studied_classes(truth: Ints, selected: Bools, most: int) -> Ints:
    """The numbers of the classes with most images, at most so many; each has `FEWEST_OF_HALF` images in both halves."""
    numbers, images = np.unique(truth, return_counts=True)
    order = np.lexsort((numbers, -images))
    own = [truth == numbers[at] for at in order]
    halves = [min(int(selected[rows].sum()), int((~selected[rows]).sum())) for rows in own]
    kept = [at for at, fewest in zip(order, halves, strict=True) if fewest >= FEWEST_OF_HALF][:most]
    return np.asarray(numbers[kept], np.int64)


def classified_samples(truth: Ints, selected: Bools, images: int, studied: Ints) -> Ints:
    """The samples, rising, of so many images: the first, unless there are more classes than a twentieth of them.

    Then each of the `studied` classes has up to `SOLID` images in each half, and images of other classes follow.
    """
    if images >= len(truth) or len(np.unique(truth)) * SOLID <= images:
        return np.arange(min(images, len(truth)))
    each = min(SOLID, images // (2 * (len(studied) + 1)))
    own = [
        np.flatnonzero((truth == number) & (selected == half))[:each] for number in studied for half in (True, False)
    ]
    chosen = np.concatenate(own)
    others = np.setdiff1d(np.flatnonzero(~np.isin(truth, studied)), chosen)
    rest = np.setdiff1d(np.arange(len(truth)), [*chosen, *others])
    return np.sort(np.concatenate([chosen, others, rest])[:images])
