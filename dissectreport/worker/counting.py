"""Counting activations against concept masks: the arithmetic of one shard.

A pixel's slots are replaced by one compact number, that of its *label set*, so that several slots cost one count;
counts by label set are handed to concepts afterwards. Activations are upsampled to the grid in even cells of the
pilot's range, and a table turns a cell into a bin. One unit is counted at a time over all images of the shard, which
keeps everything in cache: on one core some 4 ns a unit and pixel, chance included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dissectreport.networks.resampling import upsample
from dissectreport.run.rules import Edge
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Ints
from dissectreport.stats.categories import Categories
from dissectreport.stats.chance import Chance
from dissectreport.stats.cross import LEVELS as CROSS_LEVELS
from dissectreport.stats.cross import Cross
from dissectreport.stats.ends import Ends
from dissectreport.stats.joint import Joint, above_edges
from dissectreport.stats.label_sets import ON_FRACTIONS, SIDE, LabelSets, different, moved
from dissectreport.stats.neighbours import Neighbours
from dissectreport.stats.overlaps import Overlaps
from dissectreport.stats.thresholds import (
    CELLS,
    CHANCE_ON_FRACTIONS,
    AnyThresholds,
    ExactThresholds,
    Thresholds,
    nearest,
)

DIRECT = 1 << 18
"""Most counters that are kept for cells themselves: 2 MB, which stays in a core's cache."""
CHUNK = 1 << 21
"""Activations that are laid out at a time: 8 MB of float32, which stays in the last-level cache."""


@dataclass(frozen=True)
class Masks:
    """The concepts of a shard's images on a grid, each pixel's slots as one number."""

    label_sets: Tensor
    """(n, pixels) int32 number of each pixel's label set of concepts."""
    holds: Tensor
    """(c, label sets) float32, 1 where the label set holds the concept."""
    concepts: Ints
    """(c,) rising numbers of the concepts that occur."""

    @classmethod
    def of(cls, labels: Tensor, vocabulary: int, least: int = 1) -> Masks:
        """The masks of labels (n, slots, h, w) int64; a concept in several slots of a pixel counts once.

        With `least` 0, nothing (number 0) is a concept too.
        """
        slots = labels.flatten(2)
        digits = torch.zeros(0, 1, dtype=slots.dtype, device=slots.device)
        label_sets = torch.zeros_like(slots[:, 0])
        for slot in range(slots.shape[1]):
            # Renumbered after each slot: the product of many vocabularies would overflow.
            codes, label_sets = renumbered(label_sets * vocabulary + slots[:, slot], digits.shape[1] * vocabulary)
            digits = torch.cat([digits[:, codes // vocabulary], (codes % vocabulary)[None]])
        concepts = torch.unique(digits)
        concepts = concepts[concepts >= least]
        holds = (digits[None] == concepts[:, None, None]).any(1).float()
        return cls(label_sets.int(), holds, concepts.cpu().numpy())

    @property
    def sets(self) -> int:
        """How many different label sets there are."""
        return self.holds.shape[1]

    @property
    def images(self) -> int:
        """How many images there are."""
        return self.label_sets.shape[0]

    @cached_property
    def by_image(self) -> Ints:
        """(n, c) pixels of each concept in each image."""
        return self._by(torch.arange(self.images, device=self.label_sets.device)[:, None], self.images).T

    @cached_property
    def by_pixel(self) -> Ints:
        """(c, pixels) images that show each concept at each pixel."""
        pixels = self.label_sets.shape[1]
        return self._by(torch.arange(pixels, device=self.label_sets.device)[None], pixels)

    @cached_property
    def rows(self) -> Ints:
        """(label sets, width) the concepts of each label set, falling, filled with 0."""
        holds = self.holds.T.cpu().numpy() > 0
        held = np.where(holds, self.concepts, 0)
        width = max(1, int(holds.sum(1).max(initial=0)))
        return np.asarray(np.flip(np.sort(held, axis=1), 1)[:, :width], np.int64)

    def by_cell(self, cell: Tensor) -> Ints:
        """(label sets, cells) pixels of each label set in the cells (pixels,) of the image."""
        return np.asarray(self._by_set(cell[None], SIDE * SIDE).cpu().numpy(), np.int64)

    def _by(self, cell: Tensor, cells: int) -> Ints:
        return whole(precise(self.holds) @ precise(self._by_set(cell, cells)))

    def _by_set(self, cell: Tensor, cells: int) -> Tensor:
        pixel_keys = self.label_sets.long() * cells + cell
        return torch.bincount(pixel_keys.flatten(), minlength=self.sets * cells).reshape(self.sets, cells)


def renumbered(numbers: Tensor, end: int) -> tuple[Tensor, Tensor]:
    """The rising different values of whole numbers below `end`, and for each number the index of its value.

    What `torch.unique` gives, but counted instead of sorted, where that takes less room than the numbers themselves.
    """
    if end > numbers.numel():
        codes, indices = torch.unique(numbers, return_inverse=True)
        return codes, indices
    there = torch.bincount(numbers.flatten(), minlength=end) > 0
    return there.nonzero()[:, 0], (there.cumsum(0) - 1)[numbers]


def on_grid(labels: Tensor, grid: int) -> Tensor:
    """(n, slots, h, w) -> (n, slots, grid, grid): the label at each cell's centre."""
    if labels.shape[2:] == (grid, grid):
        return labels
    rows, columns = (
        torch.from_numpy(((np.arange(grid) + 0.5) * (side / grid)).astype(int)).to(labels.device)
        for side in labels.shape[2:]
    )
    return labels[:, :, rows][:, :, :, columns]


def areas(masks: Masks, first: int) -> Areas:
    """Every image's pixels of each concept."""
    samples = np.arange(first, first + masks.images, dtype=np.int64)
    return Areas(samples, masks.concepts, masks.by_image, masks.label_sets.shape[1])


def overlaps(masks: Masks) -> Overlaps:
    """The pixels that every two concepts share."""
    pixels = precise(torch.bincount(masks.label_sets.flatten(), minlength=masks.sets))
    holds = precise(masks.holds)
    return Overlaps(masks.concepts, whole((holds * pixels) @ holds.T), masks.label_sets.shape[1])


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

    def bin(self, unit: int, upsampled: Tensor, like: Tensor) -> Tensor:
        """(pixels,) numbers of thresholds exceeded, in the type of `like`."""

    def step(self, unit: int, upsampled: Tensor, like: Tensor) -> Tensor:
        """(pixels,) the same among the thresholds at which chance is counted."""


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

    def bin(self, unit: int, upsampled: Tensor, like: Tensor) -> Tensor:
        """(pixels,) number of edges at or below each cell."""
        return looked_up(self.bin_table[unit], upsampled, like)

    def step(self, unit: int, upsampled: Tensor, like: Tensor) -> Tensor:
        """(pixels,) the same among the edges at which chance is counted."""
        return looked_up(self.chance_table[unit], upsampled, like)

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

    def bin(self, unit: int, upsampled: Tensor, like: Tensor) -> Tensor:
        """(pixels,) number of thresholds below each activation."""
        return torch.searchsorted(self.cuts[unit], upsampled).to(like.dtype)

    step = bin


def binning_of(thresholds: AnyThresholds, device: torch.device) -> Binning:
    """The bins that thresholds of this kind make."""
    return (
        TabledBinning(thresholds, device) if isinstance(thresholds, Thresholds) else ComparedBinning(thresholds, device)
    )


def joint(maps: Tensor, masks: Masks, thresholds: AnyThresholds, grid: int, edge: Edge) -> Joint:
    """Joint counts of (n, units, h, w) activations and masks on the same grid, for grids too fine for `_Counter`.

    With few label sets the cells themselves are counted and folded into bins afterwards: no look-up for each pixel.
    """
    binning = binning_of(thresholds, maps.device)
    direct = isinstance(binning, TabledBinning) and masks.sets * CELLS <= DIRECT
    steps = CELLS if direct else binning.bins
    images = max(1, CHUNK // (4 * grid * grid))
    bases = [pixel_keys(part, masks.sets, steps, wide=direct) for part in torch.split(masks.label_sets, images)]
    holds = masks.holds if exact(masks) else precise(masks.holds)
    counts, total = [], []
    for unit in range(maps.shape[1]):
        by_key = torch.zeros(masks.sets * steps, dtype=torch.int64, device=maps.device)
        parts = binning.upsampled(maps[:, unit : unit + 1], [unit], grid, edge, images)
        for upsampled, base in zip(parts, bases, strict=True):
            keys = upsampled.add_(base) if direct else binning.bin(unit, upsampled, base).add_(base)
            by_key += torch.bincount(keys, minlength=len(by_key))
        by_set = by_key.reshape(masks.sets, steps)
        by_set = binning.folded(unit, by_set) if isinstance(binning, TabledBinning) and direct else by_set
        counts.append(holds @ by_set.to(holds.dtype))
        total.append(by_set.sum(0))
    per_image = masks.by_image
    return Joint(
        masks.concepts,
        whole(torch.stack(counts)),
        whole(torch.stack(total)),
        per_image.sum(0),
        (per_image > 0).sum(0),
        len(maps),
    )


def categories(
    maps: Tensor, labels: Tensor, category: Ints, thresholds: AnyThresholds, grid: int, edge: Edge
) -> Categories:
    """Pixels by bin over the images that hold each category; `category` (v,) is by concept number."""
    binning = binning_of(thresholds, maps.device)
    images, pixels = len(maps), grid * grid
    holds = torch.from_numpy(holding(labels, category)).to(maps.device)
    base = torch.arange(images, device=maps.device).repeat_interleave(pixels) * binning.bins
    counts = []
    for unit in range(maps.shape[1]):
        upsampled = next(binning.upsampled(maps[:, unit : unit + 1], [unit], grid, edge))
        by_image = counted(base, binning.bin(unit, upsampled, base), images * binning.bins)
        counts.append(precise(holds) @ precise(by_image.reshape(images, binning.bins)))
    named = torch.bincount(labels.flatten(), minlength=len(category))
    return Categories(whole(torch.stack(counts)), holds.sum(1).cpu().numpy(), named.cpu().numpy())


def ends(maps: Tensor, masks: Masks, thresholds: ExactThresholds, grid: int, edge: Edge) -> Ends:
    """The ends of each concept's activations in each bin."""
    binning = ComparedBinning(thresholds, maps.device)
    base = masks.label_sets.flatten().long() * binning.bins
    low, high = [], []
    for unit in range(maps.shape[1]):
        upsampled = next(binning.upsampled(maps[:, unit : unit + 1], [unit], grid, edge))
        keys = base + binning.bin(unit, upsampled, base)
        low.append(_by_concept(masks, keys, upsampled, "amin", inf, binning.bins))
        high.append(_by_concept(masks, keys, upsampled, "amax", -inf, binning.bins))
    return Ends(masks.concepts, torch.stack(low).cpu().numpy(), torch.stack(high).cpu().numpy())


def _by_concept(masks: Masks, keys: Tensor, activations: Tensor, how: str, end: float, bins: int) -> Tensor:
    """(c, bins) the 'amin' or 'amax' of a unit's activations by concept; `end` where there are none."""
    by_set = torch.full((masks.sets * bins,), end, device=activations.device)
    by_set = by_set.scatter_reduce_(0, keys, activations, how).reshape(masks.sets, bins)
    return torch.stack([getattr(by_set[sets], how)(0) for sets in masks.holds.bool()])


def holding(labels: Tensor, category: Ints) -> NDArray[np.bool_]:
    """(k, n) whether each image of labels (n, slots, h, w) holds any concept of each category."""
    of = torch.from_numpy(category).to(labels.device)
    categories = of[labels.flatten(1)]
    return np.stack([(categories == k).any(1).cpu().numpy() for k in range(int(category.max()) + 1)])


def joint_and_chance(
    maps: Tensor, masks: Masks, thresholds: AnyThresholds, grid: int, edge: Edge
) -> tuple[Joint, Chance]:
    """Joint counts and those of chance from the same upsampled activations."""
    counter = _count(maps, masks, thresholds, grid, edge, _Wanted(joint=True))
    return counter.joint(), counter.chance()


def chance(
    maps: Tensor, masks: Masks, thresholds: AnyThresholds, grid: int, edge: Edge, with_shifted: bool = True
) -> Chance:
    """Only the counts for the chance level; without `with_shifted`, `shifted` stays 0."""
    return _count(maps, masks, thresholds, grid, edge, _Wanted(shifted=with_shifted)).chance()


def joint_chance_and_neighbours(
    maps: Tensor, masks: Masks, thresholds: AnyThresholds, grid: int, edge: Edge
) -> tuple[Joint, Chance, Neighbours]:
    """Joint counts, those of chance and those of neighbours from the same upsampled activations."""
    counter = _count(maps, masks, thresholds, grid, edge, _Wanted(joint=True, neighbours=True))
    return counter.joint(), counter.chance(), counter.neighbours()


def joint_and_others(
    maps: Tensor, masks: Masks, thresholds: AnyThresholds, grid: int, edge: Edge
) -> tuple[Joint, Chance, Neighbours, LabelSets]:
    """Joint counts and those of chance, neighbours and label sets from the same upsampled activations."""
    counter = _count(maps, masks, thresholds, grid, edge, _Wanted(joint=True, neighbours=True, label_sets=True))
    return counter.joint(), counter.chance(), counter.neighbours(), counter.label_sets()


def chance_and_others(
    maps: Tensor, masks: Masks, thresholds: AnyThresholds, grid: int, edge: Edge
) -> tuple[Chance, Neighbours, LabelSets]:
    """The counts of chance, neighbours and label sets from the same upsampled activations."""
    counter = _count(maps, masks, thresholds, grid, edge, _Wanted(neighbours=True, label_sets=True))
    return counter.chance(), counter.neighbours(), counter.label_sets()


@dataclass(frozen=True)
class _Wanted:
    """What is counted besides the chance level."""

    joint: bool = False
    shifted: bool = True
    neighbours: bool = False
    label_sets: bool = False


def _count(maps: Tensor, masks: Masks, thresholds: AnyThresholds, grid: int, edge: Edge, wanted: _Wanted) -> _Counter:
    binning = binning_of(thresholds, maps.device)
    counter = _Counter(masks, binning, thresholds.chance_columns, wanted, maps.device)
    units = maps.shape[1]
    step = max(1, CHUNK // (len(maps) * grid * grid))
    for start in range(0, units, step):
        numbers = list(range(start, min(units, start + step)))
        for unit, upsampled in zip(numbers, binning.upsampled(maps[:, numbers], numbers, grid, edge), strict=True):
            counter.add(unit, upsampled)
    return counter


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
    inside = edge == Edge.CLAMP and bool(even.amin() >= 0) and bool(even.amax() < count - 1)
    for block in torch.split(even, images or even.shape[1], 1):
        upsampled = upsample(block, (grid, grid), edge)
        # Outside the map activations are 0, which is not cell 0.
        upsampled = upsampled if edge == Edge.CLAMP else (upsampled - low) * scale
        yield from (upsampled if inside else upsampled.clamp_(0, count - 1)).int().flatten(1)


class _Counter:
    """Counts units one by one against the masks of a shard."""

    def __init__(
        self, masks: Masks, binning: Binning, chance_columns: Ints, wanted: _Wanted, device: torch.device
    ) -> None:
        self.masks, self.binning, self.chance_columns = masks, binning, chance_columns
        self.fine, self.with_shifted, self.with_neighbours = wanted.joint, wanted.shifted, wanted.neighbours
        self.bins, self.steps = binning.bins, binning.steps
        self.own_bins = pixel_keys(masks.label_sets, masks.sets, self.bins)
        self.own = pixel_keys(masks.label_sets, masks.sets, self.steps)
        self.next = pixel_keys(masks.label_sets.roll(-1, 0), masks.sets, self.steps)
        pixels = masks.label_sets.shape[1]
        place = torch.arange(pixels, device=device, dtype=torch.int32) * self.steps
        self.place = place.repeat(masks.images)
        self.where = masks.by_pixel
        # Products of counts stay below 2^24 in all but huge shards, for which float64 is used.
        self.number = torch.float32 if masks.images**2 * pixels < 2**24 else torch.float64
        self.shown = torch.from_numpy(self.where).to(device, self.number)
        self.holds = masks.holds if exact(masks) else masks.holds.double()
        self.joints: list[Tensor] = []
        self.totals: list[Tensor] = []
        self.observed: list[Tensor] = []
        self.shifted: list[Tensor] = []
        self.crossed: list[Tensor] = []
        if self.with_neighbours:
            images = torch.arange(masks.images, device=device, dtype=torch.int32)
            self.image = images.repeat_interleave(pixels) * self.steps
            self.areas = precise(torch.from_numpy(masks.by_image).to(device))
        self.of_neighbours: list[tuple[Tensor, Tensor, Tensor]] = []
        self.sets = _SetCounter.of(masks, binning, chance_columns, device) if wanted.label_sets else None

    def add(self, unit: int, upsampled: Tensor) -> None:
        """Count one unit, laid out on the grid (n * pixels,)."""
        if self.fine:
            by_set = self._by_set(self.own_bins, self.binning.bin(unit, upsampled, self.own_bins), self.bins)
            self.joints.append(self.holds @ by_set)
            self.totals.append(by_set.sum(0))
            if self.sets is not None:
                self.sets.on.append(by_set @ self.sets.above_bins.to(by_set.dtype))
        step = self.binning.step(unit, upsampled, self.place)
        small = step.to(self.own.dtype)
        if not self.fine:
            by_set = self._by_set(self.own, small, self.steps)
            self.observed.append(self.holds @ by_set)
            self.totals.append(by_set.sum(0))
            if self.sets is not None:
                self.sets.on.append(by_set @ self.sets.above_steps.to(by_set.dtype))
        if self.with_shifted:
            by_next = self._by_set(self.next, small, self.steps)
            self.shifted.append(self.holds @ by_next)
            if self.sets is not None:
                self.sets.shifted.append(by_next @ self.sets.above_steps.to(by_next.dtype))
        if self.with_neighbours:
            self.of_neighbours.append(self._add_neighbours(step, small))
        on = torch.bincount(self.place + step, minlength=self.shown.shape[1] * self.steps)
        by_pixel = on.reshape(-1, self.steps).to(self.number)
        self.crossed.append(self.shown @ by_pixel)
        if self.sets is not None:
            self.sets.add_layout(by_pixel)

    def _add_neighbours(self, step: Tensor, small: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(c, steps) overlaps with neighbours, gaps and crossed products of areas of one unit; see `Neighbours`.

        A product of areas is linear in on-pixels, so that it can be counted by step.
        """
        by_image = precise(counted(self.image, step, self.masks.images * self.steps).reshape(-1, self.steps))
        neighbour = neighbours_of(by_image @ torch.arange(self.steps, dtype=by_image.dtype, device=by_image.device))
        keys = self.own.reshape(self.masks.images, -1).index_select(0, neighbour.to(self.own.device)).flatten()
        overlap = self.holds @ self._by_set(keys, small, self.steps)
        own = self.areas.T @ by_image
        crossed = torch.outer(self.areas.sum(0), by_image.sum(0)) - own
        return overlap, own - self.areas[neighbour].T @ by_image, crossed

    def neighbours(self) -> Neighbours:
        """The counts of neighbours of all units added."""
        parts = (above_edges(whole(torch.stack(part))) for part in zip(*self.of_neighbours, strict=True))
        return Neighbours(self.masks.concepts, *parts)

    def _by_set(self, base: Tensor, step: Tensor, steps: int) -> Tensor:
        return counted(base, step, self.masks.sets * steps).reshape(-1, steps).to(self.holds.dtype)

    def joint(self) -> Joint:
        """The joint counts of all units added."""
        present, images = self._presence()
        joints, totals = whole(torch.stack(self.joints)), whole(torch.stack(self.totals))
        return Joint(self.masks.concepts, joints, totals, present, images, self.masks.images)

    def chance(self) -> Chance:
        """The chance counts of all units added."""
        present, images = self._presence()
        totals = above_edges(whole(torch.stack(self.totals)))
        if self.fine:
            observed = above_edges(whole(torch.stack(self.joints)))[..., self.chance_columns]
            totals = totals[:, self.chance_columns]
        else:
            observed = above_edges(whole(torch.stack(self.observed)))
        return Chance(
            concepts=self.masks.concepts,
            sizes=np.array([self.masks.images]),
            observed=observed[None],
            shifted=above_edges(whole(torch.stack(self.shifted)))[None]
            if self.with_shifted
            else np.zeros_like(observed)[None],
            crossed=above_edges(whole(torch.stack(self.crossed)))[None],
            on=totals,
            present=present,
            images=images,
            where=self.where,
            samples=self.masks.images,
        )

    def label_sets(self) -> LabelSets:
        """The counts by label set of all units added."""
        assert self.sets is not None
        return self.sets.counts()

    def _presence(self) -> tuple[Ints, Ints]:
        per_image = self.masks.by_image
        return per_image.sum(0), (per_image > 0).sum(0)


@dataclass(frozen=True)
class _SetCounter:
    """Collects the counts by label set of units, at a few of the thresholds at which chance is counted."""

    masks: Masks
    cell: Tensor
    """(pixels,) the cell of the image in which each pixel of the grid lies."""
    above_bins: Tensor
    """(bins, thresholds) 1 where a bin of the joint counts lies above the threshold."""
    above_steps: Tensor
    """(steps, thresholds) the same of the bins of the counts of chance."""
    on: list[Tensor] = field(default_factory=list)
    shifted: list[Tensor] = field(default_factory=list)
    layout: list[Tensor] = field(default_factory=list)

    @classmethod
    def of(cls, masks: Masks, binning: Binning, chance_columns: Ints, device: torch.device) -> _SetCounter:
        """Nothing yet, for the masks of a shard."""
        columns = nearest(CHANCE_ON_FRACTIONS, np.array(ON_FRACTIONS))
        grid = round(masks.label_sets.shape[1] ** 0.5)
        lines = torch.arange(grid, device=device) * SIDE // grid
        return cls(
            masks,
            (lines[:, None] * SIDE + lines).flatten(),
            above(binning.bins, chance_columns[columns], device),
            above(binning.steps, columns, device),
        )

    def add_layout(self, by_pixel: Tensor) -> None:
        """Add where a unit is on: (pixels, steps) images in each bin at each pixel."""
        by_cell = by_pixel.new_zeros(SIDE * SIDE, by_pixel.shape[1]).index_add_(0, self.cell, by_pixel)
        self.layout.append(by_cell @ self.above_steps.to(by_cell.dtype))

    def counts(self) -> LabelSets:
        """The counts of all units added."""
        sets, at = different(self.masks.rows)
        on, shifted = (whole(torch.stack(part)) for part in (self.on, self.shifted))
        return LabelSets(
            sets=sets,
            cells=moved(self.masks.by_cell(self.cell), at, len(sets), 0),
            on=moved(on, at, len(sets), 1),
            shifted=moved(shifted, at, len(sets), 1),
            layout=whole(torch.stack(self.layout)),
            samples=self.masks.images,
        )


def above(bins: int, edges: Ints, device: torch.device) -> Tensor:
    """(bins, edges) 1 where a bin lies above the inner edge of that number, else 0.

    >>> above(3, np.array([0, 1]), torch.device("cpu")).tolist()
    [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]
    """
    return (torch.arange(bins)[:, None] > torch.from_numpy(edges)).float().to(device)


def neighbours_of(activity: Tensor) -> Tensor:
    """(n,) for each image the one next to it in activity: pairs in rising order, the last of an odd number alone.

    >>> neighbours_of(torch.tensor([0.5, 0.1, 0.9, 0.2, 1.0])).tolist()
    [2, 3, 0, 1, 4]
    """
    order = torch.argsort(activity, stable=True)
    paired = len(order) // 2 * 2
    exchanged = torch.cat([order[:paired].reshape(-1, 2).flip(1).flatten(), order[paired:]])
    return torch.empty_like(order).scatter_(0, order, exchanged)


def pixel_keys(label_sets: Tensor, sets: int, steps: int, wide: bool = False) -> Tensor:
    """(pixels,) number of the label set times `steps`, in the smallest type that holds the keys; int32 where `wide`."""
    small = torch.int16 if sets * steps < 2**15 and not wide else torch.int32
    return (label_sets.flatten().long() * steps).to(small)


def looked_up(table: Tensor, cell: Tensor, like: Tensor) -> Tensor:
    """(pixels,) the table's entry for each cell, in the type of `like`."""
    return table.to(like.dtype).index_select(0, cell)


def counted(base: Tensor, step: Tensor, length: int) -> Tensor:
    """(length,) how often each key base + step occurs."""
    return torch.bincount(base + step, minlength=length)


def precise(counts: Tensor) -> Tensor:
    """Counts in double precision, on the CPU where the device has none."""
    return (counts.cpu() if counts.device.type == "mps" else counts).double()


def exact(masks: Masks) -> bool:
    """Whether float32 holds every sum of a shard's pixel counts."""
    return masks.label_sets.numel() < 2**24


def whole(counts: Tensor) -> NDArray[np.int64]:
    """Floating-point counts, converted to integers."""
    return counts.round().to(torch.int64).cpu().numpy()


def cross(maps: Tensor, thresholds: AnyThresholds) -> Cross:
    """Sums of threshold numbers of (n, units, h, w) activations on their own grid."""
    flat = precise(maps.transpose(0, 1).flatten(1))
    low = torch.from_numpy(thresholds.low).to(flat.device)[:, None]
    step = torch.from_numpy(thresholds.span / CROSS_LEVELS).to(flat.device)[:, None]
    threshold = ((flat - low) / step).clamp(0, CROSS_LEVELS - 1).floor()
    positive = (flat > 0).sum(1)
    return Cross(whole(threshold.sum(1)), whole(threshold @ threshold.T), whole(positive), flat.shape[1])
