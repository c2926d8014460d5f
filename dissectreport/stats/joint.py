"""Joint counts of unit, concept and activation bin: what every IoU comes from (Bau et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from dissectreport.stats.base import Counts, Ints, same_shape, spread, union


@dataclass(frozen=True)
class Joint(Counts):
    """Pixels by unit, concept and bin of the unit's upsampled activation. A pixel counts once for a concept."""

    concepts: Ints
    """(c,) rising numbers of the concepts that occur."""
    joint: Ints
    """(units, c, bins) pixels that show the concept while the activation falls into the bin."""
    total: Ints
    """(units, bins) pixels, whatever they show."""
    present: Ints
    """(c,) pixels that show the concept."""
    images: Ints
    """(c,) images that show the concept."""
    samples: int

    def merge(self, other: Self) -> Self:
        """The counts of both; refused when they were binned differently."""
        same_shape("Joint.total", self.total, other.total)
        wanted = union(self.concepts, other.concepts)

        def both(name: str, axis: int) -> Ints:
            mine: Ints = getattr(self, name)
            theirs: Ints = getattr(other, name)
            return spread(mine, self.concepts, wanted, axis) + spread(theirs, other.concepts, wanted, axis)

        return type(self)(
            wanted,
            both("joint", 1),
            self.total + other.total,
            both("present", 0),
            both("images", 0),
            self.samples + other.samples,
        )

    def above(self) -> tuple[Ints, Ints]:
        """(units, c, bins - 1) pixels of the concept above each inner edge, and (units, bins - 1) pixels above it."""
        return above_edges(self.joint), above_edges(self.total)


def above_edges(counts: Ints) -> Ints:
    """(..., bins) counts by bin -> (..., bins - 1) counts in the bins above each inner edge."""
    return np.flip(np.cumsum(np.flip(counts[..., 1:], -1), -1), -1)
