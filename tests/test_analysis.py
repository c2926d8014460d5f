"""Intervals, p-values and labels against figures that are known or obvious."""

import numpy as np
import pytest

from dissectreport.analysis.common.jackknife import Jackknife, benjamini_hochberg
from dissectreport.analysis.common.student import quantile, upper_tail
from dissectreport.analysis.dissection import corrected_rule
from dissectreport.analysis.dissection.concepts import concept_table, position_only, seen_by_half, unsplit
from dissectreport.analysis.dissection.corrected_rule import Groups, Scores, judge, score
from dissectreport.analysis.dissection.counted import ConceptNames, needed_concepts
from dissectreport.analysis.dissection.interpretable_counts import tally
from dissectreport.analysis.dissection.unit_tables import average_precision, point_biserial
from dissectreport.stats.areas import Areas
from dissectreport.stats.chance import Chance
from dissectreport.stats.iou import against_chance
from dissectreport.vocabulary import Concept, Vocabulary


@pytest.mark.parametrize(
    ("freedom", "t", "on_fraction"),
    [
        (1, 1.0, 0.25),
        (2, 1.886, 0.1),
        (5, 2.015, 0.05),
        (9, 2.262, 0.025),
        (10, -1.372, 0.9),
        (30, 2.750, 0.005),
    ],
)
def test_tail_probabilities_of_student_t_are_those_of_printed_tables(freedom, t, on_fraction):
    assert upper_tail(np.array([t]), freedom)[0] == pytest.approx(on_fraction, rel=2e-3)


def test_the_quantile_inverts_the_tail_probability():
    assert quantile(0.975, 9) == pytest.approx(2.26216, abs=1e-4)


def test_the_jackknife_of_a_mean_with_equal_groups_is_its_standard_error():
    values = np.array([1.0, 4.0, 2.0, 8.0, 5.0])
    without = (values.sum() - values) / 4
    jack = Jackknife(np.array(values.mean()), without, np.full(5, 10))
    assert float(jack.error()) == pytest.approx(values.std(ddof=1) / np.sqrt(5))


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says():
    random = np.random.default_rng(0)
    sizes = np.array([48] * 9 + [20])
    covered = 0
    for _ in range(600):
        sums = random.normal(3 * sizes, np.sqrt(sizes) * 5)
        jack = Jackknife(np.array(sums.sum() / sizes.sum()), (sums.sum() - sums) / (sizes.sum() - sizes), sizes)
        low, high = jack.interval()
        covered += float(low) <= 3 <= float(high)
    assert 0.92 <= covered / 600 <= 0.98


def test_a_share_interval_stays_inside_zero_and_one():
    jack = Jackknife(np.array([0.01, 0.0]), np.array([[0.002, 0.0], [0.018, 0.0]]), np.array([5, 5]))
    low, high = jack.share_interval()
    assert (low >= 0).all() and (high <= 1).all() and low[0] < 0.01 < high[0]


def test_one_group_gives_no_interval_and_no_discovery():
    jack = Jackknife(np.array([0.5]), np.array([[0.5]]), np.array([5]))
    assert np.isnan(jack.interval()[0]).all() and jack.p_above()[0] == 1


def test_benjamini_hochberg_as_in_the_paper():
    p = np.array([0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240])
    wanted = [min(p[j] * 10 / (j + 1) for j in range(i, 10)) for i in range(10)]
    order = np.random.default_rng(0).permutation(10)
    assert np.allclose(benjamini_hochberg(p[order]), np.array(wanted)[order])


def made_groups(signal, groups=20, units_=40, concepts=6, seed=0):
    """Groups whose unit 0 overlaps concept 0 beyond chance by `signal`; all others are at chance."""
    random = np.random.default_rng(seed)
    threshold = np.array([4000.0, 1000.0])
    present = random.normal(2000, 40, (groups, concepts))
    expected = np.broadcast_to(
        threshold[None, None, None] * present[:, None, :, None] / 20000, (groups, units_, concepts, 2)
    )
    observed = expected + random.normal(0, 12, expected.shape)
    observed[:, :1, :1] += signal
    return Groups(
        np.arange(groups),
        np.full(groups, 48),
        np.arange(1, concepts + 1),
        observed,
        expected.copy(),
        np.broadcast_to(threshold, (groups, units_, 2)).copy(),
        present,
        np.full((groups, concepts), 30),
    )


def test_units_at_chance_are_not_called_interpretable_and_a_real_one_is():
    verdicts = [judge(score(made_groups(400, seed=seed), 4096, replicates=20)) for seed in range(5)]
    assert all(v.interpretable[0] and v.column[0] == 0 and v.stability[0] == 1 for v in verdicts)
    assert sum(v.interpretable[1:].sum() for v in verdicts) == 0


def test_a_concept_in_too_few_images_is_never_a_label():
    groups = made_groups(400)
    groups.images[:, 0] = 1
    verdict = judge(score(groups, 4096, replicates=5))
    assert verdict.column[0] != 0


def test_a_shard_of_one_image_has_no_chance_level_and_is_left_out():
    def shard(images, seed):
        counts = np.random.default_rng(seed).integers(1, 50, (1, 3, 2, 4))
        on, where = np.full((3, 4), 99), np.ones((2, 16), int)
        return Chance(
            np.array([1, 2]),
            np.array([images]),
            counts,
            counts,
            counts * images,
            on,
            on[0, :2],
            on[0, :2],
            where,
            images,
        )

    shards_ = [(0, shard(16, 0)), (1, shard(16, 1)), (0, shard(1, 2)), (3, shard(1, 3))]
    whole, groups = Groups.of(shards_[:2]), Groups.of(shards_)
    assert groups.numbers.tolist() == [0, 1]
    assert all(np.array_equal(getattr(whole, name), getattr(groups, name)) for name in vars(whole))


def drawn_shard(random, units_=7, concepts=5, thresholds=32, images=48):
    """Random counts of a shard, in which any of the concepts may be missing."""
    seen = np.sort(random.permutation(np.arange(1, concepts + 1))[: random.integers(concepts - 1, concepts + 1)])
    counts = random.integers(0, 10**5, (3, 1, units_, len(seen), thresholds))
    on, where = random.integers(10**5, 10**6, (units_, thresholds)), random.integers(0, images, (len(seen), 64))
    shown = random.integers(20, images, len(seen))
    return Chance(
        seen, np.array([images]), counts[0], counts[1], counts[2] * 50, on, where.sum(1), shown, where, images
    )


def leaves(value):
    """The arrays of a value, and of the values that it is made of."""
    if isinstance(value, np.ndarray):
        return [value]
    inner = value if isinstance(value, tuple) else vars(value).values()
    return [leaf for part in inner for leaf in leaves(part)]


@pytest.mark.parametrize("at_once", [1, 600_000])
def test_units_scored_in_blocks_have_the_scores_of_all_units_scored_at_once(at_once, monkeypatch):
    random = np.random.default_rng(5)
    shards_ = [(number % 20, drawn_shard(random)) for number in range(44)]
    whole = score(Groups.of(shards_), 64, replicates=3)
    monkeypatch.setattr(corrected_rule, "AT_ONCE", at_once)
    blocks = corrected_rule.blocks(7, 5, 32)
    assert len(blocks) > 1
    parts = Scores.together([score(Groups.of(shards_, block), 64, replicates=3) for block in blocks])
    assert len(leaves(whole)) == len(leaves(parts)) == 23
    assert all(np.array_equal(one, other) for one, other in zip(leaves(whole), leaves(parts), strict=True))


def test_of_many_concepts_those_that_tables_show_are_scored_as_among_all():
    random = np.random.default_rng(6)
    rare = {3, 7, 20}
    shards_ = [(number % 20, drawn_shard(random, concepts=20)) for number in range(44)]
    for _, shard in shards_:
        shard.images[np.isin(shard.concepts, list(rare))] = 0
    names = tuple(map(str, range(1, 21)))
    vocabulary = Vocabulary.of(object=names[:6], part=names[6:19], material=names[19:])
    among = needed_concepts(shards_, vocabulary, wanted=(3,))
    # 7 is the first part, 20 the only material; 3 is wanted. Without these wishes none of the three would be judged.
    assert among.tolist() == list(range(1, 21))
    assert needed_concepts(shards_, Vocabulary.of(object=names), ()).tolist() == sorted({*range(1, 21)} - rare)
    whole, part = Groups.of(shards_), Groups.of(shards_, among=np.array([2, 7, 9]))
    scores, few = score(whole, 64, replicates=3), score(part, 64, replicates=3)
    columns = np.flatnonzero(np.isin(whole.concepts, part.concepts))
    assert few.concepts.tolist() == [2, 7, 9]
    assert few.tested.tolist() == scores.tested[columns].tolist() == [True, False, True]
    for name in ("threshold", "chosen", "expected", "on_fraction"):
        assert np.array_equal(getattr(few, name), getattr(scores, name)[:, columns]), name
    assert np.array_equal(few.corrected_iou.without, scores.corrected_iou.without[:, :, columns])


def test_where_few_concepts_can_be_tested_all_that_occur_are_scored():
    shards_ = [(number % 20, drawn_shard(np.random.default_rng(7))) for number in range(44)]
    assert needed_concepts(shards_, Vocabulary.of(object=tuple("abcde")), ()).tolist() == [1, 2, 3, 4, 5]


def test_blocks_hold_every_unit_once():
    found = [unit for block in corrected_rule.blocks(512, 300, 32) for unit in range(*block.indices(512))]
    assert found == list(range(512))
    assert len(corrected_rule.blocks(512, 300, 32)) == 32


def test_a_control_in_which_nothing_was_seen_counts_no_unit():
    scores = score(made_groups(0, concepts=0), 4096, replicates=3)
    verdict = judge(scores)
    words = ConceptNames(Vocabulary.of(), scores.concepts)
    assert not verdict.interpretable.any()
    assert [row["units"] for row in tally("untrained", lambda among: judge(scores, among), words)] == [0]


def test_scores_come_from_the_scoring_half_alone():
    groups = made_groups(400)
    groups.observed[::2, 0, 0] += 300
    scores = score(groups, 4096, replicates=1)
    odd = groups.half(odd=True)
    at = scores.threshold[0, 0]
    on = odd.on[:, 0, at].sum()
    iou, _, _ = against_chance(
        odd.observed[:, 0, 0, at].sum(), odd.expected[:, 0, 0, at].sum(), on, odd.present[:, 0].sum()
    )
    assert scores.iou.value[0, 0] == iou


def test_the_band_of_a_curve_contains_the_curve_and_is_the_interval_at_the_selected_threshold():
    scores = score(made_groups(400), 4096, replicates=1)
    low, high = (end[0] for end in scores.band)
    iou = scores.curves[0][0, 0]
    assert (low < iou).all()
    assert (iou < high).all()
    at = scores.threshold[0, 0]
    assert np.allclose([low[at], high[at]], [end[0, 0] for end in scores.iou.share_interval()], rtol=1e-12)


def test_average_precision_of_a_perfect_ranking_is_one_and_of_none_the_share_of_the_concept():
    assert average_precision(np.array([0, 0, 10]), np.array([50, 40, 10])) == pytest.approx(1)
    assert average_precision(np.array([10, 10, 10]), np.array([100, 100, 100])) == pytest.approx(0.1)


def test_point_biserial_equals_the_correlation_of_mid_ranks():
    random = np.random.default_rng(0)
    bins, shows = random.integers(0, 5, 4000), random.random(4000) < 0.3
    bins = np.where(shows, np.minimum(bins + 1, 4), bins)
    total = np.bincount(bins, minlength=5)
    concept = np.bincount(bins[shows], minlength=5)
    rank = (np.cumsum(total) - total / 2)[bins]
    assert point_biserial(concept, total) == pytest.approx(np.corrcoef(rank, shows)[0, 1])


def seen_at(where, n):
    """The counts of `n` images of which `where` (concepts, pixels) show each concept at each pixel."""
    concepts = len(where)
    empty = np.zeros((1, 1, concepts, 1), np.int64)
    return Chance(
        np.arange(1, concepts + 1),
        np.array([n]),
        empty,
        empty,
        empty,
        np.zeros((1, 1), int),
        where.sum(1),
        np.full(concepts, n),
        where,
        n,
    )


def band_and_noise(random, n=40):
    """One concept in the upper quarter of every image, and one anywhere."""
    band = np.zeros(64, int)
    band[:16] = n
    return seen_at(np.stack([band, random.binomial(n, 0.2, 64)]), n)


def test_the_position_only_mask_of_a_fixed_band_is_perfect_and_of_noise_is_poor():
    random = np.random.default_rng(0)
    areas = Areas(np.arange(80), np.array([1, 2]), np.tile([16, 13], (80, 1)), 64)
    words = Vocabulary.of(object=("band", "noise"))
    halves = seen_by_half([(0, band_and_noise(random)), (1, band_and_noise(random))])
    table = concept_table(areas, halves, halves, words, {Concept("band", ""): 0.9}, {2: 1})
    assert table["counts_as"].tolist() == ["band", "band"]
    assert table.loc[1, "position_only"] == 1
    assert table.loc[2, "position_only"] < 0.3
    assert (
        table.loc[1, "area"] == 0.25
        and table.loc[1, "segmenter_iou"] == 0.9
        and np.isnan(table.loc[2, "segmenter_iou"])
    )


def test_a_rule_without_halves_chooses_and_scores_the_position_only_mask_on_all_samples():
    above, below = np.repeat([[10, 0]], 2, 1), np.repeat([[0, 10]], 2, 1)  # in the upper half, then in the lower one
    halves = seen_by_half([(0, seen_at(above, 10)), (1, seen_at(below, 10)), (2, seen_at(above, 10))])
    assert position_only(halves, np.array([1])) == [0]
    # On all samples the upper half is best: 40 pixels in common, of 60 in its masks and 60 shown.
    assert position_only(unsplit(halves), np.array([1])) == [0.5]
