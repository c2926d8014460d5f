"""A cheap network of many units and a segmenter of many concepts, for `growth.py` and `samples.py`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from dissectreport.models.network_generator import NetworkGenerator
from dissectreport.vocabulary import Vocabulary

SIDE, TILES = 64, 4


class ManyUnits(nn.Module):
    """(n, 16) latents -> `layer` (n, units, 8, 8) -> (n, 3, 64, 64) images of 4 x 4 tiles, each of one colour."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(16, units * 64, bias=False), nn.Unflatten(1, (units, 8, 8)))
        self.paint = nn.Conv2d(units, 3, 1, bias=False)
        random = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            parameter.data.copy_(torch.randn(parameter.shape, generator=random) / parameter.shape[1] ** 0.5)

    def forward(self, z: Tensor) -> Tensor:
        """(n, 16) -> (n, 3, 64, 64)."""
        tiles = nn.functional.avg_pool2d(self.paint(self.layer(z)), 8 // TILES)
        return nn.functional.interpolate(torch.tanh(tiles), (SIDE, SIDE))


def many(units: int) -> NetworkGenerator:
    """The network with so many units."""
    return NetworkGenerator("many units", ManyUnits(units), (16,), (SIDE, SIDE), ("layer",))


load64, load512 = (partial(many, units) for units in (64, 512))


def few() -> NetworkGenerator:
    """The network with 8 units, for runs of many samples."""
    return NetworkGenerator("few units", ManyUnits(8), (16,), (SIDE, SIDE), ("layer",))


@dataclass(frozen=True, eq=False)
class ManyConcepts:
    """Names each tile by its colour: common names are common, rare ones are seen in few images."""

    vocabulary: Vocabulary
    name: str = "many concepts"

    @property
    def identity(self) -> str:
        """What the labels depend on."""
        return f"many-concepts-{len(self.vocabulary)}"

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 1, h, w) int64 concept numbers."""
        count = len(self.vocabulary) - 1
        mixed = (images.double() * torch.tensor([7.1, 31.7, 101.3])[:, None, None]).sum(1, keepdim=True)
        even = torch.remainder(mixed, 1)
        return (even**2 * count).long().clamp(0, count - 1) + 1

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, h, w) ones: a fixed rule has no doubts."""
        return torch.ones_like(images[:, 0])

    def to(self, device: torch.device) -> ManyConcepts:
        """The same segmenter: it has no tensors."""
        return self


def segmenter(count: int) -> ManyConcepts:
    """The segmenter with this many concepts."""
    return ManyConcepts(Vocabulary.of(object=tuple(f"concept {number}" for number in range(count))))


segmenter31, segmenter301, segmenter1200 = (partial(segmenter, count) for count in (31, 301, 1200))
