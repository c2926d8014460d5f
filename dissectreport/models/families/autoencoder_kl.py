"""The variational autoencoder of latent diffusion in plain torch, with the tensors of diffusers' AutoencoderKL.

    network = from_tensors(NetworkTensors(tensors, settings={"config": config}), Sampling())
    reconstructed = network(photographs)             # the decoder's images of the most probable codes

A layer's name is that of the original: decoder.up_blocks.0 is the output of a block. Attention is computed, but is not
among the layers.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

from torch import Tensor, nn
from torch.nn import functional

from dissectreport.errors import WeightsError
from dissectreport.models.families.autoencoder import Autoencoder
from dissectreport.models.families.base import NetworkTensors, Sampling, size_of

MARK = "decoder.mid_block.resnets.0.conv1.weight"
"""The tensor by which the family is recognised."""
OTHER_MARK = "decoder.mid.block_1.conv1.weight"
"""The same tensor in files of the original program."""
CONFIG = "config"
"""The key of the content of config.json in the settings of a network."""
GROUPS = 32
"""Groups of a norm, where there is no config.json."""
EPSILON = 1e-6
OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Names in attention layers of files before 2023."""

ORIGINAL_NAMES = (
    (r"^encoder\.down\.(\d+)\.", r"encoder.down_blocks.\1."),
    (r"(_blocks\.\d+\.)block\.", r"\1resnets."),
    (r"(_blocks\.\d+\.)downsample\.", r"\1downsamplers.0."),
    (r"(_blocks\.\d+\.)upsample\.", r"\1upsamplers.0."),
    (r"\.nin_shortcut\.", r".conv_shortcut."),
    (r"^((?:en|de)coder)\.norm_out\.", r"\1.conv_norm_out."),
    (r"\.mid\.attn_1\.norm\.", r".mid_block.attentions.0.group_norm."),
    (r"\.mid\.attn_1\.([qkv])\.", r".mid_block.attentions.0.to_\1."),
    (r"\.mid\.attn_1\.proj_out\.", r".mid_block.attentions.0.to_out.0."),
)
"""Names of the original program (CompVis), and those of diffusers."""


@dataclass(frozen=True)
class KLStructure:
    """All that determines the network, besides its weights."""

    channels: tuple[int, ...]
    """Of the blocks, from the image inwards."""
    depth: int
    """Residual blocks in a block of the encoder; one more in the decoder."""
    code: int
    """Channels of a code."""
    groups: int
    attention: bool
    """Whether the innermost blocks have attention."""
    quant: bool
    """Whether a 1x1 convolution follows the encoder,"""
    post_quant: bool
    """and one precedes the decoder."""
    sample_size: int = 0


class KLResidual(nn.Module):
    """Two convolutions after norms, added to the input."""

    def __init__(self, channels_in: int, channels_out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in, EPSILON)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, channels_out, EPSILON)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        if channels_in != channels_out:
            self.conv_shortcut = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h, w)."""
        inner = self.conv1(functional.silu(self.norm1(x)))
        inner = self.conv2(functional.silu(self.norm2(inner)))
        shortcut = self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x
        return cast(Tensor, shortcut + inner)


class KLAttention(nn.Module):
    """Self-attention over all pixels, with one head, added to the input."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, EPSILON)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w)."""
        pixels = self.group_norm(x).flatten(2).transpose(1, 2)
        read = functional.scaled_dot_product_attention(self.to_q(pixels), self.to_k(pixels), self.to_v(pixels))
        return cast(Tensor, x + self.to_out[0](read).transpose(1, 2).reshape(x.shape))


class KLDownsample(nn.Module):
    """A convolution that halves the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h / 2, w / 2)."""
        return cast(Tensor, self.conv(functional.pad(x, (0, 1, 0, 1))))


class KLUpsample(nn.Module):
    """A convolution after the size is doubled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, 2 h, 2 w)."""
        return cast(Tensor, self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest")))


class KLBlock(nn.Module):
    """Residual blocks, followed by a change of size except in the last block."""

    def __init__(self, channels: Sequence[int], groups: int, change: str = "") -> None:
        super().__init__()
        self.resnets = nn.ModuleList(KLResidual(before, after, groups) for before, after in pairwise(channels))
        if change == "downsamplers":
            self.downsamplers = nn.ModuleList([KLDownsample(channels[-1])])
        if change == "upsamplers":
            self.upsamplers = nn.ModuleList([KLUpsample(channels[-1])])

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h', w')."""
        for part in (part for parts in self.children() for part in cast(nn.ModuleList, parts)):
            x = part(x)
        return x


class KLMiddle(nn.Module):
    """The innermost blocks: two residual ones, with attention between them."""

    def __init__(self, channels: int, groups: int, attention: bool) -> None:
        super().__init__()
        if attention:
            self.attentions = nn.ModuleList([KLAttention(channels, groups)])
        self.resnets = nn.ModuleList([KLResidual(channels, channels, groups) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w)."""
        x = self.resnets[0](x)
        x = self.attentions[0](x) if hasattr(self, "attentions") else x
        return cast(Tensor, self.resnets[1](x))


class KLHalf(nn.Module):
    """What encoder and decoder share: a convolution, blocks, and a convolution after a norm."""

    def __init__(self, entry: tuple[int, int], leaving: tuple[int, int], groups: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(*entry, 3, padding=1)
        self.conv_norm_out = nn.GroupNorm(groups, leaving[0], EPSILON)
        self.conv_out = nn.Conv2d(*leaving, 3, padding=1)

    def left(self, x: Tensor) -> Tensor:
        """The last norm and convolution."""
        return cast(Tensor, self.conv_out(functional.silu(self.conv_norm_out(x))))


class KLEncoder(KLHalf):
    """From images to the mean and the logarithm of the variance of codes."""

    def __init__(self, structure: KLStructure) -> None:
        channels, groups = structure.channels, structure.groups
        super().__init__((3, channels[0]), (channels[-1], 2 * structure.code), groups)
        entries, last = (channels[0], *channels), len(channels) - 1
        self.down_blocks = nn.ModuleList(
            KLBlock((entries[k], *[out] * structure.depth), groups, "downsamplers" if k < last else "")
            for k, out in enumerate(channels)
        )
        self.mid_block = KLMiddle(channels[-1], groups, structure.attention)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 2 code channels, h', w')."""
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.left(self.mid_block(x))


class KLDecoder(KLHalf):
    """From codes to images."""

    def __init__(self, structure: KLStructure) -> None:
        channels, groups = structure.channels[::-1], structure.groups
        super().__init__((structure.code, channels[0]), (channels[-1], 3), groups)
        entries, last = (channels[0], *channels), len(channels) - 1
        self.mid_block = KLMiddle(channels[0], groups, structure.attention)
        self.up_blocks = nn.ModuleList(
            KLBlock((entries[k], *[out] * (structure.depth + 1)), groups, "upsamplers" if k < last else "")
            for k, out in enumerate(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, code channels, h', w') -> (n, 3, h, w)."""
        x = self.mid_block(self.conv_in(x))
        for block in self.up_blocks:
            x = block(x)
        return self.left(x)


class AutoencoderKL(Autoencoder):
    """An encoder and a decoder; the code of a photograph is the mean of what the encoder says."""

    title = "AutoencoderKL (diffusers)"

    def __init__(self, structure: KLStructure, sampling: Sampling) -> None:
        super().__init__(sampling, structure.sample_size)
        self.latent_channels, self.reduction = structure.code, 2 ** (len(structure.channels) - 1)
        self.encoder, self.decoder = KLEncoder(structure), KLDecoder(structure)
        if structure.quant:
            self.quant_conv = nn.Conv2d(2 * structure.code, 2 * structure.code, 1)
        if structure.post_quant:
            self.post_quant_conv = nn.Conv2d(structure.code, structure.code, 1)

    def encode(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) photographs in [-1, 1] -> (n, latent channels, h / reduction, w / reduction) mean codes."""
        moments = self.encoder(images)
        moments = self.quant_conv(moments) if hasattr(self, "quant_conv") else moments
        return cast(Tensor, moments[:, : self.latent_channels])

    def decode(self, codes: Tensor) -> Tensor:
        """(n, latent channels, h / reduction, w / reduction) codes -> (n, 3, h, w), nominally in [-1, 1]."""
        codes = self.post_quant_conv(codes) if hasattr(self, "post_quant_conv") else codes
        return cast(Tensor, self.decoder(codes))

    @property
    def unit_layers(self) -> tuple[str, ...]:
        """The blocks of encoder and decoder, and the residual blocks in them, in the order in which they run."""
        encoder = [name for name in _blocks(self.encoder, "encoder") if not name.startswith("encoder.mid")]
        middle = ["encoder.mid_block.resnets.0", "encoder.mid_block.resnets.1", "encoder.mid_block"]
        first = ["decoder.mid_block.resnets.0", "decoder.mid_block.resnets.1", "decoder.mid_block"]
        decoder = [name for name in _blocks(self.decoder, "decoder") if not name.startswith("decoder.mid")]
        return (*encoder, *middle, *first, *decoder)

    @property
    def decoder_layers(self) -> tuple[str, ...]:
        """The innermost block and the blocks after it."""
        return ("decoder.mid_block", *(f"decoder.up_blocks.{k}" for k in range(len(self.decoder.up_blocks))))


def _blocks(half: nn.Module, prefix: str) -> list[str]:
    """The names of the residual blocks of a half, each block's own name after those of its parts."""
    blocks = half.down_blocks if isinstance(half, KLEncoder) else half.get_submodule("up_blocks")
    kind = "down_blocks" if isinstance(half, KLEncoder) else "up_blocks"
    names = []
    for number, block in enumerate(cast(nn.ModuleList, blocks)):
        resnets = cast(nn.ModuleList, block.get_submodule("resnets"))
        names += [f"{prefix}.{kind}.{number}.resnets.{k}" for k in range(len(resnets))]
        names.append(f"{prefix}.{kind}.{number}")
    return names


def from_tensors(network: NetworkTensors, sampling: Sampling) -> AutoencoderKL:
    """The autoencoder of these tensors; a WeightsError says what does not fit."""
    tensors = modern(network.tensors)
    made = AutoencoderKL(structure_of(tensors, network.settings.get(CONFIG, {})), sampling)
    made.take(tensors)
    return made


def modern(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by today's names of attention layers, with their 1x1 convolutions as matrices."""
    blocks = _count(tensors, r"decoder\.up\.(\d+)\.")
    renamed = {}
    for original, value in tensors.items():
        name = diffusers_name(original, blocks)
        found = re.fullmatch(r"(.+\.attentions\.\d+\.)(query|key|value|proj_attn)(\.(?:weight|bias))", name)
        whole = f"{found[1]}{OLD_NAMES[found[2]]}{found[3]}" if found else name
        square = ".attentions." in whole and value.ndim == 4
        renamed[whole] = value.flatten(1) if square else value
    return renamed


def diffusers_name(name: str, blocks: int) -> str:
    """The name in diffusers of a tensor of the original program, whose decoder counts its blocks from the image.

    >>> diffusers_name("decoder.up.3.block.0.nin_shortcut.weight", 4), diffusers_name("encoder.mid.attn_1.q.bias", 4)
    ('decoder.up_blocks.0.resnets.0.conv_shortcut.weight', 'encoder.mid_block.attentions.0.to_q.bias')
    """
    if found := re.match(r"decoder\.up\.(\d+)\.", name):
        name = f"decoder.up_blocks.{blocks - 1 - int(found[1])}.{name[found.end() :]}"
    if found := re.match(r"(.+\.)mid\.block_([12])\.", name):
        name = f"{found[1]}mid_block.resnets.{int(found[2]) - 1}.{name[found.end() :]}"
    for pattern, new in ORIGINAL_NAMES:
        name = re.sub(pattern, new, name)
    return name


def structure_of(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> KLStructure:
    """The structure that the shapes show; the number of groups is in config.json alone."""
    extra = [name for name in tensors if re.search(r"(down|up)_blocks\.\d+\.attentions\.", name)]
    if extra:
        raise WeightsError(f"{extra[0]} is attention outside of the innermost block, which is not supported")
    blocks = _count(tensors, r"encoder\.down_blocks\.(\d+)\.")
    channels = tuple(size_of(tensors, f"encoder.down_blocks.{k}.resnets.0.conv1.weight", 4)[0] for k in range(blocks))
    if not channels:
        raise WeightsError("it has no encoder, which photographs need; give the file of the whole autoencoder")
    for part in ("quant_conv", "post_quant_conv"):
        if config.get(f"use_{part}") is True and f"{part}.weight" not in tensors:
            raise WeightsError(f"its config.json says use_{part}, but {part}.weight is missing")
    groups = config.get("norm_num_groups", GROUPS)
    if not isinstance(groups, int) or groups < 1 or any(channel % groups for channel in channels):
        raise WeightsError(f"norms of {groups} groups do not fit {', '.join(map(str, channels))} channels")
    size = config.get("sample_size", 0)
    return KLStructure(
        channels,
        _count(tensors, r"encoder\.down_blocks\.0\.resnets\.(\d+)\."),
        size_of(tensors, "decoder.conv_in.weight", 4)[1],
        groups,
        "decoder.mid_block.attentions.0.to_q.weight" in tensors,
        "quant_conv.weight" in tensors,
        "post_quant_conv.weight" in tensors,
        size if isinstance(size, int) and size > 0 else 0,
    )


def _count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    """One more than the largest number in names that begin with a pattern; 0 for none."""
    return max((int(found[1]) + 1 for name in tensors if (found := re.match(pattern, name))), default=0)
