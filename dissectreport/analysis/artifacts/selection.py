"""From features to artifact units: the effects of single units, the size of the repair, and the rules.

The realism score is the witness function of the kernel distance (`worker.realism`); its gain, doubled, is the fall of
the kernel distance to first order: the estimate by which units are ranked. The effect of ablating a unit is the
change of the unbiased distance itself, of the same latents with and without it. Both sets of images are samples, so
that the jackknife leaves a group out of the real images and of those tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dissectreport.analysis.artifacts.quality import (
    ImageQuality,
    ImageSet,
    Reference,
    blocks,
    cubed,
    kernel_distances,
    measure_quality,
)
from dissectreport.analysis.common.halves import Halved
from dissectreport.analysis.common.jackknife import Jackknife, benjamini_hochberg
from dissectreport.analysis.results.artifacts import CANDIDATES, Role
from dissectreport.records.artifacts import ArtifactPlan, Units
from dissectreport.run.shards import GROUPS
from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.features import FeatureScale

FALL = 2.0
"""Decrease of the kernel distance for an increase of the realism score by one."""
SIGNIFICANT = 0.05
WORTH = 0.01
"""Smallest effect of an artifact unit, as a share of the kernel distance."""
BINS = 10
SUBSETS = 8
"""Random subsets that the images which excite a unit are compared with."""
EXCITING = 20
"""Of so many images one is among those that excite a unit most; and at least so many are taken."""


# --- single units ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RealismSides:
    """The two sets of images that the realism score compares with, scaled."""

    real: Floats
    """(N, d)"""
    generated: Floats
    """(M, d)"""

    def scores(self, rows: Floats) -> Floats:
        """(n, d) scaled features -> (n,) realism score of each image."""
        return _mean_kernels(rows, self.real) - _mean_kernels(rows, self.generated)


def _mean_kernels(rows: Floats, others: Floats) -> Floats:
    """(n,) mean kernel to all others."""
    return np.concatenate([cubed(rows[part] @ others.T, rows.shape[1]).mean(1) for part in blocks(len(rows))])


@dataclass(frozen=True)
class _Toward:
    """The part of the kernel distance to real images that depends on the generated ones."""

    without: Floats
    """(21,) of all images, then with each group left out of both sides."""
    images: Floats
    """(n,) by image; their mean is that of all."""

    @classmethod
    def of(cls, rows: Floats, real: Floats) -> _Toward:
        """Of scaled features (n, d) and (N, d): mean kernel among different images, minus twice that to real ones."""
        generated, others = ImageSet(rows), ImageSet(real)
        kept = np.vstack([np.ones(GROUPS), 1 - np.eye(GROUPS)])
        count, real_count = kept @ generated.members.sum(0), kept @ others.members.sum(0)
        itself = cubed((rows**2).sum(1), rows.shape[1])
        # (n, 20) sums of an image's kernels by the others' groups.
        among = cubed(rows @ rows.T, rows.shape[1]) @ generated.members - itself[:, None] * generated.members
        across = np.concatenate(
            [cubed(rows[part] @ real.T, rows.shape[1]) @ others.members for part in blocks(len(rows))]
        )
        own, toward = (np.einsum("hg,gf,hf->h", kept, generated.members.T @ sums, kept) for sums in (among, across))
        images = among.sum(1) / (len(rows) - 1) - 2 * across.sum(1) / len(real)
        return cls(own / (count * (count - 1)) - 2 * toward / (count * real_count), images)


@dataclass(frozen=True)
class Effects:
    """What ablating each of several sets of units does to the kernel distance."""

    fall: Jackknife
    """(sets,)"""
    falls: Floats
    """(n, sets) by image, of which `fall` is the mean."""

    @classmethod
    def of(cls, variants: NDArray[Any], real: Floats) -> Effects:
        """Of scaled features (n, 1 + sets, d), the first without any edit, and real ones (N, d)."""
        before, *after = (_Toward.of(variants[:, number], real) for number in range(variants.shape[1]))
        groups = np.unique(np.arange(len(variants)) % GROUPS)
        every = np.stack([before.without - one.without for one in after], axis=1)
        sizes = np.bincount(np.arange(len(variants)) % GROUPS)[groups]
        fall = Jackknife(every[0], every[1:][groups], sizes)
        return cls(fall, np.stack([before.images - one.images for one in after], axis=1))

    def difference(self, control: Sequence[int]) -> Jackknife:
        """The effect of each minus the mean effect of the `control` ones, given by their indices; NaN without any."""
        chosen = list(control)
        if not chosen:
            nothing = np.full_like(self.fall.without, np.nan)
            return Jackknife(np.full_like(self.fall.value, np.nan), nothing, self.fall.sizes)
        value = self.fall.value - self.fall.value[chosen].mean()
        without = self.fall.without - self.fall.without[:, chosen].mean(1, keepdims=True)
        return Jackknife(value, without, self.fall.sizes)


MOVED = 1e-4
"""Deviations by which a feature of an image that depends on a unit differs without it: rounding moves it by less."""


@dataclass(frozen=True)
class SingleUnits:
    """The units that are ablated one by one, and why."""

    units: Ints
    """(tested,)"""
    roles: tuple[Role, ...]
    """By unit."""

    @classmethod
    def of(cls, plan: ArtifactPlan) -> SingleUnits:
        """The units of a plan with their roles."""
        parts = {
            Role.LEADING: plan.leading,
            Role.CONTROL: plan.control,
            Role.BOTTOM: plan.bottom,
            Role.MARKED: plan.marked,
        }
        roles = tuple(role for role, units in parts.items() for _ in units)
        return cls(np.array([unit for units in parts.values() for unit in units], np.int64), roles)

    def indices(self, *roles: Role) -> Ints:
        """Indices of the units of some roles, in order."""
        return np.flatnonzero(np.isin(np.array(self.roles, str), roles))

    def worst(self, effects: SingleEffects) -> tuple[int, ...]:
        """The units that a repair may ablate, worst first: candidates whose ablation alone improves images.

        Units tested on further images come first; the effects of the others are estimated from fewer images.
        """
        falling = sorted(self._falling(effects.value), key=lambda index: not effects.further[index])
        return tuple(int(self.units[index]) for index in falling)

    def _falling(self, fall: Floats) -> list[int]:
        beneficial = [index for index in self.indices(*CANDIDATES).tolist() if fall[index] > 0]
        return sorted(beneficial, key=lambda index: -fall[index])

    def finalists(self, effects: Effects, count: int, marked: Units = ()) -> Ints:
        """Indices of the units that are tested on further latents: the worst, control units and marked ones."""
        chosen = self._falling(effects.fall.value)[:count]
        by_hand = np.flatnonzero(np.isin(self.units, marked))
        return np.unique(np.concatenate([chosen, self.indices(Role.CONTROL), by_hand])).astype(np.int64)


@dataclass(frozen=True)
class SingleEffects:
    """What ablating each tested unit does to the kernel distance.

    For those that were tested further only the further latents count: the first ones selected them.
    """

    FILE: ClassVar[str] = "tests"

    images: Ints
    """(tested,) latents behind the effect."""
    further: NDArray[np.bool_]
    """(tested,) whether they are further ones."""
    value: Floats
    """(tested,) fall of the distance."""
    low: Floats
    high: Floats
    p: Floats
    """(tested,) one-sided, of the fall being above 0."""
    difference: Floats
    """(tested,) the fall minus the mean of the control units; NaN without any."""
    difference_low: Floats
    difference_high: Floats
    moves: NDArray[np.bool_]
    """(tested,) whether any image depends on the unit."""
    halves: Floats
    """(2, tested) the fall by each half of the latents on which all were tested: how far the fall repeats itself."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The effects as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> SingleEffects:
        """The effects back from arrays."""
        return cls(
            **{**{field.name: arrays[field.name] for field in fields(cls)}, "images": arrays["images"].astype(int)}
        )

    @classmethod
    def of(
        cls, rows: NDArray[Any], further: NDArray[Any], tested: SingleUnits, indices: Ints, real: Floats
    ) -> SingleEffects:
        """Of scaled features (n, 1 + tested, d), and further ones (m, 1 + finalists, d) of those at `indices`."""
        columns = effect_columns(rows, real, tested.indices(Role.CONTROL))
        if len(indices):
            final = effect_columns(further, real, np.flatnonzero(np.isin(indices, tested.indices(Role.CONTROL))))
            for name, values in columns.items():
                values[indices] = final[name]
        halves = np.stack([Effects.of(rows[first::2], real).fall.value for first in (0, 1)])
        return cls(**columns, further=np.isin(np.arange(len(tested.units)), indices), halves=halves)


@dataclass(frozen=True)
class SecondEffects:
    """What ablating artifact units does to the kernel distance in the features of a second network.

    Units were selected in other features, and these latents and real images were not used for any choice.
    """

    FILE: ClassVar[str] = "second"

    units: Ints
    """(listed,)"""
    images: int
    real: int
    distance: float
    """The kernel distance without any edit."""
    value: Floats
    """(listed,) fall of the distance."""
    low: Floats
    high: Floats
    p: Floats
    """(listed,) one-sided, of the fall being above 0."""
    difference: Floats
    """(listed,) the fall minus the mean of the control units; NaN without any."""
    difference_low: Floats
    difference_high: Floats

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The effects as arrays."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> SecondEffects:
        """The effects back from arrays."""
        numbers: dict[str, Any] = {name: int(arrays[name]) for name in ("images", "real")}
        numbers["distance"] = float(arrays["distance"])
        return cls(**{**{field.name: arrays[field.name] for field in fields(cls)}, **numbers})

    @classmethod
    def of(cls, units: Sequence[int], rows: NDArray[Any], real: NDArray[Any], scale: FeatureScale) -> SecondEffects:
        """Of features (n, 1 + listed + controls, d), the first without any edit, and real ones (N, d)."""
        reference = Reference.of(real, scale)
        columns = effect_columns(scale(rows), reference.features, np.arange(len(units), rows.shape[1] - 1))
        distance, _ = kernel_changes(reference, rows[:, :1])
        names = ("value", "low", "high", "p", "difference", "difference_low", "difference_high")
        kept = {name: columns[name][: len(units)] for name in names}
        return cls(np.array(units, np.int64), len(rows), len(real), float(distance.value), **kept)

    def q(self) -> Floats:
        """(listed,) p after Benjamini-Hochberg."""
        return benjamini_hochberg(self.p)

    def confirmed(self) -> NDArray[np.bool_]:
        """(listed,) whether ablating the unit lowers the distance significantly in these features too."""
        return np.asarray(self.q() < SIGNIFICANT)


def effect_columns(rows: NDArray[Any], real: Floats, control: Ints) -> dict[str, NDArray[Any]]:
    """What features (n, 1 + units, d) say of each unit, by the names of `SingleEffects`."""
    effects = Effects.of(rows, real)
    fall, difference = effects.fall, effects.difference(control.tolist())
    ends, difference_ends = fall.interval(), difference.interval()
    return {
        "images": np.full(len(fall.value), len(rows)),
        "value": fall.value.copy(),
        "low": ends[0],
        "high": ends[1],
        "p": fall.p_above(),
        "difference": difference.value.copy(),
        "difference_low": difference_ends[0],
        "difference_high": difference_ends[1],
        "moves": (np.abs(rows[:, 1:] - rows[:, :1]) > MOVED).any((0, 2)),
    }


@dataclass(frozen=True)
class ArtifactVerdict:
    """Which of the tested units are artifact units."""

    q: Floats
    """(tested,) NaN for units that are not candidates."""
    artifact: NDArray[np.bool_]
    order: Ints
    """Indices of the tested units: candidates that were tested further, then others, both by falling effect."""

    def listed(self, tested: SingleUnits) -> tuple[int, ...]:
        """The artifact units, worst first."""
        return tuple(int(tested.units[index]) for index in self.order if self.artifact[index])


def judge_units(tests: SingleEffects, tested: SingleUnits, distance: float) -> ArtifactVerdict:
    """The rule of `artifacts.RULE` among the candidates; `distance` is the kernel distance without any edit, of
    latents that do not score."""
    q = np.full(len(tests.p), np.nan)
    candidates = tested.indices(*CANDIDATES)
    q[candidates] = 1.0
    # A unit on which no image depends cannot be an artifact unit, so it is not counted as a test.
    family = candidates[tests.moves[candidates]]
    # Only units that were tested further can become artifact units. The others count with p = 1: they must not lower q.
    q[family] = benjamini_hochberg(np.where(tests.further[family], tests.p[family], 1.0))
    # A layer with too few units has no control units to compare with.
    difference = (tests.difference_low > 0) | np.isnan(tests.difference)
    artifact = (q < SIGNIFICANT) & (tests.value >= WORTH * distance) & difference
    # Only the further latents count. If the distance is 0, no effect can be one per cent of it.
    artifact &= tests.further & (distance > 0)
    further = candidates[tests.further[candidates]]
    rest = np.setdiff1d(np.arange(len(q)), further)
    order = np.concatenate([part[np.argsort(-tests.value[part], kind="stable")] for part in (further, rest)])
    return ArtifactVerdict(q, artifact, order)


# --- repair ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Qualities:
    """The quality of the same images, without and with units ablated."""

    FILE: ClassVar[str] = "quality"

    real: ImageQuality
    """Real images against other real ones."""
    before: ImageQuality
    """Without any edit."""
    ablated: Mapping[int, ImageQuality]
    """By the number of units that are ablated."""

    @classmethod
    def of(cls, reference: Reference, variants: NDArray[Any], sizes: Sequence[int]) -> Qualities:
        """Of features (n, 1 + sizes, d), the first without any edit."""
        real = reference.side(len(variants))
        before, *after = (
            measure_quality(real=real, generated=reference.scaled(variants[:, number]))
            for number in range(1 + len(sizes))
        )
        return cls(reference.against_itself(len(variants)), before, dict(zip(sizes, after, strict=True)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The qualities as arrays."""
        named = {
            "real": self.real,
            "before": self.before,
            **{str(size): quality_ablated for size, quality_ablated in self.ablated.items()},
        }
        arrays: dict[str, NDArray[Any]] = {"sizes": np.array(list(self.ablated), np.int64)}
        for name, quality in named.items():
            arrays[f"{name} images"] = np.array([quality.images, quality.dimension])
            arrays[f"{name} measures"] = np.array(list(quality.measures))
            arrays |= {f"{name} {measure}": packed(halved) for measure, halved in quality.measures.items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Qualities:
        """The qualities back from arrays."""

        def read(name: str) -> ImageQuality:
            images, dimension = arrays[f"{name} images"].tolist()
            measures = arrays[f"{name} measures"].tolist()
            return ImageQuality(
                images, dimension, {measure: Halved.of(arrays[f"{name} {measure}"]) for measure in measures}
            )

        return cls(read("real"), read("before"), {size: read(str(size)) for size in arrays["sizes"].tolist()})


def packed(halved: Halved) -> NDArray[Any]:
    """The figure of all images, then of each half, as one array, from which `Halved.of` makes it again."""
    return np.concatenate([halved.value[None], halved.halves])


def kernel_changes(reference: Reference, variants: NDArray[Any]) -> tuple[Halved, list[Halved]]:
    """The kernel distance without any edit, and its change with each set, of features (n, 1 + sets, d).

    The distance is to all real images of the reference, and changes are paired.
    """
    real = ImageSet(reference.features)
    distances = [
        Halved.of(kernel_distances(real=real, generated=reference.scaled(variants[:, number])))
        for number in range(variants.shape[1])
    ]
    return distances[0], [distance.minus(distances[0]) for distance in distances[1:]]


@dataclass(frozen=True)
class SizeChanges:
    """The change of the kernel distance with every size of the repair, on the latents that select one."""

    FILE: ClassVar[str] = "changes"

    before: Halved
    """The kernel distance without any edit."""
    changes: Mapping[int, Halved]
    """By size."""

    @classmethod
    def of(cls, reference: Reference, variants: NDArray[Any], sizes: Sequence[int]) -> SizeChanges:
        """Of features (n, 1 + sizes, d), the first without any edit."""
        before, changes = kernel_changes(reference, variants)
        return cls(before, dict(zip(sizes, changes, strict=True)))

    @property
    def kernel_distance(self) -> float:
        """The kernel distance without any edit."""
        return float(self.before.value)

    def selected_size(self) -> int:
        """How many units the repair ablates by `artifacts.CHOICE`; 0 where the distance significantly falls with
        none."""
        significant = {size: change for size, change in self.changes.items() if change.interval()[1] < 0}
        if not significant:
            return 0
        best = min(significant.values(), key=lambda change: float(change.value))
        return min(size for size, change in significant.items() if change.value <= best.value + best.error())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The changes as arrays."""
        every = np.stack([packed(halved) for halved in (self.before, *self.changes.values())])
        return {"sizes": np.array(list(self.changes), np.int64), "before": every[0], "changes": every[1:]}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> SizeChanges:
        """The changes back from arrays."""
        sizes = arrays["sizes"].tolist()
        changes = {size: Halved.of(values) for size, values in zip(sizes, arrays["changes"], strict=True)}
        return cls(Halved.of(arrays["before"]), changes)


# --- the images that excite a unit most -----------------------------------------------------------------------


@dataclass(frozen=True)
class Exciting:
    """The Fréchet distance to real images of those that excite each unit most, and of random subsets."""

    own: Floats
    """(units,) NaN for a unit that excites none more than another."""
    random: Floats
    """(units, subsets)"""
    images: int


def exciting(peaks: NDArray[Any], areas: NDArray[Any], rows: Floats, reference: Reference) -> Exciting:
    """Of peaks (n, units), the area (n, units) of each unit's own concept, and scaled features (n, d)."""
    count = min(len(peaks), max(EXCITING, len(peaks) // EXCITING))
    real = reference.features
    centre, covariance = real.mean(0), np.cov(real, rowvar=False)
    own, random = np.full(peaks.shape[1], np.nan), np.full((peaks.shape[1], SUBSETS), np.nan)
    for unit in np.flatnonzero(np.ptp(peaks, axis=0) > 0).tolist():
        top = np.argsort(-peaks[:, unit], kind="stable")[:count]
        draws = matched_subsets(areas[:, unit], top, np.random.RandomState(unit))
        distances = low_rank_distances(rows[np.vstack([top, draws])], centre, covariance)
        own[unit], random[unit] = distances[0], distances[1:]
    return Exciting(own, random, count)


def matched_subsets(area: NDArray[Any], top: Ints, random: np.random.RandomState) -> Ints:
    """(subsets, m) images with the same amounts of a concept as the `top` (m,), drawn from tenths by amount."""
    order = np.lexsort((random.permutation(len(area)), area))
    tenth = np.empty(len(area), np.int64)
    tenth[order] = np.arange(len(area)) * BINS // len(area)
    wanted = np.bincount(tenth[top], minlength=BINS)
    subsets = []
    for _ in range(SUBSETS):
        parts = []
        for number, count in enumerate(wanted.tolist()):
            members = np.flatnonzero(tenth == number)
            parts.append(random.choice(members, count, replace=count > len(members)) if count else members[:0])
        subsets.append(np.concatenate(parts))
    return np.stack(subsets)


def low_rank_distances(rows: Floats, centre: Floats, covariance: Floats) -> Floats:
    """(s, m, d) few images each -> (s,) Fréchet distances to the normal distribution of that centre and covariance.

    Of C_s = XᵀX/(m - 1) with few rows X, C C_s has the eigenvalues of the small X C Xᵀ/(m - 1), but for zeros.
    """
    means = rows.mean(1)
    centred = rows - means[:, None]
    small = centred @ covariance @ centred.transpose(0, 2, 1) / (rows.shape[1] - 1)
    shared = np.sqrt(np.linalg.eigvalsh(small).clip(min=0)).sum(1)
    spread = (centred**2).sum((1, 2)) / (rows.shape[1] - 1)
    return np.asarray(((means - centre) ** 2).sum(1) + np.trace(covariance) + spread - 2 * shared)
