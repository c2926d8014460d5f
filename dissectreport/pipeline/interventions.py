"""The passes of the interventions on one measured model, in order, on the driver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dissectreport.analysis.interventions.tables import Study
from dissectreport.cache import store
from dissectreport.cache.reader import flat, read_stat, shard_name, sound
from dissectreport.cache.store import Store
from dissectreport.errors import BadOption
from dissectreport.pipeline.prepare import Intervention, Job, Listener
from dissectreport.run import engine
from dissectreport.run.plan import PAIR, Aim, Shard, shards
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Floats, Ints, merge_all
from dissectreport.stats.effects import FirstOrder, Presence
from dissectreport.stats.insertions import Insertions

Units = tuple[int, ...]

SEARCHED = 40
"""Samples in a shard of the search."""
AGREEING = 0.985
"""Share of pixels that must keep their labels for bfloat16 to be used."""
DRAWN = 2000
"""Random sets of which the ones of the right mean activation are kept."""
LIKE = 0.1
"""A random set has the mean activation of the causal ones if it differs by less than this share."""
PAIRED_PICTURES = 3
"""Images shown of a unit that was ablated alone."""


@dataclass(frozen=True)
class Design:
    """What is to be tried, decided on choosing latents alone."""

    orders: Mapping[str, Ints]
    """By name, (concepts, units) units in order."""
    learned: Mapping[str, Floats]
    """(concepts, units) `alpha`, (concepts,) its `penalty` and (concepts, penalties) `losses`; empty where nothing
    was."""
    best: tuple[str, ...]
    """By concept the order whose 20 leading units remove most on choosing latents."""
    singles: tuple[int, ...]
    """Units that are ablated one by one."""
    random: Mapping[int, tuple[Units, ...]]
    """By size, random sets of equal mean activation."""
    sizes: Mapping[str, tuple[int, ...]]
    """By order, how many of its units are ablated together; and more, 'best', of a concept's best one."""
    together: int
    """Units of the causal set: those that are shown, and switched on."""

    def causal(self, number: int) -> Units:
        """The leading units of a concept's best order."""
        return as_set(self.orders[self.best[number]][number][: self.together])

    def sets(self) -> list[Units]:
        """Every different set of units that is ablated, in a fixed order."""
        found: dict[Units, None] = {(unit,): None for unit in self.singles}
        for name, orders in self.orders.items():
            for best, order in zip(self.best, orders, strict=True):
                sizes = {*self.sizes[name], *(self.sizes["best"] if name == best else ())}
                found |= {as_set(order[:size]): None for size in sorted(sizes)}
        found |= {self.causal(number): None for number in range(len(self.best))}
        for sets in self.random.values():
            found |= dict.fromkeys(sets)
        return list(found)

    def arrays(self) -> dict[str, Any]:
        """The design as arrays, for the analysis."""
        sets = self.sets()
        padded = np.full((len(sets), max(map(len, sets))), -1, np.int64)
        for row, units in enumerate(sets):
            padded[row, : len(units)] = units
        found: dict[str, Any] = {f"order|{name}": order for name, order in self.orders.items()}
        found |= {f"sizes|{name}": np.array(sizes) for name, sizes in self.sizes.items()}
        found |= {f"random|{size:04d}": np.array(sets) for size, sets in self.random.items()}
        found |= {f"learned|{name}": values for name, values in self.learned.items()}
        return found | {
            "sets": padded + 1,
            "inserted": np.array(self.together),
            "best": np.array(self.best),
            "singles": np.array(self.singles, np.int64),
        }


def as_set(units: Iterable[int]) -> Units:
    """A set of units as it is kept: rising numbers."""
    return tuple(sorted(int(unit) for unit in units))


class Intervening:
    """The interventions of one job on one layer."""

    def __init__(self, job: Job, study: Study, aim: Intervention, workers: engine.Workers, listener: Listener) -> None:
        self.job, self.study, self.budget, self.workers, self.listener = job, study, aim.budget, workers, listener
        self.cache = job.options.cache / "measurements"
        self.folders: set[str] = set()
        self.aim = Aim(
            job.plan.generator,
            job.plan.segmenter,
            aim.layer,
            study.concepts,
            study.grounds,
            job.plan.seed,
            job.options.precision,
            job.plan.torch,
        )

    def run(self) -> dict[str, Any]:
        """All passes; returns what a record keeps of them."""
        agreement = self._settle_precision()
        presence, rows = self._search()
        first, first_at = self._first_order()
        design, design_at = self._design(presence, rows, first)
        judged_at, areas = self._judge(design)
        planted_at, insertions = self._context(design, presence)
        pictures_at = self._pictures(design, presence, areas, insertions, first)
        return {
            "aim": asdict(self.aim),
            "budget": asdict(self.budget),
            "agreement": agreement,
            "first": first_at,
            "design": design_at,
            "judged": judged_at,
            "context": planted_at,
            "pictures": pictures_at,
        }

    # --- passes ---

    def _settle_precision(self) -> float:
        """Turn 'auto' into the arithmetic that is used; returns how far bfloat16 agrees, 1 where it is not used."""
        from dissectreport.worker import interventions as intervene

        if self.aim.precision == "float32":
            return 1.0
        auto = self.aim.precision == "auto"
        if auto and not intervene.half_is_fast(self.job.source.device):
            self.aim = replace(self.aim, precision="float32")
            return 1.0
        self.aim = replace(self.aim, precision="bfloat16")
        place = self._store("precision")
        if not self._sound(place, "agreement"):
            place.save("agreement", {"share": np.array(intervene.half_agrees(self.job.source, self.aim))})
        agreement = float(place.load("agreement")["share"])
        if auto and agreement < AGREEING:
            self.aim = replace(self.aim, precision="float32")
            return 1.0
        return agreement

    def _search(self) -> tuple[Presence, dict[str, Any]]:
        from dissectreport.worker.interventions import make_search

        place = self._store("search")
        make = partial(make_search, self.job.source, self.aim)
        wanted = shards(self.budget.search, SEARCHED)
        self._count(place, make, wanted, "looking for concepts", _searched)
        presence: Presence = merge_all(stat for _, stat in read_stat(place, wanted, "presence"))
        parts = [place.load(shard_name(shard)) for shard in wanted]
        rows: dict[str, Any] = {name: np.concatenate([part[name] for part in parts]) for name in ("score", "place")}
        rows["places"] = parts[0]["places"]
        return self._without_absent(presence, rows)

    def _without_absent(self, presence: Presence, rows: dict[str, Any]) -> tuple[Presence, dict[str, Any]]:
        """The same without the concepts that are in none of the images searched, if nobody asked for them by name."""
        absent = [name for name, share in zip(self.study.names, presence.share, strict=True) if not share]
        if not absent:
            return presence, rows
        if self.job.options.concepts or len(absent) == len(self.study.names):
            raise BadOption(
                f"{absent[0]!r} occurs in none of the {self.budget.search:,} images searched; choose other --concepts"
            )
        self.listener.say(f"not intervened on: {', '.join(absent)}, in none of {self.budget.search:,} images searched")
        kept = np.flatnonzero(presence.share > 0)
        self.study = self.study.keeping(kept)
        self.aim = replace(self.aim, concepts=self.study.concepts)
        return presence.keeping(kept), {**rows, **{name: rows[name][:, kept] for name in ("score", "place")}}

    def _first_order(self) -> tuple[FirstOrder, str]:
        from dissectreport.worker.interventions import make_gradients

        place = self._store("first order")
        make = partial(make_gradients, self.job.source, self.aim)
        wanted = shards(self.budget.gradients, PAIR)
        self._count(place, make, wanted, "first-order effects", lambda found: flat({"first": found}))
        return merge_all(stat for _, stat in read_stat(place, wanted, "first")), place.folder.name

    def _design(self, presence: Presence, rows: Mapping[str, Any], first: FirstOrder) -> tuple[Design, str]:
        leading = np.argsort(-first.effect, axis=1, kind="stable")
        lessons = [self._lesson(number, presence, rows, leading[number]) for number in range(len(self.aim.concepts))]
        learned = self._orders(lessons) if self.budget.learned else []
        orders = {"first-order": leading}
        if learned:
            orders["alpha"] = np.stack([by_weight(one["alpha"], leading[k]) for k, one in enumerate(learned)])
            orders["greedy"] = np.stack([one["greedy"] for one in learned])
        orders["IoU"] = np.argsort(-self.study.excess, axis=1, kind="stable")
        strength = presence.strength / presence.images
        units = leading.shape[1]
        together = max(1, min(self.budget.inserted, units // 2))
        fits = {
            "first-order": tuple(size for size in self.budget.sizes if size <= units),
            **{name: tuple(s for s in self.budget.sparse if s <= units) for name in list(orders)[1:]},
            "best": tuple(size for size in self.budget.best if size <= units),
        }
        design = Design(
            orders,
            {name: np.stack([one[name] for one in learned]) for name in ("alpha", "penalty", "losses") if learned},
            self._best(orders, lessons, together),
            self._singles(first),
            {
                size: random_sets(strength, leading, size, self.budget.random_sets)
                for size in self._random_sizes(strength)
            },
            fits,
            together,
        )
        place = self._store("design", design=store.digest(design.arrays()))
        place.save(
            "design",
            {
                **design.arrays(),
                "strength": strength,
                "upper": self.study.upper,
                "excess": self.study.excess,
            },
        )
        return design, place.folder.name

    def _lesson(self, number: int, presence: Presence, rows: Mapping[str, Any], leading: Ints) -> Any:
        from dissectreport.worker.orderings import Lesson

        score, place = rows["score"][:, number], rows["place"][:, number].astype(np.int64)
        order = np.argsort(-score, kind="stable")
        present = order[score[order] > 0]
        excess = self.study.excess[number].clip(0)
        kept = present[: self.budget.alpha_train]
        places = int(rows["places"])
        return Lesson(
            number,
            excess / max(float(excess.max()), 1e-12),
            presence.concept_means()[number],
            present,
            place[present],
            np.bincount(place[kept], minlength=places).astype(np.float64),
            leading,
        )

    def _orders(self, lessons: Sequence[Any]) -> list[dict[str, Any]]:
        """Alpha and greedy of every concept."""
        from dissectreport.worker.orderings import make_orders

        arrays = {f"{lesson.number}|{name}": np.asarray(v) for lesson in lessons for name, v in vars(lesson).items()}
        learning = {
            k: v for k, v in asdict(self.budget).items() if k.startswith(("alpha", "greedy", "penalt", "search"))
        }
        place = self._store("orders", budget=learning, lessons=store.digest(arrays))
        make = partial(make_orders, self.job.source, self.aim, self.budget)
        task = "learning orders", "concepts"
        # The first concept takes a while, so the bar is shown before it.
        known = sum(place.has(concept_name(lesson.number)) for lesson in lessons)
        self.listener.progress(task[0], known, len(lessons), task[1])
        self._fill(place, make, lessons, lambda lesson: concept_name(lesson.number), task, lambda _, found: found)
        return [place.load(concept_name(lesson.number)) for lesson in lessons]

    def _best(self, orders: Mapping[str, Ints], lessons: Sequence[Any], count: int) -> tuple[str, ...]:
        """By concept the order whose leading units leave least of it, on choosing latents that hold most of it."""
        from dissectreport.worker.orderings import make_trials

        sets = [[as_set(order[k][:count]) for order in orders.values()] for k in range(len(lessons))]
        samples = [lesson.present[:PAIR].tolist() for lesson in lessons]
        make = partial(make_trials, self.job.source, self.aim, sets, samples)
        place = self._store("trials", sets=sets, samples=samples)
        numbers = range(len(lessons))
        task = "comparing orders", "concepts"
        self._fill(place, make, numbers, concept_name, task, lambda _, left: {"left": left})
        every = [place.load(concept_name(k))["left"] for k in numbers]
        return tuple(list(orders)[int(np.argmin(left))] for left in every)

    def _random_sizes(self, strength: Floats) -> list[int]:
        """How many units random sets have: what the budget says, or the most for which a small layer has enough."""
        fits = [size for size in self.budget.sizes if 2 * size <= (strength > 0).sum()]
        return [size for size in self.budget.random_sizes if size in fits] or fits[-1:]

    def _singles(self, first: FirstOrder) -> Units:
        """The units to ablate one by one: the leading ones of every concept in turn, then some from all others."""
        units = first.effect.shape[1]
        wanted = self.budget.singles or units
        if wanted >= units:
            return tuple(range(units))
        ranked = np.argsort(-np.abs(first.effect), axis=1, kind="stable").T.flatten()
        leading = list(dict.fromkeys(ranked.tolist()))[: -(-wanted * 3 // 4)]
        rest = [unit for unit in ranked.tolist()[::-1] if unit not in leading]
        others = list(dict.fromkeys(rest))
        step = max(1, len(others) // max(1, wanted - len(leading)))
        return as_set([*leading, *others[::step][: wanted - len(leading)]])

    def _judge(self, design: Design) -> tuple[str, Areas]:
        from dissectreport.worker.interventions import make_judge

        sets = design.sets()
        place = self._store("ablations", sets=store.digest({"sets": design.arrays()["sets"]}))
        make = partial(make_judge, self.job.source, self.aim, sets)
        wanted = shards(self.budget.samples, PAIR)
        self._count(place, make, wanted, f"ablating {len(sets)} sets of units", flat)
        return place.folder.name, merge_all(stat for _, stat in read_stat(place, wanted, "areas"))

    def _context(self, design: Design, presence: Presence) -> tuple[str, Insertions]:
        from dissectreport.worker.interventions import Planting, make_context

        sets = [design.causal(k) for k in range(len(design.best))]
        values = [levels_of(self._on(presence, k), units) for k, units in enumerate(sets)]
        sizes = sorted(design.random, key=lambda size: abs(size - design.together))
        average = np.mean([self._on(presence, k) for k in range(len(design.best))], 0)
        for units in [units for size in sizes[:1] for units in design.random[size][: self.budget.context_random]]:
            sets.append(units)
            values.append(levels_of(average, units))
        planting = Planting(tuple(sets), tuple(values), self.study.frequency, self.budget.context_places)
        place = self._store("insertions", planting=asdict(planting))
        make = partial(make_context, self.job.source, self.aim, planting)
        wanted = shards(self.budget.context_samples, PAIR)
        self._count(place, make, wanted, "switching units on", lambda found: flat({"insertions": found}))
        return place.folder.name, merge_all(stat for _, stat in read_stat(place, wanted, "insertions"))

    def _on(self, presence: Presence, number: int) -> Floats:
        """(units,) the activations to which units are switched on for a concept."""
        return presence.concept_means()[number] if self.budget.constant == "mean" else self.study.upper

    def _pictures(
        self, design: Design, presence: Presence, areas: Areas, insertions: Insertions, first: FirstOrder
    ) -> str:
        from dissectreport.worker.interventions import Showing, make_showing

        share = first.effect / np.maximum(first.area, 1e-9)[:, None]
        showings = []
        for k in range(len(design.best)):
            units = design.causal(k)
            planted = typical(insertions, k)[: self.budget.shown]
            samples = shown_samples(areas, self.aim.concepts[k], self.budget.shown)
            showings.append(
                Showing(
                    concept_name(k),
                    units,
                    samples,
                    self.aim.concepts[k],
                    levels_of(self._on(presence, k), units),
                    planted,
                )
            )
        for unit in design.singles:
            concept = self.aim.concepts[int(share[:, unit].argmax())]
            showings.append(Showing(f"unit-{unit:05d}", (unit,), shown_samples(areas, concept, PAIRED_PICTURES)))
        place = self._store("edited pictures", showings=[asdict(showing) for showing in showings])
        make = partial(make_showing, self.job.source, self.aim)
        task = "pictures of interventions", "sets"
        self._fill(place, make, showings, lambda showing: showing.name, task, _shown)
        return place.folder.name

    # --- stores ---

    def _store(self, kind: str, **more: Any) -> Store:
        place = Store.open(self.cache, {"kind": kind, **self.aim.facts(), **more})
        self.folders.add(place.folder.name)
        return place

    def _count(self, place: Store, make: Any, wanted: Sequence[Shard], task: str, arrays: Any) -> None:
        """Run a pass over the shards that its store lacks, and remember the device of each."""
        device = np.array(self.job.source.device)
        self._fill(place, make, wanted, shard_name, (task, "batches"), lambda _, f: {**arrays(f), "device": device})

    def _fill(
        self, place: Store, make: Any, wanted: Sequence[Any], name: Any, task: tuple[str, str], arrays: Any
    ) -> None:
        """Run a pass over the items that its store lacks.

        `name` names an item, `task` is what the listener hears and its unit, and `arrays` makes what is kept of an item
        and its result.
        """
        missing = [item for item in wanted if not self._sound(place, name(item))]
        done, total = len(wanted) - len(missing), len(wanted)
        for item, found in self.workers.run(make, missing):
            place.save(name(item), arrays(item, found))
            done += 1
            self.listener.progress(task[0], done, total, task[1])

    def _sound(self, place: Store, name: str) -> bool:
        return sound(place, name, self.listener.say)


def concept_name(number: int) -> str:
    """The name of what is kept of a studied concept."""
    return f"concept-{number:04d}"


def _searched(found: Mapping[str, Any]) -> dict[str, Any]:
    return {**flat({"presence": found["presence"]}), **found["rows"]}


def _shown(showing: Any, found: Mapping[str, Any]) -> dict[str, Any]:
    spots = np.array(showing.planted, np.int64).reshape(-1, 2)
    return {**found, "planted": spots, "units": np.array(showing.units, np.int64)}


def levels_of(levels: Floats, units: Units) -> tuple[float, ...]:
    """The levels of some units."""
    return tuple(float(levels[unit]) for unit in units)


def by_weight(weight: Floats, leading: Ints) -> Ints:
    """(units,) by falling weight; equal ones in the first-order order."""
    place = np.empty(len(leading), np.int64)
    place[leading] = np.arange(len(leading))
    return np.lexsort((place, -weight)).astype(np.int64)


def random_sets(strength: Floats, leading: Ints, size: int, count: int, without: Units = ()) -> tuple[Units, ...]:
    """Random sets of `size` units whose mean activation is near that of the concepts' leading ones.

    `strength` (units,) is the mean absolute activation, `leading` (concepts, units) the first-order orders. Where too
    few random sets come near, those that come nearest are kept. None holds a unit of `without`; where fewer than twice
    `size` others are ever on, there is no set.
    """
    wanted = strength[leading[:, :size]].mean()
    random = np.random.RandomState(size)
    alive = np.setdiff1d(np.flatnonzero(strength > 0), without)
    if 2 * size > len(alive):
        return ()
    drawn = [as_set(random.choice(alive, size, replace=False)) for _ in range(DRAWN)]
    every = list(dict.fromkeys(drawn))
    off = np.abs(np.array([strength[list(units)].mean() for units in every]) / max(wanted, 1e-12) - 1)
    near = [units for units, far in zip(every, off, strict=True) if far < LIKE][:count]
    if len(near) < count:
        near = [every[i] for i in np.argsort(off, kind="stable")[:count]]
    return tuple(near)


def shown_samples(areas: Areas, concept: int, count: int) -> tuple[int, ...]:
    """Latents to show a concept on: at random from the half of those that hold it that hold most of it."""
    pixels = areas.pixels[:, np.flatnonzero(areas.concepts == concept)[0]]
    order = np.argsort(-pixels, kind="stable")
    holding = order[pixels[order] > 0]
    pool = holding[: max(count, len(holding) // 2)] if len(holding) else order[:count]
    chosen = np.random.RandomState(concept).permutation(pool)[:count]
    return tuple(int(areas.samples[i]) for i in np.sort(chosen))


def typical(insertions: Insertions, number: int) -> tuple[tuple[int, int], ...]:
    """For each ground the (sample, place) of its median insertion for a concept, the ground of most gain first."""
    found = []
    for ground in np.unique(insertions.grounds):
        rows = np.flatnonzero(insertions.grounds == ground)
        gains = insertions.gains[rows, number, number]
        middle = rows[np.argsort(gains, kind="stable")[len(rows) // 2]]
        found.append((-gains.mean(), int(insertions.samples[middle]), int(insertions.places[middle])))
    return tuple((sample, place) for _, sample, place in sorted(found))
