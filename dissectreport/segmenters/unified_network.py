"""The network of Unified Perceptual Parsing: UPerNet over ResNet-50, with the state-dict keys of its authors.

    network = network_of({"encoder": …, "decoder": …})
    logits = network(images)["object"]        # (n, 336, h/4, w/4) of BGR images minus their means

Xiao, Liu, Zhou, Jiang, Sun (2018), Unified Perceptual Parsing for Scene Understanding. Its pyramid pools precisely:
the mean of the bilinear interpolant over each bin (Jiang et al. 2018, Acquisition of Localization Confidence), which
is linear in rows and in columns, hence two small matrix products and no compiled extension.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.checkpoints.state_dicts import channels_last, load_exactly

PARTS = ("encoder", "decoder")
"""The two files of weights."""
CLASSES = {"object": 336, "part": 427, "material": 26, "scene": 365}
"""Output channels of each head, "nothing" included; the part head has one "nothing" for each object with parts."""
STAGES = ((128, 64, 3), (256, 128, 4), (512, 256, 6), (1024, 512, 3))
"""Input channels, channels of the 3x3 convolutions, and number of bottlenecks of each stage of ResNet-50."""
WIDENED = 4
WIDTH = 512
BINS = (1, 2, 3, 6)
PIXELWISE = ("object", "part", "material")
"""The categories that are predicted for every pixel."""


# --- precise pooling ------------------------------------------------------------------------------------------


def precise_pool(features: Tensor, bins: int) -> Tensor:
    """(n, channels, h, w) -> (n, channels, bins, bins): the mean of the bilinear interpolant over each of equal bins.

    Features are at integer coordinates, the map spans [0, h] x [0, w], and the interpolant falls to zero within one
    step beyond the last features. This differs from adaptive average pooling.
    """
    rows, columns = (pooling_matrix(side, bins).to(features) for side in features.shape[2:])
    return rows @ features @ columns.T


def pooling_matrix(side: int, bins: int) -> Tensor:
    """(bins, side) weight of each feature along one axis in the mean over each bin."""
    edges = torch.linspace(0, side, bins + 1, dtype=torch.float64)[:, None]
    covered = area_under_hat(edges - torch.arange(side, dtype=torch.float64))
    return ((covered[1:] - covered[:-1]) * (bins / side)).float()


def area_under_hat(end: Tensor) -> Tensor:
    """The integral up to `end` of the interpolation weight 1 - |x|, which is zero outside [-1, 1]."""
    end = end.clamp(-1, 1)
    return (1 + 2 * end - end * end.abs()) / 2


# --- pieces ---------------------------------------------------------------------------------------------------


def convolution(channels_in: int, channels_out: int, kernel: int = 3) -> nn.Sequential:
    """A convolution that keeps the size, batch norm, and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def head(classes: int) -> nn.Sequential:
    """A convolution, then a 1x1 convolution to the logits of classes."""
    return nn.Sequential(convolution(WIDTH, WIDTH), nn.Conv2d(WIDTH, classes, 1))


def resized_like(features: Tensor, like: Tensor) -> Tensor:
    """The features, bilinearly resized to the size of `like`."""
    return functional.interpolate(features, size=like.shape[2:], mode="bilinear", align_corners=False)


def convolve_resized(features: Tensor, kernel: Tensor, like: Tensor) -> Tensor:
    """The convolution with a (out, in, 3, 3) `kernel` of the (n, in, h, w) features, resized to the size of `like`.

    A linear map of channels commutes with resizing. So each of the nine taps is applied to the small features, and its
    result is resized and shifted by two small matrix products, for rows and columns.
    """
    taps = functional.conv2d(features, kernel.permute(2, 3, 0, 1).flatten(0, 2)[..., None, None])
    taps = taps.view(len(features), 3, 3, len(kernel), *features.shape[2:])
    rows, columns = (
        shifted_resizing_matrices(few, many).to(features)
        for few, many in zip(features.shape[2:], like.shape[2:], strict=True)
    )
    wide = torch.einsum("nyxohw,xvw->nyohv", taps, columns)
    return torch.einsum("nyohv,yuh->nouv", wide, rows)


def shifted_resizing_matrices(few: int, many: int) -> Tensor:
    """(3, many, few): resizing along one axis, shifted by -1, 0 and 1; zero outside."""
    resizing = functional.interpolate(torch.eye(few)[None], size=many, mode="linear", align_corners=False)[0].T
    padded = functional.pad(resizing, (0, 0, 1, 1))
    return torch.stack([padded[move : move + many] for move in range(3)])


class Bottleneck(nn.Module):
    """The bottleneck of ResNet: 1x1, 3x3 (with `stride`) and 1x1 convolutions, and a shortcut."""

    def __init__(self, channels_in: int, narrow: int, stride: int, downsample: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels_in, narrow, 1, bias=False), nn.BatchNorm2d(narrow)
        self.conv2, self.bn2 = nn.Conv2d(narrow, narrow, 3, stride, 1, bias=False), nn.BatchNorm2d(narrow)
        wide = narrow * WIDENED
        self.conv3, self.bn3 = nn.Conv2d(narrow, wide, 1, bias=False), nn.BatchNorm2d(wide)
        self.downsample = (
            nn.Sequential(nn.Conv2d(channels_in, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))
            if downsample
            else None
        )

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels_in, h, w) -> (n, 4 * narrow, h / stride, w / stride)."""
        shortcut = features if self.downsample is None else self.downsample(features)
        features = functional.relu(self.bn1(self.conv1(features)))
        features = functional.relu(self.bn2(self.conv2(features)))
        return functional.relu(self.bn3(self.conv3(features)) + shortcut)


def stage(channels_in: int, narrow: int, blocks: int, stride: int) -> nn.Sequential:
    """A stage of ResNet."""
    wide = narrow * WIDENED
    first = Bottleneck(channels_in, narrow, stride, downsample=True)
    return nn.Sequential(first, *(Bottleneck(wide, narrow, 1, downsample=False) for _ in range(blocks - 1)))


class Encoder(nn.Module):
    """ResNet-50 with three convolutions at its beginning instead of one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64)
        self.conv2, self.bn2 = nn.Conv2d(64, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        self.conv3, self.bn3 = nn.Conv2d(64, 128, 3, 1, 1, bias=False), nn.BatchNorm2d(128)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            stage(*sizes, stride=1 if number == 0 else 2) for number, sizes in enumerate(STAGES)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """(n, 3, h, w) -> features of 256, 512, 1024 and 2048 channels, at 1/4, 1/8, 1/16 and 1/32 of the size."""
        features = images
        for convolved, normed in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            features = functional.relu(normed(convolved(features)))
        levels = [functional.max_pool2d(features, 3, 2, 1)]
        for each in (self.layer1, self.layer2, self.layer3, self.layer4):
            levels.append(each(levels[-1]))
        return levels[1:]


class Decoder(nn.Module):
    """UPerNet: pyramid pooling of the coarsest features, a feature pyramid, and four heads."""

    def __init__(self) -> None:
        super().__init__()
        *finer, coarsest = (narrow * WIDENED for _, narrow, _ in STAGES)
        self.ppm_conv = nn.ModuleList(convolution(coarsest, WIDTH, 1) for _ in BINS)
        self.ppm_last_conv = convolution(coarsest + len(BINS) * WIDTH, WIDTH)
        self.fpn_in = nn.ModuleList(convolution(channels, WIDTH, 1) for channels in finer)
        self.fpn_out = nn.ModuleList(nn.Sequential(convolution(WIDTH, WIDTH)) for _ in finer)
        self.conv_fusion = convolution(len(STAGES) * WIDTH, WIDTH)
        self.object_head, self.part_head, self.material_head = (
            head(CLASSES[name]) for name in ("object", "part", "material")
        )
        self.scene_head = nn.Sequential(
            convolution(WIDTH, WIDTH), nn.AdaptiveAvgPool2d(1), nn.Conv2d(WIDTH, CLASSES["scene"], 1)
        )

    def pooled(self, coarsest: Tensor) -> Tensor:
        """(n, 2048, h/32, w/32) -> (n, 512, h/32, w/32): pyramid pooling: features with their context."""
        around = [
            convolve(resized_like(precise_pool(coarsest, bins), coarsest))
            for bins, convolve in zip(BINS, self.ppm_conv, strict=True)
        ]
        context: Tensor = self.ppm_last_conv(torch.cat([coarsest, *around], dim=1))
        return context

    def pyramid(self, levels: list[Tensor]) -> list[Tensor]:
        """(n, 512, …) features of each level, the finest first; coarser levels are added to finer ones."""
        *finer, coarsest = levels
        features = self.pooled(coarsest)
        levels_out = [features]
        for level, enter, leave in reversed(list(zip(finer, self.fpn_in, self.fpn_out, strict=True))):
            entered = enter(level)
            features = entered + resized_like(features, entered)
            levels_out.append(leave(features))
        return levels_out[::-1]

    def forward(self, levels: list[Tensor], categories: Collection[str] = PIXELWISE) -> dict[str, Tensor]:
        """Features of the encoder -> by category (n, classes, h/4, w/4) logits."""
        pyramid = self.pyramid(levels)
        fused = self.fused(pyramid)
        heads = {
            "object": (self.object_head, fused),
            "part": (self.part_head, fused),
            "material": (self.material_head, pyramid[0]),
        }
        return {category: heads[category][0](heads[category][1]) for category in categories}

    def fused(self, pyramid: list[Tensor]) -> Tensor:
        """(n, 512, h/4, w/4): all levels, resized, concatenated and convolved, in a third of the operations."""
        finest, *coarser = pyramid
        weight: Tensor = self.conv_fusion.get_parameter("0.weight")
        first, *others = torch.split(weight, WIDTH, dim=1)
        stacked = functional.conv2d(finest, first, padding=1)
        for level, kernel in zip(coarser, others, strict=True):
            stacked = stacked + convolve_resized(level, kernel, finest)
        features: Tensor = self.conv_fusion[1:](stacked)
        return features

    def scene(self, levels: list[Tensor]) -> Tensor:
        """Features of the encoder -> (n, 365) logits of the scene of the whole image."""
        logits: Tensor = self.scene_head(self.pooled(levels[-1])).flatten(1)
        return logits


@dataclass(frozen=True, eq=False)
class UnifiedNetwork:
    """Encoder and decoder."""

    encoder: Encoder
    decoder: Decoder

    def __call__(self, images: Tensor, categories: Collection[str] = PIXELWISE) -> dict[str, Tensor]:
        """(n, 3, h, w) BGR in [0, 255] minus their means -> by category (n, classes, h/4, w/4) logits."""
        logits: dict[str, Tensor] = self.decoder(self.encoder(images), categories)
        return logits

    def to(self, device: torch.device) -> UnifiedNetwork:
        """The same network on `device`; the weights themselves are moved."""
        return UnifiedNetwork(self.encoder.to(device), self.decoder.to(device))


# --- weights --------------------------------------------------------------------------------------------------


def network_of(tensors: Mapping[str, Mapping[str, Tensor]]) -> UnifiedNetwork:
    """The network with these weights, which must fit exactly, in evaluation mode."""
    # On the device meta, because initialising 74 million weights takes a second.
    with torch.device("meta"):
        encoder, decoder = Encoder(), Decoder()
    for part, module in zip(PARTS, (encoder, decoder), strict=True):
        load_exactly(module, tensors[part], f"the {part} of upp-resnet50-upernet")
        channels_last(module).float().eval().requires_grad_(False)
    return UnifiedNetwork(encoder, decoder)
