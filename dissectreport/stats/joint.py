"""Joint counts of unit, concept and activation bin, from which every IoU is computed (Bau et al. 2019)."""

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
        concepts = union(self.concepts, other.concepts)

        def both(name: str, axis: int) -> Ints:
            mine: Ints = getattr(self, name)
            theirs: Ints = getattr(other, name)
            return spread(mine, self.concepts, concepts, axis) + spread(theirs, other.concepts, concepts, axis)

        return type(self)(
            concepts,
            both("joint", 1),
            self.total + other.total,
            both("present", 0),
            both("images", 0),
            self.samples + other.samples,
        )

    def above(self) -> tuple[Ints, Ints]:
        """(units, c, bins - 1) pixels of the concept above each inner edge, and (units, bins - 1) pixels above it."""
        return above_edges(self.joint), above_edges(self.total)

    def of_concepts(self, numbers: Ints) -> Ints:
        """(units, bins) pixels that show each unit's concept, by its number (units,); 0 where it does not occur."""
        counts, there = np.zeros_like(self.total), np.isin(numbers, self.concepts)
        counts[there] = self.joint[there, np.searchsorted(self.concepts, numbers[there])]
        return counts


@dataclass(frozen=True)
class JointTotals(Counts):
    """The counts of `Joint` that are not of a unit and a concept together, under the same names."""

    concepts: Ints
    total: Ints
    present: Ints

    def merge(self, other: Self) -> Self:
        """The counts of both; refused when they were binned differently."""
        same_shape("JointTotals.total", self.total, other.total)
        concepts = union(self.concepts, other.concepts)
        mine, theirs = (spread(stat.present, stat.concepts, concepts, 0) for stat in (self, other))
        return type(self)(concepts, self.total + other.total, np.asarray(mine + theirs))


def above_edges(counts: Ints) -> Ints:
    """(..., bins) counts by bin -> (..., bins - 1) counts in the bins above each inner edge."""
    return np.flip(np.cumsum(np.flip(counts[..., 1:], -1), -1), -1)
