"""The samples whose own latent gives an image that is not finite, so that another latent took its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from dissectreport.errors import MergeError
from dissectreport.stats.base import Counts, Ints

FEW, SHARE = 2, 0.01
"""Samples that may have another latent, however few there are, and the share of all that may."""


def most_replaced(samples: int) -> int:
    """How many of some samples may have another latent, before the network counts as broken.

    >>> most_replaced(96), most_replaced(960)
    (2, 9)
    """
    return max(FEW, int(SHARE * samples))


@dataclass(frozen=True)
class Replaced(Counts):
    """Samples with another latent."""

    samples: Ints
    """(n,) rising sample numbers."""
    seed: int
    """The seed of the series that they belong to."""

    def merge(self, other: Self) -> Self:
        """The samples of both; refused when they are of different seeds."""
        if self.seed != other.seed:
            raise MergeError(f"cannot merge Replaced: samples of seed {self.seed} and of seed {other.seed}")
        return type(self)(np.sort(np.concatenate([self.samples, other.samples])), self.seed)
