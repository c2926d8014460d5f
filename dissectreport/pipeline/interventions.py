"""The passes of interventions on one layer of a measured model, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dissectreport.analysis.interventions.study import Study
from dissectreport.cache.reader import read
from dissectreport.cache.store import Store, digest, fingerprint
from dissectreport.errors import BadOption
from dissectreport.pipeline.ablation_plan import (
    ablation_plan,
    best_matching,
    causal_size,
    gradient_ranking,
    images_showing,
    inserted_random_sets,
    inserted_sets,
    inserted_values,
    insertion_spots,
    random_set,
    rankings,
    shown_samples,
    strongest_concepts,
    typical_insertions,
    values_of,
)
from dissectreport.pipeline.pass_runner import PassRunner
from dissectreport.pipeline.precision import HalfPrecision, choose_precision
from dissectreport.pipeline.prepare import Job
from dissectreport.pipeline.reporter import Reporter
from dissectreport.pipeline.requests import InterventionRequest
from dissectreport.pipeline.tasks import Task
from dissectreport.records.interventions import (
    AblationPlan,
    InterventionRecord,
    LearnedRanking,
    RemainingArea,
    as_set,
    concept_file,
    random_file,
    unit_file,
)
from dissectreport.run.engine import Workers
from dissectreport.run.plan import InterventionKey
from dissectreport.run.precision import Precision
from dissectreport.run.rankings import Ranking
from dissectreport.run.shards import EDIT_BATCH, shards
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Floats
from dissectreport.stats.concept_patches import ConceptPatches
from dissectreport.stats.effects import FirstOrder, Presence
from dissectreport.stats.insertions import Insertions
from dissectreport.stats.patch_contexts import PatchContexts

if TYPE_CHECKING:
    from dissectreport.worker.ablations import VariantTrial
    from dissectreport.worker.edited_pictures import ConceptExample, StripGroup
    from dissectreport.worker.rankings import RankingInputs

SEARCHED = 40
"""Samples in a shard of the search."""
CLOSE = 0.985
"""Share of pixels that must keep their labels for bfloat16 to be used."""
UNIT_EXAMPLES = 3
"""Images shown of a unit that was ablated alone."""
STRIP_GROUP = 16
"""Units that are ablated one by one in one piece of work."""


class InterventionPasses:
    """The interventions of one job on one layer."""

    def __init__(
        self, job: Job, study: Study, request: InterventionRequest, workers: Workers, reporter: Reporter
    ) -> None:
        self.job, self.study, self.budget, self.reporter = job, study, request.budget, reporter
        self.runner = PassRunner(job.options.cache, job.source.device, workers, reporter)
        self.key = InterventionKey(
            generator=job.plan.generator,
            segmenter=job.plan.segmenter,
            layer=request.layer,
            concepts=study.concepts,
            contexts=study.contexts,
            seed=job.plan.seed,
            precision=job.options.precision,
            torch=job.plan.torch,
        )

    def run(self) -> InterventionRecord:
        """Run all passes; returns their record."""
        agreement = self._choose_precision()
        presence, patches = self._search()
        first, gradients = self._estimate_effects()
        plan, planned = self._plan(presence, patches, first)
        areas, ablations = self._ablate(plan)
        random = self._ablate_random_sets(plan, areas)
        sampled = self._ablate_sampled(plan)
        variants = self._vary(plan)
        values = inserted_values(self.budget, self.study, presence)
        insertions, inserted = self._insert(plan, values)
        pictures = self._make_pictures(plan, values, areas, insertions, first)
        strips, groups = self._make_strips(areas, first)
        return InterventionRecord(
            key=self.key,
            budget=self.budget,
            agreement=agreement,
            gradients=gradients,
            plan=planned,
            ablations=ablations,
            random=random,
            sampled=sampled,
            variants=variants,
            insertions=inserted,
            inserted=len(insertions.samples),
            pictures=pictures,
            strips=strips,
            strip_groups=groups,
        )

    def _choose_precision(self) -> float:
        """Choose the precision. Returns the share of pixels that keep their labels, or 1 without bfloat16."""
        from dissectreport.worker.half_precision import half_is_fast

        requested = self.key.precision
        is_fast = requested == Precision.AUTO and half_is_fast(self.job.source.device)
        precision = choose_precision(requested, is_fast, lambda: self._agreement() >= CLOSE)
        self.key = replace(self.key, precision=precision)
        return self._agreement() if precision == Precision.BFLOAT16 else 1.0

    def _agreement(self) -> float:
        """Share of pixels that keep their labels in bfloat16, measured once."""
        from dissectreport.worker.half_precision import half_agrees

        key = replace(self.key, precision=Precision.BFLOAT16)
        store = self.runner.open("precision", key.facts())
        return self.runner.once(store, HalfPrecision, lambda: HalfPrecision(half_agrees(self.job.source, key))).value

    def _search(self) -> tuple[Presence, ConceptPatches]:
        """The areas of the studied concepts, and the activations of units on them; absent concepts are dropped."""
        from dissectreport.worker.gradients import make_search

        store, parts = self._store("search"), shards(self.budget.search, SEARCHED)
        self.runner.count(store, partial(make_search, self.job.source, self.key), parts, Task.SEARCH)
        presence = self.runner.total(store, parts, Presence)
        patches = self.runner.total(store, parts, ConceptPatches)
        self._report_absent(presence)
        kept = np.flatnonzero(presence.share > 0)
        self.study = self.study.keeping(kept)
        self.key = replace(self.key, concepts=self.study.concepts)
        return presence.keeping(kept), patches.keeping(kept)

    def _report_absent(self, presence: Presence) -> None:
        """Report concepts that occur in none of the searched images; refuse those that the user named."""
        absent = [name for name, share in zip(self.study.names, presence.share, strict=True) if not share]
        if not absent:
            return
        if self.job.options.concepts or len(absent) == len(self.study.names):
            raise BadOption(
                f"{absent[0]!r} occurs in none of the {self.budget.search:,} images searched; choose other --concepts"
            )
        self.reporter.say(f"no interventions on {', '.join(absent)}: in none of {self.budget.search:,} images searched")

    def _estimate_effects(self) -> tuple[FirstOrder, str]:
        """Gradient × activation of every unit for every concept, and where it is stored."""
        from dissectreport.worker.gradients import make_gradients

        store, parts = self._store("first order"), shards(self.budget.gradients, EDIT_BATCH)
        self.runner.count(store, partial(make_gradients, self.job.source, self.key), parts, Task.GRADIENTS)
        return self.runner.total(store, parts, FirstOrder), store.folder.name

    def _plan(self, presence: Presence, patches: ConceptPatches, first: FirstOrder) -> tuple[AblationPlan, str]:
        """Which sets of units are ablated and inserted, and where the result is stored."""
        inputs = [self._ranking_inputs(number, presence, patches, first) for number in range(len(self.key.concepts))]
        learned = self._learn_rankings(inputs) if self.budget.learned else []
        best = self._compare_rankings(first, learned, inputs)
        plan = ablation_plan(self.budget, self.study, presence, first, learned, best)
        return plan, self.runner.keep("ablation plan", self.key.facts(), plan)

    def _ranking_inputs(
        self, number: int, presence: Presence, patches: ConceptPatches, first: FirstOrder
    ) -> RankingInputs:
        """The inputs for the rankings of one concept."""
        from dissectreport.worker.rankings import RankingInputs

        share, patch = patches.share[:, number], patches.patch[:, number]
        order = np.argsort(-share, kind="stable")
        present = order[share[order] > 0]
        learned_on = patch[present[: self.budget.learned_mask_samples]]
        corrected_iou = self.study.corrected_iou[number].clip(0)
        return RankingInputs(
            number=number,
            start=corrected_iou / max(float(corrected_iou.max()), 1e-12),
            constant=presence.concept_means()[number],
            present=present,
            patches=patch[present],
            frequency=np.bincount(learned_on, minlength=patches.patches).astype(np.float64),
            leading=gradient_ranking(first)[number],
        )

    def _learn_rankings(self, inputs: Sequence[RankingInputs]) -> list[LearnedRanking]:
        """The learned mask and the greedy choice of every concept."""
        from dissectreport.worker.rankings import make_rankings

        arrays = {f"{item.number} {name}": np.asarray(value) for item in inputs for name, value in vars(item).items()}
        sizes = {
            k: v for k, v in asdict(self.budget).items() if k.startswith(("learned_mask", "greedy", "penalt", "search"))
        }
        store = self._store("rankings", budget=sizes, inputs=digest(arrays))
        make = partial(make_rankings, self.job.source, self.key, self.budget)
        self.runner.save_values(store, make, inputs, lambda item: concept_file(item.number), Task.LEARNING, "concepts")
        return [read(store, LearnedRanking, concept_file(item.number)) for item in inputs]

    def _compare_rankings(
        self, first: FirstOrder, learned: Sequence[LearnedRanking], inputs: Sequence[RankingInputs]
    ) -> tuple[str, ...]:
        """By concept the ranking whose leading units leave least of it, on selection latents that show most of it."""
        from dissectreport.worker.rankings import make_trials

        methods = rankings(self.study, first, learned)
        count = causal_size(self.budget, first.effect.shape[1])
        numbers = range(len(inputs))
        names = [
            [name for name in methods if name != Ranking.LEARNED_MASK or learned[number].mask.is_usable]
            for number in numbers
        ]
        sets = [[as_set(methods[name][number][:count]) for name in names[number]] for number in numbers]
        samples = [item.present[:EDIT_BATCH].tolist() for item in inputs]
        store = self._store("trials", sets=sets, samples=samples)
        make = partial(make_trials, self.job.source, self.key, sets, samples)
        self.runner.save_values(store, make, numbers, concept_file, Task.COMPARING, "concepts")
        remaining = [read(store, RemainingArea, concept_file(number)).pixels for number in numbers]
        return tuple(names[number][int(np.argmin(item))] for number, item in enumerate(remaining))

    def _ablate(self, plan: AblationPlan) -> tuple[Areas, str]:
        """The areas of all concepts on held-out latents, and where these and the causal effects are stored."""
        from dissectreport.worker.ablations import make_ablations

        sets, parts = plan.sets(), shards(self.budget.samples, EDIT_BATCH)
        store = self._store("ablations", sets=fingerprint({"sets": sets}))
        make = partial(make_ablations, self.job.source, self.key, sets)
        self.runner.count(store, make, parts, Task.ABLATION)
        return self.runner.total(store, parts, Areas), store.folder.name

    def _ablate_random_sets(self, plan: AblationPlan, areas: Areas) -> str:
        """The effects of the random sets of every concept on some of the held-out latents: where they are stored."""
        from dissectreport.worker.ablations import RandomTrial, make_random_ablations

        trials = []
        for number, concept in enumerate(self.key.concepts):
            samples = images_showing(areas, concept, self.budget.random_images)
            for size, sets in plan.random.items():
                trials.append(RandomTrial(random_file(number, size), concept, sets[number], samples))
        store = self._store("random ablations", trials=fingerprint({"trials": [asdict(trial) for trial in trials]}))
        make = partial(make_random_ablations, self.job.source, self.key)
        self.runner.save_values(store, make, trials, lambda trial: trial.name, Task.RANDOM, "sets")
        return store.folder.name

    def _ablate_sampled(self, plan: AblationPlan) -> str:
        """The effects of units drawn at random, one by one: where they are stored; '' where none are drawn."""
        from dissectreport.worker.ablations import make_ablations

        if not plan.sampled:
            return ""
        sets, parts = [(unit,) for unit in plan.sampled], shards(self.budget.sampled_images, EDIT_BATCH)
        store = self._store("sampled ablations", sets=fingerprint({"sets": sets}))
        self.runner.count(store, partial(make_ablations, self.job.source, self.key, sets), parts, Task.SAMPLED)
        return store.folder.name

    def _vary(self, plan: AblationPlan) -> str:
        """The effects of changing the causal sets in other ways: where they are stored; '' where none are measured."""
        from dissectreport.worker.ablations import make_variants

        if not self.budget.variant_images:
            return ""
        trials = [self._variant_trial(plan, number) for number in range(plan.concepts)]
        store = self._store("variants", trials=fingerprint({"trials": [asdict(trial) for trial in trials]}))
        make = partial(make_variants, self.job.source, self.key)
        self.runner.save_values(store, make, trials, lambda trial: trial.name, Task.VARIANTS, "concepts")
        return store.folder.name

    def _variant_trial(self, plan: AblationPlan, number: int) -> VariantTrial:
        """The other changes of the causal set of one of the concepts."""
        from dissectreport.worker.ablations import VariantTrial

        units, images = plan.causal_set(number), min(self.budget.variant_images, self.budget.samples)
        return VariantTrial(
            name=concept_file(number),
            concept=self.key.concepts[number],
            units=units,
            mean=values_of(plan.level, units),
            inserted=values_of(plan.concept_means[number], units),
            samples=tuple(range(images)),
            confident=min(self.budget.confidence_images, images),
        )

    def _insert(self, plan: AblationPlan, values: Floats) -> tuple[Insertions, str]:
        """The effects of inserting units in every context, and where they are stored."""
        from dissectreport.worker.insertions import InsertedSet, InsertionPlan, make_insertions

        contexts, areas = self._find_contexts()
        spots = insertion_spots(contexts, self.key.contexts, self.budget.context_each)
        if not spots:
            return Insertions.none(plan.concepts), ""
        rows = np.searchsorted(areas.samples, [sample for sample, _, _ in spots])
        insertion_plan = InsertionPlan(
            sets=tuple(InsertedSet(k, *one) for k, one in enumerate(inserted_sets(plan, values))),
            random=tuple(InsertedSet(*one) for one in inserted_random_sets(plan, values)),
            random_each=self.budget.context_random,
            spots=spots,
            before=tuple(map(tuple, areas.pixels[rows][:, list(self.key.concepts)].tolist())),
        )
        store = self._store("insertions", plan=fingerprint(asdict(insertion_plan)))
        parts = shards(len(spots), EDIT_BATCH)
        make = partial(make_insertions, self.job.source, self.key, insertion_plan)
        self.runner.count(store, make, parts, Task.INSERTION)
        return self.runner.total(store, parts, Insertions), store.folder.name

    def _find_contexts(self) -> tuple[PatchContexts, Areas]:
        """The context of every patch, and areas of concepts, of the held-out latents in which units are inserted."""
        from dissectreport.worker.insertions import make_contexts

        store, parts = self._store("contexts"), shards(self.budget.context_samples, EDIT_BATCH)
        self.runner.count(store, partial(make_contexts, self.job.source, self.key), parts, Task.CONTEXTS)
        return self.runner.total(store, parts, PatchContexts), self.runner.total(store, parts, Areas)

    def _make_pictures(
        self, plan: AblationPlan, values: Floats, areas: Areas, insertions: Insertions, first: FirstOrder
    ) -> str:
        """Images with and without units, of every concept and of every unit that was ablated alone."""
        from dissectreport.worker.edited_pictures import make_concept_examples

        examples = [self._concept_example(k, plan, values, areas, insertions) for k in range(plan.concepts)]
        examples += [self._unit_example(unit, areas, first) for unit in plan.singles]
        store = self._store("edited pictures", examples=[asdict(example) for example in examples])
        make = partial(make_concept_examples, self.job.source, self.key)
        task = Task.EDITED_PICTURES
        self.runner.save_values(store, make, examples, lambda example: example.name, task, "sets")
        return store.folder.name

    def _concept_example(
        self, number: int, plan: AblationPlan, values: Floats, areas: Areas, insertions: Insertions
    ) -> ConceptExample:
        from dissectreport.worker.edited_pictures import ConceptExample

        units, concept, shown = plan.causal_set(number), self.key.concepts[number], self.budget.shown
        return ConceptExample(
            name=concept_file(number),
            units=units,
            samples=shown_samples(areas, concept, shown),
            concept=concept,
            values=values_of(values[number], units),
            inserted=typical_insertions(insertions, number)[:shown],
            random=random_set(plan, number),
            mapped=best_matching(plan, number),
        )

    def _unit_example(self, unit: int, areas: Areas, first: FirstOrder) -> ConceptExample:
        """Images of the concept on which the unit has the largest effect."""
        from dissectreport.worker.edited_pictures import ConceptExample

        concept = self.key.concepts[int(strongest_concepts(first)[unit])]
        samples = shown_samples(areas, concept, UNIT_EXAMPLES)
        return ConceptExample(unit_file(unit), (unit,), samples)

    def _make_strips(self, areas: Areas, first: FirstOrder) -> tuple[str, tuple[str, ...]]:
        """Small images without each unit of the layer: where they are stored, and the names of the groups of units."""
        from dissectreport.worker.edited_pictures import make_unit_strips

        if not self.budget.strip_images:
            return "", ()
        groups = self._strip_groups(areas, first)
        store = self._store("unit strips", groups=[asdict(group) for group in groups])
        make = partial(make_unit_strips, self.job.source, self.key)
        self.runner.save_values(store, make, groups, lambda group: group.name, Task.STRIPS, "groups of units")
        return store.folder.name, tuple(group.name for group in groups)

    def _strip_groups(self, areas: Areas, first: FirstOrder) -> list[StripGroup]:
        """All units of the layer in groups, each shown on images of the concept on which its estimate is largest."""
        from dissectreport.worker.edited_pictures import StripGroup

        strongest, groups = strongest_concepts(first), []
        for number, concept in enumerate(self.key.concepts):
            units = np.flatnonzero(strongest == number).tolist()
            samples = shown_samples(areas, concept, self.budget.strip_images)
            for start in range(0, len(units), STRIP_GROUP):
                name = f"{concept_file(number)}-{start:05d}"
                groups.append(StripGroup(name, concept, tuple(units[start : start + STRIP_GROUP]), samples))
        return groups

    def _store(self, kind: str, **more: object) -> Store:
        return self.runner.open(kind, {**self.key.facts(), **more})
