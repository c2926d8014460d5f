"""The two passes of the pilot: the range of every unit's activations, and their histogram on the grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from dissectreport.records.dissection import UnitScales
from dissectreport.run.plan import Plan, Reading
from dissectreport.run.rules import Edge, rule_named
from dissectreport.run.shards import Shard
from dissectreport.stats.activation_range import ActivationRange
from dissectreport.stats.base import Floats
from dissectreport.stats.histogram import Histogram
from dissectreport.stats.thresholds import CELLS, RULE_THRESHOLDS
from dissectreport.worker import binning
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.observing import pilot_maps
from dissectreport.worker.whole_counts import occurrences


def make_scales(source: Source, plan: Plan, layers: Sequence[str]) -> Callable[[Shard], dict[str, UnitScales]]:
    """The pass that finds the standard deviation of every unit, by which units are divided before a rotation."""
    models = source.models()

    def work(shard: Shard) -> dict[str, UnitScales]:
        maps = pilot_maps(models, plan, [Reading(layer) for layer in layers], shard)
        return {
            reading.layer: UnitScales.of(read.transpose(0, 1).flatten(1).cpu().numpy())
            for reading, read in maps.items()
        }

    return work


def make_range(
    source: Source, plan: Plan, readings: Sequence[Reading]
) -> Callable[[Shard], dict[str, ActivationRange]]:
    """The pass that finds the extremes of every unit over a few batches of the pilot, with room to spare."""
    models, edge = source.models(), rule_named(plan.rule).edge

    def work(shard: Shard) -> dict[str, ActivationRange]:
        maps = pilot_maps(models, plan, readings, shard)
        return {reading.key: _extremes(maps[reading], edge) for reading in readings}

    return work


def _extremes(maps: Tensor, edge: Edge) -> ActivationRange:
    """Every unit's smallest and largest activation once laid out on a grid."""
    flat = maps.transpose(0, 1).flatten(1)
    low, high = flat.amin(1), flat.amax(1)
    if edge == Edge.ZERO:
        low, high = low.clamp(max=0), high.clamp(min=0)
    units, height, width = maps.shape[1:]
    return ActivationRange(low.double().cpu().numpy(), high.double().cpu().numpy(), (units, height, width))


def make_pilot(
    source: Source, plan: Plan, readings: Sequence[Reading], ranges: dict[str, ActivationRange]
) -> Callable[[Shard], dict[str, Histogram]]:
    """The pass that counts activations in even cells on the grid."""
    models, edge, count = source.models(), rule_named(plan.rule).edge, RULE_THRESHOLDS[plan.rule].cells
    even = {key: even_cells(ends.low, ends.high, count) for key, ends in ranges.items()}

    def work(shard: Shard) -> dict[str, Histogram]:
        maps = pilot_maps(models, plan, readings, shard)
        return {r.key: histogram(maps[r], *even[r.key], count, plan.side(r), edge) for r in readings}

    return work


def even_cells(low: Floats, high: Floats, count: int = CELLS) -> tuple[Floats, Floats]:
    """Lower end and width of `count` cells for activations between `low` and `high` (units,), with room.

    Large activations are the interesting ones, so more room is left above. A unit that never varied gets a
    width that keeps its one value in the lowest cell.
    """
    spread = np.maximum(high - low, 1e-6 * np.maximum(np.abs(high), 1))
    start = low - 0.02 * spread
    return start, (1.25 * spread) / count


def histogram(maps: Tensor, low: Floats, width: Floats, count: int, grid: int, edge: Edge) -> Histogram:
    """Pixels by unit and even cell of (n, units, h, w) activations laid out on the grid."""
    counts = []
    for unit in range(maps.shape[1]):
        row = slice(unit, unit + 1)
        cell = next(binning.cells(maps[:, row], low[row], width[row], count, grid, edge))
        counts.append(occurrences(cell, count).long())
    return Histogram(low, width, torch.stack(counts).cpu().numpy())
