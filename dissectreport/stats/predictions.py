"""The results of a classifier for every image: its scores, and its predictions while units are ablated.

The counts of the measures of Bau et al. (2020) follow: recall, false positives and balanced accuracy, one class
against all others (`analysis/classes/accuracy.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Arrays, Floats, Ints, by_sample, same_shape


@dataclass(frozen=True)
class _BySample:
    """Rows of numbers, one a sample, by rising sample number, which is the first field."""

    samples: Ints
    """(n,) sample numbers."""

    def merge(self, other: Self) -> Self:
        """The rows of both; refused when they are of different lengths."""
        for name, mine in vars(self).items():
            same_shape(f"{type(self).__name__}.{name}", mine[:0], getattr(other, name)[:0])
        rows: dict[str, Any] = by_sample(self, other)
        return type(self)(**rows)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The rows as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The rows back from arrays."""
        kinds = {field.name: np.float32 if "float32" in str(field.type) else np.int64 for field in fields(cls)}
        rows: dict[str, Any] = {name: np.asarray(arrays[name], kind) for name, kind in kinds.items()}
        return cls(**rows)


@dataclass(frozen=True)
class ClassScores(_BySample):
    """The scores of every image without any edit."""

    truth: Ints
    """(n,) number of the class; -1 where it is unknown."""
    logits: NDArray[np.float32]
    """(n, classes) scores."""
    means: NDArray[np.float32]
    """(n, units) mean activation of each unit of the layer."""


@dataclass(frozen=True)
class Predictions(_BySample):
    """The predictions of every image while each of several sets of units is ablated."""

    predicted: Ints
    """(n, sets) number of the class with the highest score."""
    certainty: NDArray[np.float32]
    """(n, sets) logarithm of the probability of the true class, or of the predicted one if the true one is unknown."""


@dataclass(frozen=True)
class ClassEstimates(_BySample):
    """What gradients say that each image loses without each single unit."""

    lost: NDArray[np.float32]
    """(n, units) estimate of the logarithm of the probability of the image's class that ablating the unit takes away:
    activation × gradient, summed over cells."""


@dataclass(frozen=True)
class Attacks(_BySample):
    """What attacks change: the predictions, and the peak activation of every unit.

    The modes are those of `run.attacks.Attack`, in order.
    """

    source: Ints
    """(n,) class that is predicted without any change."""
    target: Ints
    """(n,) class that the targeted attack aims at."""
    predicted: Ints
    """(n, modes) class that is predicted after each change."""
    norm: NDArray[np.float32]
    """(n, modes) length of each change, in pixel values of 0 to 1."""
    peaks: NDArray[np.float32]
    """(n, modes, units) peak activation after the change minus that before."""


def known_truth(truth: Ints, logits: NDArray[Any]) -> Ints:
    """(n,) the class of each image: its label, or the network's prediction if the label is unknown (below 0)."""
    return np.where(truth < 0, logits.argmax(1), truth)


def log_probabilities(scores: NDArray[Any], truth: Ints) -> Floats:
    """(n, k, classes) scores -> (n, k) logarithm of the probability of each image's class."""
    beyond = scores.astype(np.float64) - scores.max(2, keepdims=True)
    own = np.take_along_axis(beyond, truth[:, None, None], 2)[:, :, 0]
    return np.asarray(own - np.log(np.exp(beyond).sum(2)))
