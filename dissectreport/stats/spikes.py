"""Planted units: artificial units made of the masks, so that their match with a concept is known.

In each image a planted unit of share s is on where its concept is: with probability s in this image, else in another
image of the shard. With P the pixels of the concept, and O those that masks of different images share by chance, its
overlap with the concept is expected to be s P + (1 - s) O, and it is on in P pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from dissectreport.stats.base import Counts, Ints, same_shape, spread, union
from dissectreport.stats.chance import Chance

SHARES = (0.0, 0.03, 0.06, 0.1, 0.2, 0.5, 1.0)
"""The shares of images in which planted units have the concept's own mask."""


@dataclass(frozen=True)
class Spikes(Counts):
    """The counts of planted units, one for each concept and share; see `Chance` for fields of the same names."""

    concepts: Ints
    """(c,) rising numbers of the concepts that occur, which are also those that units are made of."""
    sizes: Ints
    observed: Ints
    """(s, c, shares, c) overlap of each planted unit with each concept."""
    crossed: Ints
    """(s, c, shares, c)"""
    on: Ints
    """(c, shares) pixels"""
    present: Ints
    images: Ints
    samples: int

    def merge(self, other: Self) -> Self:
        """The counts of both; refused when they are of another number of shares."""
        same_shape("Spikes.on", self.on[:0], other.on[:0])
        concepts = union(self.concepts, other.concepts)
        mine, theirs = self.over(concepts), other.over(concepts)
        sizes = union(self.sizes, other.sizes)

        def by_size(name: str) -> Ints:
            first: Ints = spread(getattr(mine, name), mine.sizes, sizes, 0)
            second: Ints = spread(getattr(theirs, name), theirs.sizes, sizes, 0)
            return first + second

        return type(self)(
            concepts=concepts,
            sizes=sizes,
            observed=by_size("observed"),
            crossed=by_size("crossed"),
            on=mine.on + theirs.on,
            present=mine.present + theirs.present,
            images=mine.images + theirs.images,
            samples=self.samples + other.samples,
        )

    def over(self, concepts: Ints) -> Self:
        """The same laid out over more concepts."""

        def wide(counts: Ints, *axes: int) -> Ints:
            for axis in axes:
                counts = spread(counts, self.concepts, concepts, axis)
            return counts

        return type(self)(
            concepts=concepts,
            sizes=self.sizes,
            observed=wide(self.observed, 1, 3),
            crossed=wide(self.crossed, 1, 3),
            on=wide(self.on, 0),
            present=wide(self.present, 0),
            images=wide(self.images, 0),
            samples=self.samples,
        )

    def as_chance(self, planted: Ints, concepts: Ints) -> Chance:
        """The counts of units planted for some concepts with `concepts`, as those of units: by concept and share."""
        shares = self.on.shape[1]

        def of_units(counts: Ints) -> Ints:
            rows = spread(spread(counts, self.concepts, concepts, 3), self.concepts, planted, 1)
            return rows.reshape(len(self.sizes), len(planted) * shares, len(concepts), 1)

        observed = of_units(self.observed)
        return Chance(
            concepts=concepts,
            sizes=self.sizes,
            observed=observed,
            shifted=np.zeros_like(observed),
            crossed=of_units(self.crossed),
            on=spread(self.on, self.concepts, planted, 0).reshape(-1, 1),
            present=spread(self.present, self.concepts, concepts, 0),
            images=spread(self.images, self.concepts, concepts, 0),
            where=np.zeros((len(concepts), 0), np.int64),
            samples=self.samples,
        )
