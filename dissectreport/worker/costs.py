"""The time that networks take for a first batch, from which the time of a run is estimated.

On a CPU the seconds are those of one thread; `slowdown` is the factor by which other programs delay them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from dissectreport.errors import DissectReportError
from dissectreport.networks import edits, hooks
from dissectreport.records.behaviour import FEATURES, Behaviour
from dissectreport.run.precision import Precision
from dissectreport.run.shards import EDIT_BATCH, Shard
from dissectreport.worker import contracts, memory
from dissectreport.worker.edited_model import EditedModel
from dissectreport.worker.first_batch import CLOSE, REMEMBERED, behaviour, check_look
from dissectreport.worker.loaded_networks import Models, Source

T = TypeVar("T")

NOTHING_SEEN = Behaviour({})

REAL = 4
"""Real images that are timed."""


@dataclass(frozen=True)
class NetworksCost:
    """The time that generator and segmenter take."""

    generator: float
    """Seconds for a sample."""
    segmenter: float
    """Seconds for a sample."""
    units: int
    """Number of units in the layers that are read."""
    concepts: int
    """Number of concepts that occur in the batch."""
    slowdown: float = 1.0
    """Seconds that pass for each second of work: above 1 where other programs use the machine."""
    repeats: bool = True
    """Whether the same samples give the same images."""
    behaviour: Behaviour = NOTHING_SEEN
    """What the networks did on the batch."""
    cautions: tuple[str, ...] = ()
    """Problems with the networks, one line each."""
    memory: str = ""
    """That batches are smaller than planned; '' where they are not."""


@dataclass(frozen=True)
class EditCost:
    """Seconds for a sample of what editing one layer takes."""

    units: int = 0
    """Number of units of the layer."""
    tail: float = 0.0
    """From the layer's activations to the image."""
    forward: float = 0.0
    """From the activations to the probabilities of concepts, with gradients."""
    backward: float = 0.0
    """The gradient of one concept's probabilities."""
    features: float = 0.0
    """The features of an image."""
    features_backward: float = 0.0
    """From the activations to features and back."""
    real: float = 0.0
    """To make or read a real image."""


@dataclass(frozen=True)
class Costs:
    """The time of everything that a run may need."""

    networks: NetworksCost
    edits: Mapping[str, EditCost]
    """By layer, of those that are edited."""


@dataclass(frozen=True)
class _Layer:
    """A layer that is edited in float32."""

    layer: str
    selection_seed: int
    precision: str = Precision.FLOAT32


def make_costs(
    source: Source, layers: Sequence[str], edited: Mapping[str, bool], seed: int
) -> Callable[[Shard], Costs]:
    """The pass that times the networks on its samples, and edits of layers, each with features of images or without."""
    threads = torch.get_num_threads()

    def work(shard: Shard) -> Costs:
        models = source.models()
        try:
            networks = networks_cost(models, layers, seed, shard.count)
            if any(edited.values()):
                networks = replace(networks, behaviour=networks.behaviour.joined(features_behaviour(models, seed)))
            return Costs(networks, {layer: edit_cost(models, layer, seed, with_) for layer, with_ in edited.items()})
        finally:
            torch.set_num_threads(threads)

    return work


def networks_cost(models: Models, layers: Sequence[str], seed: int, batch: int) -> NetworksCost:
    """The time of generator and segmenter for a seed's first samples.

    The batch is also checked, so that faults stop a run before anything is measured.
    """
    planned, batch = batch, fitting_batch(models, layers, seed, batch)
    z = models.latents(seed, 0, batch)
    with torch.no_grad(), hooks.reading(models.generator.module, layers) as activations:
        images = models.images(z, 0)
        check_look(models.generator, images)
        for name, maps in activations.items():
            hooks.check_finite(name, maps, 0)
        began = time.perf_counter()
        generator, again = _timed(models, lambda: models.images(z, 0))
        segmenter, labels = _timed(models, lambda: models.labels(images))
        passed = time.perf_counter() - began
    units = sum(maps.shape[1] for maps in activations.values())
    concepts = int(torch.count_nonzero(torch.unique(labels)))
    slowdown = max(1.0, passed / max(generator + segmenter, 1e-9))
    repeats = float((again - images).abs().max()) <= CLOSE
    seen, doubts = behaviour(images, labels, activations), contracts.cautions(models, z, images, labels, repeats)
    return NetworksCost(
        generator / batch,
        segmenter / batch,
        units,
        concepts,
        slowdown,
        repeats,
        seen,
        doubts,
        memory.caution(batch, planned),
    )


def fitting_batch(models: Models, layers: Sequence[str], seed: int, batch: int) -> int:
    """How many samples fit into memory together, kept with the networks; all of them on a processor."""

    def run(z: Tensor, first: int) -> None:
        with torch.no_grad(), hooks.reading(models.generator.module, layers):
            models.labels(models.images(z, first))

    if not models.fitting and models.device.type == "cpu":
        return batch
    models.fitting = models.fitting or memory.at_once(run, models.latents(seed, 0, batch))
    return min(batch, models.fitting)


def features_behaviour(models: Models, seed: int) -> Behaviour:
    """What the feature network gives for the first samples; nothing where it fails, as the search itself will say."""
    try:
        with torch.no_grad():
            images = models.images(models.latents(seed, 0, REMEMBERED), 0)
            return Behaviour({FEATURES: models.image_features(images).cpu().numpy()})
    except (DissectReportError, RuntimeError):
        return NOTHING_SEEN


def edit_cost(models: Models, layer: str, seed: int, features: bool) -> EditCost:
    """The time of editing a layer, and of features if `features` is set. Zeros for what does not work."""
    model, units = EditedModel(models, _Layer(layer, seed)), 0
    try:
        at = model.open(seed, 0, EDIT_BATCH)
        units = at.activations.shape[1]
        with torch.no_grad():
            tail, images = _timed(models, lambda: model.images(at, at.activations))
            labels = model.labels(images)
        forward, backward = _gradients(model, at, [number for number in torch.unique(labels).tolist() if number][:4])
        if not features:
            return EditCost(units, tail / EDIT_BATCH, forward / EDIT_BATCH, backward / EDIT_BATCH)
        with torch.no_grad():
            described, _ = _timed(models, lambda: model.features(images))
        leaf = at.activations.detach().requires_grad_()
        back, _ = _timed(models, lambda: model.features(model.images(at, leaf)).sum().backward())  # type: ignore[no-untyped-call]
        real, _ = _timed(models, lambda: models.real(Shard(0, 0, REAL), REAL))
    except (DissectReportError, RuntimeError):
        return EditCost(units)
    n = EDIT_BATCH
    return EditCost(units, tail / n, forward / n, backward / n, described / n, back / n, real / REAL)


def _gradients(model: EditedModel, at: edits.Prefix, concepts: Sequence[int]) -> tuple[float, float]:
    """Seconds of the probabilities of concepts, and of the gradient of one of them."""
    if not hasattr(model.networks.segmenter, "probabilities"):
        return 0.0, 0.0
    leaf = at.activations.detach().requires_grad_()
    forward, shares = _timed(model.networks, lambda: model.probabilities(model.images(at, leaf), concepts or [1]))
    area = shares[:, 0].sum()
    if not area.requires_grad:
        return forward, forward
    backward, _ = _timed(model.networks, lambda: torch.autograd.grad(area, leaf, allow_unused=True))
    return forward, backward


def _timed(models: Models, work: Callable[[], T]) -> tuple[float, T]:
    """The seconds that some work takes, and its result."""
    clock = time.process_time if models.device.type == "cpu" else time.perf_counter
    began = clock()
    result = work()
    if models.device.type == "cuda":
        torch.cuda.synchronize(models.device)
    return clock() - began, result
