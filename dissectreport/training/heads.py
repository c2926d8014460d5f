"""Projected discriminator heads (Sauer et al. 2021) on the frozen encoder of an autoencoder of the drawings.

The encoder saw drawings and no labels, so a generator that learns from the heads learns from drawings alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from dissectreport.training.trunk import Trunk

WIDTH = 64
MIXING_SEED = 3


class Projection(nn.Module):
    """The encoder's features at every resolution, mixed across channels and resolutions by fixed random weights."""

    def __init__(self, encoder: Trunk) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        random = torch.Generator().manual_seed(MIXING_SEED)
        self.channel_mixing = nn.ParameterList(_fixed(WIDTH, channels, 1, random) for channels in encoder.channels)
        # None at the finest resolution: there it would cost more than everything else here.
        self.scale_mixing = nn.ParameterList(_fixed(WIDTH, WIDTH, 3, random) for _ in encoder.channels[1:])

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """(n, 3, h, w) -> the encoder's features and the mixed ones, (n, channels, h', w') each, the finest first.

        Images larger than the encoder's are downsampled first.
        """
        while images.shape[2] > self.encoder.size:
            images = functional.avg_pool2d(images, 2)
        features = self.encoder.features(images)
        mixed: list[Tensor] = []
        for level in reversed(range(len(features))):
            here = functional.conv2d(features[level], self.channel_mixing[level])
            if mixed:
                here = (here + functional.interpolate(mixed[-1], scale_factor=2.0, mode="nearest")) * sqrt(0.5)
            if mixed and level:
                here = functional.conv2d(here, self.scale_mixing[level - 1], padding=1)
            mixed.append(here)
        return features, mixed[::-1]

    def encode(self, features: Sequence[Tensor], noise: Tensor) -> Tensor:
        """The encoder's features -> (n, z) latents drawn from its posterior with this noise, (n, z)."""
        mean, spread = posterior(self.encoder.decide(features[-1]).flatten(1))
        return mean + noise * spread


class Heads(nn.Module):
    """One small discriminator for each resolution of the mixed features."""

    def __init__(self, resolutions: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(_head(resolutions - 1 - level) for level in range(resolutions))

    def forward(self, mixed: Sequence[Tensor]) -> Tensor:
        """The mixed features -> (n, resolutions) scores, positive for drawings."""
        return torch.cat([head(features).flatten(1) for head, features in zip(self.heads, mixed, strict=True)], dim=1)


def posterior(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """(n, 2 z) outputs of an encoder -> mean and standard deviation of the latents, (n, z) each."""
    mean, log_variance = numbers.float().chunk(2, dim=1)
    return mean, ((log_variance - 2).clamp(-8, 2) / 2).exp()


def _fixed(channels_out: int, channels_in: int, kernel: int, random: torch.Generator) -> nn.Parameter:
    weights = torch.randn(channels_out, channels_in, kernel, kernel, generator=random)
    return nn.Parameter(weights * sqrt(2 / (channels_in * kernel * kernel)), requires_grad=False)


def _head(halvings: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(halvings):
        layers += [spectral_norm(nn.Conv2d(WIDTH, WIDTH, 4, 2, 1)), nn.LeakyReLU(0.2)]
    layers += [spectral_norm(nn.Conv2d(WIDTH, WIDTH, 3, 1, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(WIDTH, 1, 4)))
