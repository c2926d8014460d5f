"""Counting activations against concept masks: the arithmetic of one shard.

A pixel's slots are replaced by one compact number (its *mix*), so that several slots cost one count, and counts by mix
are handed to concepts afterwards. Activations are laid out on the grid in even cells of the pilot's range; a table
turns a cell into a bin. One unit is counted at a time over all images of the shard, which keeps everything in cache:
on one core some 4 ns a unit and pixel, the null included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dissectreport.probe import upsample
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Ints
from dissectreport.stats.cross import LEVELS as CROSS_LEVELS
from dissectreport.stats.cross import Cross
from dissectreport.stats.joint import Joint, above_edges
from dissectreport.stats.levels import CELLS, Levels
from dissectreport.stats.null import Chance

CHUNK = 1 << 21
"""Activations that are laid out at a time: 8 MB of float32, which stays in the last-level cache."""


@dataclass(frozen=True)
class Masks:
    """The concepts of a shard's images on a grid, each pixel's slots as one number."""

    mix: Tensor
    """(n, pixels) int32 number of each pixel's mix of concepts."""
    holds: Tensor
    """(c, mixes) float32, 1 where the mix holds the concept."""
    concepts: Ints
    """(c,) rising numbers of the concepts that occur."""

    @classmethod
    def of(cls, labels: Tensor, vocabulary: int) -> Masks:
        """The masks of labels (n, slots, h, w) int64; a concept in several slots of a pixel counts once."""
        slots = labels.flatten(2)
        code = torch.zeros_like(slots[:, 0])
        for slot in range(slots.shape[1]):
            code = code * vocabulary + slots[:, slot]
        codes, mix = torch.unique(code, return_inverse=True)
        digits = torch.stack([codes // vocabulary**k % vocabulary for k in range(slots.shape[1])])
        concepts = torch.unique(digits)
        concepts = concepts[concepts > 0]
        holds = (digits[None] == concepts[:, None, None]).any(1).float()
        return cls(mix.int(), holds, concepts.cpu().numpy())

    @property
    def mixes(self) -> int:
        """How many different mixes there are."""
        return self.holds.shape[1]

    @property
    def images(self) -> int:
        """How many images there are."""
        return self.mix.shape[0]

    def by_image(self) -> Ints:
        """(n, c) pixels of each concept in each image."""
        return self._by(torch.arange(self.images, device=self.mix.device)[:, None], self.images).T

    def by_pixel(self) -> Ints:
        """(c, pixels) images that show each concept at each pixel."""
        return self._by(torch.arange(self.mix.shape[1], device=self.mix.device)[None], self.mix.shape[1])

    def _by(self, cell: Tensor, cells: int) -> Ints:
        key = self.mix.long() * cells + cell
        counts = torch.bincount(key.flatten(), minlength=self.mixes * cells).reshape(self.mixes, cells)
        return whole(self.holds.double() @ counts.double())


def on_grid(labels: Tensor, grid: int) -> Tensor:
    """(n, slots, h, w) -> (n, slots, grid, grid): the label at each cell's centre."""
    rows, columns = (
        torch.from_numpy(((np.arange(grid) + 0.5) * (side / grid)).astype(int)).to(labels.device)
        for side in labels.shape[2:]
    )
    return labels[:, :, rows][:, :, :, columns]


def areas(masks: Masks, first: int) -> Areas:
    """Every image's pixels of each concept."""
    samples = np.arange(first, first + masks.images, dtype=np.int64)
    return Areas(samples, masks.concepts, masks.by_image(), masks.mix.shape[1])


def joint(maps: Tensor, masks: Masks, levels: Levels, grid: int, edge: str) -> Joint:
    """Joint counts of (n, units, h, w) activations and masks on the same grid."""
    tables = torch.from_numpy(levels.bin_table()).to(maps.device)
    bins = levels.edges.shape[1] + 1
    counts, total = [], []
    images = max(1, CHUNK // (8 * grid * grid))
    blocks = [slice(start, start + images) for start in range(0, len(maps), images)]
    mixed = [key(masks.mix[block], masks.mixes, bins) for block in blocks]
    for table, unit in zip(tables, range(maps.shape[1]), strict=True):
        found = torch.zeros(masks.mixes * bins, dtype=torch.int64, device=maps.device)
        for block, mix in zip(blocks, mixed, strict=True):
            cell = next(cells(maps[block, unit : unit + 1], levels, [unit], grid, edge))
            found += counted(mix, binned(table, cell, mix), masks.mixes * bins)
        by_mix = found.reshape(masks.mixes, bins)
        counts.append(masks.holds @ by_mix.float() if exact(masks) else masks.holds.double() @ by_mix.double())
        total.append(by_mix.sum(0))
    per_image = masks.by_image()
    return Joint(
        masks.concepts,
        whole(torch.stack(counts)),
        whole(torch.stack(total)),
        per_image.sum(0),
        (per_image > 0).sum(0),
        len(maps),
    )


def joint_and_chance(maps: Tensor, masks: Masks, levels: Levels, grid: int, edge: str) -> tuple[Joint, Chance]:
    """Joint counts and the null's from the same laid-out activations."""
    return _count(maps, masks, levels, grid, edge, True)  # type: ignore[return-value]


def chance(maps: Tensor, masks: Masks, levels: Levels, grid: int, edge: str) -> Chance:
    """The null's counts alone."""
    return _count(maps, masks, levels, grid, edge, False)[1]


def _count(
    maps: Tensor, masks: Masks, levels: Levels, grid: int, edge: str, fine: bool
) -> tuple[Joint | None, Chance]:
    counter = _Counter(masks, levels, fine, maps.device)
    units = maps.shape[1]
    step = max(1, CHUNK // (len(maps) * grid * grid))
    for start in range(0, units, step):
        numbers = list(range(start, min(units, start + step)))
        for unit, cell in zip(numbers, cells(maps[:, numbers], levels, numbers, grid, edge), strict=True):
            counter.add(unit, cell)
    return counter.joint() if fine else None, counter.chance()


def cells(maps: Tensor, levels: Levels, units: list[int], grid: int, edge: str) -> Iterator[Tensor]:
    """Each unit's (n * grid * grid,) int32 cell numbers, from (n, units, h, w) activations of those units.

    Cells are a linear function of the activation, so they are made on the layer's own grid and then upsampled.
    """
    low = torch.from_numpy(levels.low[units].astype(np.float32)).to(maps.device)
    scale = torch.from_numpy((1 / levels.width[units]).astype(np.float32)).to(maps.device)
    even = (maps.transpose(0, 1) - low[:, None, None, None]) * scale[:, None, None, None]
    laid = upsample(even, (grid, grid), edge) if edge == "clamp" else faded(maps, low, scale, grid)
    yield from laid.clamp_(0, CELLS - 1).int().flatten(1)


def faded(maps: Tensor, low: Tensor, scale: Tensor, grid: int) -> Tensor:
    """The cells where activations beyond the border are 0, which is not cell 0."""
    laid = upsample(maps.transpose(0, 1), (grid, grid), "zero")
    return (laid - low[:, None, None, None]) * scale[:, None, None, None]


class _Counter:
    """Counts units one by one against the masks of a shard."""

    def __init__(self, masks: Masks, levels: Levels, fine: bool, device: torch.device) -> None:
        self.masks, self.levels, self.fine = masks, levels, fine
        self.bins, self.steps = levels.edges.shape[1] + 1, len(levels.null) + 1
        self.bin_table = torch.from_numpy(levels.bin_table()).to(device)
        self.null_table = torch.from_numpy(levels.null_table()).to(device)
        self.own_bins = key(masks.mix, masks.mixes, self.bins)
        self.own = key(masks.mix, masks.mixes, self.steps)
        self.next = key(masks.mix.roll(-1, 0), masks.mixes, self.steps)
        pixels = masks.mix.shape[1]
        place = torch.arange(pixels, device=device, dtype=torch.int32) * self.steps
        self.place = place.repeat(masks.images)
        self.where = masks.by_pixel()
        # Products of counts stay below 2^24 in all but huge shards, where float64 takes over.
        self.number = torch.float32 if masks.images**2 * pixels < 2**24 else torch.float64
        self.shown = torch.from_numpy(self.where).to(device, self.number)
        self.holds = masks.holds if exact(masks) else masks.holds.double()
        self.joints: list[Tensor] = []
        self.totals: list[Tensor] = []
        self.observed: list[Tensor] = []
        self.shifted: list[Tensor] = []
        self.crossed: list[Tensor] = []

    def add(self, unit: int, cell: Tensor) -> None:
        """Count one unit's cells (n * pixels,)."""
        if self.fine:
            by_mix = self._by_mix(self.own_bins, binned(self.bin_table[unit], cell, self.own_bins), self.bins)
            self.joints.append(self.holds @ by_mix)
            self.totals.append(by_mix.sum(0))
        step = binned(self.null_table[unit], cell, self.place)
        small = step.to(self.own.dtype)
        if not self.fine:
            by_mix = self._by_mix(self.own, small, self.steps)
            self.observed.append(self.holds @ by_mix)
            self.totals.append(by_mix.sum(0))
        self.shifted.append(self.holds @ self._by_mix(self.next, small, self.steps))
        on = torch.bincount(self.place + step, minlength=self.shown.shape[1] * self.steps)
        self.crossed.append(self.shown @ on.reshape(-1, self.steps).to(self.number))

    def _by_mix(self, mixed: Tensor, step: Tensor, steps: int) -> Tensor:
        return counted(mixed, step, self.masks.mixes * steps).reshape(-1, steps).to(self.holds.dtype)

    def joint(self) -> Joint:
        """The joint counts of all units added."""
        present, images = self._presence()
        joints, totals = whole(torch.stack(self.joints)), whole(torch.stack(self.totals))
        return Joint(self.masks.concepts, joints, totals, present, images, self.masks.images)

    def chance(self) -> Chance:
        """The null's counts of all units added."""
        present, images = self._presence()
        totals = above_edges(whole(torch.stack(self.totals)))
        if self.fine:
            observed = above_edges(whole(torch.stack(self.joints)))[..., self.levels.null]
            totals = totals[:, self.levels.null]
        else:
            observed = above_edges(whole(torch.stack(self.observed)))
        return Chance(
            self.masks.concepts,
            np.array([self.masks.images]),
            observed[None],
            above_edges(whole(torch.stack(self.shifted)))[None],
            above_edges(whole(torch.stack(self.crossed)))[None],
            totals,
            present,
            images,
            self.where,
            self.masks.images,
        )

    def _presence(self) -> tuple[Ints, Ints]:
        per_image = self.masks.by_image()
        return per_image.sum(0), (per_image > 0).sum(0)


def key(mix: Tensor, mixes: int, steps: int) -> Tensor:
    """(pixels,) mix times steps, in the smallest type that holds a count's key."""
    small = torch.int16 if mixes * steps < 2**15 else torch.int32
    return (mix.flatten().long() * steps).to(small)


def binned(table: Tensor, cell: Tensor, like: Tensor) -> Tensor:
    """(pixels,) the table's entry for each cell, in the type of `like`."""
    return table.to(like.dtype).index_select(0, cell)


def counted(base: Tensor, step: Tensor, length: int) -> Tensor:
    """(length,) how often each key base + step occurs."""
    return torch.bincount(base + step, minlength=length)


def exact(masks: Masks) -> bool:
    """Whether float32 holds every sum of a shard's pixel counts."""
    return masks.mix.numel() < 2**24


def whole(counts: Tensor) -> NDArray[np.int64]:
    """Counts that were multiplied in floating point, as the integers that they are."""
    return counts.round().to(torch.int64).cpu().numpy()


def cross(maps: Tensor, levels: Levels) -> Cross:
    """Sums of levels of (n, units, h, w) activations on their own grid."""
    low = torch.from_numpy(levels.low).to(maps.device)[:, None]
    step = torch.from_numpy(levels.width * (CELLS / CROSS_LEVELS)).to(maps.device)[:, None]
    flat = maps.transpose(0, 1).flatten(1)
    level = ((flat - low) / step).clamp(0, CROSS_LEVELS - 1).floor()
    positive = (flat > 0).sum(1)
    return Cross(whole(level.sum(1)), whole(level @ level.T), whole(positive), flat.shape[1])
