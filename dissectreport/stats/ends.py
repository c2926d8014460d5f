"""The smallest and largest activation in every bin, for interpolation of shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Arrays, Ints, same_shape, spread, union

Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Ends:
    """Ends of the activations by unit, concept and bin of `Joint`; infinite where the bin is empty."""

    concepts: Ints
    """(c,) rising numbers of the concepts that occur."""
    low: Singles
    """(units, c, bins) smallest activation, or infinity."""
    high: Singles
    """(units, c, bins) largest activation, or minus infinity."""

    def merge(self, other: Self) -> Self:
        """The ends of both; refused when they were binned differently."""
        same_shape("Ends.low", self.low[:, :0], other.low[:, :0])
        concepts = union(self.concepts, other.concepts)
        low = np.minimum(*(spread(s.low, s.concepts, concepts, 1, np.inf) for s in (self, other)))
        high = np.maximum(*(spread(s.high, s.concepts, concepts, 1, -np.inf) for s in (self, other)))
        return type(self)(concepts, low, high)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The ends as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The ends back from arrays."""
        low, high = (np.asarray(arrays[name], np.float32) for name in ("low", "high"))
        return cls(np.asarray(arrays["concepts"], np.int64), low, high)

    def around(self) -> tuple[Singles, Singles]:
        """(units, c, bins - 1) largest activation not above each inner edge, and smallest above it."""
        below = np.maximum.accumulate(self.high[..., :-1], -1)
        above = np.flip(np.minimum.accumulate(np.flip(self.low[..., 1:], -1), -1), -1)
        return below, above
