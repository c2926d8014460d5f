"""Artifact units and repair: slow values, and the planted generator, whose blotches are known."""

from __future__ import annotations

import html
import importlib
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import dissectreport
from dissectreport.analysis.artifacts import exciting, repair_quality
from dissectreport.analysis.artifacts import selection as diagnosis
from dissectreport.analysis.artifacts.plan import artifact_plan, matched_units
from dissectreport.analysis.artifacts.quality import Reference, frechet_distance, too_few_for_covariance
from dissectreport.analysis.artifacts.selection import Effects, RealismSides, SecondEffects, SingleEffects, SingleUnits
from dissectreport.analysis.common.halves import Halved
from dissectreport.analysis.common.jackknife import Jackknife
from dissectreport.analysis.common.rank_correlation import noise_ceiling, spearman
from dissectreport.analysis.results.artifacts import COLUMNS, Artifacts
from dissectreport.analysis.results.replication import ClaimKind
from dissectreport.cli.app import app
from dissectreport.cli.printing import artifact_lines
from dissectreport.errors import BadOption, FeaturesError, FolderError, ModelError
from dissectreport.models import planted
from dissectreport.models.edits import Edits, read_edits, repaired
from dissectreport.models.planted import TRUTH, load
from dissectreport.networks.latents import latents
from dissectreport.pipeline import loading
from dissectreport.pipeline.artifacts import repair_sizes, selected_from
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.random_sets import matched_sets
from dissectreport.pipeline.render import load_dissection
from dissectreport.pipeline.repair import artifact_units
from dissectreport.pipeline.replicate import replicate
from dissectreport.pipeline.tasks import Task
from dissectreport.report.artifacts.page import artifact_images
from dissectreport.report.artifacts.summary import curves, figure_of, listed_sentence, repair_and_listed, sentence
from dissectreport.report.common import commands
from dissectreport.report.common.model import Site
from dissectreport.report.html.assets import load_assets
from dissectreport.report.html.numbers import figure
from dissectreport.report.html.places import Places
from dissectreport.report.site.build import write_site
from dissectreport.run.budgets import ARTIFACT_BUDGETS, ArtifactBudget
from dissectreport.run.plan import ArtifactKey
from dissectreport.run.shards import GROUPS, Shard
from dissectreport.stats.effects import RealismGain
from dissectreport.stats.features import FeatureScale
from dissectreport.worker import artifacts as diagnose
from dissectreport.worker.edited_model import EditedModel
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.pictures import as_bytes
from tests.support.budgets import TINY_ARTIFACTS as TINY
from tests.support.colour_features import ColourFeatures
from tests.support.reporters import RecordingReporter
from tests.support.sites import broken_links
from tests.support.tiers import extended

N, D = 60, 4
FEWEST = replace(
    TINY,
    real=210,
    side=64,
    gradients=32,
    tested=32,
    retested=32,
    finalists=3,
    leading=4,
    control=2,
    bottom=1,
    second=32,
    size_selection=100,
    scored=100,
    sizes=(2,),
    random_sets=1,
    random_scored=100,
)
"""So few images that what is found says nothing: for what is told of a run, and for what is kept of it."""
SHIPPED = dict(ARTIFACT_BUDGETS)
DRAWN, SECOND = loading.DRAWN, loading.SECOND
"""The second network that is shipped; other tests of this module have one for the planted generator."""


# --- slow and obvious ---


@pytest.fixture(scope="module")
def sides() -> RealismSides:
    random = np.random.default_rng(0)
    return RealismSides(random.standard_normal((N, D)), random.standard_normal((N + 7, D)) + 0.5)


def kernel(one: np.ndarray, other: np.ndarray) -> float:
    return float((one @ other / D + 1) ** 3)


def test_the_realism_score_is_the_mean_kernel_to_real_images_minus_that_to_generated_ones(sides: RealismSides) -> None:
    rows = np.random.default_rng(1).standard_normal((3, D))
    wanted = [
        np.mean([kernel(row, other) for other in sides.real])
        - np.mean([kernel(row, other) for other in sides.generated])
        for row in rows
    ]
    assert np.allclose(sides.scores(rows), wanted)


def distance_by_loops(rows: np.ndarray, real: np.ndarray, left_out: int | None) -> float:
    """The unbiased kernel distance without a group of both sides, less what real images give among themselves."""
    kept, others = (
        [one for i, one in enumerate(side) if left_out is None or i % GROUPS != left_out] for side in (rows, real)
    )
    among = [kernel(one, other) for i, one in enumerate(kept) for j, other in enumerate(kept) if i != j]
    return float(np.mean(among) - 2 * np.mean([kernel(one, other) for one in kept for other in others]))


@pytest.mark.parametrize("images", [45, 13])
def test_the_decrease_by_a_set_is_that_of_the_unbiased_distance_and_groups_are_left_out_of_both_sides(
    sides: RealismSides, images: int
) -> None:
    variants = np.random.default_rng(2).standard_normal((images, 3, D))
    found = Effects.of(variants, sides.real)
    for left_out in (None, 3):
        before, *after = (distance_by_loops(variants[:, v], sides.real, left_out) for v in range(3))
        wanted = [before - one for one in after]
        assert np.allclose(found.fall.value if left_out is None else found.fall.without[left_out], wanted)
    assert np.allclose(found.falls.mean(0), found.fall.value) and found.falls.shape == (images, 2)
    assert found.fall.sizes.tolist() == ([3] * 5 + [2] * 15 if images == 45 else [1] * 13)


def test_the_decrease_is_that_of_the_measure_of_quality() -> None:
    random = np.random.default_rng(5)
    real, variants = random.standard_normal((200, D)), random.standard_normal((120, 3, D)) + 0.2
    reference = Reference.of(real)
    _, changes = repair_quality.kernel_changes(reference, variants)
    found = Effects.of(reference.scale(variants), reference.features)
    assert np.allclose(found.fall.value, [-float(one.value) for one in changes])
    assert np.allclose(found.fall.error(), [float(one.error()) for one in changes], rtol=0.3)


def effects_of(value: list[float], images: list[int] | None = None, moves: list[bool] | None = None) -> SingleEffects:
    """What would be told of units of these falls, all far from chance; the third is a control unit."""
    fall, count = np.array(value), len(value)
    difference, p = fall - fall[2], np.where(fall > 0, 1e-6, 0.9)
    return SingleEffects(
        np.array(images or [192] * count),
        np.array(images or [192] * count) == 192,
        *(fall, fall - 0.01, fall + 0.01, p),
        *(difference, difference - 0.01, difference + 0.01),
        np.array(moves or [True] * count),
        np.stack([fall, fall]),
    )


FOUR = SingleUnits(np.arange(4), ("leading", "leading", "control", "bottom"))


def test_a_unit_whose_estimate_has_the_wrong_sign_can_be_an_artifact_unit_and_a_control_cannot() -> None:
    found = diagnosis.judge_units(effects_of([0.0, 0.3, 0.3, 0.3]), FOUR, distance=1.0)
    assert np.isnan(found.q[2]) and not found.artifact.any(), "none does more than the control"
    found = diagnosis.judge_units(effects_of([0.0, 0.3, 0.0, 0.3]), FOUR, distance=1.0)
    assert found.artifact.tolist() == [False, True, False, True]
    assert found.listed(FOUR) == (1, 3)


def test_without_control_units_none_is_asked_to_do_more_than_they(sides: RealismSides) -> None:
    lone = SingleUnits(np.arange(4), ("leading", "leading", "leading", "bottom"))
    told = effects_of([0.0, 0.3, 0.3, 0.3])
    for name in ("difference", "difference_low", "difference_high"):
        getattr(told, name)[:] = np.nan
    assert diagnosis.judge_units(told, lone, distance=1.0).artifact.tolist() == [False, True, True, True]
    rows = np.random.default_rng(1).standard_normal((60, 3, D))
    effects = Effects.of(rows, sides.real)
    assert np.isnan(effects.difference([]).value).all() and np.isnan(effects.difference([]).interval()).all()


def test_control_units_stand_beside_the_bottom_where_no_estimate_is_above_zero() -> None:
    first = RealismGain(-np.arange(1.0, 9), np.arange(1.0, 9), np.array(2.0))
    design = artifact_plan(first, ArtifactBudget("some", leading=3, control=2, bottom=2))
    assert design.leading == () and design.bottom == (6, 7)
    assert set(design.control) == {4, 5}, "those of nearest activation"


def test_an_artifact_unit_takes_one_per_cent_of_a_distance_that_there_is() -> None:
    tests = effects_of([0.0, 0.3, 0.0, 0.3])
    assert not diagnosis.judge_units(tests, FOUR, distance=31.0).artifact.any()
    assert not diagnosis.judge_units(tests, FOUR, distance=-0.1).artifact.any(), "nothing to take away"


def test_only_units_that_were_tested_further_can_be_artifact_units() -> None:
    tests = effects_of([0.0, 0.3, 0.0, 0.3], images=[64, 192, 192, 64])
    assert diagnosis.judge_units(tests, FOUR, distance=1.0).listed(FOUR) == (1,)


def test_units_that_were_not_tested_further_do_not_lower_the_bar_for_those_that_were() -> None:
    roles = ("leading", "leading", "control", *["bottom"] * 17)
    tested = SingleUnits(np.arange(20), roles)
    images = [192] * 3 + [64] * 17
    tests = effects_of([0.3, 0.3, 0.0, *[0.2] * 17], images=images)
    tests.p[:2] = 0.02
    told = diagnosis.judge_units(tests, tested, distance=1.0)
    assert told.q[0] == pytest.approx(0.19) and told.listed(tested) == ()
    assert (told.q[3:] == 1).all()


def test_units_on_which_no_image_depends_are_no_tests_among_others() -> None:
    roles = ("leading", "leading", "control", *["bottom"] * 17)
    tested = SingleUnits(np.arange(20), roles)
    value, moves = [0.0, 0.3, 0.0, *[0.0] * 17], [True, True, True, *[False] * 17]
    tests = effects_of(value, moves=moves)
    tests.p[1] = 0.01
    assert diagnosis.judge_units(tests, tested, distance=1.0).q[1] == pytest.approx(0.02)
    tests.moves[:] = True
    assert diagnosis.judge_units(tests, tested, distance=1.0).q[1] == pytest.approx(0.19)


def test_a_repair_ablates_no_control_no_marked_unit_and_none_that_does_harm_alone() -> None:
    value = np.array([0.1, 0.3, 0.9, 0.2, -0.1, 0.8])
    roles = ("leading", "leading", "control", "bottom", "bottom", "marked")
    tested = SingleUnits(np.arange(10, 16), roles)
    told = effects_of(value.tolist())
    assert tested.worst(told) == (11, 13, 10)
    told.further[[1, 3]] = False
    assert tested.worst(told) == (10, 11, 13), "what was tested further comes first"
    fall = Jackknife(value, np.tile(value, (GROUPS, 1)), np.full(GROUPS, 6))
    effects = Effects(fall, np.zeros((120, 6)))
    assert tested.finalists(effects, 2).tolist() == [1, 2, 3]
    assert tested.finalists(effects, 1, marked=(14, 15)).tolist() == [1, 2, 4, 5]


def test_further_latents_alone_tell_what_those_do_that_the_first_chose(sides: RealismSides) -> None:
    random = np.random.default_rng(9)
    rows, further = random.standard_normal((40, 5, D)), random.standard_normal((60, 3, D))
    rows[:, 0] += 1
    rows[:, 4] = rows[:, 0]
    tested = SingleUnits(np.arange(4), ("leading", "leading", "control", "bottom"))
    effects = Effects.of(rows, sides.real)
    worst = int(effects.fall.value[[0, 1]].argmax())
    indices = sorted([worst, 2])
    assert tested.finalists(effects, 1).tolist() == indices
    found = SingleEffects.of(rows, further, tested, np.array(indices), sides.real)
    assert found.images.tolist() == [60 if place in indices else 40 for place in range(4)]
    assert found.further.tolist() == [place in indices for place in range(4)]
    every = Effects.of(further, sides.real)
    assert np.allclose(found.value[indices], every.fall.value)
    assert np.allclose(
        found.difference[worst], every.fall.value[indices.index(worst)] - every.fall.value[indices.index(2)]
    )
    other = 1 - worst
    assert found.value[other] == effects.fall.value[other]
    assert found.moves.tolist() == [True, True, True, False]
    assert np.allclose(found.halves[1], Effects.of(rows[1::2], sides.real).fall.value)


def test_the_sizes_of_a_repair_end_with_all_that_it_may_ablate() -> None:
    assert repair_sizes((2, 5, 10, 20), 24) == [2, 5, 10, 20]
    assert repair_sizes((2, 5, 10, 20), 7) == [2, 5, 7]
    assert repair_sizes((2, 5), 1) == [1]
    assert repair_sizes((2, 5), 0) == []


def test_few_images_are_as_far_from_real_ones_as_their_covariance_says() -> None:
    random = np.random.default_rng(3)
    real, few = random.standard_normal((200, 9)), random.standard_normal((5, 6, 9)) + 0.3
    centre, covariance = real.mean(0), np.cov(real, rowvar=False)
    found = exciting.low_rank_distances(few, centre, covariance)
    wanted = [frechet_distance(rows.mean(0), np.cov(rows, rowvar=False), centre, covariance) for rows in few]
    assert np.allclose(found, wanted)


def test_random_subsets_have_as_much_of_the_concept() -> None:
    area = np.arange(400) // 2 * (np.arange(400) > 200)
    top = np.argsort(-area)[:20]
    drawn = exciting.matched_subsets(area, top, np.random.RandomState(0))
    assert drawn.shape == (exciting.SUBSETS, 20)
    assert (area[drawn] >= np.quantile(area, 0.9)).all(), "all tops are in the last tenth"
    assert all(len(set(rows)) == 20 for rows in drawn.tolist())
    assert len({tuple(sorted(rows)) for rows in drawn.tolist()}) == exciting.SUBSETS


def test_controls_have_the_mean_activation_of_leading_units() -> None:
    mean_activation = np.array([5.0, 1.0, 4.9, 1.1, 0.0, 9.0])
    assert sorted(matched_units(mean_activation, [0, 1], [2, 3, 4, 5], 2)) == [2, 3]
    assert matched_units(mean_activation, [0, 1], [4], 2) == (4,)


def test_artifact_units_are_looked_for_among_those_whose_estimate_is_above_zero() -> None:
    first = RealismGain(np.array([4.0, -1, 2, 0, -3, -2, 1]), np.ones(7), np.array(2.0))
    design = artifact_plan(first, ArtifactBudget("some", leading=5, control=1, bottom=2))
    assert design.leading == (0, 2, 6)
    assert design.bottom == (5, 4)
    assert design.control[0] in (1, 3)
    assert design.estimate[0] == 4.0, "twice the gain of an image"


def change(value: float, error: float = 0.01) -> Halved:
    return Halved(np.array(value), np.array(value) + error * np.tile([1.0, -1.0], 19))


def size_changes(values: dict[int, float]) -> repair_quality.SizeChanges:
    return repair_quality.SizeChanges(change(1.0), {size: change(value) for size, value in values.items()})


def test_the_repair_is_the_fewest_units_within_an_error_of_the_best() -> None:
    assert size_changes({2: -0.2, 5: -0.295, 10: -0.3}).selected_size() == 5
    assert size_changes({2: -0.005, 5: 0.1}).selected_size() == 0, "no fall is sure"
    assert size_changes({}).selected_size() == 0


def test_the_first_order_effect_equals_finite_differences() -> None:
    """On features that are smooth in the images: scaling a unit by 1 - h gains h times what the pass says."""
    source = Source("planted", "planted")
    key = ArtifactKey("", "", "", "mixed", 1, "float32")
    model = EditedModel(source.models(), key)
    made = diagnose.make_generated(source, key, 9)(Shard(0, 0, 120)).values
    real = diagnose.make_real(source, key, [])(Shard(0, 0, 120)).values
    sides = diagnose.RealismSets(real, made, FeatureScale.of(real))
    found = diagnose.make_realism_effects(source, key, sides)(Shard(0, 0, 8))
    assert found.images == 8
    nearness = sides.witness(model.networks.device)
    at = model.open(key.selection_seed, 0, 8)
    leaf = at.activations.clone().requires_grad_()
    nearness(model.features(model.images(at, leaf))).sum().backward()
    assert leaf.grad is not None
    wanted = -(at.activations * leaf.grad).sum((0, 2, 3)).double().numpy()
    assert np.allclose(found.effect, wanted, rtol=1e-4, atol=1e-5)
    assert np.allclose(found.mean_activation, at.activations.abs().mean((2, 3)).sum(0).numpy(), rtol=1e-5)


# --- the planted generator ---


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    return Options(
        "planted",
        samples=96,
        pilot=96,
        layers=("features",),
        interventions=False,
        controls=False,
        workers=1,
        precision="float32",
        budget="quick",
        cache=tmp_path_factory.mktemp("cache"),
    )


@pytest.fixture(scope="module")
def found(options: Options, monkeypatch_module: pytest.MonkeyPatch) -> Artifacts:
    monkeypatch_module.setitem(ARTIFACT_BUDGETS, "quick", TINY)
    monkeypatch_module.setattr(loading, "DRAWN", ("planted",))
    monkeypatch_module.setattr(loading, "SECOND", "tests.support.colour_features:ColourFeatures")
    dissectreport.measure(options)
    artifacts = load_dissection("planted", cache=options.cache).artifacts
    assert artifacts is not None
    return artifacts


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.mark.slow
def test_the_blotches_are_the_artifact_units_and_no_others(found: Artifacts) -> None:
    assert set(found.listed) == set(TRUTH.artifacts)
    assert set(found.order[:2]) == set(TRUTH.artifacts)
    assert found.chosen == 2
    assert set(found.repair) == set(found.shown) == set(TRUTH.artifacts)


def test_a_second_network_confirms_the_artifact_units_on_images_that_selected_nothing(found: Artifacts) -> None:
    assert found.second == ColourFeatures.name and found.second_images == TINY.second
    rows = found.units.set_index("unit").loc[list(found.listed)]
    assert rows["confirmed"].all() and (rows["second_effect_low"] > 0).all() and (rows["second_q"] < 0.05).all()
    others = found.units[~found.units["artifact"]]
    assert others["second_effect"].isna().all() and not others["confirmed"].any()
    assert found.second_detectable > 0


def test_the_images_that_gain_most_gain_more_than_random_ones(found: Artifacts) -> None:
    gain = (found.images["after"] - found.images["before"]).groupby(found.images["kind"])
    assert gain.size()["gained"] == TINY.worst == len(found.gained.samples)
    assert gain.min()["gained"] >= gain.median()["random"] and gain.min()["gained"] > 0
    assert len(set(found.gained.samples)) == TINY.worst and max(found.gained.samples) < found.scored


@pytest.mark.parametrize(
    ("segmenter", "features", "installed", "second"),
    [
        ("scenes", "", True, "drawings"),
        ("scenes", "clip", False, "segmenter"),
        ("ade20k", "inception", True, "segmenter"),
        ("ade20k", "dinov2", True, "inception"),
        ("ade20k", "", False, ""),
        ("bare", "dinov2", False, ""),
    ],
)
def test_the_second_network_is_one_that_selected_nothing(
    segmenter: str, features: str, installed: bool, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "has_inception", lambda: installed)
    monkeypatch.setattr(loading, "DRAWN", DRAWN)
    monkeypatch.setattr(loading, "SECOND", SECOND)
    own: dict[str, Any] = {} if segmenter == "bare" else {"features": len}
    named: Any = SimpleNamespace(name=segmenter, **own)
    assert loading.second_feature_name(features, named) == second


@pytest.mark.extended
def test_artifact_units_and_the_repair_are_replicated_on_fresh_latents(found: Artifacts, options: Options) -> None:
    record = replicate(options)
    replication = load_dissection("planted", cache=options.cache).replication
    assert record.replication and replication is not None and replication.is_current and replication.features
    claims = replication.claims.set_index("claim")
    assert claims.loc[[ClaimKind.ARTIFACT_UNIT], "claim_units"].tolist() == [str(unit) for unit in found.listed]
    assert claims.loc[[ClaimKind.REPAIR], "claim_units"].tolist() == [" ".join(map(str, found.repair))]
    again = claims.loc[[ClaimKind.ARTIFACT_UNIT, ClaimKind.REPAIR]]
    assert (again["replicated"] == "yes").all() and (again["again_low"] > 0).all()
    assert not np.allclose(again["again"], again["first"]), "on other latents"


def test_units_that_do_nothing_in_other_features_are_not_confirmed() -> None:
    random, images = np.random.default_rng(8), 160
    wrong = []
    for _ in range(20):
        real = random.standard_normal((300, D))
        before = random.standard_normal((images, D)) + 0.5
        rows = np.stack([before, *(before + 0.05 * random.standard_normal((images, D)) for _ in range(3))], 1)
        helps = before - 0.3 + 0.05 * random.standard_normal((images, D))
        second = SecondEffects.of((7, 9), np.insert(rows, 2, helps, 1), real, FeatureScale.of(real))
        assert second.confirmed()[1] and second.low[1] > 0
        assert SecondEffects.from_arrays(second.arrays()).distance == second.distance > 0
        wrong.append(second.confirmed()[0])
    assert np.mean(wrong) <= 0.15


def test_without_them_the_images_are_the_clean_ones_exactly(found: Artifacts) -> None:
    generator = load()
    edits = Edits("planted", generator.identity, found.layer, found.repair, (0.0, 0.0))
    z = latents(1_000_003, 0, 24, generator.latent_shape)
    with torch.no_grad():
        before = generator(z)
        with repaired(generator, edits) as better:
            after = better(z)
        again = generator(z)
    assert torch.equal(after, generator.training_like_images(24)), "the latents of the drawings"
    assert not torch.equal(before, after)
    assert torch.equal(before, again), "and the generator is as it was"


def test_repaired_images_are_as_near_to_real_ones_as_other_real_ones(found: Artifacts) -> None:
    table = found.quality.set_index(["set", "units", "measure"])
    distance = table.xs("kernel_distance", level="measure")
    repaired_row, before, real = (distance.loc[key] for key in (("worst", 2), ("before", 0), ("real", 0)))
    assert repaired_row["change_high"] < 0 < before["low"]
    assert repaired_row["low"] < real["high"]
    assert real["low"] < repaired_row["high"]
    assert repaired_row["change"] == pytest.approx(repaired_row["value"] - before["value"])


def test_the_worst_images_have_blotches_that_the_repair_takes_away(found: Artifacts) -> None:
    worst = found.images[found.images["kind"] == "worst"]
    random = found.images[found.images["kind"] == "random"]
    assert worst["before"].max() < random["before"].mean() and min(random["sample"]) >= TINY.scored
    assert (worst["after"] > worst["before"]).all()
    assert (found.worst.before != found.worst.after).any((1, 2, 3)).all()
    assert found.worst.heat.shape == (4, 8, 8)
    assert (found.worst.heat >= 0).all() and (found.worst.heat.max((1, 2)) > 0).all()
    for units in worst["on"]:
        assert units and set(map(int, units.split())) <= set(TRUTH.artifacts), "which unit stamps it"


def test_pairs_are_random_images_before_and_after(found: Artifacts) -> None:
    generator, pairs = load(), found.pairs
    assert pairs.before.shape == pairs.after.shape == (6, 64, 64, 3)
    shown = {*found.random.samples.tolist(), *found.worst.samples.tolist()}
    assert not set(pairs.samples.tolist()) & shown, "what was shown is no longer blind"
    with torch.no_grad():
        image = generator(latents(1 + 7, int(pairs.samples[0]), 1, generator.latent_shape))
    assert np.abs(as_bytes(image)[0].astype(int) - pairs.before[0]).max() <= 1


def test_random_sets_leave_images_where_they_are_or_make_them_worse(found: Artifacts) -> None:
    curve = found.curve
    best = curve[curve["set"] == "worst"]["change"].min()
    random = curve[(curve["set"] == "random")]
    assert random["change"].min() > best, "they are other units"
    sizes = set(curve.loc[curve["set"] == "worst", "units"])
    assert set(random["units"]) == sizes and len(random) == TINY.random_sets * len(sizes)
    assert max(sizes) == min(max(TINY.sizes), len(found.repairable))
    assert (curve["images"] == 100).all()


def test_latents_of_their_own_choose_how_many(found: Artifacts) -> None:
    choice = found.choice.set_index("units")
    assert choice.index.tolist() == repair_sizes(TINY.sizes, len(found.repairable)) and choice["chosen"][2]
    assert (choice["images"] == 104).all() and choice.loc[2, "change_high"] < 0


def test_every_column_is_explained(found: Artifacts) -> None:
    for table in (found.units, found.quality, found.curve, found.choice, found.agreement, found.images):
        assert set(table.columns) <= {*COLUMNS, "unit"}


def test_a_second_run_takes_everything_from_the_cache(
    options: Options, found: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("measured again")

    for name in ("make_real", "make_generated", "make_realism_effects", "make_ablated", "make_repair_examples"):
        monkeypatch.setattr(diagnose, name, lambda *_: never)
    again, edits, none = artifact_units(options)
    assert none is None
    assert edits is not None
    assert again.units.equals(found.units)


def test_marked_units_are_scored_beside_the_list(options: Options, found: Artifacts, tmp_path: Path) -> None:
    marked = tmp_path / "marked.json"
    marked.write_text(json.dumps({"layer": "features", "units": list(TRUTH.artifacts)}))
    again, _, theirs = artifact_units(Options(**{**vars(options), "artifact_units": marked}))
    table = again.quality.set_index(["set", "units", "measure"])["value"]
    assert again.reviewed == TRUTH.artifacts and again.layer == "features"
    assert theirs is not None and theirs.units == TRUTH.artifacts and theirs.values == (0.0,) * len(TRUTH.artifacts)
    beside = again.curve.groupby("set").size()
    assert beside["marked"] == 1 and beside["random_marked"] == TINY.random_sets
    assert again.curve["distance"].nunique() == 1, "all on the same latents"
    assert again.curve["activation"].gt(0).all()
    assert table["marked", 2, "kernel_distance"] == pytest.approx(table["worst", 2, "kernel_distance"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("nonsense", "is not JSON"),
        ('{"units": []}', "marks no unit as an artifact"),
        ('{"units": [1.5]}', "1.5 is not a valid unit index"),
        (
            '{"layer": "mixed", "units": [1]}',
            "marks units of layer mixed, which is not measured; add it to --layers features",
        ),
        ('{"layer": "features", "units": [1, 24]}', "marks unit 24; features has units 0 to 23"),
    ],
)
def test_a_file_of_marked_units_that_cannot_work_is_refused(
    options: Options, tmp_path: Path, content: str, says: str
) -> None:
    marked = tmp_path / "marked.json"
    marked.write_text(content)
    with pytest.raises(BadOption, match=says):
        dissectreport.measure(Options(**{**vars(options), "artifact_units": marked}))


def test_a_layer_in_which_no_unit_does_good_has_no_further_tests(sides: RealismSides) -> None:
    """Nor any control unit: all few units are candidates, and none does anything."""
    rows = np.repeat(np.random.default_rng(4).standard_normal((40, 1, D)), 4, axis=1)
    tested = SingleUnits(np.arange(3), ("leading", "bottom", "bottom"))
    indices = tested.finalists(Effects.of(rows, sides.real), 8)
    found = SingleEffects.of(rows, rows[:, :1], tested, indices, sides.real)
    assert not len(indices) and not found.moves.any() and tested.worst(found) == ()
    told = diagnosis.judge_units(found, tested, distance=1.0)
    assert told.q.tolist() == [1, 1, 1] and not told.artifact.any()


def test_marked_units_are_no_controls() -> None:
    effect = np.array([9.0, 8, 7, 1, 1, 1, 1, 1, -1, -2])
    first = RealismGain(effect, np.ones(10), np.array(1.0))
    design = artifact_plan(first, ArtifactBudget("some", leading=3, control=5, bottom=2), marked=(4, 5, 0))
    assert not {4, 5} & set(design.control) and design.marked == (4, 5)


@pytest.mark.parametrize(("budget", "seed"), [extended("default", 3), ("quick", 1), extended("quick", 2)])
def test_the_blotches_are_found_with_the_budgets_that_are_shipped(
    options: Options, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, budget: str, seed: int
) -> None:
    """Everything that decides the list as it is; only what scores a repair is less."""
    shipped = SHIPPED[budget]
    less = {
        "scored": 100,
        "size_selection": 100,
        "random_scored": 100,
        "random_sets": 1,
        "dissected": 96,
        "sizes": (2,),
    }
    monkeypatch.setitem(ARTIFACT_BUDGETS, budget, replace(shipped, **less))
    asked = {"budget": budget, "seed": seed, "cache": tmp_path, "workers": 1}
    found, *_ = artifact_units(Options(**{**vars(options), **asked}))
    assert set(found.listed) == set(TRUTH.artifacts), "precision and recall are 1"
    assert set(found.repairable[:2]) == set(TRUTH.artifacts)
    table = found.units.set_index("unit")
    assert (table.loc[list(TRUTH.artifacts), "tested_images"] == shipped.retested).all()


@pytest.mark.parametrize("whole", [False, extended(True)])
def test_runs_with_other_numbers_of_images_leave_a_run_as_it_is(
    options: Options, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, whole: bool
) -> None:
    """Real images in shards, as those of the embedded models, or in one file."""
    if not whole:
        own = load()
        parted = replace(own, training_like_from=lambda first, count: own.training_like_images(first + count)[first:])
        monkeypatch.setattr(planted, "load", lambda: parted)
    small = replace(FEWEST, real=250, retested=40)
    asked = Options(**{**vars(options), "cache": tmp_path})
    monkeypatch.setitem(ARTIFACT_BUDGETS, "quick", small)
    dissectreport.measure(asked)
    before = load_dissection("planted", cache=tmp_path).artifacts
    monkeypatch.setitem(ARTIFACT_BUDGETS, "quick", replace(small, real=300, tested=40, retested=48, scored=120))
    dissectreport.measure(replace(asked, samples=144))
    after = load_dissection("planted", cache=tmp_path, samples=96).artifacts
    assert before is not None and after is not None and (before.real, before.against_itself) == (250, 100)
    for name in ("units", "quality", "curve", "choice", "agreement", "images"):
        pd.testing.assert_frame_equal(getattr(before, name), getattr(after, name))
    assert before.listed == after.listed and before.real == after.real


def test_random_sets_are_of_other_units_and_none_where_there_are_too_few() -> None:
    mean_activation = np.linspace(1, 2, 24)
    for units in matched_sets(mean_activation, (20, 22), 5):
        assert not {20, 22} & set(units)
    assert matched_sets(mean_activation[:6], (0, 1), 5)
    assert matched_sets(mean_activation[:3], (0, 1), 5) == ()


# --- edits to take away ---


def test_the_commands_list_units_and_write_repaired_images(options: Options, found: Artifacts, tmp_path: Path) -> None:
    edits, out = tmp_path / "edits.json", tmp_path / "images"
    words = ["planted", "--layer", "features", "--cache", str(options.cache), "--edits", str(edits), "--workers", "1"]
    listed = CliRunner().invoke(app, ["artifacts", *words, "--budget", "quick", "--precision", "float32"])
    assert listed.exit_code == 0, listed.output
    assert "2 artifact units in features" in listed.output
    assert "ablating it alone lowers KID by" in listed.output
    assert "random sets" in listed.output.split("repair: ablate")[1]
    assert read_edits(edits).units == found.repair
    made = CliRunner().invoke(
        app, ["repair", "planted", "--edits", str(edits), "--samples", "3", "--out", str(out), "--workers", "1"]
    )
    assert made.exit_code == 0, made.output
    assert sorted(path.name for path in out.iterdir()) == ["000000.png", "000001.png", "000002.png"]
    generator = load()
    with torch.no_grad(), repaired(generator, read_edits(edits)):
        wanted = as_bytes(generator(latents(1, 0, 3, generator.latent_shape)))
    assert np.array_equal(np.asarray(Image.open(out / "000002.png")), wanted[2])


@pytest.mark.extended
def test_what_was_measured_on_another_grid_is_not_measured_again(
    options: Options, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(ARTIFACT_BUDGETS, "quick", FEWEST)
    coarse = Options(**{**vars(options), "grid": 16, "artifacts": False, "cache": tmp_path})
    dissectreport.measure(coarse)
    told = RecordingReporter()
    again = {"samples": None, "pilot": Options("").pilot, "cache": tmp_path}
    artifact_units(Options(**{**vars(options), **again}), told)
    assert Task.TESTING in told.tasks
    assert not {task for task in told.tasks if task.startswith(("counting", "pilot"))}


def test_edits_of_other_weights_are_refused_unless_allowed() -> None:
    generator = load()
    edits = Edits("another", "another", "features", (12,), (0.0,))
    with pytest.raises(ModelError, match="other weights"), repaired(generator, edits):
        pass
    with repaired(generator, edits, other_weights=True) as better:
        assert better is generator  # type: ignore[comparison-overlap]


def test_a_seed_that_cannot_be_is_refused_before_images_are_made(found: Artifacts, tmp_path: Path) -> None:
    path = tmp_path / "edits.json"
    path.write_text(Edits("planted", load().identity, "features", (12,), (0.0,)).text())
    ran = CliRunner().invoke(app, ["repair", "planted", "--edits", str(path), "--seed", "-1", "--out", str(tmp_path)])
    assert ran.exit_code == 1 and "--seed must be between 0 and" in ran.output


def test_where_edits_cannot_be_written_nothing_is_measured(options: Options, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = ["--cache", str(tmp_path / "cache"), "--edits", str(tmp_path / "file" / "edits.json")]
    ran = CliRunner().invoke(app, ["artifacts", "planted", *words])
    assert ran.exit_code == 1 and str(tmp_path / "file") in ran.output
    assert not (tmp_path / "cache").exists()


def test_edits_of_a_unit_that_is_not_there_are_refused() -> None:
    generator = load()
    edits = Edits("planted", generator.identity, "features", (99,), (0.0,))
    with pytest.raises(ModelError, match="unit 99 is not in 'features'"), repaired(generator, edits):
        generator(latents(1, 0, 1, generator.latent_shape))


@pytest.mark.parametrize(
    "content",
    [
        *("[", "{}", '{"edits": 1, "units": [1], "values": []}', '{"edits": 1}'),
        '{"edits": 1, "model": "a", "identity": "b", "layer": "c", "units": [], "values": []}',
        '{"edits": 1, "model": "a", "identity": "b", "layer": "c", "units": [1], "values": [NaN]}',
        '{"edits": 1, "model": "a", "identity": "b", "layer": "c", "units": [1, 1], "values": [0, 50]}',
        '{"edits": 1, "model": "a", "identity": "b", "layer": "c", "units": [1], "values": [true]}',
        "[" * 100_000,
        '{"edits": 1, "model": "a", "identity": "b", "layer": "c", "units": [1], "values": [1' + "0" * 400 + "]}",
        '{"edits": 1, "model": [[]], "identity": "b", "layer": "c", "units": [1], "values": [0]}',
    ],
)
def test_a_file_that_holds_no_edits_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "edits.json"
    path.write_text(content)
    with pytest.raises(BadOption):
        read_edits(path)


# --- real images ---


def some_folder(path: Path, count: int) -> Path:
    path.mkdir()
    for number in range(count):
        pixels = np.random.RandomState(number).randint(0, 256, (20, 24), np.uint8)
        Image.fromarray(pixels).save(path / f"{number:03}.png")
    return path


@pytest.mark.parametrize(("sound", "broken", "told"), [(7, 1, 8), extended(150, 5, 155), extended(198, 5, 198)])
def test_too_few_real_images_are_reported_first_and_the_rest_is_still_measured(
    options: Options, tmp_path: Path, sound: int, broken: int, told: int
) -> None:
    reporter = RecordingReporter()
    folder = some_folder(tmp_path / "few", sound)
    for number in range(broken):
        (folder / f"broken{number}.png").write_bytes(b"no image")
    few = {**vars(options), "samples": 16, "pilot": 16, "reference": folder}
    record = dissectreport.measure(Options(**few | {"cache": tmp_path / "cache"}), reporter)
    assert not record.artifacts
    assert any(
        line.startswith(f"no artifact units: {told} real images; artifact units need") for line in reporter.lines
    )
    left_out = [line for line in reporter.lines if "broken" in line and f"{broken} of {sound + broken} files" in line]
    assert left_out, "one line with a count"
    with pytest.raises(FolderError, match=f"{told} real images"):
        artifact_units(Options(**few | {"cache": tmp_path / "other"}))
    if told == sound + broken:
        assert not (tmp_path / "other").exists(), "before anything is measured"


def test_units_are_chosen_beside_other_real_images_than_those_that_score(found: Artifacts) -> None:
    assert found.selects_on_other_images and found.selection_images == TINY.real - TINY.scored
    assert set(found.choice["real"]) == {found.selection_images} and set(found.curve["real"]) == {found.scored}
    features = np.random.default_rng(0).standard_normal((250, D))
    reference = Reference.of(features)
    rest = reference.without(150)
    assert rest.first == 150 and np.array_equal(rest.features, reference.features[150:])
    assert reference.without(151) is reference
    assert selected_from(rest) != selected_from(Reference(rest.features, rest.scale)), "as many, but others"


@pytest.mark.parametrize("error", [ModelError("no"), FeaturesError("no")])
def test_arithmetic_that_a_network_does_not_know_is_infinitely_far(
    options: Options, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def described(self: EditedModel, images: Any) -> Any:
        if self.key.precision == "bfloat16":
            raise error
        return torch.randn(len(images), D)

    monkeypatch.setattr(EditedModel, "features", described)
    source = Source("planted", "planted")
    key = ArtifactKey("planted", "f", "r", "features", 1, "auto")
    assert diagnose.drift(source, key) == math.inf


def sentence_of(found: Artifacts, options: Options) -> str:
    whole = load_dissection("planted", cache=options.cache)
    return sentence(found, next(layer for layer in whole.layers if layer.name == found.layer))


def test_without_a_repair_the_page_says_what_was_tried(options: Options, found: Artifacts) -> None:
    sizes = " or ".join(str(size) for size in found.choice["units"])
    assert f"the {sizes} highest-ranked units" in sentence_of(replace(found, chosen=0), options)
    none = sentence_of(replace(found, chosen=0), options)
    assert none.startswith("No repair is recommended: ablating the")
    assert none.endswith(f"lower KID on the {TINY.size_selection} images used to choose a size.")
    untried = sentence_of(replace(found, chosen=0, repairable=(), choice=found.choice[:0]), options)
    assert untried.startswith("No repair was tried: no candidate of features")
    assert list(artifact_lines(replace(found, chosen=0, repairable=())))[-1].startswith("no repair was tried")


def test_the_page_says_where_the_repair_differs_from_the_artifact_units(found: Artifacts) -> None:
    assert repair_and_listed(replace(found, repairable=(1, 2), chosen=2, listed=(2, 1))) == ""
    assert repair_and_listed(replace(found, chosen=0)) == ""
    both = repair_and_listed(replace(found, repairable=(1, 3, 4), chosen=2, listed=(1, 7)))
    assert both == "The repair also ablates 3 (not an artifact unit) and does not ablate 7."
    fewer = repair_and_listed(replace(found, repairable=(1, 3, 4), chosen=1, listed=(1, 3, 4)))
    assert fewer == "The repair does not ablate 3, 4."


def test_shares_are_of_latents_that_do_not_score(found: Artifacts) -> None:
    told = found.units.dropna(subset=["measured_effect"])
    assert np.allclose(told["share"] * found.choice["distance"].iloc[0], told["measured_effect"])
    assert not np.isclose(found.choice["distance"].iloc[0], figure_of(found, "before", 0).value.value)


def test_the_most_that_noise_allows_is_the_root_of_the_reliability() -> None:
    random = np.random.default_rng(0)
    true = random.standard_normal(4000)
    halves = [true + random.standard_normal(4000) for _ in range(2)]
    assert noise_ceiling(spearman(*halves)) == pytest.approx(spearman(true, np.mean(halves, axis=0)), abs=0.02)
    assert noise_ceiling(-0.3) == 0 and noise_ceiling(-1.0) == 0 and math.isnan(noise_ceiling(math.nan))


# --- the page ---


@pytest.fixture(scope="module")
def site(options: Options, found: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    dissectreport.render("planted", out, cache=options.cache)
    return out / "planted"


def words_of(path: Path) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html.unescape(path.read_text("utf-8"))).split())


def test_the_page_begins_with_whether_repair_helps(site: Path, found: Artifacts) -> None:
    words = words_of(site / "artifacts.html")
    page = (site / "artifacts.html").read_text("utf-8")
    assert "The repair, ablating 2 of the 24 units of features, lowers KID by " in words
    for name, units in (("before", 0), ("worst", 2), ("real", 0)):
        assert html.escape(figure(figure_of(found, name, units).value)) in page
    assert found.features in words
    assert "FID is not computed: with 144 features it needs at least 1,000 images on each side" in words


def test_the_repair_can_be_taken_from_the_page(site: Path, found: Artifacts) -> None:
    edits = read_edits(site / "edits.json")
    assert (edits.layer, edits.units, edits.values) == ("features", found.repair, (0.0, 0.0))
    with repaired(load(), edits) as better:
        assert better.name
    assert 'href="edits.json"' in (site / "artifacts.html").read_text("utf-8")


def test_every_picture_and_link_of_the_page_is_there(site: Path) -> None:
    assert not broken_links(site.parent)


def test_listed_units_say_so_and_others_do_not(site: Path) -> None:
    for unit in (*TRUTH.artifacts, 0):
        assert ("This is an artifact unit" in words_of(site / "features" / f"unit-{unit}.html")) == (
            unit in TRUTH.artifacts
        )
    assert "Artifact units" in words_of(site / "index.html")


def test_every_table_can_be_downloaded_and_every_column_is_explained_on_the_site(site: Path, found: Artifacts) -> None:
    methods = (site / "methods.html").read_text("utf-8")
    dictionary = methods.split('id="dictionary-artifacts"')[1].split("</section>")[0]
    for name in ("units", "quality", "curve", "choice", "agreement", "images"):
        table = pd.read_csv(site / "data" / f"features-artifacts-{name}.csv")
        assert len(table) == len(getattr(found, name))
        assert len(json.loads((site / "data" / f"features-artifacts-{name}.json").read_text())) == len(table)
        assert all(f"<code>{column}</code>" in dictionary for column in table.columns)
    assert "<td></td>" not in dictionary


def test_without_a_significant_decrease_the_page_recommends_no_repair(options: Options, found: Artifacts) -> None:
    layer = load_dissection("planted", cache=options.cache).layers[0]
    assert sentence(replace(found, chosen=0), layer).startswith("No repair is recommended")
    none = replace(found, listed=())
    assert listed_sentence(none).startswith("None of the")
    assert "significantly lower KID, but by less than 1%" in listed_sentence(none)
    unsure = replace(none, units=found.units.assign(q=1.0))
    assert "ablating one alone never lowers KID significantly" in listed_sentence(unsure)
    assert "no repair is recommended" in list(artifact_lines(replace(found, chosen=0)))[-1]


@pytest.mark.extended
def test_a_distance_that_is_not_above_zero_has_no_curve_and_the_page_says_so(
    options: Options, found: Artifacts, tmp_path: Path
) -> None:
    before = found.quality["set"] == "before"
    other = replace(found, quality=found.quality.assign(low=found.quality["low"].where(~before, -0.1)))
    assert curves(found) and not curves(other)
    whole = load_dissection("planted", cache=options.cache)
    write_site(replace(whole, artifacts=other), tmp_path)
    assert "is not significantly above 0" in words_of(tmp_path / "planted" / "artifacts.html")


@pytest.mark.extended
def test_reference_images_that_were_left_out_are_counted_on_the_page(
    options: Options, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(ARTIFACT_BUDGETS, "quick", FEWEST)
    folder = some_folder(tmp_path / "real", 210)
    (folder / "0000.png").write_bytes(b"no image")
    dissectreport.measure(Options(**{**vars(options), "reference": folder, "cache": tmp_path / "cache"}))
    found = load_dissection("planted", cache=tmp_path / "cache").artifacts
    assert found is not None and found.real == 210
    assert "1 real image could not be read: left out." in found.notes
    assert any(note.startswith("There are 100 images on each side.") for note in found.notes)


@pytest.mark.parametrize(
    ("low", "high", "says"), [(-0.3, 0.1, "does not change KID significantly"), (0.1, 0.3, "raises KID")]
)
def test_what_the_scoring_images_do_not_confirm_is_not_said(
    options: Options, found: Artifacts, low: float, high: float, says: str
) -> None:
    layer = load_dissection("planted", cache=options.cache).layers[0]
    other = replace(found, quality=found.quality.assign(change_low=low, change_high=high))
    assert any("it does not help significantly" in line for line in artifact_lines(other))
    assert not any("it does not help significantly" in line for line in artifact_lines(found))
    assert says in sentence(other, layer)
    assert "lowers KID" not in sentence(other, layer)


def test_a_dissection_without_artifacts_does_not_speak_of_them(options: Options, found: Artifacts) -> None:
    bare = replace(load_dissection("planted", cache=options.cache), artifacts=None)
    assets, _ = load_assets()
    around = Site(bare, Places.of(bare), assets).frame("planted/index.html", "", "")
    assert "artifacts" not in [entry.words for entry in around.menu]
    assert artifact_images(Site(bare, Places.of(bare), assets)) == {}


def test_the_budget_of_the_paper_scores_enough_images_for_its_features() -> None:
    assert not too_few_for_covariance(ARTIFACT_BUDGETS["paper"].scored, 2048)
    assert all(one.real >= 2 * one.scored for one in ARTIFACT_BUDGETS.values())


def test_the_benchmark_corrupts_what_leaves_five_units_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(__file__).parents[1] / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    benchmark = importlib.import_module("artifacts")
    before = benchmark.scenes_pgan().module.state_dict()
    after = benchmark.corrupted().module.state_dict()
    changed = [name for name, value in before.items() if not torch.equal(value, after[name])]
    assert changed == ["layer7.conv.weight"]
    units = (before[changed[0]] != after[changed[0]]).flatten(2).any(-1).all(0)
    assert units.nonzero().flatten().tolist() == benchmark.hit(128) and units.sum() == 5
    assert benchmark.corrupted().identity != benchmark.scenes_pgan().identity


def test_commands_on_pages_are_of_the_run(options: Options, found: Artifacts) -> None:
    whole = load_dissection("planted", cache=options.cache)
    words = "dissectreport build ./my.toml --layers a,b --artifact-layer b --no-artifacts --weights 'a b.pt'"
    assert whole.artifacts is not None
    other = replace(whole, artifacts=replace(whole.artifacts, command=words))
    assert commands.repair_with(other, "edits.json") == (
        "dissectreport repair ./my.toml --weights 'a b.pt' --edits edits.json"
    )
    assert commands.measure_again_with(other, "marks.json") == (
        "dissectreport build ./my.toml --layers a,b --weights 'a b.pt' --artifact-units marks.json"
    )
    for wrong in ("", "sh -c 'x", "rm -r x"):
        plain = replace(whole, artifacts=None, provenance=replace(whole.provenance, command=wrong))
        assert commands.repair_with(plain, "e.json") == "dissectreport repair planted --edits e.json"
