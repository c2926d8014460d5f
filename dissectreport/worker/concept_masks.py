"""The concepts of a shard's images on a grid, as masks, and what is counted of them alone.

A pixel's slots are replaced by one compact number, that of its *label set*, so that several slots cost one count;
counts by label set are handed to concepts afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Ints
from dissectreport.stats.label_sets import SIDE
from dissectreport.stats.overlaps import Overlaps
from dissectreport.worker.whole_counts import occurrences, precise, whole


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

    @property
    def lines(self) -> Ints:
        """(grid,) the line of cells of the image in which each row, and each column, of the grid lies."""
        grid = round(self.label_sets.shape[1] ** 0.5)
        return np.asarray(np.arange(grid) * SIDE // grid, np.int64)

    @cached_property
    def by_cell(self) -> Ints:
        """(label sets, cells) pixels of each label set in each cell of the image."""
        cell = torch.from_numpy((self.lines[:, None] * SIDE + self.lines).reshape(1, -1))
        by_set = self._by_set(cell.to(self.label_sets.device), SIDE * SIDE)
        return np.asarray(by_set.cpu().numpy(), np.int64)

    def _by(self, cell: Tensor, cells: int) -> Ints:
        return whole(precise(self.holds) @ precise(self._by_set(cell, cells)))

    def _by_set(self, cell: Tensor, cells: int) -> Tensor:
        pixel_keys = self.label_sets.long() * cells + cell
        return occurrences(pixel_keys.flatten(), self.sets * cells).reshape(self.sets, cells)


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


def holding(labels: Tensor, category: Ints) -> NDArray[np.bool_]:
    """(k, n) whether each image of labels (n, slots, h, w) holds any concept of each category."""
    of = torch.from_numpy(category).to(labels.device)
    categories = of[labels.flatten(1)]
    return np.stack([(categories == k).any(1).cpu().numpy() for k in range(int(category.max()) + 1)])


def exact(masks: Masks) -> bool:
    """Whether float32 holds every sum of a shard's pixel counts."""
    return masks.label_sets.numel() < 2**24
