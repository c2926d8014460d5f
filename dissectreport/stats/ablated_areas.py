"""How many pixels of every image show each studied concept when sets of units are ablated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from dissectreport.stats.base import Counts, Ints, by_sample, same_shape


@dataclass(frozen=True)
class AblatedAreas(Counts):
    """One row per sample, by rising sample number."""

    samples: Ints
    """(n,) sample numbers."""
    pixels: Ints
    """(n, sets, concepts) pixels of each studied concept that are left when each set is ablated."""

    def merge(self, other: Self) -> Self:
        """The rows of both; refused when they are of different sets of units or concepts."""
        same_shape("AblatedAreas.pixels", self.pixels[:0], other.pixels[:0])
        return type(self)(**by_sample(self, other))
