"""The passes that search one layer for artifact units and score a repair, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dissectreport.analysis.artifacts.plan import artifact_plan
from dissectreport.analysis.artifacts.quality import Reference, too_few_for_covariance
from dissectreport.analysis.artifacts.repair_quality import Qualities, SizeChanges
from dissectreport.analysis.artifacts.selection import (
    Effects,
    RealismSides,
    SecondEffects,
    SingleEffects,
    SingleUnits,
    judge_units,
)
from dissectreport.analysis.results.artifacts import CANDIDATES
from dissectreport.cache.reader import save
from dissectreport.cache.store import Store, fingerprint
from dissectreport.errors import FolderError
from dissectreport.pipeline.pass_runner import PassRunner
from dissectreport.pipeline.precision import HalfPrecision, choose_precision
from dissectreport.pipeline.prepare import Job
from dissectreport.pipeline.random_sets import matched_sets
from dissectreport.pipeline.reporter import Reporter
from dissectreport.pipeline.reproduce import reproduce
from dissectreport.pipeline.requests import ArtifactRequest, too_few_real
from dissectreport.pipeline.tasks import Task
from dissectreport.records.artifacts import (
    ArtifactPlan,
    ArtifactRecord,
    FeatureFolder,
    RandomSets,
    RepairPictures,
    ShownUnits,
    Units,
)
from dissectreport.records.interventions import as_set
from dissectreport.run.budgets import FEWEST_REAL
from dissectreport.run.engine import Make, Workers
from dissectreport.run.plan import ARTIFACTS_FORMAT, ArtifactKey
from dissectreport.run.precision import Precision
from dissectreport.run.shards import EDIT_BATCH, SHARD, Shard, shards
from dissectreport.stats.base import Floats
from dissectreport.stats.effects import RealismGain
from dissectreport.stats.features import Features, FeatureScale

if TYPE_CHECKING:
    from dissectreport.worker.artifacts import RepairExample

DRIFT = 0.05
"""Most that bfloat16 may move features, in units of how far images differ, to be used."""
SHOWN = 5
"""Worst units that are shown where neither a repair nor an artifact unit was found."""

FeatureRows = NDArray[np.float32]
"""(n, d) features of images, or (n, sets, d) with each of several sets of units ablated."""


@dataclass(frozen=True)
class MeasuredFeatures:
    """Features of images, and where they are stored."""

    rows: FeatureRows
    at: FeatureFolder


@dataclass(frozen=True)
class ScoredRepair:
    """What the repair does on held-out latents, by size."""

    worst: MeasuredFeatures
    """(n, 1 + sizes, d), the first without any edit."""
    marked: MeasuredFeatures | None
    """(n, 2, d) without and with the marked units ablated; None where none were marked."""
    random: MeasuredFeatures
    """(m, 1 + sets, d) without and with random sets ablated, of the first latents."""
    random_sets: str
    quality: str
    marked_quality: str
    """Folders of the `RandomSets`, and of the `Qualities` with the worst and the marked units ablated; '' for none."""


def repair_sizes(sizes: Sequence[int], units: int) -> list[int]:
    """The sizes of a repair that are tried: no larger than the units that it may ablate, all of these at most."""
    return sorted({min(size, units) for size in sizes} - {0})


class ArtifactPasses:
    """The search for artifact units of one job in one layer."""

    def __init__(self, job: Job, request: ArtifactRequest, workers: Workers, reporter: Reporter) -> None:
        self.job, self.request, self.budget, self.reporter = job, request, request.budget, reporter
        self.runner = PassRunner(job.options.cache, job.source.device, workers, reporter)
        reference, self.dimension = job.reference, request.network.dimension
        self.key = ArtifactKey(
            generator=job.plan.generator,
            features=request.identity,
            reference=reference.identity if reference is not None else f"drawn by {job.plan.generator}",
            layer=request.layer,
            seed=job.plan.seed,
            precision=job.options.precision,
            torch=job.plan.torch,
        )

    def run(self) -> ArtifactRecord:
        """Run all passes; returns their record."""
        drift = self._choose_precision()
        names, left_out = self._real_names()
        every_real = self._describe_real(names)
        real = replace(every_real, rows=every_real.rows[:, : self.dimension])
        generated = self._describe_generated(self.key.generated_seed, self.budget.side, Task.SIDE_FEATURES)
        dissected = self._describe_generated(
            self.job.plan.seed, min(self.budget.dissected, self.job.samples), Task.FEATURES
        )
        reference = self._reference(real.rows)
        # Units are selected with some real images and scored with others, if there are enough.
        scored_images = min(self.budget.scored, len(real.rows))
        selection = reference.without(scored_images)
        plan, plan_at = self._plan_tests(real.rows, generated.rows, selection)
        tested = SingleUnits.of(plan)
        tests, tests_at = self._test_single_units(tested, selection)
        order = tested.worst(tests)
        sizes = repair_sizes(self.budget.sizes, len(order))
        scored = self._score_repair(order, sizes, plan, reference, scored_images)
        changes, changes_at = self._select_size(order, sizes, selection)
        listed = judge_units(tests, tested, changes.kernel_distance).listed(tested)
        second = self._score_in_second(listed, plan.control, every_real.rows[:scored_images, self.dimension :])
        realism = RealismSides(reference.features, reference.scale(generated.rows))
        before = realism.scores(reference.scale(scored.worst.rows[:, 0]))
        shown = self._shown_units(tested, tests, order, changes)
        after = [realism.scores(reference.scale(scored.worst.rows[:, 1 + at])) for at in self._shown_size(shown, sizes)]
        gained = self._worst_samples(before - after[0]) if after else ()
        pictures = self._make_pictures(shown, plan, self._worst_samples(before), gained, scored_images)
        self._report_few(scored_images, real.rows.shape)
        return ArtifactRecord(
            key=self.key,
            budget=self.budget,
            features=self.request.network.name,
            is_published=self.request.network.published,
            reference=self._reference_words(),
            drift=drift,
            real_images=len(real.rows),
            selection_images=len(selection.features),
            left_out=left_out,
            marked=self.request.marked,
            real=real.at,
            generated=generated.at,
            dissected=dissected.at,
            scored=scored.worst.at,
            marked_scored=scored.marked.at if scored.marked else None,
            random_scored=scored.random.at,
            plan=plan_at,
            tests=tests_at,
            size_changes=changes_at,
            random_sets=scored.random_sets,
            quality=scored.quality,
            marked_quality=scored.marked_quality,
            pictures=pictures,
            command=self.job.options.command or reproduce(self.job),
            dimension=self.dimension,
            second=self.request.second.name if self.request.second is not None else "",
            second_effects=second,
        )

    # --- messages ---

    def _reference_words(self) -> str:
        reference = self.job.reference
        return (
            f"the images of {reference.name}" if reference is not None else "images like those that it was trained on"
        )

    def _report_few(self, scored: int, real: tuple[int, ...]) -> None:
        """Report if there are fewer images than planned."""
        if scored < self.budget.scored:
            self.reporter.say(
                f"{real[0]:,} real images, so that as many generated ones are scored; {self.budget.scored:,} would be"
            )
        if note := too_few_for_covariance(scored, real[1]):
            self.reporter.say(note)

    # --- precision ---

    def _choose_precision(self) -> float:
        """Choose the precision. Returns how far bfloat16 moves features, or 0 if it is not used."""
        from dissectreport.worker.half_precision import half_is_fast

        requested = self.key.precision
        is_fast = requested == Precision.AUTO and half_is_fast(self.job.source.device)
        precision = choose_precision(requested, is_fast, lambda: self._drift() <= DRIFT)
        self.key = replace(self.key, precision=precision)
        return self._drift() if precision == Precision.BFLOAT16 else 0.0

    def _drift(self) -> float:
        """How far bfloat16 moves features, measured once."""
        from dissectreport.worker import artifacts as worker

        key = replace(self.key, precision=Precision.BFLOAT16)
        store = self.runner.open("drift of features", key.facts())
        return self.runner.once(store, HalfPrecision, lambda: HalfPrecision(worker.drift(self.job.source, key))).value

    # --- features of whole images ---

    def _real_names(self) -> tuple[list[str], int]:
        """The names of the real images that are read, in the folder's own order, and how many could not be.

        No names for a generator's own images.
        """
        reference = self.job.reference
        if reference is None:
            return [], 0
        count = min(self.budget.real, len(reference.files))
        readable = reference.validated([(0, count)])
        if readable.undecodable:
            self.reporter.say(readable.undecodable_note())
        names = list(readable.order(0)[:count])
        if len(names) < FEWEST_REAL:
            raise FolderError(too_few_real(len(names)))
        return names, len(readable.undecodable)

    def _describe_real(self, names: Sequence[str]) -> MeasuredFeatures:
        """The features of real images: of those in the folder by name, else of the generator's own."""
        from dissectreport.worker.artifacts import make_real

        facts = self._key_facts("features", "reference", "precision", "torch")
        if self.request.second is not None:
            facts["second"] = self.request.second.identity
        store = self.runner.open("real features", {**facts, "names": fingerprint({"names": names})})
        # A generator that cannot start in the middle would repeat its first images for each shard: one shard.
        in_shards = names or getattr(self.job.generator, "training_like_from", None) is not None
        count = len(names) or self.budget.real
        make = partial(make_real, self.job.source, self.key, names)
        return self._describe(store, make, count, SHARD if in_shards else count, Task.REAL_FEATURES)

    def _describe_generated(self, seed: int, count: int, task: Task) -> MeasuredFeatures:
        """The features of generated images of a seed."""
        from dissectreport.worker.artifacts import make_generated

        facts = self._key_facts("generator", "features", "precision", "torch")
        store = self.runner.open("generated features", {**facts, "seed": seed})
        make = partial(make_generated, self.job.source, self.key, seed)
        return self._describe(store, make, count, SHARD, task)

    def _reference(self, real: FeatureRows) -> Reference:
        """The real images, on the scale on which images are compared."""
        is_published = self.request.network.published
        return Reference.of(real, FeatureScale.published(real.shape[1]) if is_published else FeatureScale.of(real))

    # --- single units ---

    def _plan_tests(self, real: FeatureRows, generated: FeatureRows, selection: Reference) -> tuple[ArtifactPlan, str]:
        """The units to ablate one by one, by gradient × activation of the realism score; and where they are stored."""
        from dissectreport.worker.artifacts import RealismSets, make_realism_effects

        store = self._store("realism effects", sides=[*selected_from(selection), len(generated)])
        sets = RealismSets(real[selection.first :], generated, selection.scale)
        make = partial(make_realism_effects, self.job.source, self.key, sets)
        parts = shards(self.budget.gradients, EDIT_BATCH)
        self.runner.count(store, make, parts, Task.ARTIFACT_GRADIENTS)
        plan = artifact_plan(self.runner.total(store, parts, RealismGain), self.budget, self.request.marked)
        return plan, self.runner.keep("artifact plan", self.key.facts(), plan)

    def _test_single_units(self, tested: SingleUnits, selection: Reference) -> tuple[SingleEffects, str]:
        """The effects of single units, for the best and control units with more latents; and their folder."""
        budget, seed, real = self.budget, self.key.testing_seed, selection.features
        singles = [(), *((unit,) for unit in tested.units.tolist())]
        first, store = self._ablate(singles, seed, budget.tested, Task.TESTING)
        rows = selection.scale(first.rows)
        finalists = tested.finalists(Effects.of(rows, real), budget.finalists, self.request.marked)
        singles = [(), *((unit,) for unit in tested.units[finalists].tolist())]
        more, more_store = self._ablate(singles, seed, budget.retested, Task.RETESTING, budget.tested)
        tests = SingleEffects.of(rows, selection.scale(more.rows), tested, finalists, real)
        facts = [store.folder.name, more_store.folder.name, *selected_from(selection), list(tested.roles)]
        results = self._store("tests", of=facts, images=[budget.tested, budget.retested])
        save(results, tests)
        return tests, results.folder.name

    def _score_in_second(self, listed: Units, control: Units, real: FeatureRows) -> str:
        """The folder with the effects of artifact units in the features of the second network; '' without any.

        The latents and the real images selected nothing.
        """
        from dissectreport.features.base import OWN_FEATURES
        from dissectreport.worker.artifacts import make_ablated

        second, budget, seed = self.request.second, self.budget, self.key.testing_seed
        if second is None or not listed:
            return ""
        sets: list[Units] = [(), *((unit,) for unit in (*listed, *control))]
        key = replace(self.key, features=second.identity)
        own = self.job.source.second == OWN_FEATURES
        source = replace(self.job.source, features="" if own else self.job.source.second)
        store = self.runner.open("ablated features", {**key.facts(), "sets": [list(s) for s in sets], "latents": seed})
        first = budget.tested + budget.retested + budget.size_selection
        make = partial(make_ablated, source, key, sets, seed)
        rows = self._describe(store, make, budget.second, EDIT_BATCH, Task.SECOND, first).rows
        results = self._store("second effects", of=store.folder.name, first=first, images=budget.second, real=len(real))
        scale = FeatureScale.published(real.shape[1]) if second.published else FeatureScale.of(real)
        self.runner.once(results, SecondEffects, lambda: SecondEffects.of(listed, rows, real, scale))
        return results.folder.name

    # --- the repair ---

    def _score_repair(
        self, order: Units, sizes: Sequence[int], plan: ArtifactPlan, reference: Reference, count: int
    ) -> ScoredRepair:
        """The quality of held-out images without any edit, with the worst, marked and random units ablated."""
        seed = self.key.scoring_seed
        sets = [(), *(as_set(order[:size]) for size in sizes)]
        worst, store = self._ablate(sets, seed, count, Task.SCORING)
        quality = self._judge(reference, worst.rows, sizes, store)
        marked, marked_quality = None, ""
        if units := self.request.marked:
            marked, store = self._ablate([(), as_set(units)], seed, count, Task.SCORING_MARKED)
            marked_quality = self._judge(reference, marked.rows, [len(units)], store)
        random, random_sets_at = self._score_random_sets(order, sizes, plan, count)
        return ScoredRepair(worst, marked, random, random_sets_at, quality, marked_quality)

    def _judge(self, reference: Reference, rows: FeatureRows, sizes: Sequence[int], features: Store) -> str:
        """The folder with the quality without and with units ablated, computed once."""
        facts = [features.folder.name, self.key.reference, len(reference.features)]
        store = self._store("quality", of=facts, images=len(rows), sizes=list(sizes))
        self.runner.once(store, Qualities, lambda: Qualities.of(reference, rows, sizes))
        return store.folder.name

    def _score_random_sets(
        self, order: Units, sizes: Sequence[int], plan: ArtifactPlan, count: int
    ) -> tuple[MeasuredFeatures, str]:
        """The features with random sets ablated, on the first held-out latents; and where the sets are stored.

        Units of a larger repair can be among them: they are random, and not known to be harmless.
        """
        sets, described = random_sets_for(
            order, sizes, self.request.marked, plan.mean_activation, self.budget.random_sets
        )
        fewer = min(self.budget.random_scored, count)
        features, store = self._ablate([(), *sets], self.key.scoring_seed, fewer, Task.SCORING_RANDOM)
        # The same random sets may be compared with other sets, so their facts are stored separately.
        return features, self.runner.keep("random sets", {**self.key.facts(), "of": store.folder.name}, described)

    def _select_size(self, order: Units, sizes: Sequence[int], selection: Reference) -> tuple[SizeChanges, str]:
        """The effect of every size of the repair on further test latents, to select one; and where it is stored."""
        sets = [(), *(as_set(order[:size]) for size in sizes)]
        first = self.budget.tested + self.budget.retested
        features, store = self._ablate(sets, self.key.testing_seed, self.budget.size_selection, Task.CHOOSING, first)
        facts = [store.folder.name, *selected_from(selection)]
        results = self._store("size changes", of=facts, first=first, images=self.budget.size_selection)
        changes = self.runner.once(results, SizeChanges, lambda: SizeChanges.of(selection, features.rows, sizes))
        return changes, results.folder.name

    # --- pictures ---

    def _shown_units(self, tested: SingleUnits, tests: SingleEffects, order: Units, changes: SizeChanges) -> ShownUnits:
        """The units of the repair, else the artifact units, else the worst ones."""
        verdict = judge_units(tests, tested, changes.kernel_distance)
        listed = verdict.listed(tested)
        candidates = set(tested.indices(*CANDIDATES).tolist())
        by_effect = tuple(int(tested.units[place]) for place in verdict.order if int(place) in candidates)
        # If no unit helps, only one is shown: reviewing several harmful units is of no use.
        shown = order[: changes.selected_size()] or listed or order[:SHOWN] or by_effect[:1]
        return ShownUnits(shown, as_set(listed or shown))

    def _shown_size(self, shown: ShownUnits, sizes: Sequence[int]) -> list[int]:
        """The place of the shown units among the sizes of the repair; nothing if they are none of them."""
        return [at for at, size in enumerate(sizes) if size == len(shown.ablated)]

    def _worst_samples(self, realism: Floats) -> Units:
        """The held-out latents of lowest realism score, or of the largest gain by its negative."""
        return tuple(np.argsort(realism, kind="stable")[: self.budget.worst].tolist())

    def _make_pictures(self, shown: ShownUnits, plan: ArtifactPlan, worst: Units, gained: Units, scored: int) -> str:
        """Images before and after the repair: the worst ones, those that gain most, random ones, and pairs for a blind
        comparison."""
        from dissectreport.worker.artifacts import make_repair_examples

        # Images that no other page shows: an image that was shown with its solution is no longer blind.
        further = range(scored, scored + self.budget.worst + self.budget.pairs)
        random, pairs = further[: self.budget.worst], further[self.budget.worst :]
        examples = [
            self._example(RepairPictures.WORST, worst, shown, plan),
            *([self._example(RepairPictures.GAINED, gained, shown, plan)] if gained else []),
            self._example(RepairPictures.RANDOM, random, shown, plan),
            self._example(RepairPictures.PAIRS, pairs, replace(shown, heat=()), plan),
        ]
        store = self._store("repaired pictures", examples=[asdict(example) for example in examples])
        make = partial(make_repair_examples, self.job.source, self.key)
        task = Task.REPAIR_PICTURES
        self.runner.save_values(store, make, examples, lambda example: example.name, task, "sets")
        save(store, shown)
        return store.folder.name

    def _example(self, name: str, samples: Sequence[int], shown: ShownUnits, plan: ArtifactPlan) -> RepairExample:
        from dissectreport.worker.artifacts import RepairExample

        means = tuple(plan.mean_activation[list(shown.heat)].tolist())
        return RepairExample(name, tuple(samples), as_set(shown.ablated), shown.heat, means)

    # --- stores ---

    def _key_facts(self, *names: str) -> dict[str, Any]:
        """The part of the key on which features of whole images depend."""
        return {"format": ARTIFACTS_FORMAT, **{name: getattr(self.key, name) for name in names}}

    def _store(self, kind: str, **more: object) -> Store:
        return self.runner.open(kind, {**self.key.facts(), **more})

    def _ablate(
        self, sets: Sequence[Units], seed: int, count: int, task: Task, first: int = 0
    ) -> tuple[MeasuredFeatures, Store]:
        """The features of some of a seed's latents, from the `first` on, without each set of units."""
        from dissectreport.worker.artifacts import make_ablated

        store = self._store("ablated features", sets=[list(units) for units in sets], latents=seed)
        make = partial(make_ablated, self.job.source, self.key, sets, seed)
        # Small shards, because every image is described once for each set.
        return self._describe(store, make, count, EDIT_BATCH, task, first), store

    def _describe(
        self, store: Store, make: Make[Shard, Features], count: int, size: int, task: Task, first: int = 0
    ) -> MeasuredFeatures:
        """The features of all shards; those that are missing are computed."""
        parts = [replace(shard, first=shard.first + first) for shard in shards(count, size)]
        self.runner.count(store, make, parts, task)
        rows = self.runner.total(store, parts, Features).values
        return MeasuredFeatures(rows, FeatureFolder(store.folder.name, count, size))


def selected_from(selection: Reference) -> tuple[int, int]:
    """The identity of these real images, for the cache key: effects depend on them."""
    return selection.first, len(selection.features)


def random_sets_for(
    order: Units, sizes: Sequence[int], marked: Units, mean_activation: Floats, count: int
) -> tuple[list[Units], RandomSets]:
    """Random sets of similar mean activation for every size of the repair, and for the marked units."""
    compared = [(False, order[:size]) for size in sizes] + ([(True, marked)] if marked else [])
    sets: list[Units] = []
    is_marked, activation = [], []
    for for_marked, others in compared:
        own = mean_activation[list(others)].mean()
        for units in matched_sets(mean_activation, others, count):
            sets.append(units)
            is_marked.append(for_marked)
            activation.append(mean_activation[list(units)].mean() / own if own > 0 else np.nan)
    lengths = np.array([len(units) for units in sets], np.int64)
    return sets, RandomSets(lengths, np.array(is_marked, bool), np.array(activation, np.float64))
