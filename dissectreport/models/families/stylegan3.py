"""StyleGAN3 (T and R) in plain torch, float32, with the tensors of the official PyTorch program.

    network = from_tensors(NetworkTensors(tensors), Sampling(psi=0.7))
    images = network(torch.randn(4, 512))                       # (4, 3, h, w), nominally in [-1, 1]

A layer's name is that of the original without `synthesis.`, such as L5_84_512: the feature map after its activation.
L5_84_512.style has the style channels that scale the units which it reads. All maps but those of the last two layers
have a margin of 10 pixels, which lies outside the image: it is cut off where units are read, and edited with the rest.

Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log2, pi, sqrt
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
from dissectreport.models.families.modulation import (
    GAIN,
    SLOPE,
    Dense,
    MappingNetwork,
    demodulation,
    in_single_precision,
)
from dissectreport.models.families.stylegan2 import (
    BASIC,
    KNOWN_MAPPING,
    check_settings,
    check_sizes,
    checked_numbers,
    count_layers,
)

MARK = "synthesis.input.freqs"
"""The tensor by which the family is recognised."""
NAME = re.compile(r"synthesis\.(L(\d+)_(\d+)_(\d+))\.weight")
CRITICAL = 2
"""Layers at the end that are sampled critically; the last one makes the colours."""
MARGIN = 10
"""Pixels around the image in all but the last two layers."""
FIRST_CUTOFF = 2.0
FIRST_STOPBAND = 2**2.1
LAST_STOPBAND = 2**0.3
CLAMP = 256.0
TAPS = 6
"""Length of a filter for each step of upsampling or downsampling."""
OUTPUT_SCALE = 0.25
FIXED = {
    "first_cutoff": FIRST_CUTOFF,
    "first_stopband": FIRST_STOPBAND,
    "last_stopband_rel": LAST_STOPBAND,
    "margin_size": MARGIN,
    "num_critical": CRITICAL,
    "output_scale": OUTPUT_SCALE,
    "filter_size": TAPS,
    "lrelu_upsampling": 2,
}
"""Settings that all published networks share; another value is refused."""
KNOWN = frozenset(
    (
        *("channel_base", "channel_max", "num_layers", "magnitude_ema_beta", "conv_kernel", "use_radial_filters"),
        *("conv_clamp", "num_fp16_res", "fused_modconv_default", "activation"),
    )
)


@dataclass(frozen=True)
class Band:
    """The frequencies that a layer's map can hold."""

    cutoff: float
    half_width: float
    """Half of the width of the filters' transition."""
    rate: int
    """Samples across the image."""
    size: int
    """Height and width of the map with its margin."""


@dataclass(frozen=True)
class LayerStructure:
    """One layer: what it reads, what it writes, and how it resamples."""

    name: str
    channels_in: int
    channels_out: int
    kernel: int
    before: Band
    after: Band
    last: bool
    up_shape: tuple[int, ...] = ()
    """Shape of the filter before the rectifier; () for none."""
    down_shape: tuple[int, ...] = ()

    @property
    def working_rate(self) -> int:
        """Samples across the image while the rectifier runs."""
        return max(self.before.rate, self.after.rate) * (1 if self.last else 2)

    @property
    def padding(self) -> tuple[int, int]:
        """Pixels before and after each line once zeros are inserted; negative ones are cut off."""
        up, down = self.working_rate // self.before.rate, self.working_rate // self.after.rate
        taps = [TAPS * step if step > 1 and not self.last else 1 for step in (up, down)]
        total = (self.after.size - 1) * down + 1 - (self.before.size + self.kernel - 1) * up + sum(taps) - 2
        low = (total + up) // 2
        return low, total - low


@dataclass(frozen=True)
class StyleGAN3Structure:
    """All that determines the network, besides its tensors."""

    latent: int
    classes: int
    w: int
    mapping_layers: int
    resolution: int
    channels: int
    """Of the input."""
    layers: tuple[LayerStructure, ...]
    averaged: bool = True
    clamp: float | None = CLAMP
    rate: float = 0.01
    hidden: int = 0


class FourierInput(nn.Module):
    """Waves of fixed frequencies on a plane that w turns and shifts."""

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    def __init__(self, structure: StyleGAN3Structure) -> None:
        super().__init__()
        channels = structure.channels
        self.band, self.unit_margin = structure.layers[0].before, MARGIN
        self.weight = nn.Parameter(torch.zeros(channels, channels))
        self.style = Dense(structure.w, 4)
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", torch.zeros(channels, 2))
        self.register_buffer("phases", torch.zeros(channels))

    def forward(self, w: Tensor) -> Tensor:
        """(n, w) -> (n, channels, size, size)."""
        with in_single_precision(w):
            return self._waves(w)

    def _waves(self, w: Tensor) -> Tensor:
        plane = self._plane(self.style(w))
        phases = self.phases + (self.freqs @ plane[:, :2, 2:]).squeeze(2)
        frequencies = self.freqs @ plane[:, :2, :2]
        fading = self.band.rate / 2 - self.band.cutoff
        strength = (1 - (frequencies.norm(dim=2) - self.band.cutoff) / fading).clamp(0, 1)
        line = (torch.arange(self.band.size, device=w.device) + 0.5 - self.band.size / 2) / self.band.rate
        angle = _outer_sum(frequencies[..., 0:1] * line, frequencies[..., 1:2] * line) + phases[:, :, None, None]
        waves = torch.sin(angle * (2 * pi)) * strength[:, :, None, None]
        waves = waves.contiguous(memory_format=torch.channels_last)
        return functional.conv2d(waves, (self.weight / sqrt(len(self.weight)))[:, :, None, None])

    def _plane(self, t: Tensor) -> Tensor:
        """(n, 4) cosine, sine and shift -> (n, 3, 3) turn and shift of the plane, then the fixed transform."""
        t = t / t[:, :2].norm(dim=1, keepdim=True)
        zero, one = torch.zeros_like(t[:, 0]), torch.ones_like(t[:, 0])
        turn = torch.stack([t[:, 0], -t[:, 1], zero, t[:, 1], t[:, 0], zero, zero, zero, one], 1).view(-1, 3, 3)
        shift = torch.stack([one, zero, -t[:, 2], zero, one, -t[:, 3], zero, zero, one], 1).view(-1, 3, 3)
        return turn @ shift @ self.transform

    def extra_repr(self) -> str:
        """The band; a part of the network's identity."""
        return repr(self.band)


def _outer_sum(across: Tensor, down: Tensor) -> Tensor:
    """(n, c, k) along each axis -> (n, c, k, k) sums, the rows going down."""
    return across[:, :, None, :] + down[:, :, :, None]


class FilteredLayer(nn.Module):
    """A convolution with styles, then a leaky rectifier between upsampling and downsampling."""

    magnitude_ema: Tensor
    up_filter: Tensor
    down_filter: Tensor

    def __init__(self, layer: LayerStructure, structure: StyleGAN3Structure) -> None:
        super().__init__()
        self.layer, self.clamp = layer, structure.clamp
        self.unit_margin = (layer.after.size - layer.after.rate) // 2
        self.weight = nn.Parameter(torch.zeros(layer.channels_out, layer.channels_in, layer.kernel, layer.kernel))
        self.bias = nn.Parameter(torch.zeros(layer.channels_out))
        self.style = Dense(structure.w, layer.channels_in)
        self.register_buffer("magnitude_ema", torch.ones(()))
        if layer.up_shape:
            self.register_buffer("up_filter", torch.zeros(layer.up_shape))
        if layer.down_shape:
            self.register_buffer("down_filter", torch.zeros(layer.down_shape))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(n, in, h, w) and (n, w) -> (n, out, h', w')."""
        x = self._convolved(x, self.style(w)) + self.bias[:, None, None]
        layer = self.layer
        up, down = layer.working_rate // layer.before.rate, layer.working_rate // layer.after.rate
        x = _raised(x, self.up_filter, up, layer.padding) if layer.up_shape else functional.pad(x, layer.padding * 2)
        x = x if layer.last else functional.leaky_relu(x, SLOPE) * GAIN
        x = x if self.clamp is None else x.clamp(-self.clamp, self.clamp)
        return _lowered(x, self.down_filter, down) if layer.down_shape else x

    def _convolved(self, x: Tensor, styles: Tensor) -> Tensor:
        weight: Tensor = self.weight
        padding = self.layer.kernel - 1
        gain = torch.rsqrt(self.magnitude_ema)
        if self.layer.last:
            styles = styles / sqrt(weight[0].numel())
            return functional.conv2d(x * (styles * gain)[:, :, None, None], weight, padding=padding)
        # The original divides styles by their mean square over the batch; that cancels in the demodulation, but for
        # a constant of 1e-8. Here each sample is on its own.
        weight = weight * torch.rsqrt(weight.square().mean((1, 2, 3), keepdim=True))
        styles = styles * torch.rsqrt(styles.square().mean(1, keepdim=True))
        x = functional.conv2d(x * (styles * gain)[:, :, None, None], weight, padding=padding)
        return x * demodulation(weight, styles)

    def extra_repr(self) -> str:
        """The structure; a part of the network's identity."""
        return f"{self.layer}, clamp={self.clamp}"


def _raised(x: Tensor, kernel: Tensor, step: int, padding: tuple[int, int]) -> Tensor:
    """(n, c, h, w) with zeros between its pixels, padded, and filtered along both axes."""
    channels, taps, (low, high) = x.shape[1], len(kernel), padding
    # A transposed convolution leaves the zeros out; what it gives beyond the padding is cut off.
    crop = (low - taps + 1, high + step - taps)
    line = kernel * step
    row = line.view(1, 1, 1, -1).expand(channels, -1, -1, -1)
    x = functional.conv_transpose2d(x, row, stride=(1, step), groups=channels)
    x = functional.pad(x, (*crop, 0, 0))
    x = functional.conv_transpose2d(x, row.transpose(2, 3), stride=(step, 1), groups=channels)
    return functional.pad(x, (0, 0, *crop))


def _lowered(x: Tensor, kernel: Tensor, step: int) -> Tensor:
    """(n, c, h, w) filtered along both axes, or by a filter of two axes; then every `step`-th pixel."""
    channels = x.shape[1]
    if kernel.ndim == 2:
        return functional.conv2d(x, kernel.flip(0, 1).expand(channels, 1, -1, -1), stride=step, groups=channels)
    row = kernel.flip(0).view(1, 1, 1, -1).expand(channels, -1, -1, -1)
    x = functional.conv2d(x, row, stride=(1, step), groups=channels)
    return functional.conv2d(x, row.transpose(2, 3), stride=(step, 1), groups=channels)


class StyleGAN3(FamilyNetwork):
    """A mapping network, waves as input, and layers L0 to L14."""

    def __init__(self, structure: StyleGAN3Structure, sampling: Sampling) -> None:
        super().__init__()
        self.structure, self.sampling = structure, sampling
        self.latent_size, self.classes, self.resolution = structure.latent, structure.classes, structure.resolution
        self.colours = structure.layers[-1].channels_out
        self.check_sampling(len(structure.layers) + 1)
        if sampling.psi < 1 and not structure.averaged:
            raise BadOption(f"psi is {sampling.psi:g}, but this file has no average w (mapping.w_avg); leave psi at 1")
        self.mapping = MappingNetwork(
            (structure.latent, structure.classes, structure.w),
            structure.mapping_layers,
            len(structure.layers) + 1,
            sampling,
            rate=structure.rate,
            hidden=structure.hidden,
            averaged=structure.averaged,
        )
        self.input = FourierInput(structure)
        for layer in structure.layers:
            self.add_module(layer.name, FilteredLayer(layer, structure))

    @property
    def title(self) -> str:  # type: ignore[override]
        """StyleGAN3-T (translations) or StyleGAN3-R (rotations too), by the size of its kernels."""
        return "StyleGAN3-R" if self.structure.layers[0].kernel == 1 else "StyleGAN3-T"

    @property
    def unit_layers(self) -> tuple[str, ...]:
        """The input, and of each layer its style channels and its feature map."""
        inner = [name for layer in self.structure.layers for name in (f"{layer.name}.style", layer.name)]
        return ("input.style", "input", *inner)

    @property
    def default_layers(self) -> tuple[str, ...]:
        """The last layer of each sampling rate, at most five, without the colours."""
        last = {layer.after.rate: layer.name for layer in self.structure.layers[:-1]}
        return evenly(last.values())

    def describe_sampling(self) -> str:
        """Truncation and labels."""
        return f"{super().describe_sampling()}, the margin of maps is cut off"

    def file_name(self, name: str) -> str:
        """With `synthesis.`, and `affine` for styles."""
        return name if name.startswith("mapping.") else f"synthesis.{name}".replace(".style.", ".affine.")

    def random_weight(self, name: str, value: Tensor, random: torch.Generator) -> Tensor:
        """Standard normal weights, filters and frequencies as they are, and a plane that nothing turns."""
        if name == "input.style.weight":
            return torch.zeros_like(value)
        if name == "input.style.bias":
            return torch.tensor([1.0, 0.0, 0.0, 0.0])
        if name.endswith("weight"):
            return standard_normal(value, random) * (1 / 0.01 if re.match(r"mapping\.fc\d", name) else 1.0)
        if name.endswith(("_filter", "transform", "freqs", "phases")):
            return value
        return torch.ones_like(value) if name.endswith(("style.bias", "magnitude_ema")) else torch.zeros_like(value)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, latent) and, with classes, (n, classes) one-hot labels -> (n, colours, h, w)."""
        return self.draw(self.mapping(z, labels))

    def draw(self, ws: Tensor) -> Tensor:
        """(n, layers, w) -> (n, colours, h, w)."""
        x: Tensor = self.input(ws[:, 0])
        for number, layer in enumerate(self.structure.layers, start=1):
            x = self.get_submodule(layer.name)(x, ws[:, number])
        return x * OUTPUT_SCALE


def from_tensors(found: NetworkTensors, sampling: Sampling) -> StyleGAN3:
    """The network with these tensors; a WeightsError says what does not fit."""
    network = StyleGAN3(structure_of(found), sampling)
    check_sizes(network, found.settings)
    network.take(found.tensors)
    return network.eval()


def structure_of(found: NetworkTensors) -> StyleGAN3Structure:
    """The structure that the names and shapes of tensors show."""
    tensors = found.tensors
    names = sorted((match for name in tensors if (match := NAME.fullmatch(name))), key=lambda match: int(match[2]))
    if len(names) < CRITICAL + 2 or [int(match[2]) for match in names] != list(range(len(names))):
        raise WeightsError(f"StyleGAN3 has layers synthesis.L0_… to L14_…; this file has {len(names)} of them")
    resolution, channels = int(names[-1][3]), size_of(tensors, MARK, 2)[0]
    classes = size_of(tensors, "mapping.embed.weight", 2)[1] if "mapping.embed.weight" in tensors else 0
    w, first = size_of(tensors, "synthesis.input.affine.weight", 2)[1], size_of(tensors, "mapping.fc0.weight", 2)
    bands = schedule(len(names) - 1, resolution)
    layers = tuple(_layer(tensors, match, bands, len(names)) for match in names)
    count = count_layers(tensors, "mapping.fc{}.weight")
    return StyleGAN3Structure(
        latent=first[1] - (w if classes else 0),
        classes=classes,
        w=w,
        mapping_layers=count,
        resolution=resolution,
        channels=channels,
        layers=layers,
        averaged="mapping.w_avg" in tensors,
        hidden=first[0] if count > 1 and first[0] != w else 0,
        **_settings(found),
    )


def _settings(found: NetworkTensors) -> dict[str, Any]:
    flat = {key: value for key, value in found.settings.items() if key not in BASIC}
    for name, value in FIXED.items():
        if flat.pop(name, value) != value:
            raise WeightsError(f"this network was made with {name} = {found.settings[name]!r}; only {value} is known")
    mapping = found.settings.get("mapping_kwargs", {})
    check_settings(flat, KNOWN)
    check_settings(mapping, KNOWN_MAPPING)
    return checked_numbers({"clamp": flat.get("conv_clamp", CLAMP), "rate": mapping.get("lr_multiplier", 0.01)})


def schedule(count: int, resolution: int) -> tuple[Band, ...]:
    """The band of each of `count` layers and of the colours: frequencies rise geometrically."""
    last_cutoff = resolution / 2
    bands = []
    for number in range(count + 1):
        share = min(number / (count - CRITICAL), 1)
        cutoff = FIRST_CUTOFF * (last_cutoff / FIRST_CUTOFF) ** share
        stopband = FIRST_STOPBAND * (last_cutoff * LAST_STOPBAND / FIRST_STOPBAND) ** share
        rate = int(2 ** ceil(log2(min(2 * stopband, resolution))))
        size = resolution if number > count - CRITICAL else rate + 2 * MARGIN
        bands.append(Band(cutoff, max(stopband, rate / 2) - cutoff, rate, size))
    return tuple(bands)


def _layer(tensors: Mapping[str, Tensor], match: re.Match[str], bands: tuple[Band, ...], count: int) -> LayerStructure:
    name, number = match[1], int(match[2])
    out, channels, kernel, _ = size_of(tensors, f"synthesis.{name}.weight", 4)
    after = bands[number]
    if after.size != int(match[3]):
        raise WeightsError(
            f"layer {name} has a map of {match[3]} px; in a StyleGAN3 of {bands[-1].size} px with {count} layers it "
            f"has {after.size} px"
        )
    filters = {
        kind: tuple(tensors[key].shape) if (key := f"synthesis.{name}.{kind}_filter") in tensors else ()
        for kind in ("up", "down")
    }
    layer = LayerStructure(
        name=name,
        channels_in=channels,
        channels_out=out,
        kernel=kernel,
        before=bands[max(0, number - 1)],
        after=after,
        last=number == count - 1,
        up_shape=filters["up"],
        down_shape=filters["down"],
    )
    _check_filters(layer)
    return layer


def _check_filters(layer: LayerStructure) -> None:
    """Raise a WeightsError where a filter is missing, or has another length than its layer's resampling needs."""
    for kind, rate, shape in (
        ("up", layer.before.rate, layer.up_shape),
        ("down", layer.after.rate, layer.down_shape),
    ):
        step = layer.working_rate // rate
        taps = TAPS * step if step > 1 and not layer.last else 0
        allowed = {(taps,), (taps,) * (2 if kind == "down" else 1)} if taps else {()}
        if shape not in allowed:
            name, needed = (
                f"synthesis.{layer.name}.{kind}_filter",
                f"{taps} numbers along each axis" if taps else "none",
            )
            raise WeightsError(f"{name} {f'has shape {shape}' if shape else 'is missing'}; the layer needs {needed}")
