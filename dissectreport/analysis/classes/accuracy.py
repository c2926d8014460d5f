"""Accuracy of a class against all others, with intervals (Bau et al. 2020, PNAS).

Recall is the share of a class's images that get it, false positives are the share of other images that get it, and
balanced accuracy is (recall + 1 - false positives) / 2: 0.5 is chance, whatever the number of classes. Its interval is
Newcombe's for a difference of two shares, which has a width for a class that is always recognised. That of a change on
the same images joins Newcombe's intervals of the two paired differences, which have a width where no prediction
changes: where one of ten images changes its class on average in two of three runs, a bootstrap has none in the others.
Means over random sets have a bootstrap within classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.shares import difference_of_shares, paired_difference

REPLICATES = 1000
"""Bootstrap replicates."""
SEED = 0
ENDS = (2.5, 97.5)
"""Percentiles of the replicates that are the ends of a 95% interval."""


def balanced_accuracy(truth: Ints, predicted: Ints, number: int) -> Floats:
    """(sets,) balanced accuracy of one class; `predicted` is (n, sets). NaN where the class has no image, or all."""
    own = truth == number
    hits = predicted == number
    with np.errstate(invalid="ignore"):
        recall = hits[own].sum(0) / own.sum()
        false = hits[~own].sum(0) / (~own).sum()
    return np.asarray((recall + 1 - false) / 2)


@dataclass(frozen=True)
class Figure:
    """A figure with the ends of its 95% interval; NaN where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Rates:
    """The measures of one class for some sets of units, with bootstrap replicates that all sets share."""

    recall: Floats
    """(sets,)"""
    false_positives: Floats
    """(sets,)"""
    replicated: Floats
    """(replicates, sets) balanced accuracy."""
    hits: NDArray[np.bool_]
    """(images of the class, sets) which images of the class get it."""
    false_hits: NDArray[np.bool_]
    """(other images, sets) which other images get the class."""

    @property
    def own(self) -> int:
        """Images of the class."""
        return len(self.hits)

    @property
    def others(self) -> int:
        """All other images."""
        return len(self.false_hits)

    @property
    def balanced_accuracy(self) -> Floats:
        """(sets,) (recall + 1 - false positives) / 2."""
        return np.asarray((self.recall + 1 - self.false_positives) / 2)

    def accuracy_of(self, at: int) -> Figure:
        """The balanced accuracy of one set."""
        recall, false = float(self.recall[at]), float(self.false_positives[at])
        low, high = difference_of_shares((recall * self.own, self.own), (false * self.others, self.others))
        return Figure(float(self.balanced_accuracy[at]), (low + 1) / 2, (high + 1) / 2)

    def change(self, at: int, base: int = 0) -> Figure:
        """How much the balanced accuracy of one set is above that of another, on the same images."""
        own, parts = self.balanced_accuracy, []
        for hits in (self.hits, self.false_hits):
            first, second = hits[:, at], hits[:, base]
            one, other, both = (int(n.sum()) for n in (first & ~second, ~first & second, first & second))
            low, high = paired_difference(one, other, both, len(hits))
            parts.append((low, float(first.mean() - second.mean()), high))
        (low, value, high), (false_low, false, false_high) = parts
        below, above = math.hypot(value - low, false_high - false), math.hypot(high - value, false - false_low)
        change = float(own[at] - own[base])
        return Figure(change, change - below / 2, change + above / 2)


def ends(replicates: Floats) -> tuple[float, float]:
    """The ends of the 95% interval."""
    low, high = np.percentile(replicates, ENDS)
    return float(low), float(high)


@dataclass(frozen=True)
class Scored:
    """Images with their classes, from which accuracy is computed."""

    truth: Ints
    """(n,) number of the class of each image."""

    @cached_property
    def weights(self) -> Floats:
        """(replicates, n) how often each image is drawn: within its class, as often as the class has images."""
        random = np.random.default_rng(SEED)
        weights = np.zeros((REPLICATES, len(self.truth)))
        for number in np.unique(self.truth):
            own = np.flatnonzero(self.truth == number)
            weights[:, own] = random.multinomial(len(own), np.full(len(own), 1 / len(own)), REPLICATES)
        return weights

    def rates(self, predicted: Ints, number: int) -> Rates:
        """The measures of one class; `predicted` is (n, sets)."""
        own = self.truth == number
        hits = predicted == number
        recall = self.weights[:, own] @ hits[own].astype(np.float64) / own.sum()
        false = self.weights[:, ~own] @ hits[~own].astype(np.float64) / (~own).sum()
        return Rates(hits[own].mean(0), hits[~own].mean(0), (recall + 1 - false) / 2, hits[own], hits[~own])
