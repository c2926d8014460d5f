"""How much concepts overlap: concepts that cover almost the same pixels are twins, which count as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from dissectreport.errors import MergeError
from dissectreport.stats.base import Counts, Floats, Ints, spread, union
from dissectreport.stats.iou import intersection_over_union


@dataclass(frozen=True)
class Overlaps(Counts):
    """Pixels by pair of concepts."""

    concepts: Ints
    """(c,) rising numbers of the concepts that occur."""
    both: Ints
    """(c, c) pixels that show both concepts; on the diagonal, all that show the concept."""
    grid: int
    """Pixels of the grid."""

    def merge(self, other: Self) -> Self:
        """The pixels of both; refused when they were counted on different grids."""
        if self.grid != other.grid:
            raise MergeError(f"cannot merge Overlaps: grids of {self.grid} and {other.grid} pixels")
        concepts = union(self.concepts, other.concepts)

        def over(stat: Self) -> Ints:
            rows = spread(stat.both, stat.concepts, concepts, 0)
            return spread(rows, stat.concepts, concepts, 1)

        return type(self)(concepts, over(self) + over(other), self.grid)

    def jaccard(self) -> Floats:
        """(c, c) Jaccard index of the masks of two concepts, over all images together (Jaccard 1912)."""
        present = np.diag(self.both)
        return intersection_over_union(self.both, present[:, None], present[None])
