"""The share of every concept's area that ablating units removes, with intervals.

Effects are ratios of whole pixels over the same latents with and without units (Bau et al. 2019, 2020). Their
intervals are a delete-one-group jackknife over the held-out latents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dissectreport.analysis.common.jackknife import Jackknife
from dissectreport.records.interventions import (
    Units,
)
from dissectreport.run.shards import GROUPS, Shard
from dissectreport.stats.base import Floats, Ints, merge_all
from dissectreport.stats.paired import Paired
from dissectreport.vocabulary import Vocabulary


@dataclass(frozen=True)
class Removed:
    """Share of every concept's area that ablating each set of units removes: of all groups, and with each left out."""

    index: Mapping[Units, int]
    share: Jackknife
    """(sets, concepts)"""
    before: Floats
    """(concepts,) pixels."""
    pixels: int
    images: int

    @classmethod
    def of(cls, sets: Sequence[Units], parts: Sequence[tuple[Shard, Paired]]) -> Removed:
        """From every shard's counts with and without each of the sets, in order."""
        groups: dict[int, Paired] = {}
        for shard, paired in parts:
            group = shard.number % GROUPS
            groups[group] = groups[group].merge(paired) if group in groups else paired
        every = list(groups.values())
        whole = merge_all(every)
        index = {units: number for number, units in enumerate(sets)}
        without = [_share(whole.after - one.after, whole.before - one.before) for one in every]
        sizes = np.array([one.images for one in every], np.int64)
        share = Jackknife(_share(whole.after, whole.before), np.stack(without), sizes)
        return cls(index, share, whole.before.astype(float), whole.pixels, whole.images)

    def __getitem__(self, units: Iterable[int]) -> Jackknife:
        """(concepts,) what the set removes."""
        row = self.index[tuple(sorted(int(unit) for unit in units))]
        return Jackknife(self.share.value[row], self.share.without[:, row], self.share.sizes)


def _share(after: Ints, before: Ints) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(before > 0, 1 - after / before, np.nan))


def changes(parts: Sequence[tuple[Shard, Paired]], vocabulary: Vocabulary, first: Sequence[str] = ()) -> pd.DataFrame:
    """The effect of one edit on every concept that occurs: the requested ones first, then by decreasing effect."""
    removed = Removed.of([(0,)], parts)
    share = removed[(0,)]
    low, high = share.interval()
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
                "change_low": 0.0 - high[number],
                "change_high": 0.0 - low[number],
            }
        )
    table = pd.DataFrame(rows)
    size = (table["after"] - table["before"]).abs()
    wanted = table["concept"].isin(list(first))
    order = np.lexsort((-size.to_numpy(), ~wanted.to_numpy()))
    return table.iloc[order].reset_index(drop=True)
