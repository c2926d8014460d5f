"""Results of the passes of a dissection: the thresholds at which the units of a layer are counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.records.reader import Arrays
from dissectreport.stats.base import Floats
from dissectreport.stats.thresholds import AnyThresholds, ExactThresholds, thresholds_from_arrays

Shape = tuple[int, int, int]
"""Units, height and width of a layer."""


@dataclass(frozen=True)
class StoredThresholds:
    """The thresholds of one reading of a layer."""

    FILE: ClassVar[str] = "thresholds"

    thresholds: AnyThresholds
    shape: Shape
    search_ratios: Floats | None = None
    """(units, vocabulary) what labels are ordered by under a rule that searches for them; None under others."""

    @property
    def exact(self) -> ExactThresholds:
        """The thresholds of a published rule."""
        assert isinstance(self.thresholds, ExactThresholds), "only published rules have exact thresholds"
        return self.thresholds

    def arrays(self) -> Arrays:
        """The thresholds as arrays."""
        searched = {} if self.search_ratios is None else {"search_ratios": self.search_ratios}
        return {**self.thresholds.arrays(), "shape": np.array(self.shape, np.int64), **searched}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The thresholds back from arrays."""
        units, height, width = (int(side) for side in arrays["shape"])
        return cls(thresholds_from_arrays(arrays), (units, height, width), arrays.get("search_ratios"))
