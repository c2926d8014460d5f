"""What inserting units at single patches did, patch by patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from dissectreport.stats.base import Counts, Ints, same_shape


@dataclass(frozen=True)
class Insertions(Counts):
    """One row an insertion, in order of samples."""

    samples: Ints
    """(m,) numbers of the latents."""
    patches: Ints
    """(m,) numbers of the patches, row by row."""
    contexts: Ints
    """(m,) the context concept: what stood at the middle of the patch."""
    gains: Ints
    """(m, sets, concepts) pixels of each studied concept gained over the whole image, for every set of units: first the
    causal set of each concept, then random ones."""

    def merge(self, other: Self) -> Self:
        """The rows of both; refused when they are of different sets of units or concepts."""
        same_shape("Insertions.gains", self.gains[:0], other.gains[:0])
        parts = [np.concatenate([mine, getattr(other, name)]) for name, mine in vars(self).items()]
        order = np.argsort(parts[0], kind="stable")
        return type(self)(*(part[order] for part in parts))

    def own_gains(self, concept: int) -> Ints:
        """(m,) pixels of one of the concepts gained by inserting its own causal set."""
        return self.gains[:, concept, concept]

    def random_gains(self, concept: int) -> Ints:
        """(m, random sets) pixels of one of the concepts gained by inserting random sets."""
        return self.gains[:, self.gains.shape[2] :, concept]
