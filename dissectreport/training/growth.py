"""How a generator gains its finest resolution without losing what it has learned."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from dissectreport.models.proggan import ProgressiveGenerator
from dissectreport.training.recipes import step_random


def grow_generator(small: ProgressiveGenerator, sizes: Sequence[int], seed: int, steps: int) -> ProgressiveGenerator:
    """A generator of twice the size that first draws what the small one draws, smoothly enlarged.

    The two blocks and the output that are new learn this in `steps` steps.
    """
    grown = with_coarse_layers(ProgressiveGenerator(sizes), small)
    new = list(grown)[-3:]
    for number, block in enumerate(new):
        with torch.no_grad():
            weight = block.get_parameter("conv.weight")
            weight.copy_(torch.randn(weight.shape, generator=step_random(seed + 1, number)))
    optimiser = torch.optim.Adam([value for block in new for value in block.parameters()], 0.02)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.02 * (1 - step / steps)
        with torch.no_grad():
            features = torch.randn(4, small.latent_size, 1, 1, generator=step_random(seed, step))
            for block in list(grown)[:-3]:
                features = block(features)
            wanted = functional.interpolate(list(small)[-1](features), scale_factor=2.0, mode="bilinear")
        drawn = features
        for block in new:
            drawn = block(drawn)
        loss = functional.mse_loss(drawn, wanted)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return grown


def with_coarse_layers(grown: ProgressiveGenerator, small: ProgressiveGenerator) -> ProgressiveGenerator:
    """The grown generator with the weights of the small one in all blocks that both have."""
    for name in small.layers:
        grown.get_submodule(name).load_state_dict(small.get_submodule(name).state_dict())
    return grown
