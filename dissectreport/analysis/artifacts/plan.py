"""Which units are ablated one by one in the search for artifact units: decided on selection latents alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dissectreport.analysis.artifacts.selection import FALL
from dissectreport.records.artifacts import ArtifactPlan, Units
from dissectreport.run.budgets import ArtifactBudget
from dissectreport.stats.base import Floats
from dissectreport.stats.effects import RealismGain

ROUNDING = 1e-6
"""Share of the largest estimate up to which another may be rounding alone."""


def artifact_plan(first: RealismGain, budget: ArtifactBudget, marked: Units = ()) -> ArtifactPlan:
    """The units that gradient × activation suggests, control units, and the marked ones."""
    estimate, mean_activation = FALL * first.effect / first.images, first.mean_activation / first.images
    order = np.argsort(-estimate, kind="stable").tolist()
    leading = [unit for unit in order[: budget.leading] if estimate[unit] > ROUNDING * estimate.max(initial=0)]
    rest = order[len(leading) :]
    bottom = rest[max(0, len(rest) - budget.bottom) :]
    others = [unit for unit in rest if unit not in {*bottom, *marked}]
    control = matched_units(mean_activation, leading or bottom, others, budget.control)
    more = tuple(unit for unit in marked if unit not in {*leading, *control, *bottom})
    return ArtifactPlan(np.asarray(estimate), np.asarray(mean_activation), tuple(leading), control, tuple(bottom), more)


def matched_units(mean_activation: Floats, leading: Sequence[int], others: Sequence[int], count: int) -> Units:
    """Of `others` those whose mean activation is nearest to that of some leading units, chosen at random."""
    remaining, chosen = list(others), []
    for unit in np.random.RandomState(0).permutation(list(leading))[:count].tolist():
        if remaining:
            nearest = min(remaining, key=lambda other: (abs(mean_activation[other] - mean_activation[unit]), other))
            remaining.remove(nearest)
            chosen.append(nearest)
    return tuple(chosen)
