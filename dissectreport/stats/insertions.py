"""The effects of inserting units at single patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from dissectreport.stats.base import Counts, Ints, same_shape


@dataclass(frozen=True)
class Insertions(Counts):
    """One row per insertion, in order of samples and patches."""

    samples: Ints
    """(m,) numbers of the latents."""
    patches: Ints
    """(m,) numbers of the patches, row by row."""
    contexts: Ints
    """(m,) the context: the concept at the middle of the patch."""
    random: Ints
    """(m, r) for which of the concepts each random set is."""
    gains: Ints
    """(m, concepts + r, concepts) pixels of each studied concept gained over the whole image, for every set of units:
    first the causal set of each concept, then random sets."""

    @classmethod
    def none(cls, concepts: int) -> Insertions:
        """No insertion, for this many studied concepts."""
        nothing = np.zeros(0, np.int64)
        gains = np.zeros((0, concepts, concepts), np.int64)
        return cls(nothing, nothing, nothing, np.zeros((0, 0), np.int64), gains)

    def merge(self, other: Self) -> Self:
        """The rows of both; refused when they are of different numbers of sets or concepts."""
        same_shape("Insertions.gains", self.gains[:0], other.gains[:0])
        rows = {name: np.concatenate([mine, getattr(other, name)]) for name, mine in vars(self).items()}
        order = np.lexsort((rows["patches"], rows["samples"]))
        return type(self)(**{name: values[order] for name, values in rows.items()})

    def own_gains(self, concept: int) -> Ints:
        """(m,) pixels of one of the concepts gained by inserting its own causal set."""
        return self.gains[:, concept, concept]

    def random_gains(self, concept: int) -> tuple[Ints, Ints]:
        """The rows (n,) in which a random set for one of the concepts is inserted, and its pixels (n,) gained."""
        rows, column = np.nonzero(self.random == concept)
        return rows, self.gains[rows, column + self.gains.shape[2], concept]
