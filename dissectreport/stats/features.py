"""What a feature network sees in every image: the rows that distances between sets of images are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Arrays, Ints, same_shape


@dataclass(frozen=True)
class Features:
    """One row a sample, by rising sample number."""

    samples: Ints
    """(n,) sample numbers."""
    values: NDArray[np.float32]
    """(n, d) features of the image."""

    def merge(self, other: Self) -> Self:
        """The rows of both; refused when they are of different lengths."""
        same_shape("Features.values", self.values[:0], other.values[:0])
        samples = np.concatenate([self.samples, other.samples])
        order = np.argsort(samples, kind="stable")
        return type(self)(samples[order], np.concatenate([self.values, other.values])[order])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The rows as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The rows back from arrays."""
        return cls(np.asarray(arrays["samples"], np.int64), np.asarray(arrays["values"], np.float32))
