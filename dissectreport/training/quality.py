"""How near generated images are to drawn ones: a kernel distance and the areas of concepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from dissectreport.drawings.dataset import HELD_OUT_SEED, draw_many
from dissectreport.models.families.stylegan2 import StyleGAN2
from dissectreport.models.proggan import ProgressiveGenerator
from dissectreport.segmenters.unet import SIZE, UNetSegmenter

BATCH = 16


@dataclass(frozen=True)
class Observed:
    """What the segmenter sees in images: features (n, d) and pixels by concept (n, concepts) int64."""

    features: Tensor
    pixels: Tensor

    def areas(self) -> Tensor:
        """(concepts,) the share of all pixels that each concept covers."""
        return self.pixels.sum(dim=0).double() / (len(self.pixels) * SIZE * SIZE)


@torch.no_grad()
def observe(images: Callable[[int, int], Tensor], count: int, segmenter: UNetSegmenter) -> Observed:
    """What the segmenter sees in images 0 to `count`; `images(first, last)` gives (n, 3, h, w) in [-1, 1]."""
    features, pixels = [], []
    for first in range(0, count, BATCH):
        batch = images(first, min(first + BATCH, count))
        features.append(segmenter.features(batch))
        pixels.append(torch.stack([count_concepts(labels, segmenter) for labels in segmenter(batch)]))
    return Observed(torch.cat(features), torch.cat(pixels))


def count_concepts(labels: Tensor, segmenter: UNetSegmenter) -> Tensor:
    """(slots, h, w) -> (concepts,) int64 pixels."""
    return torch.bincount(labels.flatten(), minlength=len(segmenter.vocabulary))


def drawn_images(subject: str, size: int) -> Callable[[int, int], Tensor]:
    """A source of held-out drawings, (n, 3, size, size) in [-1, 1]."""

    def images(first: int, last: int) -> Tensor:
        pixels = torch.from_numpy(draw_many(HELD_OUT_SEED, range(first, last), size, subject).image)
        return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1

    return images


def generated_images(generator: nn.Module, latent: int) -> Callable[[int, int], Tensor]:
    """A source of the images of a generator, image i from the i-th latent of a fixed series."""

    @torch.no_grad()
    def images(first: int, last: int) -> Tensor:
        rows = [torch.randn(latent, generator=torch.Generator().manual_seed(number)) for number in range(first, last)]
        made: Tensor = generator(torch.stack(rows))
        return made.clamp(-1, 1)

    return images


def kernel_distance(one: Tensor, other: Tensor) -> float:
    """The unbiased squared maximum mean discrepancy of sets (n, d), cubic kernel (Binkowski et al. 2018)."""
    every, each = torch.ones(len(one), dtype=torch.bool), torch.ones(len(other), dtype=torch.bool)
    return discrepancy(Kernels.of(one, other), every, each)


@dataclass(frozen=True)
class Kernels:
    """The kernel between all pairs: within one set (n, n), within the other (m, m), and across (n, m)."""

    one: Tensor
    other: Tensor
    across: Tensor

    @classmethod
    def of(cls, one: Tensor, other: Tensor) -> Kernels:
        """The kernels of two sets of features (n, d) and (m, d)."""
        return cls(kernel(one, one), kernel(other, other), kernel(one, other))


def discrepancy(kernels: Kernels, one: Tensor, other: Tensor) -> float:
    """The unbiased squared discrepancy of those members of the sets that (n,) and (m,) bool choose."""
    within_one, within_other = kernels.one[one][:, one], kernels.other[other][:, other]
    return float(
        mean_off_diagonal(within_one) + mean_off_diagonal(within_other) - 2 * kernels.across[one][:, other].mean()
    )


def mean_off_diagonal(square: Tensor) -> Tensor:
    """The mean over the pairs of two different members."""
    return (square.sum() - square.diagonal().sum()) / (len(square) * (len(square) - 1))


def kernel(one: Tensor, other: Tensor) -> Tensor:
    """(n, m) the cubic kernel between all pairs."""
    return (one @ other.T / one.shape[1] + 1) ** 3


@dataclass(frozen=True)
class Distance:
    """A kernel distance and the half width of its 95% interval, both times 1000."""

    value: float
    margin: float


def distance(one: Tensor, other: Tensor, groups: int = 20) -> Distance:
    """The kernel distance of features standardised by the second set, its interval by the jackknife."""
    mean, deviation = other.mean(dim=0), other.std(dim=0).clamp(min=1e-6)
    one, other = ((features.double() - mean) / deviation for features in (one, other))
    kernels = Kernels.of(one, other)
    group_one, group_other = torch.arange(len(one)) % groups, torch.arange(len(other)) % groups
    without = torch.tensor([discrepancy(kernels, group_one != group, group_other != group) for group in range(groups)])
    error = sqrt((groups - 1) * without.var(correction=0).item())
    return Distance(round(1000 * kernel_distance(one, other), 3), round(1000 * 1.96 * error, 3))


def assess(generator: ProgressiveGenerator | StyleGAN2, segmenter: UNetSegmenter, count: int) -> dict[str, object]:
    """Distances and areas of `count` generated images, beside those of as many held-out drawings of their size."""
    generated = observe(generated_images(generator, generator.latent_size), count, segmenter)
    drawn = observe(drawn_images(segmenter.name, generator.resolution), 2 * count, segmenter)
    half, rest = drawn.features[:count], drawn.features[count:]
    concepts = segmenter.vocabulary.concepts
    return {
        "images_compared": count,
        "kernel_distance_times_1000": {
            "generated_to_drawn": vars(distance(generated.features, half)),
            "drawn_to_drawn": vars(distance(rest, half)),
        },
        "segmenter": segmenter.identity,
        "areas": {
            concept.name: {"generated": round(float(made), 5), "drawn": round(float(real), 5)}
            for concept, made, real in zip(concepts[1:], generated.areas()[1:], drawn.areas()[1:], strict=True)
        },
    }
