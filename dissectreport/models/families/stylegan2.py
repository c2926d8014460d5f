"""StyleGAN2 and StyleGAN2-ADA in plain torch, float32, with the tensors of the official PyTorch programs.

    network = from_tensors(NetworkTensors(tensors), Sampling(psi=0.7))
    images = network(torch.randn(4, 512))                       # (4, 3, h, w), nominally in [-1, 1]

A layer's name is that of the original without `synthesis.`: b16.conv0 and b16.conv1 are the feature maps at 16 px after
their activation, b16.conv1.style the style channels that scale the units which b16.conv1 reads. Noise is the fixed
pattern in the file, so that images repeat.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, and "Training Generative Adversarial
Networks with Limited Data", NeurIPS 2020. Style channels: Wu et al., "StyleSpace Analysis", CVPR 2021.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.errors import BadOption, WeightsError
from dissectreport.models.families.base import (
    FamilyNetwork,
    NetworkTensors,
    Sampling,
    evenly,
    size_of,
    standard_normal,
)
from dissectreport.models.families.modulation import GAIN, SLOPE, Dense, MappingNetwork, demodulation

MARK = "synthesis.b4.const"
"""The tensor by which the family is recognised."""
FILTER = (1.0, 3.0, 3.0, 1.0)
"""The resampling filter in each direction, before it is normalised."""
CLAMP = 256.0
"""The clamp of all published configurations."""
CONSTANTS = "resample_filter"
PATTERN = "noise_const"
ARCHITECTURES = ("skip", "resnet", "orig")
CONFIGS = {32768: "config F", 16384: "config E"}
"""Names of published configurations, by the number of channels times the resolution."""
KNOWN = frozenset(
    (
        *("channel_base", "channel_max", "num_fp16_res", "conv_clamp", "architecture", "use_noise"),
        *("fused_modconv_default", "fp16_channels_last", "resample_filter", "activation"),
    )
)
"""Settings of the synthesis network that are known; another one could change images."""
KNOWN_MAPPING = frozenset(
    ("num_layers", "embed_features", "layer_features", "activation", "lr_multiplier", "w_avg_beta")
)


@dataclass(frozen=True)
class StyleGAN2Structure:
    """All that determines the network, besides its weights."""

    latent: int
    classes: int
    w: int
    mapping_layers: int
    channels: tuple[int, ...]
    """Channels at 4 px, 8 px and so on."""
    architecture: str = "skip"
    """skip (an image at each resolution, added up), resnet or orig (one image at the end)."""
    noise: bool = True
    """Whether layers add noise."""
    own_noise: bool = False
    """Whether the patterns of the noise are drawn here, because the file has none."""
    averaged: bool = True
    """Whether the file has the average w, which truncation needs."""
    clamp: float | None = CLAMP
    rate: float = 0.01
    """Learning rate factor of the mapping network."""
    hidden: int = 0
    """Width of the mapping network's inner layers; 0 for that of w."""
    colours: int = 3

    @property
    def resolutions(self) -> tuple[int, ...]:
        """4, 8 and so on up to the size of the image."""
        return tuple(4 * 2**number for number in range(len(self.channels)))


class StyledLayer(nn.Module):
    """What a convolution with styles has: a weight, a bias, and a linear layer from w to the styles of its input."""

    def __init__(self, channels_in: int, channels_out: int, w: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels_out, channels_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.style = Dense(w, channels_in)


class StyledConvolution(StyledLayer):
    """A 3x3 convolution with styles and demodulation, noise and a leaky rectifier; doubles the size if `up`."""

    noise_const: Tensor

    def __init__(
        self, channels_in: int, channels_out: int, resolution: int, structure: StyleGAN2Structure, up: bool, gain: float
    ) -> None:
        super().__init__(channels_in, channels_out, structure.w, 3)
        self.up, self.gain, self.clamp = up, gain, structure.clamp
        if structure.noise:
            self.register_buffer("noise_const", torch.zeros(resolution, resolution))
            self.noise_strength = nn.Parameter(torch.zeros(()))
        self.adds_noise = structure.noise

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(n, in, h, w) and (n, w) -> (n, out, h', w')."""
        styles = self.style(w)
        x = self._convolved(x * styles[:, :, None, None]) * demodulation(self.weight, styles)
        if self.adds_noise:
            x = x + self.noise_const * self.noise_strength
        x = functional.leaky_relu(x + self.bias[:, None, None], SLOPE) * (GAIN * self.gain)
        return x if self.clamp is None else x.clamp(-self.clamp * self.gain, self.clamp * self.gain)

    def _convolved(self, x: Tensor) -> Tensor:
        if not self.up:
            return functional.conv2d(x, self.weight, padding=1)
        return smoothed(functional.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2))

    def extra_repr(self) -> str:
        """The settings that change activations; a part of the network's identity."""
        return f"up={self.up}, gain={self.gain:g}, clamp={self.clamp}, adds_noise={self.adds_noise}"


class ToImage(StyledLayer):
    """A 1x1 convolution with styles to the colours of the image, without demodulation."""

    def __init__(self, channels: int, structure: StyleGAN2Structure) -> None:
        super().__init__(channels, structure.colours, structure.w, 1)
        self.clamp = structure.clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(n, in, h, w) and (n, w) -> (n, colours, h, w)."""
        styles = self.style(w) / sqrt(self.weight.shape[1])
        x = functional.conv2d(x * styles[:, :, None, None], self.weight, self.bias)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class Shortcut(nn.Module):
    """The shortcut of the resnet architecture: a 1x1 convolution, then twice the size."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels_out, channels_in, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, 2h, 2w)."""
        return doubled(functional.conv2d(x, self.weight / sqrt(self.weight.shape[1]))) * sqrt(0.5)


class StyledBlock(nn.Module):
    """The layers at one resolution: conv0 doubles the size, conv1 keeps it, torgb adds to the image."""

    def __init__(self, number: int, structure: StyleGAN2Structure) -> None:
        super().__init__()
        resolution, channels = structure.resolutions[number], structure.channels[number]
        before = structure.channels[number - 1] if number else 0
        residual = structure.architecture == "resnet" and number > 0
        if number:
            self.conv0 = StyledConvolution(before, channels, resolution, structure, up=True, gain=1.0)
        else:
            self.const = nn.Parameter(torch.zeros(channels, 4, 4))
        self.conv1 = StyledConvolution(
            channels, channels, resolution, structure, up=False, gain=sqrt(0.5) if residual else 1.0
        )
        self.skip = Shortcut(before, channels) if residual else None
        last = number == len(structure.channels) - 1
        self.torgb = ToImage(channels, structure) if last or structure.architecture == "skip" else None

    def forward(self, x: Tensor | None, image: Tensor | None, ws: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features and image so far, and (n, k, w) the styles from this block on -> features and image."""
        if x is None:
            x = self.conv1(self.const.expand(len(ws), -1, -1, -1), ws[:, 0])
        else:
            shortcut = None if self.skip is None else self.skip(x)
            x = self.conv1(self.conv0(x, ws[:, 0]), ws[:, 1])
            x = x if shortcut is None else shortcut + x
        if self.torgb is None:
            return x, image
        colours = self.torgb(x, ws[:, 1 if not hasattr(self, "conv0") else 2])
        return x, colours if image is None else doubled(image) + colours


class StyleGAN2(FamilyNetwork):
    """Blocks b4, b8 and so on, one for each resolution, after a mapping network."""

    title = "StyleGAN2"

    def __init__(self, structure: StyleGAN2Structure, sampling: Sampling) -> None:
        super().__init__()
        self.structure, self.sampling = structure, sampling
        self.latent_size, self.classes = structure.latent, structure.classes
        self.resolution, self.colours = structure.resolutions[-1], structure.colours
        count = 2 * len(structure.channels)
        self.check_sampling(count, structure.noise)
        if sampling.psi < 1 and not structure.averaged:
            raise BadOption(f"psi is {sampling.psi:g}, but this file has no average w (mapping.w_avg); leave psi at 1")
        self.mapping = MappingNetwork(
            (structure.latent, structure.classes, structure.w),
            structure.mapping_layers,
            count,
            sampling,
            rate=structure.rate,
            hidden=structure.hidden,
            averaged=structure.averaged,
        )
        for number, resolution in enumerate(structure.resolutions):
            self.add_module(f"b{resolution}", StyledBlock(number, structure))
        for module in self.modules():
            if isinstance(module, StyledConvolution):
                module.adds_noise = structure.noise and sampling.noise == "const"

    @property
    def blocks(self) -> tuple[str, ...]:
        """The names of the blocks."""
        return tuple(f"b{resolution}" for resolution in self.structure.resolutions)

    @property
    def unit_layers(self) -> tuple[str, ...]:
        """Of each convolution its style channels and its feature map, and of each image that is added."""
        inner = [
            f"{block}.{name}"
            for block in self.blocks
            for name, child in self.get_submodule(block).named_children()
            if isinstance(child, StyledLayer)
        ]
        return tuple(name for layer in inner for name in (f"{layer}.style", layer))

    @property
    def default_layers(self) -> tuple[str, ...]:
        """The last feature map of each resolution from 8 px on."""
        return evenly([f"{block}.conv1" for block in self.blocks[1:]] or [f"{self.blocks[0]}.conv1"])

    def details(self) -> Iterable[str]:
        """The configuration, or the architecture where it is not the usual one."""
        channels = self.structure.channels
        # Channels times resolution are the same at all resolutions where channels are not capped.
        config = CONFIGS.get(channels[-1] * self.resolution) if channels[-1] < channels[0] else None
        architecture = self.structure.architecture
        return (*((config,) if config else ()), *((architecture,) if architecture != "skip" else ()))

    def describe_sampling(self) -> str:
        """Truncation, labels and noise."""
        kept = "the same noise in every image" + (
            ", drawn here as the file has none" if self.structure.own_noise else ""
        )
        noise = kept if self.sampling.noise == "const" else "no noise"
        return super().describe_sampling() + (f", {noise}" if self.structure.noise else "")

    def file_name(self, name: str) -> str:
        """With `synthesis.`, and `affine` for styles."""
        return name if name.startswith("mapping.") else f"synthesis.{name}".replace(".style.", ".affine.")

    def random_weight(self, name: str, value: Tensor, random: torch.Generator) -> Tensor:
        """Standard normal weights and constants, no biases but those of styles, which are one, and no noise."""
        if name.endswith(("weight", "const")):
            scale = 1 / 0.01 if re.match(r"mapping\.fc\d", name) else 1.0
            return standard_normal(value, random) * scale
        return torch.ones_like(value) if name.endswith("style.bias") else torch.zeros_like(value)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, latent) and, with classes, (n, classes) one-hot labels -> (n, colours, h, w)."""
        return self.draw(self.mapping(z, labels))

    def draw(self, ws: Tensor) -> Tensor:
        """(n, layers, w) -> (n, colours, h, w). Each block's last style is the first one of the next block."""
        x: Tensor | None = None
        image: Tensor | None = None
        for number, block in enumerate(self.blocks):
            x, image = self.get_submodule(block)(x, image, ws[:, max(0, 2 * number - 1) :])
        assert image is not None, "the last block makes an image"
        return image


def smoothed(x: Tensor) -> Tensor:
    """(n, c, 2h + 1, 2w + 1) -> (n, c, 2h, 2w), filtered; the gain makes up for inserted zeros."""
    channels = x.shape[1]
    kernel = _filter(x, 4.0)
    tall = functional.conv2d(
        x, kernel.sum(1).view(1, 1, 4, 1).expand(channels, -1, -1, -1), padding=(1, 0), groups=channels
    )
    wide = kernel.sum(0).view(1, 1, 1, 4) / 4
    return functional.conv2d(tall, wide.expand(channels, -1, -1, -1), padding=(0, 1), groups=channels)


def doubled(x: Tensor) -> Tensor:
    """(n, c, h, w) -> (n, c, 2h, 2w), filtered."""
    kernel = _filter(x, 4.0).expand(x.shape[1], 1, -1, -1)
    return functional.conv_transpose2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


def _filter(x: Tensor, gain: float) -> Tensor:
    """(4, 4) the resampling filter with this sum."""
    line = x.new_tensor(FILTER)
    return torch.outer(line, line) * (gain / line.sum() ** 2)


def from_tensors(found: NetworkTensors, sampling: Sampling) -> StyleGAN2:
    """The network with these tensors; a WeightsError says what does not fit."""
    tensors = {name: value for name, value in found.tensors.items() if not name.endswith(CONSTANTS)}
    _check_filters(found)
    network = StyleGAN2(structure_of(found), sampling)
    check_sizes(network, found.settings)
    network.take(with_noise(tensors))
    return network.eval()


def with_noise(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with patterns of noise where a file has strengths alone, as programs save that draw it each time."""
    if any(name.endswith(PATTERN) for name in tensors):
        return dict(tensors)
    random = torch.Generator().manual_seed(0)
    drawn = dict(tensors)
    for name in sorted(tensors):
        if match := re.fullmatch(r"(synthesis\.b(\d+)\.conv\d\.)noise_strength", name):
            drawn[match[1] + PATTERN] = torch.randn(int(match[2]), int(match[2]), generator=random)
    return drawn


def _check_filters(found: NetworkTensors) -> None:
    """Refuse files with another resampling filter than the one that all published networks have."""
    for name, value in found.tensors.items():
        if not name.endswith(CONSTANTS):
            continue
        expected = _filter(value.float(), 1.0)
        if value.shape != expected.shape or not torch.allclose(value.float(), expected, atol=1e-6):
            raise WeightsError(f"{name} is another resampling filter than that of StyleGAN2; it is not supported")


def structure_of(found: NetworkTensors) -> StyleGAN2Structure:
    """The structure that the shapes of tensors and the settings in the file show."""
    tensors = found.tensors
    channels = [size_of(tensors, MARK, 3)[0]]
    while f"synthesis.b{4 * 2 ** len(channels)}.conv1.weight" in tensors:
        channels.append(size_of(tensors, f"synthesis.b{4 * 2 ** len(channels)}.conv1.weight", 4)[0])
    last = 4 * 2 ** (len(channels) - 1)
    _check_depth(tensors, last)
    layers = count_layers(tensors, "mapping.fc{}.weight")
    w = size_of(tensors, f"synthesis.b{last}.torgb.affine.weight", 2)[1]
    classes = size_of(tensors, "mapping.embed.weight", 2)[1] if "mapping.embed.weight" in tensors else 0
    first = size_of(tensors, "mapping.fc0.weight", 2)
    settings = _settings(found)
    return StyleGAN2Structure(
        latent=first[1] - (w if classes else 0),
        classes=classes,
        w=w,
        mapping_layers=layers,
        channels=tuple(channels),
        architecture=_architecture(found, len(channels)),
        noise="synthesis.b4.conv1.noise_strength" in tensors,
        own_noise="synthesis.b4.conv1.noise_const" not in tensors,
        averaged="mapping.w_avg" in tensors,
        clamp=settings["clamp"],
        rate=settings["rate"],
        hidden=first[0] if layers > 1 and first[0] != w else 0,
        colours=size_of(tensors, f"synthesis.b{last}.torgb.weight", 4)[0],
    )


def count_layers(tensors: Iterable[str], pattern: str) -> int:
    """How many layers of this name there are; a WeightsError if there is none."""
    names, count = set(tensors), 0
    while pattern.format(count) in names:
        count += 1
    if not count:
        raise WeightsError(f"{pattern.format(0)} is missing")
    return count


def _check_depth(tensors: Iterable[str], last: int) -> None:
    """Raise a WeightsError where there are blocks beyond a missing one."""
    sizes = {int(match[1]) for name in tensors if (match := re.match(r"synthesis\.b(\d+)\.", name))}
    beyond = sorted(size for size in sizes if size > last)
    if beyond:
        raise WeightsError(
            f"it has a block at {beyond[-1]} px, but no synthesis.b{2 * last}.conv1.weight for one at {2 * last} px"
        )


def _architecture(found: NetworkTensors, blocks: int) -> str:
    if blocks > 1 and "synthesis.b8.skip.weight" in found.tensors:
        return "resnet"
    return "skip" if blocks == 1 or "synthesis.b4.torgb.weight" in found.tensors else "orig"


def _settings(found: NetworkTensors) -> dict[str, Any]:
    """The clamp and the learning rate factor of the mapping network, by the settings in the file."""
    if not found.settings:
        return {"clamp": CLAMP, "rate": 0.01}
    nested = found.settings.get("synthesis_kwargs")
    flat = {key: value for key, value in found.settings.items() if key not in BASIC}
    synthesis, mapping = flat if nested is None else nested, found.settings.get("mapping_kwargs", {})
    for values, known in ((synthesis, KNOWN), (mapping, KNOWN_MAPPING)):
        check_settings(values, known)
    # The two programs differ in what they do where a file does not say it.
    default = CLAMP if nested is None else None
    return checked_numbers({"clamp": synthesis.get("conv_clamp", default), "rate": mapping.get("lr_multiplier", 0.01)})


def checked_numbers(values: dict[str, Any]) -> dict[str, Any]:
    """The clamp and the factor of a mapping network; a WeightsError if one is no positive number."""
    for name, value in values.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < inf
        if not number and not (name == "clamp" and value is None):
            raise WeightsError(f"its settings say {name} = {value!r}; it should be a positive number")
    return values


def check_sizes(network: FamilyNetwork, settings: Any) -> None:
    """Raise a WeightsError where tensors and the settings in the file describe different networks."""
    sizes = {
        "z_dim": network.latent_size,
        "c_dim": network.classes,
        "img_resolution": network.resolution,
        "img_channels": network.colours,
    }
    for name, size in sizes.items():
        if settings.get(name, size) != size:
            raise WeightsError(f"its settings say {name} = {settings[name]!r}, but its tensors {size}")


BASIC = frozenset(("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "mapping_kwargs", "synthesis_kwargs"))


def check_settings(values: Any, known: Iterable[str]) -> None:
    """Raise a WeightsError for the first setting that is not known, or for another activation function."""
    if not isinstance(values, dict):
        raise WeightsError(f"the settings of this network are a {type(values).__name__} instead of a table")
    strange = [name for name in values if name not in known]
    if strange:
        raise WeightsError(
            f"this network was made with {strange[0]} = {values[strange[0]]!r}, a setting that is not known here, so "
            "it may be of a program that was derived from StyleGAN"
        )
    if values.get("activation", "lrelu") != "lrelu":
        raise WeightsError(f"this network has the activation function {values['activation']!r}; only lrelu is known")
