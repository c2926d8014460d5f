"""EfficientNet-Lite by the tensor names of PyTorch's ports: a classifier of photographs for small devices.

network = from_tensors(NetworkTensors(torch.load("efficientnet-lite0.pth", weights_only=True)), Sampling())
network(images)                                 # (n, classes) scores of (n, 3, 224, 224) normalised photographs

Every block widens its channels, convolves each by itself, and narrows them again; where neither size nor number of
channels changes, its input is added. Strides are in no tensor: they are those of the seven stages of EfficientNet, and
a stage begins where the number of channels changes. Convolutions pad as TensorFlow's do.

Tan and Le 2019 (arXiv 1905.11946); the Lite networks have no squeeze-and-excitation, and ReLU6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

from dissectreport.errors import WeightsError
from dissectreport.models.families.base import NetworkTensors, Sampling, size_of
from dissectreport.models.families.image_classifier import ImageClassifier, linear

MARK = "_conv_stem.weight"
STRIDES = (1, 2, 2, 2, 1, 2, 1)
"""Of the first block of each stage."""
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
"""Of red, green and blue in [0, 1], by which photographs are normalised: to -1 to 1, as where it was trained."""
EPSILON = 1e-3
"""Of every batch norm."""
VERSIONS: Mapping[tuple[int, int], tuple[str, int]] = {
    (16, 40): ("EfficientNet-Lite0", 224),
    (21, 40): ("EfficientNet-Lite1", 240),
    (21, 48): ("EfficientNet-Lite2", 260),
    (24, 48): ("EfficientNet-Lite3", 280),
    (30, 56): ("EfficientNet-Lite4", 300),
}
"""Name and resolution by the number of blocks, and the channels of the third stage."""


class EfficientNetLite(ImageClassifier):
    """A stem, blocks in seven stages, a head of many channels, their means, and a linear layer."""

    title = "EfficientNet-Lite"
    mean, std = MEAN, STD

    def __init__(self, tensors: Mapping[str, Tensor], sampling: Sampling) -> None:
        super().__init__(sampling)
        strides = strides_of(tensors)
        widths = [size_of(tensors, f"_blocks.{at}._project_conv.weight", 4)[0] for at in range(len(strides))]
        self.starts = [at for at, width in enumerate(widths) if not at or width != widths[at - 1]]
        self.classes = size_of(tensors, "_fc.weight", 2)[0]
        version = (len(widths), widths[self.starts[2]])
        self.name, self.resolution = VERSIONS.get(version, (f"{self.title} of {len(widths)} blocks", 224))
        self._conv_stem = SameConvolution(tensors, MARK, 2)
        self._bn0 = nn.BatchNorm2d(self._conv_stem.out_channels, EPSILON)
        self.stem = nn.ReLU6()
        self._blocks = nn.Sequential(
            *(InvertedBlock(tensors, f"_blocks.{at}", stride) for at, stride in enumerate(strides))
        )
        self._conv_head = SameConvolution(tensors, "_conv_head.weight", 1)
        self._bn1 = nn.BatchNorm2d(self._conv_head.out_channels, EPSILON)
        self.head = nn.ReLU6()
        self._avg_pooling = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()
        self._fc = linear(tensors, "_fc.weight")
        self.take(tensors)

    @property
    def architecture(self) -> str:
        """EfficientNet-Lite0, or the number of its blocks."""
        return self.name

    @property
    def unit_layers(self) -> tuple[str, ...]:
        """The stem, every block, and the head, whose means are weighted to scores."""
        return ("stem", *(f"_blocks.{at}" for at in range(len(self._blocks))), "head")

    @property
    def default_layers(self) -> tuple[str, ...]:
        """The last block at each size from an eighth of the image on, and the head."""
        ends = [start - 1 for start, stride in zip(self.starts[1:], STRIDES[1:], strict=True) if stride == 2]
        return (*(f"_blocks.{at}" for at in ends[1:]), "head")

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) normalised photographs -> (n, classes) scores."""
        for part in self.children():
            images = part(images)
        return images


class SameConvolution(nn.Conv2d):
    """A convolution without bias that divides the size by its stride, rounded up; odd padding is longer at the end."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str, stride: int, groups: int = 1) -> None:
        after, before, side, _ = size_of(tensors, name, 4)
        super().__init__(before * groups, after, side, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """(n, channels, h, w) -> (n, channels', h / stride, w / stride)."""
        side, step = int(self.kernel_size[0]), int(self.stride[0])
        missing = [max((-(-size // step) - 1) * step + side - size, 0) for size in input.shape[:1:-1]]
        padding = [end for size in missing for end in (size // 2, size - size // 2)]
        return super().forward(functional.pad(input, padding))


class InvertedBlock(nn.Module):
    """Widen, convolve each channel, narrow."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str, stride: int) -> None:
        super().__init__()
        inside = size_of(tensors, f"{name}._depthwise_conv.weight", 4)[0]
        parts: dict[str, nn.Module] = {}
        if f"{name}._expand_conv.weight" in tensors:
            parts["_expand_conv"] = SameConvolution(tensors, f"{name}._expand_conv.weight", 1)
            parts["_bn0"], parts["wide"] = nn.BatchNorm2d(inside, EPSILON), nn.ReLU6()
        parts["_depthwise_conv"] = SameConvolution(tensors, f"{name}._depthwise_conv.weight", stride, inside)
        parts["_bn1"], parts["filtered"] = nn.BatchNorm2d(inside, EPSILON), nn.ReLU6()
        parts["_project_conv"] = narrow = SameConvolution(tensors, f"{name}._project_conv.weight", 1)
        parts["_bn2"] = nn.BatchNorm2d(narrow.out_channels, EPSILON)
        for part, module in parts.items():
            self.add_module(part, module)
        before = size_of(tensors, f"{name}.{next(iter(parts))}.weight", 4)[1 if "wide" in parts else 0]
        self.adds = stride == 1 and before == narrow.out_channels

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, h, w) -> (n, channels', h', w')."""
        changed = maps
        for part in self.children():
            changed = part(changed)
        return maps + changed if self.adds else changed


def strides_of(tensors: Mapping[str, Tensor]) -> Sequence[int]:
    """The stride of every block; a WeightsError if there are not seven stages."""
    widths: list[int] = []
    while f"_blocks.{len(widths)}._project_conv.weight" in tensors:
        widths.append(size_of(tensors, f"_blocks.{len(widths)}._project_conv.weight", 4)[0])
    begins = [not at or width != widths[at - 1] for at, width in enumerate(widths)]
    if sum(begins) != len(STRIDES):
        raise WeightsError(
            f"its {len(widths)} blocks make {sum(begins)} stages of one number of channels each; EfficientNet-Lite has "
            f"{len(STRIDES)}"
        )
    strides = iter(STRIDES)
    return [next(strides) if begin else 1 for begin in begins]


def from_tensors(network: NetworkTensors, sampling: Sampling) -> EfficientNetLite:
    """The EfficientNet-Lite of these tensors; a WeightsError names the first that does not fit."""
    return EfficientNetLite(network.tensors, sampling)
