"""Sums over images from which effects are estimated by gradient × activation.

Gradients are not whole numbers, so these sums are float64 and are added in the order of their shards: the same shards
give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Arrays, Floats, Ints, same_shape


@dataclass(frozen=True)
class Sums:
    """Float sums over images, by name."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The sums as arrays."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The sums back from arrays."""
        return cls(**{field.name: np.asarray(arrays[field.name], np.float64) for field in fields(cls)})

    def merge(self, other: Self) -> Self:
        """The sums of both."""
        for name, mine in vars(self).items():
            same_shape(f"{type(self).__name__}.{name}", mine, getattr(other, name))
        return type(self)(**{name: mine + getattr(other, name) for name, mine in vars(self).items()})


@dataclass(frozen=True)
class FirstOrder(Sums):
    """Gradient × activation: the first-order estimate of a concept's area that ablating a unit removes."""

    effect: Floats
    """(concepts, units) pixels of soft area, over all images."""
    area: Floats
    """(concepts,) pixels of soft area, over all images."""


@dataclass(frozen=True)
class Presence(Sums):
    """The area of concepts, and the activations of units on it."""

    activation: Floats
    """(concepts, units) sum of activation times the share of the cell that shows the concept."""
    share: Floats
    """(concepts,) sum of the shares."""
    mean_activation: Floats
    """(units,) sum over images of the mean absolute activation."""
    level: Floats
    """(units,) sum over images of the mean activation, with its sign."""
    images: Floats
    """() images."""

    def keeping(self, rows: Ints) -> Presence:
        """The sums of some of the concepts."""
        return replace(self, activation=self.activation[rows], share=self.share[rows])

    def concept_means(self) -> Floats:
        """(concepts, units) mean activation where the concept is."""
        return np.asarray(self.activation / np.maximum(self.share, 1e-20)[:, None])


@dataclass(frozen=True)
class RealismGain(Sums):
    """Gradient × activation of the realism score: the first-order estimate of its gain when a unit is ablated."""

    effect: Floats
    """(units,) sum over images of the gain of the realism score when the unit is ablated."""
    mean_activation: Floats
    """(units,) sum over images of the mean absolute activation."""
    images: Floats
    """() images."""
