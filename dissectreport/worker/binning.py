"""Activations become bins: by a table of even cells of the pilot's range, or by comparison with exact thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dissectreport.networks.resampling import upsample
from dissectreport.run.rules import Edge
from dissectreport.stats.base import Ints
from dissectreport.stats.thresholds import CELLS, AnyThresholds, ExactThresholds, Thresholds
from dissectreport.worker.whole_counts import beginnings, is_processor


class Binning(Protocol):
    """How activations become bins, one unit after the other."""

    bins: int
    """Bins of the joint counts."""
    steps: int
    """Bins of the counts of chance."""

    def upsampled(self, maps: Tensor, units: list[int], grid: int, edge: Edge, images: int = 0) -> Iterator[Tensor]:
        """What `bin` and `step` take, (n * grid * grid,) a unit, from (n, units, h, w) of those units.

        With `images`, one unit's images come that many at a time.
        """

    def bin(self, units: list[int], upsampled: Tensor, like: Tensor) -> Tensor:
        """(units, pixels) numbers of thresholds exceeded, in the type of `like`."""

    def step(self, units: list[int], upsampled: Tensor, like: Tensor) -> Tensor:
        """(units, pixels) the same among the thresholds at which chance is counted."""


class TabledBinning:
    """Bins by look-up of even cells: fast."""

    def __init__(self, thresholds: Thresholds, device: torch.device) -> None:
        self.thresholds = thresholds
        self.bins, self.steps = thresholds.edges.shape[1] + 1, len(thresholds.chance_columns) + 1
        self.bin_table = torch.from_numpy(thresholds.bin_table()).to(device)
        self.chance_table = torch.from_numpy(thresholds.chance_table()).to(device)

    def upsampled(self, maps: Tensor, units: list[int], grid: int, edge: Edge, images: int = 0) -> Iterator[Tensor]:
        """Each unit's cells."""
        return cells(maps, self.thresholds.low[units], self.thresholds.width[units], CELLS, grid, edge, images)

    def bin(self, units: list[int], upsampled: Tensor, like: Tensor) -> Tensor:
        """(units, pixels) number of edges at or below each cell."""
        return looked_up(self.bin_table[units[0] : units[-1] + 1], upsampled, like)

    def step(self, units: list[int], upsampled: Tensor, like: Tensor) -> Tensor:
        """(units, pixels) the same among the edges at which chance is counted."""
        return looked_up(self.chance_table[units[0] : units[-1] + 1], upsampled, like)

    def folded(self, unit: int, by_cell: Tensor) -> Tensor:
        """(label sets, cells) counts -> (label sets, bins) counts."""
        by_bin = by_cell.new_zeros(len(by_cell), self.bins)
        return by_bin.index_add_(1, self.bin_table[unit].int(), by_cell)


class ComparedBinning:
    """Bins by comparing activations with thresholds, strictly and without rounding."""

    def __init__(self, thresholds: ExactThresholds, device: torch.device) -> None:
        self.cuts = torch.from_numpy(np.ascontiguousarray(thresholds.cuts)).to(device)
        self.bins = self.steps = thresholds.cuts.shape[1] + 1

    def upsampled(self, maps: Tensor, units: list[int], grid: int, edge: Edge, images: int = 0) -> Iterator[Tensor]:
        """Each unit's activations."""
        for block in torch.split(maps, images or len(maps)):
            yield from upsample(block.transpose(0, 1), (grid, grid), edge).flatten(1)

    def bin(self, units: list[int], upsampled: Tensor, like: Tensor) -> Tensor:
        """(units, pixels) number of thresholds below each activation."""
        return torch.searchsorted(self.cuts[units], upsampled, out_int32=True).to(like.dtype)

    step = bin


def binning_of(thresholds: AnyThresholds, device: torch.device) -> Binning:
    """The bins that thresholds of this kind make."""
    return (
        TabledBinning(thresholds, device) if isinstance(thresholds, Thresholds) else ComparedBinning(thresholds, device)
    )


def cells(
    maps: Tensor,
    lows: NDArray[np.float64],
    widths: NDArray[np.float64],
    count: int,
    grid: int,
    edge: Edge,
    images: int = 0,
) -> Iterator[Tensor]:
    """Each unit's (n * grid * grid,) int32 numbers of `count` even cells, from (n, units, h, w) activations.

    Cells are a linear function of the activation, so they are made on the layer's own grid and then upsampled.
    With `images`, one unit's images come that many at a time.
    """
    low = torch.from_numpy(lows.astype(np.float32)).to(maps.device)[:, None, None, None]
    scale = torch.from_numpy((1 / widths).astype(np.float32)).to(maps.device)[:, None, None, None]
    maps = maps.transpose(0, 1)
    even = (maps - low) * scale if edge == Edge.CLAMP else maps
    # Interpolated values stay between the ends of the original ones.
    inside = is_processor(even.device) and edge == Edge.CLAMP and bool(even.amin() >= 0)
    inside = inside and bool(even.amax() < count - 1)
    for block in torch.split(even, images or even.shape[1], 1):
        upsampled = upsample(block, (grid, grid), edge)
        # Outside the map activations are 0, which is not cell 0.
        upsampled = upsampled if edge == Edge.CLAMP else (upsampled - low) * scale
        yield from (upsampled if inside else upsampled.clamp_(0, count - 1)).int().flatten(1)


def above(bins: int, edges: Ints, device: torch.device) -> Tensor:
    """(bins, edges) 1 where a bin lies above the inner edge of that number, else 0.

    >>> above(3, np.array([0, 1]), torch.device("cpu")).tolist()
    [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]
    """
    return ones_where(np.arange(bins)[:, None] > edges, device)


def looked_up(tables: Tensor, cell: Tensor, like: Tensor) -> Tensor:
    """(units, pixels) entries of each unit's table (units, cells) for its pixels' cells, in the type of `like`."""
    entries = tables.to(like.dtype).flatten()
    if len(tables) > 1:
        cell = cell + beginnings(len(tables), tables.shape[1], cell)
    return entries.index_select(0, cell.flatten()).reshape(cell.shape)


def ones_where(condition: NDArray[np.bool_], device: torch.device) -> Tensor:
    """1 where a condition holds, else 0, as float32 on the device."""
    return torch.from_numpy(condition.astype(np.float32)).to(device)
