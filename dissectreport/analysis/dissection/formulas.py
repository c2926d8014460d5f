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
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.iou import against_chance, intersection_over_union
from dissectreport.stats.label_sets import cell_weights

PENALTY = 0.01
"""The chance-corrected IoU that each concept after the first has to add on the selection images."""
AT_A_TIME = 64
"""Formulas of two concepts that are compared at a time: of equally good ones the first in this order is chosen."""

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
    def groups(self) -> ConceptGroups:
        """The groups of up to three concepts that some label set holds."""
        return ConceptGroups.of(self.holds, 3)

    @cached_property
    def _pairs(self) -> ConceptGroups:
        return ConceptGroups.of(self.holds, 2)

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
    def signs(self) -> tuple[Ints, Ints, Ints]:
        """(formulas,) both concepts, and (3, formulas) how often their own pixels and the shared ones count."""
        lasts = [formula.rest[-1] if formula.rest else (Join.AND, formula.first) for formula in self.short]
        counted = {Join.OR: (1, 1, -1), Join.AND: (0, 0, 1), Join.NOT: (1, 0, -1)}
        first, second = (np.array(column) for column in ([f.first for f in self.short], [c for _, c in lasts]))
        return first, second, np.array([counted[join] for join, _ in lasts]).T

    def sums(self, values: Floats) -> Floats:
        """(formulas, k) sums over the label sets for which each short formula holds, of (s, k) whole numbers."""
        first, second, signs = self.signs
        sums, of = self._pairs.sums(values), self._pairs.number
        parts = (of(first, first, first), of(second, second, second), of(first, second, second))
        return np.asarray(sum(sign[:, None] * sums[part] for sign, part in zip(signs, parts, strict=True)))

    @cached_property
    def continued(self) -> tuple[Ints, Ints, Ints]:
        """(formulas, c) for every concept the groups whose pixels short formulas share with it; see `signs`."""
        first, second, _ = self.signs
        other, of = np.arange(len(self.holds)), self.groups.number
        first, second = first[:, None], second[:, None]
        return of(first, other, other), of(second, other, other), of(first, second, other)

    def shared(self, sums: Floats, at: tuple[Ints, ...] = ()) -> Floats:
        """Pixels that short formulas share with one more concept, from the sums of groups.

        (formulas, c), or those of some formulas and concepts.
        """
        signs = self.signs[2][..., None] if not at else self.signs[2][:, at[0]]
        groups = self.continued if not at else tuple(group[at] for group in self.continued)
        return np.asarray(sum(sign * sums[group] for sign, group in zip(signs, groups, strict=True)))

    @cached_property
    def single(self) -> Ints:
        """(c,) the number of the group of each concept alone."""
        return self.groups.number(*[np.arange(len(self.holds))] * 3)

    @cached_property
    def continued_areas(self) -> Floats:
        """(joins, formulas, c) pixels of each short formula with one more concept."""
        sums = self.groups.sums(self.present[:, None])[:, 0]
        return by_join(self.areas[:, None], sums[self.single], self.shared(sums))

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


def by_join(own: Floats, other: Floats, shared: Floats) -> Floats:
    """(joins, ...) pixels of formulas with one more concept, in the order of `Join`, from those that both share."""
    return np.stack([own + other - shared, shared, own - shared])


def corrected(
    on: Floats, crossed: Floats, total: Floats, present: Floats, samples: Ints | int
) -> tuple[Floats, Floats, Floats]:
    """IoU, chance level and chance-corrected IoU, elementwise.

    `crossed` is the overlap over all pairs of images, those of an image with itself included.
    """
    expected = np.maximum(crossed - on, 0) / np.maximum(np.asarray(samples) - 1, 1)
    return against_chance(on, expected, total, present)


@dataclass(frozen=True)
class ConceptGroups:
    """The groups of a few concepts that label sets hold, and the label sets that hold each of them."""

    numbers: Ints
    """(c, c, c) number of the group of three concepts, which may be equal; of those that never meet, the last one."""
    sets: Ints
    """(n,) label sets, those of the first group first."""
    starts: Ints
    """(groups,) where the label sets of each group begin."""

    @classmethod
    def of(cls, holds: Bools, most: int) -> ConceptGroups:
        """The groups of up to `most` concepts, two or three, from (c, s) which label sets hold each concept."""
        count = len(holds)
        found = [
            (code, row)
            for row, concepts in enumerate(np.flatnonzero(column).tolist() for column in holds.T)
            for size in range(1, most + 1)
            for code in (_code(group, count) for group in combinations(concepts, size))
        ]
        codes, sets = np.array(sorted(found), np.int64).reshape(-1, 2).T
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        numbers = np.full(count**3, len(starts), np.int64)
        numbers[codes[starts]] = np.arange(len(starts))
        return cls(numbers.reshape(count, count, count), sets, starts)

    def number(self, first: Ints, second: Ints, third: Ints) -> Ints:
        """The numbers of the groups of these concepts, which broadcast."""
        low, middle, high = np.sort(np.stack(np.broadcast_arrays(first, second, third)), axis=0)
        return np.asarray(self.numbers[low, np.where(low == middle, high, middle), high])

    def sums(self, values: Floats) -> Floats:
        """(groups + 1, k) sums of (s, k) values over the label sets that hold each group; 0 for no label set."""
        sums = np.zeros((len(self.starts) + 1, values.shape[1]))
        if len(self.starts):
            sums[:-1] = np.add.reduceat(values[self.sets], self.starts, axis=0)
        return sums


def _code(group: tuple[int, ...], count: int) -> int:
    """The position of a group of rising concepts among all groups of three: of fewer, the last is repeated."""
    first, second, third = (*group, group[-1], group[-1])[:3]
    return (first * count + second) * count + third


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
        there, scores = self._continued(least)
        if not len(scores) or scores.max() <= least:
            return None
        equal = [at[scores == scores.max()] for at in there]
        join, row, concept = (int(at[self._first(*equal)]) for at in equal)
        return self.table.short[row].joined(list(Join)[join], concept)

    def _continued(self, least: float) -> tuple[tuple[Ints, Ints, Ints], Floats]:
        """Formulas of three concepts, by join, formula of two and concept, that have an IoU above `least`; scores."""
        table = self.table
        sums, crossed = (table.groups.sums(values[:, None])[:, 0] for values in (self.on, self.crossed))
        on = by_join(self.inside[:, None], sums[table.single], table.shared(sums))
        better = intersection_over_union(on, self.total, table.continued_areas) > least
        better[:, table.lengths == 1] = False
        join, row, concept = np.nonzero(better)
        there = join, row, concept
        joined = by_join(
            self.inside_crossed[row], crossed[table.single[concept]], table.shared(crossed, (row, concept))
        )
        crossed = joined[join, np.arange(len(row))]
        return there, table.score(on[there], crossed, self.total, table.continued_areas[there])

    def _first(self, join: Ints, row: Ints, concept: Ints) -> int:
        """Which of equally good formulas is first: in order of bounds, some at a time, then of joins and concepts."""
        pairs = np.flatnonzero(self.table.lengths == 2)
        rank = np.zeros(len(self.table.short), np.int64)
        rank[pairs[np.argsort(-self._bounds()[pairs], kind="stable")]] = np.arange(len(pairs))
        return int(np.lexsort((concept, rank[row], join, rank[row] // AT_A_TIME))[0])

    def _bounds(self) -> Floats:
        """(formulas,) no formula that continues a short one can have a larger score.

        Scores grow with the overlap, and fall with the area and with the overlap in all pairs of images. So for each
        join an overlap that is too large, and areas and overlaps by chance that are too small, give a bound.
        """
        table = self.table
        wide = table.holds.astype(np.float64)
        on, crossed, area = (wide @ values for values in (self.on, self.crossed, table.present))
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
