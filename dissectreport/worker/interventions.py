"""Interventions, on a worker: one small make(…) -> work(shard) per pass.

A layer's output is edited, never in place, and only the rest of the network and the segmenter run again. Effects are
paired: the same latents with and without the edit, every concept counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dissectreport.errors import ModelError, SegmenterError
from dissectreport.networks.edits import Edit, Prefix, edited, run_prefix
from dissectreport.networks.hooks import check_finite
from dissectreport.records.interventions import CausalVariants, EditedPictures, RandomAblation, Units
from dissectreport.run.patches import patch_grid
from dissectreport.run.plan import InterventionKey
from dissectreport.run.precision import Precision
from dissectreport.run.shards import EDIT_BATCH, Shard
from dissectreport.stats.ablated_areas import AblatedAreas
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Floats, Ints, merge_all
from dissectreport.stats.concept_patches import ConceptPatches
from dissectreport.stats.effects import FirstOrder, Presence
from dissectreport.stats.insertions import Insertions
from dissectreport.stats.paired import Paired
from dissectreport.stats.patch_contexts import PatchContexts
from dissectreport.worker.loaded_networks import Models, Source
from dissectreport.worker.observing import samples_of
from dissectreport.worker.pictures import as_bytes, segmented


class EditKey(Protocol):
    """Which layer is edited, and in which precision."""

    @property
    def layer(self) -> str:
        """The layer's name."""

    @property
    def precision(self) -> str:
        """One of `Precision`, but not auto."""

    @property
    def selection_seed(self) -> int:
        """The seed of the latents on which units are ranked."""


@dataclass(frozen=True)
class EditedModel:
    """The networks of a worker, ready for edits of one layer."""

    networks: Models
    key: EditKey

    def autocast(self) -> AbstractContextManager[Any]:
        """The arithmetic in the precision of the key."""
        half = self.key.precision == Precision.BFLOAT16
        return torch.autocast(self.networks.device.type, torch.bfloat16, enabled=half)

    def open(self, seed: int, first: int, count: int) -> Prefix:
        """The network run up to the layer on some latents."""
        z = self.networks.latents(seed, first, count)
        return self.open_on(z, first)

    def open_on(self, z: Tensor, first: int) -> Prefix:
        """The network run up to the layer on latents that are given."""
        with self.autocast():
            prefix = self.networks.call_generator(z, lambda: run_prefix(self.networks.generator, self.key.layer, z))
        check_finite(self.key.layer, prefix.activations, first)
        return prefix

    def images(self, at: Prefix, activations: Tensor) -> Tensor:
        """(n, 3, height, width) float32 images of edited activations."""
        with self.autocast():
            return self.networks.call_generator(at.z, lambda: at.images(activations)).float()

    def labels(self, images: Tensor) -> Tensor:
        """(n, slots, h, w) concept numbers."""
        with torch.no_grad(), self.autocast():
            return self.networks.labels(images)

    def features(self, images: Tensor) -> Tensor:
        """(n, d) float32 features of images, with gradients where they are wanted."""
        with self.autocast():
            return self.networks.image_features(images)

    def labels_at(self, at: Prefix, activations: Tensor) -> Tensor:
        """(n, slots, h, w) concept numbers of the images of edited activations."""
        with torch.no_grad():
            return self.labels(self.images(at, activations))

    def areas(self, at: Prefix, activations: Tensor) -> Ints:
        """(n, c) pixels of every concept of the vocabulary."""
        return pixels_by_image(self.labels_at(at, activations), len(self.networks.segmenter.vocabulary))

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, k, h, w) probability of each of k concepts, with gradients."""
        with self.autocast():
            return self.networks.probabilities(images, concepts).float()


def pixels_by_image(labels: Tensor, concepts: int) -> Ints:
    """(n, slots, h, w) -> (n, concepts) pixels; a concept in several slots of a pixel counts once, nothing never."""
    flat = labels.flatten(2)
    slots = []
    for slot in range(flat.shape[1]):
        again = (flat[:, :slot] == flat[:, slot : slot + 1]).any(1)
        slots.append(flat[:, slot].masked_fill(again, 0))
    image = torch.arange(len(flat), device=flat.device)[None, :, None] * concepts
    counts = torch.bincount((torch.stack(slots) + image).flatten(), minlength=len(flat) * concepts)
    pixels = counts.reshape(len(flat), concepts)
    pixels[:, 0] = 0
    return pixels.cpu().numpy()


def batches_of(shard: Shard, size: int = EDIT_BATCH) -> Iterator[tuple[int, int]]:
    """First sample and number of each batch of a shard."""
    for first in range(shard.first, shard.first + shard.count, size):
        yield first, min(size, shard.first + shard.count - first)


# --- precision ------------------------------------------------------------------------------------------------


def half_is_fast(device: str) -> bool:
    """Whether the processor multiplies tiles of bfloat16 (AMX).

    Its vector instructions alone (AVX-512 BF16) do not help: passes took half as long again with them as in float32.
    """
    ask = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return device == "cpu" and ask is not None and bool(ask())


def half_agrees(source: Source, key: InterventionKey) -> float:
    """Share of pixels to which bfloat16 gives the same labels as float32, over a few images; 0 where it fails."""

    def labels(precision: Precision) -> Tensor:
        model = EditedModel(source.models(), replace(key, precision=precision))
        at = model.open(key.selection_seed, 0, EDIT_BATCH)
        return model.labels_at(at, at.activations)

    whole = labels(Precision.FLOAT32)
    try:
        return float((whole == labels(Precision.BFLOAT16)).float().mean())
    except (ModelError, SegmenterError):  # Some operations do not support bfloat16.
        return 0.0


# --- selection latents: where concepts are, and gradient × activation ------------------------------------------


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


# --- held-out latents -----------------------------------------------------------------------------------------


def make_ablations(
    source: Source, key: InterventionKey, sets: Sequence[Units]
) -> Callable[[Shard], tuple[Paired, Areas, AblatedAreas]]:
    """The pass that ablates each set of units, everywhere, and counts every concept."""
    model = EditedModel(source.models(), key)

    def work(shard: Shard) -> tuple[Paired, Areas, AblatedAreas]:
        before, after, pixels = [], [], 0
        for first, count in batches_of(shard):
            at = model.open(key.held_out_seed, first, count)
            labels = model.labels_at(at, at.activations)
            pixels = labels.shape[2] * labels.shape[3]
            before.append(pixels_by_image(labels, len(model.networks.segmenter.vocabulary)))
            after.append(np.stack([model.areas(at, Edit(units)(at.activations)) for units in sets], 1))
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
        pixels = []
        for first in range(0, len(trial.samples), EDIT_BATCH):
            at = open_held_out(model, key, trial.samples[first : first + EDIT_BATCH])
            areas = [model.areas(at, Edit(units)(at.activations))[:, trial.concept] for units in trial.sets]
            pixels.append(np.stack(areas, 1))
        return RandomAblation(np.array(trial.samples, np.int64), np.concatenate(pixels))

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
            pixels.append(np.stack([model.areas(at, edit(at.activations))[:, trial.concept] for edit in edits], 1))
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


def make_contexts(source: Source, key: InterventionKey) -> Callable[[Shard], tuple[PatchContexts, Areas]]:
    """The pass that finds what stands at every patch, and the area of every concept, without any edit."""
    model = EditedModel(source.models(), key)

    def work(shard: Shard) -> tuple[PatchContexts, Areas]:
        contexts, pixels, grid = [], [], 0
        for first, count in batches_of(shard):
            at = model.open(key.held_out_seed, first, count)
            labels = model.labels_at(at, at.activations)
            grid = labels.shape[2] * labels.shape[3]
            contexts.append(contexts_at(labels, key.contexts, patch_grid(*at.size)))
            pixels.append(pixels_by_image(labels, len(model.networks.segmenter.vocabulary)))
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
        at = open_held_out(model, key, samples.tolist())
        where = at.inside(torch.from_numpy(patches).to(at.activations.device))
        random = plan.random_sets(shard.number)
        before = np.array(plan.before[rows], np.int64)
        gains = [
            model.areas(at, Edit(one.units, torch.tensor(one.values), where)(at.activations))[:, concepts] - before
            for one in (*plan.sets, *random)
        ]
        of = np.tile(np.array([one.concept for one in random], np.int64), (shard.count, 1))
        return Insertions(samples, patches, contexts, of, np.stack(gains, 1))

    return work


def contexts_at(labels: Tensor, contexts: Sequence[int], grid: tuple[int, int]) -> Ints:
    """(n, slots, h, w) -> (n, patches) the context at the middle of every patch, 0 for none of them."""
    rows, columns = (
        ((torch.arange(count) + 0.5) * side / count).long() for count, side in zip(grid, labels.shape[2:], strict=True)
    )
    middle = labels[:, :, rows][:, :, :, columns].flatten(2)
    known = torch.isin(middle, torch.tensor(list(contexts), device=labels.device))
    return torch.where(known, middle, 0).amax(1).cpu().numpy()


# --- pictures -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ConceptExample:
    """What is shown of one concept, or of one unit."""

    name: str
    units: Units
    samples: tuple[int, ...]
    """Held-out latents to show with the units ablated."""
    concept: int = 0
    """The concept whose heat map is drawn; 0 for none."""
    values: tuple[float, ...] = ()
    """Activations to which the units are set when they are inserted."""
    inserted: tuple[tuple[int, int], ...] = ()
    """(sample, patch) at which they are."""


def make_concept_examples(source: Source, key: InterventionKey) -> Callable[[ConceptExample], EditedPictures]:
    """The pass that makes the pictures of a concept or a unit."""
    model = EditedModel(source.models(), key)

    def work(example: ConceptExample) -> EditedPictures:
        at = open_held_out(model, key, example.samples)
        before, after = image_pair(model, at, Edit(example.units)(at.activations))
        ablated = segmented(model.networks, after)
        inserted = insertion_pair(model, key, example) if example.inserted else [as_bytes(before[:0])] * 2
        return EditedPictures(
            units=example.units,
            samples=np.array(example.samples, np.int64),
            before=as_bytes(before),
            after=ablated.images,
            labels_before=model.labels(before).cpu().numpy().astype(np.int16),
            labels_after=ablated.labels,
            confidence_after=ablated.confidence,
            heat=heat_map(model, at, example) if example.concept else np.zeros((0, 0, 0), np.float32),
            inserted=np.array(example.inserted, np.int64).reshape(-1, 2),
            inserted_before=inserted[0],
            inserted_after=inserted[1],
        )

    return work


def open_held_out(model: EditedModel, key: InterventionKey, samples: Sequence[int]) -> Prefix:
    """The network run up to the layer on some held-out latents."""
    z = torch.cat([model.networks.latents(key.held_out_seed, sample, 1) for sample in samples])
    return model.open_on(z, samples[0])


def image_pair(model: EditedModel, at: Prefix, changed: Tensor) -> list[Tensor]:
    """(n, 3, height, width) images without and with changed activations."""
    with torch.no_grad():
        return [model.images(at, activations) for activations in (at.activations, changed)]


def insertion_pair(model: EditedModel, key: InterventionKey, example: ConceptExample) -> list[NDArray[np.uint8]]:
    """(m, height, width, 3) images without and with the units inserted at each patch."""
    at = open_held_out(model, key, [sample for sample, _ in example.inserted])
    patches = torch.tensor([patch for _, patch in example.inserted], device=at.activations.device)
    where = at.inside(patches)
    changed = Edit(example.units, torch.tensor(example.values), where)(at.activations)
    return [as_bytes(images) for images in image_pair(model, at, changed)]


def heat_map(model: EditedModel, at: Prefix, example: ConceptExample) -> NDArray[np.float32]:
    """(n, h, w) pixels of the concept gained by inserting the units in each cell, by gradient × activation."""
    ((_, gradient),) = gradients(model, at, at.activations, [example.concept])
    chosen = list(example.units)
    values = torch.tensor(example.values, device=gradient.device).view(1, -1, 1, 1)
    gained = ((values - at.activations[:, chosen]) * gradient[:, chosen]).sum(1, keepdim=True)
    return at.on_image(gained)[:, 0].float().cpu().numpy()


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
