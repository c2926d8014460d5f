"""Which part of a unit's IoU comes from position, from the images in which it is on, and from where it is on in them.

Three expected overlaps are compared with the measured one, each with more information (`ExpectedOverlaps`):

    areas          the unit is on in as many pixels, anywhere, in any image
    position       each image's masks with every other image's activations: the chance level of `stats.chance`
    image level    each image's mask with the activations of its neighbour, the image of the shard in which the unit is
                   about as active overall

The rest of the measured overlap is localisation within images. Neighbours are made by sorting a shard's
images by the unit's total activation and exchanging the first with the second, the third with the fourth, and so on.
Neighbours differ a little in area. With S the overlap with neighbours, n and m the on-pixels and concept pixels of an
image, and k = sum of A M over pixels / sum of n m, both over pairs of different images, the overlap is corrected to

    S + k (sum of n m - sum of n m over neighbours)

A unit that has the same layout in every image, only stronger or weaker, has this overlap up to noise, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from dissectreport.stats.base import Counts, Floats, Ints, same_shape, spread, union


@dataclass(frozen=True)
class Neighbours(Counts):
    """Overlaps and products of areas at the thresholds at which chance is counted."""

    concepts: Ints
    """(c,) rising numbers of the concepts that occur."""
    overlap: Ints
    """(units, c, thresholds) pixels above the threshold where the neighbour's mask shows the concept."""
    gap: Ints
    """(units, c, thresholds) on-pixels times concept pixels, summed over images, minus those with neighbours' masks."""
    crossed: Ints
    """(units, c, thresholds) on-pixels times concept pixels over all pairs of different images of a shard."""

    def merge(self, other: Self) -> Self:
        """The counts of both; refused when they were made at another number of thresholds or of other units."""
        same_shape("Neighbours.overlap", self.overlap[:, :0], other.overlap[:, :0])
        concepts = union(self.concepts, other.concepts)

        def both(name: str) -> Ints:
            mine: Ints = getattr(self, name)
            theirs: Ints = getattr(other, name)
            return spread(mine, self.concepts, concepts, 1) + spread(theirs, other.concepts, concepts, 1)

        return type(self)(concepts, both("overlap"), both("gap"), both("crossed"))


@dataclass(frozen=True)
class ExpectedOverlaps:
    """Expected overlaps in pixels, elementwise, each with more information about the image than the one before."""

    areas: Floats
    position: Floats
    image_level: Floats

    @classmethod
    def of(
        cls, pairs: Floats, position: Floats, overlap: Floats, gap: Floats, crossed: Floats, pixels: int
    ) -> ExpectedOverlaps:
        """From the overlap of all pairs of different images, that at the chance level, and the fields of `Neighbours`.

        `pixels` is the number of pixels of the grid.
        """
        density = np.divide(pairs, crossed, out=np.zeros(np.shape(pairs)), where=np.asarray(crossed) > 0)
        areas = np.divide(position, density * pixels, out=np.zeros(np.shape(pairs)), where=density > 0)
        return cls(areas, position, np.maximum(overlap + density * gap, 0))
