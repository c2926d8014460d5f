"""What autoencoders share: a photograph becomes a code, and the code an image."""

from __future__ import annotations

from torch import Tensor

from dissectreport.models.families.base import evenly
from dissectreport.models.families.redrawing import RedrawingNetwork


class Autoencoder(RedrawingNetwork):
    """A network of an encoder and a decoder: (n, 3, h, w) photographs in [-1, 1] -> the same, redrawn."""

    latent_channels: int
    """Channels of the code between encoder and decoder, which is `reduction` times smaller than the image."""

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
