"""The methods by which units are ranked for a concept."""

from __future__ import annotations

from enum import StrEnum


class Ranking(StrEnum):
    """A ranking method, by its name in records, tables and budgets."""

    GRADIENT = "gradient"
    """Gradient × activation."""
    LEARNED_MASK = "learned_mask"
    GREEDY = "greedy"
    IOU = "IoU"
    RANDOM = "random"
    """The control: random sets of units with a similar mean activation."""
