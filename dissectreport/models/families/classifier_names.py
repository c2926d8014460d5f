"""The names that other programs give to the layers of classifiers, as those of torchvision.

Bau et al. (2020) publish a VGG-16 with the names of Caffe, and a ResNet-152 that was converted from Torch 7, whose
layers are numbered: 4.0.0.0.3 is the second convolution of the first block of layer1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

VGG_MARK = "classifier.fc8a.weight"
"""Of the VGG-16 with the names of Caffe."""
RESNET_MARK = "4.0.0.0.0.weight"
"""Of the ResNet whose layers are numbered."""
VGG_16 = (2, 2, 3, 3, 3)
"""Convolutions of VGG-16 at each resolution; each resolution ends with a maximum over 2 x 2 pixels."""
VGG_LINEAR = {"fc6": 0, "fc7": 3, "fc8a": 6}
"""The linear layers of VGG-16 by the names of Caffe, and their numbers in torchvision."""
OUTSIDE = {"0": "conv1", "1": "bn1", "10.1": "fc"}
"""Numbered layers outside of blocks; the four resolutions are 4 to 7."""
INSIDE = {
    **{f"0.{3 * number}": f"conv{number + 1}" for number in range(3)},
    **{f"0.{3 * number + 1}": f"bn{number + 1}" for number in range(3)},
    **{f"1.{number}": f"downsample.{number}" for number in range(2)},
}
"""Numbered layers of a block: those of the first branch, and of the second, where the size changes."""
NUMBERED = re.compile(r"([4-7])\.(\d{1,3})\.0\.([01]\.\d)")


def vgg_names() -> Iterator[tuple[str, str]]:
    """The layers of a VGG-16 without batch norm by the names of Caffe, and by those of torchvision."""
    at = 0
    for stage, count in enumerate(VGG_16, 1):
        for number in range(1, count + 1):
            yield f"features.conv{stage}_{number}", f"features.{at}"
            at += 2
        at += 1
    yield from ((f"classifier.{name}", f"classifier.{number}") for name, number in VGG_LINEAR.items())


def vgg_of_torchvision(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a VGG-16, where its layers may have the names of Caffe.

    >>> list(vgg_of_torchvision({"features.conv5_3.bias": Tensor(), "classifier.fc8a.bias": Tensor()}))
    ['features.28.bias', 'classifier.6.bias']
    """
    names = dict(vgg_names())
    parts = ((name.rpartition("."), value) for name, value in tensors.items())
    return {f"{names.get(layer, layer)}{dot}{kind}": value for (layer, dot, kind), value in parts}


def resnet_of_torchvision(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a ResNet, where its layers may be numbered.

    >>> list(resnet_of_torchvision({"7.2.0.0.4.bias": Tensor(), "4.0.0.0.0.weight": Tensor(), "10.1.bias": Tensor()}))
    ['layer4.2.bn2.bias', 'layer1.0.conv1.weight', 'fc.bias']
    """
    if RESNET_MARK not in tensors:
        return dict(tensors)
    parts = ((name.rpartition("."), value) for name, value in tensors.items())
    return {f"{_numbered(layer)}.{kind}": value for (layer, _, kind), value in parts}


def _numbered(layer: str) -> str:
    """The name in torchvision of a numbered layer; one that no ResNet has stays as it is."""
    if found := NUMBERED.fullmatch(layer):
        return f"layer{int(found[1]) - 3}.{found[2]}.{INSIDE.get(found[3], found[3])}"
    return OUTSIDE.get(layer, layer)
