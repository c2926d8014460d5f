"""Where concepts are on selection latents, and the effect of every unit on them by gradient × activation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.errors import ModelError
from dissectreport.networks.edits import Prefix
from dissectreport.run.patches import patch_grid
from dissectreport.run.plan import InterventionKey
from dissectreport.run.shards import Shard
from dissectreport.stats.base import merge_all
from dissectreport.stats.concept_patches import ConceptPatches
from dissectreport.stats.effects import FirstOrder, Presence
from dissectreport.worker.edited_model import EditedModel, batches_of
from dissectreport.worker.loaded_networks import Source


def make_search(source: Source, key: InterventionKey) -> Callable[[Shard], tuple[Presence, ConceptPatches]]:
    """The pass that measures the areas of the studied concepts, and the activations of units on them."""
    model = EditedModel(source.models(), key)
    concepts = torch.tensor(key.concepts)

    def work(shard: Shard) -> tuple[Presence, ConceptPatches]:
        sums: list[Presence] = []
        rows: list[ConceptPatches] = []
        for first, count in batches_of(shard):
            at = model.open(key.selection_seed, first, count)
            labels = model.labels_at(at, at.activations)
            # (n, k, h, w) whether a pixel shows each studied concept
            mask = torch.stack([(labels == c).any(1) for c in concepts.to(labels.device)], 1).float()
            sums.append(_presence(at.on_image(at.activations), mask))
            pooled = functional.adaptive_avg_pool2d(mask, patch_grid(*at.size)).flatten(2)
            share, patch = (values.cpu() for values in pooled.max(2))
            samples = np.arange(first, first + count, dtype=np.int64)
            rows.append(ConceptPatches(samples, share.double().numpy(), patch.numpy(), pooled.shape[2]))
        return merge_all(sums), merge_all(rows)

    return work


def _presence(activations: Tensor, mask: Tensor) -> Presence:
    maps = activations.cpu().double()
    score = functional.adaptive_avg_pool2d(mask, (maps.shape[2], maps.shape[3])).cpu().double()
    return Presence(
        torch.einsum("nkyx,nuyx->ku", score, maps).numpy(),
        score.sum((0, 2, 3)).numpy(),
        maps.abs().mean((2, 3)).sum(0).numpy(),
        maps.mean((2, 3)).sum(0).numpy(),
        np.float64(len(maps)) * np.ones(()),
    )


def make_gradients(source: Source, key: InterventionKey) -> Callable[[Shard], FirstOrder]:
    """The pass that estimates the effect of every unit on every studied concept by gradient × activation.

    Ablating a unit changes a concept's soft area by about -Σ activation × gradient: one forward pass, and one backward
    pass for each concept, give it for all units at once.
    """
    model = EditedModel(source.models(), key)

    def work(shard: Shard) -> FirstOrder:
        batches = (model.open(key.selection_seed, first, count) for first, count in batches_of(shard))
        return merge_all(first_order(model, at, at.activations, key.concepts) for at in batches)

    return work


def first_order(model: EditedModel, at: Prefix, activations: Tensor, concepts: Sequence[int]) -> FirstOrder:
    """The sums of gradient × activation of each concept's soft area, at (edited) activations."""
    effect, area = [], []
    for total, gradient in gradients(model, at, activations, concepts):
        effect.append((activations * gradient.float()).sum((2, 3)).cpu().double().sum(0).numpy())
        area.append(total)
    return FirstOrder(np.stack(effect), np.array(area))


def gradients(
    model: EditedModel, at: Prefix, activations: Tensor, concepts: Sequence[int]
) -> Iterator[tuple[float, Tensor]]:
    """For each concept its soft area in pixels over all images, and the gradient (n, units, h, w) of it."""
    leaf = activations.detach().requires_grad_()
    with torch.enable_grad():
        shares = model.probabilities(model.images(at, leaf), concepts)
        for number, concept in enumerate(concepts):
            area = shares[:, number].sum()
            (gradient,) = (
                torch.autograd.grad(area, leaf, retain_graph=True, allow_unused=True) if area.requires_grad else (None,)
            )
            if gradient is None or not bool(torch.isfinite(gradient).all()):
                raise ModelError(unreachable(model, concept))
            yield float(area.detach()), gradient


def unreachable(model: EditedModel, concept: int) -> str:
    """The error for a layer that a concept's gradient does not reach."""
    name = model.networks.segmenter.vocabulary.concepts[concept].name
    return (
        f"the gradient of {name!r} does not reach layer {model.key.layer!r}: the segmenter or the network between "
        "them passes none (or one that is not finite); choose other --concepts, or another --intervention-layer"
    )
