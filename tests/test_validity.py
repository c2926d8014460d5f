"""Numbers mean what readers take them for: simulations in which the truth is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dissectreport.analysis.common.jackknife import benjamini_hochberg
from dissectreport.analysis.common.student import upper_tail
from dissectreport.analysis.comparison.differences import difference, is_significant
from dissectreport.analysis.comparison.profiles import Estimate
from dissectreport.analysis.dissection.corrected_rule import Groups, judge, score
from dissectreport.analysis.dissection.counted import ConceptNames
from dissectreport.analysis.dissection.interpretable_counts import (
    MEAN_MATCH,
    count_interval,
    mean_match,
    predicted,
    tally,
)
from dissectreport.analysis.dissection.match_curves import CUT_OFFS, at_least, match_curve
from dissectreport.analysis.dissection.own_units import best_units, own_units
from dissectreport.analysis.dissection.parts import parts_of
from dissectreport.analysis.dissection.twins import twins_of
from dissectreport.analysis.dissection.unit_tables import figures
from dissectreport.analysis.results.dissection import BestUnits
from dissectreport.report.common.model import leading_units
from dissectreport.report.common.wording import best_units_in_words
from dissectreport.report.pages.matches import privileged_layers
from dissectreport.stats.neighbours import ExpectedOverlaps
from dissectreport.stats.overlaps import Overlaps
from dissectreport.stats.thresholds import ExactThresholds
from dissectreport.vocabulary import Vocabulary
from tests.support.simulations import PIXELS, Horizon, World, counts_of, neighbours_of


def scores_of(world, seed, replicates=1):
    """The scores of a simulated run of 26 shards, as many as a run has by default."""
    return score(Groups.of(world.shards(seed)), PIXELS, replicates)


def true_figures(world):
    """(units, c) the IoU and the chance-corrected IoU that many images have."""
    truth = world.truth()
    whole = score(Groups.of([(0, truth), (1, truth)]), PIXELS, 1)
    return whole.iou.value, whole.corrected_iou.value


def strongest_of_equals(seed, world):
    """The row of the first of equally good units, as pages show it."""
    scores = scores_of(world, seed)
    units = len(world.matches)
    thresholds = ExactThresholds(np.zeros(units), np.ones(units), np.ones((units, 1), np.float32), np.zeros(units, int))
    table = figures(scores, np.arange(units), np.zeros(units, int), thresholds)
    layer = SimpleNamespace(
        table=pd.DataFrame(table | {"unit": np.arange(units), "interpretable": np.ones(units, bool)})
    )
    return leading_units(layer).iloc[0]


def test_the_interval_of_the_strongest_of_many_equal_units_holds_the_truth_as_often_as_it_says():
    world = World((0.5,) * 16, (0.5,))
    truth = true_figures(world)[0][0, 0]
    rows = [strongest_of_equals(seed, world) for seed in range(40)]
    assert np.mean([row.iou_low <= truth <= row.iou_high for row in rows]) >= 0.9
    assert abs(np.mean([row.iou for row in rows]) - truth) < 0.009


def test_units_at_the_cut_off_are_rarely_called_interpretable():
    world = World((0.081,) * 12, (0.5,))
    assert true_figures(world)[1][:, 0].mean() == pytest.approx(0.04, abs=0.003), "they lie at the cut-off"
    called = [judge(scores_of(world, seed)).interpretable.mean() for seed in range(15)]
    assert np.mean(called) < 0.06


def test_intervals_of_the_chance_corrected_iou_hold_the_truth_for_weak_matches_of_rare_concepts():
    world = World((0.1, 0.1), (0.05,))
    truth = true_figures(world)[1][:, 0].mean()
    held, below, runs = 0, 0, 60
    for seed in range(runs):
        low, high = scores_of(world, seed).corrected.interval()
        held += int(((low[:, 0] <= truth) & (truth <= high[:, 0])).sum())
        below += int((high[:, 0] < truth).sum())
    assert held / (2 * runs) >= 0.9
    assert below / (2 * runs) <= 0.065, "on the plain scale intervals end too low"


def test_two_runs_of_one_model_differ_in_their_mean_match_as_rarely_as_an_interval_says():
    world = World((0.07, 0.08, 0.09, 0.1, 0.11, 0.12, 0.3, 0.5), (0.3, 0.3, 0.3))
    means = []
    for seed in range(40):
        scores = scores_of(world, seed, replicates=60)
        found = mean_match(scores, judge(scores))
        means.append(Estimate(*(found[name] for name in MEAN_MATCH)))
    different = [is_significant(difference(*pair)) for pair in zip(means[::2], means[1::2], strict=True)]
    assert np.mean(different) <= 0.1
    width = np.mean([mean.high - mean.low for mean in means])
    assert width < 4 * 2 * np.std([mean.value for mean in means]), "the interval is not wide for nothing"


def test_the_mean_match_is_over_all_units_with_a_label():
    scores = scores_of(World((0.01, 0.3, 0.9), (0.5,)), 3, replicates=20)
    verdict = judge(scores)
    assert verdict.interpretable.tolist() == [False, True, True]
    assert mean_match(scores, verdict)["mean_corrected_iou"] == pytest.approx(scores.corrected_iou.value[:, 0].mean())


def test_twins_count_once_and_as_the_most_common_of_them():
    both = np.array([[100, 85, 0, 84], [85, 90, 0, 80], [0, 0, 50, 10], [84, 80, 10, 99]])
    twins = twins_of(Overlaps(np.array([3, 5, 6, 9]), both, 64))
    assert twins == {5: 3}, "84 of 115 pixels are shared by 3 and 9, 80 of 109 by 5 and 9: no twins"
    words = ConceptNames(Vocabulary.of(object=tuple("abcdefghi")), np.array([3, 5, 6, 9]), twins)
    assert words.different(np.array([0, 1, 1, 2, 3])) == 3
    assert words.different(np.array([1])) == 1


def test_twins_of_twins_are_twins():
    both = np.array([[100, 90, 79], [90, 100, 90], [79, 90, 101]])
    assert twins_of(Overlaps(np.array([1, 2, 3]), both, 64)) == {1: 3, 2: 3}


def test_different_labels_are_counted_without_twins():
    scores = scores_of(World((0.9, 0.8), (0.5, 0.5)), 1, replicates=5)
    vocabulary = Vocabulary.of(object=("grass", "turf"))
    verdict = judge(scores)
    verdict.column[:] = verdict.labels[:] = (0, 1)
    for twins, different in (({}, 2), ({2: 1}, 1)):
        rows = tally("measured", lambda _: verdict, ConceptNames(vocabulary, scores.concepts, twins))
        assert (rows[0]["units"], rows[0]["concepts"], rows[0]["concepts_high"]) == (2, different, different)


# --- random directions ---


def random_basis(random, units):
    """(units, units) an orthogonal matrix, uniform over rotations and reflections."""
    q, r = np.linalg.qr(random.standard_normal((units, units)))
    return q * np.sign(np.diag(r))


def bases_of(seed, units, has_own, shards=8, bases=5):
    """The scores of a layer of independent features and those of its random bases, with words for two concepts.

    Each concept has a feature of its own, or is a mixture of all.

    Units are the features. Concepts show where their feature, or their mixture, is large.
    """
    random = np.random.default_rng(seed)
    concepts = np.eye(units)[:2] if has_own else random_basis(random, units)[:2]
    turned = [np.eye(units), *(random_basis(random, units) for _ in range(bases))]
    shown = random.standard_normal((shards, 24, units, PIXELS)).astype(np.float32)
    masks = np.einsum("cu,snup->sncp", concepts.astype(np.float32), shown) > 1.2

    def scores_in(basis):
        maps = np.einsum("du,snup->sndp", basis.astype(np.float32), shown)[:, :, :, None]
        on = maps > np.array([0.5, 1.0, 1.5])[:, None]
        return score(Groups.of((group, counts_of(on[group], masks[group])) for group in range(shards)), PIXELS, 1)

    scores, *rotations = map(scores_in, turned)
    return scores, rotations, ConceptNames(Vocabulary.of(object=("sky", "tree")), scores.concepts)


@pytest.fixture(scope="module")
def layers_of_no_special_basis():
    """Fifty layers in which units are one more random basis."""
    return [bases_of(seed, 16, has_own=False, shards=6) for seed in range(50)]


def test_concepts_have_units_of_their_own_where_units_are_their_features():
    layer = bases_of(1, 24, has_own=True)
    found = own_units(*layer)
    assert dict(zip(found["concept"], found["unit"], strict=True)) == {"sky": 0, "tree": 1}
    assert found["own_unit"].all() and (found["q"] < 0.01).all() and (found["difference_low"] > 0).all()
    assert (found["best_direction_least"] <= found["best_direction"]).all()
    together = best_units(*layer)
    assert together.p < 0.01 and together.units > max(together.directions)
    assert (together.concepts, len(together.directions)) == (2, 5)
    assert together.units == pytest.approx(found["corrected_iou"].mean())
    assert together.mean == pytest.approx(found["best_direction"].mean())


def test_units_are_rarely_called_privileged_where_no_basis_is_special(layers_of_no_special_basis):
    p = np.array([best_units(*layer).p for layer in layers_of_no_special_basis])
    assert (p < 0.05).mean() <= 0.1
    assert 0.3 < p.mean() < 0.7 and (p > 0.5).mean() >= 0.3


def test_the_overview_counts_layers_whose_units_are_privileged_after_correction_for_their_number():
    def layer(name, p):
        return SimpleNamespace(name=name, best_units=BestUnits(0.2, (0.1, 0.12), 30, p))

    layers = [layer("one", 0.001), layer("two", 0.04), layer("three", 0.3), SimpleNamespace(name="x", best_units=None)]
    assert privileged_layers(layers).startswith(
        "Over all concepts together, units are privileged in 1 of 3 layers (one)"
    )
    assert privileged_layers(layers[2:]).endswith("not significantly better than random directions in any layer.")
    assert privileged_layers(layers[3:]) == ""
    assert best_units_in_words(layers[0].best_units).endswith(" 0.100 to 0.120: units are privileged (p = 0.001).")


def test_concepts_rarely_have_units_of_their_own_where_no_basis_is_special(layers_of_no_special_basis):
    found = pd.concat([own_units(*layer) for layer in layers_of_no_special_basis])
    assert (found["p"] < 0.05).mean() <= 0.07
    assert found["own_unit"].mean() <= 0.05


def test_only_the_most_common_of_twins_is_tested_for_a_unit_of_its_own():
    scores = scores_of(World((0.9, 0.8), (0.5, 0.5)), 1)
    words = ConceptNames(Vocabulary.of(object=("grass", "turf")), scores.concepts, {2: 1})
    assert own_units(scores, [scores, scores], words)["concept"].tolist() == ["grass"]
    assert not len(own_units(scores, [], words))
    assert best_units(scores, [scores], words) is None, "one basis has no spread"
    assert best_units(scores, [scores, scores], words).concepts == 1


def test_the_interval_of_random_directions_holds_the_count_of_another_random_basis():
    random = np.random.default_rng(3)
    held = []
    for _ in range(400):
        counts = random.normal(80, 5, 6).round().astype(int)
        _, low, high = predicted(counts[:5].tolist(), np.full(40, 80.0) + random.normal(0, 0.5, 40), 13)
        held.append(low <= counts[5] <= high)
    assert 0.92 <= np.mean(held) <= 0.995


# --- cut-offs are curves ---


def test_the_curve_counts_the_units_that_match_at_least_so_well():
    scores = scores_of(World((0.05, 0.3, 0.9), (0.5,)), 3, replicates=20)
    verdict = judge(scores)
    curve = match_curve("measured", "", [verdict])
    assert curve["units"].tolist() == [int((verdict.corrected_iou >= cut).sum()) for cut in CUT_OFFS]
    assert (curve["units_low"] <= curve["units"]).all() and (curve["units"] <= curve["units_high"]).all()
    assert curve["units_high"].iloc[-1] == 0 and curve["layer_units"].unique().tolist() == [3]


def test_the_bands_of_a_curve_hold_the_number_of_units_that_many_images_have():
    world = World(tuple(np.linspace(0.02, 0.4, 12)), (0.4,))
    truth = at_least(true_figures(world)[1][:, 0])
    some = np.isin(CUT_OFFS, (0.02, 0.04, 0.06, 0.1, 0.16))
    held = []
    for seed in range(12):
        curve = match_curve("measured", "", [judge(scores_of(world, seed, replicates=60))])[some]
        held += ((curve["units_low"] <= truth[some]) & (truth[some] <= curve["units_high"])).tolist()
    assert np.mean(held) >= 0.85


def test_intervals_of_counts_hold_what_other_images_would_give_with_few_groups_too():
    """Units whose match is near the cut-off, of which the images make more or fewer interpretable."""
    match = np.random.default_rng(9).normal(2, 2, 60)

    def counted(means, errors, groups):
        return (benjamini_hochberg(upper_tail(means / errors, groups - 1)) < 0.05).sum()

    def drawn(seed, groups):
        return match + np.random.default_rng(seed).normal(0, np.sqrt(groups), (groups, len(match)))

    for groups in (6, 13):
        every = [drawn(1000 + seed, groups) for seed in range(200)]
        expected = np.mean([counted(x.mean(0), x.std(0, ddof=1) / np.sqrt(groups), groups) for x in every])
        held = []
        for seed in range(120):
            values, random = drawn(seed, groups), np.random.default_rng(seed)
            errors = values.std(0, ddof=1) / np.sqrt(groups)
            weights = random.multinomial(groups, np.full(groups, 1 / groups), 100) / groups
            replicates = np.array([[counted(weight @ values, errors, groups)] for weight in weights])
            low, high = count_interval(np.array([counted(values.mean(0), errors, groups)]), replicates, groups)
            held.append(low[0] <= expected <= high[0])
        assert np.mean(held) >= 0.9, groups


def test_the_curve_of_random_directions_is_their_mean_with_the_spread_of_the_bases():
    verdicts = [judge(scores_of(World((share,) * 8, (0.5,)), 3, replicates=20)) for share in (0.3, 0.4, 0.5)]
    curve = match_curve("random_directions", "", verdicts)
    counts = np.stack([at_least(verdict.corrected_iou) for verdict in verdicts])
    assert np.allclose(curve["units"], counts.mean(0))
    wide = (curve["units_high"] - curve["units_low"])[counts.std(0) > 2]
    assert len(wide) and (wide >= 6).all()


# --- what an IoU is made of ---


def horizon_parts(kinds, seed):
    """The parts of the units' IoU with the sky, in a simulated run."""
    shards = list(Horizon(kinds).shards(seed))
    scores = score(Groups.of((group, chance) for group, chance, _ in shards), PIXELS, 1)
    return parts_of(shards, scores.concepts, scores.threshold, scores.iou.sizes, PIXELS)


def test_planted_units_are_of_the_kind_that_was_planted():
    kinds = ("place", "scene", "object")
    for seed in range(5):
        parts = horizon_parts(kinds, seed)
        assert parts.figures(np.arange(3), np.zeros(3, int))["kind"].tolist() == list(kinds)


def test_units_that_know_one_number_an_image_rarely_have_a_part_within_images():
    beyond = []
    for seed in range(12):
        parts = horizon_parts(("scene",) * 12, seed)
        found = parts.figures(np.arange(12), np.zeros(12, int))
        beyond += (found["within_images_low"] > 0).tolist()
        assert (found["between_images_low"] > 0).all()
    assert np.mean(beyond) <= 0.05


def test_the_four_overlaps_are_those_of_maps_drawn_at_random():
    random = np.random.default_rng(5)
    on, masks = Horizon(("scene", "object")).draw(random, 40)
    chance, neighbours = counts_of(on, masks), neighbours_of(on, masks)
    pairs = chance.crossed[0] - chance.observed[0]
    found = ExpectedOverlaps.of(pairs, chance.expected(), neighbours.overlap, *neighbours.products(), PIXELS)
    anywhere, elsewhere = np.zeros((2, 2))
    draws = 2000
    for _ in range(draws):
        other = (np.arange(40) + random.integers(1, 40)) % 40
        elsewhere += (on[other, :, 0] & masks).sum((0, 2))
        anywhere += (on[other, :, 0][..., random.permutation(PIXELS)] & masks).sum((0, 2))
    assert np.allclose(found.position[:, 0, 0], elsewhere / draws, rtol=0.02)
    assert np.allclose(found.areas[:, 0, 0], anywhere / draws, rtol=0.05)
