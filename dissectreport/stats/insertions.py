"""The effects of inserting units at single patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from dissectreport.stats.base import Counts, Ints, by_sample, same_shape


@dataclass(frozen=True)
class Insertions(Counts):
    """One row an insertion, in order of samples."""

    samples: Ints
    """(m,) numbers of the latents."""
    patches: Ints
    """(m,) numbers of the patches, row by row."""
    contexts: Ints
    """(m,) the context: the concept at the middle of the patch."""
    gains: Ints
    """(m, sets, concepts) pixels of each studied concept gained over the whole image, for every set of units: first the
    causal set of each concept, then random ones."""

    def merge(self, other: Self) -> Self:
        """The rows of both; refused when they are of different sets of units or concepts."""
        same_shape("Insertions.gains", self.gains[:0], other.gains[:0])
        return type(self)(**by_sample(self, other))

    def own_gains(self, concept: int) -> Ints:
        """(m,) pixels of one of the concepts gained by inserting its own causal set."""
        return self.gains[:, concept, concept]

    def random_gains(self, concept: int) -> Ints:
        """(m, random sets) pixels of one of the concepts gained by inserting random sets."""
        return self.gains[:, self.gains.shape[2] :, concept]
