"""Counts units one by one against the masks of a shard: joint counts, chance, neighbours and label sets."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dissectreport.stats.base import Ints
from dissectreport.stats.chance import Chance
from dissectreport.stats.joint import Joint, above_edges
from dissectreport.stats.label_sets import ON_FRACTIONS, SIDE, LabelSets, different, moved
from dissectreport.stats.neighbours import Neighbours
from dissectreport.stats.thresholds import CHANCE_ON_FRACTIONS, nearest
from dissectreport.worker.binning import Binning, above
from dissectreport.worker.concept_masks import Masks, exact
from dissectreport.worker.whole_counts import counted, pixel_keys, precise, whole


@dataclass(frozen=True)
class WantedCounts:
    """What is counted besides the chance level."""

    joint: bool = False
    shifted: bool = True
    neighbours: bool = False
    label_sets: bool = False


class UnitCounter:
    """Counts units one by one against the masks of a shard."""

    def __init__(
        self, masks: Masks, binning: Binning, chance_columns: Ints, wanted: WantedCounts, device: torch.device
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


def neighbours_of(activity: Tensor) -> Tensor:
    """(n,) for each image the one next to it in activity: pairs in rising order, the last of an odd number alone.

    >>> neighbours_of(torch.tensor([0.5, 0.1, 0.9, 0.2, 1.0])).tolist()
    [2, 3, 0, 1, 4]
    """
    order = torch.argsort(activity, stable=True)
    paired = len(order) // 2 * 2
    exchanged = torch.cat([order[:paired].reshape(-1, 2).flip(1).flatten(), order[paired:]])
    return torch.empty_like(order).scatter_(0, order, exchanged)
