"""The opponent of the generator: a residual network that tells drawn images from generated ones."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

GROUP = 4


class ScaledConvolution(nn.Module):
    """A convolution whose weights are kept near unit size and scaled when used (equalised learning rate)."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, padding: int, gain: float, stride: int = 1
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.scale = gain / (kernel * sqrt(channels_in))
        self.padding = padding
        self.stride = stride

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels_in, h, w) -> (n, channels_out, h', w')."""
        return functional.conv2d(features, self.weight * self.scale, self.bias, self.stride, self.padding)


def rectified(channels_in: int, channels_out: int, kernel: int, padding: int, stride: int = 1) -> nn.Sequential:
    """A scaled convolution followed by a leaky rectifier."""
    convolution = ScaledConvolution(channels_in, channels_out, kernel, padding, sqrt(2), stride)
    return nn.Sequential(convolution, nn.LeakyReLU(0.2))


class HalvingBlock(nn.Module):
    """Two convolutions and a shortcut, at half the resolution afterwards."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = rectified(channels_in, channels_in, 3, 1)
        self.second = rectified(channels_in, channels_out, 3, 1)
        self.shortcut = ScaledConvolution(channels_in, channels_out, 1, 0, 1.0)

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels_in, h, w) -> (n, channels_out, h / 2, w / 2)."""
        inner: Tensor = self.second(functional.avg_pool2d(self.first(features), 2))
        short: Tensor = self.shortcut(functional.avg_pool2d(features, 2))
        return (inner + short) * sqrt(0.5)


def with_deviation(features: Tensor) -> Tensor:
    """(n, c, h, w) -> (n, c + 1, h, w): the last channel tells how much the images of a group differ."""
    group = GROUP if len(features) % GROUP == 0 else len(features)
    grouped = features.float().view(group, -1, *features.shape[1:])
    deviation = (grouped.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    channel = deviation.repeat(group).view(-1, 1, 1, 1).expand(-1, 1, *features.shape[2:])
    return torch.cat([features, channel.to(features.dtype)], dim=1)


class Discriminator(nn.Module):
    """Scores images at full size, at half size, or at both while the finest resolution is faded in.

    `channels` are those of each resolution from 4x4 on. Without `deviation` it judges every image alone.
    """

    def __init__(self, channels: Sequence[int], *, deviation: bool = True) -> None:
        super().__init__()
        self.deviation = deviation
        coarse = list(channels[:-1])
        self.fine_entry = rectified(3, channels[-1], 1, 0)
        self.fine_block = HalvingBlock(channels[-1], coarse[-1])
        self.coarse_entry = rectified(3, coarse[-1], 1, 0)
        pairs = zip(reversed(coarse[1:]), reversed(coarse[:-1]), strict=True)
        self.blocks = nn.Sequential(*(HalvingBlock(here, below) for here, below in pairs))
        self.verdict = nn.Sequential(
            rectified(coarse[0] + deviation, coarse[0], 3, 1),
            rectified(coarse[0], coarse[0], 4, 0),
            ScaledConvolution(coarse[0], 1, 1, 0, 1.0),
        )

    def forward(self, images: Tensor, blend: float) -> Tensor:
        """(n, 3, h, w) images, half the size where `blend` is 0 -> (n,) scores, positive for drawn ones."""
        features = self.blocks(self._enter(images, blend))
        verdict: Tensor = self.verdict(with_deviation(features) if self.deviation else features)
        return verdict.flatten()

    def _enter(self, images: Tensor, blend: float) -> Tensor:
        if blend == 0:
            coarse: Tensor = self.coarse_entry(images)
            return coarse
        fine: Tensor = self.fine_block(self.fine_entry(images))
        if blend == 1:
            return fine
        return torch.lerp(self.coarse_entry(functional.avg_pool2d(images, 2)), fine, blend)
