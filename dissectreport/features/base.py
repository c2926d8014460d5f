"""What a feature network is, and the one that every segmenter with features is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from dissectreport.errors import BadOption

if TYPE_CHECKING:
    import torch
    from torch import Tensor


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
    """Whether distances are told in the features as they are, as published ones of this network are; else they are
    scaled by the real images."""

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
    def of(cls, segmenter: Any, image_size: tuple[int, int]) -> SegmenterFeatures:
        """The features of a segmenter, asked once for those of an empty image to know how long they are."""
        import torch

        if not hasattr(segmenter, "features"):
            raise BadOption(
                f"segmenter {segmenter.name!r} has no features to compare images by; "
                "choose --features inception:FILE, dinov2 or clip, or a segmenter that has, like scenes"
            )
        with torch.no_grad():
            found = segmenter.features(torch.zeros(1, 3, *image_size))
        return cls(segmenter, int(found.shape[1]))

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, dimension), differentiable."""
        found: Tensor = self.segmenter.features(images)
        return found

    def to(self, device: torch.device) -> SegmenterFeatures:
        """The same features on `device`."""
        return SegmenterFeatures(self.segmenter.to(device), self.dimension)
