"""Formulas of up to three concepts: every one is scored, exactly, from the counts by label set of one half.

A formula begins with a concept and goes on with OR, AND or AND NOT and another one, from left to right (Mu & Andreas
2020). What it holds for is a set of label sets; formulas that hold for the same ones are one formula, the shortest.
All formulas of one and two concepts are scored at all thresholds. Those of three are searched at the threshold of the
best, in order of an upper bound of what can become of the first two concepts, until no bound exceeds the best score:
nothing better is left out. Each concept after the first has to add `PENALTY` to the score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.iou import against_chance, intersection_over_union
from dissectreport.stats.label_sets import cell_weights

PENALTY = 0.01
"""The chance-corrected IoU that each concept after the first has to add on the selection images."""
AT_A_TIME = 64
"""Formulas of two concepts that are continued at a time."""

Bools = NDArray[np.bool_]


class Join(StrEnum):
    """How a formula goes on."""

    OR = "OR"
    AND = "AND"
    NOT = "AND NOT"


@dataclass(frozen=True)
class Formula:
    """Concepts, as columns, joined from left to right."""

    first: int
    rest: tuple[tuple[Join, int], ...] = ()

    def __len__(self) -> int:
        return 1 + len(self.rest)

    def joined(self, join: Join, concept: int) -> Formula:
        """The formula with one more concept."""
        return Formula(self.first, (*self.rest, (join, concept)))

    def of(self, holds: Bools) -> Bools:
        """(s,) for which label sets the formula holds, from (c, s) which hold each concept."""
        value = holds[self.first]
        for join, concept in self.rest:
            value = _joined(value, join, holds[concept])
        return np.asarray(value)

    def words(self, names: Sequence[str]) -> str:
        """The formula in words: names by column; brackets where OR meets AND.

        >>> Formula(0, ((Join.OR, 1), (Join.NOT, 2))).words(["tree", "hedge", "sky"])
        '(tree OR hedge) AND NOT sky'
        """
        text = names[self.first]
        for number, (join, concept) in enumerate(self.rest):
            mixed = number and (join == Join.OR) != (self.rest[number - 1][0] == Join.OR)
            text = f"({text}) {join} {names[concept]}" if mixed else f"{text} {join} {names[concept]}"
        return text


def _joined(value: Bools, join: Join, other: Bools) -> Bools:
    if join == Join.OR:
        return value | other
    return value & (other if join == Join.AND else ~other)


@dataclass(frozen=True)
class Choice:
    """The formula that a unit's search chose, and the best single concept, each with its threshold."""

    formula: Formula
    column: int
    """Column of the threshold."""
    single: Formula
    single_column: int


@dataclass(frozen=True)
class LabelSetTable:
    """The label sets of one half of the images, with the concepts that formulas are made of."""

    holds: Bools
    """(c, s) which label sets hold each concept."""
    cells: Ints
    """(s, cells) pixels of each label set in each cell of the image."""
    samples: int

    @cached_property
    def present(self) -> Floats:
        """(s,) pixels of each label set."""
        return np.asarray(self.cells.sum(1), np.float64)

    @cached_property
    def wide(self) -> Floats:
        """(c, s) of 0 and 1, which label sets hold each concept."""
        return self.holds.astype(np.float64)

    @cached_property
    def short(self) -> tuple[Formula, ...]:
        """Every formula of one or two concepts, the shorter first; of equal ones the first."""
        found: dict[bytes, Formula] = {}
        for formula in self._candidates():
            value = formula.of(self.holds)
            if value.any():
                found.setdefault(np.packbits(value).tobytes(), formula)
        return tuple(found.values())

    def _candidates(self) -> Iterator[Formula]:
        count = len(self.holds)
        meets = self.wide @ self.wide.T > 0
        yield from (Formula(i) for i in range(count))
        yield from (Formula(i, ((Join.OR, j),)) for i in range(count) for j in range(i + 1, count))
        yield from (Formula(i, ((Join.AND, j),)) for i in range(count) for j in range(i + 1, count) if meets[i, j])
        yield from (Formula(i, ((Join.NOT, j),)) for i in range(count) for j in range(count) if i != j and meets[i, j])

    @cached_property
    def lengths(self) -> Ints:
        """(formulas,) concepts of each short formula."""
        return np.array([len(formula) for formula in self.short])

    @cached_property
    def penalties(self) -> Floats:
        """(formulas,) what the concepts of each short formula have to add."""
        return np.asarray(PENALTY * (self.lengths - 1), np.float64)

    @cached_property
    def areas(self) -> Floats:
        """(formulas,) pixels of each short formula."""
        return self.sums(self.present[:, None])[:, 0]

    @cached_property
    def _signs(self) -> tuple[Ints, Ints, Ints]:
        """(formulas,) both concepts, and (formulas, 3) how often their own pixels and the shared ones count."""
        lasts = [formula.rest[-1] if formula.rest else (Join.AND, formula.first) for formula in self.short]
        counted = {Join.OR: (1, 1, -1), Join.AND: (0, 0, 1), Join.NOT: (1, 0, -1)}
        first, second = (np.array(column) for column in ([f.first for f in self.short], [c for _, c in lasts]))
        return first, second, np.array([counted[join] for join, _ in lasts])

    def sums(self, values: Floats) -> Floats:
        """(formulas, k) sums over the label sets for which each short formula holds, of (s, k) whole numbers."""
        first, second, signs = self._signs
        columns = []
        for column in values.T:
            there = column != 0
            wide = self.wide[:, there]
            shared = (wide * column[there]) @ wide.T
            own = np.diag(shared)
            columns.append((np.stack([own[first], own[second], shared[first, second]], 1) * signs).sum(1))
        return np.stack(columns, 1)

    def masks(self, rows: Ints) -> Floats:
        """(rows, s) of 0 and 1, for which label sets some short formulas hold."""
        return np.array([self.short[row].of(self.holds) for row in rows], np.float64)

    @cached_property
    def weighted(self) -> tuple[Floats, int]:
        """(s, cells) pixels with whole weights, and what their products with a unit's pixels are divided by."""
        weights, common = cell_weights(self.cells.sum(0) // max(self.samples, 1))
        return np.asarray(self.cells * weights, np.float64), common

    @cached_property
    def short_cells(self) -> Floats:
        """(formulas, cells) the same pixels of each short formula."""
        return self.sums(self.weighted[0])

    def crossed(self, layout: Floats) -> Floats:
        """(formulas, thresholds) overlaps of short formulas in all images with activations of all, by cell."""
        return np.asarray(self.short_cells @ layout / self.weighted[1])

    def crossed_sets(self, layout: Floats) -> Floats:
        """(s,) the same of each label set, with the activations (cells,) at one threshold."""
        cells, common = self.weighted
        return np.asarray(cells @ layout / common)

    def score(self, on: Floats, crossed: Floats, total: Floats | float, present: Floats) -> Floats:
        """Chance-corrected IoU, elementwise, of overlaps in the same image, and over all pairs of images."""
        return corrected(on, crossed, np.asarray(total), present, self.samples)[2]


def corrected(
    on: Floats, crossed: Floats, total: Floats, present: Floats, samples: Ints | int
) -> tuple[Floats, Floats, Floats]:
    """IoU, chance level and chance-corrected IoU, elementwise.

    `crossed` is the overlap over all pairs of images, those of an image with itself included.
    """
    expected = np.maximum(crossed - on, 0) / np.maximum(np.asarray(samples) - 1, 1)
    return against_chance(on, expected, total, present)


def search(table: LabelSetTable, on: Ints, layout: Ints) -> Choice:
    """The best formula of one unit, of one to three concepts, from (s, thresholds) and (cells, thresholds) pixels."""
    pixels, everywhere = on.astype(np.float64), layout.astype(np.float64)
    total, inside, crossed = pixels.sum(0), table.sums(pixels), table.crossed(everywhere)
    scores = table.score(inside, crossed, total, table.areas[:, None]) - table.penalties[:, None]
    single, single_column = _largest(np.where((table.lengths == 1)[:, None], scores, -np.inf))
    row, column = _largest(scores)
    unit = _Unit(
        table,
        pixels[:, column],
        table.crossed_sets(everywhere[:, column]),
        inside[:, column],
        crossed[:, column],
        float(total[column]),
    )
    longer = unit.longer(float(scores[row, column]) + 2 * PENALTY)
    return Choice(longer or table.short[row], column, table.short[single], single_column)


def _largest(values: Floats) -> tuple[int, int]:
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return int(row), int(column)


def _in_order(rows: Ints, bounds: Floats) -> Iterator[Ints]:
    """The rows by falling bound, some at a time."""
    order = rows[np.argsort(-bounds, kind="stable")]
    yield from (order[start : start + AT_A_TIME] for start in range(0, len(order), AT_A_TIME))


@dataclass(frozen=True)
class _Unit:
    """One unit at one threshold."""

    table: LabelSetTable
    on: Floats
    """(s,) pixels of each label set above the threshold."""
    crossed: Floats
    """(s,) overlaps of the masks of all images with the activations of all."""
    inside: Floats
    """(formulas,) pixels of each short formula above the threshold."""
    inside_crossed: Floats
    """(formulas,) overlaps of each short formula in all images with the activations of all."""
    total: float
    """Pixels above the threshold."""

    def longer(self, least: float) -> Formula | None:
        """The formula of three concepts with the largest score above `least`, or None."""
        best, formula = least, None
        pairs, bounds = np.flatnonzero(self.table.lengths == 2), self._bounds()
        for rows in _in_order(pairs, bounds[pairs]):
            if bounds[rows[0]] <= best:
                break
            scores = self._continued(rows, best)
            join, row, concept = np.unravel_index(int(scores.argmax()), scores.shape)
            if scores[join, row, concept] > best:
                best = float(scores[join, row, concept])
                formula = self.table.short[rows[row]].joined(list(Join)[join], int(concept))
        return formula

    def _bounds(self) -> Floats:
        """(formulas,) no formula that continues a short one can have a larger score.

        Scores grow with the overlap, and fall with the area and with the overlap in all pairs of images. So for each
        join an overlap that is too large, and areas and overlaps by chance that are too small, give a bound.
        """
        table = self.table
        on, crossed, area = (table.wide @ values for values in (self.on, self.crossed, table.present))
        own, own_crossed, own_area = self.inside[:, None], self.inside_crossed[:, None], table.areas[:, None]
        either = np.minimum(own + on, self.total)
        both = np.minimum(own, on)
        bounds = (
            table.score(
                either, np.maximum(own_crossed, crossed), self.total, np.maximum(np.maximum(own_area, area), either)
            ),
            table.score(both, np.zeros(()), self.total, both),
            table.score(own, np.maximum(own_crossed - crossed, 0), self.total, np.maximum(own_area - area, own)),
        )
        return np.asarray(np.max([bound.max(1, initial=0) for bound in bounds], axis=0))

    def _continued(self, rows: Ints, least: float) -> Floats:
        """(joins, rows, c) the scores of short formulas with one more concept, in the order of `Join`.

        They are minus infinity where no IoU is above `least`.
        """
        table, masks = self.table, self.table.masks(rows)

        def by_join(own: Floats, values: Floats) -> Floats:
            shared = (masks * values) @ table.wide.T
            return np.stack([own[:, None] + table.wide @ values - shared, shared, own[:, None] - shared])

        on, areas = by_join(self.inside[rows], self.on), by_join(table.areas[rows], table.present)
        iou = intersection_over_union(on, self.total, areas)
        if iou.max() <= least:
            return np.full(iou.shape, -np.inf)
        return table.score(on, by_join(self.inside_crossed[rows], self.crossed), self.total, areas)
