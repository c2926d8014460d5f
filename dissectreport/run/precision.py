"""The arithmetic of networks."""

from __future__ import annotations

from enum import StrEnum


class Precision(StrEnum):
    """The type of the numbers with which networks compute."""

    AUTO = "auto"
    """bfloat16 where it is fast and changes little, else float32; never in a key."""
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
