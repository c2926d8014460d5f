"""The parts that StyleGAN2 and StyleGAN3 share: equalised linear layers and the mapping network.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.models.families.base import Sampling

SLOPE = 0.2
"""Slope of the leaky rectifier below zero."""
GAIN = sqrt(2)
"""The rectifier's gain, which keeps the variance."""
EPSILON = 1e-8


def in_single_precision(values: Tensor) -> AbstractContextManager[object]:
    """While the block runs, nothing on the device of some values is computed in half precision.

    The original programs compute latents, styles and waves in single precision, whatever the rest of the network has.
    """
    device = values.device.type
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


class Dense(nn.Module):
    """A linear layer whose weights are scaled when it runs (equalised learning rate)."""

    def __init__(self, size_in: int, size_out: int, *, rate: float = 1.0, activate: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size_out, size_in))
        self.bias = nn.Parameter(torch.zeros(size_out))
        self.rate, self.activate = rate, activate

    def forward(self, x: Tensor) -> Tensor:
        """(n, in) -> (n, out)."""
        with in_single_precision(x):
            weight = self.weight * (self.rate / sqrt(self.weight.shape[1]))
            x = functional.linear(x.float(), weight, self.bias * self.rate)
            return functional.leaky_relu(x, SLOPE) * GAIN if self.activate else x

    def extra_repr(self) -> str:
        """The factor of weights and biases; a part of the network's identity."""
        return f"rate={self.rate:g}, activate={self.activate}"


class MappingNetwork(nn.Module):
    """From latents and labels to one vector w for each layer, truncated towards their average."""

    w_avg: Tensor

    def __init__(
        self,
        sizes: tuple[int, int, int],
        layers: int,
        outputs: int,
        sampling: Sampling,
        *,
        rate: float = 0.01,
        hidden: int = 0,
        averaged: bool = True,
    ) -> None:
        super().__init__()
        latent, classes, w = sizes
        self.count, self.outputs, self.sampling = layers, outputs, sampling
        if classes:
            self.embed = Dense(classes, w)
        widths = [latent + (w if classes else 0), *[hidden or w] * (layers - 1), w]
        for number in range(layers):
            self.add_module(f"fc{number}", Dense(widths[number], widths[number + 1], rate=rate, activate=True))
        if averaged:
            self.register_buffer("w_avg", torch.zeros(w))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, latent) and (n, classes) one-hot labels -> (n, outputs, w)."""
        w = self.untruncated(z, labels)
        every = w[:, None].repeat(1, self.outputs, 1)
        psi, cutoff = self.sampling.psi, self.sampling.cutoff
        if psi == 1:
            return every
        first = every[:, :cutoff]
        return torch.cat([self.w_avg + psi * (first - self.w_avg), every[:, first.shape[1] :]], dim=1)

    def untruncated(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, latent) and (n, classes) one-hot labels -> (n, w)."""
        x = normalised(z)
        if labels is not None:
            x = torch.cat([x, normalised(self.embed(labels))], dim=1)
        for number in range(self.count):
            x = self.get_submodule(f"fc{number}")(x)
        return x


def normalised(x: Tensor) -> Tensor:
    """(n, k), scaled so that the mean square of each row is one."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPSILON)


def demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """(n, out, 1, 1) factors that give outputs of a convolution with styles (n, in) unit variance."""
    with in_single_precision(styles):
        energy = functional.linear(styles.square(), weight.square().sum((2, 3)))
        return torch.rsqrt(energy + EPSILON)[:, :, None, None]
