"""Counts that follow from others of the same file are kept once, and read as they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dissectreport.cache.reader import packed_stats, shard_name, stat_of
from dissectreport.cache.shared_counts import ROWS
from dissectreport.cache.store import Store
from dissectreport.run.rules import Edge
from dissectreport.run.shards import Shard
from dissectreport.stats.base import Stat
from dissectreport.stats.histogram import Histogram
from dissectreport.stats.thresholds import CELLS, Thresholds
from dissectreport.worker import counting
from dissectreport.worker.concept_masks import Masks

UNITS, IMAGES, GRID, CONCEPTS = 6, 4, 16, 5
SHARD = Shard(0, 0, IMAGES)
PARTS = (slice(None), slice(2, 5), slice(5, 9))


def measured(slots: int, none: bool) -> tuple[Stat, ...]:
    """The counts of a shard, by a segmenter of so many slots that leaves some pixels without a concept or does not."""
    random = torch.Generator().manual_seed(slots)
    maps = torch.randn(IMAGES, UNITS, 8, 8, generator=random)
    low, width = (torch.full((UNITS,), end).double().numpy() for end in (-5.0, 10 / CELLS))
    pilot = np.random.default_rng(0).integers(0, 50, (UNITS, CELLS))
    labels = torch.randint(0 if none else 1, CONCEPTS, (IMAGES, slots, GRID, GRID), generator=random)
    thresholds = Thresholds.of(Histogram(low, width, pilot))
    return counting.joint_and_others(maps, Masks.of(labels, CONCEPTS), thresholds, GRID, Edge.CLAMP)


def read_equal(store: Store, stats: tuple[Stat, ...], units: slice) -> None:
    """Assert that the counts of some units are read as they were."""
    for stat in stats:
        found = stat_of(store, SHARD, type(stat), units)
        for name, value in vars(stat).items():
            own = np.asarray(value)
            axis = next((k for k, length in enumerate(own.shape) if length == UNITS), None)
            own = own if axis is None else own[(slice(None),) * axis + (units,)]
            assert np.array_equal(own, getattr(found, name)), name


@pytest.mark.parametrize("none", [True, False])
@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("units", PARTS)
def test_what_follows_from_other_counts_is_kept_once(tmp_path: Path, slots: int, none: bool, units: slice) -> None:
    store, stats = Store.open(tmp_path, {}), measured(slots, none)
    kept = packed_stats(*stats)
    assert kept["chance.observed@0"].size == 0
    rest = 0 if slots > 1 else (kept[f"label_sets.on{ROWS}"] < 0).sum()
    assert slots > 1 or rest == none, "only the pixels without a concept have a row of their own"
    store.save(shard_name(SHARD), kept)
    read_equal(store, stats, units)


def test_counts_that_differ_from_the_others_are_kept(tmp_path: Path) -> None:
    store, (joint, chance, *others) = Store.open(tmp_path, {}), measured(1, none=False)
    observed = chance.observed.copy()  # type: ignore[attr-defined]
    observed[:, :, 1] += 1
    stats = (joint, replace(chance, observed=observed), *others)  # type: ignore[type-var]
    store.save(shard_name(SHARD), packed_stats(*stats))
    read_equal(store, stats, slice(None))
