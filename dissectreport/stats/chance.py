"""The overlap expected by chance, in closed form: each image's masks against every other image's activations.

For a shard of n images let A[u, t, p] be the images in which unit u is above threshold t at pixel p, and M[c, p] those
that show concept c at p. Summed over all n(n - 1) pairings of different images the overlap is sum_p A M minus the
overlap of the images with themselves; divided by n - 1 it is what one pairing of all images is expected to give. It
keeps the layout (a unit that is merely on at the top of the image gets no credit for sky) and needs no shuffling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from dissectreport.stats.base import Counts, Floats, Ints, same_shape, spread, union


@dataclass(frozen=True)
class Chance(Counts):
    """Overlaps at a few thresholds: observed, of one real shift, and summed over all pairings of different images."""

    concepts: Ints
    """(c,) rising numbers of the concepts that occur."""
    sizes: Ints
    """(s,) rising shard sizes n; pairings are made within a shard, so their sums are kept by its size."""
    observed: Ints
    """(s, units, c, thresholds) pixels above the threshold that show the concept."""
    shifted: Ints
    """(s, units, c, thresholds) the same with the masks of the next image of the shard."""
    crossed: Ints
    """(s, units, c, thresholds) sum over pixels of A M: all n² pairings, own images included."""
    on: Ints
    """(units, thresholds) pixels above the threshold."""
    present: Ints
    """(c,) pixels that show the concept."""
    images: Ints
    """(c,) images that show the concept."""
    where: Ints
    """(c, pixels) images that show the concept at each pixel of the grid."""
    samples: int

    def merge(self, other: Self) -> Self:
        """The counts of both; refused when they were made at another number of thresholds or on another grid."""
        same_shape("Chance.on", self.on, other.on)
        same_shape("Chance.where", self.where[:0], other.where[:0])
        concepts, sizes = union(self.concepts, other.concepts), union(self.sizes, other.sizes)

        def by_size(stat: Self, name: str) -> Ints:
            counts: Ints = getattr(stat, name)
            return spread(spread(counts, stat.concepts, concepts, 2), stat.sizes, sizes, 0)

        def by_concept(stat: Self, name: str) -> Ints:
            counts: Ints = getattr(stat, name)
            return spread(counts, stat.concepts, concepts, 0)

        pairs = ("observed", "shifted", "crossed")
        single = ("present", "images", "where")

        return type(self)(
            concepts=concepts,
            sizes=sizes,
            on=self.on + other.on,
            samples=self.samples + other.samples,
            **{name: by_size(self, name) + by_size(other, name) for name in pairs},
            **{name: by_concept(self, name) + by_concept(other, name) for name in single},
        )

    def observed_overlap(self, shifted: bool = False) -> Ints:
        """(units, c, thresholds) observed overlap; with `shifted`, the overlap with the masks of the next image."""
        return np.asarray((self.shifted if shifted else self.observed).sum(0))

    def expected(self, shifted: bool = False) -> Floats:
        """(units, c, thresholds) chance level of `observed_overlap(shifted)`, in pixels; 0 from shards of one image."""
        own = self.shifted if shifted else self.observed
        others = np.maximum(self.sizes - 1, 1)[:, None, None, None]
        paired = np.where(self.sizes[:, None, None, None] > 1, self.crossed - own, 0)
        return np.asarray((paired / others).sum(0))
