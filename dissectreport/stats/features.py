"""The features of images in a feature network, from which distances between sets of images are computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Arrays, Floats, Ints, same_shape

FLOOR = 0.3
"""Deviations below this share of their root mean square are raised to it: otherwise a feature in which real
images hardly vary would dominate every distance."""


@dataclass(frozen=True)
class Features:
    """One row per sample, by rising sample number."""

    samples: Ints
    """(n,) sample numbers."""
    values: NDArray[np.float32]
    """(n, d) features of the image, or (n, v, d) those of its variants."""

    def merge(self, other: Self) -> Self:
        """The rows of both; refused when they are of different lengths."""
        same_shape("Features.values", self.values[:0], other.values[:0])
        samples = np.concatenate([self.samples, other.samples])
        order = np.argsort(samples, kind="stable")
        return type(self)(samples[order], np.concatenate([self.values, other.values])[order])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The rows as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The rows back from arrays."""
        return cls(np.asarray(arrays["samples"], np.int64), np.asarray(arrays["values"], np.float32))


@dataclass(frozen=True)
class FeatureScale:
    """Features as deviations from the mean real image, in units of how much real images vary."""

    mean: Floats
    """(d,)"""
    deviation: Floats
    """(d,)"""

    @classmethod
    def of(cls, real: NDArray[Any]) -> FeatureScale:
        """The scale on which real features (n, d) have mean 0 and deviation 1, or less if they hardly vary."""
        rows = np.asarray(real, np.float64)
        deviation = rows.std(axis=0)
        typical = float(np.sqrt(np.mean(deviation**2))) or 1.0
        return cls(rows.mean(axis=0), deviation.clip(min=FLOOR * typical))

    @classmethod
    def published(cls, dimension: int) -> FeatureScale:
        """The identity scale, for networks whose distances are published without scaling."""
        return cls(np.zeros(dimension), np.ones(dimension))

    def __call__(self, features: NDArray[Any]) -> Floats:
        """(n, d) on this scale."""
        return np.asarray((np.asarray(features, np.float64) - self.mean) / self.deviation)
