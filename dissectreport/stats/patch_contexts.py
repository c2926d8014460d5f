"""Which concept every patch of every image shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from dissectreport.stats.base import Counts, Ints, by_sample, same_shape


@dataclass(frozen=True)
class PatchContexts(Counts):
    """One row per sample, by rising sample number."""

    samples: Ints
    """(n,) sample numbers."""
    contexts: Ints
    """(n, patches) the context of each patch: the concept at its middle; 0 for none that is studied."""

    def merge(self, other: Self) -> Self:
        """The rows of both; refused when they have different patches."""
        same_shape("PatchContexts.contexts", self.contexts[:0], other.contexts[:0])
        return type(self)(**by_sample(self, other))
