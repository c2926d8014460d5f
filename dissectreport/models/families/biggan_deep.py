"""BigGAN-deep in plain torch, float32, with the tensors of Hugging Face's pytorch-pretrained-BigGAN.

A layer's name is that of the original without `generator.`: layers.3 is the output of a block, or of attention. The
structure is in the file config.json beside the weights. Statistics of batch norms depend on the truncation psi.

Brock, Donahue and Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import modf
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.errors import WeightsError
from dissectreport.models.families.base import NetworkTensors, Sampling, evenly, size_of
from dissectreport.models.families.biggan import INITIAL, TruncatedLatents, attended, doubled

MARK = "generator.bn.running_means"
"""The tensor by which the family is recognised."""
CONFIG = "config"
"""The key of the content of config.json in the settings of a network."""
START = 16
"""Multiple of the width that the first map has."""
REDUCTION = 4
"""Inner convolutions of a block have this many times fewer channels."""
KEYS = {
    "z_dim": int,
    "class_embed_dim": int,
    "num_classes": int,
    "channel_width": int,
    "layers": list,
    "attention_layer_position": int,
    "eps": float,
    "n_stats": int,
}
"""What config.json must have."""


@dataclass(frozen=True)
class DeepStructure:
    """All that determines the network, besides its weights."""

    latent: int
    embedding: int
    classes: int
    width: int
    blocks: tuple[tuple[bool, int, int], ...]
    """Of each block whether it doubles the size, and its channels before and after, as multiples of the width."""
    attention: int
    """The block before which attention stands."""
    epsilon: float
    statistics: int
    """Number of truncations for which statistics are kept."""

    @property
    def condition(self) -> int:
        """Length of latent and class embedding together."""
        return self.latent + self.embedding


def statistics_at(stored: Tensor, psi: float) -> Tensor:
    """(c,) the row of (k, c) statistics for a truncation, or two of them mixed as the published network mixes them.

    Rows belong to truncations from 0 to 1. The published program exchanges the weights of the two rows; that is kept,
    and so are its rounding errors, which take .58 and .94 for numbers between rows.
    """
    fraction, row = modf(psi / (1 / (len(stored) - 1)))
    first = int(row)
    if fraction == 0:
        return stored[first]
    return fraction * stored[first] + (1 - fraction) * stored[first + 1]


class Statistics(nn.Module):
    """Batch norm with the statistics of one truncation, without gain and bias."""

    running_means: Tensor
    running_vars: Tensor

    def __init__(self, channels: int, structure: DeepStructure, psi: float) -> None:
        super().__init__()
        self.epsilon, self.psi = structure.epsilon, psi
        self.register_buffer("running_means", torch.zeros(structure.statistics, channels))
        self.register_buffer("running_vars", torch.ones(structure.statistics, channels))

    def scale_and_shift(self, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Factor and summand that equal the norm, a gain and a bias."""
        scale = torch.rsqrt(statistics_at(self.running_vars, self.psi) + self.epsilon) * gain
        return scale, bias - statistics_at(self.running_means, self.psi) * scale

    def extra_repr(self) -> str:
        """Epsilon and psi; a part of the network's identity."""
        return f"epsilon={self.epsilon:g}, psi={self.psi:g}"


class DeepConditionalNorm(Statistics):
    """Batch norm whose gain and bias depend on latent and class."""

    def __init__(self, channels: int, structure: DeepStructure, psi: float) -> None:
        super().__init__(channels, structure, psi)
        self.scale = nn.Linear(structure.condition, channels, bias=False)
        self.offset = nn.Linear(structure.condition, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(n, c, h, w) and (n, condition) -> (n, c, h, w)."""
        scale, shift = self.scale_and_shift(1 + self.scale(condition), self.offset(condition))
        return x * scale[:, :, None, None] + shift[:, :, None, None]


class DeepOutputNorm(Statistics):
    """Batch norm with a gain and a bias of its own."""

    def __init__(self, channels: int, structure: DeepStructure, psi: float) -> None:
        super().__init__(channels, structure, psi)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w)."""
        scale, shift = self.scale_and_shift(self.weight, self.bias)
        return x * scale[:, None, None] + shift[:, None, None]


class DeepBlock(nn.Module):
    """Four convolutions after conditional norms, added to the first channels of the input; may double the size."""

    def __init__(self, up: bool, channels_in: int, channels_out: int, structure: DeepStructure, psi: float) -> None:
        super().__init__()
        inner = channels_in // REDUCTION
        self.up, self.kept = up, channels_out
        widths = (channels_in, inner, inner, inner, channels_out)
        for number, kernel in enumerate((1, 3, 3, 1)):
            self.add_module(f"bn_{number}", DeepConditionalNorm(widths[number], structure, psi))
            convolution = nn.Conv2d(widths[number], widths[number + 1], kernel, padding=kernel // 2)
            self.add_module(f"conv_{number}", convolution)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(n, in, h, w) and (n, condition) -> (n, out, h', w')."""
        inner = x
        for number in range(4):
            inner = functional.relu(self.get_submodule(f"bn_{number}")(inner, condition))
            inner = doubled(inner) if self.up and number == 1 else inner
            inner = self.get_submodule(f"conv_{number}")(inner)
        kept = x[:, : self.kept]
        return inner + (doubled(kept) if self.up else kept)

    def extra_repr(self) -> str:
        """Whether the size doubles; a part of the network's identity."""
        return f"up={self.up}"


class DeepAttention(nn.Module):
    """Attention of every pixel to every second one, added to the features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.snconv1x1_theta = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.snconv1x1_phi = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.snconv1x1_g = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.snconv1x1_o_conv = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w)."""
        parts = (self.snconv1x1_theta, self.snconv1x1_phi, self.snconv1x1_g, self.snconv1x1_o_conv)
        return attended(x, self.gamma, *parts)


class BigGANDeep(TruncatedLatents):
    """Blocks from 4 px on, some of which double the size; latent and class go into every norm."""

    title = "BigGAN-deep (Hugging Face)"
    always_truncated = True

    def __init__(self, structure: DeepStructure, sampling: Sampling) -> None:
        super().__init__()
        self.structure, self.sampling = structure, sampling
        self.latent_size, self.classes = structure.latent, structure.classes
        self.resolution = 4 * 2 ** sum(up for up, _, _ in structure.blocks)
        self.check_sampling()
        width, psi = structure.width, sampling.psi
        self.embeddings = nn.Linear(structure.classes, structure.embedding, bias=False)
        self.gen_z = nn.Linear(structure.condition, 16 * START * width)
        parts: list[nn.Module] = []
        for number, (up, before, after) in enumerate(structure.blocks):
            parts += [DeepAttention(before * width)] if number == structure.attention else []
            parts.append(DeepBlock(up, before * width, after * width, structure, psi))
        self.layers = nn.ModuleList(parts)
        last = structure.blocks[-1][2] * width
        self.bn = DeepOutputNorm(last, structure, psi)
        self.conv_to_rgb = nn.Conv2d(last, last, 3, padding=1)

    @property
    def unit_layers(self) -> tuple[str, ...]:
        """The output of each block, and of attention."""
        return tuple(f"layers.{number}" for number in range(len(self.layers)))

    @property
    def default_layers(self) -> tuple[str, ...]:
        """The last block of each size, at most five."""
        blocks = [number for number, part in enumerate(self.layers) if isinstance(part, DeepBlock)]
        # A block is the last of its size if the next one doubles it.
        last = [a for a, b in pairwise(blocks) if getattr(self.layers[b], "up", False)] + blocks[-1:]
        return evenly(f"layers.{number}" for number in last)

    def details(self) -> tuple[str, ...]:
        """Where attention is, if it is anywhere."""
        if not 0 <= self.structure.attention < len(self.structure.blocks):
            return ()
        size = 4 * 2 ** sum(up for up, _, _ in self.structure.blocks[: self.structure.attention])
        return (f"attention at {size} px",)

    def file_name(self, name: str) -> str:
        """With `generator.`, except for the class embedding."""
        return name if name.startswith("embeddings.") else f"generator.{name}"

    def random_weight(self, name: str, value: Tensor, random: torch.Generator) -> Tensor:
        """Small normal weights; no biases, no attention, statistics of mean 0 and variance 1."""
        if name == "bn.weight" or name.endswith("running_vars"):
            return torch.ones_like(value)
        if name.endswith("weight"):
            return torch.randn(value.shape, generator=random) * INITIAL
        return torch.zeros_like(value)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """(n, latent) and (n, classes) one-hot labels -> (n, 3, h, w) in [-1, 1]."""
        condition = torch.cat([z, self.embeddings(labels)], dim=1)
        x = self.gen_z(condition).view(len(z), 4, 4, -1).permute(0, 3, 1, 2)
        for part in self.layers:
            x = part(x, condition) if isinstance(part, DeepBlock) else part(x)
        return torch.tanh(self.conv_to_rgb(functional.relu(self.bn(x)))[:, :3])


def from_tensors(found: NetworkTensors, sampling: Sampling) -> BigGANDeep:
    """The network with these tensors; a WeightsError says what does not fit."""
    structure = structure_of(found)
    _check_sizes(found.tensors, structure)
    network = BigGANDeep(structure, sampling)
    network.take(found.tensors)
    return network.eval()


def structure_of(found: NetworkTensors) -> DeepStructure:
    """The structure that config.json describes."""
    config = found.settings.get(CONFIG)
    if config is None:
        raise WeightsError(
            "this is a BigGAN-deep of Hugging Face, whose weights do not show which blocks double the size; put its "
            "config.json beside it, or give the folder that has both"
        )
    _check(config)
    size_of(found.tensors, MARK, 2)
    return DeepStructure(
        latent=config["z_dim"],
        embedding=config["class_embed_dim"],
        classes=config["num_classes"],
        width=config["channel_width"],
        blocks=tuple((bool(up), int(before), int(after)) for up, before, after in config["layers"]),
        attention=config["attention_layer_position"],
        epsilon=float(config["eps"]),
        statistics=config["n_stats"],
    )


def _check_sizes(tensors: Mapping[str, Tensor], structure: DeepStructure) -> None:
    """Raise a WeightsError where config.json describes a larger network, before it takes memory."""
    expected = {
        "embeddings.weight": (structure.embedding, structure.classes),
        "generator.gen_z.weight": (16 * START * structure.width, structure.condition),
        MARK: (structure.statistics, structure.blocks[-1][2] * structure.width),
    }
    for name, shape in expected.items():
        if size_of(tensors, name, 2) != shape:
            raise WeightsError(f"{name} has shape {tuple(tensors[name].shape)}; by its config.json it has {shape}")
    if any(not 1 <= count <= START for _, *counts in structure.blocks for count in counts):
        raise WeightsError(f"its config.json gives blocks of other than 1 to {START} times channel_width channels")
    if len(structure.blocks) > len(tensors):
        raise WeightsError(f"its config.json gives {len(structure.blocks)} blocks, but it has {len(tensors)} tensors")


def _check(config: Any) -> None:
    """Raise a WeightsError for a config.json that is not that of a BigGAN-deep."""
    if not isinstance(config, dict):
        raise WeightsError("its config.json is no table of settings")
    for key, kind in KEYS.items():
        if not isinstance(config.get(key), (int, float) if kind is float else kind):
            raise WeightsError(f"its config.json gives {key} = {config.get(key)!r}; it should be a {kind.__name__}")
    rows = config["layers"]
    if not rows or not all(isinstance(row, list) and len(row) == 3 for row in rows):
        raise WeightsError("its config.json gives layers that are no lists of [doubles the size, from, to]")
    if config["n_stats"] < 2 or min(config[key] for key in ("z_dim", "num_classes", "channel_width")) < 1:
        raise WeightsError("its config.json gives sizes that are too small")
