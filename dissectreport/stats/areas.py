"""How many pixels of every image show each concept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from dissectreport.errors import MergeError
from dissectreport.stats.base import Counts, Floats, Ints, spread, union


@dataclass(frozen=True)
class Areas(Counts):
    """One row per sample, by rising sample number."""

    samples: Ints
    """(n,) sample numbers."""
    concepts: Ints
    """(c,) rising numbers of the concepts that occur."""
    pixels: Ints
    """(n, c) pixels of the grid that show the concept."""
    grid: int
    """Pixels of the grid."""

    def merge(self, other: Self) -> Self:
        """The rows of both; refused when they were counted on different grids."""
        if self.grid != other.grid:
            raise MergeError(f"cannot merge Areas: grids of {self.grid} and {other.grid} pixels")
        concepts = union(self.concepts, other.concepts)
        samples = np.concatenate([self.samples, other.samples])
        order = np.argsort(samples, kind="stable")
        pixels = np.concatenate([spread(s.pixels, s.concepts, concepts, 1) for s in (self, other)])
        return type(self)(samples[order], concepts, pixels[order], self.grid)

    def without(self, samples: Sequence[int]) -> Self:
        """The rows of other samples than these."""
        kept = ~np.isin(self.samples, samples)
        return type(self)(self.samples[kept], self.concepts, self.pixels[kept], self.grid)

    def share(self) -> Floats:
        """(n, c) share of the image that shows the concept."""
        return self.pixels / self.grid
