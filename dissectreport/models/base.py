"""The protocol of a generator: what a plug-in of the group `dissectreport.generators` returns.

Most plug-ins need not implement it: `NetworkGenerator` (models/network_generator.py) wraps any network.

    def load() -> Generator:
        return NetworkGenerator("mine", network, latent_shape=(128,), image_size=(64, 64), layers=("block1",))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


class Generator(Protocol):
    """A network that turns latents into images, with named layers whose units can be read and edited.

    Three members are optional, and are looked up with getattr:

    - `latents(seed, first, count)` returns the (count, *latent_shape) latents of the samples from `first` to
      `first + count - 1`. Without it, latents are standard normal.
    - `max_samples`: the number of samples, where it is limited.
    - `reference`: the path of a folder of real images.

    Each worker process loads the generator once and calls it on many batches, always under `torch.no_grad()` except
    for interventions. Any exception that a member raises is reported as one line that begins with the generator's name.
    """

    name: str
    """What the user calls the generator."""
    identity: str
    """Changes whenever the weights or the arithmetic change. Measured counts are kept by it: two generators of one
    identity share them."""
    latent_shape: tuple[int, ...]
    """Shape of one latent."""
    image_size: tuple[int, int]
    """Height and width of an image in pixels."""
    layers: tuple[str, ...]
    """Names of the layers that can be measured, as in `module.named_modules()`, in the order in which they run."""
    default_layers: tuple[str, ...]
    """The layers that are measured when the user names none; a part of `layers`."""
    facts: Mapping[str, Any]
    """What the report shows about the model: family, licence, dataset. Plain JSON values. The value of `segmenter` is
    the default segmenter's name."""

    @property
    def module(self) -> nn.Module:
        """The network that contains the layers; hooks are registered on it."""

    def __call__(self, z: Tensor) -> Tensor:
        """(n, *latent_shape) float32 -> (n, 3, height, width) float32 RGB, nominally in [-1, 1].

        The same latents must give the same images, and must run each layer of `layers` once.
        """

    def to(self, device: torch.device) -> Generator:
        """The same generator on `device`. The network itself may be moved."""

    def untrained(self, seed: int) -> Generator | None:
        """The same architecture with random weights, as a control. None means that the report has no such control."""

    def training_like_images(self, count: int) -> Tensor | None:
        """(count, 3, height, width) images in [-1, 1] from the distribution of the training data.

        They are used when no folder of real images is given. None means that there are none.
        """


@runtime_checkable
class ImageModel(Generator, Protocol):
    """A network that takes images, such as a classifier, dissected on the images of a folder.

    Its latents are the images of the folder, in an order that depends on the seed. A classifier returns them
    unchanged, so that its layers can be measured, but interventions are not possible. An autoencoder returns them
    reconstructed, and its units can be edited. Files that cannot be decoded are skipped.
    """

    makes_images: bool
    """Whether it returns images of its own, so that editing units changes them."""

    def latents(self, seed: int, first: int, count: int) -> Tensor:
        """(count, 3, height, width) the images of samples `first` to `first + count - 1` in the order of `seed`."""

    def validated(self, prefixes: Iterable[tuple[int, int]]) -> ImageModel:
        """The same model without images that cannot be decoded.

        For each (seed, count) in `prefixes`, the first `count` readable images in the order of `seed` are decoded.
        """

    def without(self, names: Iterable[str]) -> ImageModel:
        """The same model without the images of these names."""

    def left_out(self) -> tuple[str, ...]:
        """Names of the images that are left out: known to be unreadable, or near-duplicates of others."""

    def description(self) -> Mapping[str, Any]:
        """For the report: `folder` (its name), `images` (those that are used), and the numbers of files that are
        left out: `unreadable`, `similar`."""

    def notes(self) -> tuple[str, ...]:
        """What a user should know about the images, one line each: skipped files, enlarged and cropped images."""


def makes_images(generator: Generator) -> bool:
    """Whether the generator makes its images, so that editing units changes them."""
    return bool(getattr(generator, "makes_images", True))


def max_samples(generator: Generator) -> int | None:
    """The number of samples of the generator; None if it is unlimited."""
    limit = getattr(generator, "max_samples", None)
    return None if limit is None else int(limit)
