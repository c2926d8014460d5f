"""The passes of one dissection, in order. How pixels are counted is defined in `worker`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from dissectreport.cache.reader import read, save, shard_name, stat_of
from dissectreport.cache.records import LayerRecord, Record, is_named_by_content, unique_name
from dissectreport.cache.store import Store, digest
from dissectreport.errors import ModelError, counted
from dissectreport.pipeline.image_passes import ImagePasses
from dissectreport.pipeline.pass_runner import PassRunner
from dissectreport.pipeline.pilot_progress import PilotProgress
from dissectreport.pipeline.prepare import Job
from dissectreport.pipeline.provenance import identity, versions
from dissectreport.pipeline.reporter import Reporter
from dissectreport.pipeline.reproduce import publishable_facts, reproduce
from dissectreport.pipeline.tasks import Task
from dissectreport.records.dissection import StoredThresholds, UnitScales
from dissectreport.run import engine
from dissectreport.run.addresses import source_of
from dissectreport.run.plan import ROTATIONS, Plan, Reading
from dissectreport.run.rules import Rule, rule_named
from dissectreport.run.shards import WHOLE, RunPart, Shard, shards
from dissectreport.stats.activation_range import ActivationRange
from dissectreport.stats.base import merge_all
from dissectreport.stats.categories import Categories, numbered
from dissectreport.stats.ends import Ends
from dissectreport.stats.joint import Joint
from dissectreport.stats.replaced import Replaced, most_replaced
from dissectreport.stats.thresholds import RULE_THRESHOLDS

if TYPE_CHECKING:
    from dissectreport.models.base import Generator
    from dissectreport.worker.loaded_networks import Source

UNTRAINED = 1
"""Seed of the untrained generator's weights."""


@dataclass(frozen=True)
class CountFolders:
    """The folders with the thresholds and the counts of a reading; '' if it was not measured."""

    thresholds: str = ""
    counts: str = ""


class DissectionPasses:
    """The passes of one dissection, in order."""

    def __init__(
        self,
        job: Job,
        workers: engine.Workers,
        reporter: Reporter,
        repeats: bool = True,
        part: RunPart = WHOLE,
    ) -> None:
        self.job, self.workers, self.reporter, self.repeats, self.part = job, workers, reporter, repeats, part
        self.runner = PassRunner(job.options.cache, job.source.device, workers, reporter)
        self.runner.folders |= job.behaviours
        self.rule = rule_named(job.plan.rule)
        self.source = replace(job.source, as_published=self.rule.is_published)
        self.readings = [Reading(layer) for layer in job.layers]
        controlled = job.layers if job.options.controls else ()
        self.controlled = controlled
        # Counts of the corrected rule include shifted masks; a published rule counts them in a reading of their own.
        self.shifted = [Reading(layer, shift=1) for layer in controlled] if self.rule.is_published else []
        self.replaced: tuple[int, ...] = ()
        """Samples whose own latents give no finite image, known when all are counted."""

    @cached_property
    def random_directions(self) -> Mapping[str, list[Reading]]:
        """By layer the readings of random directions, one for each rotation; computed after the networks are checked.

        Units are divided by their standard deviation before they are rotated: otherwise directions would be those of
        the few units with the largest activations.
        """
        scales = self._scales()
        return {layer: [Reading(layer, seed, scales[layer]) for seed in ROTATIONS] for layer in self.controlled}

    @property
    def random_readings(self) -> list[Reading]:
        """The readings of random directions of all layers."""
        return [reading for readings in self.random_directions.values() for reading in readings]

    def run(self) -> Record:
        """Run all passes; the record is saved after everything that it names."""
        job = self.job
        measured, untrained = self.count()
        images = ImagePasses(job, self.source, self.runner, self.workers, self.reporter)
        pictures = images.make_pictures({reading.layer: measured[reading].counts for reading in self.readings})
        segmented = images.segment_real_images()
        real = images.count_real_images()
        layers = tuple(self._layer_record(reading.layer, measured, untrained) for reading in self.readings)
        record = self._record(layers, pictures, segmented, real)
        record.save(job.options.cache, self.reporter.say)
        return record

    def count(self) -> tuple[dict[Reading, CountFolders], dict[Reading, CountFolders]]:
        """The folders of all counts by reading, and those of the untrained control; a part counts its shards alone."""
        control = self._untrained_control()
        measured = self._count(self.source, self.job.plan, [*self.readings, *self.random_readings, *self.shifted])
        self._check_replaced(measured[self.readings[0]].counts)
        return measured, self._count_untrained(control)

    # --- before anything is measured ---

    def _untrained_control(self) -> Generator | None:
        """The generator with random weights; None where no controls are wanted, or it cannot be made."""
        from dissectreport.worker.loaded_networks import untrained

        if not self.job.options.controls:
            return None
        control = untrained(self.job.generator, UNTRAINED)
        if control is None:
            name = self.job.generator.name
            self.reporter.say(f"no untrained control: {name} has no `reinitialise`")
        return control

    def known_samples(self) -> int:
        """Samples of the first layer's units that were counted before; 0 where its thresholds are not known."""
        if self.rule.searches:
            return 0
        return self.job.samples - sum(shard.count for shard in self.uncounted(self.readings[:1]))

    def uncounted(self, readings: Sequence[Reading] = ()) -> list[Shard]:
        """The shards that are not counted of every reading, by default of all of the trained generator."""
        plan, parts = self.job.plan, shards(self.job.samples, self.job.plan.shard)
        lacking: set[Shard] = set()
        if not readings and self._without_scales():
            return list(parts)
        for reading in readings or (*self.readings, *self.random_readings):
            thresholds = self._thresholds_store(plan, reading)
            if not self.runner.is_intact(thresholds, StoredThresholds.FILE):
                return list(parts)
            counts = self._counts_store(plan, reading, self._read_thresholds(thresholds))
            lacking |= {shard for shard in parts if not counts.has(shard_name(shard))}
        return sorted(lacking, key=lambda shard: shard.number)

    # --- thresholds ---

    def _scales_stores(self) -> dict[str, Store]:
        plan = replace(self.job.plan, segmenter="")
        return {layer: self._store("scales", plan, layer=layer) for layer in self.controlled}

    def _without_scales(self) -> list[str]:
        """The layers with random directions for which the standard deviations of the units are not known."""
        stores = self._scales_stores()
        return [layer for layer, store in stores.items() if not self.runner.is_intact(store, UnitScales.FILE)]

    def _scales(self) -> dict[str, tuple[float, ...]]:
        """By layer the standard deviation of every unit over the first shard of the pilot."""
        from dissectreport.worker.finite_images import finite_work
        from dissectreport.worker.pilot import make_scales

        plan, missing, stores = self.job.plan, self._without_scales(), self._scales_stores()
        first = shards(plan.pilot, plan.shard)[:1]
        make = partial(make_scales, self.source, plan, missing)
        for _, scales in (
            self.workers.run(partial(finite_work, make), first, "scaling units for random directions")
            if missing
            else ()
        ):
            for layer in missing:
                save(stores[layer], scales[layer])
        return {layer: tuple(read(store, UnitScales).scales.tolist()) for layer, store in stores.items()}

    def _find_thresholds(self, source: Source, plan: Plan, readings: Sequence[Reading]) -> dict[Reading, Store]:
        """For each reading the store of the thresholds at which it is counted."""
        unshifted = list(dict.fromkeys(replace(r, shift=0) for r in readings))
        from_pilot = self._thresholds_of_pilot(source, plan, unshifted)
        stores = {r: from_pilot[replace(r, shift=0)] for r in readings}
        return self._search_thresholds(source, plan, stores) if self.rule.searches else stores

    def _thresholds_of_pilot(self, source: Source, plan: Plan, readings: Sequence[Reading]) -> dict[Reading, Store]:
        """For each reading the store of thresholds of a pilot, which runs where they are not known yet."""
        stores = {r: self._thresholds_store(plan, r) for r in readings}
        missing = [r for r in readings if not self.runner.is_intact(stores[r], StoredThresholds.FILE)]
        if missing:
            ranges = self._ranges(source, plan, missing)
            progress = self._histograms(source, plan, missing, ranges)
            for reading in missing:
                thresholds = RULE_THRESHOLDS[plan.rule].of(progress.sums[reading.key])
                save(stores[reading], StoredThresholds(thresholds, ranges[reading.key].shape))
            progress.finish()
        return stores

    def _ranges(self, source: Source, plan: Plan, readings: Sequence[Reading]) -> dict[str, ActivationRange]:
        """By reading the least and the largest activation of every unit over a part of the pilot."""
        from dissectreport.worker.finite_images import finite_work
        from dissectreport.worker.pilot import make_range

        parts = shards(plan.pilot, plan.shard)
        first = parts if self.rule.is_published else parts[: max(1, len(parts) // 8)]
        ranges: dict[str, ActivationRange] = {}
        make = partial(finite_work, partial(make_range, source, plan, readings))
        for _, result in sorted_by_shard(self.workers.run(make, first, "finding the range of activations")):
            for key, ends in result.items():
                ranges[key] = ranges[key].merge(ends) if key in ranges else ends
        return ranges

    def _histograms(
        self, source: Source, plan: Plan, readings: Sequence[Reading], ranges: dict[str, ActivationRange]
    ) -> PilotProgress:
        """The activations of every unit over the pilot, by reading."""
        from dissectreport.worker.pilot import make_pilot

        parts = shards(plan.pilot, plan.shard)
        make = partial(make_pilot, source, plan, readings, ranges)
        ends = {key: digest({"low": one.low, "high": one.high}) for key, one in ranges.items()}
        progress = PilotProgress(self.runner, {**replace(plan, segmenter="").facts(), "ranges": ends}, readings)
        missing, task = progress.missing(parts), _task(source, Task.PILOT, Task.CONTROL_PILOT)
        for shard, counts in self.runner.results(make, missing, parts, task):
            progress.add(shard, counts)
        return progress

    def _search_thresholds(self, source: Source, plan: Plan, of_pilot: Mapping[Reading, Store]) -> dict[Reading, Store]:
        """For each reading the store of the threshold and label that were searched for among those of the pilot."""
        from dissectreport.worker import published_rules

        thresholds = {r: self._read_thresholds(store) for r, store in of_pilot.items()}
        stores = {
            r: self._store("search", plan, reading=asdict(r), thresholds=digest(thresholds[r].thresholds.arrays()))
            for r in of_pilot
        }
        task = _task(source, Task.THRESHOLD_SEARCH, Task.CONTROL_THRESHOLD_SEARCH)
        self._fill(published_rules.make_search, source, plan, thresholds, stores, plan.pilot, task)
        for reading, store in stores.items():
            self.runner.once(store, StoredThresholds, partial(self._searched, store, thresholds[reading]))
        return stores

    def _searched(self, store: Store, of_pilot: StoredThresholds) -> StoredThresholds:
        """The threshold at which every unit has the largest mutual information with a label."""
        from dissectreport.analysis.dissection.iclr2019_search import search

        parts = shards(self.job.plan.pilot, self.job.plan.shard)
        joint, ends = self.runner.total(store, parts, Joint), self.runner.total(store, parts, Ends)
        categories = self.runner.total(store, parts, Categories)
        category = numbered(self.job.segmenter.vocabulary.category_of_each)
        result = search(joint, ends, categories, category, of_pilot.exact.cuts)
        return StoredThresholds(of_pilot.exact.around(result.own), of_pilot.shape, result.ratio)

    # --- counts ---

    def _count(self, source: Source, plan: Plan, readings: Sequence[Reading]) -> dict[Reading, CountFolders]:
        """For each reading the folders of its thresholds and of its counts, all samples counted."""
        threshold_stores = self._find_thresholds(source, plan, readings)
        thresholds = {r: self._read_thresholds(store) for r, store in threshold_stores.items()}
        stores = {r: self._counts_store(plan, r, thresholds[r]) for r in readings}
        task = _task(source, Task.COUNTING, Task.CONTROL_COUNTING)
        self._fill(_counting(self.rule), source, plan, thresholds, stores, self.job.samples, task)
        for reading, store in stores.items():
            # Controls of a published rule have their own thresholds, stored with their counts.
            if self.rule.is_published and not self.runner.is_intact(store, StoredThresholds.FILE):
                save(store, thresholds[reading])
        return {r: CountFolders(threshold_stores[r].folder.name, stores[r].folder.name) for r in readings}

    def _check_replaced(self, folder: str) -> None:
        """Find the samples that have another latent in a folder of counts; ModelError where there are too many."""
        parts, store = self.part.taken(shards(self.job.samples, self.job.plan.shard)), Store(self.runner.cache / folder)
        stats = [stat for shard in parts if (stat := stat_of(store, shard, Replaced)) is not None]
        self.replaced = tuple(merge_all(stats).samples.tolist()) if stats else ()
        if not self.replaced:
            return
        samples, listed = sum(shard.count for shard in parts), numbers_line(self.replaced)
        many, name = counted(len(self.replaced), "image"), self.job.generator.name
        line = f"{many} of {samples:,} of generator {name!r} not finite ({listed})"
        if len(self.replaced) > (most := most_replaced(samples)):
            raise ModelError(f"{line}, and at most {most:,} may be; check the weights, or the precision they are in")
        self.reporter.say(f"caution: {line}: other latents are drawn in their place")

    def _count_untrained(self, control: Generator | None) -> dict[Reading, CountFolders]:
        """The result of `_count` for the untrained generator; nothing where there is none, or where it fails."""
        if control is None:
            return {}
        source = replace(self.source, untrained=UNTRAINED)
        name = f"untrained {identity(control, self.job.options.model)}"
        try:
            return self._count(source, replace(self.job.plan, generator=name), self.readings)
        except ModelError as error:
            self.reporter.say(f"the untrained control is left out, because with random weights {error}")
            return {}

    def _fill(
        self,
        make_pass: Callable[..., Any],
        source: Source,
        plan: Plan,
        thresholds: Mapping[Reading, StoredThresholds],
        stores: Mapping[Reading, Store],
        samples: int,
        task: str,
    ) -> None:
        """Run a pass over those of the part's shards that a reading's store lacks."""
        parts = self.part.taken(shards(samples, plan.shard))
        missing = {s: [r for r in stores if not self.runner.is_intact(stores[r], shard_name(s))] for s in parts}
        for needed, group in by_missing_readings(missing).items():
            make = partial(make_pass, source, plan, needed, {r.key: thresholds[r].thresholds for r in needed})
            for shard, stats in self.runner.results(make, group, parts, task):
                for reading in needed:
                    self.runner.save_shard(stores[reading], shard, stats[reading.key].values())

    # --- stores ---

    def _thresholds_store(self, plan: Plan, reading: Reading) -> Store:
        """The store of a reading's thresholds, which do not depend on the segmenter."""
        return self._store("thresholds", replace(plan, segmenter=""), reading=asdict(reading))

    def _counts_store(self, plan: Plan, reading: Reading, thresholds: StoredThresholds) -> Store:
        """The store of a reading's counts at these thresholds."""
        return self._store("counts", plan, reading=asdict(reading), thresholds=digest(thresholds.thresholds.arrays()))

    def _store(self, kind: str, plan: Plan, **more: Any) -> Store:
        return self.runner.open(kind, {**plan.facts(), **more})

    def _read_thresholds(self, store: Store) -> StoredThresholds:
        return read(store, StoredThresholds)

    # --- the record ---

    def _layer_record(
        self, layer: str, measured: Mapping[Reading, CountFolders], untrained: Mapping[Reading, CountFolders]
    ) -> LayerRecord:
        nothing = CountFolders()
        return LayerRecord(
            name=layer,
            thresholds=measured[Reading(layer)].thresholds,
            counts=measured[Reading(layer)].counts,
            random_directions=tuple(measured[reading].counts for reading in self.random_directions.get(layer, ())),
            untrained=untrained.get(Reading(layer), nothing).counts,
            shifted=measured.get(Reading(layer, shift=1), nothing).counts,
        )

    def _record(
        self, layers: tuple[LayerRecord, ...], pictures: str, segmented: str, real: Mapping[str, Any]
    ) -> Record:
        from dissectreport.models.base import ImageModel

        job, options = self.job, self.job.options
        source = source_of(options.model)
        # A description or a checkpoint names its model; other models are named by their address.
        described = is_named_by_content(source)
        model = unique_name(options.cache, job.generator.name if described else options.model, source)
        generator = {
            "name": model if described else job.generator.name,
            "identity": job.generator.identity,
            "image_size": list(job.generator.image_size),
            "latent_shape": list(job.generator.latent_shape),
            **job.generator.facts,
            **({} if self.repeats else {"repeats": False}),
            **({"replaced": list(self.replaced)} if self.replaced else {}),
        }
        facts = getattr(job.segmenter, "facts", {})
        return Record(
            model=model,
            rule=options.rule,
            plan=asdict(job.plan),
            samples=job.samples,
            layers=layers,
            pictures=pictures,
            vocabulary=job.segmenter.vocabulary,
            generator=publishable_facts(generator),
            segmenter=publishable_facts({"name": job.segmenter.name, "identity": job.segmenter.identity, **facts}),
            versions=versions(),
            command=options.command or reproduce(job),
            folders=tuple(sorted(self.runner.folders)),
            mixed_devices=options.mixed_devices,
            segmented=segmented,
            real=real,
            reference={} if job.reference is None else job.reference.description(),
            reads=job.generator.description() if isinstance(job.generator, ImageModel) else {},
            source=source,
        )


def numbers_line(samples: Sequence[int], most: int = 8) -> str:
    """Which samples, in words: the first few."""
    more = " …" if len(samples) > most else ""
    return f"{'sample' if len(samples) == 1 else 'samples'} {', '.join(map(str, samples[:most]))}{more}"


def _task(source: Source, trained: Task, control: Task) -> Task:
    """The task of the trained generator, or of its untrained control."""
    return trained if source.untrained is None else control


def _counting(rule: Rule) -> Callable[..., Any]:
    """The pass that counts under a rule."""
    from dissectreport.worker import dissection as measure
    from dissectreport.worker import published_rules

    return published_rules.make_counts if rule.is_published else measure.make_counts


def by_missing_readings(missing: Mapping[Shard, list[Reading]]) -> dict[tuple[Reading, ...], list[Shard]]:
    """Shards grouped by missing readings, so that one pass over the networks measures all that are missing."""
    groups: dict[tuple[Reading, ...], list[Shard]] = {}
    for shard, readings in missing.items():
        if readings:
            groups.setdefault(tuple(readings), []).append(shard)
    return groups


def sorted_by_shard(results: Iterable[tuple[Shard, Any]]) -> list[tuple[Shard, Any]]:
    """Results in order of their shards."""
    return sorted(results, key=lambda pair: pair[0].number)
