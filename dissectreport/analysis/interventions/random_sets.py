"""What random sets of units remove of a concept, and whether another set removes more.

One more random set would lie in the prediction interval of Student's t over the random sets (Hahn & Meeker 1991), whose
variance here includes the error of the latents, which all sets share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dissectreport.analysis.common.student import joint_reach
from dissectreport.records.interventions import AblationPlan, InterventionRecord, RandomAblation, Units, random_file
from dissectreport.records.reader import Reader
from dissectreport.stats.ablated_areas import AblatedAreas
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Floats, Ints


@dataclass(frozen=True)
class RandomRemovals:
    """The area of one concept in some images, whole and with each random set ablated."""

    before: Ints
    """(m,) pixels of the concept without any edit."""
    after: Ints
    """(m, sets) pixels that are left."""

    @property
    def removed(self) -> Floats:
        """(sets,) share of the concept's area that each set removes; NaN where there is none of it."""
        total = self.before.sum()
        return np.asarray(1 - self.after.sum(0) / total) if total else np.full(self.after.shape[1], np.nan)

    def difference(self, after: Ints) -> tuple[float, float, float]:
        """How much more another set removes than these do on average, and the ends of its 95% prediction interval.

        `after` (m,) are the pixels that the other set leaves in the same images. If it were one more random set, the
        interval would include 0 in 95% of cases. The ends are NaN with fewer than two sets or images.
        """
        images, sets = self.after.shape
        total = self.before.sum()
        if not total:
            return np.nan, np.nan, np.nan
        gained = self.after.mean(1) - after
        value = float(gained.sum() / total)
        if sets < 2 or images < 2:
            return value, np.nan, np.nan
        of_sets = float(self.removed.var(ddof=1)) * (1 + 1 / sets)
        of_images = float(((gained - value * self.before) ** 2).sum()) * images / (images - 1) / float(total) ** 2
        reach = joint_reach(of_sets, sets - 1, of_images, images - 1)
        return value, value - reach, value + reach


@dataclass(frozen=True)
class RandomSetEffects:
    """What the random sets of every concept remove, and how similar their units are to those they are compared with."""

    plan: AblationPlan
    areas: Areas
    ablated: AblatedAreas
    results: Mapping[tuple[int, int], RandomAblation]
    """By concept and size."""
    concepts: tuple[int, ...]
    """Numbers of the studied concepts."""

    @classmethod
    def read(
        cls, record: InterventionRecord, reader: Reader, plan: AblationPlan, areas: Areas, ablated: AblatedAreas
    ) -> RandomSetEffects:
        """What the pass of the random sets left behind."""
        keys = [(concept, size) for concept in range(plan.concepts) for size in plan.random]
        results = {key: reader.read(record.random, RandomAblation, random_file(*key)) for key in keys}
        return cls(plan, areas, ablated, results, record.key.concepts)

    @property
    def sizes(self) -> list[int]:
        """How many units random sets have, rising."""
        return sorted(self.plan.random)

    def removals(self, concept: int, size: int) -> RandomRemovals:
        """What the random sets of a size remove of one of the studied concepts."""
        result = self.results[concept, size]
        column = int(np.flatnonzero(self.areas.concepts == self.concepts[concept])[0])
        return RandomRemovals(self.areas.pixels[_rows(self.areas.samples, result.samples), column], result.pixels)

    def images(self, concept: int, size: int) -> int:
        """The images on which the random sets of a concept are ablated."""
        return len(self.results[concept, size].samples)

    def difference(self, concept: int, units: Units) -> tuple[float, float, float]:
        """How much more of a concept a set removes than as many random units do, with its prediction interval."""
        result = self.results[concept, len(units)]
        rows = _rows(self.ablated.samples, result.samples)
        after = self.ablated.pixels[rows, self.plan.sets().index(units), concept]
        return self.removals(concept, len(units)).difference(after)

    def match(self, concept: int, units: Units) -> tuple[float, float]:
        """Mean activation of the random sets over that of a set, and how far they differ in rank, as a share of units.

        The difference in rank is the mean over units, each set sorted by rank.
        """
        mean_activation = self.plan.mean_activation
        rank = activation_ranks(mean_activation)
        sets = [list(one) for one in self.plan.random[len(units)][concept]]
        own = mean_activation[list(units)].mean()
        ratio = np.mean([mean_activation[one].mean() for one in sets]) / own if own > 0 else np.nan
        distances = [np.abs(np.sort(rank[one]) - np.sort(rank[list(units)])).mean() for one in sets]
        return float(ratio), float(np.mean(distances) / len(rank))


def activation_ranks(mean_activation: Floats) -> Ints:
    """(units,) rank of each unit by mean activation, from 0."""
    return np.argsort(np.argsort(mean_activation, kind="stable"), kind="stable").astype(np.int64)


def _rows(samples: Ints, wanted: Ints) -> Ints:
    """The rows of some samples among rising sample numbers."""
    return np.searchsorted(samples, wanted)
