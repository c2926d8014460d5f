"""BigGAN in plain torch, float32, with the tensors of ajbrock's BigGAN-PyTorch, and what all BigGANs share.

    network = from_tensors(NetworkTensors(tensors), Sampling(psi=0.5))
    images = network(torch.randn(4, 120), functional.one_hot(torch.tensor([3, 3, 7, 7]), 1000).float())

A layer's name is that of the original: blocks.2.0 is the output of a block, blocks.2.1 that of the attention after it.
Batch norm uses the stored statistics, so that an image does not depend on its batch. Spectral norm is folded into the
weights.

Brock, Donahue and Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR 2019.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.errors import BadOption, WeightsError
from dissectreport.models.families.base import FamilyNetwork, NetworkTensors, Sampling, evenly, size_of
from dissectreport.models.inputs import Argument, Noise

MARK = "output_layer.0.stored_mean"
"""The tensor by which the family is recognised, once its norms have their usual names."""
OTHER_MARKS = ("output_layer.0.bn.stored_mean", "output_layer.0.bn.running_mean", "output_layer.0.running_mean")
"""The same tensor in files of other norms."""
OUTPUT_EPSILON = 1e-5
BOUND = 2.0
"""Truncated latents are normal within ± this, before they are multiplied by psi."""
INITIAL = 0.02
"""Standard deviation of untrained weights."""


@dataclass(frozen=True)
class BigGANStructure:
    """All that determines the network, besides its weights."""

    latent: int
    classes: int
    shared: int
    """Length of a class embedding."""
    channels: tuple[int, ...]
    """Before the first block, and after each."""
    attention: frozenset[int]
    """The numbers of the blocks that attention follows."""
    chunk: int
    """Length of the part of the latent that each block gets, 0 where the latent goes to the first layer alone."""
    epsilon: float = 1e-5
    """Of the batch norms in blocks. It is not in the file."""

    @property
    def condition(self) -> int:
        """Length of what a batch norm depends on."""
        return self.shared + self.chunk

    @property
    def first(self) -> int:
        """Length of the part of the latent that the first layer gets."""
        return self.chunk or self.latent


class ConditionalNorm(nn.Module):
    """Batch norm with stored statistics, whose gain and bias depend on a vector."""

    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, channels: int, condition: int, epsilon: float) -> None:
        super().__init__()
        self.gain = nn.Linear(condition, channels, bias=False)
        self.bias = nn.Linear(condition, channels, bias=False)
        self.epsilon = epsilon
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(n, c, h, w) and (n, condition) -> (n, c, h, w)."""
        scale = torch.rsqrt(self.stored_var + self.epsilon) * (1 + self.gain(condition))
        shift = self.bias(condition) - self.stored_mean * scale
        normed: Tensor = x * scale[:, :, None, None] + shift[:, :, None, None]
        return normed

    def extra_repr(self) -> str:
        """Epsilon; a part of the network's identity."""
        return f"epsilon={self.epsilon:g}"


class OutputNorm(nn.Module):
    """Batch norm with stored statistics, and a gain and a bias of its own."""

    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w)."""
        scale = torch.rsqrt(self.stored_var + OUTPUT_EPSILON) * self.gain
        return x * scale[:, None, None] + (self.bias - self.stored_mean * scale)[:, None, None]


class BigGANBlock(nn.Module):
    """Two convolutions after conditional norms, and a shortcut; doubles the size."""

    def __init__(self, channels_in: int, channels_out: int, structure: BigGANStructure) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.conv_sc = nn.Conv2d(channels_in, channels_out, 1)
        self.bn1 = ConditionalNorm(channels_in, structure.condition, structure.epsilon)
        self.bn2 = ConditionalNorm(channels_out, structure.condition, structure.epsilon)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(n, in, h, w) and (n, condition) -> (n, out, 2h, 2w)."""
        inner = self.conv1(doubled(functional.relu(self.bn1(x, condition))))
        inner = self.conv2(functional.relu(self.bn2(inner, condition)))
        # A 1x1 convolution and repeated pixels may change places; the first is cheaper where there are fewer pixels.
        outer: Tensor = inner + doubled(self.conv_sc(x))
        return outer


class BigGANAttention(nn.Module):
    """Attention of every pixel to every second one, added to the features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.phi = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.g = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.o = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w)."""
        return attended(x, self.gamma, self.theta, self.phi, self.g, self.o)


def attended(x: Tensor, gamma: Tensor, *parts: nn.Module) -> Tensor:
    """(n, c, h, w) -> (n, c, h, w) by the convolutions of queries, keys, values and the output."""
    queries, keys, values, output = parts
    asked, known = queries(x).flatten(2), functional.max_pool2d(keys(x), 2).flatten(2)
    weights = torch.softmax(asked.transpose(1, 2) @ known, dim=-1)
    seen = functional.max_pool2d(values(x), 2).flatten(2) @ weights.transpose(1, 2)
    added: Tensor = gamma * output(seen.view(len(x), -1, *x.shape[2:]))
    return x + added


def doubled(x: Tensor) -> Tensor:
    """(n, c, h, w) -> (n, c, 2h, 2w), every pixel four times."""
    return functional.interpolate(x, scale_factor=2, mode="nearest")


class TruncatedLatents(FamilyNetwork):
    """A network whose truncation makes latents smaller."""

    def latent(self) -> Argument:
        """Normal latents, or truncated ones times psi."""
        if self.sampling.psi == 1 and not self.always_truncated:
            return Noise((self.latent_size,))
        if not self.sampling.psi:
            raise BadOption("psi is 0, so all latents of a BigGAN would be the same; give a number above 0")
        return Noise((self.latent_size,), "truncated", scale=self.sampling.psi, bound=BOUND)

    always_truncated = False
    """Whether latents are truncated at ±2 even if psi is 1."""

    def describe_sampling(self) -> str:
        """The distribution of latents, and labels."""
        labels = super().describe_sampling().partition(", ")[2]
        return f"latents: {self.latent().describe()}, {labels}".rstrip(", ")

    def check_sampling(self, layers: int = 0, noise: bool = False) -> None:
        """Raise a BadOption for what these networks do not have, and where all latents would be the same."""
        super().check_sampling(layers, noise)
        self.latent()


class BigGAN(TruncatedLatents):
    """Blocks from 4 px on, each twice the size of the one before, with conditional norms."""

    title = "BigGAN (ajbrock)"

    def __init__(self, structure: BigGANStructure, sampling: Sampling) -> None:
        super().__init__()
        self.structure, self.sampling = structure, sampling
        self.latent_size, self.classes = structure.latent, structure.classes
        self.resolution = 4 * 2 ** (len(structure.channels) - 1)
        self.check_sampling()
        self.shared = nn.Linear(structure.classes, structure.shared, bias=False)
        self.linear = nn.Linear(structure.first, 16 * structure.channels[0])
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                [
                    BigGANBlock(structure.channels[number], structure.channels[number + 1], structure),
                    *([BigGANAttention(structure.channels[number + 1])] if number in structure.attention else []),
                ]
            )
            for number in range(len(structure.channels) - 1)
        )
        last = structure.channels[-1]
        self.output_layer = nn.ModuleList([OutputNorm(last), nn.ReLU(), nn.Conv2d(last, 3, 3, padding=1)])

    @property
    def unit_layers(self) -> tuple[str, ...]:
        """The output of each block, and of attention."""
        counts = [2 if number in self.structure.attention else 1 for number in range(len(self.blocks))]
        return tuple(f"blocks.{number}.{part}" for number, count in enumerate(counts) for part in range(count))

    @property
    def default_layers(self) -> tuple[str, ...]:
        """The output of the blocks, at most five."""
        return evenly(f"blocks.{number}.0" for number in range(len(self.blocks)))

    def details(self) -> tuple[str, ...]:
        """Whether the latent is divided among blocks, and where attention is."""
        hierarchical = ("hierarchical latents",) if self.structure.chunk else ()
        return (*hierarchical, *(f"attention at {8 * 2**number} px" for number in sorted(self.structure.attention)))

    def file_name(self, name: str) -> str:
        """The same, as all names are those of the original."""
        return name

    def random_weight(self, name: str, value: Tensor, random: torch.Generator) -> Tensor:
        """Small normal weights; no biases, no attention, statistics of mean 0 and variance 1."""
        return random_weight(name, value, random)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """(n, latent) and (n, classes) one-hot labels -> (n, 3, h, w) in [-1, 1]."""
        embedded = self.shared(labels)
        first, *others = torch.split(z, self.structure.chunk, dim=1) if self.structure.chunk else (z,)
        x = self.linear(first).view(len(z), self.structure.channels[0], 4, 4)
        for name in self.unit_layers:
            part, number = self.get_submodule(name), int(name.split(".")[1])
            condition = torch.cat([embedded, others[number]], 1) if self.structure.chunk else embedded
            x = part(x, condition) if isinstance(part, BigGANBlock) else part(x)
        for part in self.output_layer:
            x = part(x)
        return torch.tanh(x)


def random_weight(name: str, value: Tensor, random: torch.Generator) -> Tensor:
    """A tensor of an untrained network: small normal weights, no biases, statistics of mean 0 and variance 1."""
    if name.endswith("weight"):
        return torch.randn(value.shape, generator=random) * INITIAL
    return torch.ones_like(value) if name.endswith(("stored_var", "0.gain")) else torch.zeros_like(value)


def fits(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are not the tensors of the deep variant."""
    return "blocks.0.0.conv4.weight" not in tensors


def from_tensors(found: NetworkTensors, sampling: Sampling) -> BigGAN:
    """The network with these tensors; a WeightsError says what does not fit."""
    tensors = with_usual_names(found.tensors)
    tensors = with_shared_embedding(tensors)
    folded = fold_power_iteration(tensors)
    network = BigGAN(structure_of(tensors, found.settings.get("epsilon", BigGANStructure.epsilon)), sampling)
    folded["shared.weight"] = folded["shared.weight"].T
    network.take(folded)
    return network.eval()


def with_shared_embedding(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with the labels themselves as class embedding where each norm has a table of gains by class."""
    table = tensors.get("blocks.0.0.bn1.gain.weight")
    if "shared.weight" in tensors or table is None or table.ndim != 2:
        return dict(tensors)
    if "blocks.0.0.bn1.gain.u0" in tensors:  # Tables have no spectral norm.
        raise WeightsError("shared.weight is missing: the class embedding on which its norms depend")
    tables = re.compile(r"blocks\.\d+\.0\.bn\d\.(gain|bias)\.weight")
    turned = {name: value.T if tables.fullmatch(name) and value.ndim == 2 else value for name, value in tensors.items()}
    return {"shared.weight": torch.eye(len(table)), **turned}


def with_usual_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with those names of statistics that most files have, and without counters."""
    renamed = {re.sub(r"(\.bn)?\.(stored|running)_(mean|var)$", r".stored_\3", name): v for name, v in tensors.items()}
    unused = ("accumulation_counter", "num_batches_tracked")
    return {name: value for name, value in renamed.items() if not name.endswith(unused)}


def fold_power_iteration(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights divided by their spectral norm, which one power step from the stored vector estimates."""
    folded = {name: value.float() for name, value in tensors.items() if not re.search(r"\.s?[uv]\d+$", name)}
    for name in folded:
        vector = f"{name.removesuffix('weight')}u0"
        if name.endswith(".weight") and vector in tensors and folded[name].ndim > 1:
            folded[name] = folded[name] / _spectral_norm(folded[name].flatten(1), tensors[vector].float(), vector)
    _check_vectors(tensors)
    return folded


def _check_vectors(tensors: Mapping[str, Tensor]) -> None:
    """Raise a WeightsError where some convolutions have a vector of spectral norm and others have none."""
    stems = [
        name.removesuffix("weight") for name, value in tensors.items() if value.ndim == 4 and name.endswith(".weight")
    ]
    bare = [stem for stem in stems if f"{stem}u0" not in tensors]
    if bare and any(name.endswith(".u0") for name in tensors):
        raise WeightsError(f"{bare[0]}u0 is missing, so the spectral norm of {bare[0]}weight is unknown")


def _spectral_norm(weight: Tensor, u: Tensor, name: str) -> Tensor:
    """The estimate for a (out, in) weight from a (1, out) vector with this name."""
    if u.shape != (1, len(weight)):
        raise WeightsError(f"{name} has shape {tuple(u.shape)}; it should have (1, {len(weight)})")
    v = functional.normalize(u @ weight, eps=1e-6)
    u = functional.normalize(v @ weight.T, eps=1e-6)
    norm = (v @ weight.T @ u.T).squeeze()
    if not norm:
        raise WeightsError(f"{name} gives a spectral norm of 0; give a file from before training failed")
    return norm


def structure_of(tensors: Mapping[str, Tensor], epsilon: float) -> BigGANStructure:
    """The structure that the names and shapes of tensors show."""
    classes, shared = size_of(tensors, "shared.weight", 2)
    width, first = size_of(tensors, "linear.weight", 2)
    channels, attention = [width // 16], set()
    while (name := f"blocks.{len(channels) - 1}.0.conv1.weight") in tensors:
        if f"blocks.{len(channels) - 1}.1.gamma" in tensors:
            attention.add(len(channels) - 1)
        channels.append(size_of(tensors, name, 4)[0])
    if len(channels) == 1:
        raise WeightsError("blocks.0.0.conv1.weight is missing")
    chunk = size_of(tensors, "blocks.0.0.bn1.gain.weight", 2)[1] - shared
    if chunk < 0 or (chunk and chunk != first):
        raise WeightsError(f"its norms depend on {chunk + shared} numbers, which fit no latent and class embedding")
    latent = chunk * len(channels) if chunk else first
    return BigGANStructure(latent, classes, shared, tuple(channels), frozenset(attention), chunk, float(epsilon))
