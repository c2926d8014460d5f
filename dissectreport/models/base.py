"""What a generator is, for everything that measures one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Generator(Protocol):
    """A network that turns latents into images, with named layers whose units can be read."""

    name: str
    """What the user called it."""
    identity: str
    """A word that changes whenever the weights or the arithmetic do."""
    latent_shape: tuple[int, ...]
    """The shape of one latent; latents are standard normal, but for a generator that draws its own: one with a method
    `latents(seed, first, count)`, (count, *latent_shape) latents of samples `first` to `first + count`."""
    image_size: tuple[int, int]
    """Height and width of an image in pixels."""
    layers: tuple[str, ...]
    """Names of the layers that can be read, in the order in which they run."""
    default_layers: tuple[str, ...]
    """The layers that a build reads when none are asked for."""
    facts: Mapping[str, Any]
    """What the report tells about the model: family, licence, training card; plain JSON values."""

    @property
    def module(self) -> nn.Module:
        """The network, for hooks."""

    def __call__(self, z: Tensor) -> Tensor:
        """(n, *latent_shape) float32 -> (n, 3, height, width) float32, nominally in [-1, 1]."""

    def to(self, device: torch.device) -> Generator:
        """The same generator on `device`."""

    def untrained(self, seed: int) -> Generator | None:
        """The same architecture with random weights: the control for what training taught the units.

        None where it cannot be made; the report then does without that control, and says so.
        """

    def drawn(self, count: int) -> Tensor | None:
        """(count, 3, h, w) images in [-1, 1] like those it was trained on, or None if there are none here."""
