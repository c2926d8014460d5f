"""What a first batch says about networks before anything is measured: shapes and faults."""

from __future__ import annotations

from torch import Tensor

from dissectreport.errors import ModelError, answered
from dissectreport.models.base import Generator
from dissectreport.models.outputs import range_warning
from dissectreport.networks import hooks
from dissectreport.worker.loaded_networks import latents_of


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


CLOSE = 1e-3
"""Difference of pixels in [-1, 1] that comes from adding up in another order, and from nothing worse."""
