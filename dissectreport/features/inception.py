"""InceptionV3 of the Fréchet inception distance (Szegedy et al. 2016; Heusel et al. 2017).

    network = load()                                # the published weights, downloaded once
    network(images)                                 # (n, 2048)

This network differs from the usual InceptionV3: average pooling excludes the padding, and the last block uses max
pooling. Images are resized with antialiasing, as in clean-fid (Parmar et al. 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.checkpoints.catalogue import read_catalogue
from dissectreport.checkpoints.state_dicts import load_exactly
from dissectreport.checkpoints.weight_files import read_checkpoint, tensors_of

SIDE = 299
DIMENSION = 2048
PUBLISHED = "6726825d"
"""First digits of the SHA-256 of the weights of 2015-12-05, from the name of their file."""
CATALOGUE = Path(__file__).parent / "catalogue.toml"
ALTERNATIVE = "meanwhile the features of a segmenter need no download"
CLASSES = 1008
"""Outputs of the classifier, which is loaded but not used."""


Kernel = int | tuple[int, int]
Step = tuple[int, Kernel] | tuple[int, Kernel, int]
"""Output channels, kernel and optional stride of a convolution."""
Branches = dict[str, list[Step | tuple[Step, Step]]]
"""By name, the consecutive convolutions of a branch; a pair of convolutions runs in parallel."""
Pool = Callable[[Tensor], Tensor]


class Convolution(nn.Module):
    """A convolution without bias, batch norm, and ReLU."""

    def __init__(self, units_in: int, units: int, kernel: Kernel, stride: int = 1, *, padded: bool = True) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if padded and stride == 1 else 0
        self.conv = nn.Conv2d(units_in, units, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(units, eps=0.001)

    def forward(self, maps: Tensor) -> Tensor:
        """(n, units_in, h, w) -> (n, units, h', w')"""
        return functional.relu(self.bn(self.conv(maps)))


class Mixed(nn.Module):
    """An inception block: parallel branches, of which the last begins with pooling."""

    def __init__(self, units_in: int, branches: Branches, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
        self.paths = {name: self.add_branch(units_in, name, steps) for name, steps in branches.items()}

    def add_branch(self, units: int, name: str, steps: list[Step | tuple[Step, Step]]) -> list[list[str]]:
        """Add the convolutions of a branch, and return their names in the order in which they run."""
        path = []
        for number, step in enumerate(steps, start=1):
            label = f"{name}_{number}" if len(steps) > 1 else name
            beside = {f"{label}a": step[0], f"{label}b": step[1]} if isinstance(step[0], tuple) else {label: step}
            for each, (count, kernel, *stride) in beside.items():
                self.add_module(each, Convolution(units, count, kernel, *stride))
            path.append(list(beside))
            units = sum(count for count, *_ in beside.values())
        return path

    def forward(self, maps: Tensor) -> Tensor:
        """(n, units_in, h, w) -> (n, units, h', w')"""
        outputs = []
        for name, path in self.paths.items():
            branch = self.pool(maps) if name == "branch_pool" else maps
            for names in path:
                branch = torch.cat([self.get_submodule(each)(branch) for each in names], dim=1)
            outputs.append(branch)
        return torch.cat(outputs, dim=1)


def mean_pool(maps: Tensor) -> Tensor:
    """The mean over 3 x 3, without the padding."""
    return functional.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)


def max_pool(maps: Tensor) -> Tensor:
    """The maximum over 3 x 3."""
    return functional.max_pool2d(maps, 3, stride=1, padding=1)


def strided_max_pool(maps: Tensor) -> Tensor:
    """The maximum over 3 x 3, with stride 2."""
    return functional.max_pool2d(maps, 3, stride=2)


def fine(units_in: int, pooled: int) -> Mixed:
    """A block at 35 x 35."""
    branches: Branches = {"branch1x1": [(64, 1)], "branch5x5": [(48, 1), (64, 5)]}
    branches |= {"branch3x3dbl": [(64, 1), (96, 3), (96, 3)], "branch_pool": [(pooled, 1)]}
    return Mixed(units_in, branches, mean_pool)


def middle(narrow: int) -> Mixed:
    """A block at 17 x 17."""
    wide, high = (1, 7), (7, 1)
    branches: Branches = {"branch1x1": [(192, 1)], "branch7x7": [(narrow, 1), (narrow, wide), (192, high)]}
    branches["branch7x7dbl"] = [(narrow, 1), (narrow, high), (narrow, wide), (narrow, high), (192, wide)]
    return Mixed(768, branches | {"branch_pool": [(192, 1)]}, mean_pool)


def coarse(units_in: int, pool: Pool) -> Mixed:
    """A block at 8 x 8."""
    fork: tuple[Step, Step] = ((384, (1, 3)), (384, (3, 1)))
    branches: Branches = {"branch1x1": [(320, 1)], "branch3x3": [(384, 1), fork]}
    branches |= {"branch3x3dbl": [(448, 1), (384, 3), fork], "branch_pool": [(192, 1)]}
    return Mixed(units_in, branches, pool)


class Inception(nn.Module):
    """(n, 3, 299, 299) images in about [-1, 1] -> (n, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3, padded=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3, padded=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = fine(192, 32), fine(256, 64), fine(288, 64)
        down: Branches = {"branch3x3": [(384, 3, 2)], "branch3x3dbl": [(64, 1), (96, 3), (96, 3, 2)]}
        self.Mixed_6a = Mixed(288, down | {"branch_pool": []}, strided_max_pool)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (middle(n) for n in (128, 160, 160, 192))
        down = {"branch3x3": [(192, 1), (320, 3, 2)], "branch7x7x3": [(192, 1), (192, (1, 7)), (192, (7, 1))]}
        down["branch7x7x3"].append((192, 3, 2))
        self.Mixed_7a = Mixed(768, down | {"branch_pool": []}, strided_max_pool)
        self.Mixed_7b, self.Mixed_7c = coarse(1280, mean_pool), coarse(2048, max_pool)
        self.fc = nn.Linear(DIMENSION, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, 299, 299) -> (n, 2048): the mean of the last block over the image."""
        maps: Tensor = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        maps = strided_max_pool(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(strided_max_pool(maps))))
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
            maps = self.get_submodule(f"Mixed_{name}")(maps)
        return maps.mean(dim=(2, 3))


class InceptionFeatures:
    """The features of the Fréchet inception distance."""

    dimension = DIMENSION
    published = True

    def __init__(self, network: Inception, sha256: str) -> None:
        self.network, self.sha256 = network.eval().requires_grad_(False), sha256
        published = sha256.startswith(PUBLISHED)
        self.name = "features of InceptionV3" if published else f"features of InceptionV3 with weights {sha256[:8]}"
        self.identity = f"inception 1 {sha256}"

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, 2048), differentiable."""
        features: Tensor = self.network(preprocessed(images))
        return features

    def to(self, device: torch.device) -> InceptionFeatures:
        """The same features on `device`."""
        return InceptionFeatures(self.network.to(device), self.sha256)


def preprocessed(images: Tensor) -> Tensor:
    """(n, 3, h, w) in [-1, 1] -> (n, 3, 299, 299) as the network expects: (byte - 128) / 128."""
    pixels = (images.float().clamp(-1, 1) + 1) * 127.5
    if pixels.shape[2:] != (SIDE, SIDE):
        pixels = functional.interpolate(pixels, (SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 255)
    return (pixels - 128) / 128


def load(weights: Path | None = None) -> InceptionFeatures:
    """The features with the published weights, which are downloaded once, or with those of a file."""
    path = Path(weights) if weights else read_catalogue(CATALOGUE)["inception"].download(ALTERNATIVE).paths()[0]
    checkpoint = read_checkpoint(path, "" if weights else PUBLISHED)
    network = Inception()
    load_exactly(network, tensors_of(checkpoint.content), "InceptionV3")
    return InceptionFeatures(network, checkpoint.sha256)
