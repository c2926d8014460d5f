"""The methods by which units are ranked for a concept."""

from __future__ import annotations

from enum import StrEnum

NEAREST = 8
"""A unit of a random set is one of this many whose mean activation is nearest in rank to that of its partner."""


class Ranking(StrEnum):
    """A ranking method, by its name in records, tables and budgets."""

    GRADIENT = "gradient"
    """Gradient × activation."""
    LEARNED_MASK = "learned_mask"
    GREEDY = "greedy"
    IOU = "IoU"
    RANDOM = "random"
    """The control: random sets of other units, matched in mean activation unit by unit."""
