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
from dissectreport.networks.resampling import on_lattice
from dissectreport.run.plan import Plan, Reading
from dissectreport.run.rules import rule_named
from dissectreport.run.shards import Shard
from dissectreport.stats.replaced import Replaced
from dissectreport.worker.loaded_networks import Models
from dissectreport.worker.memory import in_parts

Arrays = dict[str, NDArray[Any]]
"""Arrays by name, returned by passes that do not count a statistic."""


def pilot_maps(models: Models, plan: Plan, readings: Sequence[Reading], shard: Shard) -> dict[Reading, Tensor]:
    """Each reading's activations (n, units, h, w) of a shard of the selection seed; the generator stops at the last."""
    layers = list(dict.fromkeys(r.layer for r in readings))
    parts = []

    def read(z: Tensor, first: int) -> dict[Reading, Tensor]:
        activations = models.call_generator(z, partial(hooks.read, models.generator, layers, z))
        return readings_of(activations, plan, readings, first)

    for first, z in batches(models, plan.pilot_seed, shard, plan.batch):
        parts += in_parts(read, z, first)
    return {r: torch.cat([part[r] for part in parts]) for r in readings}


def batches(models: Models, seed: int, shard: Shard, batch: int) -> list[tuple[int, Tensor]]:
    """The shard's latents in batches that fit into memory, each with the number of its first sample."""
    batch = min(batch, models.fitting or batch)
    z = models.latents(seed, shard.first, shard.count)
    return [(shard.first + at, z[at : at + batch]) for at in range(0, shard.count, batch)]


def readings_of(
    layers: dict[str, Tensor], plan: Plan, readings: Sequence[Reading], first: int
) -> dict[Reading, Tensor]:
    """Each reading's activations (n, units, h, w) float32 from those of its layer; ModelError where not finite."""
    for name in dict.fromkeys(reading.layer for reading in readings):
        hooks.check_finite(name, layers[name], first)
    edge = rule_named(plan.rule).edge
    # Rotation and interpolation are linear, so whichever makes maps small comes first.
    large = {name: maps for name, maps in layers.items() if maps.shape[-2] * maps.shape[-1] >= len(plan.lattice) ** 2}
    rotated = {reading.layer for reading in readings if reading.rotation is not None}
    few = {
        name: on_lattice(maps.float(), plan.chance_grid, plan.lattice, edge)
        for name, maps in large.items()
        if name in rotated
    }
    by_reading = {}
    for reading in readings:
        maps = layers[reading.layer].float()
        if reading.rotation is not None:
            maps = hooks.rotate(few.get(reading.layer, maps), reading.rotation, reading.scales)
            maps = maps if reading.layer in few else on_lattice(maps, plan.chance_grid, plan.lattice, edge)
        by_reading[reading] = maps
    return by_reading


def at_lattice(labels: Tensor, plan: Plan) -> Tensor:
    """(n, slots, k, k) of labels (n, slots, grid, grid) on the grid of the chance level: those of random directions."""
    rows = torch.as_tensor(plan.lattice, device=labels.device)
    return labels[:, :, rows][:, :, :, rows]


def samples_of(shard: Shard) -> NDArray[np.int64]:
    """(count,) the shard's sample numbers."""
    return np.arange(shard.first, shard.first + shard.count, dtype=np.int64)


def replaced(models: Models, seed: int, shard: Shard) -> dict[str, Replaced]:
    """The shard's samples that have another latent, as a statistic; nothing where all have their own."""
    samples = models.replaced_in(seed, shard)
    return {"replaced": Replaced(np.array(samples, np.int64), seed)} if samples else {}


def observe(
    models: Models, plan: Plan, seed: int, readings: Sequence[Reading], shard: Shard
) -> tuple[dict[Reading, Tensor], Tensor]:
    """Each reading's activations (n, units, h, w) and the labels (n, slots, h, w) of a seed's shard."""
    layers = list(dict.fromkeys(r.layer for r in readings))
    maps, labels = [], []

    def read(z: Tensor, first: int) -> tuple[dict[Reading, Tensor], Tensor]:
        with torch.no_grad(), hooks.reading(models.generator.module, layers) as activations:
            images = models.images(z, first)
            return readings_of(activations, plan, readings, first), models.labels(images)

    for first, z in batches(models, seed, shard, plan.batch):
        for part, of_images in in_parts(read, z, first):
            maps.append(part)
            labels.append(of_images)
    return {r: torch.cat([part[r] for part in maps]) for r in readings}, torch.cat(labels)
