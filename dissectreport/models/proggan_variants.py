"""The training variants in Table 1 of Karras et al. (2018), and recognition of a variant by its tensors.

    generator = from_state_dict(read_tensors(Path("wgangp-beaa509a.pth")))
    images = generator(torch.randn(4, 128))                     # (4, 3, 128, 128) in [-1, 1]

They have the blocks and the upsampling of the Progressive GAN, but normalise features and weights differently. Their
layers are features.0 to features.11; features.3 corresponds to layer4 of the Progressive GAN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod, sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.checkpoints.state_dicts import load_exactly
from dissectreport.errors import WeightsError
from dissectreport.models import proggan
from dissectreport.models.proggan import ProgressiveGenerator, normalise_pixels, shapes
from dissectreport.models.proggan_names import one_network, resolution_of, sizes_of


@dataclass(frozen=True)
class Variant:
    """How a training variant normalises features and weights."""

    description: str
    norm: str
    """"batch": batch norm after each convolution; "first": pixel norm of the latent only; "every": in every block."""
    scaled: bool = False
    """Whether a learned scale follows each convolution, and pixel norm precedes the output."""


KINDS = {
    "batch_norm": Variant("a Progressive GAN with batch norm", "batch"),
    "plain": Variant("a Progressive GAN without scales", "first"),
    "equalized": Variant("a Progressive GAN with an equalized learning rate", "first", scaled=True),
    "pixel_norm": Variant("a Progressive GAN with pixel norm and learned scales", "every", scaled=True),
}
PROGRESSIVE = "progressive"
"""The kind of the networks in `proggan`."""


class LearnedScale(nn.Module):
    """Multiplies by a learned number, then adds a learned bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.b = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels, h, w) -> the same shape."""
        return features * self.scale + self.b.view(1, -1, 1, 1)


class VariantBlock(nn.Module):
    """Pixel norm and nearest upsampling (both optional), convolution, scale, leaky ReLU."""

    def __init__(self, variant: Variant, number: int, shape: tuple[int, int, int, int, int]) -> None:
        super().__init__()
        channels_in, channels_out, kernel, padding, self.upsampling = shape
        self.normed = variant.norm == "every" or number == 0
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, padding=padding, bias=not variant.scaled)
        self.wscale = LearnedScale(channels_out) if variant.scaled else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels_in, h, w) -> (n, channels_out, h', w')."""
        features = normalise_pixels(features) if self.normed else features
        features = self.wscale(self.conv(upsampled(features, self.upsampling)))
        return functional.leaky_relu(features, 0.2)


class BatchNormBlock(nn.Module):
    """Nearest upsampling (optional), convolution, batch norm, ReLU."""

    def __init__(self, shape: tuple[int, int, int, int, int]) -> None:
        super().__init__()
        channels_in, channels_out, kernel, padding, self.upsampling = shape
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, padding=padding, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels_in, h, w) -> (n, channels_out, h', w')."""
        return functional.relu(self.norm(self.conv(upsampled(features, self.upsampling))))


class VariantOutput(nn.Module):
    """A 1x1 convolution to RGB, clamped to [-1, 1]."""

    def __init__(self, variant: Variant, channels_in: int) -> None:
        super().__init__()
        self.normed = variant.scaled
        self.conv = nn.Conv2d(channels_in, 3, 1, bias=not variant.scaled)
        self.wscale = LearnedScale(3) if variant.scaled else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels_in, h, w) -> (n, 3, h, w) in [-1, 1]."""
        features = normalise_pixels(features) if self.normed else features
        image: Tensor = self.wscale(self.conv(features))
        return image.clamp(-1, 1)


def upsampled(features: Tensor, factor: int) -> Tensor:
    """(n, channels, h, w) -> (n, channels, h * factor, w * factor), every pixel repeated."""
    return functional.interpolate(features, scale_factor=float(factor), mode="nearest") if factor > 1 else features


def initialise_block(block: nn.Module, gain: float, random: torch.Generator) -> None:
    """Initialise the weights of a block; a learned scale gets the standard deviation, and its weights are N(0, 1)."""
    conv, scale = block.get_submodule("conv"), getattr(block, "wscale", None)
    assert isinstance(conv, nn.Conv2d), "every block has a convolution"
    deviation = gain / sqrt(prod(conv.weight.shape[1:]))
    values = torch.randn(conv.weight.shape, generator=random)
    with torch.no_grad():
        if isinstance(scale, LearnedScale):
            scale.scale.fill_(deviation)
        conv.weight.copy_(values if isinstance(scale, LearnedScale) else values * deviation)
        if conv.bias is not None:
            conv.bias.zero_()


class VariantGenerator(nn.Module):
    """A generator of one of KINDS; `sizes` are the channels of the latent, then of each resolution from 4x4 on."""

    def __init__(self, kind: str, sizes: Sequence[int]) -> None:
        super().__init__()
        self.kind, self.sizes = kind, tuple(sizes)
        self.latent_size, self.resolution = self.sizes[0], resolution_of(self.sizes)
        variant = KINDS[kind]
        self.features = nn.Sequential(
            *(
                BatchNormBlock(shape) if variant.norm == "batch" else VariantBlock(variant, number, shape)
                for number, shape in enumerate(shapes(self.sizes))
            )
        )
        self.output = VariantOutput(variant, self.sizes[-1])

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the blocks in the order in which they run, without the output."""
        return tuple(f"features.{number}" for number in range(len(self.features)))

    def extra_repr(self) -> str:
        """The kind. Two kinds have the same modules and tensors, and must have different identities."""
        return self.kind

    def initialise(self, seed: int) -> None:
        """Initialise weights as He et al. (2015) and set biases to zero, as before training."""
        random = torch.Generator().manual_seed(seed)
        for block in self.features:
            initialise_block(block, sqrt(2), random)
        initialise_block(self.output, 1.0, random)

    def forward(self, z: Tensor) -> Tensor:
        """(n, z) or (n, z, 1, 1) latents -> (n, 3, h, w) images in [-1, 1]."""
        image: Tensor = self.output(self.features(z.view(len(z), self.latent_size, 1, 1)))
        return image


AnyGenerator = ProgressiveGenerator | VariantGenerator


def new(kind: str, sizes: Sequence[int]) -> AnyGenerator:
    """A generator of this kind with arbitrary weights."""
    return ProgressiveGenerator(sizes) if kind == PROGRESSIVE else VariantGenerator(kind, sizes)


def from_state_dict(content: Mapping[str, object], kind: str = "") -> AnyGenerator:
    """The generator with these weights, which must fit exactly, in evaluation mode.

    `kind` is PROGRESSIVE or one of KINDS; with '' it is recognised by the tensors, or a WeightsError is raised.
    """
    tensors = one_network(content)
    kind = kind or kind_of(tensors)
    if kind == PROGRESSIVE:
        return proggan.from_state_dict(tensors)
    generator = VariantGenerator(kind, sizes_of(tensors, "features.{}.conv.weight", first=0))
    load_exactly(generator, tensors, KINDS[kind].description)
    return generator.eval()


def kind_of(tensors: Mapping[str, Tensor]) -> str:
    """The kind of Progressive GAN whose tensors have these names and shapes; a WeightsError if two kinds have."""
    if "features.0.norm.weight" in tensors:
        return "batch_norm"
    if "features.0.conv.bias" in tensors:
        return "plain"
    if "features.0.wscale.scale" in tensors and _narrows_early(tensors):
        raise WeightsError(
            "the names and shapes of these weights fit two training variants, with an equalized learning rate and with "
            "pixel norm: load them as livingroom_equalized_lr or as livingroom_pixelnorm, with --weights"
        )
    return PROGRESSIVE


def _narrows_early(tensors: Mapping[str, Tensor]) -> bool:
    """Whether images have 128 pixels, and 16x16 has fewer channels than 8x8: true for the variants only."""
    sizes = sizes_of(tensors, "features.{}.conv.weight", first=0)
    return resolution_of(sizes) == 128 and sizes[3] < sizes[2]
