"""The segmenter of the planted generator: it recovers exactly what was painted, from the colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.vocabulary import Vocabulary

TEMPERATURE = 0.5
"""Temperature of `probabilities`, in squared distance of colours; the squared distance of two colours is at least 2."""
CELLS = 4
"""Number of rows and of columns of cells of `features`."""

VOCABULARY = Vocabulary.of(
    object=("sky", "grass", "house", "tree", "ball"),
    part=("wall", "window", "roof", "trunk", "crown"),
    colour=("blue", "green", "cyan", "yellow", "red", "orange"),
)


@dataclass(frozen=True)
class Paint:
    """A colour in [-1, 1], and the concepts of a pixel of exactly this colour; "-" is nothing."""

    name: str
    colour: tuple[float, float, float]
    shows: tuple[str, str, str]
    """Object, part, colour."""


# The colours are corners of a cuboctahedron: of equal length and at equal distances from their neighbours, so that none
# lies between two others, and exact in every floating-point format.
PAINTS = (
    Paint("sky", (-1.0, 0.0, 1.0), ("sky", "-", "blue")),
    Paint("grass", (0.0, 1.0, -1.0), ("grass", "-", "green")),
    Paint("wall", (0.0, 1.0, 1.0), ("house", "wall", "cyan")),
    Paint("window", (1.0, 1.0, 0.0), ("house", "window", "yellow")),
    Paint("roof", (0.0, -1.0, -1.0), ("house", "roof", "red")),
    Paint("trunk", (1.0, 0.0, -1.0), ("tree", "trunk", "orange")),
    Paint("crown", (-1.0, 0.0, -1.0), ("tree", "crown", "green")),
    Paint("ball", (1.0, -1.0, 0.0), ("ball", "-", "red")),
    Paint("blotch", (0.0, -1.0, 1.0), ("-", "-", "-")),
)
"""From back to front: a later paint covers an earlier one."""

UNUSED = ((-1.0, -1.0, 0.0), (-1.0, 1.0, 0.0), (1.0, 0.0, 1.0))
"""The other corners; pixels nearest to them show nothing."""


def number_of(concept: str) -> int:
    """The number of a concept in the vocabulary; 0 for "-"."""
    return [item.name for item in VOCABULARY.concepts].index(concept)


@dataclass(frozen=True, eq=False)
class PlantedSegmenter:
    """Labels every pixel by the paint of the nearest colour; slots are object, part, colour."""

    colours: Tensor
    """(12, 3) colours of the paints, then the unused ones."""
    shows: Tensor
    """(12, 3) concept numbers of object, part and colour."""
    name: str = "planted"
    identity: str = "planted-1"
    vocabulary: Vocabulary = VOCABULARY

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, 3, h, w) int64 concept numbers: object, part, colour."""
        nearest = self._distances(images).min(dim=1).indices  # ten times as fast as argmin on the CPU
        return self.shows[nearest].permute(0, 3, 1, 2).contiguous()

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, h, w) probability of the nearest paint."""
        return self._paint_probabilities(images).amax(dim=1)

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, 3, h, w) -> (n, k, h, w) probability that a pixel shows each of k concepts, differentiable."""
        incidence = torch.zeros(len(self.shows), len(VOCABULARY), device=images.device)
        incidence.scatter_(1, self.shows, 1.0)
        return torch.einsum("nphw,pc->nchw", self._paint_probabilities(images), incidence[:, list(concepts)])

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 144) mean probability of each paint in each of 4 x 4 cells, differentiable."""
        paints = self._paint_probabilities(images)[:, : len(PAINTS)]
        return functional.adaptive_avg_pool2d(paints, CELLS).flatten(1)

    def to(self, device: torch.device) -> PlantedSegmenter:
        """The same segmenter on `device`."""
        return PlantedSegmenter(self.colours.to(device), self.shows.to(device))

    def _paint_probabilities(self, images: Tensor) -> Tensor:
        return (-self._distances(images) / TEMPERATURE).softmax(dim=1)

    def _distances(self, images: Tensor) -> Tensor:
        """(n, 12, h, w) squared distances, summed channel by channel."""
        red, green, blue = ((images[:, None, i] - self.colours[None, :, i, None, None]).square() for i in range(3))
        return red.add_(green).add_(blue)


def load() -> PlantedSegmenter:
    """The planted segmenter, on the CPU."""
    colours = torch.tensor([*(paint.colour for paint in PAINTS), *UNUSED])
    shows = torch.zeros(len(colours), 3, dtype=torch.int64)
    for row, paint in enumerate(PAINTS):
        shows[row] = torch.tensor([number_of(concept) for concept in paint.shows])
    return PlantedSegmenter(colours, shows)
