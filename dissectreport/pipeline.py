"""The order of the passes, on the driver: measure, then render. Nothing here knows how anything is counted."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dissectreport import __version__, engine, records, store
from dissectreport.errors import BadOption, CacheError, UnknownName
from dissectreport.plan import SHARD, Plan, Reading, Rule, Shard, rule_named, shards
from dissectreport.records import LayerRecord, Record
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Stat, merge_all
from dissectreport.stats.categories import Categories, numbered
from dissectreport.stats.cross import Cross
from dissectreport.stats.ends import Ends
from dissectreport.stats.histogram import Histogram
from dissectreport.stats.joint import Joint
from dissectreport.stats.levels import CUTTINGS, AnyLevels, ExactLevels
from dissectreport.stats.null import Chance
from dissectreport.stats.peaks import Peaks
from dissectreport.store import Store

if TYPE_CHECKING:
    from dissectreport.analysis.dissection import Dissection
    from dissectreport.measure import Source
    from dissectreport.models.base import Generator
    from dissectreport.report.site import Written
    from dissectreport.segmenters.base import Segmenter

ROTATION = 2017
"""Seed of the random rotation of the units (Network Dissection's axis test, 2017)."""
UNTRAINED = 1
"""Seed of the untrained generator's weights."""
FEW = 960
"""Below this many samples shards are one batch, so that there still are groups to score."""

COUNTING = 9e-9
"""Seconds to count one unit at one pixel, null included, on one core: for the estimate alone."""
KEPT = 190
"""Bytes kept of one unit and concept in one shard, after compression: for the estimate alone."""

STATS: Mapping[str, type[Stat]] = {
    "joint": Joint,
    "chance": Chance,
    "peaks": Peaks,
    "cross": Cross,
    "areas": Areas,
    "categories": Categories,
    "ends": Ends,
}


class Listener(Protocol):
    """Who is told how a run goes."""

    def say(self, line: str) -> None:
        """One line that the user should read."""

    def progress(self, task: str, done: int, total: int, unit: str) -> None:
        """`done` of `total` units of a task are finished."""


class Silent:
    """A listener that keeps quiet."""

    def say(self, line: str) -> None:
        """Nothing."""

    def progress(self, task: str, done: int, total: int, unit: str) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Options:
    """What a run is asked to do."""

    model: str
    segmenter: str = ""
    """'' for the one that the model names."""
    layers: tuple[str, ...] = ()
    """() for the model's default layers."""
    samples: int = 1200
    rule: str = "corrected"
    seed: int = 1
    grid: int = 0
    """0 for the rule's own."""
    controls: bool = True
    device: str = "auto"
    workers: int = 0
    """0 for one per core on a CPU, one on an accelerator."""
    cache: Path = field(default_factory=store.default_folder)
    mixed_devices: bool = False
    pilot: int = Plan.pilot
    command: str = ""


@dataclass(frozen=True)
class Job:
    """A checked run: the networks are there, the layers exist, the numbers make sense."""

    options: Options
    plan: Plan
    source: Source
    layers: tuple[str, ...]
    generator: Generator
    segmenter: Segmenter
    workers: int


def prepare(options: Options) -> Job:
    """Load what a run needs and refuse what cannot work, before anything is measured."""
    import os

    from dissectreport import plugins
    from dissectreport.measure import Source, pick_device

    rule = rule_named(options.rule)
    shards(options.samples)
    device = pick_device(options.device)
    generator = plugins.generator(options.model)
    name = options.segmenter or str(generator.facts.get("segmenter", ""))
    if not name:
        raise BadOption(f"{options.model} names no segmenter of its own; choose one with --segmenter")
    segmenter = plugins.segmenter(name)
    layers = options.layers or generator.default_layers
    for layer in layers:
        if layer not in generator.layers:
            raise UnknownName.of(f"layer of {options.model}", layer, generator.layers)
    if len(set(layers)) < len(layers):
        raise BadOption(f"--layers names a layer twice: {', '.join(layers)}")
    whole = options.samples >= FEW
    plan = Plan(
        generator.identity,
        segmenter.identity,
        options.rule,
        options.seed,
        options.grid or rule.grid(generator.image_size[0]),
        options.samples if rule.reference else options.pilot,
        shard=SHARD if whole else Plan.batch,
    )
    workers = options.workers or (len(os.sched_getaffinity(0)) if device == "cpu" and hasattr(os, "sched_getaffinity") else 1)
    threads = 1 if device == "cpu" else max(1, (os.cpu_count() or 2) // 2)
    ordered = tuple(layer for layer in generator.layers if layer in layers)
    source = Source(options.model, name, None, device, threads)
    return Job(options, plan, source, ordered, generator, segmenter, workers)


def measure(options: Options, listener: Listener | None = None) -> Record:
    """Measure a model, reusing whatever was measured before; returns where everything lies."""
    return Measurement(prepare(options), listener or Silent()).run()


class Measurement:
    """The passes of one job, in order."""

    def __init__(self, job: Job, listener: Listener) -> None:
        self.job, self.listener = job, listener
        self.workers = engine.Workers(job.workers)
        self.cache = job.options.cache / "measurements"
        self.folders: set[str] = set()
        self.readings = [Reading(layer) for layer in job.layers]
        self.rule = rule_named(job.plan.rule)
        controlled = job.layers if job.options.controls else ()
        self.rotated = [Reading(layer, ROTATION) for layer in controlled]
        # The corrected rule's counts hold a pretend observation; a published rule gets one of its own.
        self.shifted = [Reading(layer, shift=1) for layer in controlled] if self.rule.reference else []
        self.untrained = [Reading(layer) for layer in controlled]

    def run(self) -> Record:
        """All passes; the record is saved when everything that it names is there."""
        with self.workers:
            return self._run_all()

    def _run_all(self) -> Record:
        job = self.job
        self._announce()
        readings = [*self.readings, *self.rotated, *self.shifted]
        measured = self._counted(job.source, job.plan, readings, "units")
        bare: dict[Reading, tuple[str, str]] = {}
        if self.untrained:
            source = replace(job.source, untrained=UNTRAINED)
            plan = replace(job.plan, generator=f"{job.plan.generator} untrained {UNTRAINED}")
            bare = self._counted(source, plan, self.untrained, "untrained control")
        pictures = self._pictures({r.layer: measured[r][1] for r in self.readings})
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
        record = self._record(tuple(layers), pictures)
        record.save(job.options.cache)
        return record

    def _announce(self) -> None:
        """Say what the run will cost."""
        from dissectreport.measure import networks_cost

        job, plan, samples = self.job, self.job.plan, self.job.options.samples
        seconds, units = networks_cost(job.generator, job.segmenter, job.layers, plan.batch)
        counted = units * (1 + bool(self.rotated) + bool(self.untrained) + bool(self.shifted))
        passes = 1 + self.rule.searches
        per_sample = passes * (seconds * (1 + bool(self.untrained)) + counted * plan.grid**2 * COUNTING)
        total = (samples * per_sample + plan.pilot * counted * plan.grid**2 * COUNTING / 2) / job.workers
        disk = counted * samples / plan.shard * KEPT * len(job.segmenter.vocabulary)
        self.listener.say(
            f"{samples:,} samples, {units} units in {len(job.layers)} layers{', and controls' if self.rotated else ''}: "
            f"about {spoken(total)} with {job.workers} at a time on {job.source.device}, and {disk / 1e6:,.0f} MB of cache"
        )

    def _store(self, kind: str, plan: Plan, **more: Any) -> Store:
        place = Store.open(self.cache, {"kind": kind, **plan.facts(), **more})
        self.folders.add(place.folder.name)
        return place

    def _counted(
        self, source: Source, plan: Plan, readings: Sequence[Reading], what: str
    ) -> dict[Reading, tuple[str, str]]:
        """For each reading the folders of its levels and of its counts, all samples counted."""
        places = self._levels(source, plan, readings, what)
        levels = {r: self._read_levels(place) for r, place in places.items()}
        stores = {
            r: self._store("counts", plan, reading=asdict(r), levels=store.digest(levels[r].arrays())) for r in readings
        }
        samples = self.job.options.samples
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
        levels: Mapping[Reading, AnyLevels],
        stores: Mapping[Reading, Store],
        samples: int,
        task: str,
    ) -> None:
        """Run a pass over those of the samples' shards that a reading's store lacks."""
        wanted = shards(samples, plan.shard)
        missing = {s: [r for r in stores if not self._sound(stores[r], shard_name(s))] for s in wanted}
        for needed, group in grouped(missing).items():
            make = partial(make_pass, source, plan, needed, {r.key: levels[r] for r in needed})
            for shard, found in self._run(make, group, task, len(wanted), plan):
                for reading in needed:
                    device = np.array(source.device)
                    stores[reading].save(shard_name(shard), {**flat(found[reading.key]), "device": device})

    def _read_levels(self, place: Store) -> AnyLevels:
        return CUTTINGS[self.rule.name].read(place.load("levels"))

    def _levels(
        self, source: Source, plan: Plan, readings: Sequence[Reading], what: str
    ) -> dict[Reading, Store]:
        """For each reading the store of the levels at which it is counted."""
        unshifted = list(dict.fromkeys(replace(r, shift=0) for r in readings))
        cut = self._cut(source, plan, unshifted, what)
        places = {r: cut[replace(r, shift=0)] for r in readings}
        return self._searched(source, plan, places, what) if self.rule.searches else places

    def _searched(
        self, source: Source, plan: Plan, cut: Mapping[Reading, Store], what: str
    ) -> dict[Reading, Store]:
        """For each reading the store of the level and label that were searched for among the levels given."""
        from dissectreport import reference
        from dissectreport.analysis.search import search

        levels = {r: ExactLevels.from_arrays(place.load("levels")) for r, place in cut.items()}
        digests = {r: store.digest(level.arrays()) for r, level in levels.items()}
        stores = {r: self._store("search", plan, reading=asdict(r), levels=digests[r]) for r in cut}
        task = f"searching levels, {what}"
        self._fill(reference.make_search, source, plan, levels, stores, plan.pilot, task)
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

    def _cut(
        self, source: Source, plan: Plan, readings: Sequence[Reading], what: str
    ) -> dict[Reading, Store]:
        """For each reading the store of levels cut from a pilot, which runs where they are not known yet."""
        from dissectreport.measure import make_pilot, make_range

        blind = replace(plan, segmenter="")
        stores = {r: self._store("levels", blind, reading=asdict(r)) for r in readings}
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
        for _, counts in self._run(make, parts, f"pilot, {what}", len(parts), plan):
            for key, histogram in counts.items():
                sums[key] = sums[key].merge(histogram) if key in sums else histogram
        for reading in missing:
            arrays = CUTTINGS[plan.rule].of(sums[reading.key]).arrays()
            stores[reading].save("levels", {**arrays, "shape": shapes[reading.key]})
        return stores

    def _pictures(self, counts: Mapping[str, str]) -> str:
        """The folder of the shown images, maps and segmentations, all made."""
        from dissectreport.analysis.units import examples
        from dissectreport.measure import Shown, make_drawn, make_pictures

        job = self.job
        wanted = {}
        for layer, name in counts.items():
            peaks = merge_all(stat for _, stat in self._read(name, "peaks"))
            wanted[layer] = examples(peaks)[1]
        pool = np.random.RandomState(2).permutation(job.options.samples)[: max(LOOKUP, TRUST)]
        chosen = [np.sort(pool[:LOOKUP]), np.sort(pool[:TRUST])]
        samples = np.unique(np.concatenate([*(w.flatten() for w in wanted.values()), *chosen]))
        shown = Shown(samples, wanted, *chosen)
        place = self._store("pictures", job.plan, shown=store.digest({"samples": samples, **wanted}))
        parts = shards(len(samples), SHARD)
        missing = [s for s in parts if not self._sound(place, shard_name(s))]
        make = partial(make_pictures, job.source, job.plan, shown)
        for shard, found in self._run(make, missing, "pictures", len(parts), job.plan):
            place.save(shard_name(shard), found)
        if not self._sound(place, "drawn"):
            for _, found in self.workers.run(partial(make_drawn, job.source, TRUST), [Shard(0, 0, 1)]):
                place.save("drawn", found)
        return place.folder.name

    def _run(
        self, make: engine.Make[Shard, Any], parts: Sequence[Shard], task: str, total: int, plan: Plan
    ) -> Iterator[tuple[Shard, Any]]:
        """Run a pass over some of `total` shards, telling the listener after each."""
        done = total - len(parts)
        if not parts:
            return
        self.listener.progress(task, done * plan.shard, total * plan.shard, "samples")
        for shard, found in self.workers.run(make, parts):
            yield shard, found
            done += 1
            self.listener.progress(task, done * plan.shard, total * plan.shard, "samples")

    def _sound(self, place: Store, name: str) -> bool:
        """Whether arrays are there and undamaged; damaged ones are told of, dropped, and made again."""
        if place.has(name) and not place.sound(name):
            self.listener.say(f"{place.path(name)} was damaged; it is measured again")
            place.drop(name)
        return place.has(name)

    def _read(self, folder: str, stat: str) -> Iterator[tuple[Shard, Any]]:
        return self._read_samples(Store(self.cache / folder), self.job.options.samples, stat)

    def _read_samples(self, place: Store, samples: int, stat: str) -> Iterator[tuple[Shard, Any]]:
        return read_stat(place, shards(samples, self.job.plan.shard), stat)

    def _record(self, layers: tuple[LayerRecord, ...], pictures: str) -> Record:
        job, options = self.job, self.job.options
        generator = {
            "name": job.generator.name,
            "identity": job.generator.identity,
            "image_size": list(job.generator.image_size),
            "latent_shape": list(job.generator.latent_shape),
            **job.generator.facts,
        }
        facts = getattr(job.segmenter, "facts", {})
        segmenter = {"name": job.segmenter.name, "identity": job.segmenter.identity, **facts}
        return Record(
            options.model,
            options.rule,
            asdict(job.plan),
            options.samples,
            layers,
            pictures,
            tuple((c.name, c.category) for c in job.segmenter.vocabulary.concepts),
            generator,
            segmenter,
            versions(),
            options.command or reproduce(job),
            tuple(sorted(self.folders)),
            options.mixed_devices,
        )


LOOKUP = 12
"""Images in which a reader can look up which units fire."""
TRUST = 12
"""Images whose segmentation is shown."""


def _counting(rule: Rule) -> Callable[..., Any]:
    """The pass that counts under a rule."""
    from dissectreport import measure, reference

    return reference.make_counts if rule.reference else measure.make_counts


def spoken(seconds: float) -> str:
    """A time in the unit that suits it.

    >>> spoken(42), spoken(200), spoken(9000)
    ('42 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def reproduce(job: Job) -> str:
    """The command that measures the same numbers."""
    options = job.options
    words = ["dissectreport build", options.model, f"--layers {','.join(job.layers)}"]
    words += [f"--samples {options.samples}", f"--seed {options.seed}", f"--segmenter {job.source.segmenter}"]
    words += [f"--rule {options.rule}"] if options.rule != "corrected" else []
    words += [f"--grid {options.grid}"] if options.grid else []
    words += [] if options.controls else ["--no-controls"]
    return " ".join(words)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"dissectreport": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def shard_name(shard: Shard) -> str:
    """The name of a shard's file: its first sample and how many follow."""
    return f"samples-{shard.first:07d}-{shard.count:04d}"


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


def flat(stats: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of several statistics under names like 'joint.total'."""
    return {f"{name}.{key}": value for name, stat in stats.items() for key, value in stat.arrays().items()}


def read_stat(place: Store, wanted: Sequence[Shard], name: str) -> Iterator[tuple[Shard, Any]]:
    """Each shard with one of its statistics, in order of shards."""
    for shard in wanted:
        arrays = place.load(shard_name(shard), prefix=f"{name}.")
        yield shard, STATS[name].from_arrays({key.removeprefix(f"{name}."): value for key, value in arrays.items()})


def devices(place: Store, wanted: Sequence[Shard], mixed: bool) -> tuple[str, ...]:
    """The devices on which the shards were measured; more than one is refused unless it was asked for."""
    found = sorted({str(place.load(shard_name(s), prefix="device")["device"]) for s in wanted})
    if len(found) > 1 and not mixed:
        raise CacheError(
            f"{place.folder} holds shards of different devices ({', '.join(found)}), which differ in the last bits; "
            "merge them with --mixed-devices, or measure again with --device and another --cache"
        )
    return tuple(found)


def load(model: str, rule: str = "corrected", cache: Path | None = None) -> Dissection:
    """What was measured of a model, as tables; needs neither torch nor the model."""
    from dissectreport.analysis.assemble import assemble

    where = cache or store.default_folder()
    return assemble(records.load(where, model, rule), Reader(where / "measurements"))


def render(
    model: str, out: Path, rule: str = "corrected", cache: Path | None = None, listener: Listener | None = None
) -> Written:
    """Draw the site of a model that was measured; needs neither torch nor the model."""
    from dissectreport.report.site import write_site

    ear = listener or Silent()
    records.load(cache or store.default_folder(), model, rule)
    ear.say("analysing the counts")
    dissection = load(model, rule, cache)
    return write_site(dissection, out, lambda done, total: ear.progress("pages", done, total, "files"))


def build(options: Options, out: Path, listener: Listener | None = None) -> Written:
    """Measure a model and draw its site."""
    measure(options, listener)
    return render(options.model, out, options.rule, options.cache, listener)


@dataclass(frozen=True)
class Reader:
    """Counts by the names under which a record remembers them."""

    folder: Path

    def stats(self, folder: str, samples: int, shard: int, name: str) -> Iterator[tuple[Shard, Any]]:
        """Each shard with one of its statistics, in order; nothing where `folder` is ''."""
        if folder:
            yield from read_stat(Store(self.folder / folder), shards(samples, shard), name)

    def arrays(self, folder: str, name: str, prefix: str = "") -> dict[str, Any]:
        """The arrays called `name` in a folder."""
        return Store(self.folder / folder).load(name, prefix=prefix)

    def names(self, folder: str) -> list[str]:
        """The names in a folder."""
        return Store(self.folder / folder).names()

    def devices(self, folder: str, samples: int, shard: int, mixed: bool) -> tuple[str, ...]:
        """The devices on which a folder's shards were measured."""
        return devices(Store(self.folder / folder), shards(samples, shard), mixed)


def writable(out: Path) -> None:
    """Refuse an output folder that cannot be written, before anything long begins."""
    store.check_writable(out)


def cache_lines(cache: Path | None) -> Iterator[str]:
    """What is in the cache, a line each."""
    where = cache or store.default_folder()
    for record in records.every(where):
        layers = ", ".join(layer.name for layer in record.layers)
        yield f"{record.model}  {record.rule}  {record.samples:,} samples of {layers}"
    yield f"{store.size(where) / 1e6:,.1f} MB in {where}"


def damaged(cache: Path | None) -> list[Path]:
    """The files of the cache that cannot be read."""
    where = (cache or store.default_folder()) / "measurements"
    return [place.path(name) for place in store.folders(where) for name in place.names() if not place.sound(name)]


def clear(cache: Path | None, model: str = "") -> int:
    """Remove what was measured, of one model or of all; returns the bytes that were freed."""
    where = cache or store.default_folder()
    before = store.size(where)
    if not model:
        store.clear(where / "measurements")
        store.clear(where / "records")
        return before - store.size(where)
    mine = [record for record in records.every(where) if record.model == model]
    if not mine:
        raise UnknownName.of("measurement of", model, sorted({record.model for record in records.every(where)}))
    others = {name for record in records.every(where) if record.model != model for name in record.folders}
    for record in mine:
        for name in set(record.folders) - others:
            store.clear(where / "measurements" / name)
        records.place(where, record.model, record.rule).unlink()
    return before - store.size(where)
