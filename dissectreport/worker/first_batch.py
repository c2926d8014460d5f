"""A first batch before anything is measured: shapes, faults, and what the networks do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from dissectreport.errors import ModelError, answered
from dissectreport.models.base import Generator
from dissectreport.models.outputs import range_warning
from dissectreport.networks import hooks
from dissectreport.records.behaviour import IMAGES, LABELS, LAYER, Behaviour
from dissectreport.worker.loaded_networks import latents_of

REMEMBERED = 4
"""Samples by which a network is recognised."""
IMAGE_SIDE, MAP_SIDE, LABEL_SIDE = 16, 4, 32
"""Rows and columns of images, activations and labels of which values are kept, at most."""


def layer_shape(generator: Generator, layer: str) -> tuple[int, int, int]:
    """Units, height and width of a layer, measured on one latent."""
    z = latents_of(generator, 0, 0, 1)
    who = f"generator {generator.name!r} failed on a latent of its latent_shape {tuple(z.shape[1:])}"
    maps: Tensor = answered(ModelError, who, lambda: hooks.read(generator, [layer], z)[layer])
    units, height, width = maps.shape[1:]
    return units, height, width


def check_look(generator: Generator, images: Tensor) -> None:
    """Refuse first images that can hardly be what they are declared to be."""
    output = getattr(generator, "output", None)
    doubt = range_warning(images, getattr(output, "declared", False), getattr(output, "certain", False))
    if doubt:
        raise ModelError(f"generator {generator.name!r}: {doubt}")


CLOSE = 1e-3
"""Difference of pixels in [-1, 1] that comes from adding up in another order, and from nothing worse."""


def behaviour(images: Tensor, labels: Tensor, activations: Mapping[str, Tensor]) -> Behaviour:
    """What the networks did: values at evenly spaced places of the first samples."""
    layers = {f"{LAYER}{name}": _spaced(maps, MAP_SIDE) for name, maps in activations.items()}
    return Behaviour({IMAGES: _spaced(images, IMAGE_SIDE), LABELS: _spaced(labels, LABEL_SIDE), **layers})


def _spaced(values: Tensor, side: int) -> NDArray[Any]:
    """(n, channels, height, width) values at no more than about `side` rows and columns, of the first samples."""
    height, width = values.shape[-2:]
    few = values[:REMEMBERED, ..., :: max(1, height // side), :: max(1, width // side)].detach().cpu()
    return few.float().numpy() if few.is_floating_point() else few.short().numpy()
