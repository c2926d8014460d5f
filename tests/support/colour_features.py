"""A feature network in which the planted artifact units can be seen: colours of images, without any weights."""

from __future__ import annotations

import torch
from torch import Tensor


class ColourFeatures:
    """The means of red, green and blue over an image, and those of their products by pair."""

    name = "means and products of colours"
    identity = "colours 1"
    dimension = 6
    published = False

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, 6)."""
        red, green, blue = images.unbind(1)
        parts = torch.stack([red, green, blue, red * green, green * blue, blue * red], 1)
        return parts.mean((2, 3))

    def to(self, device: torch.device) -> ColourFeatures:
        """The same features: they have no tensors."""
        return self
