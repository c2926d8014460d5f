"""The passes that show which units of a classifier matter to its classes, in order."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dissectreport.analysis.classes.accuracy import balanced_accuracy
from dissectreport.analysis.classes.halves import is_selection, truth_of
from dissectreport.cache.store import Store, fingerprint
from dissectreport.errors import BadOption, ModelError
from dissectreport.models.classifier import classifier_of
from dissectreport.pipeline.class_requests import ClassRequest, classes_required, classes_to_study
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
from dissectreport.stats.predictions import ClassScores, Predictions, log_probabilities

Bools = NDArray[np.bool_]


def with_known_classes(job: Job, reporter: Reporter) -> Job:
    """The run without its classes, and a line that says why, where the labels show that too few images have a class.

    Raises that as an error if an option asks for classes.
    """
    request = job.classes
    if request is None:
        return job
    classifier = classifier_of(job.generator)
    if not classifier.labels:
        return job
    try:
        classes_to_study(classifier, request, classifier.truth(job.plan.seed, 0, images_of(job, request)))
    except (BadOption, ModelError) as error:
        if classes_required(job.options):
            raise
        reporter.say(f"no classes: {error}")
        return replace(job, classes=None)
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

    def run(self) -> ClassRecord:
        """Run all passes; returns their record."""
        from dissectreport.worker.classes import find_head, make_scores

        store, parts = self._store("class scores"), shards(self.key.images, SHARD)
        self.runner.count(store, partial(make_scores, self.job.source, self.key), parts, Task.CLASSES)
        scores = self.runner.total(store, parts, ClassScores)
        head = self.runner.once(self._store("class head"), LinearHead, lambda: find_head(self.job.source, self.key))
        truth = truth_of(scores)
        selected = is_selection(truth)
        selection, held_out = scores.samples[selected], scores.samples[~selected]
        every: list[Units] = [(unit,) for unit in range(scores.means.shape[1])]
        alone, singles = self._predict("single units", head, every, selection, Task.CLASS_SINGLES)
        plan = self._plan(scores, truth, alone)
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

    def _plan(self, scores: ClassScores, truth: Ints, alone: Predictions) -> ClassPlan:
        """Which units matter most to each class on selection images, and which sets are ablated."""
        selected = np.isin(scores.samples, alone.samples)
        importance, certainty = importances(scores, truth, selected, alone, len(self.classifier.classes))
        order = np.array([np.lexsort((-lost, -drop)) for drop, lost in zip(importance, certainty, strict=True)])
        studied, units = classes_to_study(self.classifier, self.request, truth), importance.shape[1]
        sizes = tuple(size for size in self.budget.sizes if size < units)
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
            importance=importance,
            certainty=certainty,
            order=order,
            sizes=sizes,
            named=min(self.budget.named, units),
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


def importances(
    scores: ClassScores, truth: Ints, selected: Bools, alone: Predictions, classes: int
) -> tuple[Floats, Floats]:
    """(classes, units) balanced accuracy, and mean certainty, that each class loses without each single unit.

    Both are of the selection images; NaN for a class without any.
    """
    logits, own = scores.logits[selected], truth[selected]
    before = logits.argmax(1)[:, None]
    gone = log_probabilities(logits[:, None], own) - alone.certainty
    shape = (classes, alone.predicted.shape[1])
    drop, lost = np.full(shape, np.nan), np.full(shape, np.nan)
    for number in np.unique(own).tolist():
        drop[number] = balanced_accuracy(own, before, number) - balanced_accuracy(own, alone.predicted, number)
        lost[number] = gone[own == number].mean(0)
    return drop, lost


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
