"""The Progressive GAN generator of Karras et al. (2018), with the state-dict keys of GAN Dissection.

    generator = from_state_dict(torch.load("church.pth", weights_only=True))
    images = generator(torch.randn(4, 512))                     # (4, 3, 256, 256), nominally in [-1, 1]

Every block first normalises its input. So the output of a layer, where units are measured, is not yet normalised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.checkpoints.state_dicts import load_exactly
from dissectreport.models.proggan_names import one_network, output_name, resolution_of, sizes_of, with_current_names


def normalise_pixels(features: Tensor) -> Tensor:
    """(n, channels, h, w) features, scaled so that the mean square over channels is one at every pixel (pixel norm)."""
    squares = features.square()
    scale = torch.rsqrt(squares.mean(dim=1, keepdim=True) + 1e-8)
    return torch.mul(features, scale, out=squares) if may_overwrite(squares) else features * scale


def may_overwrite(*maps: Tensor) -> bool:
    """Whether the result of an operation may be written over maps that nothing else holds: the same bits, sooner.

    Not where gradients are wanted, nor while the network is exported.
    """
    with_gradients = torch.is_grad_enabled() and any(one.requires_grad for one in maps)
    return not with_gradients and not torch.compiler.is_compiling()


def normalise_pixels_as_published(features: Tensor) -> Tensor:
    """The same in the order of operations of the published implementation, which rounds differently."""
    return features / torch.sqrt(torch.mean(features**2, dim=1, keepdim=True) + 1e-8)


class AsPublished(nn.Module):
    """A module with a faster form and one whose every operation is that of the published implementation.

    The two differ by some 2e-6 in activations, which moves a pixel across a threshold in four of a thousand counts.
    """

    as_published = False
    """Whether the published form runs; `compute_as_published` sets it."""


def compute_as_published(module: nn.Module, wanted: bool) -> None:
    """Let every part of a network that has two forms run in its published one, or in the faster one."""
    for part in module.modules():
        if isinstance(part, AsPublished):
            part.as_published = wanted


class WeightScale(AsPublished):
    """Multiplies by a constant that depends on the preceding convolution, then adds a learned bias."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.b = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels, h, w), which may be overwritten -> the same shape."""
        if self.as_published:
            return features * self.scale + self.b.view(1, -1, 1, 1)
        # One operation instead of two, because reading the maps takes longer than the arithmetic.
        over = features if features.dtype == self.b.dtype and may_overwrite(features, self.b) else None
        return torch.add(self.b.view(1, -1, 1, 1), features, alpha=self.scale, out=over)


class UpsamplingConv(nn.Conv2d, AsPublished):
    """Nearest upsampling by 2, then a 3x3 convolution, as one operation that takes half the time.

    The nine products of an output pixel have at most four different features, so weights are summed first. That gives a
    transposed convolution with a 4x4 kernel ("fused scale" of Karras et al. 2018).
    """

    _summed: tuple[tuple[object, ...], Tensor] | None = None
    """The state of the weights, and the kernel that was made of them."""

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels_in, h, w) -> (n, channels_out, 2h, 2w)."""
        if self.as_published:
            return super().forward(functional.interpolate(features, scale_factor=2, mode="nearest"))
        return functional.conv_transpose2d(features, self._kernel(), stride=2, padding=1)

    def _kernel(self) -> Tensor:
        """(channels_in, channels_out, 4, 4) the summed weights, computed once as long as the weights stay the same."""
        if not may_overwrite(self.weight):
            return summed_weights(self.weight)
        weight = self.weight
        state = weight.data_ptr(), weight._version, weight.dtype, weight.device
        if self._summed is None or self._summed[0] != state:
            self._summed = state, summed_weights(weight)
        return self._summed[1]


def summed_weights(weight: Tensor) -> Tensor:
    """(channels_out, channels_in, 3, 3) weights -> (channels_in, channels_out, 4, 4) of the transposed convolution."""
    padded = functional.pad(weight, (1, 1, 1, 1))
    tall = padded[:, :, 1:] + padded[:, :, :-1]
    return (tall[..., 1:] + tall[..., :-1]).flip(2, 3).transpose(0, 1)


class Block(AsPublished):
    """Pixel norm (unless `plain`), nearest upsampling (if `upsampling` > 1), convolution, scale, leaky ReLU."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, padding: int, upsampling: int, *, plain: bool = False
    ) -> None:
        super().__init__()
        self.plain = plain
        kind = UpsamplingConv if upsampling > 1 else nn.Conv2d
        self.conv = kind(channels_in, channels_out, kernel, padding=padding, bias=False)
        self.wscale = WeightScale(channels_out, sqrt(2 / channels_in) / kernel)

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels_in, h, w) -> (n, channels_out, h', w'), not normalised."""
        if not self.plain:
            features = normalise_pixels_as_published(features) if self.as_published else normalise_pixels(features)
        maps = self.wscale(self.conv(features))
        return functional.leaky_relu(maps, 0.2, inplace=may_overwrite(maps))


class OutputLayer(AsPublished):
    """Pixel norm (unless `plain`), and a 1x1 convolution to RGB; values may exceed [-1, 1]."""

    def __init__(self, channels_in: int, *, plain: bool = False) -> None:
        super().__init__()
        self.plain = plain
        self.conv = nn.Conv2d(channels_in, 3, 1, bias=False)
        self.wscale = WeightScale(3, sqrt(1 / channels_in))

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels_in, h, w) -> (n, 3, h, w)."""
        if not self.plain:
            features = normalise_pixels_as_published(features) if self.as_published else normalise_pixels(features)
        image: Tensor = self.wscale(self.conv(features))
        return image


class ProgressiveGenerator(nn.Sequential):
    """Blocks `layer1` to `layerN`, two for each resolution from 4x4 on, then `output_RxR`.

    `sizes` are the channels of the latent, then of each resolution from 4x4 on. A `plain` generator has no pixel norm,
    like the first training variant in GAN Dissection (section 4.2).
    """

    def __init__(self, sizes: Sequence[int], *, plain: bool = False) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.plain = plain
        self.latent_size = self.sizes[0]
        self.resolution = resolution_of(self.sizes)
        for number, shape in enumerate(shapes(self.sizes), start=1):
            self.add_module(f"layer{number}", Block(*shape, plain=plain))
        self.add_module(output_name(self.sizes), OutputLayer(self.sizes[-1], plain=plain))

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the blocks in the order in which they run, without the output."""
        return tuple(name for name, _ in self.named_children())[:-1]

    def initialise(self, seed: int) -> None:
        """Draw all weights from N(0, 1) and set biases to zero, as before training."""
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


def shapes(sizes: Sequence[int]) -> list[tuple[int, int, int, int, int]]:
    """Input channels, output channels, kernel, padding and upsampling of every block; two blocks a resolution."""
    blocks = [(sizes[0], sizes[1], 4, 3, 1), (sizes[1], sizes[1], 3, 1, 1)]
    for before, after in pairwise(sizes[1:]):
        blocks += [(before, after, 3, 1, 2), (after, after, 3, 1, 1)]
    return blocks


def from_state_dict(content: Mapping[str, object], *, plain: bool = False) -> ProgressiveGenerator:
    """The generator with these weights, which must fit exactly, in evaluation mode.

    Tensors may have the names of any scheme in `proggan_names`. They do not show whether the generator is `plain`.
    """
    tensors = with_current_names(one_network(content))
    generator = ProgressiveGenerator(sizes_of(tensors), plain=plain)
    load_exactly(generator, tensors, "a Progressive GAN")
    return generator.eval()
