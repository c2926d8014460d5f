"""From features to artifact units: the effects of single units, and the rules.

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
    ImageSet,
    Reference,
    blocks,
    cubed,
)
from dissectreport.analysis.artifacts.repair_quality import kernel_changes
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
