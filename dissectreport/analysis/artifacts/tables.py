"""The tables of artifact units and repair, from what the passes left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.artifacts import selection as diagnosis
from dissectreport.analysis.artifacts.quality import Quality, Reference, too_few_for_covariance
from dissectreport.analysis.artifacts.selection import Compared, Exciting, SingleEffects, SingleUnits, Verdict
from dissectreport.analysis.common.halves import Halved
from dissectreport.analysis.interventions.tables import ceiling, spearman, spearman_interval
from dissectreport.analysis.results.artifacts import Artifacts, Repaired
from dissectreport.errors import counted
from dissectreport.run.plan import PAIR, SHARD
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Floats, Ints, merge_all
from dissectreport.stats.features import Features, Scale
from dissectreport.stats.peaks import Peaks

FEW = 1000
"""Images on each side below which a note says so."""


class Reader(Protocol):
    """Where arrays come from, by folder and name."""

    def stats(self, folder: str, samples: int, shard: int, name: str) -> Any:
        """Each shard with one of its statistics, in order."""

    def arrays(self, folder: str, name: str, prefix: str = "") -> dict[str, Any]:
        """The arrays called `name` in a folder."""


@dataclass(frozen=True)
class Dissected:
    """What the dissection of the layer says of its units."""

    concepts: Sequence[int]
    """By unit the number of its concept; 0 without a label."""
    levels: Floats
    """(units,) above which each counts as on."""
    peaks: Peaks
    areas: Areas


@dataclass(frozen=True)
class _Found:
    """Everything that was measured, read."""

    facts: Mapping[str, Any]
    reference: Reference
    sides: Compared
    design: Mapping[str, Any]
    tests: SingleEffects
    verdict: Verdict
    found: Mapping[str, Quality]
    weighed: Mapping[str, Any]
    """The kernel distance of the latents that choose a size, and what became of it with every size."""
    exciting: Exciting
    dissected: Dissected

    @property
    def roles(self) -> SingleUnits:
        return SingleUnits.of(self.design)

    @property
    def tested(self) -> Ints:
        return self.roles.units

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(int(unit) for unit in self.tested[self.verdict.order])

    @property
    def candidates(self) -> tuple[int, ...]:
        return self.roles.worst(self.tests)

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(sorted(int(name.split()[1]) for name in self.found if name.startswith("worst ")))

    @property
    def changes(self) -> dict[int, Halved]:
        """By size, on the latents that choose one."""
        return diagnosis.unpacked_changes(self.weighed)

    @property
    def chosen(self) -> int:
        """How many units the repair ablates."""
        return diagnosis.chosen_size(self.changes)

    @property
    def scoring(self) -> Reference:
        """The real images that score."""
        return Reference(self.reference.features[: self.facts["counts"]["scored"]], self.reference.scale)

    @property
    def distance(self) -> float:
        """The kernel distance without any edit, of the testing latents that choose a size."""
        return float(self.weighed["distance"][0])


def artifacts(facts: Mapping[str, Any], reader: Reader, dissected: Dissected) -> Artifacts:
    """All that was found about artifact units, from what a record keeps of them."""
    read = _read(facts, reader, dissected)
    portraits = {name: reader.arrays(facts["pictures"], name) for name in ("worst", "random", "pairs")}
    shown = reader.arrays(facts["pictures"], "shown")
    checkup, counts = facts["checkup"], facts["counts"]
    table = _units(read)
    return Artifacts(
        layer=facts["exam"]["layer"],
        features=facts["features"]["name"],
        dimension=read.reference.features.shape[1],
        reference=facts["reference"],
        real=counts["real"],
        beside=counts["choosing"],
        against_itself=read.found["real"].images,
        choosing=checkup["gradients"],
        tested=checkup["tested"],
        retested=checkup["retested"],
        finalists=checkup["finalists"],
        weighed=checkup["weighed"],
        scored=counts["scored"],
        random_scored=min(checkup["random_scored"], counts["scored"]),
        random_sets=checkup["random_sets"],
        excited=read.exciting.images,
        dissected=counts["dissected"],
        listed=read.verdict.listed(read.roles),
        order=read.order,
        candidates=read.candidates,
        chosen=read.chosen,
        shown=tuple(int(unit) for unit in shown["units"]),
        reviewed=tuple(facts["reviewed"]),
        settings=_settings(facts),
        units=table,
        quality=_quality(read),
        curve=_curve(read, reader),
        choice=_choice(read),
        agreement=_agreement(read),
        images=_images(read, portraits, shown["suspects"].astype(int)),
        worst=_repaired(portraits["worst"]),
        random=_repaired(portraits["random"]),
        pairs=_repaired(portraits["pairs"]),
        command=facts["command"],
        notes=_notes(facts, read),
    )


def _rows(reader: Reader, folder: str, count: int, shard: int) -> NDArray[Any]:
    found: Features = merge_all(stat for _, stat in reader.stats(folder, count, shard, "features"))
    return found.values


def _read(facts: Mapping[str, Any], reader: Reader, dissected: Dissected) -> _Found:
    checkup, counts = facts["checkup"], facts["counts"]
    real = _rows(reader, *(facts["real"][name] for name in ("folder", "wanted", "shard")))
    scale = Scale.published(real.shape[1]) if facts["features"]["published"] else Scale.of(real)
    reference = Reference.of(real, scale)
    sides = Compared(reference.features, scale(_rows(reader, facts["side"], checkup["side"], SHARD)))
    design = reader.arrays(facts["design"], "design")
    tests = SingleEffects(**reader.arrays(facts["tests"], "tests"))
    found: dict[str, Quality] = {}
    for folder in facts["quality"]:
        found |= diagnosis.unpacked(reader.arrays(folder, "quality"))
    weighed = reader.arrays(facts["weighed"], "changes")
    judged = diagnosis.verdict(tests, SingleUnits.of(design), float(weighed["distance"][0]))
    rows = scale(_rows(reader, facts["dissected"], counts["dissected"], SHARD))
    excited = diagnosis.exciting(dissected.peaks.peaks[: len(rows)], _areas(dissected, len(rows)), rows, reference)
    return _Found(facts, reference, sides, design, tests, judged, found, weighed, excited, dissected)


def _areas(dissected: Dissected, images: int) -> Ints:
    """(images, units) pixels of each unit's own concept; 0 without one."""
    held = dissected.areas
    columns = {int(number): held.pixels[:images, i] for i, number in enumerate(held.concepts)}
    nothing = np.zeros(images, np.int64)
    return np.stack([columns.get(number, nothing) for number in dissected.concepts], axis=1)


def _units(read: _Found) -> pd.DataFrame:
    estimate, strength = read.design["estimate"], read.design["strength"]
    units = len(estimate)
    rank = np.empty(units, np.int64)
    rank[np.argsort(-estimate, kind="stable")] = np.arange(1, units + 1)
    roles = np.full(units, "", object)
    roles[read.tested] = read.roles.roles
    artifact = np.zeros(units, bool)
    artifact[read.tested] = read.verdict.artifact
    random = read.exciting.random
    return pd.DataFrame(
        {
            "unit": np.arange(units),
            "role": roles,
            "rank": rank,
            "estimate": estimate,
            **_spread(read.tested, units, _of_tests(read)),
            "artifact": artifact,
            "place": _places(read.order, units),
            "repair_place": _places(read.candidates, units),
            "strength": strength,
            "images_on": _images_on(read.dissected),
            "frechet": read.exciting.own,
            "frechet_random": random.mean(1),
            "frechet_random_low": random.min(1),
            "frechet_random_high": random.max(1),
            "frechet_ratio": read.exciting.own / random.mean(1),
        }
    )


def _places(order: Sequence[int], units: int) -> Floats:
    """(units,) places in an order, from 1; NaN for units that are not in it."""
    found = np.full(units, np.nan)
    found[list(order)] = np.arange(1, len(order) + 1)
    return found


def _over(values: Floats, whole: float) -> Floats:
    """Shares of a whole; NaN where there is none."""
    return values / whole if whole > 0 else np.full(len(values), np.nan)


def _of_tests(read: _Found) -> dict[str, Floats]:
    """Columns of the tested units."""
    tests = read.tests
    return {
        "tested_images": tests.images.astype(np.float64),
        "exact": tests.value,
        "exact_low": tests.low,
        "exact_high": tests.high,
        "share": _over(tests.value, read.distance),
        "p": tests.p,
        "q": read.verdict.q,
        "beyond": tests.beyond,
        "beyond_low": tests.beyond_low,
        "beyond_high": tests.beyond_high,
    }


def _spread(tested: Ints, units: int, columns: Mapping[str, Floats]) -> dict[str, Floats]:
    """Columns of the tested units as columns of all units."""
    found = {}
    for name, values in columns.items():
        found[name] = np.full(units, np.nan)
        found[name][tested] = values
    return found


def _images_on(dissected: Dissected) -> Floats:
    shares = (dissected.peaks.peaks > dissected.levels).mean(0)
    return np.where(np.isfinite(dissected.levels), shares, np.nan)


def _quality(read: _Found) -> pd.DataFrame:
    sets = [("real", 0, "real"), ("before", 0, "before")]
    sets += [("worst", size, f"worst {size}") for size in read.sizes]
    sets += [("review", len(read.facts["reviewed"]), "review")] if "review" in read.found else []
    rows: list[dict[str, Any]] = []
    for name, units, key in sets:
        quality = read.found[key]
        paired = name not in ("real", "before")
        changes = quality.change_from(read.found["before"]) if paired else {}
        for measure, one in quality.estimates().items():
            row = {"set": name, "units": units, "measure": measure, "images": quality.images}
            row |= {"value": one.value, "low": one.low, "high": one.high}
            row |= {"change": np.nan, "change_low": np.nan, "change_high": np.nan, "error": np.nan}
            if paired:
                change = changes[measure]
                row |= {"change": change.value, "change_low": change.low, "change_high": change.high}
                row["error"] = float(quality.measures[measure].minus(read.found["before"].measures[measure]).error())
            rows.append(row)
    return pd.DataFrame(rows)


def _curve(read: _Found, reader: Reader) -> pd.DataFrame:
    """The change of the kernel distance with the worst units, those marked, and random ones, on the same latents."""
    facts = read.facts
    drawn, images = reader.arrays(facts["random_sets"], "random"), facts["counts"]["scored"]
    count = min(facts["checkup"]["random_scored"], images)
    names = np.where(drawn["review"].astype(bool), "random_review", "random").tolist()
    sizes, activation = drawn["sizes"].astype(int).tolist(), drawn["activation"].tolist()
    parts = [("worst", size, 1.0) for size in read.sizes]
    changes = _changes(read, _rows(reader, facts["scored"], images, PAIR)[:count])
    if facts["marked"]:
        parts.append(("review", len(facts["reviewed"]), 1.0))
        changes += _changes(read, _rows(reader, facts["marked"], images, PAIR)[:count])
    parts += list(zip(names, sizes, activation, strict=True))
    changes += _changes(read, _rows(reader, facts["random"], count, PAIR))
    rows: list[dict[str, Any]] = []
    seen: Counter[tuple[str, int]] = Counter()
    for (name, size, ratio), (distance, change) in zip(parts, changes, strict=True):
        low, high = change.interval()
        row = {"set": name, "number": seen[name, size], "units": size, "activation": ratio, "images": count}
        row |= {"real": len(read.scoring.features), "distance": distance, "change": float(change.value)}
        rows.append(row | {"change_low": float(low), "change_high": float(high)})
        seen[name, size] += 1
    columns = ["set", "number", "units", "activation", "images", "real", "distance"]
    return pd.DataFrame(rows, columns=[*columns, "change", "change_low", "change_high"])


def _changes(read: _Found, variants: NDArray[Any]) -> list[tuple[float, Halved]]:
    """The kernel distance without any edit and what became of it, for each set of features (n, 1 + sets, d)."""
    distance, changes = diagnosis.kernel_changes(read.scoring, variants)
    return [(float(distance.value), change) for change in changes]


def _choice(read: _Found) -> pd.DataFrame:
    """The change of the kernel distance with the worst units, on the latents that choose how many a repair ablates."""
    chosen = read.chosen
    rows: list[dict[str, Any]] = []
    for size, change in read.changes.items():
        row = {"units": size, "images": read.facts["checkup"]["weighed"], "real": read.facts["counts"]["choosing"]}
        row |= {"distance": read.distance, "change": float(change.value), "chosen": size == chosen}
        low, high = change.interval()
        rows.append(row | {"change_low": float(low), "change_high": float(high)})
    columns = ["units", "images", "real", "distance", "change", "change_low", "change_high", "chosen"]
    return pd.DataFrame(rows, columns=columns)


def _agreement(read: _Found) -> pd.DataFrame:
    estimate, exact = read.design["estimate"][read.tested], read.tests.halves.mean(0)
    found = spearman(estimate, exact)
    low, high = spearman_interval(found, len(exact))
    row = {"tested": len(exact), "spearman": found, "spearman_low": low, "spearman_high": high}
    return pd.DataFrame([row | {"ceiling": ceiling(spearman(*read.tests.halves))}])


def _images(read: _Found, portraits: Mapping[str, Mapping[str, Any]], suspects: Ints) -> pd.DataFrame:
    parts = []
    for kind in ("worst", "random"):
        held = portraits[kind]
        rows = read.reference.scale(held["features"])
        before, after = (read.sides.nearness(rows[:, i]) for i in (0, 1))
        on = _on(read, held["peaks"], suspects)
        columns = {"sample": held["samples"].astype(int), "before": before, "after": after, "on": on}
        parts.append(pd.DataFrame({"kind": kind, **columns}))
    return pd.concat(parts, ignore_index=True)


def _on(read: _Found, peaks: NDArray[Any], suspects: Ints) -> list[str]:
    """Of peaks (images, suspects), the units that are on in each image, the strongest for its mean first."""
    strength = np.maximum(read.design["strength"][suspects], 1e-12)
    found = []
    for peak in peaks:
        order = np.argsort(-peak / strength, kind="stable")
        found.append(" ".join(str(suspects[i]) for i in order if peak[i] > read.dissected.levels[suspects[i]]))
    return found


def _repaired(held: Mapping[str, Any]) -> Repaired:
    nothing = np.zeros((0, 0, 0), np.float32)
    return Repaired(held["samples"].astype(np.int64), held["before"], held["after"], held.get("heat", nothing))


def _settings(facts: Mapping[str, Any]) -> dict[str, Any]:
    exam = {name: facts["exam"][name] for name in ("seed", "precision")}
    shown = {name: value for name, value in facts["checkup"].items() if name != "name"}
    scaled = not facts["features"]["published"]
    return {"budget": facts["checkup"]["name"], **exam, **shown, "drift": facts["drift"], "scaled": scaled}


def _notes(facts: Mapping[str, Any], read: _Found) -> tuple[str, ...]:
    counts = facts["counts"]
    found = [too_few_for_covariance(counts["scored"], read.reference.features.shape[1])]
    if counts["left_out"]:
        found.append(f"{counted(counts['left_out'], 'real image')} could not be read and took no part.")
    if counts["choosing"] == counts["real"]:
        found.append(
            f"There are {counts['real']:,} real images, too few to keep some apart: units were chosen beside the ones"
            " that score, which flatters the repair a little."
        )
    if not len(read.roles.places("control")):
        found.append("The layer has too few other units for control units: units are not asked to do more than these.")
    before = read.found["before"].measures
    if before["precision"].value == 0 and before["coverage"].value == 0:
        found.append(
            "No generated image is as near to real ones as these are to each other: if the real images are of another"
            " kind than what the model makes, nothing here tells much."
        )
    if counts["scored"] < FEW:
        found.append(
            f"There are {counts['scored']:,} images on each side. With {FEW:,} or more intervals are narrower, other"
            " units may be found, and precision, recall and coverage are less those of a small number of images."
        )
    return tuple(filter(None, found))
