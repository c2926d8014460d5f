"""The smallest effect with which a candidate would have become an artifact unit in at least 80% of cases.

A candidate must be among the best on the first test images, and then significant on further ones. Each step is passed
with a probability of 90% from some effect on, so both are passed with at least 80%.
"""

from __future__ import annotations

import numpy as np

from dissectreport.analysis.artifacts.selection import SIGNIFICANT, WORTH, SecondEffects, SingleEffects, SingleUnits
from dissectreport.analysis.common.student import quantile
from dissectreport.analysis.results.artifacts import CANDIDATES
from dissectreport.run.shards import GROUPS
from dissectreport.stats.base import Floats, Ints

EACH = 0.9
"""The probability with which each of the two steps is passed."""


def detectable_effect(tests: SingleEffects, tested: SingleUnits, finalists: int, distance: float) -> float:
    """The smallest decrease of KID that makes a candidate an artifact unit with a probability of at least 80%.

    `finalists` candidates were tested further; `distance` is the KID without any edit. NaN where no candidate affects
    any image or none was tested further.
    """
    candidates = tested.indices(*CANDIDATES)
    family = candidates[tests.moves[candidates]]
    further = family[tests.further[family]]
    if not len(further):
        return float("nan")
    second = float(np.median(_errors(tests, further)))
    adjusted = max(1 - SIGNIFICANT / len(family), 0.75)
    needed = max(quantile(adjusted, GROUPS - 1) * second, WORTH * distance)
    return max(_first_step(tests, family, finalists), needed + quantile(EACH, GROUPS - 1) * second)


def detectable_again(second: SecondEffects) -> float:
    """The smallest decrease of KID, as a share of it, that is significant in the second network's features with a
    probability of at least 80%; NaN where KID is not above 0."""
    if second.distance <= 0:
        return float("nan")
    error = float(np.median((second.high - second.low) / 2 / quantile(0.975, GROUPS - 1)))
    adjusted = 1 - SIGNIFICANT / len(second.units)
    return error * (quantile(adjusted, GROUPS - 1) + quantile(0.8, GROUPS - 1)) / second.distance


def _first_step(tests: SingleEffects, family: Ints, finalists: int) -> float:
    """The effect from which a candidate is among the best on the first images; 0 where all were tested further."""
    rest = family[~tests.further[family]]
    if len(family) <= finalists or not len(rest):
        return 0.0
    value = tests.halves.mean(0)[family]
    cut = max(0.0, float(np.sort(value)[-finalists]))
    return cut + quantile(EACH, GROUPS - 1) * float(np.median(_errors(tests, rest)))


def _errors(tests: SingleEffects, indices: Ints) -> Floats:
    """The standard errors of some effects, from their intervals."""
    return np.asarray((tests.high[indices] - tests.low[indices]) / 2 / quantile(0.975, GROUPS - 1))
