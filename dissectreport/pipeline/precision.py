"""Choosing between float32 and bfloat16."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.records.reader import Arrays
from dissectreport.run.precision import Precision


@dataclass(frozen=True)
class HalfPrecision:
    """The effect of bfloat16 on a few images."""

    FILE: ClassVar[str] = "precision"

    value: float

    def arrays(self) -> Arrays:
        """The figure as an array."""
        return {"value": np.array(self.value)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The figure back from an array."""
        return cls(float(arrays["value"]))


def choose_precision(requested: str, is_fast: bool, is_close: Callable[[], bool]) -> Precision:
    """The precision to use, for one that was asked for.

    AUTO is bfloat16 if the device is fast with it and its results are close. The latter is tested last, as it
    must be measured.

    >>> choose_precision(Precision.AUTO, is_fast=True, is_close=lambda: False)
    <Precision.FLOAT32: 'float32'>
    """
    if requested != Precision.AUTO:
        return Precision(requested)
    return Precision.BFLOAT16 if is_fast and is_close() else Precision.FLOAT32
