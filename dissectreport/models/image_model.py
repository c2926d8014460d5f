"""A network that takes images, dissected on the images of a folder.

    model = FolderImageModel(
        name="classifier",
        module=network,                              # (n, 3, h, w) -> anything
        folder=open_folder("photos", (224, 224)),
        layers=("features.10", "features.28"),
        default_layers=("features.28",),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )

To the rest of the package it is a generator whose latents are images, and which returns them unchanged after the
network has run on them. The segmenter labels these images. A `RedrawingModel` returns what the network makes of
them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from dissectreport.errors import FolderError, ModelError, counted
from dissectreport.models.image_folder import ImageFolder, Unreadable
from dissectreport.models.network_generator import OUTPUT, check_layers
from dissectreport.models.outputs import OutputFormat
from dissectreport.networks.identity import identity_of


class ImageCollection(Protocol):
    """Images of one size that are read by name: those of a folder (`ImageFolder`), or drawn (`DrawnImages`)."""

    @property
    def name(self) -> str:
        """What it is called, without a path."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of an image."""

    @property
    def identity(self) -> str:
        """Changes whenever an image does."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all readable images."""

    @property
    def undecodable(self) -> tuple[Unreadable, ...]:
        """Images that are known to fail when they are decoded."""

    def left_out(self) -> tuple[str, ...]:
        """Names of the images that are left out: known to be unreadable, or near-duplicates of others."""

    def __len__(self) -> int: ...

    def order(self, seed: int) -> tuple[str, ...]:
        """The names in a random order that depends on `seed`."""

    def read(self, names: Sequence[str]) -> Tensor:
        """(n, 3, height, width) in [-1, 1]: the images of these names."""

    def validated(self, prefixes: Iterable[tuple[int, int]]) -> ImageCollection:
        """The same without images that cannot be decoded; see `ImageFolder.validated`."""

    def without(self, names: Iterable[str]) -> ImageCollection:
        """The same without the images of these names."""

    def description(self) -> Mapping[str, Any]:
        """For the report: `folder`, `images`, `unreadable`, `similar`."""

    def notes(self) -> tuple[str, ...]:
        """What a user should know, one line each."""


@dataclass(frozen=True, eq=False)
class FolderImageModel:
    """An `ImageModel` made of a network and a folder. What the network returns is not used.

    Raises a ModelError if the network has no such layers, or if `mean` or `std` are not three numbers.
    """

    name: str
    module: nn.Module
    folder: ImageCollection
    layers: tuple[str, ...]
    default_layers: tuple[str, ...]
    mean: tuple[float, ...] = ()
    """Mean of red, green and blue in [0, 1]: the network gets (image - mean) / std. () for 0 if `std` is given.
    Without both, the network gets images in [-1, 1]."""
    std: tuple[float, ...] = ()
    """Standard deviation of red, green and blue in [0, 1]; () for 1 if `mean` is given."""
    channels: tuple[int, ...] = ()
    """The order in which the network gets red (0), green (1) and blue (2), such as (2, 1, 0); () for red first."""
    reinitialise: Callable[[int], nn.Module] | None = None
    """`reinitialise(seed)` returns a new network of the same architecture with random weights."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    identity: str = ""
    """Computed from the network, `mean`, `std`, the folder and `code` if it is ''."""
    code: str = ""
    """What else the activations depend on, such as the SHA-256 of the file with the network's code."""
    makes_images: ClassVar[bool] = False
    """Editing units changes no image."""

    def __post_init__(self) -> None:
        check_layers(self.module, (*self.layers, *self.default_layers))
        if any(len(channels) not in (0, 3) for channels in (self.mean, self.std)) or not all(s > 0 for s in self.std):
            raise ModelError(
                f"{self.name!r} needs three means and three positive standard deviations, of red, green and blue in "
                f"[0, 1]; got {list(self.mean)} and {list(self.std)}"
            )
        if any(mean > 1 for mean in self.mean):
            raise ModelError(
                f"{self.name!r} has the means {list(self.mean)}, which are for colours from 0 to 255; divide mean and "
                "std by 255, because images are in [0, 1]"
            )
        if self.channels and sorted(self.channels) != [0, 1, 2]:
            raise ModelError(
                f"{self.name!r} has the channels {list(self.channels)}; give 0, 1 and 2 in the order that the "
                "network expects"
            )
        self.module.requires_grad_(False).eval()
        if not self.identity:
            order = f" {list(self.channels)}" if self.channels else ""
            normalisation = f"{list(map(float, self.mean))} {list(map(float, self.std))}{order}"
            parts = (identity_of(self.module), normalisation, self.folder.identity, self.code, self.output_digest)
            object.__setattr__(self, "identity", " ".join(filter(None, parts)))

    @property
    def output_digest(self) -> str:
        """What the images depend on besides the network and the folder; '' as they are those of the folder."""
        return ""

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width to which images are resized."""
        return self.folder.size

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of an image."""
        return (3, *self.folder.size)

    @property
    def max_samples(self) -> int:
        """The number of readable images without near-duplicates."""
        return len(self.folder)

    def __call__(self, z: Tensor) -> Tensor:
        """(n, 3, h, w) images in [-1, 1] -> the same images, after the network has run on them."""
        self.module(self.normalised(z))
        return z

    def normalised(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> a new tensor, normalised, with colours in the order of `channels`."""
        if self.mean or self.std:
            mean, std = self.mean or (0.0,) * 3, self.std or (1.0,) * 3
            images = ((images + 1) / 2 - _by_channel(mean, images)) / _by_channel(std, images)
        return images[:, list(self.channels)] if self.channels else images.clone()

    def latents(self, seed: int, first: int, count: int) -> Tensor:
        """(count, 3, h, w) the images of samples `first` to `first + count - 1` in the order of `seed`."""
        names = self.folder.order(seed)
        if first + count > len(names):
            available = counted(len(names), "image")
            raise FolderError(
                f"the folder {self.folder.name} has {available}; --samples must be at most {len(names):,}"
            )
        return self.folder.read(names[first : first + count])

    def to(self, device: torch.device) -> FolderImageModel:
        """The same model on `device`; the network itself is moved."""
        return replace(self, module=self.module.to(device))

    def untrained(self, seed: int) -> FolderImageModel | None:
        """The same architecture with random weights, or None without `reinitialise`."""
        if self.reinitialise is None:
            return None
        return replace(self, name=f"{self.name}_untrained", module=self.reinitialise(seed), identity="")

    def training_like_images(self, count: int) -> Tensor | None:
        """None: the images of the folder are shown already."""
        return None

    def validated(self, prefixes: Iterable[tuple[int, int]]) -> FolderImageModel:
        """The same model without images that cannot be decoded; see `ImageFolder.validated`."""
        return replace(self, folder=self.folder.validated(prefixes))

    def without(self, names: Iterable[str]) -> FolderImageModel:
        """The same model without the images of these names."""
        return replace(self, folder=self.folder.without(names))

    def left_out(self) -> tuple[str, ...]:
        """Names of the images that are left out: known to be unreadable, or near-duplicates of others."""
        return self.folder.left_out()

    def description(self) -> Mapping[str, Any]:
        """For the report: `folder`, `images`, `unreadable`, `similar`."""
        return self.folder.description()

    def notes(self) -> tuple[str, ...]:
        """What a user should know about the images, one line each."""
        return self.folder.notes()


@dataclass(frozen=True, eq=False)
class RedrawingModel(FolderImageModel):
    """A network that redraws images, such as an autoencoder, on the images of a folder.

    Its samples are the images that it returns, so that ablating its units changes them. The images of the folder are
    the real images that they are compared with.
    """

    folder: ImageFolder
    output: OutputFormat = OUTPUT
    """How to get images from what the network returns."""
    _orders: dict[int, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False)
    makes_images: ClassVar[bool] = True
    """Editing units changes the images."""

    @property
    def output_digest(self) -> str:
        """A digest of `output`."""
        return f"redrawn-{hashlib.sha256(repr(self.output).encode()).hexdigest()[:16]}"

    @property
    def reference(self) -> Path:
        """The folder, whose images are the real ones."""
        return self.folder.path

    def __call__(self, z: Tensor) -> Tensor:
        """(n, 3, h, w) images in [-1, 1] -> (n, 3, h, w) what the network makes of them, nominally in [-1, 1]."""
        return self.output.images(self.module(self.normalised(z)))

    def latents(self, seed: int, first: int, count: int) -> Tensor:
        """(count, 3, h, w) the images of samples `first` to `first + count - 1` in the order of `seed`.

        Images of even and of odd seeds differ as long as half of the folder suffices, so that what is selected on
        the one is measured on the other. All images are used before one is used again.
        """
        names = self.order(seed)
        return self.folder.read([names[number % len(names)] for number in range(first, first + count)])

    def order(self, seed: int) -> tuple[str, ...]:
        """The names in the order of a seed: one half of the images first, another one for even than for odd seeds."""
        if seed not in self._orders:
            first = frozenset(self.folder.order(0)[seed % 2 :: 2])
            self._orders[seed] = tuple(sorted(self.folder.order(seed), key=lambda name: name not in first))
        return self._orders[seed]

    def validated(self, prefixes: Iterable[tuple[int, int]]) -> RedrawingModel:
        """The same model without images that cannot be decoded; all are tried."""
        return replace(self, folder=self.folder.validated([(0, len(self.folder.files))]))

    def notes(self) -> tuple[str, ...]:
        """What a user should know about the images, one line each."""
        halves = "interventions select units on one half of the photographs and measure on the other"
        return (*self.folder.notes(), f"{self.folder.name}: {halves}; where these are too few, photographs repeat")

    def training_like_images(self, count: int) -> Tensor | None:
        """(n, 3, h, w) the first `count` images of the folder, or all of them."""
        return self.folder.first(count)


def _by_channel(values: tuple[float, ...], images: Tensor) -> Tensor:
    return images.new_tensor(values)[:, None, None]
