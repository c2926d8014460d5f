"""Images, masks and units drawn at random with known truth, and their counts by slow and obvious code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dissectreport.run.shards import even_groups
from dissectreport.stats.base import merge_all
from dissectreport.stats.chance import Chance
from dissectreport.stats.neighbours import Neighbours

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
        present = np.asarray(random.random((n, concepts)) < np.asarray(self.presence))
        masks = np.logical_and(self._squares(random, (n, concepts)), present[..., None])
        copies = np.asarray(random.random((n, units)) < np.asarray(self.matches))
        shown = np.asarray(masks[:, 0].any(1))[:, None]
        elsewhere = np.asarray(random.random((n, units, 1)) < self.presence[0])
        others = np.logical_and(self._squares(random, (n, units)), elsewhere)
        on = np.where(np.logical_and(copies, shown)[..., None], masks[:, :1], others)
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


@dataclass(frozen=True)
class Horizon:
    """Sky down to a horizon of its own in every image, and units that know more or less of it.

    Each unit's activation is a fixed layout, the height, to which something is added: nothing (place), one number an
    image that follows the horizon (scene), or the sky's own mask, shifted sideways by nothing (object).
    """

    kinds: tuple[str, ...]

    def draw(self, random: np.random.Generator, n: int = SHARD) -> tuple[Masks, Masks]:
        """(n, units, 1, pixels) where units are on, and (n, 2, pixels) masks of the sky and of a square in it."""
        horizon = 3 + random.normal(0, 1.2, n)
        slope = random.normal(0, 1, n)
        rows, columns = np.mgrid[:SIDE, :SIDE]
        line = horizon[:, None, None] + slope[:, None, None] * (columns - (SIDE - 1) / 2)
        sky = rows < line
        on = np.stack([self._on(random, kind, rows, horizon, sky) for kind in self.kinds], 1)
        return on.reshape(n, len(self.kinds), 1, PIXELS), sky.reshape(n, 1, PIXELS)

    def _on(
        self, random: np.random.Generator, kind: str, rows: NDArray[np.int64], horizon: NDArray[np.float64], sky: Masks
    ) -> Masks:
        noise = random.normal(0, 1.2, len(horizon))
        if kind == "place":
            return np.broadcast_to(rows < 3, sky.shape) & (random.random(sky.shape) < 0.95)
        if kind == "scene":
            return np.asarray(rows + np.arange(SIDE) / SIDE < (horizon + noise)[:, None, None] + 0.5)
        return sky & (random.random(sky.shape) < 0.95)

    def shards(self, seed: int, count: int = 26) -> Iterator[tuple[int, Chance, Neighbours]]:
        """(group, counts of chance, counts of neighbours) of each shard of a run."""
        random = np.random.default_rng(seed)
        for group in even_groups(count):
            on, masks = self.draw(random)
            yield group, counts_of(on, masks), neighbours_of(on, masks)


def neighbours_of(on: Masks, masks: Masks) -> Neighbours:
    """The counts of neighbours of a shard."""
    areas, shown = on.sum(3), masks.sum(2)
    units, concepts, thresholds = on.shape[1], masks.shape[1], on.shape[2]
    overlap = np.zeros((units, concepts, thresholds), np.int64)
    for unit in range(units):
        order = np.argsort(areas[:, unit].sum(1), kind="stable")
        neighbour = np.empty_like(order)
        neighbour[order[::2]], neighbour[order[1::2]] = order[1::2], order[::2]
        overlap[unit] = np.einsum("ntp,ncp->ct", on[:, unit].astype(np.int64), masks[neighbour].astype(np.int64))
    samples, numbers = np.arange(len(on)), np.arange(1, concepts + 1)
    return Neighbours(samples, np.zeros_like(samples), numbers, overlap, np.moveaxis(areas, 0, 1), shown)
