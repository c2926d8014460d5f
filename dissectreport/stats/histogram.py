"""A fine histogram of every unit's activations, and the thresholds that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.errors import MergeError
from dissectreport.stats.base import Arrays, Floats, Ints, same_shape


@dataclass(frozen=True)
class Histogram:
    """Pixels by unit and even cell between `low` and `low + cells * width`; what lies outside is in the end cells."""

    low: Floats
    """(units,)"""
    width: Floats
    """(units,) width of a cell."""
    counts: Ints
    """(units, cells)"""

    def merge(self, other: Self) -> Self:
        """The counts of both; refused when their cells differ."""
        same_shape("Histogram.counts", self.counts, other.counts)
        if not (np.array_equal(self.low, other.low) and np.array_equal(self.width, other.width)):
            raise MergeError("cannot merge Histogram: its cells lie elsewhere")
        return type(self)(self.low, self.width, self.counts + other.counts)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The counts as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The counts back from arrays."""
        return cls(
            np.asarray(arrays["low"], np.float64),
            np.asarray(arrays["width"], np.float64),
            np.asarray(arrays["counts"], np.int64),
        )

    def cuts(self, on_fractions: Floats) -> Floats:
        """(units, t) lowest upper edges of cells with at most the share `on_fractions` (t,) of pixels above them.

        A unit that takes one value over and over is thus off at it, as where a quantile equals the value.
        """
        above = self.counts.sum(1, keepdims=True) - self.counts.cumsum(1)
        allowed = np.floor(on_fractions * self.counts.sum(1, keepdims=True) * (1 + 1e-12)).astype(np.int64)
        cell = [np.searchsorted(-row, -most) for row, most in zip(above, allowed, strict=True)]
        return self.low[:, None] + (np.stack(cell) + 1) * self.width[:, None]

    def edge_cells(self, on_fractions: Floats) -> Ints:
        """(units, t) first cells at or above which lie no more than the falling `on_fractions` (t,) of the pixels.

        They rise with t; where no cell is high enough it is the last one.
        """
        above = self.counts[:, ::-1].cumsum(1)[:, ::-1] / np.maximum(self.counts.sum(1, keepdims=True), 1)
        cells = [len(row) - np.searchsorted(row[::-1], on_fractions, side="right") for row in above]
        return np.asarray(np.minimum(np.stack(cells), self.counts.shape[1] - 1), np.int64)
