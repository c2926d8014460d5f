"""The smallest effect that makes an artifact unit, against simulated tests of units whose effects are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from dissectreport.analysis.artifacts.detectable import detectable_effect
from dissectreport.analysis.artifacts.selection import SingleEffects, SingleUnits, judge_units
from dissectreport.analysis.results.artifacts import Role
from dissectreport.run.shards import GROUPS

CANDIDATES, FINALISTS = 35, 8
FIRST, SECOND = 0.05, 0.02
"""Standard errors of an effect on the first and on the further test images, where the distance is 1."""
TESTED = SingleUnits(np.arange(CANDIDATES), (Role.LEADING,) * CANDIDATES)


def simulated(seed: int, effect: float) -> SingleEffects:
    """The tests of candidates without effect, but for the first one."""
    random = np.random.default_rng(seed)
    true = np.zeros(CANDIDATES)
    true[0] = effect
    halves = true + FIRST * np.sqrt(2) * random.standard_normal((2, CANDIDATES))
    value = halves.mean(0)
    further = np.isin(np.arange(CANDIDATES), np.argsort(-value)[:FINALISTS])
    value = np.where(further, true + SECOND * random.standard_normal(CANDIDATES), value)
    scale = np.where(further, SECOND, FIRST) * np.sqrt(random.chisquare(GROUPS - 1, CANDIDATES) / (GROUPS - 1))
    reach = stats.t.ppf(0.975, GROUPS - 1) * scale
    nothing = np.full(CANDIDATES, np.nan)
    return SingleEffects(
        images=np.where(further, 320, 64),
        further=further,
        value=value,
        low=value - reach,
        high=value + reach,
        p=stats.t.sf(value / scale, GROUPS - 1),
        difference=nothing,
        difference_low=nothing,
        difference_high=nothing,
        moves=np.ones(CANDIDATES, bool),
        halves=halves,
    )


def share_found(effect: float) -> float:
    """In how many runs the first candidate is an artifact unit."""
    return float(np.mean([judge_units(simulated(seed, effect), TESTED, 1.0).artifact[0] for seed in range(150)]))


def test_from_the_detectable_effect_on_a_candidate_is_found_in_at_least_80_percent_of_runs_and_seldom_from_half() -> (
    None
):
    detectable = float(np.mean([detectable_effect(simulated(s, 0.0), TESTED, FINALISTS, 1.0) for s in range(40)]))
    assert share_found(detectable) >= 0.8
    assert share_found(detectable / 2) < 0.7


def test_small_errors_leave_one_percent_of_the_distance_and_a_large_first_error_decides() -> None:
    tests = simulated(0, 0.0)
    sure = replace(tests, low=tests.value - 1e-9, high=tests.value + 1e-9, halves=np.zeros((2, CANDIDATES)))
    assert detectable_effect(sure, TESTED, FINALISTS, 1.0) == pytest.approx(0.01, abs=1e-6)
    assert detectable_effect(tests, TESTED, FINALISTS, 1.0) > 0.05


def test_without_a_candidate_that_matters_nothing_is_known() -> None:
    tests = simulated(0, 0.0)
    assert np.isnan(detectable_effect(replace(tests, moves=np.zeros(CANDIDATES, bool)), TESTED, FINALISTS, 1.0))
