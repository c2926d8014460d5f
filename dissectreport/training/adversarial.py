"""The adversarial stages: heads on the frozen encoder score shapes, a pixel discriminator scores detail.

The pixels' loss is the relativistic one with gradient penalties on drawings and on generated images (Huang et al.
2024), that of the heads the hinge loss. A share of every batch is generated from the encoder's latents of the
drawings beside it, and has to resemble them too: so no kind of scene is forgotten.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.models.proggan import ProgressiveGenerator
from dissectreport.training.autoencoder import AutoencoderStage, multiscale_error
from dissectreport.training.families import renew_noise
from dissectreport.training.growth import grow_generator, with_coarse_layers
from dissectreport.training.heads import Heads, Projection
from dissectreport.training.recipes import (
    Progress,
    Recipe,
    TrainedGenerator,
    maybe_compile,
    set_learning_rate,
    update_average,
)
from dissectreport.training.trunk import Trunk, grow_trunk

LARGEST_RATIO = 1e4


class AdversarialStage:
    """A generator at one of the sizes, against two discriminators."""

    def __init__(
        self,
        recipe: Recipe,
        generator: TrainedGenerator,
        encoder: Trunk,
        discriminator: Trunk,
        *,
        compile_networks: bool,
    ) -> None:
        self.recipe = recipe
        self.size = generator.resolution
        self.name = f"adversarial-{self.size}"
        self.planned = recipe.adversarial_images[recipe.stage_sizes.index(self.size)]
        self.progress = Progress()
        self.generator = generator
        self.average = deepcopy(generator).requires_grad_(False)
        self.projection = Projection(encoder)
        torch.manual_seed(recipe.seed + 1)
        self.heads = Heads(len(encoder.channels))
        self.discriminator = discriminator
        self._generate = maybe_compile(self.generator, compile_networks)
        self._project = maybe_compile(self.projection, compile_networks)
        self._discriminate = maybe_compile(self.discriminator, compile_networks)
        self.optimisers = {
            "generator": _adam(self.generator),
            "heads": _adam(self.heads),
            "discriminator": _adam(self.discriminator),
        }

    def advance(self, images: Tensor, random: torch.Generator) -> dict[str, float]:
        """One step on drawings (n, 3, size, size) in [-1, 1]; the losses by name."""
        self._set_learning_rates()
        with torch.no_grad():
            features, mixed = self._project(images)
        latents = self._latents(features, len(images), random)
        renew_noise(self.generator, random)
        generated = self._generate(latents)
        # The discriminators' gradients end here, and go on into the generator all at once.
        seen = generated.detach().requires_grad_()
        by_heads, losses = self._teach_heads(seen, images, features, mixed)
        by_pixels, loss = self._teach_discriminator(seen.detach().requires_grad_(), images)
        if self.progress.step >= self.recipe.warmup_steps:
            self._teach_generator(generated, by_heads + by_pixels)
            self.progress.images += len(images)
            update_average(self.average, self.generator, self.progress.images, len(images))
        self.progress.step += 1
        return {**losses, "pixels": loss}

    def _set_learning_rates(self) -> None:
        share = self.recipe.learning_rate_factor(self.progress.images, self.planned)
        rates = {
            "generator": self.recipe.generator_learning_rate,
            "heads": self.recipe.heads_learning_rate,
            "discriminator": self.recipe.discriminator_learning_rate,
        }
        for name, rate in rates.items():
            set_learning_rate(self.optimisers[name], share * rate)

    def _latents(self, features: list[Tensor], count: int, random: torch.Generator) -> Tensor:
        """(count, z) latents: the first ones from the encoder's posterior of the drawings, the others from N(0, 1)."""
        latents = torch.randn(count, self.generator.latent_size, generator=random)
        known = self._known(count)
        if known:
            with torch.no_grad():
                latents[:known] = self.projection.encode([level[:known] for level in features], latents[:known])
        return latents

    def _known(self, count: int) -> int:
        return round(self.recipe.reconstruction_share * count)

    def _teach_heads(
        self, seen: Tensor, images: Tensor, features: list[Tensor], mixed: list[Tensor]
    ) -> tuple[Tensor, dict[str, float]]:
        """Teach the heads; the gradient of their new scores, and of the reconstruction, by the generated images."""
        features_seen, mixed_seen = self._project(seen)
        on_drawings = self.heads(mixed)
        on_generated = self.heads([level.detach() for level in mixed_seen])
        loss = functional.relu(1 - on_drawings).mean() + functional.relu(1 + on_generated).mean()
        self._step("heads", loss)
        self.heads.requires_grad_(False)
        wanted = -self.heads(mixed_seen).mean()
        self.heads.requires_grad_(True)
        known = self._known(len(seen))
        error = torch.zeros(())
        if known and self.recipe.reconstruction_weight:
            error = _difference(seen, images, features_seen, features, known)
        total = wanted + self.recipe.reconstruction_weight * error
        (gradient,) = torch.autograd.grad(total, seen)
        return gradient, {"heads": loss.item(), "error": error.item()}

    def _teach_discriminator(self, seen: Tensor, images: Tensor) -> tuple[Tensor, float]:
        """Teach the discriminator of pixels; the gradient of the generator's loss by the generated images.

        One pass serves both: every image has one score, so the gradient of the generator's loss is that of the
        discriminator's times the ratio of their slopes at the score.
        """
        scores = self._discriminate(torch.cat([images, seen]))[:, 0]
        margin = scores[: len(images)] - scores[len(images) :]
        loss = functional.softplus(-margin).mean()
        optimiser = self.optimisers["discriminator"]
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        assert seen.grad is not None
        gradient = seen.grad * -margin.detach().exp().clamp(max=LARGEST_RATIO).view(-1, 1, 1, 1)
        if self.progress.step % self.recipe.penalty_interval == 0:
            weight = self.recipe.penalty_weight / 2 * self.recipe.penalty_interval
            slopes = self._slope(images) + self._slope(seen.detach())
            (weight * slopes).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return gradient, loss.item()

    def _slope(self, images: Tensor) -> Tensor:
        """The mean squared gradient of the discriminator's scores by the images."""
        images = images.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.discriminator(images).sum(), images, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3)).mean()

    def _teach_generator(self, generated: Tensor, gradient: Tensor) -> None:
        optimiser = self.optimisers["generator"]
        optimiser.zero_grad()
        generated.backward(gradient)  # type: ignore[no-untyped-call]
        optimiser.step()

    def _step(self, name: str, loss: Tensor) -> None:
        self.optimisers[name].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimisers[name].step()

    def state(self) -> dict[str, Any]:
        """Everything that is needed to go on."""
        return {
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "encoder": self.projection.encoder.state_dict(),
            "heads": self.heads.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
        self.projection.encoder.load_state_dict(state["encoder"])
        self.heads.load_state_dict(state["heads"])
        self.discriminator.load_state_dict(state["discriminator"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])


def first_stage(recipe: Recipe, before: AutoencoderStage, *, compile_networks: bool) -> AdversarialStage:
    """The stage at the smallest size, from the autoencoder's average decoder and its encoder."""
    generator = deepcopy(before.average).requires_grad_(True)
    torch.manual_seed(recipe.seed + 2)
    discriminator = Trunk(before.size, recipe.trunk_channels(before.size))
    encoder = before.encoder
    return AdversarialStage(recipe, generator, encoder, discriminator, compile_networks=compile_networks)


def next_stage(recipe: Recipe, before: AdversarialStage, images: Tensor, *, compile_networks: bool) -> AdversarialStage:
    """The stage at twice the size, grown from the one before with the help of some drawings, (n, 3, size, size)."""
    size = 2 * before.size
    small, channels = _growing(before.generator), recipe.generator_channels(size)
    generator = grow_generator(small, channels, recipe.seed, recipe.growth_steps)
    torch.manual_seed(recipe.seed + 3)
    discriminator = grow_trunk(before.discriminator, recipe.trunk_channels(size), images, recipe.growth_steps)
    encoder = before.projection.encoder
    stage = AdversarialStage(recipe, generator, encoder, discriminator, compile_networks=compile_networks)
    with_coarse_layers(_growing(stage.average), _growing(before.average))
    stage.heads.load_state_dict(before.heads.state_dict())
    return stage


def _growing(generator: TrainedGenerator) -> ProgressiveGenerator:
    assert isinstance(generator, ProgressiveGenerator), "the others have one adversarial stage"
    return generator


def _adam(network: torch.nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), betas=(0.0, 0.99))


def _difference(
    seen: Tensor, images: Tensor, features_seen: list[Tensor], features: list[Tensor], known: int
) -> Tensor:
    """How far the first `known` images are from their drawings, in pixels and in the encoder's features."""
    # Not at the finest scale: there, an error of pixels teaches blur.
    error = multiscale_error(functional.avg_pool2d(seen[:known], 2), functional.avg_pool2d(images[:known], 2), 3)
    for one, other in zip(features_seen, features, strict=True):
        other = other[:known].detach()
        error = error + (one[:known] - other).abs().mean() / other.abs().mean()
    return error
