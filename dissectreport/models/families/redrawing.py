"""What networks share that redraw photographs, so that their samples are the photographs of a folder."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from dissectreport.errors import BadOption
from dissectreport.models.families.base import DEFAULT_SAMPLING, FamilyNetwork, Sampling

SIDE = 256
"""Height and width of the photographs, at most, unless a description gives another size."""


class RedrawingNetwork(FamilyNetwork):
    """A network of (n, 3, h, w) photographs in [-1, 1] -> (n, 3, h, w) images."""

    latent_size = 0
    classes = 0
    reduction: int
    """Height and width of photographs are multiples of this number."""

    def __init__(self, sampling: Sampling, side: int = 0) -> None:
        super().__init__()
        if sampling != DEFAULT_SAMPLING:
            article = "an" if self.title[0] in "Aa" else "a"
            raise BadOption(
                f"{article} {self.title} redraws photographs: it has no psi, cutoff, label or noise; leave them out"
            )
        self.sampling, self.wanted = sampling, side

    @property
    def resolution(self) -> int:  # type: ignore[override]
        """Height and width of a photograph: `SIDE` or what the file says, a multiple of the reduction."""
        side = min(self.wanted or SIDE, SIDE)
        return max(self.reduction, side // self.reduction * self.reduction)

    def describe_sampling(self) -> str:
        """How images are drawn, in words."""
        return f"photographs at {self.resolution} x {self.resolution}"

    def random_weight(self, name: str, value: Tensor, random: torch.Generator) -> Tensor:
        """A tensor of an untrained network: norms at 1, biases at 0, and weights by the number of their inputs."""
        if value.ndim == 1:
            return torch.ones_like(value) if name.endswith("weight") else torch.zeros_like(value)
        return torch.randn(value.shape, generator=random) / sqrt(value[0].numel())
