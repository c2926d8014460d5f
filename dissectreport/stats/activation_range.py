"""The smallest and the largest activation of every unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dissectreport.stats.base import Floats


@dataclass(frozen=True)
class ActivationRange:
    """The extremes of a layer's activations."""

    low: Floats
    """(units,)"""
    high: Floats
    """(units,)"""
    shape: tuple[int, int, int]
    """Units, height and width of the layer."""

    def merge(self, other: ActivationRange) -> ActivationRange:
        """The extremes of both."""
        return ActivationRange(np.minimum(self.low, other.low), np.maximum(self.high, other.high), self.shape)
