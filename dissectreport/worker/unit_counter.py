"""Counts units, some at a time, against the masks of a shard: joint counts, chance, neighbours and label sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from dissectreport.stats.base import Ints
from dissectreport.stats.chance import Chance
from dissectreport.stats.joint import Joint, above_edges
from dissectreport.stats.label_sets import ON_FRACTIONS, SIDE, LabelSets, different, moved
from dissectreport.stats.neighbours import Neighbours
from dissectreport.stats.thresholds import CHANCE_ON_FRACTIONS, nearest
from dissectreport.worker.binning import Binning, above, ones_where
from dissectreport.worker.concept_masks import Masks, exact
from dissectreport.worker.whole_counts import counted, pixel_keys, precise, wholes


@dataclass(frozen=True)
class WantedCounts:
    """What is counted besides the chance level."""

    joint: bool = False
    shifted: bool = True
    neighbours: bool = False
    label_sets: bool = False


class UnitCounter:
    """Counts units against the masks of a shard, some at a time."""

    def __init__(
        self,
        masks: Masks,
        binning: Binning,
        chance_columns: Ints,
        wanted: WantedCounts,
        device: torch.device,
        together: int = 1,
    ) -> None:
        self.masks, self.binning, self.chance_columns = masks, binning, chance_columns
        self.fine, self.with_shifted, self.with_neighbours = wanted.joint, wanted.shifted, wanted.neighbours
        self.bins, self.steps = binning.bins, binning.steps
        many = max(together * masks.sets, masks.images)
        self.own_bins = pixel_keys(masks.label_sets, many, self.bins)
        self.own = pixel_keys(masks.label_sets, many, self.steps)
        self.next = pixel_keys(masks.label_sets.roll(-1, 0), many, self.steps)
        pixels = masks.label_sets.shape[1]
        place = torch.arange(pixels, device=device, dtype=torch.int32) * self.steps
        self.place = place.repeat(masks.images)
        self.where = masks.by_pixel
        # Products of counts stay below 2^24 in all but huge shards, for which float64 is used.
        self.number = torch.float32 if masks.images**2 * pixels < 2**24 else torch.float64
        self.shown = torch.from_numpy(self.where).to(device, self.number)
        self.holds = masks.holds if exact(masks) else masks.holds.double()
        images = torch.arange(masks.images, device=device, dtype=self.own.dtype)
        self.image = images.repeat_interleave(pixels) * self.steps
        self.sets = _SetCounter.of(masks, binning, chance_columns, device) if wanted.label_sets else None
        self.parts: dict[str, list[Tensor]] = {}

    def add(self, units: list[int], upsampled: Tensor) -> None:
        """Count some units, laid out on the grid (units, n * pixels)."""
        if self.fine:
            by_set = self._by_set(self.own_bins, self.binning.bin(units, upsampled, self.own_bins), self.bins)
            self._keep("joint", product(self.holds, by_set))
            self._keep("total", by_set.sum(1))
            self._keep_sets("on", by_set, lambda sets: sets.above_bins)
        wide = self.binning.step(units, upsampled, self.place)
        step = wide.to(self.own.dtype)
        if not self.fine:
            by_set = self._by_set(self.own, step, self.steps)
            self._keep("observed", product(self.holds, by_set))
            self._keep("total", by_set.sum(1))
            self._keep_sets("on", by_set, lambda sets: sets.above_steps)
        if self.with_shifted:
            by_next = self._by_set(self.next, step, self.steps)
            self._keep("shifted", product(self.holds, by_next))
            self._keep_sets("shifted_sets", by_next, lambda sets: sets.above_steps)
        if self.with_neighbours:
            self._add_neighbours(step)
        on = counted(self.place, wide, self.shown.shape[1] * self.steps)
        by_pixel = on.reshape(len(units), -1, self.steps).to(self.number)
        self._keep("crossed", product(self.shown, by_pixel))
        if self.sets is not None:
            self._keep("layout", self.sets.layout(by_pixel))

    def _keep(self, name: str, counts: Tensor) -> None:
        self.parts.setdefault(name, []).append(counts)

    def _keep_sets(self, name: str, by_set: Tensor, above_of: Callable[[_SetCounter], Tensor]) -> None:
        """Keep the pixels of each label set above the thresholds at which label sets are counted."""
        if self.sets is not None:
            self._keep(name, by_set @ above_of(self.sets).to(by_set.dtype))

    def _add_neighbours(self, step: Tensor) -> None:
        """Count the overlaps of units with their neighbours' masks, and their pixels in each image."""
        by_image = precise(counted(self.image, step, self.masks.images * self.steps))
        by_image = by_image.reshape(len(step), -1, self.steps)
        neighbour = neighbours_of(by_image @ torch.arange(self.steps, dtype=by_image.dtype, device=by_image.device))
        own = self.own.reshape(self.masks.images, -1)
        keys = own.index_select(0, neighbour.flatten().to(own.device)).reshape(len(step), -1)
        self._keep("overlap", product(self.holds, self._by_set(keys, step, self.steps)))
        self._keep("by_image", by_image)

    def _by_set(self, base: Tensor, step: Tensor, steps: int) -> Tensor:
        by_set = counted(base, step, self.masks.sets * steps)
        return by_set.reshape(len(step), -1, steps).to(self.holds.dtype)

    @cached_property
    def counts(self) -> dict[str, Ints]:
        """The counts of all units added, by name, copied from the device at once."""
        joined = {name: torch.cat(parts) if parts[1:] else parts[0] for name, parts in self.parts.items()}
        return dict(zip(joined, wholes(list(joined.values())), strict=True))

    def neighbours(self) -> Neighbours:
        """The counts of neighbours of all units added."""
        overlap, on = (above_edges(self.counts[name]) for name in ("overlap", "by_image"))
        samples = np.arange(self.masks.images)
        return Neighbours(samples, np.zeros_like(samples), self.masks.concepts, overlap, on, self.masks.by_image)

    def joint(self) -> Joint:
        """The joint counts of all units added."""
        present, images = self._presence()
        joints, totals = self.counts["joint"], self.counts["total"]
        return Joint(self.masks.concepts, joints, totals, present, images, self.masks.images)

    def chance(self) -> Chance:
        """The chance counts of all units added."""
        present, images = self._presence()
        totals = above_edges(self.counts["total"])
        if self.fine:
            observed = above_edges(self.counts["joint"])[..., self.chance_columns]
            totals = totals[:, self.chance_columns]
        else:
            observed = above_edges(self.counts["observed"])
        return Chance(
            concepts=self.masks.concepts,
            sizes=np.array([self.masks.images]),
            observed=observed[None],
            shifted=(above_edges(self.counts["shifted"]) if self.with_shifted else np.zeros_like(observed))[None],
            crossed=above_edges(self.counts["crossed"])[None],
            on=totals,
            present=present,
            images=images,
            where=self.where,
            samples=self.masks.images,
        )

    def label_sets(self) -> LabelSets:
        """The counts by label set of all units added."""
        assert self.sets is not None
        sets, at = different(self.masks.rows)
        return LabelSets(
            sets=sets,
            cells=moved(self.masks.by_cell, at, len(sets), 0),
            on=moved(self.counts["on"], at, len(sets), 1),
            shifted=moved(self.counts["shifted_sets"], at, len(sets), 1),
            layout=self.counts["layout"],
            samples=self.masks.images,
        )

    def _presence(self) -> tuple[Ints, Ints]:
        per_image = self.masks.by_image
        return per_image.sum(0), (per_image > 0).sum(0)


@dataclass(frozen=True)
class _SetCounter:
    """How units are counted by label set, at a few of the thresholds at which chance is counted."""

    lines: Tensor
    """(SIDE, grid) 1 where a row, or a column, of the grid lies in a line of cells of the image."""
    above_bins: Tensor
    """(bins, thresholds) 1 where a bin of the joint counts lies above the threshold."""
    above_steps: Tensor
    """(steps, thresholds) the same of the bins of the counts of chance."""

    @classmethod
    def of(cls, masks: Masks, binning: Binning, chance_columns: Ints, device: torch.device) -> _SetCounter:
        """For the masks of a shard."""
        columns = nearest(CHANCE_ON_FRACTIONS, np.array(ON_FRACTIONS))
        return cls(
            ones_where(np.arange(SIDE)[:, None] == masks.lines, device),
            above(binning.bins, chance_columns[columns], device),
            above(binning.steps, columns, device),
        )

    def layout(self, by_pixel: Tensor) -> Tensor:
        """(units, cells, thresholds) where units are on, from images (units, pixels, steps) by bin."""
        lines, (units, _, steps) = self.lines.to(by_pixel.dtype), by_pixel.shape
        by_row = product(lines, by_pixel.reshape(units, lines.shape[1], -1))
        by_cell = product(lines, by_row.reshape(units * SIDE, lines.shape[1], steps))
        return by_cell.reshape(units, -1, steps) @ self.above_steps.to(by_pixel.dtype)


def neighbours_of(activity: Tensor) -> Tensor:
    """(..., n) for each image the one next to it in activity, as `stats.neighbours.neighbours_of` gives them.

    >>> neighbours_of(torch.tensor([0.5, 0.1, 0.9, 0.2, 1.0])).tolist()
    [2, 3, 0, 1, 4]
    """
    order, images = torch.argsort(activity, dim=-1, stable=True), activity.shape[-1]
    other = (torch.arange(images, device=order.device) ^ 1).clamp(max=images - 1)
    return torch.empty_like(order).scatter_(-1, order, order[..., other])


def product(left: Tensor, right: Tensor) -> Tensor:
    """(units, a, b) products of (a, k) with each of (units, k, b), without a copy of either."""
    return (left @ right[0])[None] if len(right) == 1 else torch.bmm(left.expand(len(right), *left.shape), right)
