"""The realism score of an image in the features of a network, with gradients, so that units can be compared by it.

    score = Witness.of(real, generated, scale)      # features (N, d), (M, d), as they come from the network
    score(features)                                 # (n,) of features (n, d); higher is closer to real images

`Witness` is the score that is used. The change of its mean over generated images when a unit is ablated is half the
fall of the kernel distance, to first order; where generated images are as dense as real ones it is flat, so it
rewards images for being like real ones, and not for being plain. `NearestReal`, the distance to the nearest real
images, rewards plain images: in the planted generator, removing balls, which real images have too, gains nine tenths
of what removing a blotch does; by the witness it gains a hundredth. In layer6 of scenes_pgan estimates by gradient ×
activation of 38 units agree with exact effects over 200 latents for both (rank correlation 0.94; 0.87 between halves
of the latents). Of these, ablating the ten best units by the witness removes 23% of the kernel distance of other
latents, and the ten best by neighbours 7%; ten random units add 13 or 32%.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dissectreport.stats.features import FeatureScale

NEIGHBOURS = 5
SAME = 1e-6
"""Squared distance below which images count as equal."""


@dataclass(frozen=True, eq=False)
class Scaled:
    """The scale on which sets of features are compared."""

    mean: Tensor
    """(d,)"""
    deviation: Tensor
    """(d,)"""

    @classmethod
    def of(cls, scale: FeatureScale, like: Tensor) -> Scaled:
        """The scale, on the device and in the precision of `like`."""
        return cls(torch.from_numpy(scale.mean).to(like), torch.from_numpy(scale.deviation).to(like))

    def __call__(self, features: Tensor) -> Tensor:
        """(n, d) -> (n, d)"""
        return (features.to(self.mean.dtype) - self.mean) / self.deviation


@dataclass(frozen=True, eq=False)
class Witness:
    """The witness function of the kernel distance (Gretton et al. 2012): kernel to real less kernel to generated.

    f(x) = mean over real y of k(x, y) - mean over generated x' of k(x, x'), with the cubic kernel of the kernel
    distance, which falls by twice what the mean of f over the generated images gains, to first order.
    """

    scaled: Scaled
    real: Tensor
    """(N, d) scaled."""
    generated: Tensor
    """(M, d) scaled, of latents other than those that are scored: an image is not its own neighbour."""

    @classmethod
    def of(cls, real: Tensor, generated: Tensor, scale: FeatureScale) -> Witness:
        """The witness between two sets of features as they come from the network."""
        scaled = Scaled.of(scale, real)
        return cls(scaled, scaled(real), scaled(generated))

    def __call__(self, features: Tensor) -> Tensor:
        """(n, d) -> (n,)"""
        rows = self.scaled(features)
        return mean_kernel(rows, self.real) - mean_kernel(rows, self.generated)


def mean_kernel(rows: Tensor, others: Tensor) -> Tensor:
    """(n, d) and (m, d) -> (n,) mean of the cubic kernel (x·y/d + 1)³ over the others."""
    base = rows @ others.T / rows.shape[1] + 1
    return (base * base * base).mean(dim=1)


@dataclass(frozen=True, eq=False)
class NearestReal:
    """Minus the mean distance to the five nearest real images, in deviations."""

    scaled: Scaled
    real: Tensor
    """(N, d) scaled."""

    @classmethod
    def of(cls, real: Tensor, scale: FeatureScale) -> NearestReal:
        """The score for real features as they come from the network."""
        scaled = Scaled.of(scale, real)
        return cls(scaled, scaled(real))

    def __call__(self, features: Tensor) -> Tensor:
        """(n, d) -> (n,)"""
        rows = self.scaled(features)
        lengths = rows.square().sum(1, keepdim=True) + self.real.square().sum(1)
        squares = (lengths - 2 * rows @ self.real.T).topk(NEIGHBOURS, dim=1, largest=False).values
        # At an image that equals a real one the root has no gradient.
        return -squares.clamp(min=SAME).sqrt().mean(dim=1)
