"""The passes that find artifact units in one layer and score the repair, in order, on the driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dissectreport.analysis.artifacts import selection as diagnosis
from dissectreport.analysis.artifacts.quality import Quality, Reference, too_few_for_covariance
from dissectreport.analysis.artifacts.selection import Compared, Effects, SingleEffects, SingleUnits
from dissectreport.analysis.results import artifacts
from dissectreport.cache import store
from dissectreport.cache.reader import flat, read_stat, shard_name, sound
from dissectreport.cache.store import Store
from dissectreport.errors import FolderError
from dissectreport.pipeline.interventions import as_set, random_sets
from dissectreport.pipeline.prepare import Examining, Job, Listener, too_few_real
from dissectreport.run import engine
from dissectreport.run.plan import DIAGNOSES, FEWEST_REAL, PAIR, SHARD, Checkup, Examination, Shard, shards
from dissectreport.stats.base import Floats, merge_all
from dissectreport.stats.effects import Nearing
from dissectreport.stats.features import Features, Scale

Units = tuple[int, ...]

DRIFT = 0.05
"""Most that bfloat16 may move features, beside how far images differ, to be used."""
SHOWN = 5
"""Worst units that are shown where neither a repair nor an artifact unit was found."""
ROUNDING = 1e-6
"""Share of the largest estimate up to which another may be rounding alone."""


@dataclass(frozen=True)
class Design:
    """Which units are ablated one by one, decided on choosing latents alone."""

    estimate: Floats
    """(units,) fall of the kernel distance to first order, for an image."""
    strength: Floats
    """(units,) mean absolute activation."""
    leading: Units
    """Those of largest estimate, as far as it is surely above 0: among them artifact units are looked for."""
    control: Units
    bottom: Units
    marked: Units = ()
    """Those marked by hand that are none of the others."""

    @classmethod
    def of(cls, first: Nearing, checkup: Checkup, marked: Units = ()) -> Design:
        """The design that first-order effects suggest, and the marked units."""
        estimate, strength = (diagnosis.FALL * first.effect / first.images, first.strength / first.images)
        order = np.argsort(-estimate, kind="stable").tolist()
        leading = [unit for unit in order[: checkup.leading] if estimate[unit] > ROUNDING * estimate.max(initial=0)]
        rest = order[len(leading) :]
        bottom = rest[max(0, len(rest) - checkup.bottom) :]
        others = [unit for unit in rest if unit not in {*bottom, *marked}]
        control = matched(strength, leading or bottom, others, checkup.control)
        more = tuple(unit for unit in marked if unit not in {*leading, *control, *bottom})
        return cls(np.asarray(estimate), np.asarray(strength), tuple(leading), control, tuple(bottom), more)

    @property
    def tested(self) -> SingleUnits:
        """Every unit that is ablated by itself."""
        return SingleUnits.of(vars(self))

    def arrays(self) -> dict[str, Any]:
        """The design as arrays, for the analysis."""
        return {name: np.asarray(value) for name, value in vars(self).items()}


def tried(sizes: Sequence[int], units: int) -> list[int]:
    """The sizes of a repair that are tried: no larger than the units that it may ablate, all of these at most."""
    return sorted({min(size, units) for size in sizes} - {0})


def _beside(reference: Reference) -> tuple[int, int]:
    """Which real images those are: what is told beside others has another place."""
    return reference.first, len(reference.features)


def matched(strength: Floats, leading: Sequence[int], others: Sequence[int], count: int) -> Units:
    """Of `others` those whose mean activation is nearest to that of some leading units, drawn at random."""
    left, chosen = list(others), []
    for unit in np.random.RandomState(0).permutation(list(leading))[:count].tolist():
        if left:
            nearest = min(left, key=lambda other: (abs(strength[other] - strength[unit]), other))
            left.remove(nearest)
            chosen.append(nearest)
    return tuple(chosen)


@dataclass(frozen=True)
class Random:
    """Where the random sets lie."""

    features: Store
    sets: Store
    """How many units each has, whether it stands beside the marked units, and its mean activation over theirs."""


@dataclass(frozen=True)
class Scored:
    """The scoring latents without any edit and with the worst units ablated."""

    rows: Features
    """(n, 1 + sizes, d), the first without any edit."""
    sizes: tuple[int, ...]
    found: Mapping[str, Quality]
    """By 'before', 'worst <size>', 'review' and 'real'."""
    place: Store
    random: Random
    quality_at: tuple[str, ...]
    chosen: int
    """How many units the repair ablates."""
    distance: float
    """The kernel distance without any edit, of the latents that choose that."""
    weighed_at: str
    marked_at: str
    """Where the features without the marked units lie; '' without any."""

    @property
    def images(self) -> int:
        """Images on each side."""
        return len(self.rows.values)


class Diagnosing:
    """The search for artifact units of one job in one layer."""

    def __init__(self, job: Job, wish: Examining, workers: engine.Workers, listener: Listener) -> None:
        self.job, self.wish, self.checkup, self.workers, self.listener = job, wish, wish.checkup, workers, listener
        self.cache = job.options.cache / "measurements"
        self.folders: set[str] = set()
        self.left_out = 0
        given = job.reference
        self.exam = Examination(
            job.plan.generator,
            wish.network.identity,
            given.identity if given is not None else f"drawn by {job.plan.generator}",
            wish.layer,
            job.plan.seed,
            job.options.precision,
            job.plan.torch,
        )

    def run(self) -> dict[str, Any]:
        """All passes; returns what a record keeps of them."""
        drifted = self._settle_precision()
        real, real_at = self._real()
        side, side_at = self._generated(self.exam.side_seed, self.checkup.side)
        dissected = min(self.checkup.dissected, self.job.samples)
        _, dissected_at = self._generated(self.job.plan.seed, dissected)
        published = self.wish.network.published
        scale = Scale.published(real.shape[1]) if published else Scale.of(real)
        reference = Reference.of(real, scale)
        # What is chosen beside some real images is scored beside others, where there are enough.
        count = min(self.checkup.scored, len(real))
        choosing = reference.without(count)
        first = self._first_order(real, side, choosing)
        design, design_at = self._design(first)
        tests, tests_at = self._test(design, choosing)
        order = design.tested.worst(tests)
        scored = self._score(order, reference, choosing, design, count)
        near = Compared(reference.features, scale(side)).nearness(scale(scored.rows.values[:, 0]))
        pictures_at = self._pictures(design, tests, order, scored, near)
        for line in self._lines(scored.images, real.shape):
            self.listener.say(line)
        return {
            "exam": asdict(self.exam),
            "checkup": asdict(self.checkup),
            "features": {"name": self.wish.network.name, "published": published},
            "reference": self._words(),
            "drift": drifted,
            "counts": {
                "real": len(real),
                "choosing": len(choosing.features),
                "left_out": self.left_out,
                "dissected": dissected,
                "scored": scored.images,
            },
            "reviewed": list(self.wish.reviewed),
            "real": real_at,
            "side": side_at,
            "dissected": dissected_at,
            "design": design_at,
            "tests": tests_at,
            "weighed": scored.weighed_at,
            "scored": scored.place.folder.name,
            "marked": scored.marked_at,
            "random": scored.random.features.folder.name,
            "random_sets": scored.random.sets.folder.name,
            "quality": list(scored.quality_at),
            "pictures": pictures_at,
        }

    def _words(self) -> str:
        given = self.job.reference
        return f"the images of {given.name}" if given is not None else "images like those that it was trained on"

    def _lines(self, scored: int, real: tuple[int, ...]) -> list[str]:
        """What a person should know of the numbers of images."""
        found = []
        if scored < self.checkup.scored:
            found.append(
                f"{real[0]:,} real images, so that as many generated ones are scored; {self.checkup.scored:,} would be"
            )
        return [*found, *filter(None, [too_few_for_covariance(scored, real[1])])]

    # --- passes ---

    def _settle_precision(self) -> float:
        """Turn 'auto' into the arithmetic that is used; returns how far bfloat16 drifts, 0 where it is not used."""
        from dissectreport.worker import artifacts as diagnose
        from dissectreport.worker import interventions as intervene

        asked = self.exam.precision
        if asked == "float32" or (asked == "auto" and not intervene.half_is_fast(self.job.source.device)):
            self.exam = replace(self.exam, precision="float32")
            return 0.0
        self.exam = replace(self.exam, precision="bfloat16")
        place = self._store("drift of features")
        if not self._sound(place, "drift"):
            place.save("drift", {"drift": np.array(diagnose.drift(self.job.source, self.exam))})
        drifted = float(place.load("drift")["drift"])
        if asked == "auto" and not drifted <= DRIFT:
            self.exam = replace(self.exam, precision="float32")
            return 0.0
        return drifted

    def _real(self) -> tuple[Any, dict[str, Any]]:
        """(N, d) features of real images, and where they lie: `folder`, `wanted` images, `shard` in each file."""
        from dissectreport.worker.artifacts import make_real

        names = self._names()
        known = {name: getattr(self.exam, name) for name in ("features", "reference", "precision", "torch")}
        place = self._opened({"kind": "real features", "format": DIAGNOSES, **known, "names": store.fingerprint(names)})
        given = names["names"]
        # A generator that cannot begin in the middle draws from the first image on every time: its own at once.
        apart = given or getattr(self.job.generator, "training_like_from", None) is not None
        count = len(given) or self.checkup.real
        size = SHARD if apart else count
        at = {"folder": place.folder.name, "wanted": count, "shard": size}
        wanted = shards(count, size)
        make = partial(make_real, self.job.source, self.exam, given)
        return self._features(place, make, wanted, "describing real images").values, at

    def _names(self) -> dict[str, list[str]]:
        """The names of the real images that are read, in the folder's own order; none for a generator's own."""
        given = self.job.reference
        if given is None:
            return {"names": []}
        count = min(self.checkup.real, len(given.files))
        sifted = given.validated([(0, count)])
        self.left_out = len(sifted.undecodable)
        if sifted.undecodable:
            self.listener.say(sifted.undecodable_note())
        names = sifted.order(0)[:count]
        if len(names) < FEWEST_REAL:
            raise FolderError(too_few_real(len(names)))
        return {"names": list(names)}

    def _generated(self, seed: int, count: int) -> tuple[Any, str]:
        """(count, d) features of generated images of a seed, and where they lie."""
        from dissectreport.worker.artifacts import make_generated

        known = {name: getattr(self.exam, name) for name in ("generator", "features", "precision", "torch")}
        place = self._opened({"kind": "generated features", "format": DIAGNOSES, **known, "seed": seed})
        make = partial(make_generated, self.job.source, self.exam, seed)
        rows = self._features(place, make, shards(count, SHARD), "describing generated images")
        return rows.values, place.folder.name

    def _first_order(self, real: Any, side: Any, choosing: Reference) -> Nearing:
        from dissectreport.worker.artifacts import Sides, make_nearing

        place = self._store("nearing", sides=[*_beside(choosing), len(side)])
        make = partial(make_nearing, self.job.source, self.exam, Sides(real[choosing.first :], side, choosing.scale))
        wanted = shards(self.checkup.gradients, PAIR)
        self._fill(place, make, wanted, shard_name, "first-order nearness", lambda found: flat({"nearing": found}))
        found: Nearing = merge_all(stat for _, stat in read_stat(place, wanted, "nearing"))
        return found

    def _design(self, first: Nearing) -> tuple[Design, str]:
        design = Design.of(first, self.checkup, self.wish.reviewed)
        place = self._store("artifact design", design=store.digest(design.arrays()))
        place.save("design", design.arrays())
        return design, place.folder.name

    def _test(self, design: Design, reference: Reference) -> tuple[SingleEffects, str]:
        """What single units do, the worst and the control units on further latents too, and where that lies."""
        checkup, tested, seed = self.checkup, design.tested, self.exam.testing_seed
        sets = [(), *((unit,) for unit in tested.units.tolist())]
        found, place = self._ablated(sets, seed, checkup.tested, "testing single units")
        rows, real = reference.scale(found.values), reference.features
        places = tested.finalists(Effects.of(rows, real), checkup.finalists, self.wish.reviewed)
        sets = [(), *((unit,) for unit in tested.units[places].tolist())]
        more, beside = self._ablated(sets, seed, checkup.retested, "testing some further", checkup.tested)
        facts = [place.folder.name, beside.folder.name, *_beside(reference), list(tested.roles)]
        kept = self._store("tests", of=facts, images=[checkup.tested, checkup.retested])
        tests = SingleEffects.of(rows, reference.scale(more.values), tested, places, real)
        kept.save("tests", vars(tests))
        return tests, kept.folder.name

    def _ablated(
        self, sets: Sequence[Units], seed: int, count: int, task: str, first: int = 0
    ) -> tuple[Features, Store]:
        """The features of some of a seed's latents, from the `first` on, without each set of units."""
        from dissectreport.worker.artifacts import make_ablated

        place = self._store("ablated features", sets=[list(units) for units in sets], latents=seed)
        make = partial(make_ablated, self.job.source, self.exam, sets, seed)
        # Small shards, for each is described once a set.
        wanted = [replace(shard, first=shard.first + first) for shard in shards(count, PAIR)]
        return self._features(place, make, wanted, task), place

    def _weigh(self, order: Units, sizes: Sequence[int], reference: Reference) -> tuple[int, float, str]:
        """How many of the worst units the repair ablates, and the distance without any edit, by testing latents."""
        sets = [(), *(as_set(order[:size]) for size in sizes)]
        exam, checkup = self.exam, self.checkup
        first = checkup.tested + checkup.retested
        rows, place = self._ablated(sets, exam.testing_seed, checkup.weighed, "choosing a size", first)
        facts = [place.folder.name, *_beside(reference)]
        kept = self._store("weighed", of=facts, first=first, images=checkup.weighed)
        if not self._sound(kept, "changes"):
            before, changes = diagnosis.kernel_changes(reference, rows.values)
            kept.save("changes", diagnosis.packed_changes(before, dict(zip(sizes, changes, strict=True))))
        told = kept.load("changes")
        return diagnosis.chosen_size(diagnosis.unpacked_changes(told)), float(told["distance"][0]), kept.folder.name

    def _score(self, order: Units, reference: Reference, choosing: Reference, design: Design, count: int) -> Scored:
        sizes = tried(self.checkup.sizes, len(order))
        sets = [(), *(as_set(order[:size]) for size in sizes)]
        names = ["before", *(f"worst {size}" for size in sizes)]
        rows, place = self._ablated(sets, self.exam.scoring_seed, count, "scoring the repair")
        found, quality_at = self._judged(reference, rows, names, place)
        marked_at, judged_at = "", [quality_at]
        if self.wish.reviewed:
            theirs = [(), as_set(self.wish.reviewed)]
            more, beside = self._ablated(theirs, self.exam.scoring_seed, count, "scoring the reviewed units")
            judged, at = self._judged(reference, more, ["before", "review"], beside)
            found, marked_at = found | judged, beside.folder.name
            judged_at.append(at)
        random = self._random(order, sizes, design, count)
        chosen, distance, weighed_at = self._weigh(order, sizes, choosing)
        told = (chosen, distance, weighed_at, marked_at)
        return Scored(rows, tuple(sizes), found, place, random, tuple(judged_at), *told)

    def _judged(
        self, reference: Reference, rows: Features, names: Sequence[str], place: Store
    ) -> tuple[dict[str, Quality], str]:
        """The quality of every variant, told once, and where it lies."""
        facts = [place.folder.name, self.exam.reference, len(reference.features)]
        kept = self._store("judged", of=facts, images=len(rows.values), names=list(names))
        if not self._sound(kept, "quality"):
            kept.save("quality", diagnosis.packed(diagnosis.qualities(reference, rows.values, names)))
        return diagnosis.unpacked(kept.load("quality")), kept.folder.name

    def _random(self, order: Units, sizes: Sequence[int], design: Design, count: int) -> Random:
        """The features without random sets of other units, of like mean activation, on the first scoring latents.

        What else may be off in a larger repair can be among them: they are random, and not known to be harmless.
        """
        wanted = [(False, size, order[:size]) for size in sizes]
        if self.wish.reviewed:
            wanted.append((True, len(self.wish.reviewed), self.wish.reviewed))
        sets: list[Units] = [()]
        review, activation = [], []
        for marked, size, beside in wanted:
            theirs = design.strength[list(beside)].mean()
            for units in random_sets(design.strength, np.array([beside]), size, self.checkup.random_sets, beside):
                sets.append(units)
                review.append(marked)
                activation.append(design.strength[list(units)].mean() / theirs if theirs > 0 else np.nan)
        fewer = min(self.checkup.random_scored, count)
        _, place = self._ablated(sets, self.exam.scoring_seed, fewer, "scoring random sets")
        sizes_of = np.array([len(units) for units in sets[1:]], np.int64)
        told = {"sizes": sizes_of, "review": np.array(review, bool), "activation": np.array(activation, np.float64)}
        # The same sets can stand beside others: the words about them have a place of their own.
        kept = self._store("random sets", of=place.folder.name, told=store.digest(told))
        kept.save("random", told)
        return Random(place, kept)

    def _pictures(self, design: Design, tests: SingleEffects, order: Units, scored: Scored, near: Floats) -> str:
        from dissectreport.worker.artifacts import Portrait, make_portraits

        tested = design.tested
        found = diagnosis.verdict(tests, tested, scored.distance)
        listed = found.listed(tested)
        suspected = set(tested.places(*artifacts.SUSPECTED).tolist())
        by_effect = tuple(int(tested.units[place]) for place in found.order if int(place) in suspected)
        # Where no unit does good, one stands for all: nobody is asked to judge several that do harm.
        shown = order[: scored.chosen] or listed or order[:SHOWN] or by_effect[:1]
        worst = scored.rows.samples[np.argsort(near, kind="stable")[: self.checkup.worst]].tolist()
        # Images that nothing else is made of: what was seen beside its solution is no longer blind.
        further = range(scored.images, scored.images + self.checkup.worst + self.checkup.pairs)
        random, pairs = further[: self.checkup.worst], further[self.checkup.worst :]
        suspects = as_set(listed or shown)
        means = tuple(design.strength[list(suspects)].tolist())
        portraits = [
            Portrait("worst", tuple(worst), as_set(shown), suspects, means),
            Portrait("random", tuple(random), as_set(shown), suspects, means),
            Portrait("pairs", tuple(pairs), as_set(shown), ()),
        ]
        place = self._store("repaired pictures", portraits=[asdict(portrait) for portrait in portraits])
        make = partial(make_portraits, self.job.source, self.exam)
        self._fill(place, make, portraits, lambda p: p.name, "pictures of the repair", dict)
        place.save("shown", {"units": np.array(shown, np.int64), "suspects": np.array(suspects, np.int64)})
        return place.folder.name

    # --- stores ---

    def _store(self, kind: str, **more: Any) -> Store:
        return self._opened({"kind": kind, **self.exam.facts(), **more})

    def _opened(self, facts: Mapping[str, Any]) -> Store:
        place = Store.open(self.cache, facts)
        self.folders.add(place.folder.name)
        return place

    def _features(self, place: Store, make: Any, wanted: Sequence[Shard], task: str) -> Features:
        """The rows of all shards, those that are missing described first."""
        self._fill(place, make, wanted, shard_name, task, lambda found: flat({"features": found}))
        rows: Features = merge_all(stat for _, stat in read_stat(place, wanted, "features"))
        return rows

    def _fill(
        self,
        place: Store,
        make: Any,
        wanted: Sequence[Any],
        name: Callable[[Any], str],
        task: str,
        arrays: Callable[[Any], Mapping[str, Any]],
    ) -> None:
        """Run a pass over the items that its store lacks; the device of each is remembered."""
        device = np.array(self.job.source.device)
        missing = [item for item in wanted if not self._sound(place, name(item))]
        done, total = len(wanted) - len(missing), len(wanted)
        for item, found in self.workers.run(make, missing):
            place.save(name(item), {**arrays(found), "device": device})
            done += 1
            self.listener.progress(task, done, total, "batches")

    def _sound(self, place: Store, name: str) -> bool:
        return sound(place, name, self.listener.say)
