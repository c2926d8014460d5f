"""A network that reads images, dissected on the images of a folder.

    reader = ImageReader(
        name="classifier",
        module=network,                              # (n, 3, h, w) -> anything
        folder=open_folder("photos", (224, 224)),
        layers=("features.10", "features.28"),
        default_layers=("features.28",),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )

It is a generator whose latents are the images of the folder, in an order that the seed draws; what it gives back for
them are the images themselves, which is what a segmenter then sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dissectreport.errors import FolderError, ModelError, counted
from dissectreport.models.folders import Folder
from dissectreport.models.wrap import check_layers
from dissectreport.networks.identity import identity_of


@dataclass(frozen=True, eq=False)
class ImageReader:
    """A network that takes images; `remade(seed)` gives the same architecture with random weights.

    With `mean` and `std` (a number a channel, of images in [0, 1]) the network gets (image - mean) / std; with one of
    them the other is 0 or 1; without both it gets images in [-1, 1]. What it returns is not looked at.
    """

    name: str
    module: nn.Module
    folder: Folder
    layers: tuple[str, ...]
    default_layers: tuple[str, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    remade: Callable[[int], nn.Module] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    identity: str = ""
    code: str = ""
    """What else the numbers depend on, such as the SHA-256 of the file with the network's code."""
    makes_images: ClassVar[bool] = False
    """Turning units off changes no image."""

    def __post_init__(self) -> None:
        check_layers(self.module, (*self.layers, *self.default_layers))
        if any(len(given) not in (0, 3) for given in (self.mean, self.std)) or not all(s > 0 for s in self.std):
            raise ModelError(
                f"{self.name!r} is normalised by three means and three positive standard deviations, of red, green and "
                f"blue in [0, 1], not by {list(self.mean)} and {list(self.std)}"
            )
        self.module.requires_grad_(False).eval()
        if not self.identity:
            how = f"{list(map(float, self.mean))} {list(map(float, self.std))}"
            known = (identity_of(self.module), how, self.folder.identity, *((self.code,) if self.code else ()))
            object.__setattr__(self, "identity", " ".join(known))

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width at which images are read."""
        return self.folder.size

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of an image."""
        return (3, *self.folder.size)

    @property
    def most_samples(self) -> int:
        """The images that there are."""
        return len(self.folder)

    def __call__(self, z: Tensor) -> Tensor:
        """(n, 3, h, w) images in [-1, 1] -> the same, after the network has read them."""
        self.module(self.normalised(z))
        return z

    def normalised(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> a new tensor as the network wants it, which it may change."""
        if not self.mean and not self.std:
            return images.clone()
        mean, std = self.mean or (0.0,) * 3, self.std or (1.0,) * 3
        return ((images + 1) / 2 - _by_channel(mean, images)) / _by_channel(std, images)

    def latents(self, seed: int, first: int, count: int) -> Tensor:
        """(count, 3, h, w) the images of samples `first` to `first + count` in the seed's order."""
        names = self.folder.order(seed)
        if first + count > len(names):
            there = counted(len(names), "image")
            raise FolderError(f"the folder {self.folder.name} has {there}; --samples at most {len(names):,}")
        return self.folder.read(names[first : first + count])

    def to(self, device: torch.device) -> ImageReader:
        """The same reader on `device`; the network itself moves."""
        return replace(self, module=self.module.to(device))

    def untrained(self, seed: int) -> ImageReader | None:
        """The same architecture with random weights, or None where it is not known how to make it."""
        if self.remade is None:
            return None
        return replace(self, name=f"{self.name}_untrained", module=self.remade(seed), identity="")

    def drawn(self, count: int) -> Tensor | None:
        """None: what it reads is shown already."""
        return None

    def sifted(self, wanted: Iterable[tuple[int, int]]) -> ImageReader:
        """The same reader without those images that are broken among the first `count` of each seed's order."""
        return replace(self, folder=self.folder.sifted(wanted))

    def without(self, names: Iterable[str]) -> ImageReader:
        """The same reader without images that are known to be broken."""
        return replace(self, folder=self.folder.without(names))

    def broken(self) -> tuple[str, ...]:
        """The images that are known to be broken."""
        return tuple(one.name for one in self.folder.unread)

    def told(self) -> Mapping[str, Any]:
        """What the report says of the images: `folder`, `images`, `left_out`."""
        return self.folder.facts()

    def lines(self) -> tuple[str, ...]:
        """What a person should know of the images, a line each."""
        return self.folder.lines()


def _by_channel(values: tuple[float, ...], images: Tensor) -> Tensor:
    return images.new_tensor(values)[:, None, None]
