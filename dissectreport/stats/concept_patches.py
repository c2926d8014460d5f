"""The patch of every image that shows most of each studied concept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Arrays, Floats, Ints, same_shape


@dataclass(frozen=True)
class ConceptPatches:
    """One row per sample, by rising sample number."""

    samples: Ints
    """(n,) sample numbers."""
    share: Floats
    """(n, concepts) share of the patch that shows the concept."""
    patch: Ints
    """(n, concepts) number of the patch that shows most of it."""
    patches: int
    """Patches of an image."""

    def merge(self, other: Self) -> Self:
        """The rows of both; refused when they are of different numbers of concepts."""
        same_shape("ConceptPatches.patch", self.patch[:0], other.patch[:0])
        samples = np.concatenate([self.samples, other.samples])
        order = np.argsort(samples, kind="stable")
        share, patch = (
            np.concatenate([getattr(self, name), getattr(other, name)])[order] for name in ("share", "patch")
        )
        return type(self)(samples[order], share, patch, self.patches)

    def keeping(self, rows: Ints) -> ConceptPatches:
        """The rows of some of the concepts."""
        return ConceptPatches(self.samples, self.share[:, rows], self.patch[:, rows], self.patches)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The rows as arrays."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The rows back from arrays."""
        samples, patch = (np.asarray(arrays[name], np.int64) for name in ("samples", "patch"))
        return cls(samples, np.asarray(arrays["share"], np.float64), patch, int(arrays["patches"]))
