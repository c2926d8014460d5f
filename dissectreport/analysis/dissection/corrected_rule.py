"""Labels that are corrected for chance: chosen on one half of the groups, scored on the other.

Nothing that is printed was both chosen and scored on the same images. For every unit and concept the threshold is the
one of largest chance-corrected IoU on the even groups. IoU, its chance level, the chance-corrected IoU, their intervals
and p come from the odd groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissectreport.analysis.common.cutoffs import FEWEST_IMAGES, LEAST_CORRECTED_IOU, UNSEEN, Q
from dissectreport.analysis.common.jackknife import Jackknife, benjamini_hochberg
from dissectreport.analysis.dissection.corrected_iou import CorrectedIoU
from dissectreport.run.shards import MOST_GROUPS
from dissectreport.stats.base import Floats, Ints, spread, union
from dissectreport.stats.chance import Chance
from dissectreport.stats.iou import against_chance, corrected_in_place, intersection_over_union

REPLICATES = 100
AT_ONCE = 1 << 29
"""Bytes of counts by group that are judged at a time."""
COPIES = 8
"""Copies of the counts by group in memory during the analysis: as counts, as sums, and in halves."""


@dataclass(frozen=True)
class Groups:
    """Chance counts by group: the first axis runs over the groups that have samples."""

    numbers: Ints
    """(g,) rising group numbers."""
    samples: Ints
    """(g,)"""
    concepts: Ints
    """(c,) rising concept numbers."""
    observed: Floats
    """(g, units, c, t) overlap in pixels."""
    expected: Floats
    """(g, units, c, t) overlap expected by chance."""
    on: Floats
    """(g, units, t) pixels above the threshold."""
    present: Floats
    """(g, c) pixels that show the concept."""
    images: Ints
    """(g, c) images that show the concept."""

    @classmethod
    def of(
        cls,
        shards: Iterable[tuple[int, Chance]],
        units: slice = slice(None),
        shifted: bool = False,
        among: Ints | None = None,
    ) -> Groups:
        """The group sums of shards given as (group, counts); with `shifted`, with the masks of the next image.

        Of some of the units, and `among` some of the concepts (their numbers), or all of them.
        """
        paired: dict[int, Chance] = {}
        alone: dict[int, Chance] = {}
        for group, chance in shards:
            # A single image cannot be paired with another one, so its overlap has no chance level.
            by_group = paired if chance.samples > 1 else alone
            part = sliced(chance, units, among)
            by_group[group] = by_group[group].merge(part) if group in by_group else part
        by_group = paired or alone
        numbers = np.array(sorted(by_group), np.int64)
        chances = [by_group[int(n)] for n in numbers]
        concepts = chances[0].concepts
        for chance in chances[1:]:
            concepts = union(concepts, chance.concepts)

        def spread_out(values: list[Floats], axis: int) -> Floats:
            parts = [spread(v, c.concepts, concepts, axis) for v, c in zip(values, chances, strict=True)]
            return np.stack(parts).astype(np.float64)

        return cls(
            numbers=numbers,
            samples=np.array([c.samples for c in chances]),
            concepts=concepts,
            observed=spread_out([c.observed_overlap(shifted).astype(np.float64) for c in chances], 1),
            expected=spread_out([c.expected(shifted) for c in chances], 1),
            on=np.stack([c.on for c in chances]).astype(np.float64),
            present=spread_out([c.present.astype(np.float64) for c in chances], 0),
            images=spread_out([c.images.astype(np.float64) for c in chances], 0).astype(np.int64),
        )

    def half(self, odd: bool) -> Groups:
        """The selection groups (even numbers), or the held-out groups (odd numbers)."""
        keep = self.numbers % 2 == odd
        fields = {name: value if name == "concepts" else value[keep] for name, value in vars(self).items()}
        return type(self)(**fields)


def sliced(chance: Chance, units: slice, among: Ints | None = None) -> Chance:
    """The counts of some units and concepts, without places; copied, so that those of the others can be forgotten."""
    kept = np.arange(len(chance.concepts)) if among is None else np.flatnonzero(np.isin(chance.concepts, among))
    fields = dict(vars(chance))
    for name in ("observed", "shifted", "crossed"):
        fields[name] = fields[name][:, units].take(kept, axis=2)
    for name in ("concepts", "present", "images"):
        fields[name] = fields[name][kept]
    return Chance(**fields | {"on": chance.on[units].copy(), "where": chance.where[kept, :0]})


def blocks(units: int, concepts: int, thresholds: int) -> list[slice]:
    """Runs of a power of two of units whose counts by group take no more than `AT_ONCE` bytes, or of one unit."""
    most = max(1, AT_ONCE // (COPIES * 2 * MOST_GROUPS * max(concepts * thresholds, 1) * 8))
    size = 1 << (most.bit_length() - 1)
    return [slice(first, min(first + size, units)) for first in range(0, units, size)]


@dataclass(frozen=True)
class Scores:
    """Every unit with every concept: chosen on one half, scored on the other."""

    concepts: Ints
    """(c,) concept numbers."""
    tested: NDArray[np.bool_]
    """(c,) whether the concept is in enough images of both halves."""
    threshold: Ints
    """(units, c) column, among the thresholds at which chance is counted, of the largest chance-corrected IoU on the
    selection half."""
    chosen: Floats
    """(units, c) that chance-corrected IoU, on the selection half: an order, never printed as a score."""
    iou: Jackknife
    """(units, c) and so on, on the held-out half at the chosen threshold."""
    chance_level: Jackknife
    corrected_iou: Jackknife
    unseen: Floats
    """(units, c) the IoU of as much overlap as the held-out half fails to show with a probability of 2.5%."""
    expected: Floats
    """(units, c) pixels of overlap expected by chance on the held-out half."""
    on_fraction: Floats
    """(units, c) share of the held-out half's pixels above the chosen threshold."""
    curves: tuple[Floats, Floats, Floats]
    """IoU (units, c, t), its chance level, and on-fraction (units, t) at every threshold, on the held-out half."""
    band: tuple[Floats, Floats] | None
    """Ends (units, t) of the interval of each unit's IoU with its leading concept, where a rule has intervals."""
    resampled: tuple[NDArray[np.float32], NDArray[np.float32]]
    """(replicates, units, c) largest chance-corrected IoU in a bootstrap replicate of the selection groups, and that at
    the same threshold in a replicate of the held-out groups; empty where a rule resamples in its own way."""

    @property
    def corrected(self) -> CorrectedIoU:
        """The chance-corrected IoUs with their chance levels."""
        return CorrectedIoU(self.corrected_iou, self.chance_level.value)

    def intervals(self, rows: Ints, columns: Ints) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """Ends of the 95% intervals of the IoUs and of the chance-corrected IoUs of pairs of a unit and a column.

        Neither ends below what may have been missed: where little or nothing overlaps, the groups hardly differ.
        """
        iou, corrected, unseen = (
            self.iou.at(rows, columns),
            self.corrected.at(rows, columns),
            self.unseen[rows, columns],
        )
        (low, high), ends = iou.share_interval(), corrected.interval()
        corrected_low = np.where(iou.value == 0, corrected.of_iou(np.zeros(unseen.shape)), ends[0])
        return (low, np.maximum(high, unseen)), (corrected_low, np.maximum(ends[1], corrected.of_iou(unseen)))

    @classmethod
    def together(cls, parts: Sequence[Scores]) -> Scores:
        """The scores of consecutive blocks of units."""
        first = parts[0]
        if len(parts) == 1:
            return first

        def joined(of: Callable[[Scores], NDArray[Any]], axis: int = 0) -> NDArray[Any]:
            return np.concatenate([of(part) for part in parts], axis)

        bands = [part.band for part in parts if part.band is not None]
        lows, highs = [low for low, _ in bands], [high for _, high in bands]
        return cls(
            concepts=first.concepts,
            tested=first.tested,
            threshold=joined(lambda part: part.threshold),
            chosen=joined(lambda part: part.chosen),
            iou=Jackknife.joined([part.iou for part in parts]),
            chance_level=Jackknife.joined([part.chance_level for part in parts]),
            corrected_iou=Jackknife.joined([part.corrected_iou for part in parts]),
            unseen=joined(lambda part: part.unseen),
            expected=joined(lambda part: part.expected),
            on_fraction=joined(lambda part: part.on_fraction),
            curves=(
                joined(lambda part: part.curves[0]),
                joined(lambda part: part.curves[1]),
                joined(lambda part: part.curves[2]),
            ),
            band=(np.concatenate(lows), np.concatenate(highs)) if bands else None,
            resampled=(joined(lambda part: part.resampled[0], 1), joined(lambda part: part.resampled[1], 1)),
        )


def score(groups: Groups, pixels: int, replicates: int = REPLICATES) -> Scores:
    """Choose on the even groups and score on the odd; `pixels` is the number of pixels of the grid."""
    selection, held_out = groups.half(odd=False), groups.half(odd=True)
    tested = _tested(selection, held_out)
    choice = _corrected_iou_of(selection, np.ones(len(selection.numbers)))
    threshold = choice.argmax(-1)
    picked = {name: _at_threshold(held_out, name, threshold) for name in ("observed", "expected", "on")}
    total = {name: value.sum(0) for name, value in picked.items()} | {"present": held_out.present.sum(0)}
    without = {name: total[name] - value for name, value in (picked | {"present": held_out.present}).items()}
    whole, less = _agreement_of(total), _agreement_of(without)
    iou, chance_level, corrected_iou = (Jackknife(w, o, held_out.samples) for w, o in zip(whole, less, strict=True))
    resampled = _bootstrap(selection, held_out, tested, replicates)
    spots = max(int(held_out.samples.sum()) * pixels, 1)
    chosen = np.take_along_axis(choice, threshold[..., None], -1)[..., 0]
    return Scores(
        concepts=groups.concepts,
        tested=tested,
        threshold=threshold,
        chosen=chosen,
        iou=iou,
        chance_level=chance_level,
        corrected_iou=corrected_iou,
        unseen=_unseen(total["on"], total["present"], held_out.images.sum(0)),
        expected=total["expected"],
        on_fraction=total["on"] / spots,
        curves=_curves(held_out, spots),
        band=_bands(held_out, leading(chosen, tested)) if len(tested) else None,
        resampled=resampled,
    )


def _unseen(on: Floats, present: Floats, images: Ints) -> Floats:
    """(units, c) the IoU of an overlap that covers the concept in `UNSEEN` images of average area.

    What shows in no image may yet show in others: if it shows in one of n images in `UNSEEN` / n on average, it is not
    there with a probability of 2.5% (the rule of three: Hanley & Lippman-Hand 1983).
    """
    both = np.minimum(on, np.minimum(present, UNSEEN * present / np.maximum(images, 1)))
    return intersection_over_union(both, on, np.broadcast_to(present, on.shape))


def _tested(selection: Groups, held_out: Groups) -> NDArray[np.bool_]:
    return np.asarray((selection.images.sum(0) >= FEWEST_IMAGES) & (held_out.images.sum(0) >= FEWEST_IMAGES))


def _corrected_iou_of(half: Groups, weight: NDArray[np.floating], threshold: Ints | None = None) -> Floats:
    """(units, c, t) chance-corrected IoU of weighted groups, or (units, c, 1) that at one threshold of each pair."""
    observed, expected, on, present = (
        np.tensordot(weight, value, 1) for value in (half.observed, half.expected, half.on, half.present)
    )
    on = on[:, None]
    if threshold is not None:
        observed, expected = (np.take_along_axis(value, threshold, 2) for value in (observed, expected))
        on = np.take_along_axis(on, threshold, 2)
    return corrected_in_place(observed, expected, on + present[None, :, None])


def _at_threshold(half: Groups, name: str, threshold: Ints) -> Floats:
    """(g, units, c) counts at each pair's threshold."""
    values = getattr(half, name)
    if name == "on":
        values = np.broadcast_to(values[:, :, None], (*values.shape[:2], threshold.shape[1], values.shape[2]))
    return np.take_along_axis(values, threshold[None, ..., None], -1)[..., 0]


def _agreement_of(sums: dict[str, Floats]) -> tuple[Floats, Floats, Floats]:
    present = sums["present"][..., None, :]
    return against_chance(sums["observed"], sums["expected"], sums["on"], present)


def _curves(held_out: Groups, spots: int) -> tuple[Floats, Floats, Floats]:
    on = held_out.on.sum(0)
    iou, chance_level, _ = against_chance(
        held_out.observed.sum(0), held_out.expected.sum(0), on[:, None], held_out.present.sum(0)[None, :, None]
    )
    return iou, chance_level, on / spots


def leading(chosen: Floats, tested: NDArray[np.bool_]) -> Ints:
    """(units,) the column of largest `chosen` among the concepts that are tested, or among all where none is."""
    return np.asarray(np.where(tested, chosen, -np.inf if tested.any() else chosen - 2).argmax(1))


def _bands(held_out: Groups, columns: Ints) -> tuple[Floats, Floats]:
    """(units, t) ends of the interval of each unit's IoU with the concept in its column, at every threshold."""
    observed = np.take_along_axis(held_out.observed, columns[None, :, None, None], 2)[:, :, 0]
    parts = (observed, held_out.on, held_out.present[:, columns, None])
    whole = [value.sum(0) for value in parts]
    without = [total - part for total, part in zip(whole, parts, strict=True)]
    return Jackknife(
        intersection_over_union(*whole), intersection_over_union(*without), held_out.samples
    ).share_interval()


def _bootstrap(
    selection: Groups, held_out: Groups, tested: NDArray[np.bool_], replicates: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(replicates, units, c) largest chance-corrected IoU of resampled selection groups, and that at its threshold of
    resampled held-out groups.

    Counts of units come from an argmax and a threshold, where the jackknife is invalid; both halves are resampled.
    Concepts that are not tested have a chance-corrected IoU of minus infinity.
    """
    random = np.random.RandomState(0)
    shape = (replicates, selection.on.shape[1], len(tested))
    chosen, scored = np.full(shape, -np.inf, np.float32), np.full(shape, -np.inf, np.float32)
    if not tested.any() or not len(selection.numbers) or not len(held_out.numbers):
        return chosen, scored
    selection, held_out = _narrow(selection, tested), _narrow(held_out, tested)
    for replicate in range(replicates):
        best = _corrected_iou_of(selection, _resampled(random, len(selection.numbers)))
        threshold = best.argmax(-1)[..., None]
        chosen[replicate][:, tested] = np.take_along_axis(best, threshold, -1)[..., 0]
        weight = _resampled(random, len(held_out.numbers))
        scored[replicate][:, tested] = _corrected_iou_of(held_out, weight, threshold)[..., 0]
    return chosen, scored


def _narrow(half: Groups, tested: NDArray[np.bool_]) -> Groups:
    """The tested concepts alone, in single precision: an order and a count need no more."""
    fields = dict(vars(half))
    for name, axis in (("observed", 2), ("expected", 2), ("present", 1), ("images", 1)):
        fields[name] = np.compress(tested, fields[name], axis).astype(np.float32)
    return Groups(**fields | {"on": half.on.astype(np.float32), "concepts": half.concepts[tested]})


def _resampled(random: np.random.RandomState, groups: int) -> NDArray[np.float32]:
    return random.multinomial(groups, np.full(groups, 1 / groups)).astype(np.float32)


@dataclass(frozen=True)
class UnitLabels:
    """Each unit's label, and whether it stands."""

    column: Ints
    """(units,) column of the label among the scores' concepts, -1 where nothing is tested."""
    runner_up: Ints
    """(units,) column of the second largest chosen chance-corrected IoU, -1 where there is none."""
    p: Floats
    """(units,)"""
    q: Floats
    """(units,)"""
    interpretable: NDArray[np.bool_]
    """(units,) whether the rule calls the unit interpretable."""
    beats_chance: NDArray[np.bool_]
    """(units,) whether the match is better than chance, whatever the rule: large enough, and significant."""
    stability: Floats
    """(units,) share of bootstrap replicates with the same label."""
    labels: Ints
    """(replicates, units) column of the label in each bootstrap replicate, -1 for none."""
    passed: NDArray[np.bool_]
    """(replicates, units) whether the unit is interpretable in each replicate."""
    matched: Floats
    """(replicates, units) chance-corrected IoU with the label of each replicate, NaN for none."""
    corrected_iou: Floats
    """(units,) chance-corrected IoU with the label, NaN for none."""
    groups: int
    """Groups of images that score, which replicates resample."""


def judge(scores: Scores, among: NDArray[np.bool_] | None = None) -> UnitLabels:
    """The label of largest `chosen` among the tested concepts (or `among` (c,) of them), and its test."""
    allowed = scores.tested if among is None else scores.tested & among
    units = len(scores.chosen)
    if not allowed.any():
        return _nothing(units, len(scores.resampled[0]), len(scores.corrected_iou.sizes))
    rows = np.arange(units)
    order = np.where(allowed, scores.chosen, -np.inf)
    ranked = np.argsort(-order, axis=1, kind="stable")
    column = ranked[:, 0]
    runner_up = ranked[:, 1] if allowed.sum() > 1 else np.full(units, -1)
    p = scores.corrected.at(rows, column).p_above(LEAST_CORRECTED_IOU)
    q = benjamini_hochberg(p)
    beats_chance = q < Q
    labels, passed, matched = _replicated(scores, allowed)
    stability = (labels == column).mean(0)
    return UnitLabels(
        column=column,
        runner_up=runner_up,
        p=p,
        q=q,
        interpretable=beats_chance,
        beats_chance=beats_chance,
        stability=stability,
        labels=labels,
        passed=passed,
        matched=matched,
        corrected_iou=scores.corrected_iou.value[rows, column],
        groups=len(scores.corrected_iou.sizes),
    )


def _nothing(units: int, replicates: int, groups: int) -> UnitLabels:
    """The verdict where no concept is tested."""
    none, p_values = np.full(units, -1), np.ones(units)
    no, labels = np.zeros(units, bool), np.full((replicates, units), -1)
    return UnitLabels(
        column=none,
        runner_up=none,
        p=p_values,
        q=p_values,
        interpretable=no,
        beats_chance=no,
        stability=np.full(units, np.nan),
        labels=labels,
        passed=np.zeros((replicates, units), bool),
        matched=np.full((replicates, units), np.nan),
        corrected_iou=np.full(units, np.nan),
        groups=groups,
    )


def _replicated(scores: Scores, allowed: NDArray[np.bool_]) -> tuple[Ints, NDArray[np.bool_], Floats]:
    """(replicates, units) each replicate's label, whether it passes the same test, with the measured error, and the
    chance-corrected IoU with it."""
    chosen, scored = scores.resampled
    labels = np.flatnonzero(allowed)[chosen[:, :, allowed].argmax(-1)]
    corrected_iou = np.take_along_axis(scored, labels[..., None], -1)[..., 0].astype(np.float64)
    if scores.corrected_iou.freedom < 1:
        return labels, np.zeros(labels.shape, bool), corrected_iou
    measured = scores.corrected.at(np.arange(labels.shape[1]), labels)
    p = measured.p_above(LEAST_CORRECTED_IOU, corrected_iou)
    q = np.stack([benjamini_hochberg(row) for row in p])
    return labels, np.asarray(q < Q), corrected_iou
