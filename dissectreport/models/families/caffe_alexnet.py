"""The AlexNet of Caffe in plain torch: two groups in three of its convolutions, and responses that are normalised.

    network = from_tensors(NetworkTensors(torch.load("alexnet_places365-92864cf6.pth", weights_only=True)), Sampling())
    network(images)                             # (n, classes) scores of (n, 3, 227, 227) normalised photographs

Bau et al. (2020) dissect such a network, trained on Places365. Krizhevsky, Sutskever and Hinton 2012.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn

from dissectreport.errors import WeightsError
from dissectreport.models.families.base import NetworkTensors, Sampling, size_of
from dissectreport.models.families.image_classifier import ImageClassifier, linear

MARK = "fc8.weight"
"""The tensor by which the family is recognised, if the first convolution fits."""
GEOMETRY = {1: (4, 0), 2: (1, 2), 3: (1, 1), 4: (1, 1), 5: (1, 1)}
"""Stride and padding of each convolution."""
POOLED, NORMALISED = (1, 2, 5), (1, 2)
"""Convolutions whose maxima over 3 x 3 pixels are taken, and whose responses are normalised then."""


class CaffeAlexNet(ImageClassifier):
    """A chain of the original's layers, by their names."""

    title = "AlexNet (Caffe)"
    resolution = 227

    def __init__(self, tensors: Mapping[str, Tensor], sampling: Sampling) -> None:
        super().__init__(sampling)
        before = 3
        for number in GEOMETRY:
            convolution = grouped(tensors, number, before)
            before = convolution.out_channels
            self.add_module(f"conv{number}", convolution)
            self.add_module(f"relu{number}", nn.ReLU())
            if number in POOLED:
                self.add_module(f"pool{number}", nn.MaxPool2d(3, 2))
            if number in NORMALISED:
                self.add_module(f"lrn{number}", nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0))
        self.flatten = nn.Flatten()
        for number in (6, 7):
            self.add_module(f"fc{number}", linear(tensors, f"fc{number}.weight"))
            self.add_module(f"relu{number}", nn.ReLU())
        self.fc8 = linear(tensors, MARK)
        self.classes = self.fc8.out_features
        self.take(tensors)

    @property
    def architecture(self) -> str:
        """AlexNet, and that it is Caffe's."""
        return self.title

    @property
    def unit_layers(self) -> tuple[str, ...]:
        """Every layer but the last."""
        return tuple(name for name, _ in self.named_children() if name not in ("flatten", "fc8"))

    @property
    def default_layers(self) -> tuple[str, ...]:
        """The convolutions, before their rectifiers."""
        return tuple(f"conv{number}" for number in GEOMETRY)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, 227, 227) normalised photographs -> (n, classes) scores."""
        for part in self.children():
            images = cast(Tensor, part(images))
        return images


def grouped(tensors: Mapping[str, Tensor], number: int, before: int) -> nn.Conv2d:
    """A convolution of `before` channels, in as many groups as its weight shows."""
    after, inside, side, _ = size_of(tensors, f"conv{number}.weight", 4)
    if before % inside or after % (before // inside):
        raise WeightsError(f"conv{number}.weight takes {inside} channels and makes {after}, but {before} come in")
    stride, padding = GEOMETRY[number]
    return nn.Conv2d(before, after, side, stride, padding, groups=before // inside)


def fits(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the first convolution is that of an AlexNet."""
    first = tensors.get("conv1.weight")
    return first is not None and tuple(first.shape[1:]) == (3, 11, 11)


def from_tensors(network: NetworkTensors, sampling: Sampling) -> CaffeAlexNet:
    """The AlexNet of these tensors; a WeightsError names the first that does not fit."""
    return CaffeAlexNet(network.tensors, sampling)
