"""How units are labelled under each rule: parts of the analysis of a layer against slow and obvious ones."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dissectreport.analysis.assemble import ranked as ranks_of
from dissectreport.analysis.common.jackknife import Jackknife
from dissectreport.analysis.dissection import published_rules
from dissectreport.analysis.dissection.concepts import images_of
from dissectreport.analysis.dissection.corrected_rule import Groups, judge, leading, score, sliced
from dissectreport.analysis.dissection.counted import ConceptNames
from dissectreport.analysis.dissection.examples import examples
from dissectreport.analysis.dissection.iclr2019_search import information_ratio, quadrants, share_above
from dissectreport.analysis.dissection.interpretable_counts import count_interval
from dissectreport.analysis.dissection.published_rules import RatioSums, everywhere, ordered, ranked, within_category
from dissectreport.analysis.dissection.unit_tables import (
    average_precision,
    category_labels,
    detection,
    leading_curves,
    lifted,
    most_correlated,
    pair_table,
    point_biserial,
    states,
)
from dissectreport.stats.base import merge_all
from dissectreport.stats.categories import Categories
from dissectreport.stats.chance import Chance
from dissectreport.stats.cross import Cross
from dissectreport.stats.ends import Ends
from dissectreport.stats.iou import against_chance
from dissectreport.stats.joint import Joint
from dissectreport.stats.peaks import Peaks
from dissectreport.vocabulary import Vocabulary

seeds = st.integers(0, 2**32 - 1)
VOCABULARY = Vocabulary.of(object=("sky", "tree"), part=("top",), colour=("blue",))


def some_chance(random, images=16, units_=3, thresholds=4):
    """Counts of one shard, in which any of four concepts may be missing."""
    concepts = np.sort(random.permutation(np.arange(1, 5))[: random.integers(2, 5)])
    counts = random.integers(1, 500, (3, 1, units_, len(concepts), thresholds))
    on = random.integers(500, 2000, (units_, thresholds))
    present, shown = random.integers(500, 2000, len(concepts)), random.integers(1, images + 1, len(concepts))
    where = random.integers(0, images, (len(concepts), 16))
    return Chance(
        concepts, np.array([images]), counts[0], counts[1], counts[2] * images, on, present, shown, where, images
    )


# --- sums by group ---


@given(seed=seeds, shifted=st.booleans())
def test_the_sums_of_a_group_are_those_of_its_shards(seed, shifted):
    random = np.random.default_rng(seed)
    shards = [(int(random.integers(0, 4)), some_chance(random)) for _ in range(7)]
    groups = Groups.of(shards, shifted=shifted)
    assert groups.numbers.tolist() == sorted({group for group, _ in shards})
    for row, number in enumerate(groups.numbers):
        merged = merge_all(chance for group, chance in shards if group == number)
        columns = np.searchsorted(groups.concepts, merged.concepts)
        assert groups.samples[row] == merged.samples
        assert np.array_equal(groups.observed[row][:, columns], merged.observed_overlap(shifted))
        assert np.array_equal(groups.expected[row][:, columns], merged.expected(shifted))
        assert np.array_equal(groups.on[row], merged.on)
        assert np.array_equal(groups.present[row][columns], merged.present)
        assert np.array_equal(groups.images[row][columns], merged.images)
        assert not np.delete(groups.observed[row], columns, axis=1).any()
    even, odd = groups.half(odd=False), groups.half(odd=True)
    assert [*even.numbers, *odd.numbers] == sorted(groups.numbers, key=lambda number: (number % 2, number))


def test_where_every_shard_has_one_image_these_are_counted_without_a_chance_level():
    random = np.random.default_rng(0)
    groups = Groups.of([(group, some_chance(random, images=1)) for group in range(3)])
    assert groups.numbers.tolist() == [0, 1, 2]
    assert groups.observed.any() and not groups.expected.any()


def test_a_part_of_units_and_concepts_keeps_their_counts_and_no_positions():
    chance = some_chance(np.random.default_rng(1))
    part = sliced(chance, slice(1, 3), np.array([chance.concepts[1], 99]))
    assert part.concepts.tolist() == [chance.concepts[1]]
    for name in ("observed", "shifted", "crossed"):
        assert np.array_equal(getattr(part, name), getattr(chance, name)[:, 1:3, 1:2])
    assert np.array_equal(part.on, chance.on[1:3]) and part.where.shape == (1, 0)
    assert (part.present[0], part.images[0]) == (chance.present[1], chance.images[1])


# --- labels under the rule that is corrected for chance ---


def scored(seed=0, groups=20):
    random = np.random.default_rng(seed)
    shards = []
    for number in range(2 * groups):
        chance = some_chance(random)
        shards.append((number % groups, replace(chance, images=np.full(len(chance.concepts), 16))))
    return score(Groups.of(shards), 256, replicates=5), Groups.of(shards)


def test_every_threshold_is_selected_on_one_half_and_scored_on_the_other():
    scores, groups = scored()
    even, odd = groups.half(odd=False), groups.half(odd=True)
    for unit in range(3):
        for column in range(4):
            corrected_iou = [
                float(
                    against_chance(
                        even.observed[:, unit, column, threshold].sum(),
                        even.expected[:, unit, column, threshold].sum(),
                        even.on[:, unit, threshold].sum(),
                        even.present[:, column].sum(),
                    )[2]
                )
                for threshold in range(4)
            ]
            threshold = int(np.argmax(corrected_iou))
            assert scores.threshold[unit, column] == threshold
            assert scores.chosen[unit, column] == pytest.approx(max(corrected_iou), rel=1e-12)
            for left_out in (None, *range(len(odd.numbers))):
                kept = [row for row in range(len(odd.numbers)) if row != left_out]
                wanted = against_chance(
                    odd.observed[kept, unit, column, threshold].sum(),
                    odd.expected[kept, unit, column, threshold].sum(),
                    odd.on[kept, unit, threshold].sum(),
                    odd.present[kept, column].sum(),
                )
                found = (scores.iou, scores.chance_level, scores.corrected_iou)
                values = [one.value if left_out is None else one.without[left_out] for one in found]
                assert [float(value[unit, column]) for value in values] == pytest.approx(
                    [float(one) for one in wanted], rel=1e-9
                )
            assert scores.on_fraction[unit, column] == odd.on[:, unit, threshold].sum() / (odd.samples.sum() * 256)


def test_the_label_is_the_tested_concept_of_largest_corrected_iou_on_the_selection_half_and_the_next_its_runner_up():
    scores, _ = scored()
    verdict = judge(scores)
    for unit in range(3):
        order = sorted(np.flatnonzero(scores.tested), key=lambda column: -scores.chosen[unit, column])
        assert (verdict.column[unit], verdict.runner_up[unit]) == tuple(order[:2])
    only = np.arange(4) == 2
    alone = judge(scores, only)
    assert (alone.column == 2).all() and (alone.runner_up == -1).all()
    nothing = judge(scores, np.zeros(4, bool))
    assert (nothing.column == -1).all() and not nothing.interpretable.any() and (nothing.p == 1).all()


def test_the_leading_concept_is_among_those_tested_or_among_all_where_none_is():
    chosen = np.array([[0.1, 0.5, 0.3], [0.9, 0.2, 0.4]])
    assert leading(chosen, np.array([True, False, True])).tolist() == [2, 0]
    assert leading(chosen, np.zeros(3, bool)).tolist() == [1, 0]


def test_with_one_scoring_group_no_replicate_passes():
    made = (some_chance(np.random.default_rng(seed)) for seed in range(40))
    complete = [chance for chance in made if len(chance.concepts) == 4]
    shards = [(group, replace(complete[group], images=np.full(4, 20))) for group in (0, 1)]
    verdict = judge(score(Groups.of(shards), 256, replicates=4))
    assert (verdict.p == 1).all()
    assert not verdict.passed.any() and (verdict.labels >= 0).all()


# --- the published rules ---


@given(seed=seeds, columns=st.integers(1, 5))
def test_the_two_largest_come_first_and_what_is_not_above_nothing_is_no_label(seed, columns):
    random = np.random.default_rng(seed)
    order, nothing = random.integers(0, 4, (3, columns)).astype(float), random.integers(0, 4, 3).astype(float)
    first, second = ranked(order, nothing)
    for unit in range(3):
        rows = sorted(range(columns), key=lambda column: (-order[unit, column], column))
        wanted = [column if order[unit, column] > nothing[unit] else -1 for column in rows[:2]]
        assert [first[unit], second[unit]] == [*wanted, -1][:2]


def test_a_searched_label_must_exceed_nothing_and_concepts_that_were_not_seen_again():
    searched = np.array([[0.1, 0.3, 0.2, 0.4], [0.5, 0.1, 0.9, 0.2]])
    order, nothing = ordered(np.zeros((2, 2)), searched, np.array([1, 2]))
    assert order.tolist() == [[0.3, 0.2], [0.1, 0.9]] and nothing.tolist() == [0.4, 0.5]
    iou = np.array([[0.1], [0.2]])
    order, nothing = ordered(iou, None, np.array([1]))
    assert order is iou and (nothing == -np.inf).all()


def some_seen(random):
    bins = random.integers(0, 99, (2, 3, 5))
    categories = Categories(bins, random.integers(1, 9, 3), random.integers(0, 999, 5))
    return published_rules.SampleCounts(
        np.array([1, 2, 4]), random.integers(0, 99, (2, 4)), np.array([5, 6, 7]), 9, categories
    )


def test_everywhere_all_pixels_of_all_images_enter_the_union():
    seen = some_seen(np.random.default_rng(0))
    union = everywhere(seen, np.array([0, 0, 1, 1, 2]), 16)
    assert all(np.array_equal(union.on[:, column], seen.on) for column in range(3))
    assert union.present is seen.present and union.pixels.tolist() == [9 * 16] * 3


def test_within_a_category_only_the_images_that_hold_it_do():
    seen = some_seen(np.random.default_rng(0))
    union = within_category(seen, np.array([0, 0, 1, 1, 2]), 16)
    for column, (concept, kind) in enumerate(zip([1, 2, 4], [0, 1, 2], strict=True)):
        for threshold in range(4):
            assert (union.on[:, column, threshold] == seen.categories.bins[:, kind, threshold + 1 :].sum(1)).all()
        assert union.present[column] == seen.categories.named[concept]
        assert union.pixels[column] == seen.categories.images[kind] * 16


def test_counts_at_each_units_own_threshold():
    chance, own = some_chance(np.random.default_rng(2)), np.array([3, 0, 2])
    found = published_rules.at_own(chance, own)
    for unit, threshold in enumerate(own):
        for name in ("observed", "shifted", "crossed"):
            assert np.array_equal(getattr(found, name)[0, unit, :, 0], getattr(chance, name)[0, unit, :, threshold])
        assert found.on[unit].tolist() == [chance.on[unit, threshold]]
    categories = some_seen(np.random.default_rng(3)).categories
    split = published_rules.split_at_own(categories, np.array([1, 3]))
    for unit, threshold in enumerate([1, 3]):
        assert np.array_equal(split.bins[unit, :, 0], categories.bins[unit, :, : threshold + 1].sum(1))
        assert np.array_equal(split.bins[unit, :, 1], categories.bins[unit, :, threshold + 1 :].sum(1))
    assert split.named is categories.named


def some_sums(seed, groups=4):
    random = np.random.default_rng(seed)
    observed, present = random.uniform(1, 5, (groups, 2, 3)), random.uniform(10, 20, (groups, 1, 3))
    return RatioSums(observed, observed * 0.5, random.uniform(10, 20, (groups, 2, 3)), present, present * 9)


@given(seed=seeds)
def test_groups_are_added_up_by_weight_and_left_out_one_at_a_time(seed):
    sums, weight = some_sums(seed), np.array([1.0, 0.0, 2.0, 1.0])
    added = sums.weighted(weight)
    for name, value in vars(sums).items():
        assert np.allclose(getattr(added, name), sum(w * part for w, part in zip(weight, value, strict=True)))
    less = sums.weighted(np.ones(4)).less(sums)
    for group in range(4):
        kept = sums.weighted((np.arange(4) != group).astype(float))
        for name, value in kept.ratios().items():
            assert np.allclose(less.ratios()[name][group], value, rtol=1e-9), name


@given(seed=seeds)
def test_the_information_ratio_is_information_over_entropy(seed):
    table = np.random.default_rng(seed).random((2, 2))
    table /= table.sum()
    entropy = -sum(p * np.log(p) for p in table.flat)
    by_row, by_column = table.sum(1), table.sum(0)
    information = sum(
        table[i, j] * np.log(table[i, j] / (by_row[i] * by_column[j])) for i in range(2) for j in range(2)
    )
    assert float(information_ratio(table)) == pytest.approx(information / entropy, abs=1e-12)
    assert float(information_ratio(table)) == pytest.approx(float(information_ratio(table.T)), abs=1e-12)


def test_without_entropy_there_is_no_information():
    assert float(information_ratio(np.array([[0.0, 0.0], [0.0, 1.0]]))) == 0


def test_quadrants_are_shares_of_unit_and_concept():
    table = quadrants(np.array([0.1]), np.array([0.3]), np.array([0.25]))
    assert table[..., 0].tolist() == [[0.1, pytest.approx(0.2)], [0.15, pytest.approx(0.55)]]
    assert quadrants(np.array(0.5), np.array(0.2), np.array(0.1)).min() == 0


def test_shares_above_a_threshold_are_interpolated_between_the_activations_around_it():
    # Four activations of one concept: 1, 2 | 4, 8, with thresholds between (at 2.5) and above all (at 9).
    joint = Joint(
        np.array([1]), np.array([[[2, 2, 0]]]), np.array([[2, 2, 0]]), np.array([4]), np.array([1]), samples=1
    )
    ends = Ends(np.array([1]), np.float32([[[1, 4, np.inf]]]), np.float32([[[2, 8, -np.inf]]]))
    found = share_above(joint, ends, np.float32([[2.5, 9.0]]))
    # Two of four are above; a quarter of the way from 2 to 4 the reference's sketch is a quarter of a step lower.
    assert found[0, 0].tolist() == [(2 + 0.5 - 0.25) / 4, 0]


# --- the tables of a layer ---


def test_names_of_columns_and_categories_in_their_order():
    words = ConceptNames(VOCABULARY, np.array([2, 3, 4]))
    assert words.concept(np.array([1, -1, 0])) == ["top", "", "tree"]
    assert words.category(np.array([2, -1])) == ["colour", ""]
    assert words.categories == ["object", "part", "colour"]
    assert words.within("part").tolist() == [False, True, False]


def test_lift_is_printed_only_where_enough_overlap_is_expected():
    iou = Jackknife(np.array([0.4, 0.4]), np.array([[0.3, 0.3], [0.5, 0.5]]), np.array([2, 2]))
    chance = Jackknife(np.array([0.1, 0.1]), np.array([[0.1, 0.1], [0.2, 0.0]]), np.array([2, 2]))
    found = lifted(iou, chance, np.array([100.0, 99.9]))
    assert found.value[0] == pytest.approx(4) and np.isnan(found.value[1])
    assert (
        found.without[:, 0].tolist() == [pytest.approx(3), pytest.approx(2.5)] and np.isnan(found.without[:, 1]).all()
    )


def some_thresholds():
    """Of three units, of which every second and more are those of chance."""
    return SimpleNamespace(values=lambda: np.arange(15, dtype=np.float32).reshape(3, 5), chance_columns=np.arange(1, 5))


def test_the_label_within_a_category_is_chosen_and_tested_among_its_concepts_alone():
    scores, _ = scored()
    verdict, words, thresholds = judge(scores), ConceptNames(VOCABULARY, scores.concepts), some_thresholds()
    table = category_labels(scores, verdict, words, thresholds).set_index(["unit", "category"])
    assert table.index.get_level_values("unit").is_monotonic_increasing and len(table) == 9
    for category in ("object", "part", "colour"):
        inside = np.array(VOCABULARY.category_of_each)[scores.concepts] == category
        tested = judge(scores, inside)
        for unit in range(3):
            row = table.loc[(unit, category)]
            best = max(np.flatnonzero(inside & scores.tested), key=lambda column: scores.chosen[unit, column])
            assert row["concept"] == VOCABULARY[scores.concepts[best]].name
            assert row["iou"] == scores.iou.value[unit, best]
            assert row["chance_level"] == scores.chance_level.value[unit, best]
            assert row["threshold"] == thresholds.values()[unit, 1 + scores.threshold[unit, best]]
            assert row["is_unit_label"] == (best == verdict.column[unit])
            assert row["interpretable"] == tested.interpretable[unit]


def test_the_leading_concepts_of_a_unit_are_those_of_largest_corrected_iou_and_untested_ones_come_last():
    scores = replace(scored()[0], tested=np.array([True, False, True, True]))
    table = pair_table(scores, ConceptNames(VOCABULARY, scores.concepts), some_thresholds())
    for unit in range(3):
        order = sorted(range(4), key=lambda column: (not scores.tested[column], -scores.chosen[unit, column]))
        rows = table[table["unit"] == unit]
        assert rows["concept"].tolist() == [VOCABULARY[number].name for number in scores.concepts[order]]
        assert rows["tested"].tolist() == [True, True, True, False]
        assert rows["iou"].tolist() == scores.iou.value[unit, order].tolist()


def test_curves_begin_with_the_label_and_go_on_by_corrected_iou():
    scores = scored()[0]
    verdict = replace(judge(scores), column=np.array([3, -1, 0]))
    curves = leading_curves(scores, verdict, some_thresholds())
    iou, chance_level, on_fractions = scores.curves
    for unit in range(3):
        order = sorted(range(4), key=lambda column: -scores.chosen[unit, column])
        label = verdict.column[unit] if verdict.column[unit] >= 0 else order[0]
        order = [label, *(column for column in order if column != label)]
        assert curves.concepts[unit].tolist() == scores.concepts[order].tolist()
        assert np.array_equal(curves.iou[unit], iou[unit, order])
        assert np.array_equal(curves.chance_level[unit], chance_level[unit, order])
    assert curves.on_fractions is on_fractions
    assert curves.thresholds.tolist() == some_thresholds().values()[:, 1:].tolist()


def test_how_well_a_unit_finds_its_label_is_that_of_every_pixel_of_the_held_out_half():
    random = np.random.default_rng(4)
    bins, shows = random.integers(0, 5, (3, 400)), random.random((2, 400)) < [[0.3], [0.6]]
    counts = np.array([[np.bincount(bins[unit][mask], minlength=5) for mask in shows] for unit in range(3)])
    total = np.array([np.bincount(row, minlength=5) for row in bins])
    joint = Joint(np.array([1, 4]), counts, total, shows.sum(1), np.ones(2, int), samples=1)
    columns = SimpleNamespace(chance_columns=np.array([0, 2, 3]))
    counted = SimpleNamespace(held_out=joint, bins_of=joint.of_concepts, thresholds=columns)
    scores = SimpleNamespace(concepts=np.array([1, 2, 4]), threshold=np.array([[0, 0, 1], [2, 0, 0], [0, 0, 0]]))
    # Concept 4 at bins above 2; concept 1 at bins above 3; a concept that the half does not show.
    on, wanted = [bins[0] > 2, bins[1] > 3], [shows[1], shows[0]]
    iou = [(a & b).sum() / (a | b).sum() for a, b in zip(on, wanted, strict=True)]
    found = detection(counted, scores, np.array([2, 0, 1]), np.array([*iou, np.nan]))
    assert all(np.isnan(values[2]) for values in found.values())
    for unit in range(2):
        assert found["iou_full_grid"][unit] == pytest.approx(iou[unit])
        both = (on[unit] & wanted[unit]).sum()
        assert found["f1"][unit] == pytest.approx(2 * both / (on[unit].sum() + wanted[unit].sum()))
        edges = [bins[unit] >= edge for edge in range(4, -1, -1)]
        recalls = [0, *((above & wanted[unit]).sum() / wanted[unit].sum() for above in edges)]
        steps = (recalls[i + 1] - recalls[i] for i in range(5))
        precisions = ((above & wanted[unit]).sum() / above.sum() for above in edges)
        area = sum(step * precision for step, precision in zip(steps, precisions, strict=True))
        assert found["average_precision"][unit] == pytest.approx(area)
        rank = (np.cumsum(total[unit]) - total[unit] / 2)[bins[unit]]
        assert found["correlation"][unit] == pytest.approx(np.corrcoef(rank, wanted[unit])[0, 1])


def a_cross(thresholds, positive):
    return Cross(thresholds.sum(1), thresholds @ thresholds.T, np.array(positive), thresholds.shape[1])


def test_units_that_never_vary_repeat_another_or_never_rest_are_named():
    random = np.random.default_rng(0)
    thresholds = random.integers(0, 128, (6, 400))
    thresholds[1], thresholds[3], thresholds[4] = 7, thresholds[0], 128 - thresholds[2]
    names = states(a_cross(thresholds, [200, 400, 399, 400, 400, 400]))
    assert names == ["", "dead", "", "duplicate of 0", "always on", "always on"]


@given(seed=seeds)
def test_the_most_correlated_units_come_by_falling_size_of_correlation(seed):
    random = np.random.default_rng(seed)
    thresholds = random.integers(0, 128, (11, 60))
    table = most_correlated(a_cross(thresholds, [0] * 11))
    wanted = np.corrcoef(thresholds)
    for unit, rows in table.groupby("unit"):
        others = [other for other in range(11) if other != unit]
        order = sorted(others, key=lambda other: -abs(wanted[unit, other]))[:8]
        assert rows["other_unit"].tolist() == order
        assert np.allclose(rows["correlation"], wanted[unit, order], atol=1e-9)


def test_a_layer_of_one_unit_has_no_other():
    assert len(most_correlated(a_cross(np.arange(9)[None], [3]))) == 0


def test_examples_are_the_largest_the_middle_and_few_random_ones_that_units_share():
    random = np.random.default_rng(0)
    peaks = Peaks(np.arange(300), random.random((300, 40)).astype(np.float32))
    kind, samples = examples(peaks)
    assert kind.tolist() == ["top"] * 8 + ["middle"] * 4 + ["random"] * 4
    assert np.array_equal(samples[:, :8], peaks.top(8)) and np.array_equal(samples[:, 8:12], peaks.middle(4))
    assert all(len(set(row[12:])) == 4 for row in samples.tolist())
    assert len(np.unique(samples[:, 12:])) <= 48
    assert np.array_equal(examples(peaks)[1], samples)


@given(value=st.integers(0, 50), seed=seeds)
def test_an_interval_of_a_count_is_that_of_students_t_rounded_outwards(value, seed):
    replicates = np.random.default_rng(seed).integers(0, 60, (100, 1))
    low, high = count_interval(np.array([value]), replicates, 13)
    reach = stats.t.ppf(0.975, 12) * replicates.std(ddof=1) * np.sqrt(13 / 12)
    assert low[0] == max(0, np.floor(value - reach)) and high[0] == np.ceil(value + reach)
    assert count_interval(np.array([value]), np.full((100, 1), 7), 13) == (value, value)


@given(seed=seeds)
def test_average_precision_is_the_sum_of_precision_over_steps_of_recall(seed):
    random = np.random.default_rng(seed)
    concept = random.integers(0, 9, 6)
    total = concept + random.integers(0, 9, 6)
    if not concept.sum():
        assert np.isnan(average_precision(concept, total))
        return
    found = 0.0
    for bin_ in range(5, -1, -1):
        above, all_above = concept[bin_:].sum(), total[bin_:].sum()
        found += concept[bin_] / concept.sum() * above / max(all_above, 1)
    assert average_precision(concept, total) == pytest.approx(found)


@pytest.mark.parametrize(("concept", "total"), [([0, 0], [3, 4]), ([3, 4], [3, 4])])
def test_nothing_correlates_with_what_is_nowhere_or_everywhere(concept, total):
    assert np.isnan(point_biserial(np.array(concept), np.array(total)))


def test_a_unit_in_one_bin_correlates_with_nothing():
    assert point_biserial(np.array([0, 2]), np.array([0, 9])) == 0


def test_images_of_concepts_that_a_half_lacks_are_none():
    half = (np.array([1, 3]), np.zeros((2, 4)), np.array([5, 6]), 9)
    assert images_of(half, np.array([1, 2, 4])).tolist() == [5, 0, 0]


def test_the_rank_of_an_activation_is_the_share_of_pixels_below_it():
    histogram, edges = np.array([[2, 2, 4]]), np.float32([[0, 1, 2, 4]])
    maps = np.float32([0, 1, 1.5, 2, 3, 4, 9, -1]).reshape(1, 1, 2, 4)
    wanted = [0, 0.25, 0.375, 0.5, 0.75, 1, 1, 0]
    assert ranks_of(maps, histogram, edges).flatten().tolist() == [int(255 * share) for share in wanted]
    assert ranks_of(maps, np.zeros((1, 3)), edges).max() == 0
