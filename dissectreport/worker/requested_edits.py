"""Passes for an edit that a person asks for, on a worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dissectreport.models.inverted import read_inverted
from dissectreport.networks.edits import Edit, Prefix, edited
from dissectreport.records.interventions import Units
from dissectreport.run.plan import InterventionKey
from dissectreport.run.shards import Shard
from dissectreport.stats.base import Floats
from dissectreport.stats.paired import Paired
from dissectreport.worker.edited_model import EditedModel, image_pair, pixels_by_image
from dissectreport.worker.inverted_photos import photo_prefix
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.pictures import as_bytes


@dataclass(frozen=True)
class EditOutcome:
    """The effect of a requested edit on a shard."""

    paired: Paired
    """Every concept's pixels."""
    before: NDArray[np.uint8]
    """(k, height, width, 3) the first images of the run, as far as they are in this shard."""
    after: NDArray[np.uint8]


def make_edits(
    source: Source, key: InterventionKey, request: EditRequest, shown: int
) -> Callable[[Shard], EditOutcome]:
    """The pass that measures a requested edit; the first `shown` images are kept."""
    model = EditedModel(source.models(), key)

    def work(shard: Shard) -> EditOutcome:
        at = model.open(key.held_out_seed, shard.first, shard.count)
        following = at if request.values else model.open(key.held_out_seed, shard.first + 1, shard.count)
        changed = edited(at.activations, request.edits(at, following))
        labels = model.labels_at(at, at.activations)
        before, after = pixels_by_image(labels, len(model.networks.segmenter.vocabulary)), model.areas(at, changed)
        pixels = labels.shape[2] * labels.shape[3]
        kept = max(0, min(shard.count, shown - shard.first))
        paired = Paired(shard.count, pixels, before.sum(0), after.sum(0)[None])
        if not kept:
            return EditOutcome(paired, *[np.zeros((0, *model.networks.generator.image_size, 3), np.uint8)] * 2)
        return EditOutcome(paired, *[as_bytes(images[:kept]) for images in image_pair(model, at, changed)])

    return work


def make_photo_edit(
    source: Source, key: InterventionKey, request: EditRequest, path: Path
) -> Callable[[Shard], EditOutcome]:
    """The pass that measures a requested edit of an inverted photo; the shard is that of one sample."""
    model = EditedModel(source.models(), key)
    inverted = read_inverted(path)

    def work(shard: Shard) -> EditOutcome:
        at = photo_prefix(model.networks, inverted, key.layer)
        following = at if request.values else model.open(key.held_out_seed, 0, 1)
        changed = edited(at.activations, request.edits(at, following))
        images = image_pair(model, at, changed)
        labels = [model.networks.labels(one) for one in images]
        before, after = (pixels_by_image(one, len(model.networks.segmenter.vocabulary)) for one in labels)
        paired = Paired(1, labels[0].shape[2] * labels[0].shape[3], before.sum(0), after.sum(0)[None])
        return EditOutcome(paired, *[as_bytes(one) for one in images])

    return work


@dataclass(frozen=True)
class EditRequest:
    """A change that a person asks for."""

    units: Units
    values: tuple[float, ...] = ()
    """Activations to set; () to take over those of the next latent."""
    patches: Units = ()
    """Numbers of patches, row by row; () for everywhere."""

    def edits(self, at: Prefix, following: Prefix) -> list[Edit]:
        """The edits of activations, one for each patch; `following` has the next latents."""
        kept = following.activations[:, list(self.units)]
        values = torch.tensor(self.values) if self.values else kept
        if not self.patches:
            return [Edit(self.units, values)]
        where = [at.inside(torch.tensor([patch], device=kept.device)) for patch in self.patches]
        return [Edit(self.units, values, inside) for inside in where]


@dataclass(frozen=True)
class UnitActivations:
    """Activations to which units can be set."""

    mean: Floats
    """(units,) mean activation."""
    upper: Floats
    """(units,) activation that the given share of cells does not exceed."""


def make_unit_activations(source: Source, key: InterventionKey, share: float) -> Callable[[Shard], UnitActivations]:
    """The pass that finds each unit's mean activation, and the one that the given share of its cells stays below."""
    model = EditedModel(source.models(), key)

    def work(shard: Shard) -> UnitActivations:
        at = model.open(key.selection_seed, shard.first, shard.count)
        maps = at.activations.transpose(0, 1).flatten(1).cpu().double()
        kept = max(1, round(maps.shape[1] * (1 - share)))
        return UnitActivations(maps.mean(1).numpy(), maps.topk(kept).values[:, -1].numpy())

    return work
