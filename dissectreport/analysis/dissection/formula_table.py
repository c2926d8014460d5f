"""Every unit's formula of concepts: chosen on the selection half, scored on the held-out half, and tested.

The control is the same search on the masks of the next image, which are unrelated to the activations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dissectreport.analysis.common.cutoffs import FEWEST_GROUPS, LEAST_CORRECTED_IOU, Q
from dissectreport.analysis.common.jackknife import Jackknife, benjamini_hochberg
from dissectreport.analysis.dissection.corrected_iou import CorrectedIoU
from dissectreport.analysis.dissection.corrected_rule import Scores, UnitLabels
from dissectreport.analysis.dissection.counted import ONE_UNIT, ConceptNames
from dissectreport.analysis.dissection.formulas import Bools, Choice, Formula, LabelSetTable, corrected, search
from dissectreport.analysis.results.formulas import COLUMNS, FormulaCounts
from dissectreport.records.reader import Portion
from dissectreport.run.shards import HELD_OUT, SELECTION
from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.label_sets import ON_FRACTIONS, SIDE, LabelSets, cell_weights, different, filled, moved
from dissectreport.stats.thresholds import CHANCE_ON_FRACTIONS, Thresholds, nearest

SetShards = Callable[[Portion], Iterable[tuple[int, LabelSets]]]
"""Calls give each shard's (group, counts), in order of shards; counts are read again at every call."""
MOST_CONCEPTS = 48
"""Concepts that the formulas of a layer are made of, at most."""
AT_ONCE = 1 << 28
"""Bytes of counts by label set that are searched at a time."""


@dataclass(frozen=True)
class FormulaTable:
    """Columns of the table of units, and what the search found."""

    columns: pd.DataFrame
    counts: FormulaCounts


def formula_table(
    shards: SetShards, scores: Scores, verdict: UnitLabels, names: ConceptNames, thresholds: Thresholds
) -> FormulaTable | None:
    """The formulas of all units of a layer; None where label sets were not counted, or nothing could be tested."""
    if not (verdict.column >= 0).any() or next(iter(shards(ONE_UNIT)), None) is None:
        return None
    atoms = atoms_of(scores)
    source = _Source.of(shards, len(verdict.column), scores.concepts[atoms])
    measured, shifted = source.choices()
    found = source.scored([(one.formula, one.column) for one in measured], "on")
    label = scores.corrected_iou
    rows = np.arange(len(measured))
    own = Jackknife(label.value[rows, verdict.column], label.without[:, rows, verdict.column], label.sizes)
    gain = _less(found.corrected, own)
    by_chance = source.scored([(one.formula, one.column) for one in shifted], "shifted")
    single_by_chance = source.scored([(one.single, one.single_column) for one in shifted], "shifted")
    _, _, better = tested(gain, measured)
    _, _, better_by_chance = tested(_less(by_chance.corrected, single_by_chance.corrected), shifted)
    counts = FormulaCounts(
        int(better.sum()), int(better_by_chance.sum()), found.interpretable(), by_chance.interpretable()
    )
    return FormulaTable(_columns(measured, found, gain, names.concept(atoms), thresholds), counts)


def atoms_of(scores: Scores) -> Ints:
    """Rising columns of the concepts that formulas are made of: those tested that match some unit best.

    All of them, or the `MOST_CONCEPTS` with the largest selection scores: formulas grow with the cube of their number.
    """
    tested_columns = np.flatnonzero(scores.tested)
    best = scores.chosen[:, tested_columns].max(0)
    return np.sort(tested_columns[np.argsort(-best, kind="stable")[:MOST_CONCEPTS]])


def _less(one: Jackknife, other: Jackknife) -> Jackknife:
    return Jackknife(one.value - other.value, one.without - other.without, one.sizes)


def tested(gain: Jackknife, choices: Sequence[Choice]) -> tuple[Floats, tuple[Floats, Floats], Bools]:
    """(units,) q of gains, their intervals, and whether the formula is significantly better than one concept."""
    longer = np.array([len(one.formula) > 1 for one in choices])
    p = gain.p_above() if len(gain.sizes) >= FEWEST_GROUPS else np.ones(len(choices))
    q = benjamini_hochberg(np.where(longer, p, 1.0))
    low, high = gain.interval()
    return q, (low, high), longer & (q < Q) & (low > 0)


def _columns(
    choices: Sequence[Choice], found: _Found, gain: Jackknife, names: Sequence[str], thresholds: Thresholds
) -> pd.DataFrame:
    q, (low, high), better = tested(gain, choices)
    columns = thresholds.chance_columns[nearest(CHANCE_ON_FRACTIONS, np.array(ON_FRACTIONS))]
    at = columns[[one.column for one in choices]]
    iou_low, iou_high = found.iou.share_interval()
    longer = np.array([len(one.formula) > 1 for one in choices])
    numbers: dict[str, Any] = {
        "formula_threshold": thresholds.values()[np.arange(len(choices)), at].astype(np.float64),
        "formula_iou": found.iou.value,
        "formula_iou_low": iou_low,
        "formula_iou_high": iou_high,
        "formula_chance_level": found.chance_level.value,
        "formula_corrected_iou": found.corrected.value,
        "formula_gain": gain.value,
        "formula_gain_low": low,
        "formula_gain_high": high,
        "formula_q": q,
    }
    values = {name: np.where(longer, value, np.nan) for name, value in numbers.items()}
    values["formula"] = [one.formula.words(names) if len(one.formula) > 1 else "" for one in choices]  # type: ignore[assignment]
    values["formula_better"] = better
    return pd.DataFrame({name: values[name] for name in COLUMNS})


@dataclass(frozen=True)
class _Found:
    """The scores (units,) of formulas on the held-out half."""

    iou: Jackknife
    chance_level: Jackknife
    corrected: Jackknife

    def interpretable(self) -> int:
        """How many have a chance-corrected IoU significantly above the cut-off."""
        if len(self.iou.sizes) < FEWEST_GROUPS:
            return 0
        p = CorrectedIoU(self.corrected, self.chance_level.value).p_above(LEAST_CORRECTED_IOU)
        return int((benjamini_hochberg(p) < Q).sum())


@dataclass(frozen=True)
class _Source:
    """The counts by label set of a layer, and the label sets of all its shards."""

    shards: SetShards
    units: int
    among: Ints
    """(c,) numbers of the concepts that formulas are made of."""
    sets: Ints
    """(s, width) these concepts of every label set that occurs."""
    weights: tuple[Ints, int]
    """Those of the cells of the image; see `cell_weights`."""

    @classmethod
    def of(cls, shards: SetShards, units: int, among: Ints) -> _Source:
        """The source of a layer's shards."""
        every = [counts for _, counts in shards(ONE_UNIT)]
        parts = [np.unique(reduced(counts.sets, among), axis=0) for counts in every]
        width = max(part.shape[1] for part in parts)
        sets = different(np.concatenate([filled(part, width) for part in parts]))[0]
        return cls(shards, units, among, sets, cell_weights(every[0].cells.sum(0) // max(every[0].samples, 1)))

    @property
    def holds(self) -> Bools:
        """(c, s) which label sets hold each concept."""
        return np.asarray((self.sets[None] == self.among[:, None, None]).any(2))

    def positions(self, counts: LabelSets) -> Ints:
        """(label sets of a shard,) the position of each among all."""
        rows = filled(reduced(counts.sets, self.among), self.sets.shape[1])
        return different(np.concatenate([self.sets, rows]))[1][len(self.sets) :]

    def choices(self) -> tuple[list[Choice], list[Choice]]:
        """Every unit's choice on the selection half, from its own counts, and from those with shifted masks."""
        size = max(1, AT_ONCE // (8 * len(ON_FRACTIONS) * (2 * len(self.sets) + SIDE * SIDE)))
        own: list[Choice] = []
        shifted: list[Choice] = []
        for start in range(0, self.units, size):
            table, *counts = self._block(slice(start, start + size))
            for on, on_shifted, layout in zip(*counts, strict=True):
                own.append(search(table, on, layout))
                shifted.append(search(table, on_shifted, layout))
        return own, shifted

    def _block(self, units: slice) -> tuple[LabelSetTable, Ints, Ints, Ints]:
        """The label sets of the selection half, and the pixels of some units: by label set (own, shifted), by cell."""
        sums: list[Any] = [0, 0, 0, 0, 0]
        many = len(self.sets)
        for group, counts in self.shards(Portion(units, SELECTION)):
            if group % 2 == SELECTION and counts.samples > 1:
                at = self.positions(counts)
                parts = (
                    moved(counts.on, at, many, 1),
                    moved(counts.shifted, at, many, 1),
                    counts.layout,
                    moved(counts.cells, at, many, 0),
                    counts.samples,
                )
                sums = [known + part for known, part in zip(sums, parts, strict=True)]
        on, shifted, layout, cells, samples = sums
        return LabelSetTable(self.holds, cells, samples), on, shifted, layout

    def scored(self, formulas: Sequence[tuple[Formula, int]], name: str) -> _Found:
        """The scores of each unit's formula, at the column of its threshold, on the held-out half."""
        masks = np.array([formula.of(self.holds) for formula, _ in formulas], np.int64)
        columns = np.array([column for _, column in formulas])[:, None, None]
        groups: dict[int, list[Any]] = {}
        for group, counts in self.shards(Portion(half=HELD_OUT)):
            if group % 2 == HELD_OUT and counts.samples > 1:
                parts = self._sums(counts, masks, columns, name)
                groups[group] = [known + part for known, part in zip(groups.get(group, [0] * 4), parts, strict=True)]
        by_group = [np.stack([groups[group][i] for group in sorted(groups)]) for i in range(4)]
        total = [values.sum(0) for values in by_group]
        without = [whole - values for whole, values in zip(total, by_group, strict=True)]
        sizes = by_group[3]
        pairs = zip(_scores(self.weights, *total), _scores(self.weights, *without), strict=True)
        return _Found(*(Jackknife(value, less, sizes) for value, less in pairs))

    def _sums(self, counts: LabelSets, masks: Ints, columns: Ints, name: str) -> list[Any]:
        """A shard's pixels: of formulas where units are on, of units by cell, of formulas by cell, and its images."""
        inside = masks[:, self.positions(counts)]
        on = np.take_along_axis(getattr(counts, name), columns, 2)[..., 0]
        layout = np.take_along_axis(counts.layout, columns, 2)[..., 0]
        return [(on * inside).sum(1), layout, inside @ counts.cells, np.int64(counts.samples)]


def _scores(
    weights: tuple[Ints, int], on: Ints, layout: Ints, cells: Ints, samples: Ints
) -> tuple[Floats, Floats, Floats]:
    """IoU, chance level and chance-corrected IoU (..., units) of (..., units, cells) pixels by cell."""
    by_cell, common = weights
    crossed = (layout * cells * by_cell).sum(-1) / common
    return corrected(
        on.astype(np.float64),
        crossed,
        layout.sum(-1).astype(np.float64),
        cells.sum(-1).astype(np.float64),
        np.asarray(samples)[..., None],
    )


def reduced(sets: Ints, among: Ints) -> Ints:
    """Label sets (s, width) with only the concepts `among` those given, falling, filled with 0."""
    kept = np.where(np.isin(sets, among), sets, 0)
    return np.asarray(np.flip(np.sort(kept, axis=1), 1))
