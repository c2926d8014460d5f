"""Counts by category: the union of the ICLR 2019 rule has only images that show the concept's category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from dissectreport.stats.base import Counts, Ints, same_shape


@dataclass(frozen=True)
class Categories(Counts):
    """Pixels by unit, category and bin over the images that hold any concept of the category."""

    bins: Ints
    """(units, k, bins) pixels whose activation falls into the bin, in images that hold the category."""
    images: Ints
    """(k,) images that hold the category."""
    named: Ints
    """(v,) number of pixel slots with each concept number, 0 (nothing) included."""

    def merge(self, other: Self) -> Self:
        """The counts of both; refused when they were binned differently or name other concepts."""
        same_shape("Categories.bins", self.bins, other.bins)
        same_shape("Categories.named", self.named, other.named)
        return type(self)(self.bins + other.bins, self.images + other.images, self.named + other.named)


def numbered(categories: Sequence[str]) -> Ints:
    """(v,) number of each concept's category, given by concept number; nothing (0) belongs to the first.

    >>> numbered(["-", "object", "part", "object"]).tolist()
    [0, 0, 1, 0]
    """
    numbers = {category: number for number, category in enumerate(dict.fromkeys(categories[1:]))}
    return np.array([numbers.get(category, 0) for category in categories], np.int64)
