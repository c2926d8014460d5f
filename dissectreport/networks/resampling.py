"""Upsampling of activations to a grid of pixels, with the border rule of either paper."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from dissectreport.run.rules import Edge


@lru_cache
def interpolation(source: int, target: int, edge: Edge = Edge.CLAMP) -> Tensor:
    """(target, source) float32 matrix of linear interpolation between pixel centres.

    Target pixel x samples source coordinate (x + ½)·source/target - ½. Beyond the outermost centres 'clamp' repeats
    them (the ICLR 2019 rule, which equals `interpolate(..., align_corners=False)`); 'zero' fades towards 0 over
    half a source pixel (the PNAS 2020 rule).
    """
    at = (np.arange(target) + 0.5) * (source / target) - 0.5
    if edge == Edge.CLAMP:
        at = at.clip(0, source - 1)
    left = np.floor(at).astype(int)
    share = at - left
    matrix = np.zeros((target, source))
    for column, weight in ((left, 1 - share), (left + 1, share)):
        inside = (column >= 0) & (column < source)
        np.add.at(matrix, (np.arange(target)[inside], column[inside]), weight[inside])
    return torch.from_numpy(matrix.astype(np.float32))


def upsample(maps: Tensor, grid: tuple[int, int], edge: Edge = Edge.CLAMP) -> Tensor:
    """(n, units, h, w) -> (n, units, *grid) by two small matrix products; the same maps where the grid is theirs."""
    if maps.shape[-2:] == grid:
        return maps
    rows = interpolation(maps.shape[-2], grid[0], edge).to(maps)
    columns = interpolation(maps.shape[-1], grid[1], edge).to(maps)
    return rows @ (maps @ columns.T)


def on_lattice(maps: Tensor, grid: int, lattice: Sequence[int], edge: Edge = Edge.CLAMP) -> Tensor:
    """(n, units, h, w) -> (n, units, k, k): the values that upsampling to the grid gives in k rows and columns."""
    at = torch.as_tensor(lattice)
    rows, columns = (interpolation(side, grid, edge)[at].to(maps) for side in maps.shape[-2:])
    return rows @ (maps @ columns.T)
