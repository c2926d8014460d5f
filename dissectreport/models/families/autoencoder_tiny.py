"""Tiny autoencoders (TAESD and its relatives) in plain torch: diffusers' AutoencoderTiny and the original files.

    network = from_tensors(NetworkTensors(tensors), Sampling())
    reconstructed = network(photographs)

Encoder and decoder are sequences. A layer's name is that of diffusers: decoder.layers.2 is a residual block, whose
units are rectified. The original program has one file for each half, in which the decoder begins with one more step.

Bohan, "Tiny AutoEncoder for Stable Diffusion", github.com/madebyollin/taesd.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from dissectreport.errors import WeightsError
from dissectreport.models.families.autoencoder import Autoencoder
from dissectreport.models.families.base import NetworkTensors, Sampling

MARKS = ("decoder.layers.2.conv.4.weight", "decoder.3.conv.4.weight")
"""The tensor by which the family is recognised, by diffusers' names and by those of the original program."""
DECODER_ALONE, ENCODER_ALONE = "3.conv.4.weight", "1.conv.4.weight"
"""Tensors of the original program's files of one half; its decoder begins with a clamp, which has no weights."""
BOUND = 3.0
"""Codes are kept within ± this, smoothly."""
EXPANSION = 4
"""Times as many channels has the normed branch of a block, in as many groups."""


class TinyBlock(nn.Module):
    """Three convolutions, added to the input and rectified; some blocks add a normed branch to the input first."""

    def __init__(self, channels_in: int, channels_out: int, pool: bool) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1),
        )
        if channels_in != channels_out:
            self.skip = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        if pool:
            inner = EXPANSION * channels_in
            self.pool = nn.Sequential(
                nn.Conv2d(channels_in, inner, 1, bias=False),
                nn.GroupNorm(EXPANSION, inner),
                nn.ReLU(),
                nn.Conv2d(inner, channels_in, 1, bias=False),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h, w), rectified."""
        x = x + self.pool(x) if hasattr(self, "pool") else x
        return cast(Tensor, (self.conv(x) + (self.skip(x) if hasattr(self, "skip") else x)).relu())


class TinyHalf(nn.Module):
    """A sequence of numbered steps."""

    def __init__(self, steps: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*steps)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h', w')."""
        return cast(Tensor, self.layers(x))


class TinyAutoencoder(Autoencoder):
    """An encoder and a decoder of residual blocks."""

    title = "tiny autoencoder"

    def __init__(self, tensors: Mapping[str, Tensor], sampling: Sampling) -> None:
        super().__init__(sampling)
        encoder, decoder = numbered(tensors, "encoder"), numbered(tensors, "decoder")
        if not encoder:
            raise WeightsError(
                "it has no encoder, which photographs need; put the encoder's file beside it, "
                "with encoder in place of decoder in its name"
            )
        self.encoder = TinyHalf([_encoding(encoder, number) for number in range(max(encoder) + 1)])
        self.decoder = TinyHalf([_decoding(decoder, number) for number in range(max(decoder) + 1)])
        first = decoder[0].get("weight")
        if first is None or first.ndim != 4:
            raise WeightsError("decoder.layers.0 is no convolution")
        self.latent_channels = int(first.shape[1])
        self.reduction = 2 ** sum(isinstance(step, nn.Upsample) for step in self.decoder.layers)

    def encode(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) photographs in [-1, 1] -> (n, latent channels, h / reduction, w / reduction) codes."""
        return cast(Tensor, self.encoder((images + 1) / 2))

    def decode(self, codes: Tensor) -> Tensor:
        """(n, latent channels, h / reduction, w / reduction) codes -> (n, 3, h, w), nominally in [-1, 1]."""
        return cast(Tensor, self.decoder(torch.tanh(codes / BOUND) * BOUND) * 2 - 1)

    @property
    def unit_layers(self) -> tuple[str, ...]:
        """The residual blocks and the convolutions between them, in the order in which they run, without the image."""
        halves: tuple[tuple[str, TinyHalf], ...] = (("encoder", self.encoder), ("decoder", self.decoder))
        return tuple(
            f"{name}.layers.{number}"
            for name, half in halves
            for number, step in enumerate(list(half.layers)[:-1])
            if isinstance(step, TinyBlock | nn.Conv2d)
        )

    @property
    def decoder_layers(self) -> tuple[str, ...]:
        """The last residual block at each size."""
        steps = list(self.decoder.layers)
        blocks = [number for number, step in enumerate(steps) if isinstance(step, TinyBlock)]
        last = [number for number in blocks if number + 1 not in blocks]
        return tuple(f"decoder.layers.{number}" for number in last)


def numbered(tensors: Mapping[str, Tensor], half: str) -> dict[int, dict[str, Tensor]]:
    """The tensors of each step of a half, by its number."""
    steps: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if found := re.fullmatch(rf"{half}\.layers\.(\d{{1,3}})\.(.+)", name):
            steps.setdefault(int(found[1]), {})[found[2]] = value
    return steps


def _encoding(steps: Mapping[int, Mapping[str, Tensor]], number: int) -> nn.Module:
    """A step of the encoder. Convolutions without a bias halve the size, and those before a rectifier."""
    own = steps.get(number)
    if own is None:
        return nn.ReLU()
    halved = "bias" not in own or (number + 1 not in steps and number < max(steps))
    return _block(own, number) or _convolution(own, number, 2 if halved else 1)


def _decoding(steps: Mapping[int, Mapping[str, Tensor]], number: int) -> nn.Module:
    """A step of the decoder: a rectifier follows the first convolution; other steps without weights double the size."""
    own = steps.get(number)
    if own is None:
        return nn.ReLU() if number == 1 else nn.Upsample(scale_factor=2.0)
    return _block(own, number) or _convolution(own, number, 1)


def _block(own: Mapping[str, Tensor], number: int) -> TinyBlock | None:
    """The residual block of these tensors; None for a convolution."""
    first = own.get("conv.0.weight")
    if first is None:
        return None
    if first.ndim != 4:
        raise WeightsError(f"conv.0.weight of step {number} has shape {tuple(first.shape)}; it should have 4 axes")
    return TinyBlock(int(first.shape[1]), int(first.shape[0]), "pool.0.weight" in own)


def _convolution(own: Mapping[str, Tensor], number: int, stride: int) -> nn.Conv2d:
    """The convolution of these tensors."""
    weight = own.get("weight")
    if weight is None or weight.ndim != 4:
        raise WeightsError(f"step {number} is neither a residual block nor a convolution: it has {', '.join(own)}")
    return nn.Conv2d(int(weight.shape[1]), int(weight.shape[0]), 3, stride=stride, padding=1, bias="bias" in own)


def from_tensors(network: NetworkTensors, sampling: Sampling) -> TinyAutoencoder:
    """The autoencoder of these tensors; a WeightsError says what does not fit."""
    tensors = {_layer_name(name): value for name, value in network.tensors.items()}
    made = TinyAutoencoder(tensors, sampling)
    made.take(tensors)
    return made


def is_decoder_alone(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of a file with the decoder alone."""
    return DECODER_ALONE in tensors and "0.weight" not in tensors and all(name[0].isdigit() for name in tensors)


def joined(decoder: Mapping[str, Tensor], encoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of two files with one half each, by the names of a file with both."""
    return {
        f"{half}.{name}": value
        for half, own in (("encoder", encoder), ("decoder", decoder))
        for name, value in own.items()
    }


def _layer_name(name: str) -> str:
    """A tensor's name in diffusers, where the decoder's clamp is no step."""
    found = re.fullmatch(r"(encoder|decoder)\.(\d{1,3})\.(.+)", name)
    if not found:
        return name
    return f"{found[1]}.layers.{int(found[2]) - (found[1] == 'decoder')}.{found[3]}"
