"""The network that reads images: the encoder of the autoencoder, and the discriminator of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.training.discriminator import HalvingBlock, ScaledConvolution, rectified

COARSEST = 4


class Trunk(nn.Module):
    """A residual network from images of `size` pixels to `outputs` numbers; it reads every image by itself.

    `channels` are those at half the size, a quarter, and so on down to 4x4.
    """

    def __init__(self, size: int, channels: Sequence[int], outputs: int = 1) -> None:
        super().__init__()
        assert size >> len(channels) == COARSEST, "one number of channels for each resolution below the full one"
        self.size = size
        self.channels = tuple(channels)
        self.enter = rectified(3, channels[0], 4, 1, stride=2)
        self.blocks = nn.ModuleList(HalvingBlock(above, below) for above, below in pairwise(channels))
        self.decide = nn.Sequential(
            rectified(channels[-1], channels[-1], 3, 1),
            rectified(channels[-1], channels[-1], COARSEST, 0),
            ScaledConvolution(channels[-1], outputs, 1, 0, 1.0),
        )

    def features(self, images: Tensor) -> list[Tensor]:
        """(n, 3, size, size) -> features at half the size, a quarter, and so on down to 4x4."""
        levels = [self.enter(images)]
        for block in self.blocks:
            levels.append(block(levels[-1]))
        return levels

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, size, size) -> (n, outputs)."""
        numbers: Tensor = self.decide(self.features(images)[-1])
        return numbers.flatten(1)


def grow_trunk(small: Trunk, channels: Sequence[int], images: Tensor, steps: int, batch: int = 4) -> Trunk:
    """A trunk for images of twice the size that first computes what the small one computes from the halved image.

    The two layers that are new learn this from `images`, (n, 3, 2 size, 2 size).
    """
    grown = Trunk(2 * small.size, channels)
    for old, new in zip(small.blocks, list(grown.blocks)[1:], strict=True):
        new.load_state_dict(old.state_dict())
    grown.decide.load_state_dict(small.decide.state_dict())
    new_layers = nn.Sequential(grown.enter, grown.blocks[0])
    optimiser = torch.optim.Adam(new_layers.parameters(), 0.02)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.02 * (1 - step / steps)
        seen = images.roll(-batch * step, dims=0)[:batch]
        with torch.no_grad():
            wanted = small.enter(functional.avg_pool2d(seen, 2))
        loss = functional.mse_loss(new_layers(seen), wanted)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return grown
