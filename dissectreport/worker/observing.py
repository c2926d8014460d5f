"""Activations and labels of the samples of a shard."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dissectreport.networks import hooks
from dissectreport.run.plan import Plan, Reading
from dissectreport.run.shards import Shard
from dissectreport.worker.loaded_networks import Models

Arrays = dict[str, NDArray[Any]]
"""Arrays by name, as passes that are no statistic return them."""


def pilot_maps(models: Models, plan: Plan, readings: Sequence[Reading], shard: Shard) -> dict[Reading, Tensor]:
    """Each reading's activations (n, units, h, w) of a shard of the choosing seed; the generator stops at the last."""
    layers = list(dict.fromkeys(r.layer for r in readings))
    parts = []
    for first, z in batches(models, plan.pilot_seed, shard, plan.batch):
        seen = models.made(z, partial(hooks.read, models.generator, layers, z))
        parts.append(readings_of(seen, readings, first))
    return {r: torch.cat([part[r] for part in parts]) for r in readings}


def batches(models: Models, seed: int, shard: Shard, batch: int) -> list[tuple[int, Tensor]]:
    """The shard's latents in batches, each with the number of its first sample."""
    z = models.latents(seed, shard.first, shard.count)
    return [(shard.first + at, z[at : at + batch]) for at in range(0, shard.count, batch)]


def readings_of(layers: dict[str, Tensor], readings: Sequence[Reading], first: int) -> dict[Reading, Tensor]:
    """Each reading's activations (n, units, h, w) float32 from those of its layer; ModelError where not finite."""
    found = {}
    for reading in readings:
        maps = layers[reading.layer].float()
        hooks.check_finite(reading.layer, maps, first)
        found[reading] = maps if reading.rotation is None else hooks.rotate(maps, reading.rotation)
    return found


def samples_of(shard: Shard) -> NDArray[np.int64]:
    """(count,) the shard's sample numbers."""
    return np.arange(shard.first, shard.first + shard.count, dtype=np.int64)


def observe(
    models: Models, plan: Plan, seed: int, readings: Sequence[Reading], shard: Shard
) -> tuple[dict[Reading, Tensor], Tensor]:
    """Each reading's activations (n, units, h, w) and the labels (n, slots, h, w) of a seed's shard."""
    layers = list(dict.fromkeys(r.layer for r in readings))
    maps, labels = [], []
    for first, z in batches(models, seed, shard, plan.batch):
        with torch.no_grad(), hooks.reading(models.generator.module, layers) as seen:
            images = models.images(z, first)
            maps.append(readings_of(seen, readings, first))
            labels.append(models.labels(images))
    return {r: torch.cat([part[r] for part in maps]) for r in readings}, torch.cat(labels)
