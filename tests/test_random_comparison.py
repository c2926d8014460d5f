"""Whether a set of units removes more than random sets do, held to sets whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dissectreport.analysis.interventions.random_sets import RandomRemovals


def some_sets(seed: int, sets: int = 20, images: int = 12, spread: float = 0.17) -> tuple[np.ndarray, np.ndarray]:
    """Areas (m,) of a concept, and those (m, sets) that random sets leave, which differ by set, image and both."""
    random = np.random.default_rng(seed)
    before = random.lognormal(6, 1, images).round()
    removed = 0.1 + spread * random.standard_normal(sets) + 0.1 * random.standard_normal((images, 1))
    return before.astype(np.int64), (before[:, None] * (1 - removed)).astype(np.int64)


def test_one_random_set_removes_significantly_more_than_the_others_in_few_of_many_cases() -> None:
    more, less, cases = 0, 0, 0
    for seed in range(60):
        before, after = some_sets(seed)
        for one in range(after.shape[1]):
            others = RandomRemovals(before, np.delete(after, one, 1))
            _, low, high = others.difference(after[:, one])
            more, less, cases = more + (low > 0), less + (high < 0), cases + 1
    assert more / cases < 0.05, more / cases
    assert less / cases < 0.05, less / cases
    assert (more + less) / cases > 0.01, "the interval is not so wide that nothing ever differs"


def test_a_set_that_removes_far_more_than_random_ones_is_told_from_them() -> None:
    found = 0
    for seed in range(50):
        before, after = some_sets(seed)
        value, low, high = RandomRemovals(before, after).difference((before * 0.2).astype(np.int64))
        assert low < value < high
        found += low > 0
    assert found >= 48


def test_without_any_error_of_images_the_interval_is_the_prediction_interval_of_student() -> None:
    before = np.full(50, 1000)
    removed = np.array([0.1, 0.4, 0.2, 0.3, 0.15])
    after = (before[:, None] * (1 - removed)).astype(np.int64)
    value, low, high = RandomRemovals(before, after).difference(np.full(50, 200))
    reach = stats.t.ppf(0.975, 4) * removed.std(ddof=1) * np.sqrt(1 + 1 / 5)
    assert value == pytest.approx(0.8 - removed.mean())
    assert np.allclose((low, high), (value - reach, value + reach))


def test_sets_that_are_alike_leave_the_error_of_the_images() -> None:
    random = np.random.default_rng(0)
    before = np.full(40, 1000)
    lost = (500 + 100 * random.standard_normal(40)).astype(np.int64)
    value, low, high = RandomRemovals(before, np.stack([before] * 6, 1)).difference(before - lost)
    wanted = stats.t.interval(0.95, 39, lost.mean() / 1000, stats.sem(lost) / 1000)
    assert value == pytest.approx(lost.mean() / 1000)
    assert np.allclose((low, high), wanted, rtol=0.02)


def test_a_concept_that_is_nowhere_has_no_difference_and_one_set_no_interval() -> None:
    assert np.isnan(RandomRemovals(np.zeros(3, int), np.zeros((3, 4), int)).difference(np.zeros(3, int))).all()
    value, low, high = RandomRemovals(np.array([4, 4]), np.array([[4], [2]])).difference(np.array([1, 1]))
    assert value == 0.5 and np.isnan([low, high]).all()
