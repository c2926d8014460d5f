"""Passes that ablate sets of units on held-out latents, on a worker.

Effects are paired: the same latents with and without the edit, every concept counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.networks.edits import Edit, Prefix
from dissectreport.records.interventions import CausalVariants, RandomAblation, Units
from dissectreport.run.plan import InterventionKey
from dissectreport.run.shards import EDIT_BATCH, Shard
from dissectreport.stats.ablated_areas import AblatedAreas
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Ints
from dissectreport.stats.paired import Paired
from dissectreport.worker.edited_model import EditedModel, batches_of, image_pair, open_held_out
from dissectreport.worker.later import Later
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.observing import samples_of


def make_ablations(
    source: Source, key: InterventionKey, sets: Sequence[Units]
) -> Callable[[Shard], tuple[Paired, Areas, AblatedAreas]]:
    """The pass that ablates each set of units, everywhere, and counts every concept."""
    model = EditedModel(source.models(), key)

    def work(shard: Shard) -> tuple[Paired, Areas, AblatedAreas]:
        before: list[Ints] = []
        after: list[Ints] = []
        pixels = 0
        with Later() as later:
            for first, count in batches_of(shard):
                at = model.open(key.held_out_seed, first, count, later)
                labels = model.labels_at(at, at.activations, later)
                pixels = labels.shape[2] * labels.shape[3]
                model.take_labelled(labels, later, before.append)
                model.take_areas(at, [Edit(units) for units in sets], later, after.append)
        every, edited_areas = np.concatenate(before), np.concatenate(after)
        numbers, samples = np.arange(every.shape[1]), samples_of(shard)
        paired = Paired(shard.count, pixels, every.sum(0), edited_areas.sum(0))
        ablated = AblatedAreas(samples, edited_areas[:, :, list(key.concepts)])
        return paired, Areas(samples, numbers, every, pixels), ablated

    return work


@dataclass(frozen=True)
class RandomTrial:
    """Random sets that are ablated for a concept."""

    name: str
    concept: int
    """The number of the concept."""
    sets: tuple[Units, ...]
    samples: tuple[int, ...]
    """Held-out latents."""


def make_random_ablations(source: Source, key: InterventionKey) -> Callable[[RandomTrial], RandomAblation]:
    """The pass that ablates random sets of units on some latents, and counts the concept that they are for."""
    model = EditedModel(source.models(), key)

    def work(trial: RandomTrial) -> RandomAblation:
        areas: list[Ints] = []
        with Later() as later:
            for first in range(0, len(trial.samples), EDIT_BATCH):
                at = open_held_out(model, key, trial.samples[first : first + EDIT_BATCH], later)
                model.take_areas(at, [Edit(units) for units in trial.sets], later, areas.append)
        return RandomAblation(np.array(trial.samples, np.int64), np.concatenate(areas)[:, :, trial.concept])

    return work


@dataclass(frozen=True)
class VariantTrial:
    """A causal set that is changed in other ways than ablation to 0."""

    name: str
    concept: int
    """The number of the concept."""
    units: Units
    mean: tuple[float, ...]
    """The mean activation of each unit."""
    inserted: tuple[float, ...]
    """The activation to which each unit is set when the set is inserted everywhere."""
    samples: tuple[int, ...]
    """Held-out latents."""
    confident: int
    """On how many of them the segmenter's confidence is measured."""


def make_variants(source: Source, key: InterventionKey) -> Callable[[VariantTrial], CausalVariants]:
    """The pass that ablates a causal set to other values, and inserts it everywhere."""
    model = EditedModel(source.models(), key)

    def work(trial: VariantTrial) -> CausalVariants:
        pixels, doubts, grid = [], [], 0
        for first in range(0, len(trial.samples), EDIT_BATCH):
            samples = trial.samples[first : first + EDIT_BATCH]
            at = open_held_out(model, key, samples)
            following = open_held_out(model, key, [sample + 1 for sample in samples])
            edits = variant_edits(trial, following)
            pixels.append(model.areas_of(at, edits)[:, :, trial.concept])
            if first < trial.confident:
                sums, grid = confidence_sums(model, at, trial)
                doubts.append(sums)
        every = np.concatenate(doubts)[: trial.confident]
        return CausalVariants(
            samples=np.array(trial.samples, np.int64),
            pixels=np.concatenate(pixels),
            lost=every[:, 0],
            grid=grid,
            confidence=every[:, 1:],
        )

    return work


def variant_edits(trial: VariantTrial, following: Prefix) -> list[Edit]:
    """The edits in the order of `CausalVariants.MODES`; `following` has the next latents."""
    resampled = following.activations[:, list(trial.units)]
    return [Edit(trial.units, values) for values in (torch.tensor(trial.mean), resampled, torch.tensor(trial.inserted))]


def confidence_sums(model: EditedModel, at: Prefix, trial: VariantTrial) -> tuple[Ints, int]:
    """(n, 5) lost pixels, and thousandths of confidence as `CausalVariants` has them; and the pixels of an image."""
    pair = image_pair(model, at, Edit(trial.units)(at.activations))
    before, after = ((model.labels(images) == trial.concept).any(1) for images in pair)
    lost = before & ~after
    columns = [lost.sum((1, 2))]
    confidence = [(1000 * confidence_at(model, images, lost)).round().long() for images in pair]
    columns += [(values * lost).sum((1, 2)) for values in confidence] + [values.sum((1, 2)) for values in confidence]
    return torch.stack(columns, 1).cpu().numpy(), lost.shape[1] * lost.shape[2]


def confidence_at(model: EditedModel, images: Tensor, like: Tensor) -> Tensor:
    """(n, h, w) confidence of the leading label, at the resolution of `like`."""
    with torch.no_grad(), model.autocast():
        confidence = model.networks.confidence(images).float()
    return functional.interpolate(confidence[:, None], size=tuple(like.shape[1:]))[:, 0]
