"""Random sets of units that are as active as the units that they are compared with, unit by unit."""

from __future__ import annotations

import numpy as np

from dissectreport.analysis.interventions.random_sets import activation_ranks
from dissectreport.records.interventions import Units, as_set
from dissectreport.run.rankings import NEAREST
from dissectreport.stats.base import Floats, Ints

TRIES = 2000
"""Sets that are drawn, at most, to find different ones."""


def matched_sets(mean_activation: Floats, leading: Units, count: int) -> tuple[Units, ...]:
    """Up to `count` different random sets of as many units as `leading`, none of which is among these.

    `mean_activation` (units,) ranks the units of the layer. Every random unit is near one of the leading units in this
    rank, and is ever on. There is no set where fewer than twice as many units as `leading` has are ever on.
    """
    alive = np.flatnonzero(mean_activation > 0)
    others = np.setdiff1d(alive, leading)
    if 2 * len(leading) > len(alive) or len(leading) > len(others):
        return ()
    random = np.random.RandomState(len(leading))
    rank = activation_ranks(mean_activation)
    sets: dict[Units, None] = {}
    for _ in range(TRIES):
        sets[_matched_set(rank, leading, others, random)] = None
        if len(sets) == count:
            break
    return tuple(sets)


def _matched_set(rank: Ints, leading: Units, others: Ints, random: np.random.RandomState) -> Units:
    free, chosen = others, []
    for unit in random.permutation(leading):
        nearest = free[np.argsort(np.abs(rank[free] - rank[unit]), kind="stable")[:NEAREST]]
        chosen.append(int(random.choice(nearest)))
        free = free[free != chosen[-1]]
    return as_set(chosen)
