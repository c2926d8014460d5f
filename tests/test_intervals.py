"""Intervals, p-values and adjusted p-values against scipy, against loops, and by the laws that they obey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dissectreport.analysis.common.halves import Halved, whole_and_halves
from dissectreport.analysis.common.jackknife import Jackknife, benjamini_hochberg
from dissectreport.analysis.common.student import quantile, upper_tail
from dissectreport.analysis.real_images import ConceptShares, difference_interval, logarithm, two_sided
from dissectreport.run.shards import GROUPS
from dissectreport.stats.areas import Areas

seeds = st.integers(0, 2**32 - 1)


def some_jackknife(seed, groups=6, scale=1.0):
    """Estimates of three shares from groups of unequal size."""
    random = np.random.default_rng(seed)
    sizes = random.integers(5, 50, groups)
    sums = random.uniform(0.2, 0.8, (groups, 3)) * sizes[:, None] * scale
    without = (sums.sum(0) - sums) / (sizes.sum() - sizes)[:, None]
    return Jackknife(sums.sum(0) / sizes.sum(), without, sizes)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 9, 10, 19, 40])
def test_student_tail_probabilities_and_quantiles_equal_scipy(freedom):
    t = np.linspace(-12, 12, 49)
    assert np.allclose(upper_tail(t, freedom), stats.t.sf(t, freedom), rtol=0, atol=1e-12)
    assert upper_tail(np.array([np.inf, -np.inf]), freedom).tolist() == [0, 1]
    for share in (0.75, 0.9, 0.975, 0.995):
        assert quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=1e-9)


def error_by_loops(jack, column):
    """Busing, Meijer & van der Leeden 1999, equations for groups of unequal size."""
    n, groups = sum(jack.sizes), len(jack.sizes)
    ratios = [n / size for size in jack.sizes]
    value = jack.value[column]
    pseudo = [h * value - (h - 1) * part for h, part in zip(ratios, jack.without[:, column], strict=True)]
    centre = sum(part / h for part, h in zip(pseudo, ratios, strict=True))
    return np.sqrt(sum((part - centre) ** 2 / (h - 1) for part, h in zip(pseudo, ratios, strict=True)) / groups)


@given(seed=seeds)
def test_the_jackknife_is_that_of_the_paper_and_its_interval_that_of_student(seed):
    jack = some_jackknife(seed)
    wanted = [error_by_loops(jack, column) for column in range(3)]
    assert np.allclose(jack.error(), wanted, rtol=1e-10)
    reach = stats.t.ppf(0.95, 5) * np.array(wanted)
    low, high = jack.interval(0.9)
    assert np.allclose([low, high], [jack.value - reach, jack.value + reach], rtol=1e-8)


@given(seed=seeds, order=st.permutations(range(6)), shift=st.floats(-5, 5), factor=st.floats(0.1, 9))
def test_intervals_do_not_depend_on_the_order_of_groups_and_move_and_stretch_with_the_values(
    seed, order, shift, factor
):
    jack = some_jackknife(seed)
    again = Jackknife(jack.value, jack.without[list(order)], jack.sizes[list(order)])
    assert np.allclose(again.interval(), jack.interval(), rtol=1e-10)
    moved = Jackknife(jack.value * factor + shift, jack.without * factor + shift, jack.sizes)
    assert np.allclose(moved.interval(), np.array(jack.interval()) * factor + shift, rtol=1e-7, atol=1e-7)


@given(seed=seeds)
def test_the_interval_of_a_share_holds_it_lies_inside_and_mirrors_that_of_the_rest(seed):
    jack = some_jackknife(seed)
    low, high = jack.share_interval()
    assert (low > 0).all() and (low < jack.value).all() and (jack.value < high).all() and (high < 1).all()
    rest = Jackknife(1 - jack.value, 1 - jack.without, jack.sizes).share_interval()
    assert np.allclose(rest, [1 - high, 1 - low], rtol=1e-8)


@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_a_share_that_touches_an_end_has_the_plain_interval_cut_off_there(edge):
    jack = some_jackknife(3)
    touched = jack.without.copy()
    touched[2, 1] = edge
    jack = Jackknife(jack.value, touched, jack.sizes)
    low, high = jack.share_interval()
    plain = jack.interval()
    assert low[1] == plain[0][1].clip(0, 1) and high[1] == plain[1][1].clip(0, 1)
    assert low[0] != plain[0][0]


@given(seed=seeds)
def test_the_interval_of_a_ratio_is_that_of_its_inverse_upside_down(seed):
    jack = some_jackknife(seed, scale=4.0)
    low, high = jack.ratio_interval()
    assert (low < jack.value).all() and (jack.value < high).all() and (low > 0).all()
    inverse = Jackknife(1 / jack.value, 1 / jack.without, jack.sizes).ratio_interval()
    assert np.allclose(inverse, [1 / high, 1 / low], rtol=1e-8)


def test_a_ratio_with_a_zero_among_its_values_has_no_interval():
    jack = Jackknife(np.array([0.5]), np.array([[0.0], [0.7]]), np.array([3, 3]))
    assert np.isnan(jack.ratio_interval()).all()


@given(seed=seeds, bound=st.floats(-1, 2))
def test_p_is_that_of_a_t_test_against_the_bound(seed, bound):
    jack = some_jackknife(seed)
    wanted = stats.t.sf((jack.value - bound) / jack.error(), 5)
    assert np.allclose(jack.p_above(bound), wanted, rtol=0, atol=1e-10)
    assert np.allclose(jack.p_above(), stats.t.sf(jack.value / jack.error(), 5), rtol=0, atol=1e-10)


def test_without_any_error_p_is_nought_above_the_bound_and_one_elsewhere():
    value = np.array([0.5, 0.0, -0.5, np.nan])
    jack = Jackknife(value, np.tile(value, (3, 1)), np.array([4, 4, 4]))
    assert jack.p_above().tolist() == [0, 1, 1, 1]


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_values_are_those_of_scipy(p):
    assert np.allclose(benjamini_hochberg(np.array(p)), stats.false_discovery_control(p), rtol=0, atol=1e-12)


def test_of_no_p_values_none_is_adjusted():
    assert len(benjamini_hochberg(np.zeros(0))) == 0


# --- balanced halves ---


def some_halved(seed, images=60):
    """Three means over all images and over each half of them."""
    values = np.random.default_rng(seed).uniform(0.2, 0.8, (images, 3))
    return Halved.of(np.stack([values[kept].mean(0) for kept in whole_and_halves(images)]))


@given(one=seeds, other=seeds)
def test_a_difference_is_paired_half_by_half(one, other):
    a, b = some_halved(one), some_halved(other)
    paired = a.minus(b)
    assert np.array_equal(paired.value, a.value - b.value) and np.array_equal(paired.halves, a.halves - b.halves)
    assert (a.minus(a).error() == 0).all()


@given(seed=seeds)
def test_an_interval_of_halves_is_that_of_student_over_the_groups(seed):
    halved = some_halved(seed)
    reach = stats.t.ppf(0.95, GROUPS - 1) * np.sqrt(((halved.halves - halved.halves.mean(0)) ** 2).mean(0))
    assert np.allclose(halved.interval(0.9), [halved.value - reach, halved.value + reach], rtol=1e-8)
    low, high = halved.share_interval()
    assert (low > 0).all() and (low < halved.value).all() and (halved.value < high).all() and (high < 1).all()


def test_a_share_of_halves_that_touches_an_end_is_cut_off_there():
    halved = some_halved(0)
    halves = halved.halves.copy()
    halves[3, 0] = 1.0
    touched = Halved(np.array([0.99, 0.5, 0.5]), halves)
    low, high = touched.share_interval()
    plain = touched.interval()
    assert (low[0], high[0]) == (plain[0][0].clip(0, 1), plain[1][0].clip(0, 1))


@pytest.mark.parametrize("images", [1, 20, 47])
def test_an_image_is_in_the_half_of_its_group(images):
    rows = whole_and_halves(images)
    assert rows.shape == (39, images) and rows[0].all()
    assert all((rows[:, image] == rows[:, image % GROUPS]).all() for image in range(images))


# --- two independent sides ---


def two_sides(seed):
    random = np.random.default_rng(seed)
    concepts = np.array([1, 2, 3])
    made = [
        Areas(np.arange(n), concepts, random.integers(1, 99, (n, 3)), 100) for n in (int(random.integers(40, 90)), 60)
    ]
    return [ConceptShares.of(areas, concepts) for areas in made], made


@given(seed=seeds)
def test_a_side_is_the_mean_share_over_all_images_and_without_each_group(seed):
    sides, made = two_sides(seed)
    for side, areas in zip(sides, made, strict=True):
        share = areas.pixels / 100
        assert np.allclose(side.mean.value, share.mean(0), rtol=1e-12)
        for group in range(GROUPS):
            kept = areas.samples % GROUPS != group
            assert np.allclose(side.mean.without[group], share[kept].mean(0), rtol=1e-10)
        assert side.count == len(share) and side.images.tolist() == [len(share)] * 3


@given(seed=seeds)
def test_the_difference_of_two_sides_adds_their_errors_in_squares_and_turns_round_with_them(seed):
    (one, other), _ = two_sides(seed)
    value, low, high = difference_interval(one.mean, other.mean)
    reach = stats.t.ppf(0.975, GROUPS - 1) * np.sqrt(one.mean.error() ** 2 + other.mean.error() ** 2)
    assert np.allclose([value, low, high], [value, value - reach, value + reach], rtol=1e-8, atol=1e-12)
    back = difference_interval(other.mean, one.mean)
    assert np.allclose(back, [-value, -high, -low], rtol=1e-12)
    t = np.abs(value) / np.hypot(one.mean.error(), other.mean.error())
    assert np.allclose(two_sided(one.mean, other.mean), 2 * stats.t.sf(t, GROUPS - 1), rtol=0, atol=1e-10)
    assert np.array_equal(two_sided(one.mean, other.mean), two_sided(other.mean, one.mean))


def test_the_logarithm_of_a_side_that_shows_nothing_is_minus_infinity():
    areas = Areas(np.arange(40), np.array([1, 2]), np.tile([0, 50], (40, 1)), 100)
    found = logarithm(ConceptShares.of(areas, np.array([1, 2])).mean)
    assert found.value.tolist() == [-np.inf, np.log(0.5)]
    assert np.allclose(found.without[:, 1], np.log(0.5))
