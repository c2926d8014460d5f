"""Choosing between float32 and bfloat16."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.records.reader import Arrays


@dataclass(frozen=True)
class HalfPrecision:
    """What was measured of bfloat16 on a few images."""

    FILE: ClassVar[str] = "precision"

    value: float

    def arrays(self) -> Arrays:
        """The figure as an array."""
        return {"value": np.array(self.value)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The figure back from an array."""
        return cls(float(arrays["value"]))


def choose_precision(asked: str, is_fast: bool, is_close: Callable[[], bool]) -> str:
    """'float32' or 'bfloat16', as was asked for.

    'auto' is bfloat16 where the device is fast with it and its results are close, which is asked last because it must
    be measured.

    >>> choose_precision("auto", is_fast=True, is_close=lambda: False)
    'float32'
    """
    if asked != "auto":
        return asked
    return "bfloat16" if is_fast and is_close() else "float32"
