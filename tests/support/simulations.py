"""Images, masks and units drawn at random with known truth, and their counts by slow and obvious code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dissectreport.run.shards import even_groups
from dissectreport.stats.base import merge_all
from dissectreport.stats.chance import Chance

Masks = NDArray[np.bool_]
SHARD = 48
SIDE = 8
PIXELS = SIDE * SIDE


def counts_of(on: Masks, masks: Masks) -> Chance:
    """The counts of a shard, of (n, units, thresholds, pixels) where units are on and (n, concepts, pixels) masks."""
    n = len(on)
    a, m = on.astype(np.float32), masks.astype(np.float32)
    return Chance(
        concepts=np.arange(1, masks.shape[1] + 1),
        sizes=np.array([n]),
        observed=whole("nutp,ncp->uct", a, m)[None],
        shifted=whole("nutp,ncp->uct", a, np.roll(m, -1, 0))[None],
        crossed=whole("utp,cp->uct", a.sum(0), m.sum(0))[None],
        on=on.sum((0, 3)),
        present=masks.sum((0, 2)),
        images=masks.any(2).sum(0),
        where=masks.sum(0),
        samples=n,
    )


def whole(sums: str, *counts: NDArray[np.float32]) -> NDArray[np.int64]:
    """Sums of products that float32 holds exactly."""
    result = np.einsum(sums, *counts, optimize=True)
    assert result.max(initial=0) < 2**24
    return np.asarray(result, np.int64)


@dataclass(frozen=True)
class World:
    """Concepts that show as squares somewhere in some images, and units that are on where a concept is, more or less.

    The units of `matches` (units,) copy the first concept's square in this share of the images where it shows;
    elsewhere they are on at a square of their own.
    """

    matches: tuple[float, ...]
    presence: tuple[float, ...] = (0.5, 0.5)
    """The share of images that show each concept."""
    side: int = 3
    """Of the squares."""

    def draw(self, random: np.random.Generator, n: int = SHARD) -> tuple[Masks, Masks]:
        """(n, units, 1, pixels) where units are on, and (n, concepts, pixels) masks."""
        concepts, units = len(self.presence), len(self.matches)
        masks = (
            self._squares(random, (n, concepts))
            & np.asarray(random.random((n, concepts)) < np.asarray(self.presence))[..., None]
        )
        copies = random.random((n, units)) < self.matches
        shown = masks[:, 0].any(1)[:, None]
        others = self._squares(random, (n, units)) & (random.random((n, units, 1)) < self.presence[0])
        on = np.where(np.asarray(copies & shown)[..., None], masks[:, :1], others)
        return on[:, :, None], masks

    def _squares(self, random: np.random.Generator, shape: tuple[int, ...]) -> Masks:
        most = SIDE - self.side + 1
        top, left = (np.asarray(random.integers(0, most, shape))[..., None, None] for _ in range(2))
        rows, columns = np.mgrid[:SIDE, :SIDE]
        inside = (rows >= top) & (rows < top + self.side) & (columns >= left) & (columns < left + self.side)
        return np.asarray(inside.reshape(*shape, PIXELS))

    def shards(self, seed: int, count: int = 26) -> Iterator[tuple[int, Chance]]:
        """(group, counts) of each shard of a run."""
        random = np.random.default_rng(seed)
        for group in even_groups(count):
            yield group, counts_of(*self.draw(random))

    def truth(self, images: int = 40_000) -> Chance:
        """The counts of many images, of which the ratios are the truth."""
        random = np.random.default_rng(2**31)
        return merge_all(counts_of(*self.draw(random, 1000)) for _ in range(images // 1000))
