"""Artifact units, on a worker: features of images, what every unit does to them, and pictures before and after.

Everything that is concluded from features is concluded in `analysis`; here networks run, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dissectreport.errors import FeaturesError, ModelError
from dissectreport.models.edits import Edits, repaired
from dissectreport.models.image_folder import open_folder
from dissectreport.networks.edits import Edit
from dissectreport.run.plan import PAIR, Examination, Shard
from dissectreport.stats.base import merge_all
from dissectreport.stats.effects import Nearing
from dissectreport.stats.features import Features, Scale
from dissectreport.worker.interventions import Bench, Units, parts_of
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.observing import samples_of
from dissectreport.worker.pictures import as_bytes
from dissectreport.worker.realism import Witness

Arrays = dict[str, NDArray[Any]]


# --- which arithmetic -----------------------------------------------------------------------------------------


def drift(source: Source, exam: Examination) -> float:
    """How far bfloat16 moves features, beside how far images differ: root mean squares over a few images.

    Infinitely far where it fails: not every operation of anybody's network knows it.
    """

    def rows(precision: str) -> Tensor:
        bench = Bench(source.models(), replace(exam, precision=precision))
        at = bench.open(exam.choosing_seed, 0, PAIR)
        with torch.no_grad():
            return bench.features(bench.images(at, at.activations))

    whole = rows("float32")
    spread = whole.std(dim=0)
    typical = spread.square().mean().sqrt()
    try:
        half = rows("bfloat16")
    except (ModelError, FeaturesError):
        return math.inf
    return float(((half - whole) / spread.clamp(min=float(typical))).square().mean().sqrt())


# --- features of whole images ---------------------------------------------------------------------------------


def make_real(source: Source, exam: Examination, names: Sequence[str]) -> Callable[[Shard], Features]:
    """The pass that describes real images: those of a folder by their names, else the generator's own."""
    bench = Bench(source.models(), exam)

    def work(shard: Shard) -> Features:
        samples = samples_of(shard)
        if names:
            folder = open_folder(source.reference, bench.models.generator.image_size)
            images = folder.read(names[shard.first : shard.first + shard.count])
        else:
            images = bench.models.real(shard, shard.first + shard.count)[1]
        rows = [described(bench, part) for part in parts(images)]
        return Features(samples[: len(images)], np.concatenate(rows))

    return work


def parts(images: Tensor) -> list[Tensor]:
    """The images in batches that are described together."""
    return [images[first : first + PAIR] for first in range(0, len(images), PAIR)]


def described(bench: Bench, images: Tensor) -> NDArray[np.float32]:
    """(n, d) features, without gradients."""
    with torch.no_grad():
        return bench.features(images.to(bench.models.device)).cpu().numpy()


def make_generated(source: Source, exam: Examination, seed: int) -> Callable[[Shard], Features]:
    """The pass that describes generated images of a seed."""
    bench = Bench(source.models(), exam)

    def work(shard: Shard) -> Features:
        rows = []
        for first, count in parts_of(shard):
            z = bench.models.latents(seed, first, count)
            with torch.no_grad(), bench.autocast():
                images = bench.models.images(z, first).float()
            rows.append(described(bench, images))
        return Features(samples_of(shard), np.concatenate(rows))

    return work


# --- what units do --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sides:
    """What nearness compares with."""

    real: NDArray[np.float32]
    """(N, d) features of real images."""
    generated: NDArray[np.float32]
    """(M, d) features of generated ones."""
    scale: Scale

    def witness(self, device: torch.device) -> Witness:
        """The nearness that leads."""
        real, generated = (torch.from_numpy(rows).to(device) for rows in (self.real, self.generated))
        return Witness.of(real, generated, self.scale)


def make_nearing(source: Source, exam: Examination, sides: Sides) -> Callable[[Shard], Nearing]:
    """The pass that estimates, for every unit, how much nearer to real images ablating it would bring the images.

    To first order that is -Σ activation × gradient of nearness: one backward pass tells it of all units.
    """
    bench = Bench(source.models(), exam)
    nearness = sides.witness(bench.models.device)

    def work(shard: Shard) -> Nearing:
        return merge_all([nearing(bench, nearness, *part, exam.choosing_seed) for part in parts_of(shard)])

    return work


def nearing(bench: Bench, nearness: Witness, first: int, count: int, seed: int) -> Nearing:
    """The first-order effects over a few images."""
    at = bench.open(seed, first, count)
    leaf = at.activations.detach().requires_grad_()
    with torch.enable_grad():
        near = nearness(bench.features(bench.images(at, leaf))).sum()
        (gradient,) = torch.autograd.grad(near, leaf, allow_unused=True) if near.requires_grad else (None,)
    if gradient is None or not bool(torch.isfinite(gradient).all()):
        raise ModelError(
            f"the gradient of nearness does not reach layer {bench.aim.layer!r}: the features or the network between "
            "them pass none (or one that is not finite); choose other --features, or another layer"
        )
    effect = -(at.activations * gradient.float()).sum((2, 3)).cpu().double().sum(0).numpy()
    strength = at.activations.float().abs().mean((2, 3)).cpu().double().sum(0).numpy()
    return Nearing(effect, strength, np.float64(count) * np.ones(()))


def make_ablated(source: Source, exam: Examination, sets: Sequence[Units], seed: int) -> Callable[[Shard], Features]:
    """The pass that describes the same images with each set of units ablated: (n, sets, d); () leaves them as they are.

    Samples are paired: variant v of image i comes from the same latent as variant 0 of it.
    """
    bench = Bench(source.models(), exam)

    def work(shard: Shard) -> Features:
        rows = []
        for first, count in parts_of(shard):
            at = bench.open(seed, first, count)
            with torch.no_grad():
                variants = [described(bench, bench.images(at, Edit(units)(at.activations))) for units in sets]
            rows.append(np.stack(variants, axis=1))
        return Features(samples_of(shard), np.concatenate(rows))

    return work


# --- pictures -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Portrait:
    """Images that are shown before and after a repair."""

    name: str
    samples: tuple[int, ...]
    """Scoring latents."""
    units: Units
    """Units that are ablated."""
    suspects: Units
    """Units whose activations the heat map shows; () for none."""
    means: tuple[float, ...] = ()
    """Mean absolute activation of each suspect, by which it is divided there."""


def make_portraits(source: Source, exam: Examination) -> Callable[[Portrait], Arrays]:
    """The pass that makes images before and after a repair, and shows where the suspected units are on."""
    bench = Bench(source.models(), exam)

    def work(portrait: Portrait) -> Arrays:
        found = [_portrait(bench, exam, portrait, sample) for sample in portrait.samples]
        return {name: np.concatenate([one[name] for one in found]) for name in found[0]}

    return work


def _portrait(bench: Bench, exam: Examination, portrait: Portrait, sample: int) -> Arrays:
    at = bench.open(exam.scoring_seed, sample, 1)
    with torch.no_grad():
        before, after = (bench.images(at, a) for a in (at.activations, Edit(portrait.units)(at.activations)))
    rows = np.stack([described(bench, before), described(bench, after)], axis=1)
    found = {
        "samples": np.array([sample]),
        "before": as_bytes(before),
        "after": as_bytes(after),
        "features": rows,
    }
    if portrait.suspects:
        held = at.activations[:, list(portrait.suspects)].float().cpu()
        means = torch.tensor(portrait.means).clamp(min=1e-12)[:, None, None]
        # Where the strongest is: a sum would let one unit hide what another does.
        found["heat"] = (held / means).amax(1).clamp(min=0).numpy()
        found["peaks"] = held.amax((2, 3)).numpy()
    return found


# --- images to take away --------------------------------------------------------------------------------------


def make_repaired(source: Source, edits: Edits, seed: int, other_weights: bool) -> Callable[[Shard], Arrays]:
    """The pass that makes edited images of a seed: (n, height, width, 3) bytes."""
    models = source.models()

    def work(shard: Shard) -> Arrays:
        z = models.latents(seed, shard.first, shard.count)
        with torch.no_grad(), repaired(models.generator, edits, other_weights):
            return {"images": as_bytes(models.images(z, shard.first))}

    return work
