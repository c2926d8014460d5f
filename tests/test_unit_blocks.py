"""Counts of some units are read without those of the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dissectreport.cache import unit_blocks
from dissectreport.cache.reader import packed_stats, read_stats, shard_name
from dissectreport.cache.store import Store
from dissectreport.cache.unit_blocks import UNIT_AXES, in_blocks, joined, needed
from dissectreport.records.reader import Portion
from dissectreport.run.shards import HELD_OUT, Shard
from dissectreport.stats.chance import Chance
from dissectreport.stats.joint import Joint, JointTotals

UNITS = 10
PORTIONS = (slice(None), slice(0, 1), slice(3, 8), slice(7, None), slice(9, 20), slice(4, 6))


def counts(seed: int = 0) -> Chance:
    random = np.random.default_rng(seed)
    shape = (1, UNITS, 3, 4)
    first, second, third = (np.flip(np.cumsum(random.integers(0, 300, shape), -1), -1) for _ in range(3))
    on, where = random.integers(0, 9, (UNITS, 4)), random.integers(0, 9, (3, 16))
    return Chance(np.array([2, 5, 7]), np.array([8]), first, second, third, on, where.sum(1), where.max(1), where, 8)


def joint() -> Joint:
    random = np.random.default_rng(1)
    shape = (UNITS, 2, 5)
    return Joint(
        np.array([1, 4]),
        random.integers(0, 9, shape),
        random.integers(0, 9, (UNITS, 5)),
        np.ones(2, int),
        np.ones(2, int),
        8,
    )


@pytest.mark.parametrize("units", PORTIONS)
@pytest.mark.parametrize("block", [1, 40, 10**6])
def test_the_blocks_of_a_portion_are_those_of_its_units(
    units: slice, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_blocks, "BLOCK", block)
    stat = counts()
    blocks = in_blocks(Chance, stat.arrays())
    wanted = needed(blocks, units)
    kept = {f"{name}@{start}" for name, starts in wanted.items() for start in starts} | {
        n for n, s in wanted.items() if not s
    }
    found = joined(Chance, {name: array for name, array in blocks.items() if name in kept}, units)
    for name, array in stat.arrays().items():
        axis = UNIT_AXES[Chance].get(name)
        part = array if axis is None else array[(slice(None),) * axis + (units,)]
        assert np.array_equal(found[name], part), name
    if block == 1 and units.stop:
        assert wanted["observed"] == list(range(units.start, min(units.stop, UNITS)))


def test_a_portion_of_a_store_is_read_by_units_and_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_blocks, "BLOCK", 30)
    store, parts = Store.open(tmp_path, {"kind": "counts"}), [Shard(number, 8 * number, 8) for number in range(3)]
    for part in parts:
        store.save(shard_name(part), packed_stats(counts(part.number), joint()))
    found = list(read_stats(store, parts, Chance, Portion(slice(2, 5), HELD_OUT)))
    assert [part.number for part, _ in found] == [1]
    assert np.array_equal(found[0][1].crossed, counts(1).crossed[:, 2:5])
    assert np.array_equal(found[0][1].where, counts(1).where)
    totals = [stat for _, stat in read_stats(store, parts, JointTotals)]
    assert len(totals) == 3 and np.array_equal(totals[0].total, joint().total)


def test_the_bins_of_each_units_concept_are_those_of_the_joint_counts() -> None:
    whole = joint()
    numbers = np.array([1, 4, 3, -1, 9, 4, 1, 1, 4, 0])
    expected = [
        whole.joint[unit, {1: 0, 4: 1}[number]] if number in (1, 4) else np.zeros(5)
        for unit, number in enumerate(numbers.tolist())
    ]
    assert np.array_equal(whole.of_concepts(numbers), expected)
