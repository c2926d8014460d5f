"""Artifact units, on a worker: features of images, what every unit does to them, and pictures before and after.

Networks run here; all conclusions from features are drawn in `analysis`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dissectreport.errors import FeaturesError, ModelError
from dissectreport.models.edits import Edits, repaired
from dissectreport.models.image_folder import open_folder
from dissectreport.networks.edits import Edit
from dissectreport.records.artifacts import RepairPictures, Units
from dissectreport.run.plan import ArtifactKey
from dissectreport.run.precision import Precision
from dissectreport.run.shards import EDIT_BATCH, Shard
from dissectreport.stats.base import merge_all
from dissectreport.stats.effects import RealismGain
from dissectreport.stats.features import Features, FeatureScale
from dissectreport.worker.edited_model import EditedModel, batches_of, image_pair
from dissectreport.worker.finite_images import with_finite_images
from dissectreport.worker.later import Later
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.observing import samples_of
from dissectreport.worker.pictures import as_bytes
from dissectreport.worker.realism import Witness

Images = NDArray[np.uint8]


# --- precision ------------------------------------------------------------------------------------------------


def drift(source: Source, key: ArtifactKey) -> float:
    """How far bfloat16 moves features, relative to how much images differ: root mean squares over a few images.

    Infinity if it fails: some operations do not support bfloat16.
    """

    def rows(precision: Precision) -> Tensor:
        model = EditedModel(source.models(), replace(key, precision=precision))
        at = model.open(key.selection_seed, 0, EDIT_BATCH)
        with torch.no_grad():
            return model.features(model.images(at, at.activations))

    whole = with_finite_images(source.models(), lambda: rows(Precision.FLOAT32))
    spread = whole.std(dim=0)
    typical = spread.square().mean().sqrt()
    try:
        half = rows(Precision.BFLOAT16)
    except (ModelError, FeaturesError):
        return math.inf
    return float(((half - whole) / spread.clamp(min=float(typical))).square().mean().sqrt())


# --- features of whole images ---------------------------------------------------------------------------------


def make_real(source: Source, key: ArtifactKey, names: Sequence[str]) -> Callable[[Shard], Features]:
    """The pass that describes real images: those of a folder by their names, else the generator's own.

    Where there is a second network, its features follow those of the first, because real images are slow to make.
    """
    model = EditedModel(source.models(), key)

    def work(shard: Shard) -> Features:
        samples = samples_of(shard)
        if names:
            folder = open_folder(source.reference, model.networks.generator.image_size)
            images = folder.read(names[shard.first : shard.first + shard.count])
        else:
            images = model.networks.real(shard, shard.first + shard.count)[1]
        rows = np.concatenate([describe(model, part) for part in parts(images)])
        if source.second:
            second = [describe_in(model, part) for part in parts(images)]
            rows = np.concatenate([rows, np.concatenate(second)], axis=1)
        return Features(samples[: len(images)], rows)

    return work


def describe_in(model: EditedModel, images: Tensor) -> NDArray[np.float32]:
    """(n, d) features of the second network, without gradients."""
    networks = model.networks
    with torch.no_grad():
        return networks.image_features(images.to(networks.device), networks.second).cpu().numpy()


def parts(images: Tensor) -> list[Tensor]:
    """The images in batches that are described together."""
    return [images[first : first + EDIT_BATCH] for first in range(0, len(images), EDIT_BATCH)]


def describe(model: EditedModel, images: Tensor) -> NDArray[np.float32]:
    """(n, d) features, without gradients."""
    with torch.no_grad():
        return model.features(images.to(model.networks.device)).cpu().numpy()


def make_generated(source: Source, key: ArtifactKey, seed: int) -> Callable[[Shard], Features]:
    """The pass that describes generated images of a seed."""
    model = EditedModel(source.models(), key)

    def work(shard: Shard) -> Features:
        rows = []
        for first, count in batches_of(shard):
            z = model.networks.latents(seed, first, count)
            with torch.no_grad(), model.autocast():
                images = model.networks.images(z, first).float()
            rows.append(describe(model, images))
        return Features(samples_of(shard), np.concatenate(rows))

    return work


# --- effects of units -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RealismSets:
    """The two sets of images that the realism score compares with."""

    real: NDArray[np.float32]
    """(N, d) features of real images."""
    generated: NDArray[np.float32]
    """(M, d) features of generated ones."""
    scale: FeatureScale

    def witness(self, device: torch.device) -> Witness:
        """The realism score."""
        real, generated = (torch.from_numpy(rows).to(device) for rows in (self.real, self.generated))
        return Witness.of(real, generated, self.scale)


def make_realism_effects(source: Source, key: ArtifactKey, sets: RealismSets) -> Callable[[Shard], RealismGain]:
    """The pass that estimates, for every unit, how much ablating it would raise the realism score of the images.

    By gradient × activation that is -Σ activation × gradient of the score: one backward pass gives it for all units.
    """
    model = EditedModel(source.models(), key)
    realism = sets.witness(model.networks.device)

    def work(shard: Shard) -> RealismGain:
        return merge_all([realism_effects(model, realism, *part, key.selection_seed) for part in batches_of(shard)])

    return work


def realism_effects(model: EditedModel, realism: Witness, first: int, count: int, seed: int) -> RealismGain:
    """The sums of gradient × activation of the realism score over a few images."""
    at = model.open(seed, first, count)
    leaf = at.activations.detach().requires_grad_()
    with torch.enable_grad():
        score = realism(model.features(model.images(at, leaf))).sum()
        (gradient,) = torch.autograd.grad(score, leaf, allow_unused=True) if score.requires_grad else (None,)
    if gradient is None or not bool(torch.isfinite(gradient).all()):
        raise ModelError(
            f"the gradient of the realism score does not reach layer {model.key.layer!r}: the features or the network "
            "between them pass none (or one that is not finite); choose other --features, or another layer"
        )
    effect = -(at.activations * gradient.float()).sum((2, 3)).cpu().double().sum(0).numpy()
    mean_activation = at.activations.float().abs().mean((2, 3)).cpu().double().sum(0).numpy()
    return RealismGain(effect, mean_activation, np.float64(count) * np.ones(()))


def make_ablated(source: Source, key: ArtifactKey, sets: Sequence[Units], seed: int) -> Callable[[Shard], Features]:
    """The pass that describes the same images with each set of units ablated: (n, sets, d); () leaves them as they are.

    Samples are paired: variant v of image i comes from the same latent as variant 0 of it.
    """
    model = EditedModel(source.models(), key)

    def work(shard: Shard) -> Features:
        rows: list[NDArray[np.float32]] = []
        with Later() as later:
            for first, count in batches_of(shard):
                at = model.open(seed, first, count, later)
                model.take_features(at, [Edit(units) for units in sets], later, rows.append)
        return Features(samples_of(shard), np.concatenate(rows))

    return work


# --- pictures -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RepairExample:
    """Images that are shown before and after a repair."""

    name: str
    samples: tuple[int, ...]
    """Held-out latents."""
    units: Units
    """Units that are ablated."""
    heat_units: Units
    """Units whose activations the heat map shows; () for none."""
    means: tuple[float, ...] = ()
    """Mean absolute activation of each shown unit, by which it is divided there."""


def make_repair_examples(source: Source, key: ArtifactKey) -> Callable[[RepairExample], RepairPictures]:
    """The pass that makes images before and after a repair, and shows where the shown units are on."""
    model = EditedModel(source.models(), key)

    def work(example: RepairExample) -> RepairPictures:
        parts = [repair_pictures(model, key, example, sample) for sample in example.samples]
        return RepairPictures(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})

    return work


def repair_pictures(model: EditedModel, key: ArtifactKey, example: RepairExample, sample: int) -> RepairPictures:
    """One image before and after a repair."""
    at = model.open(key.scoring_seed, sample, 1)
    before, after = image_pair(model, at, Edit(example.units)(at.activations))
    features = np.stack([describe(model, before), describe(model, after)], axis=1)
    heat, peaks = heat_activations(at.activations, example)
    return RepairPictures(np.array([sample]), as_bytes(before), as_bytes(after), features, heat, peaks)


def heat_activations(activations: Tensor, example: RepairExample) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(n, h, w) the strongest shown unit, each over its mean, and (n, heat units) their peaks; empty without any."""
    maps = activations[:, list(example.heat_units)].float().cpu()
    if not example.heat_units:
        return np.zeros((len(maps), 0, 0), np.float32), np.zeros((len(maps), 0), np.float32)
    means = torch.tensor(example.means).clamp(min=1e-12)[:, None, None]
    # The maximum, because in a sum one unit could hide another.
    return (maps / means).amax(1).clamp(min=0).numpy(), maps.amax((2, 3)).numpy()


# --- repaired images -------------------------------------------------------------------------------------------


def make_repaired(source: Source, edits: Edits, seed: int, other_weights: bool) -> Callable[[Shard], Images]:
    """The pass that makes edited images of a seed: (n, height, width, 3) bytes."""
    models = source.models()

    def work(shard: Shard) -> Images:
        z = models.latents(seed, shard.first, shard.count)
        with torch.no_grad(), repaired(models.generator, edits, other_weights):
            return as_bytes(models.images(z, shard.first))

    return work
