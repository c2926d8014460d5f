"""Correlation of units from rounded activations, which are whole numbers, so that it merges exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Arrays, Counts, Floats, Ints, same_shape

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

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The counts as arrays; of the products, which are symmetric, those of each unit with itself and later ones."""
        return {**super().arrays(), "products": self.products[np.triu_indices(len(self.sums))]}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The counts back from arrays."""
        units = len(arrays["sums"])
        products = np.zeros((units, units), np.int64)
        products[np.triu_indices(units)] = arrays["products"]
        return super().from_arrays({**arrays, "products": np.maximum(products, products.T)})

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
