"""What autoencoders share: networks that redraw photographs, so that their samples are the photographs of a folder."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from dissectreport.errors import BadOption
from dissectreport.models.families.base import DEFAULT_SAMPLING, FamilyNetwork, Sampling, evenly

SIDE = 256
"""Height and width of the photographs, at most, unless a description gives another size."""


class Autoencoder(FamilyNetwork):
    """A network of an encoder and a decoder: (n, 3, h, w) photographs in [-1, 1] -> the same, redrawn."""

    latent_size = 0
    classes = 0
    latent_channels: int
    """Channels of the code between encoder and decoder."""
    reduction: int
    """How many times smaller than the image the code is, in height and width."""

    def __init__(self, sampling: Sampling, side: int = 0) -> None:
        super().__init__()
        if sampling != DEFAULT_SAMPLING:
            raise BadOption(
                f"an {self.title} redraws photographs: it has no psi, cutoff, label or noise; leave them out"
            )
        self.sampling, self.wanted = sampling, side

    @property
    def resolution(self) -> int:  # type: ignore[override]
        """Height and width of a photograph: `SIDE` or what the file says, a multiple of the reduction."""
        side = min(self.wanted or SIDE, SIDE)
        return max(self.reduction, side // self.reduction * self.reduction)

    def encode(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) photographs in [-1, 1] -> (n, latent channels, h / reduction, w / reduction) codes."""
        raise NotImplementedError

    def decode(self, codes: Tensor) -> Tensor:
        """(n, latent channels, h / reduction, w / reduction) codes -> (n, 3, h, w), nominally in [-1, 1]."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) photographs in [-1, 1] -> the same, redrawn."""
        return self.decode(self.encode(images))

    @property
    def decoder_layers(self) -> tuple[str, ...]:
        """The layers of the decoder whose units can be measured, in the order in which they run."""
        raise NotImplementedError

    @property
    def default_layers(self) -> tuple[str, ...]:
        """The layers of the decoder, at most five."""
        return evenly(self.decoder_layers)

    def describe(self) -> str:
        """One line: family, code, and what it draws."""
        code = f"codes of {self.latent_channels} channels, {self.reduction} times smaller than the image"
        return ", ".join((self.title, *self.details(), code, "redraws photographs"))

    def describe_sampling(self) -> str:
        """How images are drawn, in words."""
        return f"photographs at {self.resolution} x {self.resolution}"

    def redraw(self, name: str, value: Tensor, random: torch.Generator) -> Tensor:
        """A tensor of an untrained network: norms at 1, biases at 0, and weights by the number of their inputs."""
        if value.ndim == 1:
            return torch.ones_like(value) if name.endswith("weight") else torch.zeros_like(value)
        return torch.randn(value.shape, generator=random) / sqrt(value[0].numel())
