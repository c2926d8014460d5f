"""Pixels by label set: what formulas of concepts ("tree AND NOT sky") are scored from, exactly and without masks.

A formula of concepts holds or does not hold for a whole label set, so its overlap with a unit is a sum over label sets
(Mu & Andreas 2020, Compositional Explanations of Neurons, search such formulas with a mask for each). With `on` and
`present` the pixels of the label sets for which formula F holds,

    IoU(u, F) = on_F / (on + present_F - on_F)

The overlap expected by chance pairs each image's masks with the activations of every other image, as in `stats.chance`,
but by cells of the image instead of pixels, which keeps it linear in label sets and small in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm
from typing import Self

import numpy as np

from dissectreport.stats.base import Counts, Ints, same_shape

SIDE = 16
"""Rows, and columns, of cells of the image."""
ON_FRACTIONS = (0.7, 0.5, 0.35, 0.25, 0.2, 0.15, 0.1, 0.065, 0.04, 0.02, 0.01, 0.005)
"""The on-fractions at whose thresholds label sets are counted, among those at which chance is counted."""


@dataclass(frozen=True)
class LabelSets(Counts):
    """Pixels by unit, label set and threshold, and where in the image label sets and units are."""

    sets: Ints
    """(s, width) the concepts of each label set, falling, filled with 0; rows are different and in rising order."""
    cells: Ints
    """(s, cells) pixels of each label set in each cell of the image."""
    on: Ints
    """(units, s, thresholds) pixels of each label set above the threshold."""
    shifted: Ints
    """(units, s, thresholds) the same with the masks of the next image of the shard."""
    layout: Ints
    """(units, cells, thresholds) pixels above the threshold in each cell."""
    samples: int

    def merge(self, other: Self) -> Self:
        """The counts of both; refused when they were made at other thresholds, in other cells or of other units."""
        same_shape("LabelSets.layout", self.layout, other.layout)
        width = max(self.sets.shape[1], other.sets.shape[1])
        sets, at = different(np.concatenate([filled(self.sets, width), filled(other.sets, width)]))
        mine, theirs = at[: len(self.sets)], at[len(self.sets) :]

        def both(name: str, axis: int) -> Ints:
            first, second = getattr(self, name), getattr(other, name)
            return moved(first, mine, len(sets), axis) + moved(second, theirs, len(sets), axis)

        return type(self)(
            sets=sets,
            cells=both("cells", 0),
            on=both("on", 1),
            shifted=both("shifted", 1),
            layout=self.layout + other.layout,
            samples=self.samples + other.samples,
        )


def different(rows: Ints) -> tuple[Ints, Ints]:
    """The different rows in rising order, and for each row given the number of the one that it equals."""
    unique, at = np.unique(rows, axis=0, return_inverse=True)
    return unique, at.reshape(-1)


def filled(sets: Ints, width: int) -> Ints:
    """(s, narrower) label sets filled with 0 to (s, width)."""
    return np.pad(sets, ((0, 0), (0, width - sets.shape[1])))


def moved(counts: Ints, at: Ints, length: int, axis: int) -> Ints:
    """Counts whose `axis` becomes `length` long: entry i is added to position `at[i]`.

    >>> moved(np.array([1, 2, 4]), np.array([3, 0, 3]), 4, 0).tolist()
    [2, 0, 0, 5]
    """
    shape = list(counts.shape)
    shape[axis] = length
    out = np.zeros(shape, np.int64)
    if not len(at):
        return out
    order = np.argsort(at, kind="stable")
    starts = np.flatnonzero(np.diff(at[order], prepend=-1))
    where = [slice(None)] * counts.ndim
    where[axis] = at[order][starts]  # type: ignore[call-overload]
    out[tuple(where)] = np.add.reduceat(counts.take(order, axis), starts, axis)
    return out


def cell_weights(sizes: Ints) -> tuple[Ints, int]:
    """Whole weights of cells of these sizes in pixels, and what a weighted sum is divided by.

    With them, pixels of a cell times the mean of others over its pixels are sums of whole numbers, which are exact.
    """
    common = lcm(*(int(size) for size in sizes if size)) if sizes.any() else 1
    return np.where(sizes > 0, common // np.maximum(sizes, 1), 0), common
