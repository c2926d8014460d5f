"""The largest activation of every unit in every image: which images to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Arrays, Ints, same_shape


@dataclass(frozen=True)
class Peaks:
    """One row per sample, by rising sample number."""

    samples: Ints
    """(n,) sample numbers."""
    peaks: NDArray[np.float32]
    """(n, units) largest activation over the layer's own grid."""

    def merge(self, other: Self) -> Self:
        """The rows of both; refused when they are of different numbers of units."""
        same_shape("Peaks.peaks", self.peaks[:0], other.peaks[:0])
        samples = np.concatenate([self.samples, other.samples])
        order = np.argsort(samples, kind="stable")
        return type(self)(samples[order], np.concatenate([self.peaks, other.peaks])[order])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The rows as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The rows back from arrays."""
        return cls(np.asarray(arrays["samples"], np.int64), np.asarray(arrays["peaks"], np.float32))

    def top(self, k: int) -> Ints:
        """(units, k') samples of largest activation, falling; equal activations by rising sample number."""
        order = np.argsort(-self.peaks, axis=0, kind="stable")[:k]
        return np.asarray(self.samples[order].T)

    def middle(self, k: int) -> Ints:
        """(units, k') samples spread evenly over the middle half of the unit's peaks, falling."""
        order = np.argsort(-self.peaks, axis=0, kind="stable")
        n = len(self.samples)
        at = np.unique(np.linspace(n * 0.25, n * 0.75, k).astype(int))
        return np.asarray(self.samples[order[at]].T)

    def of(self, samples: Ints) -> NDArray[np.float32]:
        """(units, k) sample numbers -> (units, k) each unit's peak in them."""
        rows = np.searchsorted(self.samples, samples)
        return np.take_along_axis(self.peaks.T, rows, axis=1)
