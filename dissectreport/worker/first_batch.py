"""What a first batch says about networks before anything is measured: shapes, faults, and the time they take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dissectreport.errors import ModelError, answered
from dissectreport.models.base import Generator
from dissectreport.models.outputs import range_warning
from dissectreport.networks import hooks
from dissectreport.worker.loaded_networks import Source, latents_of


def layer_shape(generator: Generator, layer: str) -> tuple[int, int, int]:
    """Units, height and width of a layer, told by one latent."""
    z = latents_of(generator, 0, 0, 1)
    who = f"generator {generator.name!r} failed on a latent of its latent_shape {tuple(z.shape[1:])}"
    maps: Tensor = answered(ModelError, who, lambda: hooks.read(generator, [layer], z)[layer])
    units, height, width = maps.shape[1:]
    return units, height, width


def check_look(generator: Generator, images: Tensor) -> None:
    """Refuse first images that can hardly be what they are declared to be."""
    declared = getattr(getattr(generator, "output", None), "declared", False)
    doubt = range_warning(images, declared)
    if doubt:
        raise ModelError(f"generator {generator.name!r}: {doubt}")


@dataclass(frozen=True)
class NetworkCost:
    """What the networks took on a first batch."""

    generator: float
    """Seconds for a sample."""
    segmenter: float
    """Seconds for a sample."""
    units: int
    """In the layers that are read."""
    concepts: int
    """That occur in the batch."""
    unlike: float = 0.0
    """Largest difference between pixels of the same samples, made twice."""


CLOSE = 1e-3
"""Difference of pixels in [-1, 1] that comes from adding up in another order, and from nothing worse."""


def networks_cost(source: Source, layers: Sequence[str], seed: int, batch: int) -> NetworkCost:
    """What generator and segmenter take on a seed's first samples.

    On a processor the seconds are those of a thread, so that what else the machine does counts for nothing.
    It is also the first batch that is checked: what would stop a run stops it here, before anything is measured.
    """
    threads = torch.get_num_threads()
    models = source.models()
    z = models.latents(seed, 0, batch)
    with torch.no_grad(), hooks.reading(models.generator.module, layers) as seen:
        images = models.images(z, 0)
        check_look(models.generator, images)
        for name, maps in seen.items():
            hooks.check_finite(name, maps, 0)
        clock = time.process_time if source.device == "cpu" else time.perf_counter
        started = clock()
        again = models.images(z, 0)
        between = clock()
        labels = models.labels(images)
        ended = clock()
    torch.set_num_threads(threads)
    units = sum(maps.shape[1] for maps in seen.values())
    concepts = int(torch.count_nonzero(torch.unique(labels)))
    unlike = float((again - images).abs().max())
    return NetworkCost((between - started) / batch, (ended - between) / batch, units, concepts, unlike)
