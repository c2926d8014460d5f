"""The families of generators that are trained in stages: Progressive GANs, which grow, and StyleGAN2 at one size.

Both begin as the decoder of an autoencoder and go on against the same discriminators; only what is here differs.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dissectreport.models.families.base import DEFAULT_SAMPLING, NetworkTensors
from dissectreport.models.families.stylegan2 import StyledConvolution, StyleGAN2, StyleGAN2Structure, from_tensors
from dissectreport.models.proggan import ProgressiveGenerator, from_state_dict
from dissectreport.training.recipes import STYLE, Recipe, TrainedGenerator

MAPPING_LAYERS = 4
AVERAGED = 10_000
"""Latents whose w are averaged, as in the original program."""


def new_generator(recipe: Recipe, size: int) -> TrainedGenerator:
    """The untrained generator of a recipe at a size."""
    channels = recipe.generator_channels(size)
    make = style_generator if recipe.family == STYLE else ProgressiveGenerator
    generator: TrainedGenerator = make(channels)
    generator.initialise(recipe.seed)
    return generator


def style_generator(channels: tuple[int, ...]) -> StyleGAN2:
    """A StyleGAN2 with these channels: of the latent and of w, then of each resolution from 4x4 on."""
    latent, *others = channels
    structure = StyleGAN2Structure(latent, 0, latent, MAPPING_LAYERS, tuple(others))
    return StyleGAN2(structure, DEFAULT_SAMPLING)


@torch.no_grad()
def renew_noise(generator: TrainedGenerator, random: torch.Generator) -> None:
    """Draw the noise that layers add anew, so that no pattern of it can be learned."""
    for module in generator.modules():
        if isinstance(module, StyledConvolution):
            module.noise_const.normal_(generator=random)


@torch.no_grad()
def with_average_w(generator: TrainedGenerator) -> TrainedGenerator:
    """The generator; one of styles gets its average w, by which truncation works, of always the same latents."""
    if isinstance(generator, StyleGAN2):
        latents = torch.randn(AVERAGED, generator.latent_size, generator=torch.Generator().manual_seed(0))
        generator.mapping.w_avg.copy_(generator.mapping.untruncated(latents).mean(0))
    return generator


def tensors_of(generator: TrainedGenerator) -> dict[str, Tensor]:
    """The weights of a generator by the names that the original program of its family gives them."""
    state = generator.state_dict()
    if isinstance(generator, StyleGAN2):
        return {generator.file_name(name): value for name, value in state.items()}
    return state


def trained_generator(recipe: Recipe, state: Mapping[str, Tensor]) -> TrainedGenerator:
    """The generator of a recipe with the weights of a stage."""
    if recipe.family != STYLE:
        return from_state_dict(state)
    network = style_generator(recipe.generator_channels(recipe.size))
    network.load_state_dict(state)
    return network.eval()


def from_file(tensors: Mapping[str, Tensor]) -> StyleGAN2:
    """The StyleGAN2 in the tensors of a file that `tensors_of` made."""
    return from_tensors(NetworkTensors(tensors), DEFAULT_SAMPLING)
