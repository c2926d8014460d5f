"""Correlation of units from rounded activations, which are whole numbers, so that it merges exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from dissectreport.stats.base import Counts, Floats, Ints, same_shape

LEVELS = 128
"""Activations are rounded to this many even levels between the pilot's extremes."""


@dataclass(frozen=True)
class Cross(Counts):
    """Sums over the layer's own grid."""

    sums: Ints
    """(units,) sum of rounded activations."""
    products: Ints
    """(units, units) sum of products of rounded activations."""
    positive: Ints
    """(units,) number of cells where the activation is above zero."""
    cells: int

    def merge(self, other: Self) -> Self:
        """The sums of both."""
        same_shape("Cross.sums", self.sums, other.sums)
        return type(self)(
            self.sums + other.sums,
            self.products + other.products,
            self.positive + other.positive,
            self.cells + other.cells,
        )

    def covariance(self) -> Floats:
        """(units, units) covariance of rounded activations."""
        mean = self.sums / self.cells
        return np.asarray(self.products / self.cells - np.outer(mean, mean))

    def correlation(self) -> Floats:
        """(units, units) correlation of activations; 0 for a unit that never varies."""
        covariance = self.covariance()
        spread = np.sqrt(np.maximum(np.diag(covariance), 0))
        scale = np.outer(spread, spread)
        return np.asarray(np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 1e-9))
