"""Which concepts have a unit of their own: one that matches better than the best of as many random directions.

If the units of a layer were one more random basis of its (standardised) activations, their scores with a concept would
be a draw from the same distribution as those of the directions of the random bases. The upper tail of that distribution
is taken to fall exponentially beyond the largest scores of all bases together (peaks over a threshold: Pickands 1975;
Weissman 1978), which is cautious for scores that have an upper bound. With m peaks of mean height s above the threshold
among N directions, one more direction exceeds the threshold by x with probability m / N (1 + x / (m s))^-m, and the
best of U directions does so with probability 1 - (1 - that)^U: the p-value of the best unit.

The unit is chosen on the selection images and scored on the held-out ones, like the best direction of every basis.

All concepts together: the mean score of their best units is compared with the means of the random bases by Student's t
for one more observation. All are scored on the same images, so that what these owe to chance is no part of the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import pandas as pd

from dissectreport.analysis.common.cutoffs import LEAST_CORRECTED_IOU, Q
from dissectreport.analysis.common.jackknife import Jackknife, benjamini_hochberg
from dissectreport.analysis.common.student import joint_reach, upper_tail
from dissectreport.analysis.dissection.corrected_rule import Scores
from dissectreport.analysis.dissection.counted import ConceptNames
from dissectreport.analysis.results.dissection import OWN_UNIT_COLUMNS, BestUnits
from dissectreport.stats.base import Floats

PEAKS = 10
"""The largest scores from which the tail of those of random directions is estimated."""


def own_units(scores: Scores, rotations: Sequence[Scores], names: ConceptNames) -> pd.DataFrame:
    """One row per concept that is tested among the units and in every random basis, the clearest first.

    `rotations` are the scores of random directions, one for each basis. Of twins only the most common concept is
    tested.
    """
    numbers = [int(number) for number in scores.concepts[scores.tested] if int(number) not in names.twins]
    rows = [_row(_Concept.of(number, scores, rotations), names) for number in numbers if _tested(number, rotations)]
    table = pd.DataFrame(rows, columns=[name for name in OWN_UNIT_COLUMNS if name not in ("q", "own_unit")])
    q = benjamini_hochberg(table["p"].to_numpy(np.float64))
    own = (q < Q) & (table["corrected_iou"].to_numpy(np.float64) > LEAST_CORRECTED_IOU)
    return table.assign(q=q, own_unit=own).sort_values(["p", "difference"], ascending=[True, False], ignore_index=True)


def best_units(scores: Scores, rotations: Sequence[Scores], names: ConceptNames) -> BestUnits | None:
    """The best units of all tested concepts together; None with fewer than two random bases, or without concepts.

    Of twins only the most common concept counts.
    """
    numbers = [int(number) for number in scores.concepts[scores.tested] if int(number) not in names.twins]
    numbers = [number for number in numbers if _tested(number, rotations)]
    if len(rotations) < 2 or not numbers:
        return None
    units, *directions = (
        float(np.mean([float(_best(number, basis)[1].value) for number in numbers])) for basis in (scores, *rotations)
    )
    return BestUnits(units, tuple(directions), len(numbers), p_of_one_more(units, directions))


def p_of_one_more(value: float, others: Sequence[float]) -> float:
    """The one-sided p-value of a value that would be one more of some others, by Student's t.

    >>> p_of_one_more(1.0, [0.0, 1.0, 2.0])
    0.5
    """
    spread = float(np.std(others, ddof=1)) * sqrt(1 + 1 / len(others))
    if not spread:
        return float(value <= others[0])
    return float(upper_tail(np.float64((value - np.mean(others)) / spread), len(others) - 1))  # type: ignore[arg-type]


def p_of_best(best: float, directions: Floats, units: int) -> float:
    """The probability that the best of so many random directions scores at least `best`, from the scores of others.

    >>> p_of_best(0.5, np.linspace(0, 1, 100), 10) > 0.99
    True
    """
    ranked = np.sort(directions)[::-1]
    peaks = min(PEAKS, len(ranked) // 4)
    if not peaks or best <= ranked[peaks]:
        return 1.0
    height = float((ranked[:peaks] - ranked[peaks]).mean())
    # If all directions have the same score, the probability is at most one in the number of directions.
    beyond = (1 + (best - ranked[peaks]) / (peaks * height)) ** -peaks if height else 1 / peaks
    return float(1 - (1 - peaks / len(ranked) * beyond) ** units)


def _tested(number: int, rotations: Sequence[Scores]) -> bool:
    return bool(rotations) and all(number in rotation.concepts[rotation.tested] for rotation in rotations)


@dataclass(frozen=True)
class _Concept:
    """The best unit of a concept, and the best direction of each random basis."""

    number: int
    unit: int
    best: Jackknife
    """() chance-corrected IoU of the best unit."""
    directions: tuple[Jackknife, ...]
    """() that of the best direction of each basis."""
    every: Floats
    """Chance-corrected IoUs of all directions of all bases."""
    units: int

    @classmethod
    def of(cls, number: int, scores: Scores, rotations: Sequence[Scores]) -> _Concept:
        unit, best = _best(number, scores)
        every = [rotation.corrected_iou.value[:, _column(number, rotation)] for rotation in rotations]
        directions = tuple(_best(number, rotation)[1] for rotation in rotations)
        return cls(number, unit, best, directions, np.concatenate(every), len(scores.chosen))

    def difference(self) -> tuple[float, float, float]:
        """How much better the unit matches than the best direction, and the ends of the 95% prediction interval.

        It includes the spread of the bases and the error of the images.
        """
        values = np.array([float(one.value) for one in self.directions])
        mean = Jackknife(values.mean(), np.mean([one.without for one in self.directions], axis=0), self.best.sizes)
        images = Jackknife(self.best.value - mean.value, self.best.without - mean.without, self.best.sizes)
        value, bases = float(images.value), len(values)
        if bases < 2 or images.freedom < 1:
            return value, float("nan"), float("nan")
        spread = float(values.var(ddof=1)) * (1 + 1 / bases)
        reach = joint_reach(spread, bases - 1, float(images.error()) ** 2, images.freedom)
        return value, value - reach, value + reach


def _row(concept: _Concept, names: ConceptNames) -> tuple[object, ...]:
    named = names.vocabulary[concept.number]
    best, directions = float(concept.best.value), [float(one.value) for one in concept.directions]
    return (
        named.name,
        named.category,
        concept.unit,
        best,
        float(np.mean(directions)),
        min(directions),
        max(directions),
        *concept.difference(),
        p_of_best(best, concept.every, concept.units),
    )


def _column(number: int, scores: Scores) -> int:
    return int(np.searchsorted(scores.concepts, number))


def _best(number: int, scores: Scores) -> tuple[int, Jackknife]:
    """The unit of largest selection score with a concept, and its chance-corrected IoU."""
    column, jack = _column(number, scores), scores.corrected_iou
    unit = int(scores.chosen[:, column].argmax())
    return unit, Jackknife(jack.value[unit, column], jack.without[:, unit, column], jack.sizes)
