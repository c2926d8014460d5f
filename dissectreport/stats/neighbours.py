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

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from dissectreport.stats.base import Counts, Floats, Ints, same_shape, spread, union


@dataclass(frozen=True)
class Neighbours(Counts):
    """Overlaps with neighbours, and the areas of every image, at the thresholds at which chance is counted."""

    samples: Ints
    """(n,) rising sample numbers."""
    shard: Ints
    """(n,) number of the first sample of the shard; neighbours are of one shard."""
    concepts: Ints
    """(c,) rising numbers of the concepts that occur."""
    overlap: Ints
    """(units, c, thresholds) pixels above the threshold where the neighbour's mask shows the concept."""
    on: Ints
    """(units, n, thresholds) pixels above the threshold in each image."""
    shown: Ints
    """(n, c) pixels that show the concept in each image."""

    def merge(self, other: Self) -> Self:
        """The counts of both; refused when they were made at another number of thresholds or of other units."""
        same_shape("Neighbours.overlap", self.overlap[:, :0], other.overlap[:, :0])
        concepts = union(self.concepts, other.concepts)
        order = np.argsort(np.concatenate([self.samples, other.samples]), kind="stable")

        def rows(first: Ints, second: Ints, axis: int = 0) -> Ints:
            return np.concatenate([first, second], axis).take(order, axis)

        mine, theirs = (stat.over(concepts) for stat in (self, other))
        return type(self)(
            samples=rows(mine.samples, theirs.samples),
            shard=rows(mine.shard, theirs.shard),
            concepts=concepts,
            overlap=mine.overlap + theirs.overlap,
            on=rows(mine.on, theirs.on, 1),
            shown=rows(mine.shown, theirs.shown),
        )

    def over(self, concepts: Ints) -> Self:
        """The same laid out over more concepts."""
        overlap: Ints = spread(self.overlap, self.concepts, concepts, 1)
        shown: Ints = spread(self.shown, self.concepts, concepts, 1)
        return replace(self, concepts=concepts, overlap=overlap, shown=shown)

    def beginning(self, first: int) -> Self:
        """The counts of one shard, whose samples begin with this number."""
        return replace(self, samples=first + np.arange(len(self.samples)), shard=np.full(len(self.samples), first))

    def products(self) -> tuple[Ints, Ints]:
        """(units, c, thresholds) on-pixels times concept pixels: two sums of products.

        Summed over images, less those with neighbours' masks; and over all pairs of different images of a shard.
        """
        parts = list(self._products_by_shard())
        gap, crossed = (np.asarray(sum(part[i] for part in parts), np.int64) for i in range(2))
        return gap, crossed

    def _products_by_shard(self) -> Iterator[tuple[Floats, Floats]]:
        """Whole numbers below 2^53 in double precision, in which matrices are multiplied fast."""
        for shard in np.unique(self.shard):
            rows = self.shard == shard
            on, shown = self.on[:, rows].astype(np.float64), self.shown[rows].T.astype(np.float64)
            next_to = np.take_along_axis(on, neighbours_of(on.sum(2))[..., None], 1)
            yield shown @ (on - next_to), shown.sum(1)[:, None] * on.sum(1)[:, None] - shown @ on


def neighbours_of(activity: Ints | Floats) -> Ints:
    """(..., n) for each image the one next to it in activity: pairs in rising order, the last of an odd number alone.

    >>> neighbours_of(np.array([0.5, 0.1, 0.9, 0.2, 1.0])).tolist()
    [2, 3, 0, 1, 4]
    """
    order = np.argsort(activity, axis=-1, kind="stable")
    other = np.minimum(np.arange(order.shape[-1]) ^ 1, order.shape[-1] - 1)
    neighbour = np.empty_like(order)
    np.put_along_axis(neighbour, order, order[..., other], -1)
    return neighbour


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
