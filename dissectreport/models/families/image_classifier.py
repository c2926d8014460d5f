"""Classifiers of photographs by the tensor names of torchvision and Places365: ResNet, VGG-16, AlexNet.

network = resnet_from_tensors(NetworkTensors(torch.load("resnet18.pth", weights_only=True)), Sampling())
network(images)                                 # (n, classes) scores of (n, 3, 224, 224) normalised photographs

He et al. 2016 (arXiv 1512.03385), Simonyan and Zisserman 2015 (arXiv 1409.1556), Krizhevsky 2014 (arXiv 1404.5997).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.checkpoints.names import COUNTER
from dissectreport.errors import BadOption, WeightsError
from dissectreport.models.families.base import DEFAULT_SAMPLING, FamilyNetwork, NetworkTensors, Sampling, size_of
from dissectreport.models.families.classifier_names import VGG_16

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue in [0, 1], by which photographs are normalised."""
SCORES = "fc.weight"
"""The last weight of a ResNet."""
RESNET_MARK, LAST_MARK = "layer1.0.bn1.weight", "classifier.6.weight"
LAST_STRIDE = "last_stride"
"""The setting that is the stride of a ResNet's layer4, which no tensor shows: 2, or 1 in Places365's wide ResNet-18."""
PLACES = 365
"""Classes of Places365."""
RESNETS: Mapping[tuple[bool, tuple[int, ...]], str] = {
    (False, (2, 2, 2, 2)): "ResNet-18",
    (False, (3, 4, 6, 3)): "ResNet-34",
    (True, (3, 4, 6, 3)): "ResNet-50",
    (True, (3, 4, 23, 3)): "ResNet-101",
    (True, (3, 8, 36, 3)): "ResNet-152",
}
"""By whether blocks have a bottleneck, and their number at each resolution."""


class ImageClassifier(FamilyNetwork):
    """A network that gives photographs a score for every class."""

    resolution = 224
    latent_size = 0
    mean, std = MEAN, STD
    """By which photographs are normalised."""

    def __init__(self, sampling: Sampling) -> None:
        super().__init__()
        if sampling != DEFAULT_SAMPLING:
            raise BadOption("a classifier reads photographs: it has no psi, cutoff, label or noise; leave them out")
        self.sampling = sampling

    def describe(self) -> str:
        """One line: architecture and classes."""
        return f"{self.architecture}, {self.classes:,} class{'' if self.classes == 1 else 'es'}, reads photographs"

    @property
    def architecture(self) -> str:
        """The name of the architecture."""
        raise NotImplementedError

    def describe_sampling(self) -> str:
        """How photographs are read, in words."""
        return f"photographs at {self.resolution} x {self.resolution}"

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Load tensors; counters of batch norm, which old files lack, stay at 0."""
        counters = {name: value for name, value in self.state_dict().items() if name.endswith(COUNTER)}
        super().take({**{name: value for name, value in tensors.items() if not name.endswith(COUNTER)}, **counters})

    def random_weight(self, name: str, value: Tensor, random: torch.Generator) -> Tensor:
        """A tensor of an untrained network: norms that change nothing, biases at 0, and He's weights."""
        if value.ndim < 2:
            is_one = name.endswith(("running_var", "weight"))
            return torch.ones_like(value) if is_one else torch.zeros_like(value)
        return torch.randn(value.shape, generator=random) * sqrt(2 / value[0].numel())


class ResNet(ImageClassifier):
    """A ResNet of any number of blocks; `groups` above 1 make it a ResNeXt."""

    title = "ResNet"

    def __init__(self, tensors: Mapping[str, Tensor], sampling: Sampling, last_stride: int = 2) -> None:
        super().__init__(sampling)
        self.classes = size_of(tensors, "fc.weight", 2)[0]
        self.last_stride = last_stride
        self.bottleneck = "layer1.0.conv3.weight" in tensors
        self.blocks = tuple(len(_numbers(tensors, rf"layer{stage}\.(\d+)\.conv1\.weight")) for stage in range(1, 5))
        if not all(self.blocks):
            raise WeightsError(f"layer{self.blocks.index(0) + 1}.0.conv1.weight is missing")
        self.conv1 = nn.Conv2d(3, size_of(tensors, "conv1.weight", 4)[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(self.conv1.out_channels)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for stage, (count, stride) in enumerate(zip(self.blocks, (1, 2, 2, last_stride), strict=True), 1):
            made = [ResidualBlock(tensors, f"layer{stage}.{at}", 1 if at else stride) for at in range(count)]
            self.add_module(f"layer{stage}", nn.Sequential(*made))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()
        self.fc = linear(tensors, SCORES)
        width = size_of(tensors, f"layer4.{self.blocks[3] - 1}.conv{3 if self.bottleneck else 2}.weight", 4)[0]
        if self.fc.in_features != width:
            raise WeightsError(f"{SCORES} takes {self.fc.in_features} numbers, but the last block gives {width}")
        self.take(tensors)

    @property
    def architecture(self) -> str:
        """ResNet-50, or ResNet with the number of its blocks."""
        name = RESNETS.get((self.bottleneck, self.blocks), f"ResNet of {', '.join(map(str, self.blocks))} blocks")
        return name if self.last_stride == 2 else f"{name} with stride {self.last_stride} in layer4"

    def describe(self) -> str:
        """One line; what may be the wide ResNet-18 of Places365 is said to be read as a usual one."""
        may_be_wide = (self.architecture, self.classes) == ("ResNet-18", PLACES)
        doubt = f"; stride 2 in layer4, which tensors do not show: {LAST_STRIDE} = 1 in a description for wideresnet18"
        return super().describe() + (doubt if may_be_wide else "")

    @property
    def unit_layers(self) -> tuple[str, ...]:
        """The output of every block, and of every resolution."""
        stages = enumerate(self.blocks, 1)
        blocks = [(*(f"layer{stage}.{at}" for at in range(count)), f"layer{stage}") for stage, count in stages]
        return ("relu", *(name for names in blocks for name in names))

    @property
    def default_layers(self) -> tuple[str, ...]:
        """The output of every resolution."""
        return tuple(f"layer{stage}" for stage in range(1, 5))

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) normalised photographs -> (n, classes) scores."""
        for part in self.children():
            images = part(images)
        return images


class ResidualBlock(nn.Module):
    """Two convolutions, or three with a bottleneck, added to the input."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str, stride: int) -> None:
        super().__init__()
        self.depth = 3 if f"{name}.conv3.weight" in tensors else 2
        for number in range(1, self.depth + 1):
            after, inside, side, _ = size_of(tensors, f"{name}.conv{number}.weight", 4)
            before = after_of(tensors, name, number - 1) if number > 1 else inside
            if not inside or before % inside or after % (before // inside):
                raise WeightsError(
                    f"{name}.conv{number}.weight takes {inside} channels and makes {after}, but {before} come in; it "
                    "must take all of them, or an equal part in each of its groups"
                )
            own = stride if number == self.depth - 1 else 1
            self.add_module(
                f"conv{number}",
                nn.Conv2d(before, after, side, own, side // 2, groups=before // inside, bias=False),
            )
            self.add_module(f"bn{number}", nn.BatchNorm2d(after))
        self.downsample: nn.Module = nn.Identity()
        if f"{name}.downsample.0.weight" in tensors:
            after, before, _, _ = size_of(tensors, f"{name}.downsample.0.weight", 4)
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, h, w) -> (n, channels', h', w')."""
        changed = maps
        for number in range(1, self.depth + 1):
            changed = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(changed))
            changed = functional.relu(changed) if number < self.depth else changed
        return functional.relu(changed + self.downsample(maps))


def after_of(tensors: Mapping[str, Tensor], block: str, number: int) -> int:
    """The channels that a convolution of a block makes."""
    return size_of(tensors, f"{block}.conv{number}.weight", 4)[0]


class FeaturesClassifier(ImageClassifier):
    """A chain of convolutions (`features`), a mean over cells, and three linear layers (`classifier`)."""

    default: Sequence[int]
    """The parts of `features` that are measured by default."""

    def __init__(self, features: Sequence[nn.Module], side: int, linear: Mapping[int, nn.Linear], sampling: Sampling):
        super().__init__(sampling)
        self.classes = linear[6].out_features
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(side)
        self.flat = nn.Flatten()
        between: dict[int, nn.Module] = (
            {1: nn.ReLU(), 2: nn.Dropout(), 4: nn.ReLU(), 5: nn.Dropout()}
            if 0 in linear
            else {0: nn.Dropout(), 2: nn.ReLU(), 3: nn.Dropout(), 5: nn.ReLU()}
        )
        self.classifier = nn.Sequential(*({**between, **linear}[at] for at in range(7)))

    @property
    def unit_layers(self) -> tuple[str, ...]:
        """Every part of the chain, and every linear layer but the last."""
        parts = (f"features.{at}" for at in range(len(self.features)))
        return (*parts, *(f"classifier.{at}" for at in range(6)))

    @property
    def default_layers(self) -> tuple[str, ...]:
        """The last convolution at each resolution, before its ReLU."""
        return tuple(f"features.{at}" for at in self.default)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) normalised photographs -> (n, classes) scores."""
        scores: Tensor = self.classifier(self.flat(self.avgpool(self.features(images))))
        return scores


class VGG16(FeaturesClassifier):
    """VGG-16, with or without batch norm."""

    title = "VGG-16"

    def __init__(self, tensors: Mapping[str, Tensor], sampling: Sampling) -> None:
        norm = "features.1.running_mean" in tensors
        parts: list[nn.Module] = []
        last: list[int] = []
        for count in VGG_16:
            for _ in range(count):
                after, before, side, _ = size_of(tensors, f"features.{len(parts)}.weight", 4)
                parts.append(nn.Conv2d(before, after, side, padding=1))
                parts += [nn.BatchNorm2d(after)] if norm else []
                last.append(len(parts) - 1)
                parts.append(nn.ReLU())
            parts.append(nn.MaxPool2d(2))
        super().__init__(parts, 7, _linear(tensors, (0, 3, 6)), sampling)
        self.norm = norm
        ends = [sum(VGG_16[: stage + 1]) - 1 for stage in range(len(VGG_16))]
        self.default = [last[end] for end in ends]
        self.take(tensors)

    @property
    def architecture(self) -> str:
        """VGG-16, and whether it has batch norm."""
        return f"VGG-16{' with batch norm' if self.norm else ''}"


class AlexNet(FeaturesClassifier):
    """AlexNet as torchvision has it."""

    title = "AlexNet"
    default = (0, 3, 6, 8, 10)

    def __init__(self, tensors: Mapping[str, Tensor], sampling: Sampling) -> None:
        def convolution(at: int, stride: int, padding: int) -> list[nn.Module]:
            after, before, side, _ = size_of(tensors, f"features.{at}.weight", 4)
            return [nn.Conv2d(before, after, side, stride, padding), nn.ReLU()]

        parts = [
            *convolution(0, 4, 2),
            nn.MaxPool2d(3, 2),
            *convolution(3, 1, 2),
            nn.MaxPool2d(3, 2),
            *convolution(6, 1, 1),
        ]
        parts += [*convolution(8, 1, 1), *convolution(10, 1, 1), nn.MaxPool2d(3, 2)]
        super().__init__(parts, 6, _linear(tensors, (1, 4, 6)), sampling)
        self.take(tensors)

    @property
    def architecture(self) -> str:
        """AlexNet."""
        return self.title


def linear(tensors: Mapping[str, Tensor], name: str) -> nn.Linear:
    """A linear layer of the size of its weight."""
    after, before = size_of(tensors, name, 2)
    return nn.Linear(before, after)


def _linear(tensors: Mapping[str, Tensor], places: Iterable[int]) -> dict[int, nn.Linear]:
    return {at: linear(tensors, f"classifier.{at}.weight") for at in places}


def _numbers(tensors: Mapping[str, Tensor], pattern: str) -> set[int]:
    return {int(match[1]) for name in tensors if (match := re.fullmatch(pattern, name))}


def is_vgg(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the first convolution is that of a VGG."""
    first = tensors.get("features.0.weight")
    return first is not None and tuple(first.shape[1:]) == (3, 3, 3)


def is_alexnet(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the first convolution is that of an AlexNet."""
    first = tensors.get("features.0.weight")
    return first is not None and tuple(first.shape[1:]) == (3, 11, 11)


def is_resnet(tensors: Mapping[str, Tensor]) -> bool:
    """Whether there is a first convolution and a last linear layer."""
    return "conv1.weight" in tensors and SCORES in tensors


def resnet_from_tensors(network: NetworkTensors, sampling: Sampling) -> ResNet:
    """The ResNet of these tensors; a WeightsError names the first that does not fit."""
    stride = network.settings.get(LAST_STRIDE, 2)
    if type(stride) is not int or stride not in (1, 2):
        raise BadOption(f"{LAST_STRIDE} is {stride!r}; the stride of a ResNet's layer4 is 2, or 1 in wideresnet18")
    return ResNet(network.tensors, sampling, stride)


def vgg_from_tensors(network: NetworkTensors, sampling: Sampling) -> VGG16:
    """The VGG-16 of these tensors; a WeightsError names the first that does not fit."""
    return VGG16(network.tensors, sampling)


def alexnet_from_tensors(network: NetworkTensors, sampling: Sampling) -> AlexNet:
    """The AlexNet of these tensors; a WeightsError names the first that does not fit."""
    return AlexNet(network.tensors, sampling)
