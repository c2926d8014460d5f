"""Counting activations against concept masks: the arithmetic of one shard.

Activations are upsampled to the grid in even cells of the pilot's range, and a table turns a cell into a bin. Some
units are counted at a time over all images of the shard. On a processor these are so few that everything stays in
cache: on one core some 4 ns a unit and pixel, chance included. On an accelerator they are as many as its memory holds,
so that it is asked for less than two operations an image.
"""

from __future__ import annotations

from math import inf
from typing import TypeVar

import torch
from torch import Tensor

from dissectreport.run.rules import Edge
from dissectreport.stats.base import Ints
from dissectreport.stats.categories import Categories
from dissectreport.stats.chance import Chance
from dissectreport.stats.cross import LEVELS as CROSS_LEVELS
from dissectreport.stats.cross import Cross
from dissectreport.stats.ends import Ends
from dissectreport.stats.joint import Joint
from dissectreport.stats.label_sets import LabelSets
from dissectreport.stats.neighbours import Neighbours
from dissectreport.stats.thresholds import CELLS, AnyThresholds, ExactThresholds
from dissectreport.worker.binning import ComparedBinning, TabledBinning, binning_of
from dissectreport.worker.concept_masks import Masks, exact, holding
from dissectreport.worker.unit_counter import UnitCounter, WantedCounts
from dissectreport.worker.whole_counts import counted, is_processor, occurrences, pixel_keys, precise, whole, wholes

T = TypeVar("T")

DIRECT = 1 << 18
"""Most counters that are kept for cells themselves: 2 MB, which stays in a core's cache."""
CHUNK = 1 << 21
"""Activations that are laid out at a time: 8 MB of float32, which stays in the last-level cache."""
COUNTED = 1 << 18
"""Pixels that are counted at a time."""
EXACT = 2**24 // CROSS_LEVELS**2
"""Pixels of which float32 holds every sum of products of threshold numbers."""
ON_ACCELERATOR = 1 << 27
"""Both of these numbers where the networks run on an accelerator."""
COUNTERS = 1 << 28
"""Most counters of the units that are counted together: so many have keys of 32 bits."""


def joint(maps: Tensor, masks: Masks, thresholds: AnyThresholds, grid: int, edge: Edge) -> Joint:
    """Joint counts of (n, units, h, w) activations and masks on the same grid, for grids too fine for `UnitCounter`.

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
            keys = upsampled.add_(base) if direct else binning.bin([unit], upsampled[None], base)[0].add_(base)
            by_key += occurrences(keys, len(by_key))
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
    base = torch.arange(images, device=maps.device, dtype=torch.int32).repeat_interleave(pixels) * binning.bins
    counts = []
    for unit in range(maps.shape[1]):
        upsampled = next(binning.upsampled(maps[:, unit : unit + 1], [unit], grid, edge))
        by_image = counted(base, binning.bin([unit], upsampled[None], base), images * binning.bins)
        counts.append(precise(holds) @ precise(by_image.reshape(images, binning.bins)))
    named = occurrences(labels.flatten(), len(category))
    return Categories(whole(torch.stack(counts)), holds.sum(1).cpu().numpy(), named.cpu().numpy())


def ends(maps: Tensor, masks: Masks, thresholds: ExactThresholds, grid: int, edge: Edge) -> Ends:
    """The ends of each concept's activations in each bin."""
    binning = ComparedBinning(thresholds, maps.device)
    base = masks.label_sets.flatten().long() * binning.bins
    low, high = [], []
    for unit in range(maps.shape[1]):
        upsampled = next(binning.upsampled(maps[:, unit : unit + 1], [unit], grid, edge))
        keys = base + binning.bin([unit], upsampled[None], base)[0]
        low.append(_by_concept(masks, keys, upsampled, "amin", inf, binning.bins))
        high.append(_by_concept(masks, keys, upsampled, "amax", -inf, binning.bins))
    return Ends(masks.concepts, torch.stack(low).cpu().numpy(), torch.stack(high).cpu().numpy())


def _by_concept(masks: Masks, keys: Tensor, activations: Tensor, how: str, end: float, bins: int) -> Tensor:
    """(c, bins) the 'amin' or 'amax' of a unit's activations by concept; `end` where there are none."""
    by_set = torch.full((masks.sets * bins,), end, device=activations.device)
    by_set = by_set.scatter_reduce_(0, keys, activations, how).reshape(masks.sets, bins)
    return torch.stack([getattr(by_set[sets], how)(0) for sets in masks.holds.bool()])


def joint_and_chance(
    maps: Tensor, masks: Masks, thresholds: AnyThresholds, grid: int, edge: Edge
) -> tuple[Joint, Chance]:
    """Joint counts and those of chance from the same upsampled activations."""
    counter = _count(maps, masks, thresholds, grid, edge, WantedCounts(joint=True))
    return counter.joint(), counter.chance()


def chance(
    maps: Tensor, masks: Masks, thresholds: AnyThresholds, grid: int, edge: Edge, with_shifted: bool = True
) -> Chance:
    """Only the counts for the chance level; without `with_shifted`, `shifted` stays 0."""
    return _count(maps, masks, thresholds, grid, edge, WantedCounts(shifted=with_shifted)).chance()


def joint_chance_and_neighbours(
    maps: Tensor, masks: Masks, thresholds: AnyThresholds, grid: int, edge: Edge
) -> tuple[Joint, Chance, Neighbours]:
    """Joint counts, those of chance and those of neighbours from the same upsampled activations."""
    counter = _count(maps, masks, thresholds, grid, edge, WantedCounts(joint=True, neighbours=True))
    return counter.joint(), counter.chance(), counter.neighbours()


def joint_and_others(
    maps: Tensor, masks: Masks, thresholds: AnyThresholds, grid: int, edge: Edge
) -> tuple[Joint, Chance, Neighbours, LabelSets]:
    """Joint counts and those of chance, neighbours and label sets from the same upsampled activations."""
    counter = _count(maps, masks, thresholds, grid, edge, WantedCounts(joint=True, neighbours=True, label_sets=True))
    return counter.joint(), counter.chance(), counter.neighbours(), counter.label_sets()


def chance_and_others(
    maps: Tensor, masks: Masks, thresholds: AnyThresholds, grid: int, edge: Edge
) -> tuple[Chance, Neighbours, LabelSets]:
    """The counts of chance, neighbours and label sets from the same upsampled activations."""
    counter = _count(maps, masks, thresholds, grid, edge, WantedCounts(neighbours=True, label_sets=True))
    return counter.chance(), counter.neighbours(), counter.label_sets()


def _count(
    maps: Tensor, masks: Masks, thresholds: AnyThresholds, grid: int, edge: Edge, wanted: WantedCounts
) -> UnitCounter:
    binning = binning_of(thresholds, maps.device)
    pixels = len(maps) * grid * grid
    laid_out, together = (max(1, most // pixels) for most in at_a_time(maps.device))
    together = max(1, min(together, COUNTERS // (masks.sets * binning.bins)))
    counter = UnitCounter(masks, binning, thresholds.chance_columns, wanted, maps.device, together)
    for numbers in in_parts(list(range(maps.shape[1])), laid_out):
        upsampled = list(binning.upsampled(maps[:, numbers], numbers, grid, edge))
        for units, part in zip(in_parts(numbers, together), in_parts(upsampled, together), strict=True):
            counter.add(units, torch.stack(part) if part[1:] else part[0][None])
    return counter


def cross(maps: Tensor, thresholds: AnyThresholds) -> Cross:
    """Sums of threshold numbers of (n, units, h, w) activations on their own grid.

    A processor takes few pixels at a time: they stay in its cache.
    """
    device = torch.device("cpu") if maps.device.type == "mps" else maps.device
    low = torch.from_numpy(thresholds.low).to(device)[:, None]
    step = torch.from_numpy(thresholds.span / CROSS_LEVELS).to(device)[:, None]
    pixels = maps.shape[2] * maps.shape[3]
    images = max(1, EXACT // pixels) if is_processor(maps.device) else len(maps)
    parts = []
    for some in torch.split(maps, images):
        flat = precise(some.transpose(0, 1).flatten(1))
        levels = ((flat - low) / step).clamp_(0, CROSS_LEVELS - 1).floor_()
        parts.append((levels.sum(1), exact_products(levels), (flat > 0).sum(1)))
    sums, products, positive = wholes([torch.stack(part).sum(0) for part in zip(*parts, strict=True)])
    return Cross(sums, products, positive, len(maps) * pixels)


def exact_products(levels: Tensor) -> Tensor:
    """(units, units) sums over pixels of the products of levels (units, pixels), in the precision of the levels.

    Few pixels at a time have sums that float32 holds exactly, and a processor multiplies them twice as fast.
    """
    if not is_processor(levels.device):
        return levels @ levels.T
    parts = torch.split(levels.float(), EXACT, dim=1)
    return torch.stack([part @ part.T for part in parts]).sum(0, dtype=levels.dtype)


def at_a_time(device: torch.device) -> tuple[int, int]:
    """How many activations are laid out, and how many of them are counted, at a time."""
    return (CHUNK, COUNTED) if is_processor(device) else (ON_ACCELERATOR, ON_ACCELERATOR)


def in_parts(items: list[T], size: int) -> list[list[T]]:
    """Consecutive items, so many together.

    >>> in_parts([1, 2, 3], 2)
    [[1, 2], [3]]
    """
    return [items[start : start + size] for start in range(0, len(items), size)]
