"""The eleven basic colour terms of Berlin and Kay (1969), by a fixed rule without trained weights.

    segmenter = load()
    concepts = segmenter(images)                # (n, 1, h, w) int64, 1 = black … 11 = white
    blue = segmenter.probabilities(images, [2]) # (n, 1, h, w), with gradients

The image is blurred slightly. Each pixel gets the name of the nearest focal colour in OKLab (Ottosson 2020), a space in
which equal distances look about equally large. A name that covers a wide region has several focal colours: green
extends from lime to pine. The rule has no doubts; for gradients, a name is the more probable the nearer its focal
colours are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.vocabulary import Vocabulary

FOCAL: dict[str, tuple[str, ...]] = {
    "black": ("000000", "1c1c1c", "2b2422"),
    "blue": ("0000ff", "1f3f8f", "4f8fe0", "9fcdf5", "1a2440", "3f6c94", "78aed2"),
    "brown": ("5a3216", "7b4a21", "8f6a48", "402310", "6e4a3f"),
    "green": ("00a000", "70c040", "1f5a20", "4e6b2a", "40c0a0", "163a16", "8fb77a", "2f7f6f"),
    "grey": ("363636", "404244", "545454", "6a6a6a", "909090", "b4b4b4", "cccccc", "6d7080"),
    "orange": ("ff8000", "f0a050", "d9792e", "e59a6a"),
    "pink": ("ff9ec0", "f4b8b8", "e0729a"),
    "purple": ("800080", "6a3fa0", "b58ad6", "3f1f52"),
    "red": ("ff0000", "b01818", "7f1a1a", "a84038", "c4584c", "8f4438", "9c5348"),
    "white": ("ffffff", "ebebeb", "f4f0e4"),
    "yellow": ("ffff00", "e8c820", "f5de80", "c8b030"),
}
COLOURS = tuple(FOCAL)
BLUR = 3
LEVELS = 48
SPREAD = 0.04
"""Distance in OKLab over which probabilities fall: about a third of what lies between two names."""
DARKEST = 1e-4
"""Least cone response where gradients are wanted; the cube root has none at 0."""
IDENTITY = f"colour {hashlib.sha256(repr((FOCAL, BLUR, LEVELS)).encode()).hexdigest()[:12]}"

LMS_FROM_RGB = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
LAB_FROM_LMS = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def oklab(images: Tensor, darkest: float = 0) -> Tensor:
    """(n, 3, h, w) sRGB in [-1, 1] -> (n, 3, h, w) lightness in [0, 1], green to red, blue to yellow.

    Cone responses are at least `darkest`.
    """
    encoded = (images.clamp(-1, 1) + 1) / 2
    linear = torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    cones = torch.einsum("lc,nchw->nlhw", images.new_tensor(LMS_FROM_RGB), linear)
    return torch.einsum("lc,nchw->nlhw", images.new_tensor(LAB_FROM_LMS), cones.clamp_min(darkest) ** (1 / 3))


@lru_cache(maxsize=1)
def focal_colours() -> tuple[Tensor, Tensor]:
    """(k, 3) focal colours in OKLab, and the (k,) int64 index of the colour name of each."""
    codes = [(bytes.fromhex(code), number) for number, group in enumerate(FOCAL.values()) for code in group]
    pixels = torch.tensor([list(code) for code, _ in codes]).float() / 127.5 - 1
    return oklab(pixels[:, :, None, None])[:, :, 0, 0], torch.tensor([number for _, number in codes])


def blurred(images: Tensor) -> Tensor:
    """The mean of 3x3 pixels, with the border repeated, so that texture does not change the name of a surface."""
    # Sums along rows, then along columns: ten times as fast as pooling.
    padded = functional.pad(images.contiguous(), (BLUR // 2,) * 4, mode="replicate")
    high, wide = images.shape[2:]
    across = sum(padded[..., i : i + wide] for i in range(1, BLUR)) + padded[..., :wide]
    return (sum(across[..., i : i + high, :] for i in range(1, BLUR)) + across[..., :high, :]) / BLUR**2


@lru_cache(maxsize=1)
def table() -> Tensor:
    """(LEVELS³,) int64: the concept number of every colour, red slowest. Ten times as fast as distances."""
    shades = torch.linspace(-1, 1, LEVELS)
    pixels = torch.cartesian_prod(shades, shades, shades)
    centres, owners = focal_colours()
    lab = oklab(pixels[:, :, None, None])[:, :, 0, 0]
    return owners[torch.cdist(lab, centres).argmin(dim=1)] + 1


@torch.no_grad()
def name_colours(images: Tensor) -> Tensor:
    """(n, 3, h, w) in [-1, 1] -> (n, h, w) int64 in 1 to 11, in the order of COLOURS."""
    shades = ((blurred(images.clamp(-1, 1)) + 1) * ((LEVELS - 1) / 2)).round().long()
    red, green, blue = shades.unbind(dim=1)
    return table().to(images.device).take((red * LEVELS + green) * LEVELS + blue)


def name_probabilities(images: Tensor) -> Tensor:
    """(n, 3, h, w) in [-1, 1] -> (n, 11, h, w) probability of each name, in the order of COLOURS, with gradients."""
    centres, owners = focal_colours()
    lab = oklab(blurred(images), DARKEST).movedim(1, -1)
    squares = torch.cdist(lab.flatten(0, 2), centres.to(lab)).square()
    nearest = torch.stack([squares[:, owners == number].amin(1) for number in range(len(COLOURS))], 1)
    likely = torch.softmax(-nearest / (2 * SPREAD**2), 1)
    return likely.reshape(*lab.shape[:3], len(COLOURS)).movedim(-1, 1)


class ColourSegmenter:
    """Labels every pixel with a colour name."""

    name = "colour"
    studied_alone = True
    """Beside a segmenter that names objects, interventions study those."""
    identity = IDENTITY
    vocabulary = Vocabulary.of(colour=COLOURS)

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, 1, h, w) int64."""
        return name_colours(images)[:, None]

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, h, w) ones, because the rule has no probabilities."""
        return torch.ones(len(images), *images.shape[2:], device=images.device)

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, k, h, w) probability of each of k concepts, with gradients; 0 for nothing."""
        likely = name_probabilities(images)
        return torch.stack([likely[:, number - 1] if number else 0 * likely[:, 0] for number in concepts], 1)

    def to(self, device: torch.device) -> ColourSegmenter:
        """The same segmenter, which computes on the device of the images."""
        return self


def load() -> ColourSegmenter:
    """The segmenter `colour`."""
    return ColourSegmenter()
