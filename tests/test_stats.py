"""Laws that every statistic obeys: counts of parts, merged in any order, are the counts of the whole."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissectreport.errors import MergeError
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import merge_all
from dissectreport.stats.categories import Categories
from dissectreport.stats.chance import Chance
from dissectreport.stats.cross import Cross
from dissectreport.stats.ends import Ends
from dissectreport.stats.features import Features
from dissectreport.stats.histogram import Histogram
from dissectreport.stats.joint import Joint
from dissectreport.stats.peaks import Peaks

UNITS, BINS, STEPS, PIXELS, VOCABULARY = 3, 5, 2, 16, 9


def some_concepts(random):
    return np.flatnonzero(random.integers(0, 2, VOCABULARY)).astype(np.int64)


def whole(random, *shape):
    return random.integers(0, 1 << 40, shape)


def some_joint(random, units):
    c = some_concepts(random)
    n = len(c)
    counts = whole(random, units, n, BINS), whole(random, units, BINS), whole(random, n), whole(random, n)
    return Joint(c, *counts, int(random.integers(1, 48)))


def some_chance(random, units):
    c, sizes = some_concepts(random), np.unique(random.integers(1, 4, 2))
    n = len(c)
    pairs = [whole(random, len(sizes), units, n, STEPS) for _ in range(3)]
    rest = whole(random, units, STEPS), whole(random, n), whole(random, n), whole(random, n, PIXELS)
    return Chance(c, sizes, *pairs, *rest, int(random.integers(1, 48)))


def some_ends(random, units):
    c = some_concepts(random)
    values = random.standard_normal((2, units, len(c), BINS)).astype(np.float32)
    empty = random.integers(0, 2, values.shape[1:]) > 0
    ends = zip(np.float32([np.inf, -np.inf]), values, strict=True)
    low, high = (np.where(empty, end, value) for end, value in ends)
    return Ends(c, low, high)


def some_categories(random, units):
    return Categories(whole(random, units, 2, BINS), whole(random, 2), whole(random, VOCABULARY))


def some_histogram(random, units):
    return Histogram(np.zeros(units), np.ones(units), whole(random, units, BINS))


def some_cross(random, units):
    return Cross(whole(random, units), whole(random, units, units), whole(random, units), 64)


def numbered_from(random):
    """Sample numbers that no other part has: parts are distinguished by their first draw."""
    return int(random.integers(0, 1 << 50)) * 8 + np.arange(random.integers(1, 5))


def some_peaks(random, units):
    samples = numbered_from(random)
    return Peaks(samples, random.standard_normal((len(samples), units)).astype(np.float32))


def some_features(random, units):
    samples = numbered_from(random)
    return Features(samples, random.standard_normal((len(samples), units)).astype(np.float32))


def some_areas(random, units):
    samples, c = numbered_from(random), some_concepts(random)
    return Areas(samples, c, random.integers(0, units * 99, (len(samples), len(c))), units)


EVERY = {
    Areas: some_areas,
    Categories: some_categories,
    Chance: some_chance,
    Cross: some_cross,
    Ends: some_ends,
    Features: some_features,
    Histogram: some_histogram,
    Joint: some_joint,
    Peaks: some_peaks,
}
every_statistic = pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)


def same(one, other):
    left, right = one.arrays(), other.arrays()
    assert left.keys() == right.keys()
    for name in left:
        a, b = np.asarray(left[name]), np.asarray(right[name])
        assert a.dtype == b.dtype, name
        assert a.shape == b.shape, name
        assert a.tobytes() == b.tobytes(), name


def merged_in_pairs(stats):
    """Merged as a tree, not one after the other."""
    if len(stats) == 1:
        return stats[0]
    half = len(stats) // 2
    return merged_in_pairs(stats[:half]).merge(merged_in_pairs(stats[half:]))


@every_statistic
@given(seed=st.integers(0, 2**32 - 1), order=st.permutations(range(5)))
def test_any_split_and_any_order_give_the_same_bits(kind, seed, order):
    random = np.random.default_rng(seed)
    parts = [EVERY[kind](random, UNITS) for _ in range(5)]
    one_by_one = merge_all(parts)
    same(one_by_one, merge_all([parts[i] for i in order]))
    same(one_by_one, merged_in_pairs([parts[i] for i in order]))
    same(one_by_one, reduce(lambda sofar, more: more.merge(sofar), parts))


@every_statistic
@given(seed=st.integers(0, 2**32 - 1))
def test_arrays_hold_everything(kind, seed):
    stat = EVERY[kind](np.random.default_rng(seed), UNITS)
    same(stat, kind.from_arrays({name: np.asarray(value) for name, value in stat.arrays().items()}))


@every_statistic
def test_merging_leaves_both_parts_as_they_were(kind):
    parts = [EVERY[kind](np.random.default_rng(seed), UNITS) for seed in (1, 2)]
    again = [EVERY[kind](np.random.default_rng(seed), UNITS) for seed in (1, 2)]
    parts[0].merge(parts[1])
    for part, copy in zip(parts, again, strict=True):
        same(part, copy)


@every_statistic
def test_counts_of_another_shape_are_refused_and_named(kind):
    random = np.random.default_rng(0)
    one, other = EVERY[kind](random, UNITS), EVERY[kind](random, UNITS + 1)
    with pytest.raises(MergeError, match=kind.__name__):
        one.merge(other)


def test_a_histogram_with_other_cells_is_refused():
    one = some_histogram(np.random.default_rng(0), UNITS)
    with pytest.raises(MergeError, match="Histogram"):
        one.merge(Histogram(one.low + 1, one.width, one.counts))


def test_parts_without_any_concept_merge():
    for make, name in ((some_joint, "joint"), (some_chance, "where"), (some_ends, "low")):
        full = make(np.random.default_rng(3), UNITS)
        made = (make(np.random.default_rng(seed), UNITS) for seed in range(9999))
        empty = next(stat for stat in made if not len(stat.concepts))
        assert getattr(empty.merge(full), name).shape == getattr(full, name).shape


def test_cuts_leave_at_most_the_tail_above_them():
    counts = np.random.default_rng(0).integers(0, 9, (4, 500))
    histogram = Histogram(np.arange(4.0), np.full(4, 0.5), counts)
    tails = np.array([1.0, 0.5, 0.25, 0.01, 0.001])
    cell = np.rint((histogram.cuts(tails) - histogram.low[:, None]) / 0.5).astype(int)
    for unit in range(4):
        for tail, upper in zip(tails, cell[unit], strict=True):
            assert counts[unit, upper:].sum() <= tail * counts[unit].sum()
            assert upper == 1 or counts[unit, upper - 1 :].sum() > tail * counts[unit].sum()


def test_a_constant_is_off_at_every_cut():
    counts = np.zeros((1, 100), np.int64)
    counts[0, 40] = 1000
    assert (Histogram(np.zeros(1), np.ones(1), counts).cuts(np.array([0.99, 0.5, 0.01])) == 41).all()
