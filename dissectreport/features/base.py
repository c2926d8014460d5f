"""The protocol of a feature network (plug-in group `dissectreport.features`), and the features of a segmenter."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from dissectreport.errors import FeaturesError, answered


class FeatureNetwork(Protocol):
    """A network that turns a whole image into a feature vector. KID, FID and realism scores compare images by it.

    Each worker process loads it once and calls it on batches of images, with and without gradients. Distances in
    features of different networks are not comparable, so pages name the network with each number.
    """

    name: str
    """The name on pages, for example "features of segmenter scenes"."""
    identity: str
    """Changes whenever the weights or the arithmetic change."""
    dimension: int
    """Length of a feature vector."""
    published: bool
    """True if published distances use the features of this network as they are (Inception, DINOv2, CLIP). False if
    features are first scaled by statistics of the real images."""

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) RGB in [-1, 1], of any size -> (n, dimension) float32, differentiable."""

    def to(self, device: torch.device) -> FeatureNetwork:
        """The same network on `device`. The network itself may be moved."""


OWN_FEATURES = "segmenter"
"""What the features of the run's own segmenter are called where a second network is named."""


class SegmenterFeatures:
    """The `features` of a segmenter as a feature network."""

    published = False

    def __init__(self, segmenter: Any, dimension: int) -> None:
        self.segmenter, self.dimension = segmenter, dimension
        self.name = f"features of segmenter {segmenter.name}"
        self.identity = f"features {segmenter.identity}"

    @classmethod
    def of(cls, segmenter: Any, image_size: tuple[int, int], device: torch.device | None = None) -> SegmenterFeatures:
        """The features of a segmenter, which is called on a black image on `device` to find their dimension.

        Raises a FeaturesError if it has none, or if their shape is wrong.
        """
        name = segmenter.name
        if not hasattr(segmenter, "features"):
            raise FeaturesError(
                f"segmenter {name!r} has no features to compare images by; choose others with --features, or a "
                "segmenter that has features, such as scenes"
            )
        with torch.no_grad():
            black = torch.zeros(1, 3, *image_size, device=device)
            features = answered(
                FeaturesError, f"segmenter {name!r} failed to compute features", lambda: segmenter.features(black)
            )
        shape = tuple(getattr(features, "shape", ()))
        if len(shape) != 2 or shape[0] != 1:
            raise FeaturesError(
                f"segmenter {name!r} returned features of shape {shape} for one image; it must return (1, d)"
            )
        return cls(segmenter, shape[1])

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) RGB in [-1, 1], of any size -> (n, dimension) float32, differentiable."""
        features: Tensor = self.segmenter.features(images)
        return features

    def to(self, device: torch.device) -> SegmenterFeatures:
        """The same features on `device`."""
        return SegmenterFeatures(self.segmenter.to(device), self.dimension)
