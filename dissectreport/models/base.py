"""What a generator is, for everything that measures one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


class Generator(Protocol):
    """A network that turns latents into images, with named layers whose units can be read.

    It may have `latents(seed, first, count)`, which gives (count, *latent_shape) where its latents are not standard
    normal, `most_samples` where there are only so many of them, `reference`, a folder of real images, and
    `makes_images = False` where it gives back images that it was given: then there is nothing to intervene on.
    """

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


@runtime_checkable
class FolderReader(Generator, Protocol):
    """A network that reads the images of a folder instead of making any; what is broken is left out."""

    makes_images: bool
    """False."""

    def latents(self, seed: int, first: int, count: int) -> Tensor:
        """(count, 3, h, w) the images of samples `first` to `first + count` in the seed's order."""

    def sifted(self, wanted: Iterable[tuple[int, int]]) -> FolderReader:
        """The same without those images that are broken among the first `count` of each seed's order."""

    def without(self, names: Iterable[str]) -> FolderReader:
        """The same without images that are known to be broken."""

    def broken(self) -> tuple[str, ...]:
        """The images that are known to be broken."""

    def told(self) -> Mapping[str, Any]:
        """What the report says of the images: `folder`, `images`, `left_out`."""

    def lines(self) -> tuple[str, ...]:
        """What a person should know of the images, a line each."""


def makes_images(generator: Generator) -> bool:
    """Whether the generator's images are its own, so that changing its units changes them."""
    return bool(getattr(generator, "makes_images", True))


def most_samples(generator: Generator) -> int | None:
    """How many samples the generator has; None where there is no end of them."""
    most = getattr(generator, "most_samples", None)
    return None if most is None else int(most)
