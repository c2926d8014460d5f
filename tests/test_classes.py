"""Classifiers: which units matter to which class, held against the planted classifier, whose answers are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch

from dissectreport.analysis.classes.accuracy import REPLICATES, Scored, balanced_accuracy
from dissectreport.analysis.classes.class_results import class_results
from dissectreport.analysis.classes.halves import is_selection, studied_classes
from dissectreport.analysis.results.classes import COLUMNS, AblatedUnits, Classes
from dissectreport.cache.reader import CacheReader
from dissectreport.models import planted_classifier, scenes_classifier
from dissectreport.models.classifier import ClassifierModel
from dissectreport.models.planted_classifier import CLASSES, UNIT, UNITS, WEIGHTS
from dissectreport.pipeline.classes import UnitRanking, units_to_test
from dissectreport.pipeline.measure import measure
from dissectreport.pipeline.options import Options
from dissectreport.records.classes import ClassPlan, ClassRecord, LinearHead
from dissectreport.run.attacks import Attack, largest_norm
from dissectreport.run.plan import ClassKey
from dissectreport.run.shards import Shard
from dissectreport.stats.shares import paired_difference
from dissectreport.worker.attacks import attacked, lengths, randomly_changed
from dissectreport.worker.classes import find_head, make_estimates, make_predictions, make_scores
from dissectreport.worker.loaded_networks import Source
from tests.support import planted_classes as oracle

SAMPLES, SEED = 192, 1
KEY = ClassKey("planted", "", "features", SEED, SAMPLES)
SOURCE = Source("planted_classifier", "planted")
NO_HEAD = LinearHead(np.zeros((0, 0), np.float32))


class Measured(NamedTuple):
    """The planted classifier, measured."""

    record: ClassRecord
    plan: ClassPlan
    classes: Classes


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    cache = tmp_path_factory.mktemp("classes")
    options = Options(
        "planted_classifier", samples=SAMPLES, grid=16, pilot=48, controls=False, workers=1, cache=cache, budget="quick"
    )
    record = measure(options).classes
    assert record is not None
    reader = CacheReader(cache / "measurements")
    return Measured(record, reader.read(record.plan, ClassPlan), class_results(record, reader))


@pytest.fixture(scope="module")
def areas() -> Mapping[int, Any]:
    """The means of every unit, by sample number."""
    names = planted_classifier.load().folder.order(SEED)[:SAMPLES]
    return {sample: oracle.means(int(name)) for sample, name in enumerate(names)}


@pytest.fixture(scope="module")
def truth() -> list[int]:
    """The class of every sample."""
    names = planted_classifier.load().folder.order(SEED)[:SAMPLES]
    return [oracle.label(int(name)) for name in names]


def rows(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The rows of a table in which columns have some values."""
    for name, value in values.items():
        table = table[table[name] == value]
    return table


# --- the planted truth ------------------------------------------------------------------------------------------


def test_a_class_becomes_less_probable_without_its_planted_units_alone(measured: Measured) -> None:
    table = measured.classes.class_units
    for name in measured.classes.studied:
        lost = rows(table, **{"class": name})
        assert set(lost[lost["certainty_lost"] > 1e-6]["unit"]) == {UNIT[unit] for unit in WEIGHTS[name]}


def test_the_unit_that_matters_most_is_the_planted_one(measured: Measured) -> None:
    for name in ("ball", "plain"):
        (unit,) = WEIGHTS[name]
        assert int(rows(measured.classes.class_units, **{"class": name, "class_rank": 1}).iloc[0]["unit"]) == UNIT[unit]


def test_a_unit_may_matter_to_a_rival(measured: Measured) -> None:
    """Without the ball's unit, images with a ball are taken for trees."""
    lost = rows(measured.classes.class_units, **{"class": "tree", "unit": UNIT["ball"]}).iloc[0]
    assert lost["accuracy_lost"] > 0
    assert lost["certainty_lost"] < 0


def test_units_without_weight_never_matter(measured: Measured) -> None:
    idle = [UNIT[name] for name in ("sky", "grass", "blotch", "dead")]
    lost = measured.classes.class_units
    lost = lost[lost["unit"].isin(idle)]
    assert (lost["accuracy_lost"] == 0).all()
    assert (lost["certainty_lost"].abs() < 1e-6).all()
    assert not lost["matters"].any()


def test_importance_is_what_the_pixels_say(measured: Measured, areas: Mapping[int, Any], truth: list[int]) -> None:
    chosen = measured.plan.selection.tolist()
    own = [truth[sample] for sample in chosen]
    before = [oracle.prediction(areas[sample]) for sample in chosen]
    for unit in range(len(UNITS)):
        after = [oracle.prediction(areas[sample], {unit}) for sample in chosen]
        for number in measured.plan.studied.tolist():
            lost = oracle.rates(own, before, number)[2] - oracle.rates(own, after, number)[2]
            assert measured.plan.importance[number, unit] == pytest.approx(lost, abs=1e-12)


def test_every_curve_is_what_the_pixels_say(measured: Measured, areas: Mapping[int, Any], truth: list[int]) -> None:
    held_out = measured.plan.held_out.tolist()
    own = [truth[sample] for sample in held_out]
    kinds = {AblatedUnits.LEADING: "leading", AblatedUnits.LEAST: "least", AblatedUnits.OTHERS: "others"}
    for number in measured.plan.studied.tolist():
        for size in measured.plan.sizes:
            for kind, method in kinds.items():
                off = getattr(measured.plan, method)(number, size)
                after = [oracle.prediction(areas[sample], off) for sample in held_out]
                row = rows(
                    measured.classes.curves, **{"class": CLASSES[number], "ablated": kind, "ablated_units": size}
                ).iloc[0]
                expected = oracle.rates(own, after, number)
                assert tuple(row[["recall", "false_positives", "balanced_accuracy"]]) == pytest.approx(expected)


def test_random_sets_are_scored_like_all_others(measured: Measured, areas: Mapping[int, Any], truth: list[int]) -> None:
    held_out = measured.plan.held_out.tolist()
    own = [truth[sample] for sample in held_out]
    for place, number in enumerate(measured.plan.studied.tolist()):
        for size in measured.plan.sizes:
            sets = measured.plan.random[size][place]
            row = rows(
                measured.classes.curves, **{"class": CLASSES[number], "ablated": "random", "ablated_units": size}
            )
            assert len(row) == bool(sets)
            if not sets:
                continue
            scores = [
                oracle.rates(own, [oracle.prediction(areas[sample], off) for sample in held_out], number)[2]
                for off in sets
            ]
            found = row.iloc[0]
            assert found["balanced_accuracy"] == pytest.approx(np.mean(scores))
            assert found["balanced_accuracy_low"] == pytest.approx(min(scores))
            assert found["balanced_accuracy_high"] == pytest.approx(max(scores))
            assert not set(np.concatenate([list(one) for one in sets])) & set(measured.plan.leading(number, size))


def test_all_but_the_leading_units_keep_the_class(measured: Measured) -> None:
    """With the one planted unit of the ball kept, its recall does not fall."""
    curves = rows(measured.classes.curves, **{"class": "ball", "ablated_units": 1})
    kept, gone = (rows(curves, ablated=kind).iloc[0] for kind in (AblatedUnits.OTHERS, AblatedUnits.LEADING))
    before = rows(measured.classes.classes, **{"class": "ball"}).iloc[0]
    assert kept["recall"] >= before["recall"]
    assert gone["recall"] == 0
    assert gone["balanced_accuracy"] == 0.5
    assert gone["accuracy_change_high"] < 0


def test_units_that_share_a_task_matter_together(areas: Mapping[int, Any]) -> None:
    """One of the crown's two units may go unnoticed where both together do not."""
    trees = [sample for sample in areas if oracle.prediction(areas[sample]) == CLASSES.index("tree")]

    def left(*names: str) -> int:
        off = {UNIT[name] for name in names}
        return sum(oracle.prediction(areas[sample], off) == CLASSES.index("tree") for sample in trees)

    assert len(trees) > left("crown") == left("crown_twin") > left("crown", "crown_twin")


# --- the closed form --------------------------------------------------------------------------------------------


def test_the_closed_form_is_found_where_there_is_one(measured: Measured) -> None:
    assert measured.record.closed_form
    assert np.array_equal(find_head(SOURCE, KEY).weights, planted_classifier.weights().numpy())


def test_there_is_none_before_a_layer_that_bends(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a ReLU of a shifted map between the layer and the mean, scores are no weighted sum of means."""

    class Bent(torch.nn.Module):
        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return torch.relu(maps - 0.5)

    network = planted_classifier.PlantedClassifier()
    network.add_module("pool", torch.nn.Sequential(Bent(), torch.nn.AdaptiveAvgPool2d(1)))
    model = replace(planted_classifier.load(), module=network, identity="")
    monkeypatch.setattr("dissectreport.plugins.generator", lambda *_: model)
    source = Source("bent_classifier", "planted")
    assert not find_head(source, KEY).is_known


def test_the_closed_form_and_the_network_itself_agree(measured: Measured) -> None:
    sets, samples = measured.plan.sets(), measured.plan.held_out[:20].tolist()
    shard = Shard(0, 0, len(samples))
    closed = make_predictions(SOURCE, KEY, find_head(SOURCE, KEY), sets, samples)(shard)
    exact = make_predictions(SOURCE, KEY, NO_HEAD, sets, samples)(shard)
    assert np.array_equal(closed.predicted, exact.predicted)
    assert np.abs(closed.certainty - exact.certainty).max() < 1e-5


def test_single_units_and_sets_have_the_same_closed_form() -> None:
    random = np.random.default_rng(3)
    head = LinearHead(random.standard_normal((7, 5)).astype(np.float32))
    logits, means = (random.standard_normal((4, size)).astype(np.float32) for size in (7, 5))
    alone, both = np.eye(5, dtype=np.float32), np.eye(5, dtype=np.float32)
    both[0, 1] = 1
    single, mixed = (head.without(logits, means, off) for off in (alone, both))
    assert np.array_equal(single[:, 1:], mixed[:, 1:])
    expected = logits[:, 2] - means[:, 3].astype(np.float64) * head.weights[2, 3]
    assert np.allclose(single[:, 3, 2], expected)


def test_scores_are_those_of_the_network(areas: Mapping[int, Any], truth: list[int]) -> None:
    scores = make_scores(SOURCE, KEY, range(SAMPLES))(Shard(0, 0, 48))
    assert scores.truth.tolist() == truth[:48]
    assert scores.logits.argmax(1).tolist() == [oracle.prediction(areas[sample]) for sample in range(48)]
    expected = [[float(areas[sample][unit]) for unit in range(len(UNITS))] for sample in range(48)]
    assert np.allclose(scores.means, expected, atol=1e-6)


# --- estimates ------------------------------------------------------------------------------------------------------


def test_estimates_are_those_of_the_formula_for_weighted_means() -> None:
    """The gradient of log p(c) by the mean of unit u is the weight of c minus the mean weight under p."""
    numbers = range(16)
    scores = make_scores(SOURCE, KEY, numbers)(Shard(0, 0, 16))
    weights = planted_classifier.weights().numpy().astype(np.float64)
    logits = scores.logits.astype(np.float64)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    expected = scores.means * (weights[scores.truth] - shares @ weights)
    found = make_estimates(SOURCE, KEY, numbers)(Shard(0, 0, 16))
    assert found.samples.tolist() == list(numbers)
    assert np.abs(expected).max() > 0.1
    assert np.allclose(found.lost, expected, atol=1e-4)


def test_all_units_are_tested_where_they_are_few_enough() -> None:
    for tested in units_to_test(np.ones((2, 9)), 9):
        assert tested.tolist() == list(range(9))
    for tested in units_to_test(np.full((2, 9), np.nan), 3):
        assert tested.tolist() == list(range(9))


def test_else_those_that_gradients_put_first_and_random_ones() -> None:
    estimate = np.zeros((2, 100))
    estimate[0, [7, 8]], estimate[1, [50, 51]] = (3, 2), (5, 4)
    tested, checked = units_to_test(estimate, 16)
    assert len(tested) == 16
    assert len(checked) == 2
    assert {7, 8, 50, 51, *checked.tolist()} <= set(tested.tolist())
    assert np.array_equal(units_to_test(-estimate, 16)[1], checked)


def test_a_unit_that_was_not_tested_stands_by_its_estimate() -> None:
    """Units 0, 2 and 3 were ablated alone: one costs accuracy, one adds some, and one changes no prediction."""
    nan = np.nan
    ranking = UnitRanking(
        np.array([[0.2, nan, -0.1, 0.0, nan]]),
        np.array([[0.1, nan, 0.3, 0.05, nan]]),
        np.array([[9.0, 0.4, 9.0, 9.0, 0.01]]),
        np.array([0, 2, 3]),
    )
    assert ranking.order.tolist() == [[0, 1, 3, 4, 2]]


# --- accuracy and its intervals ---------------------------------------------------------------------------------


def test_balanced_accuracy_is_one_against_all() -> None:
    truth, predicted = np.array([0, 0, 1, 2]), np.array([[0], [1], [0], [2]])
    assert balanced_accuracy(truth, predicted, 0).tolist() == [0.5 * (0.5 + 1 - 0.5)]
    assert balanced_accuracy(truth, predicted, 2).tolist() == [1.0]
    assert np.isnan(balanced_accuracy(truth, predicted, 3)).all()


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Images of two classes, with a known chance to be recognised before and after an ablation."""
    random, held, trials = np.random.default_rng(5), 0, 200
    truth = np.repeat([0, 1], [60, 90])
    for _ in range(trials):
        right = np.where(truth == 0, 0, 1)
        before = np.where(random.random(150) < 0.9, right, 1 - right)
        after = np.where((truth == 0) & (random.random(150) < 0.5), 1, before)
        change = Scored(truth).rates(np.stack([before, after], 1), 0).change(1)
        # Recall falls from 0.9 to 0.45; false positives stay.
        held += change.low <= -0.225 <= change.high
    assert 0.88 * trials <= held <= 0.99 * trials


def test_intervals_of_few_images_hold_the_truth_too() -> None:
    """Ten images of a class that is nearly always recognised: six in ten bootstraps would have no width."""
    random, held, trials = np.random.default_rng(6), 0, 400
    truth = np.repeat([0, 1], [10, 40])
    scored = Scored(truth)
    for _ in range(trials):
        predicted = np.where(random.random(50) < np.where(truth == 0, 0.95, 0.98), truth, 1 - truth)
        figure = scored.rates(predicted[:, None], 0).accuracy_of(0)
        held += figure.low <= (0.95 + 0.98) / 2 <= figure.high
    assert 0.88 * trials <= held


@pytest.mark.parametrize(("images", "loss"), [(10, 0.05), (10, 0.2), (30, 0.03), (100, 0.03)])
def test_intervals_of_rare_changes_hold_the_truth(images: int, loss: float) -> None:
    """Where no prediction changes, every bootstrap gives no change; the loss of a unit may be there all the same."""
    random, held, trials = np.random.default_rng(7), 0, 300
    truth = np.repeat([0, 1], [images, 200])
    scored = Scored(truth)
    for _ in range(trials):
        before = np.where(random.random(len(truth)) < np.where(truth == 0, 0.9, 0.95), truth, 1 - truth)
        gone = (truth == 0) & (random.random(len(truth)) < loss)
        held_out = scored.rates(np.stack([before, np.where(gone, 1, before)], 1), 0).change(1)
        held += held_out.low <= -0.9 * loss / 2 <= held_out.high
    assert held >= 0.93 * trials


def test_the_interval_of_a_paired_difference_is_that_of_newcombe() -> None:
    assert np.allclose(paired_difference(12, 2, 36, 50), (0.0569, 0.3404), atol=1e-4)
    low, high = paired_difference(0, 0, 10, 10)
    assert low == -high < -0.2, "no trial differs, which ten trials cannot tell from one in five"
    assert np.allclose(paired_difference(2, 12, 36, 50), (-0.3404, -0.0569), atol=1e-4)


def test_a_class_that_is_always_recognised_has_an_interval() -> None:
    truth = np.repeat([0, 1], [2, 4])
    figure = Scored(truth).rates(truth[:, None], 0).accuracy_of(0)
    assert figure.value == figure.high == 1
    assert figure.low < 0.7


def test_images_are_drawn_within_their_classes() -> None:
    scored = Scored(np.array([0, 1, 1, 0, 2]))
    assert scored.weights.shape == (REPLICATES, 5)
    for number, images in ((0, 2), (1, 2), (2, 1)):
        assert (scored.weights[:, scored.truth == number].sum(1) == images).all()


def test_every_class_is_divided_in_halves() -> None:
    truth = np.array([0, 1, 0, 1, 1, 0, 0])
    selected = is_selection(truth)
    for number in (0, 1):
        own = selected[truth == number]
        assert own.tolist() == [True, False, True, False][: len(own)]


def test_images_that_are_alone_in_their_class_are_divided_too() -> None:
    truth = np.array([0, 0, 5, 6, 7, 8, 9])
    assert is_selection(truth).tolist() == [True, False, True, False, True, False, True]


def test_classes_with_few_images_are_not_studied() -> None:
    truth = np.repeat([4, 2, 7], [3, 5, 9])
    selected = is_selection(truth)
    assert studied_classes(truth, selected, 8).tolist() == [7, 2]
    assert studied_classes(truth, selected, 1).tolist() == [7]
    # All images of class 7 but one rank units.
    assert studied_classes(truth, np.arange(17) != 16, 8).tolist() == []


def test_selection_and_held_out_images_differ(measured: Measured) -> None:
    both = [*measured.plan.selection.tolist(), *measured.plan.held_out.tolist()]
    assert sorted(both) == list(range(SAMPLES))


# --- attacks ----------------------------------------------------------------------------------------------------


def test_an_attack_is_short_and_repeatable() -> None:
    """The colours of the planted classifier are compared with a threshold, which short changes do not cross."""
    classifier = planted_classifier.load()
    images = classifier.latents(SEED, 0, 16)
    target = (classifier.logits(images).argmax(1) + 1) % len(CLASSES)
    aimed = attacked(classifier, images, target, 10, towards=True)
    assert float(lengths(aimed - images).max()) / 2 <= largest_norm(images[0].numel()) * (1 + 1e-5)
    assert float(aimed.abs().max()) <= 1
    assert torch.equal(aimed, attacked(classifier, images, target, 10, towards=True))


def test_attacks_reach_their_target_where_random_changes_do_not() -> None:
    """About half of the images, since changes are short: 2/255 a pixel value."""
    classifier = scenes_classifier.load()
    images = classifier.latents(SEED, 0, 24)
    source, second = predicted(classifier, images, 2).unbind(1)
    aimed = attacked(classifier, images, second, 10, towards=True)
    away = attacked(classifier, images, source, 10, towards=False)
    random = randomly_changed(images, lengths(aimed - images), range(len(images)))
    assert float(lengths(aimed - images).min()) > 0.5
    reached, moved = (predicted(classifier, shown, 1)[:, 0] == second for shown in (aimed, random))
    left = predicted(classifier, away, 1)[:, 0] != source
    assert reached.float().mean() > 0.4 > 0.1 > moved.float().mean()
    assert left.float().mean() > 0.4


def predicted(classifier: ClassifierModel, images: torch.Tensor, most: int) -> torch.Tensor:
    """(n, most) the classes with the highest scores."""
    with torch.no_grad():
        return classifier.logits(images).topk(most, 1).indices


def test_the_table_of_attacks_has_every_mode_and_group(measured: Measured) -> None:
    table = measured.classes.attacks
    assert table["attack"].tolist() == [str(mode) for mode in Attack for _ in range(3)]
    assert table["unit_group"].tolist() == ["target", "source", "others"] * 3
    assert (table["attacked_images"] > 0).all()
    targeted, random = (rows(table, attack=mode, unit_group="target").iloc[0] for mode in ("targeted", "random"))
    assert random["change_norm"] == pytest.approx(targeted["change_norm"], rel=0.3)


# --- tables -----------------------------------------------------------------------------------------------------


def test_every_column_is_explained(measured: Measured) -> None:
    classes = measured.classes
    for table in (classes.classes, classes.curves, classes.class_units, classes.attacks):
        assert {*table.columns} - {"unit"} <= {*COLUMNS}


def test_a_record_comes_back_from_json(measured: Measured) -> None:
    assert ClassRecord.from_json(measured.record.to_json()) == measured.record


def test_a_plan_comes_back_from_arrays(measured: Measured) -> None:
    again = ClassPlan.from_arrays(measured.plan.arrays())
    assert again.sets() == measured.plan.sets()
    assert again.sizes == measured.plan.sizes


def test_results_say_whether_the_largest_classes_were_studied(measured: Measured, tmp_path: Path) -> None:
    assert measured.classes.most_images
    fewest = measured.classes.classes.sort_values("class_images", kind="stable")["class"].iloc[:2]
    options = Options("planted_classifier", samples=SAMPLES, seed=SEED, grid=16, pilot=48, controls=False, workers=1)
    options = replace(options, classes=tuple(fewest), budget="quick", cache=tmp_path)
    record = measure(options).classes
    assert record is not None
    assert not class_results(record, CacheReader(tmp_path / "measurements")).most_images


def test_examples_show_their_class(measured: Measured, truth: list[int], tmp_path: Path) -> None:
    for name, shown in measured.classes.shown.items():
        assert shown
        for image in shown:
            assert CLASSES[truth[image.sample]] == image.label == name
            assert image.image.shape == (64, 64, 3)
