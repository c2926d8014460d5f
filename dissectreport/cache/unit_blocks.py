"""Counts of many units in blocks, so that those of some units can be read without those of the others.

A layer of 512 units has millions of counts in each shard. The analysis takes some units at a time, and each byte is
read and unpacked once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Stat
from dissectreport.stats.chance import Chance
from dissectreport.stats.joint import Joint, JointTotals
from dissectreport.stats.label_sets import LabelSets
from dissectreport.stats.neighbours import Neighbours

Arrays = dict[str, NDArray[Any]]

UNIT_AXES: Mapping[type[Stat], Mapping[str, int]] = {
    Joint: {"joint": 0, "total": 0},
    JointTotals: {"total": 0},
    Chance: {"observed": 1, "shifted": 1, "crossed": 1, "on": 0},
    Neighbours: {"overlap": 0, "on": 0},
    LabelSets: {"on": 0, "shifted": 0, "layout": 0},
}
"""By kind of statistic and name of an array, the axis that runs over units."""
BLOCK = 1 << 17
"""Counts in a block, at most, or those of one unit. Blocks have a power of two of units, as the parts of a layer that
are analysed together, so that no block is read for several of them."""


def in_blocks(kind: type[Stat], arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The arrays of a statistic, those by unit in blocks under names such as 'on@64': from unit 64 on."""
    axes = UNIT_AXES.get(kind, {})
    return dict(block for name, array in arrays.items() for block in _split(name, array, axes.get(name)))


def _split(name: str, array: NDArray[Any], axis: int | None) -> Iterator[tuple[str, NDArray[Any]]]:
    if axis is None:
        yield name, array
        return
    units = max(1, array.shape[axis])
    step = 1 << (max(1, BLOCK * units // max(1, array.size)).bit_length() - 1)
    for start in range(0, units, step):
        yield f"{name}@{start}", _taken(array, axis, slice(start, start + step))


def _taken(array: NDArray[Any], axis: int, units: slice) -> NDArray[Any]:
    return array[(slice(None),) * axis + (units,)]


def needed(names: Iterable[str], units: slice) -> dict[str, list[int]]:
    """By name the first units of the blocks that hold any of `units`; no block for arrays that are not by unit.

    >>> needed(["on@0", "on@64", "on@128", "sizes"], slice(70, 80))
    {'on': [64], 'sizes': []}
    """
    first, end = units.start or 0, inf if units.stop is None else units.stop
    found = {}
    for name, every in _starts(tuple(names)).items():
        last = max((start for start in every if start <= first), default=0)
        found[name] = [start for start in every if last <= start < end]
    return found


@lru_cache(maxsize=1024)
def _starts(names: tuple[str, ...]) -> Mapping[str, Sequence[int]]:
    """By name the first units of its blocks, rising; kept, because many blocks are read of the same names."""
    starts: dict[str, list[int]] = {}
    for key in names:
        name, _, start = key.partition("@")
        starts.setdefault(name, []).extend([int(start)] if start else [])
    return {name: tuple(sorted(every)) for name, every in starts.items()}


def joined(kind: type[Stat], blocks: Mapping[str, NDArray[Any]], units: slice) -> Arrays:
    """The arrays of some units from their blocks, as `needed` gives them."""
    whole = {}
    for name, starts in needed(blocks, units).items():
        if not starts:
            whole[name] = blocks[name]
            continue
        axis = UNIT_AXES[kind][name]
        parts = [blocks[f"{name}@{start}"] for start in starts]
        array = np.concatenate(parts, axis) if parts[1:] else parts[0]
        end = None if units.stop is None else units.stop - starts[0]
        whole[name] = _taken(array, axis, slice((units.start or 0) - starts[0], end))
    return whole
