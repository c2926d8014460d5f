"""A classifier with known answers: which unit matters to which class, and by how much.

    classifier = load()
    classifier.classes                              # ("ball", "tree", "house", "plain")
    WEIGHTS["tree"]                                 # {"crown": 8.0, "crown_twin": 8.0, "trunk": 16.0}

It reads the images of the planted generator. A unit of the layer `features` is the area of one paint in each cell of an
8 x 8 grid, found by its colour, so every mean is a multiple of 1/4096. A class's score is a weighted sum of these means
(`WEIGHTS`), so that everything follows by hand from the pixels. Two units share the crown of the tree: without
one of them, half of its weight is left.

The label of an image is what stands in its scene, the first of ball, tree, house and nothing (`plain`), whatever covers
it. The classifier sees areas, so that it makes mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.models import planted
from dissectreport.models.classifier import ClassifierModel
from dissectreport.models.drawn_images import DrawnImages, name_of
from dissectreport.networks.latents import latents
from dissectreport.segmenters.planted import PAINTS

CLASSES = ("ball", "tree", "house", "plain")
UNITS = (
    *("sky", "grass", "wall", "window", "roof", "trunk", "crown", "crown_twin", "ball"),
    *("blotch", "dead", "always_on"),
)
UNIT = {name: number for number, name in enumerate(UNITS)}
WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "house": {"wall": 6.0, "window": 4.0, "roof": 2.0},
    "tree": {"crown": 8.0, "crown_twin": 8.0, "trunk": 16.0},
    "ball": {"ball": 40.0},
    "plain": {"always_on": 0.25},
}
"""By class and unit, the weight of the unit's mean in the score of the class; all others are 0."""
SIDE = 8
"""Rows and columns of the grid of `features`."""
SEED = 500_009
"""Seed of the latents of the images."""
IMAGES = 480
TOGETHER = 48
"""Images that are drawn together."""
SIZE = 64
"""Height and width of an image."""
SHARPNESS = 4.0
"""Slope of the sigmoid that replaces the comparison of colours in gradients."""


class PlantedClassifier(nn.Module):
    """(n, 3, 64, 64) images of the planted generator -> `features` (n, units, 8, 8) -> (n, classes) scores."""

    def __init__(self) -> None:
        super().__init__()
        self.features = PaintAreas()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()
        self.scores = nn.Linear(len(UNITS), len(CLASSES), bias=False)
        with torch.no_grad():
            self.scores.weight.copy_(weights())

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, 64, 64) in [-1, 1] -> (n, classes)."""
        scores: Tensor = self.scores(self.flat(self.pool(self.features(images))))
        return scores


class PaintAreas(nn.Module):
    """The share of each cell that shows each paint; the crown twice, and two units that know nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("colours", torch.tensor([paint.colour for paint in PAINTS]))
        self.colours: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, units, 8, 8) from 0 to 1."""
        difference = (images[:, None] - self.colours[None, :, :, None, None]).square().sum(2)
        soft = torch.sigmoid((0.5 - difference) * SHARPNESS)
        shown = (difference < 0.5).to(images.dtype) + (soft - soft.detach())
        areas = dict(
            zip((paint.name for paint in PAINTS), functional.adaptive_avg_pool2d(shown, SIDE).unbind(1), strict=True)
        )
        nothing = torch.zeros_like(areas["sky"])
        areas |= {"crown_twin": areas["crown"], "dead": nothing, "always_on": nothing + 1}
        return torch.stack([areas[name] for name in UNITS], 1)


def weights() -> Tensor:
    """(classes, units) `WEIGHTS` as a matrix."""
    matrix = torch.zeros(len(CLASSES), len(UNITS))
    for row, name in enumerate(CLASSES):
        for unit, weight in WEIGHTS[name].items():
            matrix[row, UNIT[unit]] = weight
    return matrix


def load() -> ClassifierModel:
    """The planted classifier."""
    return ClassifierModel(
        name="planted_classifier",
        module=PlantedClassifier(),
        folder=DrawnImages("planted scenes", (SIZE, SIZE), IMAGES, drawn, "planted-1"),
        layers=("features",),
        default_layers=("features",),
        facts={"family": "planted classifier", "segmenter": "planted", "units": list(UNITS)},
        classes=CLASSES,
        labels=labels(),
    )


def drawn(numbers: Sequence[int]) -> Tensor:
    """(n, 3, 64, 64) images of the planted generator."""
    return every_image()[list(numbers)]


@cache
def every_image() -> Tensor:
    """(images, 3, 64, 64) all images, drawn once in a process."""
    with torch.no_grad():
        parts = [generator()(latents_of(first, TOGETHER)) for first in range(0, IMAGES, TOGETHER)]
    return torch.cat(parts)


@cache
def generator() -> planted.PlantedGenerator:
    """The planted generator, made once."""
    return planted.load(image_size=SIZE)


def latents_of(first: int, count: int) -> Tensor:
    """(count, 42) the latents of some images."""
    return latents(SEED, first, count, (len(planted.FACTORS) * planted.BITS,))


def labels() -> dict[str, int]:
    """The number of the class of every image, by its name."""
    return {name_of(number): label_of(z) for number, z in enumerate(latents_of(0, IMAGES))}


def label_of(z: Tensor) -> int:
    """The class of the scene of one latent: what its factors choose, whatever covers it."""
    bits = z.view(len(planted.FACTORS), planted.BITS) > 0
    choices = dict(zip(planted.FACTORS, (bits * 2 ** torch.arange(planted.BITS)).sum(1).tolist(), strict=True))
    shown = {
        "ball": choices["ball"] < planted.CHOICES // 2,
        "tree": planted.tree(choices["tree"]).any(),
        "house": planted.house(choices["house"]).any(),
    }
    return next((CLASSES.index(name) for name, there in shown.items() if there), CLASSES.index("plain"))
