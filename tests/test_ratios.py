"""Intervals of ratios of areas, held to images whose ratio is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dissectreport.analysis.common.ratios import LARGEST_SHARE, effective_number, ratio_interval


def some_areas(random: np.random.Generator, images: int, present: float, removed: float) -> np.ndarray:
    """(2, images) area of a concept before and after an edit that removes this share of it on average."""
    before = np.where(random.random(images) < present, random.lognormal(7, 1, images), 0)
    lost = random.beta(6 * removed, 6 * (1 - removed), images)
    return np.stack([before, before * (1 - lost)]).round().astype(np.int64)


@pytest.mark.parametrize("removed", [0.5, 0.85])
def test_intervals_of_what_is_left_of_rare_concepts_contain_the_truth(removed: float) -> None:
    random = np.random.default_rng(3)
    covered = []
    for present in (0.2, 0.1, 0.05):
        held = 0
        for _ in range(300):
            before, after = some_areas(random, 128, present, removed)
            _, (low,), (high,) = ratio_interval(after[:, None], before[:, None])
            held += low <= 1 - removed <= high
        covered.append(held / 300)
    assert min(covered) > 0.92, covered
    assert np.mean(covered) > 0.935, covered


def test_a_ratio_and_its_interval_equal_a_slow_computation() -> None:
    random = np.random.default_rng(0)
    below, above = random.integers(0, 90, (30, 2)), random.integers(0, 60, (30, 3, 2))
    value, low, high = ratio_interval(above, below)
    for edit in range(3):
        for concept in range(2):
            b, a = below[:, concept], above[:, edit, concept]
            ratio = a.sum() / b.sum()
            error = sum(((x - ratio * y) / (1 - y / b.sum())) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5 / b.sum()
            freedom = int(b.sum() ** 2 / (b**2).sum()) - 1
            reach = stats.t.ppf(0.975, freedom) * error / ratio
            assert value[edit, concept] == pytest.approx(ratio)
            assert np.allclose([low[edit, concept], high[edit, concept]], ratio * np.exp([-reach, reach]))


def test_nothing_has_no_ratio_and_one_image_no_interval() -> None:
    below = np.array([[0, 5, 5], [0, 0, 7]])
    value, low, high = ratio_interval(np.array([[1, 2, 0], [0, 0, 0]]), below)
    assert np.isnan(value[0]) and np.isnan([low[:2], high[:2]]).all()
    assert value[1] == 0.4
    assert (value[2], low[2], high[2]) == (0, 0, 1)


@pytest.mark.parametrize("often", [0.005, 0.01, 0.02, 0.05])
@pytest.mark.parametrize("lost", [False, True])
def test_what_few_images_show_may_be_in_others(often: float, lost: bool) -> None:
    """A share that a few images keep, or lose, and most do not: among 128 images there is often none of them."""
    held = []
    for seed in range(300):
        random = np.random.default_rng(seed)
        below = random.integers(50, 400, 128)
        some = ((random.random(128) < often) * random.random(128) * below).astype(np.int64)
        _, low, high = ratio_interval((below - some if lost else some)[:, None], below[:, None])
        held.append(low[0] <= (1 - often / 2 if lost else often / 2) <= high[0])
    assert np.mean(held) >= 0.93


def test_what_is_gone_in_every_image_may_be_left_in_others() -> None:
    below = np.full((128, 1), 100)
    value, low, high = ratio_interval(np.zeros((128, 1), np.int64), below)
    assert value == low == 0 and high[0] == pytest.approx(-np.log(0.025) / 128)
    value, low, high = ratio_interval(below, below)
    assert value == high == 1 and low[0] == pytest.approx(1 + np.log(0.025) / 128)
    even = ratio_interval(np.ones((128, 1), np.int64), below)
    assert even[0] == even[1] == even[2], "what is left evenly in all images is known well"


def test_an_area_that_lies_nearly_in_one_image_has_a_finite_interval() -> None:
    below = np.array([[10_000], [1]])
    _, low, high = ratio_interval(np.array([[5000], [1]]), below)
    assert below[0, 0] / below.sum() > LARGEST_SHARE
    assert 0 <= low[0] < 0.5 < high[0] < np.inf


def test_the_effective_number_of_images_is_that_of_equal_ones() -> None:
    assert effective_number(np.array([[3, 1, 0], [3, 0, 0], [0, 1, 0], [3, 2, 0]])).tolist() == [3, 16 / 6, 0]
