"""What was counted of one layer, and the scores of its units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dissectreport.analysis.common.cutoffs import FEWEST_IMAGES
from dissectreport.analysis.dissection.concepts import images_of, seen_by_half
from dissectreport.analysis.dissection.corrected_rule import REPLICATES, Groups, Scores, blocks, score
from dissectreport.records.reader import EVERYTHING, Portion
from dissectreport.stats.base import Ints, union
from dissectreport.stats.chance import Chance
from dissectreport.stats.cross import Cross
from dissectreport.stats.joint import JointTotals
from dissectreport.stats.label_sets import LabelSets
from dissectreport.stats.neighbours import Neighbours
from dissectreport.stats.peaks import Peaks
from dissectreport.stats.thresholds import AnyThresholds
from dissectreport.vocabulary import Vocabulary

ONE_UNIT = Portion(slice(0, 1))
"""For what is the same for all units: the first alone is read."""
UNITS_AT_ONCE = 64
"""Units whose counts are read at a time, where the memory that they take does not say how many."""


class Chances(Protocol):
    """The counts of the shards of a layer, or of a control."""

    def __call__(self, portion: Portion = EVERYTHING) -> Iterable[tuple[int, Chance]]:
        """Each shard's group and counts, in order of shards; they are read again at every call."""


PAIRS = 12
CURVES = 6
"""Concepts of a unit in the table of pairs, and in the chart of curves."""


def no_shards(portion: Portion) -> Iterable[Any]:
    """Nothing was counted."""
    return ()


@dataclass(frozen=True)
class Counted:
    """What was counted of one layer."""

    name: str
    shape: tuple[int, int, int]
    """Units, height, width."""
    thresholds: AnyThresholds
    chances: Chances
    totals: JointTotals
    """Over all samples."""
    held_out: JointTotals
    """Over the held-out half."""
    bins_of: Callable[[Ints], Ints]
    """From one concept number for each unit the (units, bins) pixels of the held-out half that show the concept."""
    cross: Cross
    peaks: Peaks
    random_directions: tuple[Chances, ...]
    """One for each random basis."""
    untrained: Chances
    pixels: int
    """Pixels of the grid on which chance was counted."""
    neighbours: Callable[[Portion], Iterable[Neighbours]] = no_shards
    """Calls give each shard's counts of neighbours, in order of shards."""
    label_sets: Callable[[Portion], Iterable[tuple[int, LabelSets]]] = no_shards
    """Calls give each shard's (group, counts by label set), in order of shards."""

    def counted_shards(self, portion: Portion) -> Iterator[tuple[int, Chance, Neighbours]]:
        """The groups and counts of the shards of which neighbours were counted."""
        for (group, chance), neighbours in zip(self.chances(portion), self.neighbours(portion), strict=False):
            yield group, chance, neighbours


def scored(
    counted: Counted,
    vocabulary: Vocabulary,
    chances: Chances,
    shifted: bool = False,
    wanted: Sequence[int] = (),
    replicates: int = REPLICATES,
) -> Scores:
    """The scores of a layer's units, in blocks that fit into memory; every block reads the counts of its units.

    Where it takes several blocks, only concepts that matter are scored, and those `wanted`: of a thousand that occur
    in some image or other, a tenth can be tested.
    """
    units, thresholds = counted.shape[0], len(counted.thresholds.chance_columns)
    parts, among = blocks(units, len(counted.totals.concepts), thresholds), None
    if len(parts) > 1:
        among = needed_concepts(chances(ONE_UNIT), vocabulary, wanted)
        parts = blocks(units, len(among), thresholds)
    return Scores.together(
        [
            score(Groups.of(chances(Portion(part)), shifted=shifted, among=among), counted.pixels, replicates)
            for part in parts
        ]
    )


def needed_concepts(shards: Iterable[tuple[int, Chance]], vocabulary: Vocabulary, wanted: Sequence[int]) -> Ints:
    """Numbers of the concepts that tables can show: tested or wanted ones, and the first of every category.

    All that occur where too few are tested to fill the tables.
    """
    halves = seen_by_half(shards)
    concepts = union(halves[0][0], halves[1][0])
    tested = np.minimum(*(images_of(half, concepts) for half in halves)) >= FEWEST_IMAGES
    if tested.sum() < max(PAIRS, CURVES):
        return concepts
    _, firsts = np.unique(np.array(vocabulary.category_of_each)[concepts], return_index=True)
    tested[firsts] = True
    return concepts[tested | np.isin(concepts, wanted)]


@dataclass(frozen=True)
class ConceptNames:
    """Names for the columns of scores."""

    vocabulary: Vocabulary
    concepts: Ints
    twins: Mapping[int, int] = field(default_factory=dict)
    """By concept number the concept that it counts as, of those that count as another one."""

    def different(self, column: Ints) -> int:
        """How many different concepts these columns are of; twins count once."""
        numbers = self.concepts[column].tolist()
        return len({self.twins.get(number, number) for number in numbers})

    def concept(self, column: Ints) -> list[str]:
        """Names of concept columns; '' for -1."""
        return [self.vocabulary[self.concepts[c]].name if c >= 0 else "" for c in column]

    def category(self, column: Ints) -> list[str]:
        """Categories of concept columns; '' for -1."""
        return [self.vocabulary[self.concepts[c]].category if c >= 0 else "" for c in column]

    @property
    def categories(self) -> list[str]:
        """The categories of the concepts that occur, in the vocabulary's order."""
        return list(dict.fromkeys(self.category(np.arange(len(self.concepts)))))

    def within(self, category: str) -> NDArray[np.bool_]:
        """(c,) whether each concept column is of the category."""
        return np.array([c == category for c in self.category(np.arange(len(self.concepts)))])
