"""The share of every concept's area that ablating units removes, with intervals.

Effects are one minus ratios of whole pixels over the same latents with and without units (Bau et al. 2019, 2020).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dissectreport.analysis.common.ratios import ratio_interval
from dissectreport.records.interventions import Units
from dissectreport.run.shards import Shard
from dissectreport.stats.ablated_areas import AblatedAreas
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Floats, Ints, merge_all
from dissectreport.stats.paired import Paired
from dissectreport.vocabulary import Vocabulary


@dataclass(frozen=True)
class RemovedShare:
    """(concepts,) share of each concept's area that one set of units removes, and the ends of its 95% interval."""

    value: Floats
    low: Floats
    high: Floats

    def of(self, concept: int, name: str) -> dict[str, float]:
        """The columns of a table for one of the concepts."""
        return {name: self.value[concept], f"{name}_low": self.low[concept], f"{name}_high": self.high[concept]}


@dataclass(frozen=True)
class Removed:
    """Pixels of concepts with and without each set of units, by rows of images from which intervals are made."""

    index: Mapping[Units, int]
    before: Ints
    """(rows, concepts) pixels."""
    after: Ints
    """(rows, sets, concepts) pixels."""

    @classmethod
    def by_image(cls, sets: Sequence[Units], areas: Areas, ablated: AblatedAreas, concepts: Sequence[int]) -> Removed:
        """A row for each image; of the studied concepts alone, in their order."""
        columns = np.searchsorted(areas.concepts, concepts)
        return cls(_index(sets), areas.pixels[:, columns], ablated.pixels)

    @classmethod
    def by_shard(cls, sets: Sequence[Units], parts: Sequence[tuple[Shard, Paired]]) -> Removed:
        """A row for each shard; of every concept of the vocabulary."""
        before, after = (np.stack([getattr(paired, name) for _, paired in parts]) for name in ("before", "after"))
        return cls(_index(sets), before, after)

    def __getitem__(self, units: Iterable[int]) -> RemovedShare:
        """What a set removes."""
        row = self.index[tuple(sorted(int(unit) for unit in units))]
        value, low, high = ratio_interval(self.after[:, row], self.before)
        return RemovedShare(1 - value, 1 - high, 1 - low)

    def only(self, sets: Sequence[Units]) -> Removed:
        """Some of the sets."""
        return Removed(_index(sets), self.before, self.after[:, [self.index[units] for units in sets]])

    def rows(self, chosen: slice) -> Removed:
        """Some of the rows."""
        return Removed(self.index, self.before[chosen], self.after[chosen])


def _index(sets: Sequence[Units]) -> dict[Units, int]:
    return {units: number for number, units in enumerate(sets)}


def changes(parts: Sequence[tuple[Shard, Paired]], vocabulary: Vocabulary, first: Sequence[str] = ()) -> pd.DataFrame:
    """The effect of one edit on every concept that occurs: the requested ones first, then by decreasing effect."""
    share = Removed.by_shard([(0,)], parts)[(0,)]
    whole = merge_all(paired for _, paired in parts)
    total = whole.images * whole.pixels
    rows = []
    for number in np.flatnonzero((whole.before > 0) | (whole.after[0] > 0)).tolist():
        rows.append(
            {
                "concept": vocabulary[number].name,
                "category": vocabulary[number].category,
                "before": whole.before[number] / total,
                "after": whole.after[0, number] / total,
                "change": 0.0 - share.value[number],
                "change_low": 0.0 - share.high[number],
                "change_high": 0.0 - share.low[number],
            }
        )
    table = pd.DataFrame(rows)
    size = (table["after"] - table["before"]).abs()
    wanted = table["concept"].isin(list(first))
    order = np.lexsort((-size.to_numpy(), ~wanted.to_numpy()))
    return table.iloc[order].reset_index(drop=True)
