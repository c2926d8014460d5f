"""What a feature network is, and the one that every segmenter with features is."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from dissectreport.errors import FeaturesError, answered


class FeatureNetwork(Protocol):
    """A network that describes a whole image in a row of numbers, with gradients.

    Numbers of different networks do not compare, so every figure on a page names its network.
    """

    name: str
    """What a page calls the features, e.g. "features of segmenter scenes"."""
    identity: str
    """A word that changes whenever the weights or the arithmetic do."""
    dimension: int
    """Length of the features."""
    published: bool
    """Whether distances are of the features as they are, as published ones of this network; else they are scaled by
    the real images."""

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, dimension), differentiable."""

    def to(self, device: torch.device) -> FeatureNetwork:
        """The same network on `device`."""


class SegmenterFeatures:
    """What a segmenter sees in whole images, as features."""

    published = False

    def __init__(self, segmenter: Any, dimension: int) -> None:
        self.segmenter, self.dimension = segmenter, dimension
        self.name = f"features of segmenter {segmenter.name}"
        self.identity = f"features {segmenter.identity}"

    @classmethod
    def of(cls, segmenter: Any, image_size: tuple[int, int], device: torch.device | None = None) -> SegmenterFeatures:
        """The features of a segmenter on `device` (the CPU), asked for an empty image's to know how long they are."""
        name = segmenter.name
        if not hasattr(segmenter, "features"):
            raise FeaturesError(
                f"segmenter {name!r} tells no features to compare images by; choose other features, or a segmenter "
                "that does, like scenes"
            )
        with torch.no_grad():
            empty = torch.zeros(1, 3, *image_size, device=device)
            found = answered(
                FeaturesError, f"segmenter {name!r} failed at its features", lambda: segmenter.features(empty)
            )
        shape = tuple(getattr(found, "shape", ()))
        if len(shape) != 2 or shape[0] != 1:
            raise FeaturesError(
                f"segmenter {name!r} returned features of shape {shape} for one image; it must return (1, d)"
            )
        return cls(segmenter, shape[1])

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, dimension), differentiable."""
        found: Tensor = self.segmenter.features(images)
        return found

    def to(self, device: torch.device) -> SegmenterFeatures:
        """The same features on `device`."""
        return SegmenterFeatures(self.segmenter.to(device), self.dimension)
