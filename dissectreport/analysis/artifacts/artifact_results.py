"""The tables of artifact units and repair, from the results of the passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.artifacts.detectable import detectable_again, detectable_effect
from dissectreport.analysis.artifacts.exciting import Exciting, exciting
from dissectreport.analysis.artifacts.quality import ImageQuality, Reference, too_few_for_covariance
from dissectreport.analysis.artifacts.repair_quality import Qualities, SizeChanges, kernel_changes
from dissectreport.analysis.artifacts.selection import (
    ArtifactVerdict,
    RealismSides,
    SecondEffects,
    SingleEffects,
    SingleUnits,
    judge_units,
)
from dissectreport.analysis.common.halves import Halved
from dissectreport.analysis.common.rank_correlation import (
    noise_ceiling,
    noise_ceiling_interval,
    spearman,
    spearman_interval,
)
from dissectreport.analysis.results.artifacts import Artifacts, EditedSet, QualityMeasure, Repaired, Role
from dissectreport.errors import counted
from dissectreport.records.artifacts import (
    ArtifactPlan,
    ArtifactRecord,
    FeatureFolder,
    RandomSets,
    RepairPictures,
    ShownUnits,
)
from dissectreport.records.reader import Reader
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.features import Features, FeatureScale
from dissectreport.stats.peaks import Peaks

Row = dict[str, Any]

FEW = 1000
"""Images on each side below which a note says so."""


@dataclass(frozen=True)
class Dissected:
    """The results of the dissection for the units of the layer."""

    concepts: Sequence[int]
    """By unit the number of its concept; 0 without a label."""
    thresholds: Floats
    """(units,) above which each counts as on."""
    peaks: Peaks
    areas: Areas


@dataclass(frozen=True)
class _MeasuredArtifacts:
    """Everything that was measured, read."""

    record: ArtifactRecord
    reference: Reference
    realism: RealismSides
    plan: ArtifactPlan
    tests: SingleEffects
    qualities: Qualities
    marked: Qualities | None
    size_changes: SizeChanges
    second: SecondEffects | None
    exciting: Exciting
    dissected: Dissected

    @cached_property
    def verdict(self) -> ArtifactVerdict:
        return judge_units(self.tests, self.roles, self.size_changes.kernel_distance)

    @cached_property
    def roles(self) -> SingleUnits:
        return SingleUnits.of(self.plan)

    @property
    def tested(self) -> Ints:
        return self.roles.units

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(int(unit) for unit in self.tested[self.verdict.order])

    @property
    def repairable(self) -> tuple[int, ...]:
        return self.roles.worst(self.tests)

    @property
    def held_out(self) -> Reference:
        """The real images that score."""
        return Reference(self.reference.features[: self.record.scored.images], self.reference.scale)


def artifacts(record: ArtifactRecord, reader: Reader, dissected: Dissected) -> Artifacts:
    """The results about artifact units, from the record's passes."""
    measured, budget = _read(record, reader, dissected), record.budget
    names = (RepairPictures.WORST, RepairPictures.RANDOM, RepairPictures.PAIRS)
    worst, random, pairs = (reader.read(record.pictures, RepairPictures, name) for name in names)
    gained = _gained(record, reader, worst)
    shown = reader.read(record.pictures, ShownUnits)
    return Artifacts(
        layer=record.key.layer,
        features=record.features,
        dimension=measured.reference.features.shape[1],
        reference=record.reference,
        real=record.real_images,
        selection_images=record.selection_images,
        against_itself=measured.qualities.real.images,
        selection=budget.gradients,
        tested=budget.tested,
        retested=budget.retested,
        finalists=budget.finalists,
        size_selection=budget.size_selection,
        scored=record.scored.images,
        random_scored=record.random_scored.images,
        random_sets=budget.random_sets,
        excited=measured.exciting.images,
        dissected=record.dissected.images,
        listed=measured.verdict.listed(measured.roles),
        detectable=detectable_effect(
            measured.tests, measured.roles, budget.finalists, measured.size_changes.kernel_distance
        )
        / measured.size_changes.kernel_distance
        if measured.size_changes.kernel_distance > 0
        else float("nan"),
        second=record.second,
        second_images=0 if measured.second is None else measured.second.images,
        second_detectable=float("nan") if measured.second is None else detectable_again(measured.second),
        order=measured.order,
        repairable=measured.repairable,
        chosen=measured.size_changes.selected_size(),
        shown=shown.ablated,
        reviewed=record.marked,
        settings=_settings(record),
        units=_units(measured),
        quality=_quality(measured),
        curve=_curve(measured, reader),
        choice=_choice(measured),
        agreement=_agreement(measured),
        images=_images(
            measured, {EditedSet.WORST: worst, EditedSet.GAINED: gained, EditedSet.RANDOM: random}, shown.heat
        ),
        worst=_repaired(worst),
        gained=_repaired(gained),
        random=_repaired(random),
        pairs=_repaired(pairs),
        command=record.command,
        notes=_notes(measured),
    )


def _gained(record: ArtifactRecord, reader: Reader, worst: RepairPictures) -> RepairPictures:
    """The images that gain most; none where they were not measured."""
    if RepairPictures.GAINED in reader.names(record.pictures):
        return reader.read(record.pictures, RepairPictures, RepairPictures.GAINED)
    return RepairPictures(**{name: value[:0] for name, value in vars(worst).items()})


def _features(reader: Reader, at: FeatureFolder) -> NDArray[np.float32]:
    return reader.total(at.folder, at.images, at.shard, Features).values


def _read(record: ArtifactRecord, reader: Reader, dissected: Dissected) -> _MeasuredArtifacts:
    real = _features(reader, record.real)[:, : record.dimension or None]
    scale = FeatureScale.published(real.shape[1]) if record.is_published else FeatureScale.of(real)
    reference = Reference.of(real, scale)
    rows = scale(_features(reader, record.dissected))
    return _MeasuredArtifacts(
        record=record,
        reference=reference,
        realism=RealismSides(reference.features, scale(_features(reader, record.generated))),
        plan=reader.read(record.plan, ArtifactPlan),
        tests=reader.read(record.tests, SingleEffects),
        qualities=reader.read(record.quality, Qualities),
        marked=reader.read(record.marked_quality, Qualities) if record.marked_quality else None,
        size_changes=reader.read(record.size_changes, SizeChanges),
        second=reader.read(record.second_effects, SecondEffects) if record.second_effects else None,
        exciting=exciting(dissected.peaks.peaks[: len(rows)], _areas(dissected, len(rows)), rows, reference),
        dissected=dissected,
    )


def _areas(dissected: Dissected, images: int) -> Ints:
    """(images, units) pixels of each unit's own concept; 0 without one."""
    areas = dissected.areas
    columns = {int(number): areas.pixels[:images, i] for i, number in enumerate(areas.concepts)}
    nothing = np.zeros(images, np.int64)
    return np.stack([columns.get(number, nothing) for number in dissected.concepts], axis=1)


def _units(measured: _MeasuredArtifacts) -> pd.DataFrame:
    estimate, mean_activation = measured.plan.estimate, measured.plan.mean_activation
    units = len(estimate)
    rank = np.empty(units, np.int64)
    rank[np.argsort(-estimate, kind="stable")] = np.arange(1, units + 1)
    roles = np.full(units, "", object)
    roles[measured.tested] = measured.roles.roles
    artifact = np.zeros(units, bool)
    artifact[measured.tested] = measured.verdict.artifact
    random = measured.exciting.random
    return pd.DataFrame(
        {
            "unit": np.arange(units),
            "role": roles,
            "rank": rank,
            "estimate": estimate,
            **_spread(measured.tested, units, _of_tests(measured)),
            **_in_second(measured.second, units),
            "artifact": artifact,
            "effect_rank": _ranks(measured.order, units),
            "repair_rank": _ranks(measured.repairable, units),
            "mean_activation": mean_activation,
            "images_on": _images_on(measured.dissected),
            "frechet": measured.exciting.own,
            "frechet_random": random.mean(1),
            "frechet_random_low": random.min(1),
            "frechet_random_high": random.max(1),
            "frechet_ratio": measured.exciting.own / random.mean(1),
        }
    )


def _ranks(order: Sequence[int], units: int) -> Floats:
    """(units,) ranks in an order, from 1; NaN for units that are not in it."""
    ranks = np.full(units, np.nan)
    ranks[list(order)] = np.arange(1, len(order) + 1)
    return ranks


def _over(values: Floats, whole: float) -> Floats:
    """Shares of a whole; NaN where there is none."""
    return values / whole if whole > 0 else np.full(len(values), np.nan)


def _of_tests(measured: _MeasuredArtifacts) -> dict[str, Floats]:
    """Columns of the tested units."""
    tests = measured.tests
    return {
        "tested_images": tests.images.astype(np.float64),
        "measured_effect": tests.value,
        "measured_effect_low": tests.low,
        "measured_effect_high": tests.high,
        "share": _over(tests.value, measured.size_changes.kernel_distance),
        "p": tests.p,
        "q": measured.verdict.q,
        "difference": tests.difference,
        "difference_low": tests.difference_low,
        "difference_high": tests.difference_high,
    }


def _spread(tested: Ints, units: int, columns: Mapping[str, Floats]) -> dict[str, Floats]:
    """Columns of the tested units as columns of all units."""
    spread_columns = {}
    for name, values in columns.items():
        spread_columns[name] = np.full(units, np.nan)
        spread_columns[name][tested] = values
    return spread_columns


def _in_second(second: SecondEffects | None, units: int) -> dict[str, Floats | NDArray[np.bool_]]:
    """Columns of the artifact units in the second network's features."""
    confirmed = np.zeros(units, bool)
    names = ("second_effect", "second_effect_low", "second_effect_high", "second_share", "second_q")
    if second is None:
        return {name: np.full(units, np.nan) for name in names} | {"confirmed": confirmed}
    confirmed[second.units] = second.confirmed()
    values = (second.value, second.low, second.high, _over(second.value, second.distance), second.q())
    return {**_spread(second.units, units, dict(zip(names, values, strict=True))), "confirmed": confirmed}


def _images_on(dissected: Dissected) -> Floats:
    shares = (dissected.peaks.peaks > dissected.thresholds).mean(0)
    return np.where(np.isfinite(dissected.thresholds), shares, np.nan)


def _quality(measured: _MeasuredArtifacts) -> pd.DataFrame:
    before, marked = measured.qualities.before, measured.marked
    rows = _quality_rows(EditedSet.REAL, 0, measured.qualities.real) + _quality_rows(EditedSet.BEFORE, 0, before)
    for size, quality in sorted(measured.qualities.ablated.items()):
        rows += _quality_rows(EditedSet.WORST, size, quality, before)
    for size, quality in marked.ablated.items() if marked is not None else ():
        rows += _quality_rows(EditedSet.MARKED, size, quality, before)
    return pd.DataFrame(rows)


def _quality_rows(name: EditedSet, units: int, quality: ImageQuality, before: ImageQuality | None = None) -> list[Row]:
    """One row per measure; with the change from `before`, where that is given."""
    rows: list[Row] = []
    changes = quality.change_from(before) if before is not None else {}
    for measure, estimate in quality.estimates().items():
        row: Row = {"set": str(name), "units": units, "measure": measure, "images": quality.images}
        row |= {"value": estimate.value, "low": estimate.low, "high": estimate.high}
        row |= {"change": np.nan, "change_low": np.nan, "change_high": np.nan, "error": np.nan}
        if before is not None:
            change = changes[measure]
            row |= {"change": change.value, "change_low": change.low, "change_high": change.high}
            row["error"] = float(quality.measures[measure].minus(before.measures[measure]).error())
        rows.append(row)
    return rows


def _curve(measured: _MeasuredArtifacts, reader: Reader) -> pd.DataFrame:
    """The change of the kernel distance with the worst units, those marked, and random ones, on the same latents."""
    record = measured.record
    random, count = reader.read(record.random_sets, RandomSets), record.random_scored.images
    parts = [(str(EditedSet.WORST), size, 1.0) for size in sorted(measured.qualities.ablated)]
    changes = _changes(measured, _features(reader, record.scored)[:count])
    if record.marked_scored is not None:
        parts.append((str(EditedSet.MARKED), len(record.marked), 1.0))
        changes += _changes(measured, _features(reader, record.marked_scored)[:count])
    names = np.where(random.beside_marked, EditedSet.RANDOM_MARKED, EditedSet.RANDOM).tolist()
    parts += list(zip(names, random.sizes.tolist(), random.activation.tolist(), strict=True))
    changes += _changes(measured, _features(reader, record.random_scored))
    rows: list[Row] = []
    sets_by_size: Counter[tuple[str, int]] = Counter()
    for (name, size, ratio), (distance, change) in zip(parts, changes, strict=True):
        low, high = change.interval()
        row: Row = {
            "set": name,
            "number": sets_by_size[name, size],
            "units": size,
            "activation": ratio,
            "images": count,
        }
        row |= {"real": len(measured.held_out.features), "distance": distance, "change": float(change.value)}
        rows.append(row | {"change_low": float(low), "change_high": float(high)})
        sets_by_size[name, size] += 1
    columns = ["set", "number", "units", "activation", "images", "real", "distance"]
    return pd.DataFrame(rows, columns=[*columns, "change", "change_low", "change_high"])


def _changes(measured: _MeasuredArtifacts, variants: NDArray[Any]) -> list[tuple[float, Halved]]:
    """The kernel distance without any edit and what became of it, for each set of features (n, 1 + sets, d)."""
    distance, changes = kernel_changes(measured.held_out, variants)
    return [(float(distance.value), change) for change in changes]


def _choice(measured: _MeasuredArtifacts) -> pd.DataFrame:
    """The change of the kernel distance with the worst units, on the latents that select how many a repair ablates."""
    selected, record = measured.size_changes.selected_size(), measured.record
    rows: list[Row] = []
    for size, change in measured.size_changes.changes.items():
        row: Row = {"units": size, "images": record.budget.size_selection, "real": record.selection_images}
        row |= {"distance": measured.size_changes.kernel_distance, "change": float(change.value)}
        row["chosen"] = size == selected
        low, high = change.interval()
        rows.append(row | {"change_low": float(low), "change_high": float(high)})
    columns = ["units", "images", "real", "distance", "change", "change_low", "change_high", "chosen"]
    return pd.DataFrame(rows, columns=columns)


def _agreement(measured: _MeasuredArtifacts) -> pd.DataFrame:
    estimate, measured_effect = measured.plan.estimate[measured.tested], measured.tests.halves.mean(0)
    correlation = spearman(estimate, measured_effect)
    low, high = spearman_interval(correlation, len(measured_effect))
    row = {"tested": len(measured_effect), "spearman": correlation, "spearman_low": low, "spearman_high": high}
    within = spearman(*measured.tests.halves)
    ceiling_low, ceiling_high = noise_ceiling_interval(within, len(measured_effect))
    row |= {"noise_ceiling": noise_ceiling(within)}
    return pd.DataFrame([row | {"noise_ceiling_low": ceiling_low, "noise_ceiling_high": ceiling_high}])


def _images(
    measured: _MeasuredArtifacts, pictures: Mapping[str, RepairPictures], heat_units: Sequence[int]
) -> pd.DataFrame:
    parts = []
    for kind, shown in pictures.items():
        if not len(shown.samples):
            continue
        rows = measured.reference.scale(shown.features)
        before, after = (measured.realism.scores(rows[:, i]) for i in (0, 1))
        columns = {"sample": shown.samples, "before": before, "after": after}
        parts.append(pd.DataFrame({"kind": kind, **columns, "on": _on(measured, shown.peaks, heat_units)}))
    return pd.concat(parts, ignore_index=True)


def _on(measured: _MeasuredArtifacts, peaks: NDArray[Any], heat_units: Sequence[int]) -> list[str]:
    """Of peaks (images, heat_units), the units that are on in each image, the strongest for its mean first."""
    mean_activation = np.maximum(measured.plan.mean_activation[list(heat_units)], 1e-12)
    units_on = []
    for peak in peaks:
        order = np.argsort(-peak / mean_activation, kind="stable")
        on = (heat_units[i] for i in order if peak[i] > measured.dissected.thresholds[heat_units[i]])
        units_on.append(" ".join(map(str, on)))
    return units_on


def _repaired(pictures: RepairPictures) -> Repaired:
    nothing = np.zeros((0, 0, 0), np.float32)
    heat = pictures.heat if pictures.heat.size else nothing
    return Repaired(pictures.samples, pictures.before, pictures.after, heat)


def _settings(record: ArtifactRecord) -> dict[str, Any]:
    key = {"seed": record.key.seed, "precision": record.key.precision}
    sizes = {name: value for name, value in record.budget.to_json().items() if name != "name"}
    return {
        "budget": record.budget.name,
        **key,
        **sizes,
        "drift": record.drift,
        "scaled": not record.is_published,
    }


def _notes(measured: _MeasuredArtifacts) -> tuple[str, ...]:
    record, before = measured.record, measured.qualities.before.measures
    scored, real = record.scored.images, record.real_images
    notes = [too_few_for_covariance(scored, measured.reference.features.shape[1])]
    if record.left_out:
        notes.append(f"{counted(record.left_out, 'real image')} could not be read: left out.")
    if record.selection_images == real:
        notes.append(
            f"There are {real:,} real images, too few to hold some out: units were chosen with the same real"
            " images that score the repair, which makes it look slightly better."
        )
    if not len(measured.roles.indices(Role.CONTROL)):
        notes.append("The layer has too few other units for control units: candidates are not compared with any.")
    if before[QualityMeasure.PRECISION].value == 0 and before[QualityMeasure.COVERAGE].value == 0:
        notes.append(
            "Precision and coverage are 0: no generated image is close to a real one. If the real images are of another"
            " kind than those the model generates, these results mean little."
        )
    if scored < FEW:
        notes.append(
            f"There are {scored:,} images on each side. With {FEW:,} or more, intervals are narrower, other"
            " artifact units may be identified, and precision, recall and coverage depend less on the number of images."
        )
    return tuple(filter(None, notes))
