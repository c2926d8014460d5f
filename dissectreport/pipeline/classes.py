"""The passes that show which units of a classifier matter to its classes, in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from dissectreport.analysis.classes.accuracy import balanced_accuracy
from dissectreport.analysis.classes.halves import Bools, selection_of, truth_of
from dissectreport.cache.store import Store, fingerprint
from dissectreport.errors import BadOption, ModelError
from dissectreport.models.classifier import classifier_of
from dissectreport.pipeline.class_requests import (
    ClassRequest,
    classes_required,
    classes_to_study,
    classified_images,
)
from dissectreport.pipeline.pass_runner import PassRunner
from dissectreport.pipeline.prepare import Job
from dissectreport.pipeline.random_sets import matched_sets
from dissectreport.pipeline.reporter import Reporter
from dissectreport.pipeline.tasks import Task
from dissectreport.records.classes import ClassExamples, ClassPlan, ClassRecord, LinearHead
from dissectreport.records.interventions import Units
from dissectreport.run.engine import Workers
from dissectreport.run.plan import ClassKey
from dissectreport.run.shards import BATCH, SHARD, shards
from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.predictions import ClassEstimates, ClassScores, Predictions, log_probabilities


def with_known_classes(job: Job, reporter: Reporter) -> Job:
    """The run without its classes, and a line that says why, where the labels show that too few images have a class.

    Raises that as an error if an option asks for classes.
    """
    request = job.classes
    if request is None:
        return job
    try:
        classified_images(classifier_of(job.generator), request, job.plan.seed, images_of(job, request))
    except (BadOption, ModelError) as error:
        if classes_required(job.options):
            raise
        reporter.say(f"no classes: {error}")
        return replace(job, classes=None, no_classes=str(error))
    return job


def images_of(job: Job, request: ClassRequest) -> int:
    """How many images are classified."""
    return min(job.samples, request.budget.images)


class ClassPasses:
    """The experiments of one job with the classes of its classifier."""

    def __init__(self, job: Job, request: ClassRequest, workers: Workers, reporter: Reporter) -> None:
        self.job, self.request, self.budget = job, request, request.budget
        self.runner = PassRunner(job.options.cache, job.source.device, workers, reporter)
        self.classifier = classifier_of(job.generator)
        self.key = ClassKey(
            generator=job.plan.generator,
            truth=self.classifier.truth_digest,
            layer=request.layer,
            seed=job.plan.seed,
            images=images_of(job, request),
            torch=job.plan.torch,
        )
        self.images = classified_images(self.classifier, request, self.key.seed, self.key.images)

    def run(self) -> ClassRecord:
        """Run all passes; returns their record."""
        from dissectreport.worker.classes import find_head, make_scores

        numbers = self.images.samples.tolist()
        store, parts = self._store("class scores", samples=numbers), shards(len(numbers), SHARD)
        self.runner.count(store, partial(make_scores, self.job.source, self.key, numbers), parts, Task.CLASSES)
        scores = self.runner.total(store, parts, ClassScores)
        head = self.runner.once(self._store("class head"), LinearHead, lambda: find_head(self.job.source, self.key))
        truth = truth_of(scores)
        selected = selection_of(scores.samples, truth, bool(self.classifier.validation))
        selection, held_out = scores.samples[selected], scores.samples[~selected]
        studied = classes_to_study(self.classifier, self.request, truth, selected)
        estimate = self._estimate(head, selection, truth[selected], scores.means.shape[1])
        tested, checked = units_to_test(estimate[studied], self.budget.tested)
        every: list[Units] = [(unit,) for unit in tested.tolist()]
        alone, singles = self._predict("single units", head, every, selection, Task.CLASS_SINGLES)
        ranking = importances(scores, truth, selected, alone, estimate, tested)
        plan = self._plan(scores, selected, studied, ranking, checked)
        planned = self.runner.keep("class plan", self.key.facts(), plan)
        _, sets = self._predict("sets of units", head, plan.sets(), held_out, Task.CLASS_SETS)
        samples, targets = attack_targets(scores, plan, self.budget.attacked, self.key.seed)
        attacks = self._attack(samples, targets) if samples else ""
        return ClassRecord(
            key=self.key,
            budget=self.budget,
            classes=self.classifier.classes,
            labelled=bool(self.classifier.labels),
            closed_form=head.is_known,
            validation=self.classifier.validation,
            balanced=self.images.balanced,
            scores=store.folder.name,
            singles=singles,
            plan=planned,
            sets=sets,
            attacks=attacks,
            attacked=len(samples),
            examples=self._examples(scores, plan, samples, targets),
        )

    def _predict(
        self, kind: str, head: LinearHead, sets: list[Units], samples: Ints, task: Task
    ) -> tuple[Predictions, str]:
        """The predictions of some images with each set ablated, and where they are stored."""
        from dissectreport.worker.classes import make_predictions

        numbers = samples.tolist()
        store = self._store(f"predictions without {kind}", sets=fingerprint({"sets": sets}), samples=numbers)
        make = partial(make_predictions, self.job.source, self.key, head, sets, numbers)
        parts = shards(len(numbers), SHARD)
        self.runner.count(store, make, parts, task)
        return self.runner.total(store, parts, Predictions), store.folder.name

    def _estimate(self, head: LinearHead, selection: Ints, truth: Ints, units: int) -> Floats:
        """(classes, units) what gradients say that each class loses without each unit; NaN for a closed form, which
        tests every unit at no cost, and for classes without images."""
        from dissectreport.worker.classes import make_estimates

        estimate = np.full((len(self.classifier.classes), units), np.nan)
        if head.is_known:
            return estimate
        numbers = selection.tolist()
        store, parts = self._store("class estimates", samples=numbers), shards(len(numbers), SHARD)
        make = partial(make_estimates, self.job.source, self.key, numbers)
        self.runner.count(store, make, parts, Task.CLASS_ESTIMATES)
        lost = self.runner.total(store, parts, ClassEstimates).lost.astype(np.float64)
        for number in np.unique(truth):
            estimate[number] = lost[truth == number].mean(0)
        return estimate

    def _plan(
        self, scores: ClassScores, selected: Bools, studied: Ints, ranking: UnitRanking, checked: Ints
    ) -> ClassPlan:
        """Which sets of units are ablated, by a ranking of units on selection images."""
        order = ranking.order
        sizes = tuple(size for size in self.budget.sizes if size < order.shape[1])
        activity = np.abs(scores.means[selected]).astype(np.float64).mean(0)
        random = {
            size: tuple(
                matched_sets(activity, tuple(order[number][:size].tolist()), self.budget.random_sets)
                for number in studied
            )
            for size in sizes
        }
        return ClassPlan(
            studied=studied,
            importance=ranking.importance,
            certainty=ranking.certainty,
            estimate=ranking.estimate,
            tested=ranking.tested,
            checked=checked,
            order=order,
            sizes=sizes,
            named=min(self.budget.named, order.shape[1]),
            random=random,
            selection=scores.samples[selected],
            held_out=scores.samples[~selected],
        )

    def _attack(self, samples: list[int], targets: list[int]) -> str:
        """Where the changes by attacks on some images are stored."""
        from dissectreport.worker.attacks import make_attacks

        store = self._store("attacks", steps=self.budget.steps, samples=samples, targets=targets)
        make = partial(make_attacks, self.job.source, self.key, self.budget.steps, samples, targets)
        self.runner.count(store, make, shards(len(samples), BATCH), Task.ATTACKS)
        return store.folder.name

    def _examples(self, scores: ClassScores, plan: ClassPlan, samples: list[int], targets: list[int]) -> str:
        """Where images of every studied class, and some of the attacked ones, are stored."""
        from dissectreport.worker.attacks import make_examples

        steps, count = self.budget.steps, self.budget.shown
        shown, aims = example_samples(scores, plan, count), (samples[:count], targets[:count])
        store = self._store("class examples", steps=steps, shown=shown, attacked=aims)
        make = partial(make_examples, self.job.source, self.key, steps, shown, *aims)
        self.runner.once(store, ClassExamples, make)
        return store.folder.name

    def _store(self, kind: str, **more: object) -> Store:
        return self.runner.open(kind, {**self.key.facts(), **more})


@dataclass(frozen=True)
class UnitRanking:
    """What each class loses without each single unit, on selection images; (classes, units)."""

    importance: Floats
    """Balanced accuracy; NaN for classes without images, and for units that were not tested."""
    certainty: Floats
    """Mean logarithm of the probability of the class; NaN likewise."""
    estimate: Floats
    """First-order estimate of `certainty`; NaN where there is none."""
    tested: Ints
    """Units that were ablated alone."""

    @property
    def order(self) -> Ints:
        """The units of every class, those that matter most first.

        One that was not tested counts as one without which no prediction changes, and stands by its estimate.
        """
        drop = np.nan_to_num(self.importance)
        lost = np.nan_to_num(np.where(np.isnan(self.certainty), self.estimate, self.certainty))
        return np.array([np.lexsort((-second, -first)) for first, second in zip(drop, lost, strict=True)])


def importances(
    scores: ClassScores, truth: Ints, selected: Bools, alone: Predictions, estimate: Floats, tested: Ints
) -> UnitRanking:
    """What each class loses on selection images without each of the units that were `tested`, and its estimate."""
    logits, own = scores.logits[selected], truth[selected]
    before = logits.argmax(1)[:, None]
    gone = log_probabilities(logits[:, None], own) - alone.certainty
    drop, lost = np.full(estimate.shape, np.nan), np.full(estimate.shape, np.nan)
    for number in np.unique(own).tolist():
        after = balanced_accuracy(own, alone.predicted, number)
        drop[number, tested] = balanced_accuracy(own, before, number) - after
        lost[number, tested] = gone[own == number].mean(0)
    return UnitRanking(drop, lost, estimate, tested)


def units_to_test(estimate: Floats, most: int) -> tuple[Ints, Ints]:
    """The units to ablate alone, and those of them that do not depend on the (studied classes, units) estimate.

    All of them, if they are few enough or there is no estimate; else random ones, by which the estimate is checked, and
    those that are estimated to matter most to each class in turn.
    """
    units = np.arange(estimate.shape[1])
    if len(units) <= most or np.isnan(estimate).all():
        return units, units
    checked = np.random.RandomState(0).permutation(units)[: max(2, most // CHECKED)]
    in_turn = np.argsort(-estimate, axis=1, kind="stable").T.ravel()
    chosen = list(dict.fromkeys([*checked.tolist(), *in_turn.tolist()]))[:most]
    return np.sort(np.asarray(chosen, np.int64)), np.sort(checked).astype(np.int64)


CHECKED = 8
"""One in so many units that are ablated alone is random where an estimate chooses the others."""


def attack_targets(scores: ClassScores, plan: ClassPlan, most: int, seed: int) -> tuple[list[int], list[int]]:
    """Held-out images that are attacked, and a class for each that is neither predicted nor its own."""
    random = np.random.RandomState(seed)
    truth = dict(zip(scores.samples.tolist(), truth_of(scores).tolist(), strict=True))
    predicted = dict(zip(scores.samples.tolist(), scores.logits.argmax(1).tolist(), strict=True))
    samples, targets = [], []
    for sample in plan.held_out[:most].tolist():
        free = [number for number in plan.studied.tolist() if number not in (truth[sample], predicted[sample])]
        if free:
            samples.append(sample)
            targets.append(int(random.choice(free)))
    return samples, targets


def example_samples(scores: ClassScores, plan: ClassPlan, most: int) -> list[int]:
    """The first held-out images of every studied class."""
    truth = truth_of(scores)[np.isin(scores.samples, plan.held_out)]
    chosen = [plan.held_out[truth == number][:most].tolist() for number in plan.studied]
    return sorted(sample for one in chosen for sample in one)
