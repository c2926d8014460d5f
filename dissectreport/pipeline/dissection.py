"""The passes of one measurement, in order. Nothing here knows how anything is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dissectreport.cache import store
from dissectreport.cache.reader import flat, read_stat, shard_name, sound
from dissectreport.cache.records import DESCRIPTION, LayerRecord, Record, called, source_of
from dissectreport.cache.store import Store
from dissectreport.errors import ModelError, answered, counted
from dissectreport.pipeline.prepare import Job, Listener, identity, reproduce, versions
from dissectreport.run import engine
from dissectreport.run.plan import FORMAT, SHARD, Plan, Reading, Rule, Shard, rule_named, shards
from dissectreport.stats.base import merge_all
from dissectreport.stats.categories import numbered
from dissectreport.stats.histogram import Histogram
from dissectreport.stats.thresholds import RULE_THRESHOLDS, AnyThresholds, ExactThresholds

if TYPE_CHECKING:
    from dissectreport.worker.loaded_networks import Source

ROTATION = 2017
"""Seed of the random rotation of the units (Network Dissection's axis test, 2017)."""
UNTRAINED = 1
"""Seed of the untrained generator's weights."""
LOOKUP = 12
"""Images in which a reader can look up which units fire."""
TRUST = 12
"""Images whose segmentation is shown."""
REAL = 528
"""Real images in which concepts are counted, to compare with those of generated images."""


@dataclass(frozen=True)
class Cost:
    """Seconds of one core, beside the networks, for the estimate alone."""

    spot: float
    """To count one unit at one pixel, null included."""
    shard: float
    """To add up, pack and write one unit of one shard, whatever its samples."""
    pilot: float
    """To find the level of one unit at one pixel of the pilot."""


COSTS = {
    "corrected": Cost(9e-9, 8e-4, 4.5e-9),
    "iclr2019": Cost(5e-8, 1.2e-3, 9e-9),
    "pnas2020": Cost(3e-8, 8e-4, 9e-9),
}
PICTURES = 1000
"""Images that are made once more to be shown, about."""
KEPT = 230
"""Bytes kept of one unit and concept in one shard, after compression: for the estimate alone."""


class Measurement:
    """The passes of one job, in order."""

    def __init__(self, job: Job, workers: engine.Workers, listener: Listener) -> None:
        self.job, self.workers, self.listener = job, workers, listener
        self.cache = job.options.cache / "measurements"
        self.repeats = True
        self.folders: set[str] = set()
        self.readings = [Reading(layer) for layer in job.layers]
        self.rule = rule_named(job.plan.rule)
        controlled = job.layers if job.options.controls else ()
        self.rotated = [Reading(layer, ROTATION) for layer in controlled]
        # The corrected rule's counts hold a pretend observation; a published rule gets one of its own.
        self.shifted = [Reading(layer, shift=1) for layer in controlled] if self.rule.reference else []
        self.untrained = [Reading(layer) for layer in controlled]

    @cached_property
    def real(self) -> int:
        """In how many real images concepts are counted; asked only once the networks are known to work."""
        return real_images(self.job)

    def run(self) -> Record:
        """All passes; the record is saved when everything that it names is there."""
        from dissectreport.worker.loaded_networks import untrained

        job = self.job
        bare_network = untrained(job.generator, UNTRAINED) if self.untrained else None
        if self.untrained and bare_network is None:
            self.untrained = []
            self.listener.say(f"no untrained control: {job.generator.name} has no `reinitialise`")
        self._announce()
        readings = [*self.readings, *self.rotated, *self.shifted]
        measured = self._counted(job.source, job.plan, readings, "units")
        bare: dict[Reading, tuple[str, str]] = {}
        if bare_network is not None:
            source = replace(job.source, untrained=UNTRAINED)
            plan = replace(job.plan, generator=f"untrained {identity(bare_network, job.options.model)}")
            bare = self._counted(source, plan, self.untrained, "untrained control")
        pictures = self._pictures({r.layer: measured[r][1] for r in self.readings})
        drawn = self._drawn()
        real = self._real()
        layers = [
            LayerRecord(
                reading.layer,
                *measured[reading],
                measured.get(Reading(reading.layer, ROTATION), ("", ""))[1],
                bare.get(reading, ("", ""))[1],
                measured.get(Reading(reading.layer, shift=1), ("", ""))[1],
            )
            for reading in self.readings
        ]
        record = self._record(tuple(layers), pictures, drawn, real)
        record.save(job.options.cache)
        return record

    def _announce(self) -> None:
        """Say what the run will cost."""
        from dissectreport.worker.first_batch import CLOSE, networks_cost

        job, plan, samples = self.job, self.job.plan, self.job.samples
        batch = min(plan.batch, samples)
        known = self._known()
        if known != samples:
            self.workers.warm("dissectreport.worker.dissection")
        first = networks_cost(job.source, job.layers, plan.seed, batch)
        networks = (1 + bool(self.untrained)) * (first.generator + first.segmenter)
        units = first.units * (1 + bool(self.rotated) + bool(self.untrained) + bool(self.shifted))
        cost, spots = COSTS[plan.rule], units * plan.grid**2
        counting = networks + spots * cost.spot + units * cost.shard / plan.shard
        pilot = (1 + bool(self.untrained)) * first.generator + spots * cost.pilot
        pictures = min(samples, PICTURES) * (first.generator + first.segmenter)
        passes = samples + (plan.pilot if self.rule.searches else 0)
        real = self.real * first.segmenter
        total = (passes * counting + plan.pilot * pilot + pictures + real) / job.workers
        # Of a large vocabulary few concepts occur; a shard holds some more than its first batch.
        disk = units * samples / plan.shard * KEPT * first.concepts
        controls = ", and controls" if self.rotated else ""
        later = {"interventions": job.intervention, "artifact units": job.examining}
        more = f" ({', '.join([name for name, wish in later.items() if wish is not None] + ['drawing'])} come after)"
        layers = f"{counted(len(job.layers), 'layer')}{controls}"
        size = f"{counted(samples, 'sample')}, {counted(first.units, 'unit')} in {layers}"
        workers = f"{job.workers} at a time on {job.source.device}{more}"
        if known == samples:
            self.listener.say(f"{size}: counted before, so that only what is missing is measured{more}")
        else:
            before = f", {known:,} samples of it counted before" if known else ""
            total, disk = ((1 - known / samples) * each for each in (total, disk))
            self.listener.say(
                f"{size}{before}: about {spoken(total)} to measure with {workers}, and {disk / 1e6:,.0f} MB of cache"
            )
        self.repeats = first.unlike <= CLOSE
        if not self.repeats:
            self.listener.say(
                f"caution: {job.generator.name} gives other images the second time for the same latents: something in"
                " it is random, such as noise or dropout, so that no number can be repeated; see `dissectreport check`"
            )

    def _known(self) -> int:
        """Samples of the first layer's units that were counted before; 0 where its levels are not known."""
        reading, plan = self.readings[0], self.job.plan
        levels = self._levels_store(plan, reading)
        if self.rule.searches or not self._sound(levels, "levels"):
            return 0
        counts = self._counts_store(plan, reading, self._read_levels(levels))
        return sum(shard.count for shard in shards(self.job.samples, plan.shard) if counts.has(shard_name(shard)))

    def _levels_store(self, plan: Plan, reading: Reading) -> Store:
        """Where the levels of a reading lie, on which no segmenter has a say."""
        return self._store("levels", replace(plan, segmenter=""), reading=asdict(reading))

    def _counts_store(self, plan: Plan, reading: Reading, levels: AnyThresholds) -> Store:
        """Where the counts of a reading at these levels lie."""
        return self._store("counts", plan, reading=asdict(reading), levels=store.digest(levels.arrays()))

    def _store(self, kind: str, plan: Plan, **more: Any) -> Store:
        return self._opened({"kind": kind, **plan.facts(), **more})

    def _opened(self, facts: Mapping[str, Any]) -> Store:
        place = Store.open(self.cache, facts)
        self.folders.add(place.folder.name)
        return place

    def _counted(
        self, source: Source, plan: Plan, readings: Sequence[Reading], what: str
    ) -> dict[Reading, tuple[str, str]]:
        """For each reading the folders of its levels and of its counts, all samples counted."""
        places = self._levels(source, plan, readings, what)
        levels = {r: self._read_levels(place) for r, place in places.items()}
        stores = {r: self._counts_store(plan, r, levels[r]) for r in readings}
        samples = self.job.samples
        self._fill(_counting(self.rule), source, plan, levels, stores, samples, f"counting {what}")
        for reading, place in stores.items():
            # A published rule's controls are judged at levels of their own, which their counts bring along.
            if self.rule.reference and not self._sound(place, "levels"):
                place.save("levels", places[reading].load("levels"))
        return {r: (places[r].folder.name, stores[r].folder.name) for r in readings}

    def _fill(
        self,
        make_pass: Callable[..., Any],
        source: Source,
        plan: Plan,
        levels: Mapping[Reading, AnyThresholds],
        stores: Mapping[Reading, Store],
        samples: int,
        task: str,
    ) -> None:
        """Run a pass over those of the samples' shards that a reading's store lacks."""
        wanted = shards(samples, plan.shard)
        missing = {s: [r for r in stores if not self._sound(stores[r], shard_name(s))] for s in wanted}
        for needed, group in grouped(missing).items():
            make = partial(make_pass, source, plan, needed, {r.key: levels[r] for r in needed})
            for shard, found in self._run(make, group, task, wanted):
                for reading in needed:
                    device = np.array(source.device)
                    stores[reading].save(shard_name(shard), {**flat(found[reading.key]), "device": device})

    def _read_levels(self, place: Store) -> AnyThresholds:
        return RULE_THRESHOLDS[self.rule.name].read(place.load("levels"))

    def _levels(self, source: Source, plan: Plan, readings: Sequence[Reading], what: str) -> dict[Reading, Store]:
        """For each reading the store of the levels at which it is counted."""
        unshifted = list(dict.fromkeys(replace(r, shift=0) for r in readings))
        cut = self._cut(source, plan, unshifted, what)
        places = {r: cut[replace(r, shift=0)] for r in readings}
        return self._searched(source, plan, places, what) if self.rule.searches else places

    def _searched(self, source: Source, plan: Plan, cut: Mapping[Reading, Store], what: str) -> dict[Reading, Store]:
        """For each reading the store of the level and label that were searched for among the levels given."""
        from dissectreport.analysis.dissection.iclr2019_search import search
        from dissectreport.worker import published_rules

        levels = {r: ExactThresholds.from_arrays(place.load("levels")) for r, place in cut.items()}
        digests = {r: store.digest(level.arrays()) for r, level in levels.items()}
        stores = {r: self._store("search", plan, reading=asdict(r), levels=digests[r]) for r in cut}
        task = f"searching levels, {what}"
        self._fill(published_rules.make_search, source, plan, levels, stores, plan.pilot, task)
        category = numbered([concept.category for concept in self.job.segmenter.vocabulary.concepts])
        for reading, place in stores.items():
            if self._sound(place, "levels"):
                continue
            joint, ends, categories = (
                merge_all(stat for _, stat in self._read_samples(place, plan.pilot, name))
                for name in ("joint", "ends", "categories")
            )
            found = search(joint, ends, categories, category, levels[reading].cuts)
            shape = cut[reading].load("levels")["shape"]
            level = levels[reading].around(found.own)
            place.save("levels", {**level.arrays(), "order": found.ratio, "shape": shape})
        return stores

    def _cut(self, source: Source, plan: Plan, readings: Sequence[Reading], what: str) -> dict[Reading, Store]:
        """For each reading the store of levels cut from a pilot, which runs where they are not known yet."""
        from dissectreport.worker.pilot import make_pilot, make_range

        stores = {r: self._levels_store(plan, r) for r in readings}
        missing = [r for r in readings if not self._sound(stores[r], "levels")]
        if not missing:
            return stores
        parts = shards(plan.pilot, plan.shard)
        first = parts if self.rule.reference else parts[: max(1, len(parts) // 8)]
        ranges: dict[str, dict[str, Any]] = {}
        shapes: dict[str, Any] = {}
        for _, found in sorted_by_shard(self.workers.run(partial(make_range, source, plan, missing), first)):
            for key, ends in found.items():
                known = ranges.setdefault(key, ends)
                known["low"] = np.minimum(known["low"], ends["low"])
                known["high"] = np.maximum(known["high"], ends["high"])
                shapes[key] = ends["shape"]
        sums: dict[str, Histogram] = {}
        make = partial(make_pilot, source, plan, missing, ranges)
        for _, counts in self._run(make, parts, f"pilot, {what}", parts):
            for key, histogram in counts.items():
                sums[key] = sums[key].merge(histogram) if key in sums else histogram
        for reading in missing:
            arrays = RULE_THRESHOLDS[plan.rule].of(sums[reading.key]).arrays()
            stores[reading].save("levels", {**arrays, "shape": shapes[reading.key]})
        return stores

    def _pictures(self, counts: Mapping[str, str]) -> str:
        """The folder of the shown images, maps and segmentations, all made."""
        from dissectreport.analysis.dissection.units import examples
        from dissectreport.worker.pictures import ShownSamples, make_pictures

        job = self.job
        wanted = {}
        for layer, name in counts.items():
            peaks = merge_all(stat for _, stat in self._read(name, "peaks"))
            wanted[layer] = examples(peaks)[1]
        pool = np.random.RandomState(2).permutation(job.samples)[: max(LOOKUP, TRUST)]
        chosen = [np.sort(pool[:LOOKUP]), np.sort(pool[:TRUST])]
        samples = np.unique(np.concatenate([*(w.flatten() for w in wanted.values()), *chosen]))
        shown = ShownSamples(samples, wanted, *chosen)
        place = self._store("pictures", job.plan, shown=store.digest({"samples": samples, **wanted}))
        parts = shards(len(samples), SHARD)
        missing = [s for s in parts if not self._sound(place, shard_name(s))]
        make = partial(make_pictures, job.source, job.plan, shown)
        for shard, found in self._run(make, missing, "pictures", parts):
            place.save(shard_name(shard), found)
        return place.folder.name

    def _drawn(self) -> str:
        """The folder of real images as the segmenter sees them: of the reference, or of the generator's own."""
        from dissectreport.worker.real_images import make_drawn

        job, plan = self.job, self.job.plan
        images = plan.generator if job.reference is None else job.reference.identity
        facts = {"format": FORMAT, "images": images, "segmenter": plan.segmenter, "count": TRUST, "torch": plan.torch}
        place = self._opened({"kind": "drawn", **facts})
        if not self._sound(place, "drawn"):
            for _, found in self.workers.run(partial(make_drawn, job.source, TRUST), [Shard(0, 0, 1)]):
                place.save("drawn", found)
        return place.folder.name

    def _real(self) -> Mapping[str, Any]:
        """Where the areas of concepts in real images lie, and how many images were asked for; empty without any."""
        from dissectreport.models.base import makes_images
        from dissectreport.worker.real_images import make_real_areas

        job, plan, count = self.job, self.job.plan, self.real
        if not count:
            if makes_images(job.generator):
                self.listener.say(
                    f"no comparison with real images: {job.generator.name} brings none; --reference FOLDER gives some"
                )
            return {}
        images = plan.generator if job.reference is None else job.reference.identity
        facts = {
            "format": FORMAT,
            "images": images,
            "segmenter": plan.segmenter,
            "grid": plan.grid,
            "torch": plan.torch,
        }
        place = self._opened({"kind": "real areas", **facts})
        parts = shards(count, SHARD)
        missing = [s for s in parts if not self._sound(place, shard_name(s))]
        make = partial(make_real_areas, job.source, plan, count)
        for shard, found in self._run(make, missing, "concepts in real images", parts):
            place.save(shard_name(shard), flat(found))
        return {"folder": place.folder.name, "images": count}

    def _run(
        self, make: engine.Make[Shard, Any], missing: Sequence[Shard], task: str, wanted: Sequence[Shard]
    ) -> Iterator[tuple[Shard, Any]]:
        """Run a pass over those of the wanted shards that are missing, telling the listener after each."""
        total = sum(shard.count for shard in wanted)
        done = total - sum(shard.count for shard in missing)
        if not missing:
            return
        self.listener.progress(task, done, total, "samples")
        for shard, found in self.workers.run(make, missing):
            yield shard, found
            done += shard.count
            self.listener.progress(task, done, total, "samples")

    def _sound(self, place: Store, name: str) -> bool:
        return sound(place, name, self.listener.say)

    def _read(self, folder: str, stat: str) -> Iterator[tuple[Shard, Any]]:
        return self._read_samples(Store(self.cache / folder), self.job.samples, stat)

    def _read_samples(self, place: Store, samples: int, stat: str) -> Iterator[tuple[Shard, Any]]:
        return read_stat(place, shards(samples, self.job.plan.shard), stat)

    def _record(self, layers: tuple[LayerRecord, ...], pictures: str, drawn: str, real: Mapping[str, Any]) -> Record:
        from dissectreport.models.base import ImageModel

        job, options = self.job, self.job.options
        source = source_of(options.model)
        # A description gives the model a name; other addresses are what people know it by.
        described = source.endswith(DESCRIPTION)
        model = called(options.cache, job.generator.name if described else options.model, source)
        generator = {
            "name": model if described else job.generator.name,
            "identity": job.generator.identity,
            "image_size": list(job.generator.image_size),
            "latent_shape": list(job.generator.latent_shape),
            **job.generator.facts,
            **({} if self.repeats else {"repeats": False}),
        }
        facts = getattr(job.segmenter, "facts", {})
        segmenter = {"name": job.segmenter.name, "identity": job.segmenter.identity, **facts}
        return Record(
            model,
            options.rule,
            asdict(job.plan),
            job.samples,
            layers,
            pictures,
            tuple((c.name, c.category) for c in job.segmenter.vocabulary.concepts),
            generator,
            segmenter,
            versions(),
            options.command or reproduce(job),
            tuple(sorted(self.folders)),
            options.mixed_devices,
            drawn=drawn,
            real=real,
            reference={} if job.reference is None else job.reference.description(),
            reads=job.generator.description() if isinstance(job.generator, ImageModel) else {},
            source=source,
        )


def real_images(job: Job) -> int:
    """In how many real images concepts are counted, no more than are generated; 0 where there are none to compare."""
    from dissectreport.models.base import makes_images

    if not makes_images(job.generator):
        return 0
    if job.reference is not None:
        return min(REAL, job.samples, len(job.reference.order(0)))
    who = f"generator {job.generator.name!r} failed to give a real image"
    one = answered(ModelError, who, lambda: job.generator.training_like_images(1))
    return min(REAL, job.samples) if one is not None else 0


def _counting(rule: Rule) -> Callable[..., Any]:
    """The pass that counts under a rule."""
    from dissectreport.worker import dissection as measure
    from dissectreport.worker import published_rules

    return published_rules.make_counts if rule.reference else measure.make_counts


def grouped(missing: Mapping[Shard, list[Reading]]) -> dict[tuple[Reading, ...], list[Shard]]:
    """Shards by what they lack, so that one pass over the networks serves every layer that lacks the same."""
    found: dict[tuple[Reading, ...], list[Shard]] = {}
    for shard, readings in missing.items():
        if readings:
            found.setdefault(tuple(readings), []).append(shard)
    return found


def sorted_by_shard(results: Iterable[tuple[Shard, Any]]) -> list[tuple[Shard, Any]]:
    """Results in order of their shards."""
    return sorted(results, key=lambda pair: pair[0].number)


def spoken(seconds: float) -> str:
    """A time in the unit that suits it.

    >>> spoken(42), spoken(200), spoken(9000)
    ('42 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
