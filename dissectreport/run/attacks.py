"""The small changes of images that are compared: two attacks, and a random change as their control."""

from __future__ import annotations

from enum import StrEnum
from math import sqrt

RADIUS = 2 / 255
"""Root mean square of an attack's change, in pixel values of 0 to 1, at most."""
STEP = 2.5
"""Length of all steps of an attack together, as a multiple of its largest length."""


class Attack(StrEnum):
    """How an image is changed, by its name in tables."""

    TARGETED = "targeted"
    """Towards another class."""
    UNTARGETED = "untargeted"
    """Away from the class that is predicted."""
    RANDOM = "random"
    """In a random direction, as far as the targeted attack."""


def largest_norm(pixels: int) -> float:
    """The length (L2) of the largest change of an image of so many pixel values, in values of 0 to 1.

    >>> round(largest_norm(3 * 224 * 224), 2)
    3.04
    """
    return RADIUS * sqrt(pixels)
