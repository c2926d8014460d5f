"""Laws that every statistic obeys: counts of parts, merged in any order, are the counts of the whole."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissectreport.errors import MergeError
from dissectreport.stats.ablated_areas import AblatedAreas
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import merge_all, same_shape, spread, union
from dissectreport.stats.categories import Categories, numbered
from dissectreport.stats.chance import Chance
from dissectreport.stats.concept_patches import ConceptPatches
from dissectreport.stats.cross import Cross
from dissectreport.stats.effects import FirstOrder, Presence, RealismGain
from dissectreport.stats.ends import Ends
from dissectreport.stats.features import FLOOR, Features, FeatureScale
from dissectreport.stats.histogram import Histogram
from dissectreport.stats.insertions import Insertions
from dissectreport.stats.joint import Joint, above_edges
from dissectreport.stats.label_sets import LabelSets, cell_weights, different
from dissectreport.stats.neighbours import Neighbours
from dissectreport.stats.overlaps import Overlaps
from dissectreport.stats.paired import Paired
from dissectreport.stats.patch_contexts import PatchContexts
from dissectreport.stats.peaks import Peaks
from dissectreport.stats.predictions import Attacks, ClassEstimates, ClassScores, Predictions
from dissectreport.stats.replaced import Replaced
from dissectreport.stats.spikes import Spikes

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
    observed, shifted, crossed = (whole(random, len(sizes), units, n, STEPS) for _ in range(3))
    rest = whole(random, units, STEPS), whole(random, n), whole(random, n), whole(random, n, PIXELS)
    return Chance(c, sizes, observed, shifted, crossed, *rest, int(random.integers(1, 48)))


def some_ends(random, units):
    c = some_concepts(random)
    values = random.standard_normal((2, units, len(c), BINS)).astype(np.float32)
    empty = random.integers(0, 2, values.shape[1:]) > 0
    ends = zip(np.array([np.inf, -np.inf], np.float32), values, strict=True)
    low, high = (np.where(empty, end, value) for end, value in ends)
    return Ends(c, low, high)


def some_categories(random, units):
    return Categories(whole(random, units, 2, BINS), whole(random, 2), whole(random, VOCABULARY))


def some_histogram(random, units):
    return Histogram(np.zeros(units), np.ones(units), whole(random, units, BINS))


def some_cross(random, units):
    products = whole(random, units, units)
    return Cross(whole(random, units), products + products.T, whole(random, units), 64)


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


def some_paired(random, units):
    return Paired(int(random.integers(1, 48)), 64, whole(random, VOCABULARY), whole(random, units, VOCABULARY))


def some_ablated_areas(random, units):
    samples = numbered_from(random)
    return AblatedAreas(samples, whole(random, len(samples), units, 2))


def some_insertions(random, units):
    samples = numbered_from(random)
    n = len(samples)
    return Insertions(samples, whole(random, n), whole(random, n), whole(random, n, 2), whole(random, n, units, 2))


def some_class_scores(random, units):
    samples = numbered_from(random)
    n = len(samples)
    scores, means = random.standard_normal((n, 4)), random.standard_normal((n, units))
    return ClassScores(samples, whole(random, n), scores.astype(np.float32), means.astype(np.float32))


def some_predictions(random, units):
    samples = numbered_from(random)
    n = len(samples)
    return Predictions(samples, whole(random, n, units), random.standard_normal((n, units)).astype(np.float32))


def some_attacks(random, units):
    samples = numbered_from(random)
    n = len(samples)
    norm, peaks = random.random((n, 3)).astype(np.float32), random.standard_normal((n, 3, units)).astype(np.float32)
    return Attacks(samples, whole(random, n), whole(random, n), whole(random, n, 3), norm, peaks)


def some_class_estimates(random, units):
    samples = numbered_from(random)
    return ClassEstimates(samples, random.standard_normal((len(samples), units)).astype(np.float32))


def some_patch_contexts(random, units):
    samples = numbered_from(random)
    return PatchContexts(samples, whole(random, len(samples), units))


def some_concept_patches(random, units):
    samples = numbered_from(random)
    n = len(samples)
    return ConceptPatches(samples, random.random((n, units)), whole(random, n, units), 64)


def some_overlaps(random, units):
    c = some_concepts(random)
    return Overlaps(c, whole(random, len(c), len(c)), units)


def some_neighbours(random, units):
    c, samples = some_concepts(random), numbered_from(random)
    on, shown = whole(random, units, len(samples), STEPS), whole(random, len(samples), len(c))
    shard = np.full(len(samples), samples[0])
    return Neighbours(samples, shard, c, whole(random, units, len(c), STEPS), on, shown)


def some_label_sets(random, units):
    width = int(random.integers(1, 4))
    rows = -np.sort(-random.integers(0, VOCABULARY, (6, width)), axis=1)
    sets = different(rows)[0]
    on, shifted = (whole(random, units, len(sets), STEPS) for _ in range(2))
    return LabelSets(sets, whole(random, len(sets), PIXELS), on, shifted, whole(random, units, PIXELS, STEPS), 48)


def some_spikes(random, units):
    c = some_concepts(random)
    sizes = np.array([units + int(random.integers(0, 2))])
    observed, crossed = (whole(random, 1, len(c), units, len(c)) for _ in range(2))
    on, present, images = whole(random, len(c), units), whole(random, len(c)), whole(random, len(c))
    return Spikes(c, sizes, observed, crossed, on, present, images, 8)


def some_replaced(random, units):
    return Replaced(np.sort(random.integers(0, 1000, 5)), units)


EVERY = {
    AblatedAreas: some_ablated_areas,
    Areas: some_areas,
    Attacks: some_attacks,
    ClassEstimates: some_class_estimates,
    Categories: some_categories,
    Chance: some_chance,
    ClassScores: some_class_scores,
    ConceptPatches: some_concept_patches,
    Cross: some_cross,
    Ends: some_ends,
    Features: some_features,
    Histogram: some_histogram,
    Insertions: some_insertions,
    Joint: some_joint,
    LabelSets: some_label_sets,
    Neighbours: some_neighbours,
    Overlaps: some_overlaps,
    Paired: some_paired,
    PatchContexts: some_patch_contexts,
    Peaks: some_peaks,
    Predictions: some_predictions,
    Replaced: some_replaced,
    Spikes: some_spikes,
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


NOT_ADDED = {"concepts", "sets", "sizes", "low", "width", "pixels"}
"""Fields that say what the counts of a statistic are of."""


ADDED = [Categories, Chance, Cross, Histogram, Joint, LabelSets, Paired]


@pytest.mark.parametrize("kind", ADDED, ids=lambda kind: kind.__name__)
def test_the_counts_of_two_parts_are_added_each_to_its_own(kind):
    random = np.random.default_rng(6)
    parts = [EVERY[kind](random, UNITS) for _ in range(2)]
    merged = parts[0].merge(parts[1]).arrays()
    names = [name for name in merged if name not in NOT_ADDED]
    assert names
    for name in names:
        assert merged[name].sum() == sum(part.arrays()[name].sum() for part in parts), name
    for name in NOT_ADDED & merged.keys() - {"concepts", "sets", "sizes"}:
        assert np.array_equal(merged[name], parts[0].arrays()[name]), name


def test_a_label_set_that_both_parts_have_is_one_and_keeps_its_counts():
    narrow = LabelSets(np.array([[0], [3]]), np.array([[1], [2]]), *(np.array([[[5], [6]]]),) * 2, np.array([[[4]]]), 1)
    wide = LabelSets(
        np.array([[3, 0], [3, 1]]), np.array([[8], [9]]), *(np.array([[[10], [20]]]),) * 2, np.array([[[7]]]), 2
    )
    both = narrow.merge(wide)
    assert both.sets.tolist() == [[0, 0], [3, 0], [3, 1]]
    assert both.cells.tolist() == [[1], [10], [9]]
    assert both.on[0, :, 0].tolist() == both.shifted[0, :, 0].tolist() == [5, 16, 20]
    assert both.layout.item() == 11 and both.samples == 3


def test_weights_of_cells_divide_by_their_pixels():
    weights, common = cell_weights(np.array([4, 6, 0]))
    assert (weights.tolist(), common) == ([3, 2, 0], 12)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_ends_of_two_parts_are_the_outermost_wherever_a_concept_occurs(seed):
    random = np.random.default_rng(seed)
    parts = [some_ends(random, UNITS) for _ in range(2)]
    merged = parts[0].merge(parts[1])
    assert merged.concepts.tolist() == sorted({*parts[0].concepts.tolist(), *parts[1].concepts.tolist()})
    for column, concept in enumerate(merged.concepts):
        lows = [part.low[:, at] for part in parts for at in np.flatnonzero(part.concepts == concept)]
        highs = [part.high[:, at] for part in parts for at in np.flatnonzero(part.concepts == concept)]
        assert np.array_equal(merged.low[:, column], np.min(lows, axis=0))
        assert np.array_equal(merged.high[:, column], np.max(highs, axis=0))


@every_statistic
@given(seed=st.integers(0, 2**32 - 1))
def test_arrays_hold_everything(kind, seed):
    stat = EVERY[kind](np.random.default_rng(seed), UNITS)
    same(stat, kind.from_arrays({name: np.asarray(value) for name, value in stat.arrays().items()}))


def retyped(array):
    """The same numbers in another type, as a file may keep them."""
    return array.astype(np.uint64 if array.dtype.kind == "i" else np.longdouble)


@every_statistic
def test_arrays_of_other_types_come_back_as_those_of_the_statistic(kind):
    stat = EVERY[kind](np.random.default_rng(4), UNITS)
    same(stat, kind.from_arrays({name: retyped(np.asarray(value)) for name, value in stat.arrays().items()}))


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
    names = "|".join(field.name for field in fields(kind))
    with pytest.raises(MergeError, match=rf"^cannot merge {kind.__name__}(\.({names}))?: "):
        one.merge(other)


def test_a_refusal_says_what_is_here_and_what_is_there():
    with pytest.raises(MergeError, match=r"^cannot merge Joint\.total: \(3, 5\) here, \(4, 5\) there$"):
        same_shape("Joint.total", np.zeros((3, 5)), np.zeros((4, 5)))
    random = np.random.default_rng(0)
    with pytest.raises(MergeError, match=r"^cannot merge Areas: grids of 3 and 4 pixels$"):
        some_areas(random, 3).merge(some_areas(random, 4))


def test_a_histogram_with_other_cells_is_refused():
    one = some_histogram(np.random.default_rng(0), UNITS)
    for other in (replace(one, low=one.low + 1), replace(one, width=one.width * 2)):
        with pytest.raises(MergeError, match=r"^cannot merge Histogram: its cells lie elsewhere$"):
            one.merge(other)


@pytest.mark.parametrize("kind", [Areas, ConceptPatches, Features, Insertions, Peaks], ids=lambda kind: kind.__name__)
def test_merged_rows_are_in_order_of_samples_and_each_keeps_its_values(kind):
    random = np.random.default_rng(5)
    late, early = (EVERY[kind](random, UNITS) for _ in range(2))
    late = replace(late, samples=np.array([9, 40, 41, 70][: len(late.samples)]))
    early = replace(early, samples=np.array([8, 10, 42, 69][: len(early.samples)]))
    merged = late.merge(early)
    assert merged.samples.tolist() == sorted([*late.samples.tolist(), *early.samples.tolist()])
    for part in (late, early):
        rows = np.searchsorted(merged.samples, part.samples)
        for name, value in vars(part).items():
            there = getattr(merged, name)
            if name == "pixels" and kind is Areas:
                there = there[:, np.searchsorted(merged.concepts, part.concepts)]
            if isinstance(value, np.ndarray) and name != "concepts":
                assert np.array_equal(there[rows], value), name


def test_several_insertions_into_one_latent_come_in_order_of_their_patches():
    patches, none = np.arange(40)[::-1], np.zeros((40, 0), np.int64)
    parts = [
        Insertions(np.full(40, sample), patches, patches + 5, none, np.zeros((40, 1, 1), np.int64)) for sample in (7, 3)
    ]
    merged = parts[0].merge(parts[1])
    assert merged.samples.tolist() == [3] * 40 + [7] * 40
    assert merged.patches.tolist() == [*range(40)] * 2 and merged.contexts.tolist() == [*range(5, 45)] * 2


def test_parts_without_any_concept_merge():
    for make, name in ((some_joint, "joint"), (some_chance, "where"), (some_ends, "low")):
        full = make(np.random.default_rng(3), UNITS)
        made = (make(np.random.default_rng(seed), UNITS) for seed in range(9999))
        empty = next(stat for stat in made if not len(stat.concepts))
        assert getattr(empty.merge(full), name).shape == getattr(full, name).shape


def test_cuts_leave_at_most_the_on_fraction_above_them():
    counts = np.random.default_rng(0).integers(0, 9, (4, 500))
    histogram = Histogram(np.arange(4.0), np.full(4, 0.5), counts)
    on_fractions = np.array([1.0, 0.5, 0.25, 0.01, 0.001])
    cell = np.rint((histogram.cuts(on_fractions) - histogram.low[:, None]) / 0.5).astype(int)
    for unit in range(4):
        for on_fraction, upper in zip(on_fractions, cell[unit], strict=True):
            assert counts[unit, upper:].sum() <= on_fraction * counts[unit].sum()
            assert upper == 1 or counts[unit, upper - 1 :].sum() > on_fraction * counts[unit].sum()


def test_a_constant_is_off_at_every_cut():
    counts = np.zeros((1, 100), np.int64)
    counts[0, 40] = 1000
    assert (Histogram(np.zeros(1), np.ones(1), counts).cuts(np.array([0.99, 0.5, 0.01])) == 41).all()


def test_paired_pixels_of_images_of_another_size_are_a_mistake_of_ours():
    one = some_paired(np.random.default_rng(0), UNITS)
    with pytest.raises(AssertionError, match=r"^one segmenter, one size$"):
        one.merge(Paired(one.images, 65, one.before, one.after))


def test_categories_of_other_vocabularies_are_refused():
    one = some_categories(np.random.default_rng(0), UNITS)
    with pytest.raises(MergeError, match=r"^cannot merge Categories\.named: "):
        one.merge(Categories(one.bins, one.images, one.named[:-1]))


def test_chance_of_another_grid_is_refused():
    one = some_chance(np.random.default_rng(0), UNITS)
    with pytest.raises(MergeError, match=r"^cannot merge Chance\.where: "):
        one.merge(replace(one, where=one.where[:, :4]))


# --- laying counts out ---


@given(seed=st.integers(0, 2**32 - 1), axis=st.integers(0, 2), missing=st.sampled_from([0, 7]))
def test_counts_are_laid_out_number_by_number(seed, axis, missing):
    random = np.random.default_rng(seed)
    numbers, wanted = some_concepts(random), some_concepts(random)
    shape = [2, 3, 4]
    shape[axis] = len(numbers)
    counts = random.integers(10, 99, shape).astype(np.float32)
    found = np.moveaxis(spread(counts, numbers, wanted, axis, missing), axis, 0)
    assert found.dtype == counts.dtype
    place = {number: at for at, number in enumerate(numbers)}
    for number, row in zip(wanted, found, strict=True):
        assert np.array_equal(row, np.take(counts, place[number], axis) if number in place else row * 0 + missing)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_union_of_numbers_rises_and_holds_each_once(seed):
    random = np.random.default_rng(seed)
    one, other = some_concepts(random), some_concepts(random)
    assert union(one, other).tolist() == sorted({*one.tolist(), *other.tolist()})
    assert union(one, other).dtype == np.int64


def test_patches_of_some_concepts_are_theirs():
    patches = some_concept_patches(np.random.default_rng(0), 4)
    kept = patches.keeping(np.array([2, 0]))
    assert np.array_equal(kept.share, patches.share[:, [2, 0]]) and np.array_equal(kept.patch, patches.patch[:, [2, 0]])
    assert kept.samples is patches.samples and kept.patches == 64


def test_gains_are_of_a_concepts_own_set_or_of_the_random_sets_for_it():
    # Two concepts and two random sets a row: sets 0 and 1 are the concepts' own.
    gains, of = np.arange(3 * 4 * 2).reshape(3, 4, 2), np.array([[0, 1], [1, 1], [0, 0]])
    insertions = Insertions(np.arange(3), np.arange(3), np.arange(3), of, gains)
    for concept in (0, 1):
        assert insertions.own_gains(concept).tolist() == [gains[row, concept, concept] for row in range(3)]
        wanted = [(row, gains[row, 2 + r, concept]) for row in range(3) for r in range(2) if of[row, r] == concept]
        rows, found = insertions.random_gains(concept)
        assert list(zip(rows.tolist(), found.tolist(), strict=True)) == wanted


def test_merging_nothing_is_an_error_and_one_alone_is_itself():
    alone = some_areas(np.random.default_rng(0), 3)
    assert merge_all([alone]) is alone
    with pytest.raises(TypeError):
        merge_all([])


# --- ratios and readings of counts ---


def test_counts_above_an_edge_are_those_of_the_bins_above_it():
    counts = np.random.default_rng(0).integers(0, 99, (2, 3, BINS))
    found = above_edges(counts)
    assert found.shape == (2, 3, BINS - 1)
    for edge in range(BINS - 1):
        assert np.array_equal(found[..., edge], counts[..., edge + 1 :].sum(-1))


def test_the_counts_above_edges_of_a_joint_are_of_concepts_and_of_everything():
    joint = some_joint(np.random.default_rng(1), UNITS)
    both, on = joint.above()
    assert np.array_equal(both, above_edges(joint.joint))
    assert np.array_equal(on, above_edges(joint.total))


def chance_of_sizes(sizes, observed, shifted, crossed):
    """Chance counts of one unit, concept and level, by size of shard."""
    by_size = (np.array(values, np.int64)[:, None, None, None] for values in (observed, shifted, crossed))
    observed, shifted, crossed = by_size
    one = np.ones((1, 1), np.int64)
    return Chance(np.array([1]), np.array(sizes), observed, shifted, crossed, one, one[0], one[0], one, sum(sizes))


def test_what_is_expected_by_chance_is_divided_by_the_other_images_of_each_shard():
    chance = chance_of_sizes([1, 2, 5], [4, 10, 20], [4, 7, 9], [6, 41, 100])
    assert chance.observed_overlap().item() == 34
    assert chance.observed_overlap(shifted=True).item() == 20
    # A shard of one image has no other to be paired with.
    assert chance.expected().item() == (41 - 10) / 1 + (100 - 20) / 4
    assert chance.expected(shifted=True).item() == (41 - 7) / 1 + (100 - 9) / 4


def test_shares_of_areas_are_of_the_grid():
    areas = Areas(np.arange(2), np.array([1, 4]), np.array([[16, 4], [0, 8]]), 16)
    assert areas.share().tolist() == [[1, 0.25], [0, 0.5]]


@given(seed=st.integers(0, 2**32 - 1))
def test_correlation_is_that_of_the_rounded_activations(seed):
    random = np.random.default_rng(seed)
    thresholds = random.integers(0, 9, (4, 50))
    thresholds[3] = 5
    cross = Cross(thresholds.sum(1), thresholds @ thresholds.T, (thresholds > 4).sum(1), 50)
    assert np.allclose(cross.covariance(), np.cov(thresholds, bias=True), rtol=0, atol=1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.nan_to_num(np.corrcoef(thresholds), nan=0.0)
    assert np.allclose(cross.correlation(), wanted, rtol=0, atol=1e-9)
    assert (cross.correlation()[3] == 0).all()


def test_units_that_hardly_vary_are_correlated_all_the_same():
    # Of 100 cells a unit is one level higher in 2, another in one of these and in another cell.
    thresholds = np.zeros((2, 100), np.int64)
    thresholds[0, :2] = thresholds[1, 1:3] = 1
    cross = Cross(thresholds.sum(1), thresholds @ thresholds.T, thresholds.sum(1), 100)
    assert cross.correlation() == pytest.approx(np.array([[1, 24 / 49], [24 / 49, 1]]))


@given(seed=st.integers(0, 2**32 - 1))
def test_the_activations_around_an_edge_are_the_nearest_in_bins_that_are_not_empty(seed):
    ends = some_ends(np.random.default_rng(seed), UNITS)
    below, above = ends.around()
    for edge in range(BINS - 1):
        assert np.array_equal(below[..., edge], ends.high[..., : edge + 1].max(-1))
        assert np.array_equal(above[..., edge], ends.low[..., edge + 1 :].min(-1))


def sorted_samples(peaks, unit):
    """Sample numbers by falling activation, equal ones by rising number: the slow way."""
    rows = sorted(zip(-peaks.peaks[:, unit], peaks.samples, strict=True))
    return [int(sample) for _, sample in rows]


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 12))
def test_examples_are_the_largest_and_those_of_the_middle_half(seed, k):
    random = np.random.default_rng(seed)
    peaks = Peaks(np.sort(random.permutation(99)[:9]), random.integers(0, 4, (9, UNITS)).astype(np.float32))
    at = sorted({min(int(share), 8) for share in np.linspace(9 * 0.25, 9 * 0.75, k)})
    for unit in range(UNITS):
        order = sorted_samples(peaks, unit)
        assert peaks.top(k)[unit].tolist() == order[:k]
        assert peaks.middle(k)[unit].tolist() == [order[place] for place in at]


def test_the_middle_of_few_samples_is_all_of_them():
    assert Peaks(np.array([7]), np.ones((1, 2), np.float32)).middle(4).tolist() == [[7], [7]]
    assert Peaks(np.array([7, 9]), np.float32([[1], [2]])).middle(4).tolist() == [[9, 7]]
    assert Peaks(np.arange(3), np.float32([[1], [2], [3]])).middle(3).tolist() == [[2, 1, 0]]


def test_peaks_of_samples_are_each_units_own():
    peaks = Peaks(np.array([3, 5, 8]), np.arange(6, dtype=np.float32).reshape(3, 2))
    assert peaks.of(np.array([[8, 3], [5, 5]])).tolist() == [[4, 0], [3, 3]]


# --- scales ---


def test_on_their_scale_real_features_have_mean_zero_and_deviation_one_but_for_those_that_hardly_vary():
    real = np.random.default_rng(0).standard_normal((500, 4)) * [3, 2, 2, 1e-6] + [0, 5, -5, 1]
    scale = FeatureScale.of(real.astype(np.float32))
    on_scale = scale(real)
    assert np.abs(on_scale.mean(0)).max() < 1e-5
    assert np.allclose(on_scale[:, :3].std(0), 1)
    typical = np.sqrt((real.std(0) ** 2).mean())
    assert scale.deviation[3] == pytest.approx(FLOOR * typical)


def test_features_that_never_vary_have_a_scale_all_the_same():
    assert FeatureScale.of(np.ones((5, 2)))(np.full((1, 2), 3.0)).tolist() == [[2 / FLOOR, 2 / FLOOR]]


def test_features_of_single_precision_are_scaled_in_double():
    real = (np.random.default_rng(1).standard_normal((50, 3)) + 9).astype(np.float32)
    single, double = FeatureScale.of(real), FeatureScale.of(real.astype(np.float64))
    assert np.array_equal(single.mean, double.mean) and np.array_equal(single.deviation, double.deviation)
    fine = replace(single, mean=single.mean + 1e-12)
    assert np.array_equal(fine(real), fine(real.astype(np.float64))) and fine(real).dtype == np.float64


def test_the_published_scale_changes_nothing():
    features = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)
    assert np.array_equal(FeatureScale.published(2)(features), features.astype(np.float64))


# --- sums of gradients, which merge in order ---


def some_sums(random, units):
    return (
        FirstOrder(random.standard_normal((2, units)), random.random(2)),
        Presence(
            random.random((2, units)), random.random(2), random.random(units), random.random(units), np.float64(48)
        ),
        RealismGain(random.standard_normal(units), random.random(units), np.float64(48)),
    )


@pytest.mark.parametrize("place", range(3))
def test_sums_add_name_by_name_come_back_from_arrays_and_refuse_other_shapes(place):
    random = np.random.default_rng(0)
    one, other, wide = (some_sums(random, units)[place] for units in (UNITS, UNITS, UNITS + 1))
    merged = one.merge(other)
    for name, value in merged.arrays().items():
        assert np.array_equal(value, one.arrays()[name] + other.arrays()[name]), name
    same(one, type(one).from_arrays({name: np.asarray(value, np.longdouble) for name, value in one.arrays().items()}))
    with pytest.raises(MergeError, match=type(one).__name__):
        one.merge(wide)


def test_the_mean_activation_where_a_concept_is_weighs_by_its_share_and_is_zero_where_it_is_not():
    activation, share = np.array([[2.0, 1.0], [0.0, 0.0]]), np.array([0.5, 0.0])
    presence = Presence(activation, share, np.array([1.0, 2.0]), np.array([1.0, -2.0]), np.float64(4))
    assert presence.concept_means().tolist() == [[4, 2], [0, 0]]
    kept = presence.keeping(np.array([1]))
    assert kept.activation.tolist() == [[0, 0]] and kept.share.tolist() == [0]
    assert kept.mean_activation is presence.mean_activation and kept.images == 4


@given(seed=st.integers(0, 2**32 - 1))
def test_the_cells_of_a_histogram_with_the_nearest_share_at_or_above_them(seed):
    random = np.random.default_rng(seed)
    counts = random.integers(0, 9, (3, 60))
    wanted = np.sort(random.random(7))[::-1]
    found = Histogram(np.zeros(3), np.ones(3), counts).edge_cells(wanted)
    assert found.dtype == np.int64
    assert (np.diff(found, axis=1) >= 0).all()
    for unit in range(3):
        above = [counts[unit, cell:].sum() / counts[unit].sum() for cell in range(60)]
        for share, cell in zip(wanted, found[unit], strict=True):
            # The first cell with no more than the wanted share at or above it, or the last cell.
            assert cell == next((n for n, part in enumerate(above) if part <= share), 59)


def test_a_histogram_of_nothing_has_cells_and_cuts():
    empty = Histogram(np.zeros(1), np.ones(1), np.zeros((1, 8), np.int64))
    assert empty.edge_cells(np.array([0.5, 0.1])).tolist() == [[0, 0]]
    assert empty.cuts(np.array([0.5])).tolist() == [[1]]


def test_categories_are_numbered_as_they_occur_and_nothing_belongs_to_the_first():
    found = numbered(["-", "part", "object", "part", "colour", "object"])
    assert found.tolist() == [0, 0, 1, 0, 2, 1] and found.dtype == np.int64
    assert numbered(["-"]).tolist() == [0]
