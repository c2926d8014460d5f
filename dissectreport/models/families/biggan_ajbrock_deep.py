"""BigGAN-deep in plain torch, float32, with the tensors of ajbrock's BigGAN-PyTorch (its file BigGANdeep.py).

    network = from_tensors(NetworkTensors(tensors), Sampling(psi=0.5))

A layer's name is that of the original: blocks.3.0 is the output of a block, blocks.3.1 that of the attention after it.
Latent and class embedding together go into the first layer and into every norm. Every second block doubles the size.

Brock, Donahue and Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.errors import WeightsError
from dissectreport.models.families.base import NetworkTensors, Sampling, evenly, size_of
from dissectreport.models.families.biggan import (
    BigGANAttention,
    BigGANStructure,
    ConditionalNorm,
    OutputNorm,
    TruncatedLatents,
    doubled,
    fold_power_iteration,
    random_weight,
    with_usual_names,
)

DEPTH = 2
"""Blocks for each size; the last of them doubles it. It is not in the file; the program's default."""
CONVOLUTIONS = 4


class AjbrockDeepBlock(nn.Module):
    """Four convolutions after conditional norms, added to the first channels of the input; may double the size."""

    def __init__(self, widths: tuple[int, int, int], up: bool, structure: BigGANStructure) -> None:
        super().__init__()
        before, inner, after = widths
        self.up, self.kept = up, after
        sizes = (before, inner, inner, inner, after)
        for number, kernel in enumerate((1, 3, 3, 1), start=1):
            convolution = nn.Conv2d(sizes[number - 1], sizes[number], kernel, padding=kernel // 2)
            self.add_module(f"conv{number}", convolution)
            norm = ConditionalNorm(sizes[number - 1], structure.condition, structure.epsilon)
            self.add_module(f"bn{number}", norm)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(n, in, h, w) and (n, condition) -> (n, out, h', w')."""
        inner = x
        for number in range(1, CONVOLUTIONS + 1):
            inner = functional.relu(self.get_submodule(f"bn{number}")(inner, condition))
            inner = doubled(inner) if self.up and number == 2 else inner
            inner = self.get_submodule(f"conv{number}")(inner)
        kept = x[:, : self.kept]
        return inner + (doubled(kept) if self.up else kept)

    def extra_repr(self) -> str:
        """Whether the size doubles; a part of the network's identity."""
        return f"up={self.up}"


class AjbrockBigGANDeep(TruncatedLatents):
    """Blocks from 4 px on, every second of which doubles the size."""

    title = "BigGAN-deep (ajbrock)"

    def __init__(self, structure: BigGANStructure, inner: tuple[int, ...], sampling: Sampling) -> None:
        super().__init__()
        self.structure, self.sampling = structure, sampling
        self.latent_size, self.classes = structure.latent, structure.classes
        self.resolution = 4 * 2 ** (len(inner) // DEPTH)
        self.check_sampling()
        channels = structure.channels
        self.shared = nn.Linear(structure.classes, structure.shared, bias=False)
        self.linear = nn.Linear(structure.condition, 16 * channels[0])
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                [
                    AjbrockDeepBlock(
                        (channels[number], width, channels[number + 1]), number % DEPTH == DEPTH - 1, structure
                    ),
                    *([BigGANAttention(channels[number + 1])] if number in structure.attention else []),
                ]
            )
            for number, width in enumerate(inner)
        )
        self.output_layer = nn.ModuleList(
            [OutputNorm(channels[-1]), nn.ReLU(), nn.Conv2d(channels[-1], 3, 3, padding=1)]
        )

    @property
    def unit_layers(self) -> tuple[str, ...]:
        """The output of each block, and of attention."""
        counts = [2 if number in self.structure.attention else 1 for number in range(len(self.blocks))]
        return tuple(f"blocks.{number}.{part}" for number, count in enumerate(counts) for part in range(count))

    @property
    def default_layers(self) -> tuple[str, ...]:
        """The last block of each size, at most five."""
        return evenly(f"blocks.{number}.0" for number in range(DEPTH - 1, len(self.blocks), DEPTH))

    def details(self) -> tuple[str, ...]:
        """Where attention is."""
        return tuple(
            f"attention at {4 * 2 ** ((number + 1) // DEPTH)} px" for number in sorted(self.structure.attention)
        )

    def random_weight(self, name: str, value: Tensor, random: torch.Generator) -> Tensor:
        """Small normal weights; no biases, no attention, statistics of mean 0 and variance 1."""
        return random_weight(name, value, random)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """(n, latent) and (n, classes) one-hot labels -> (n, 3, h, w) in [-1, 1]."""
        condition = torch.cat([self.shared(labels), z], 1)
        x = self.linear(condition).view(len(z), self.structure.channels[0], 4, 4)
        for name in self.unit_layers:
            part = self.get_submodule(name)
            x = part(x, condition) if isinstance(part, AjbrockDeepBlock) else part(x)
        for part in self.output_layer:
            x = part(x)
        return torch.tanh(x)


def fits(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of the deep variant."""
    return "blocks.0.0.conv4.weight" in tensors


def from_tensors(found: NetworkTensors, sampling: Sampling) -> AjbrockBigGANDeep:
    """The network with these tensors; a WeightsError says what does not fit."""
    tensors = with_usual_names(found.tensors)
    structure = structure_of(tensors, float(found.settings.get("epsilon", BigGANStructure.epsilon)))
    inner = tuple(
        size_of(tensors, f"blocks.{number}.0.conv1.weight", 4)[0] for number in range(len(structure.channels) - 1)
    )
    folded = fold_power_iteration(tensors)
    folded["shared.weight"] = folded["shared.weight"].T
    network = AjbrockBigGANDeep(structure, inner, sampling)
    network.take(folded)
    return network.eval()


def structure_of(tensors: Mapping[str, Tensor], epsilon: float) -> BigGANStructure:
    """The structure that the names and shapes of tensors show."""
    classes, shared = size_of(tensors, "shared.weight", 2)
    width, whole = size_of(tensors, "linear.weight", 2)
    channels, attention = [width // 16], set()
    while (name := f"blocks.{len(channels) - 1}.0.conv4.weight") in tensors:
        if f"blocks.{len(channels) - 1}.1.gamma" in tensors:
            attention.add(len(channels) - 1)
        channels.append(size_of(tensors, name, 4)[0])
    condition = size_of(tensors, "blocks.0.0.bn1.gain.weight", 2)[1]
    if condition != whole or whole <= shared:
        raise WeightsError(
            f"its norms depend on {condition} numbers and its first layer on {whole}; only the variant in which both "
            "take latent and class embedding is supported"
        )
    if (len(channels) - 1) % DEPTH:
        raise WeightsError(f"it has {len(channels) - 1} blocks; there are {DEPTH} of each size")
    latent = whole - shared
    return BigGANStructure(latent, classes, shared, tuple(channels), frozenset(attention), latent, epsilon)
