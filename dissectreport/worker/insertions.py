"""Passes that insert sets of units at patches of held-out latents, and find the contexts there, on a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dissectreport.networks.edits import Edit
from dissectreport.records.interventions import Units
from dissectreport.run.patches import patch_grid
from dissectreport.run.plan import InterventionKey
from dissectreport.run.shards import Shard
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Ints
from dissectreport.stats.insertions import Insertions
from dissectreport.stats.patch_contexts import PatchContexts
from dissectreport.worker.edited_model import EditedModel, batches_of, open_held_out
from dissectreport.worker.later import Later
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.observing import samples_of


def make_contexts(source: Source, key: InterventionKey) -> Callable[[Shard], tuple[PatchContexts, Areas]]:
    """The pass that finds the context of every patch, and the area of every concept, without any edit."""
    model = EditedModel(source.models(), key)

    def work(shard: Shard) -> tuple[PatchContexts, Areas]:
        contexts: list[Ints] = []
        pixels: list[Ints] = []
        grid = 0
        with Later() as later:
            for first, count in batches_of(shard):
                at = model.open(key.held_out_seed, first, count, later)
                labels = model.labels_at(at, at.activations, later)
                grid = labels.shape[2] * labels.shape[3]
                later.take(contexts_at(labels, key.contexts, patch_grid(*at.size)), contexts.append)
                model.take_labelled(labels, later, pixels.append)
        every = np.concatenate(pixels)
        areas = Areas(samples_of(shard), np.arange(every.shape[1]), every, grid)
        return PatchContexts(samples_of(shard), np.concatenate(contexts)), areas

    return work


@dataclass(frozen=True)
class InsertedSet:
    """Units that are inserted together, and the activation of each."""

    concept: int
    """For which of the studied concepts the set is."""
    units: Units
    values: tuple[float, ...]


@dataclass(frozen=True)
class InsertionPlan:
    """Where sets of units are inserted."""

    sets: tuple[InsertedSet, ...]
    """The causal sets of the studied concepts, in their order."""
    random: tuple[InsertedSet, ...]
    """Random sets, of which each batch takes the next ones."""
    random_each: int
    """How many random sets are inserted at each patch."""
    spots: tuple[tuple[int, int, int], ...]
    """Sample, patch and context of each insertion, in order."""
    before: tuple[tuple[int, ...], ...]
    """(spots, concepts) pixels of each studied concept without any insertion."""

    def random_sets(self, batch: int) -> list[InsertedSet]:
        """The random sets of a batch of insertions."""
        each = min(self.random_each, len(self.random))
        return [self.random[(batch * each + turn) % len(self.random)] for turn in range(each)]


def make_insertions(source: Source, key: InterventionKey, plan: InsertionPlan) -> Callable[[Shard], Insertions]:
    """The pass that inserts sets of units at the spots of a plan; a shard is some of its spots."""
    model = EditedModel(source.models(), key)
    concepts = list(key.concepts)

    def work(shard: Shard) -> Insertions:
        rows = slice(shard.first, shard.first + shard.count)
        samples, patches, contexts = np.array(plan.spots[rows], np.int64).T
        random = plan.random_sets(shard.number)
        before = np.array(plan.before[rows], np.int64)
        areas: list[Ints] = []
        with Later() as later:
            at = open_held_out(model, key, samples.tolist(), later)
            where = at.inside(torch.from_numpy(patches).to(at.activations.device))
            edits = [Edit(one.units, torch.tensor(one.values), where) for one in (*plan.sets, *random)]
            model.take_areas(at, edits, later, areas.append)
        gains = np.ascontiguousarray(areas[0][:, :, concepts]) - before[:, None]
        of = np.tile(np.array([one.concept for one in random], np.int64), (shard.count, 1))
        return Insertions(samples, patches, contexts, of, gains)

    return work


def contexts_at(labels: Tensor, contexts: Sequence[int], grid: tuple[int, int]) -> Tensor:
    """(n, slots, h, w) -> (n, patches) the context at the middle of every patch, 0 for none of them."""
    rows, columns = (
        ((torch.arange(count) + 0.5) * side / count).long() for count, side in zip(grid, labels.shape[2:], strict=True)
    )
    middle = labels[:, :, rows][:, :, :, columns].flatten(2)
    known = torch.isin(middle, torch.tensor(list(contexts), device=labels.device))
    return torch.where(known, middle, 0).amax(1)
