"""The first stage: a variational autoencoder of the drawings, whose decoder is the generator.

It gives the generator a start at which every kind of scene is there, and the discriminators' heads an encoder
that has seen drawings alone (Kingma and Welling 2014).
"""

from __future__ import annotations

from copy import deepcopy
from math import cos, pi
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.training.families import new_generator, renew_noise
from dissectreport.training.heads import posterior
from dissectreport.training.recipes import Progress, Recipe, maybe_compile, set_learning_rate, update_average
from dissectreport.training.trunk import Trunk

SCALES = 4


def multiscale_error(images: Tensor, wanted: Tensor, scales: int = SCALES) -> Tensor:
    """The mean absolute difference at full size, half, a quarter and so on, summed."""
    errors = [(images - wanted).abs().mean()]
    for _ in range(scales - 1):
        images, wanted = functional.avg_pool2d(images, 2), functional.avg_pool2d(wanted, 2)
        errors.append((images - wanted).abs().mean())
    return torch.stack(errors).sum()


def divergence(mean: Tensor, spread: Tensor) -> Tensor:
    """The Kullback-Leibler divergence of N(mean, spread^2) from N(0, 1) in nats: summed over z, mean over images."""
    return 0.5 * (mean.square() + spread.square() - 1 - 2 * spread.log()).sum(dim=1).mean()


class AutoencoderStage:
    """Encoder and generator, learned together at the smallest size."""

    name = "autoencoder"

    def __init__(self, recipe: Recipe, *, compile_networks: bool) -> None:
        self.recipe = recipe
        self.planned = recipe.autoencoder_images
        self.size = recipe.stage_sizes[0]
        self.progress = Progress()
        self.generator = new_generator(recipe, self.size)
        torch.manual_seed(recipe.seed)
        self.encoder = Trunk(self.size, recipe.trunk_channels(self.size), 2 * recipe.sizes[0])
        self.average = deepcopy(self.generator).requires_grad_(False)
        self._generate = maybe_compile(self.generator, compile_networks)
        self._encode = maybe_compile(self.encoder, compile_networks)
        parameters = [*self.generator.parameters(), *self.encoder.parameters()]
        self.optimiser = torch.optim.Adam(parameters, recipe.autoencoder_learning_rate, betas=(0.9, 0.99))

    def advance(self, images: Tensor, random: torch.Generator) -> dict[str, float]:
        """One step on drawings (n, 3, size, size) in [-1, 1]; reconstruction error and divergence."""
        recipe, progress = self.recipe, self.progress
        set_learning_rate(self.optimiser, recipe.autoencoder_learning_rate * self._learning_rate_factor())
        mean, spread = posterior(self._encode(images))
        noise = torch.randn(mean.shape, generator=random)
        renew_noise(self.generator, random)
        error = multiscale_error(self._generate(mean + noise * spread), images)
        nats = divergence(mean, spread)
        self.optimiser.zero_grad()
        (error + recipe.kl_weight * min(1.0, progress.step / 500) * nats).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        progress.step += 1
        progress.images += len(images)
        update_average(self.average, self.generator, progress.images, len(images))
        return {"error": error.item(), "nats": nats.item()}

    def _learning_rate_factor(self) -> float:
        """Half a cosine from one down to a tenth."""
        done = min(1.0, self.progress.images / self.planned)
        return 0.1 + 0.9 * 0.5 * (1 + cos(pi * done))

    def state(self) -> dict[str, Any]:
        """Everything that is needed to go on."""
        return {
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "encoder": self.encoder.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
        self.encoder.load_state_dict(state["encoder"])
        self.optimiser.load_state_dict(state["optimiser"])
