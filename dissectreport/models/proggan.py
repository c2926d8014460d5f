"""The Progressive GAN generator of Karras et al. (2018), with the state-dict keys of GAN Dissection.

    generator = from_state_dict(torch.load("church.pth", weights_only=True))
    images = generator(torch.randn(4, 512))                     # (4, 3, 256, 256), nominally in [-1, 1]

Every block normalises its input first, so what a layer returns, where units are read, is not yet normalised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.errors import WeightsError


def normalise_pixels(features: Tensor) -> Tensor:
    """(n, channels, h, w) features with a mean square of one over the channels of every pixel."""
    return features * torch.rsqrt(features.square().mean(dim=1, keepdim=True) + 1e-8)


def unchanged(features: Tensor) -> Tensor:
    """The features as they are."""
    return features


class WeightScale(nn.Module):
    """Multiplies by a constant that depends on the convolution before it, then adds a learned bias."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.b = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels, h, w) -> the same shape."""
        return features * self.scale + self.b.view(1, -1, 1, 1)


class Block(nn.Module):
    """Pixel norm, nearest upsampling where there is any, convolution, scale and bias, leaky rectifier."""

    normalise: Callable[[Tensor], Tensor] = staticmethod(normalise_pixels)

    def __init__(self, channels_in: int, channels_out: int, kernel: int, padding: int, upsampling: int) -> None:
        super().__init__()
        self.upsampling = upsampling
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, padding=padding, bias=False)
        self.wscale = WeightScale(channels_out, sqrt(2 / channels_in) / kernel)

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels_in, h, w) -> (n, channels_out, h', w'), not normalised."""
        features = self.normalise(features)
        if self.upsampling > 1:
            features = functional.interpolate(features, scale_factor=float(self.upsampling), mode="nearest")
        return functional.leaky_relu(self.wscale(self.conv(features)), 0.2)


class Output(nn.Module):
    """Pixel norm and a 1x1 convolution to red, green and blue; values may leave [-1, 1]."""

    normalise: Callable[[Tensor], Tensor] = staticmethod(normalise_pixels)

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, 3, 1, bias=False)
        self.wscale = WeightScale(3, sqrt(1 / channels_in))

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels_in, h, w) -> (n, 3, h, w)."""
        image: Tensor = self.wscale(self.conv(self.normalise(features)))
        return image


class PlainBlock(Block):
    """A block without pixel norm."""

    normalise = staticmethod(unchanged)


class PlainOutput(Output):
    """An output without pixel norm."""

    normalise = staticmethod(unchanged)


@dataclass(frozen=True)
class Parts:
    """What a generator is built of; its weights look the same with either kind."""

    block: type[Block]
    output: type[Output]


NORMALISED = Parts(Block, Output)
PLAIN = Parts(PlainBlock, PlainOutput)
"""Without pixel norm anywhere: a training variant of GAN Dissection, section 4.2."""


class ProgressiveGenerator(nn.Sequential):
    """Blocks `layer1` to `layerN`, two a resolution from 4x4 on, then `output_RxR`.

    `sizes` are the channels of the latent, then of each resolution from 4x4 on.
    """

    def __init__(self, sizes: Sequence[int], parts: Parts = NORMALISED) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.parts = parts
        self.latent_size = self.sizes[0]
        self.resolution = resolution_of(self.sizes)
        for number, block in enumerate(blocks(self.sizes, parts.block), start=1):
            self.add_module(f"layer{number}", block)
        self.add_module(output_name(self.sizes), parts.output(self.sizes[-1]))

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the blocks in the order in which they run, the output not among them."""
        return tuple(name for name, _ in self.named_children())[:-1]

    def initialise(self, seed: int) -> None:
        """Draw all weights from N(0, 1), biases zero: the network before any training."""
        random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, value in self.named_parameters():
                value.copy_(
                    torch.randn(value.shape, generator=random) if name.endswith("weight") else torch.zeros(value.shape)
                )

    def forward(self, z: Tensor) -> Tensor:
        """(n, z) or (n, z, 1, 1) latents -> (n, 3, h, w) images."""
        features = z.view(len(z), self.latent_size, 1, 1)
        for block in self:
            features = block(features)
        return features


def resolution_of(sizes: Sequence[int]) -> int:
    """Height and width of the images of a generator with these `sizes`."""
    return int(2 ** len(sizes))


def output_name(sizes: Sequence[int]) -> str:
    """The name of the last child: output_RxR."""
    return f"output_{resolution_of(sizes)}x{resolution_of(sizes)}"


def blocks(sizes: Sequence[int], kind: type[Block]) -> list[Block]:
    """The blocks of a generator with these `sizes`: two a resolution."""
    made = [kind(sizes[0], sizes[1], kernel=4, padding=3, upsampling=1), kind(sizes[1], sizes[1], 3, 1, 1)]
    for before, after in pairwise(sizes[1:]):
        made += [kind(before, after, 3, 1, upsampling=2), kind(after, after, 3, 1, upsampling=1)]
    return made


def sizes_of(state_dict: Mapping[str, Tensor]) -> tuple[int, ...]:
    """The `sizes` of the generator that these weights, in current key names, belong to."""
    if "layer1.conv.weight" not in state_dict:
        raise WeightsError("not a Progressive GAN: there is no layer1.conv.weight among its tensors")
    sizes = [_channels(state_dict, 1, axis=1)]
    number = 1
    while f"layer{number}.conv.weight" in state_dict:
        sizes.append(_channels(state_dict, number, axis=0))
        number += 2
    return tuple(sizes)


def _channels(state_dict: Mapping[str, Tensor], number: int, axis: int) -> int:
    weight = state_dict[f"layer{number}.conv.weight"]
    if weight.dim() != 4:
        raise WeightsError(f"layer{number}.conv.weight has shape {tuple(weight.shape)}; it should have four axes")
    return int(weight.shape[axis])


def with_current_names(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, those under the older `features.N` names renamed and `wscale.scale` dropped."""
    if "features.0.conv.weight" not in state_dict:
        return dict(state_dict)
    count = sum(bool(re.fullmatch(r"features\.\d+\.conv\.weight", key)) for key in state_dict)
    output = output_name(range(count // 2 + 1))
    return {_current_name(key, output): value for key, value in state_dict.items() if not key.endswith("wscale.scale")}


def _current_name(key: str, output: str) -> str:
    if numbered := re.fullmatch(r"features\.(\d+)\.(.+)", key):
        return f"layer{int(numbered[1]) + 1}.{numbered[2]}"
    return re.sub(r"^output\.", f"{output}.", key)


def from_state_dict(state_dict: Mapping[str, object], parts: Parts = NORMALISED) -> ProgressiveGenerator:
    """The generator that these weights belong to, in evaluation mode; every tensor must be there and fit."""
    tensors = with_current_names(_tensors(state_dict))
    generator = ProgressiveGenerator(sizes_of(tensors), parts)
    _check(tensors, generator.state_dict())
    generator.load_state_dict(tensors)
    return generator.eval()


def _tensors(state_dict: Mapping[str, object]) -> dict[str, Tensor]:
    inner = state_dict.get("state_dict", state_dict)
    if not isinstance(inner, Mapping):
        raise WeightsError(f"no weights: 'state_dict' is a {type(inner).__name__}; it should be a table of tensors")
    for key, value in inner.items():
        if not isinstance(value, Tensor):
            raise WeightsError(f"no weights: {key!r} is a {type(value).__name__}; it should be a tensor")
    return dict(inner)


def _check(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    problems = [f"{key} is missing" for key in expected.keys() - given.keys()]
    problems += [f"{key} is unknown" for key in given.keys() - expected.keys()]
    problems += [
        f"{key} has shape {tuple(given[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected.keys() & given.keys()
        if given[key].shape != expected[key].shape
    ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise WeightsError(f"these weights do not fit a Progressive GAN: {min(problems)}{more}")
