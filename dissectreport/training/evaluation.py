"""How near a generator has come during training, in two feature spaces: one trained on labels, one not trained.

The segmenter's features know what drawings show; the random ones were in no recipe and cannot have been learned
to please. Neither is seen by the generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.segmenters.unet import UNetSegmenter
from dissectreport.training.quality import count_concepts, distance
from dissectreport.training.recipes import TrainedGenerator, to_images

BATCH = 20
FEATURES_SEED = 77


class RandomFeatures(nn.Module):
    """Two convolutions with fixed random weights at three scales: means over quarters, and deviations."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(FEATURES_SEED)
        self.first = nn.ParameterList(_orthogonal(24, 3, 5, random) for _ in range(3))
        self.second = nn.ParameterList(_orthogonal(48, 24, 3, random) for _ in range(3))
        self.biases = nn.ParameterList(
            nn.Parameter(0.2 * torch.randn(24 + 48, generator=random), requires_grad=False) for _ in range(3)
        )

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, 720)."""
        described = []
        for first, second, biases in zip(self.first, self.second, self.biases, strict=True):
            bias_first, bias_second = biases.split((24, 48))
            # Leaky: a feature that is zero in all drawings has no scale in which a distance could be told.
            features = functional.leaky_relu(functional.conv2d(images, first, bias_first, padding=2), 0.2)
            features = functional.conv2d(features, second, bias_second, stride=2, padding=1)
            features = functional.leaky_relu(features, 0.2)
            described += [functional.adaptive_avg_pool2d(features, 2).flatten(1), features.flatten(2).std(dim=2)]
            images = functional.avg_pool2d(images, 2)
        return torch.cat(described, dim=1)


def _orthogonal(channels_out: int, channels_in: int, kernel: int, random: torch.Generator) -> nn.Parameter:
    columns = torch.randn(channels_in * kernel * kernel, channels_out, generator=random)
    weights = torch.linalg.qr(columns).Q.T.reshape(channels_out, channels_in, kernel, kernel)
    return nn.Parameter(weights.contiguous() * sqrt(2), requires_grad=False)


@dataclass(frozen=True)
class Described:
    """What both feature spaces see in images, (n, features) each, and the pixels of every concept, (n, concepts)."""

    by_segmenter: Tensor
    at_random: Tensor
    pixels: Tensor


class Evaluator:
    """Compares a generator with held-out drawings of its size, (n, size, size, 3) uint8."""

    def __init__(self, segmenter: UNetSegmenter, held_out: Tensor) -> None:
        self.segmenter = segmenter
        self.random_features = RandomFeatures()
        self.held_out = held_out

    @cached_property
    def real(self) -> Described:
        """What is seen in the held-out drawings."""
        return self._describe(to_images(self.held_out))

    def __call__(self, generator: TrainedGenerator, count: int) -> dict[str, float | dict[str, float]]:
        """Kernel distances of `count` generated images, and each object's and part's share of its real area."""
        latents = torch.randn(count, generator.latent_size, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            made = self._describe(torch.cat([generator(part) for part in torch.split(latents, BATCH)]))
        return {
            "segmenter_distance": distance(made.by_segmenter, self.real.by_segmenter).value / 1000,
            "random_distance": distance(made.at_random, self.real.at_random).value / 1000,
            "shares": self._shares(made),
        }

    def _shares(self, made: Described) -> dict[str, float]:
        names = self.segmenter.vocabulary.concepts
        shares = made.pixels.double().mean(dim=0) / self.real.pixels.double().mean(dim=0)
        wanted = {*self.segmenter.words["object"], *self.segmenter.words["part"]}
        return {
            concept.name: round(float(share), 3)
            for concept, share in zip(names, shares, strict=True)
            if concept.name in wanted
        }

    @torch.no_grad()
    def _describe(self, images: Tensor) -> Described:
        parts = []
        for part in torch.split(images.clamp(-1, 1), BATCH):
            # As the file of an image would hold it.
            part = ((part + 1) * 127.5).round() / 127.5 - 1
            pixels = torch.stack([count_concepts(labels, self.segmenter) for labels in self.segmenter(part)])
            parts.append(Described(self.segmenter.features(part), self.random_features(part), pixels))
        return Described(
            torch.cat([each.by_segmenter for each in parts]),
            torch.cat([each.at_random for each in parts]),
            torch.cat([each.pixels for each in parts]),
        )
