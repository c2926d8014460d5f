"""FastGAN ("lightweight GAN") in plain torch, float32, with the tensors of the original PyTorch program.

    network = from_tensors(NetworkTensors(tensors), Sampling())
    images = network(torch.randn(4, 256))

A layer's name is that of the original: feat_64 is the output of a block, and se_64 the same after a map of 4 px has
scaled its channels, which is what later layers read. The original draws noise anew for each image; here it is one
pattern from a fixed seed, the same in every image.

Liu et al., "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis", ICLR 2021.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.errors import BadOption, WeightsError
from dissectreport.models.families.base import FamilyNetwork, NetworkTensors, Sampling, evenly, size_of

MARK = "init.init.0.weight"
"""The tensor by which the family is recognised."""
NAME = re.compile(
    r"init\.init\.[01]\..*|feat_\d+\.\d\.(weight|bias|running_mean|running_var|num_batches_tracked)"
    r"|se_\d+\.main\.[13]\.weight|to_big\.weight"
)
SMALLER_IMAGE = re.compile(r"to_(128|small)\..*")
"""Tensors of a second, smaller image, which only training uses."""
SQUASHED = 1024
"""The size of images at which the original ends in a hyperbolic tangent."""
INITIAL = 0.02
"""Standard deviation of untrained weights."""


@dataclass(frozen=True)
class FastGANStructure:
    """All that determines the network, besides its weights."""

    latent: int
    channels: Mapping[int, int]
    """By the size of a map, from 4 px on."""
    twice: frozenset[int]
    """The sizes whose block has two convolutions, each with noise."""
    scaled: Mapping[int, int]
    """The sizes whose map is scaled by a smaller one, and the size of that."""
    colours: int
    kernel: int
    """Of the last convolution."""

    @property
    def resolution(self) -> int:
        """Height and width of an image."""
        return max(self.channels)


class FixedNoise(nn.Module):
    """Adds a pattern of noise, the same to every image, times a weight."""

    pattern: Tensor

    def __init__(self, size: int, seed: int, active: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.active = active
        pattern = torch.randn(size, size, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("pattern", pattern, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w)."""
        return x + self.weight * self.pattern if self.active else x

    def extra_repr(self) -> str:
        """Whether there is noise; a part of the network's identity."""
        return f"active={self.active}"


class GatedBlock(nn.Module):
    """One or two convolutions with norms, each of which ends in a gated linear unit; doubles the size first."""

    def __init__(self, size: int, structure: FastGANStructure, noise: bool) -> None:
        super().__init__()
        before, after = structure.channels[size // 2], structure.channels[size]
        self.twice = size in structure.twice
        self.add_module("1", nn.Conv2d(before, 2 * after, 3, padding=1, bias=False))
        if not self.twice:
            self.add_module("2", nn.BatchNorm2d(2 * after))
            return
        self.add_module("2", FixedNoise(size, 2 * size, noise))
        self.add_module("3", nn.BatchNorm2d(2 * after))
        self.add_module("5", nn.Conv2d(after, 2 * after, 3, padding=1, bias=False))
        self.add_module("6", FixedNoise(size, 2 * size + 1, noise))
        self.add_module("7", nn.BatchNorm2d(2 * after))

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, 2h, 2w)."""
        x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
        for part in self.children():
            x = part(x)
            x = functional.glu(x, dim=1) if isinstance(part, nn.BatchNorm2d) else x
        return x


class InitialBlock(nn.Module):
    """A transposed convolution to 4 x 4 pixels, a norm and a gated linear unit."""

    def __init__(self, structure: FastGANStructure) -> None:
        super().__init__()
        width = 2 * structure.channels[4]
        self.init = nn.Sequential(
            nn.ConvTranspose2d(structure.latent, width, 4, bias=False), nn.BatchNorm2d(width), nn.GLU(dim=1)
        )

    def forward(self, z: Tensor) -> Tensor:
        """(n, latent) -> (n, out, 4, 4)."""
        return cast(Tensor, self.init(z[:, :, None, None]))


class SkipExcitation(nn.Module):
    """Scales the channels of a large map by what a small one shows."""

    def __init__(self, small: int, large: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            nn.Conv2d(small, large, 4, bias=False),
            nn.SiLU(),
            nn.Conv2d(large, large, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, small: Tensor, large: Tensor) -> Tensor:
        """(n, small, h, w) and (n, large, h', w') -> (n, large, h', w')."""
        return large * cast(Tensor, self.main(small))


class FastGAN(FamilyNetwork):
    """Blocks from 4 px on, each twice the size of the one before."""

    title = "FastGAN"
    classes = 0

    def __init__(self, structure: FastGANStructure, sampling: Sampling) -> None:
        super().__init__()
        self.structure, self.sampling = structure, sampling
        self.latent_size, self.resolution, self.colours = structure.latent, structure.resolution, structure.colours
        self.check_sampling(noise=True)
        if sampling.psi != 1:
            raise BadOption(f"psi is {sampling.psi:g}, but a FastGAN has no truncation; leave it out")
        self.init = InitialBlock(structure)
        for size in self.sizes:
            self.add_module(f"feat_{size}", GatedBlock(size, structure, sampling.noise == "const"))
        for size, small in structure.scaled.items():
            self.add_module(f"se_{size}", SkipExcitation(structure.channels[small], structure.channels[size]))
        kernel, last = structure.kernel, structure.channels[self.resolution]
        self.to_big = nn.Conv2d(last, self.colours, kernel, padding=kernel // 2, bias=False)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of maps from 8 px on."""
        return tuple(size for size in self.structure.channels if size > 4)

    @property
    def unit_layers(self) -> tuple[str, ...]:
        """The output of each block, and the same after it was scaled."""
        return ("init", *(name for size in self.sizes for name in self._names(size)))

    def _names(self, size: int) -> Iterator[str]:
        yield f"feat_{size}"
        if size in self.structure.scaled:
            yield f"se_{size}"

    @property
    def default_layers(self) -> tuple[str, ...]:
        """The last map of each size, at most five."""
        return evenly(list(self._names(size))[-1] for size in self.sizes)

    def describe_sampling(self) -> str:
        """Noise, as there is no truncation."""
        noise = "the same noise in every image, drawn here" if self.sampling.noise == "const" else "no noise"
        return f"{super().describe_sampling()}, {noise}"

    def random_weight(self, name: str, value: Tensor, random: torch.Generator) -> Tensor:
        """Small normal weights, norms near 1, no biases and no noise."""
        if value.ndim == 4:
            return torch.randn(value.shape, generator=random) * INITIAL
        if name.endswith("running_var"):
            return torch.ones_like(value)
        is_norm = name.endswith("weight") and f"{name.removesuffix('weight')}running_var" in self.state_dict()
        return 1 + torch.randn(value.shape, generator=random) * INITIAL if is_norm else torch.zeros_like(value)

    def forward(self, z: Tensor) -> Tensor:
        """(n, latent) -> (n, colours, h, w), nominally in [-1, 1]."""
        maps: dict[int, Tensor] = {4: self.init(z)}
        for size in self.sizes:
            x = self.get_submodule(f"feat_{size}")(maps[size // 2])
            small = self.structure.scaled.get(size)
            maps[size] = x if small is None else self.get_submodule(f"se_{size}")(maps[small], x)
        image: Tensor = self.to_big(maps[self.resolution])
        return torch.tanh(image) if self.resolution == SQUASHED else image


def fits(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of such a generator."""
    return "feat_8.1.weight" in tensors and "to_big.weight" in tensors


def from_tensors(found: NetworkTensors, sampling: Sampling) -> FastGAN:
    """The network with these tensors; a WeightsError says what does not fit."""
    network = FastGAN(structure_of(found.tensors), sampling)
    counters = {
        name: value
        for name, value in network.state_dict().items()
        if name.endswith("num_batches_tracked") and name not in found.tensors
    }
    network.take({**found.tensors, **counters})
    return network.eval()


def structure_of(tensors: Mapping[str, Tensor]) -> FastGANStructure:
    """The structure that the names and shapes of tensors show."""
    latent, width = size_of(tensors, MARK, 4)[:2]
    channels, size = {4: width // 2}, 8
    while f"feat_{size}.1.weight" in tensors:
        channels[size] = size_of(tensors, f"feat_{size}.1.weight", 4)[0] // 2
        size *= 2
    scaled = {int(match[1]) for name in tensors if (match := re.match(r"se_(\d+)\.", name))}
    wrong = [name for name in scaled if name not in channels or name // 16 not in channels]
    if wrong or min(channels.values()) < 1:
        raise WeightsError(f"it scales maps of {wrong[0] if wrong else 0} px, but has no such maps")
    colours, _, kernel, _ = size_of(tensors, "to_big.weight", 4)
    return FastGANStructure(
        latent=latent,
        channels=channels,
        twice=frozenset(size for size in channels if f"feat_{size}.5.weight" in tensors),
        scaled={size: size // 16 for size in sorted(scaled)},
        colours=colours,
        kernel=kernel,
    )
