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
from dissectreport.stats.iou import against_chance
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
        wide = self.holds.astype(np.float64)
        meets = wide @ wide.T > 0
        yield from (Formula(i) for i in range(count))
        yield from (Formula(i, ((Join.OR, j),)) for i in range(count) for j in range(i + 1, count))
        yield from (Formula(i, ((Join.AND, j),)) for i in range(count) for j in range(i + 1, count) if meets[i, j])
        yield from (Formula(i, ((Join.NOT, j),)) for i in range(count) for j in range(count) if i != j and meets[i, j])

    @cached_property
    def masks(self) -> Floats:
        """(formulas, s) of 0 and 1, for which label sets each short formula holds."""
        return np.array([formula.of(self.holds) for formula in self.short], np.float64).reshape(-1, len(self.cells))

    @cached_property
    def wide(self) -> Floats:
        """(c, s) of 0 and 1, which label sets hold each concept."""
        return self.holds.astype(np.float64)

    @cached_property
    def lengths(self) -> Ints:
        """(formulas,) concepts of each short formula."""
        return np.array([len(formula) for formula in self.short])

    @cached_property
    def areas(self) -> Floats:
        """(formulas,) pixels of each short formula."""
        return np.asarray(self.masks @ self.present)

    @cached_property
    def shared(self) -> Floats:
        """(formulas, c) pixels of each short formula that also show each concept."""
        return np.asarray((self.masks * self.present) @ self.wide.T)

    @cached_property
    def weighted(self) -> tuple[Floats, int]:
        """(s, cells) pixels with whole weights, and what their products with a unit's pixels are divided by."""
        weights, common = cell_weights(self.cells.sum(0) // max(self.samples, 1))
        return np.asarray(self.cells * weights, np.float64), common

    def crossed(self, layout: Ints) -> Floats:
        """(s, thresholds) overlaps of the masks of all images with the activations (cells, thresholds) of all."""
        cells, common = self.weighted
        return np.asarray(cells @ layout.astype(np.float64) / common)

    def score(self, on: Floats, crossed: Floats, total: Floats, present: Floats) -> Floats:
        """Chance-corrected IoU, elementwise, of overlaps with all images' activations, and those of the same image."""
        return corrected(on, crossed, total, present, self.samples)[2]


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
    both = np.concatenate([on.astype(np.float64), table.crossed(layout)], 1)
    inside, crossed = np.split(table.masks @ both, 2, axis=1)
    total = on.sum(0).astype(np.float64)
    scores = table.score(inside, crossed, total, table.areas[:, None])
    at_single, single_column = _largest(np.where((table.lengths == 1)[:, None], scores, -np.inf))
    at, column = _largest(scores - PENALTY * (table.lengths - 1)[:, None])
    best, score = table.short[at], scores[at, column] - PENALTY * (table.lengths[at] - 1)
    unit = _Unit(
        table, both[:, column], both[:, column + on.shape[1]], inside[:, column], crossed[:, column], total[column]
    )
    longer = unit.longer(score + 2 * PENALTY)
    return Choice(longer or best, column, table.short[at_single], single_column)


def _largest(values: Floats) -> tuple[int, int]:
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return int(row), int(column)


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
    total: float
    """Pixels above the threshold."""

    def longer(self, least: float) -> Formula | None:
        """The formula of three concepts with the largest score above `least`, or None."""
        best, formula = least, None
        bounds = self._bounds()
        order = np.argsort(-bounds, kind="stable")
        for start in range(0, len(order), AT_A_TIME):
            rows = order[start : start + AT_A_TIME]
            rows = rows[bounds[rows] > best]
            if not len(rows):
                break
            scores = self._continued(rows)
            join, row, concept = np.unravel_index(int(scores.argmax()), scores.shape)
            if scores[join, row, concept] > best:
                best = float(scores[join, row, concept])
                formula = self.table.short[rows[row]].joined(list(Join)[join], int(concept))
        return formula

    def _bounds(self) -> Floats:
        """(formulas,) no formula that continues one of two concepts can score higher; minus infinity for others.

        Chance-corrected IoU grows with the overlap and falls with the areas and the overlap expected by chance.
        """
        singles = self.table.wide
        own, area = singles @ self.on, singles @ self.table.present
        either = np.minimum(self.inside[:, None] + own, self.total)
        larger = np.maximum(np.maximum(self.table.areas[:, None], area), either)
        wider = either / np.maximum(self.total + larger - either, 1)
        narrower = self.inside / max(self.total, 1)
        bounds = np.maximum(wider.max(1, initial=0), narrower)
        return np.where(self.table.lengths == 2, bounds, -np.inf)

    def _continued(self, rows: Ints) -> Floats:
        """(joins, rows, c) the scores of short formulas with one more concept, in the order of `Join`."""
        table = self.table
        masks = table.masks[rows]

        def by_join(own: Floats, values: Floats, shared: Floats) -> Floats:
            return np.stack([own[:, None] + table.wide @ values - shared, shared, own[:, None] - shared])

        on = by_join(self.inside[rows], self.on, (masks * self.on) @ table.wide.T)
        crossed = by_join(self.inside_crossed[rows], self.crossed, (masks * self.crossed) @ table.wide.T)
        areas = by_join(table.areas[rows], table.present, table.shared[rows])
        return table.score(on, crossed, np.float64(self.total), areas)  # type: ignore[arg-type]
