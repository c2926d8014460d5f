"""What decides a training of a generator in stages, and what its runs have in common: batches, chance, averages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy
import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.drawings.dataset import cached_drawings
from dissectreport.errors import BadOption
from dissectreport.models.families.stylegan2 import StyleGAN2
from dissectreport.models.proggan import ProgressiveGenerator

PROGRESSIVE, STYLE = "progressive", "style"
"""The families of generators that can be trained in stages."""
TrainedGenerator = ProgressiveGenerator | StyleGAN2


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training in stages computes.

    The autoencoder and the first adversarial stage work at the smallest size, each further stage at twice the size
    of the one before it, the last one at the full size.
    """

    subject: str = "churches"
    family: str = PROGRESSIVE
    """The generator's: progressive, which grows, or style, a StyleGAN2 with one adversarial stage at full size."""
    seed: int = 0
    sizes: tuple[int, ...] = (128, 192, 192, 96, 48, 32, 16)
    """The generator's channels: of the latent, then of each resolution from 4x4 to the full one."""
    channels: tuple[int, ...] = (32, 32, 64, 128, 128)
    """The discriminator's, from half the full size down to 4x4; the encoder has those below the smallest size."""
    batch: int = 16
    autoencoder_data: int = 20_000
    data: int = 100_000
    drawing_size: int = 0
    """Height and width at which drawings are made, to be downsampled; 0 for the size of the images."""
    autoencoder_images: int = 60_000
    adversarial_images: tuple[int, ...] = (500_000, 300_000, 300_000)
    """Images of each adversarial stage, the smallest size first."""
    autoencoder_learning_rate: float = 5e-3
    kl_weight: float = 1e-3
    """The weight of the Kullback-Leibler divergence, in nats, beside the reconstruction error."""
    generator_learning_rate: float = 2e-3
    discriminator_learning_rate: float = 2e-3
    heads_learning_rate: float = 5e-4
    penalty_weight: float = 1.0
    """The weight of both gradient penalties, on drawings (R1) and on generated images (R2)."""
    penalty_interval: int = 8
    warmup_steps: int = 100
    """Steps at the start of an adversarial stage in which only the discriminators learn."""
    reconstruction_share: float = 0.25
    """The share of a batch whose latents come from the encoder, so that they also have a drawing to match."""
    reconstruction_weight: float = 0.5
    """The weight of the error of these images."""
    growth_steps: int = 250
    """Steps in which the layers that a stage adds learn to repeat what the stage before shows."""

    def __post_init__(self) -> None:
        if self.family not in (PROGRESSIVE, STYLE):
            raise BadOption(f"the family of a generator is {PROGRESSIVE} or {STYLE}, not {self.family}")
        if self.family == STYLE and len(self.adversarial_images) > 1:
            raise BadOption(
                f"a generator of the family {STYLE} does not grow: give one length in adversarial_images, not "
                f"{len(self.adversarial_images)}"
            )

    @property
    def size(self) -> int:
        """Height and width of the images at full size."""
        return int(2 ** len(self.sizes))

    @property
    def stage_sizes(self) -> tuple[int, ...]:
        """Height and width of the images in each adversarial stage."""
        return tuple(self.size >> halvings for halvings in reversed(range(len(self.adversarial_images))))

    def generator_channels(self, size: int) -> tuple[int, ...]:
        """The generator's channels at a size."""
        return self.sizes[: size.bit_length() - 1]

    def trunk_channels(self, size: int) -> tuple[int, ...]:
        """The channels of encoder and discriminator at a size."""
        return self.channels[-(size.bit_length() - 3) :]

    def learning_rate_factor(self, images: int, planned: int) -> float:
        """The factor on all learning rates of an adversarial stage: 1, falling to 0.1 over the last fifth."""
        left = (planned - images) / max(1.0, 0.2 * planned)
        return min(1.0, max(0.1, left))


@dataclass
class Progress:
    """How far a stage has come: steps, images, and seconds by the clock and of the processors."""

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0


class Stage(Protocol):
    """A stage of the training, which can be advanced, saved and continued."""

    name: str
    planned: int
    size: int
    progress: Progress
    average: TrainedGenerator

    def advance(self, images: Tensor, random: torch.Generator) -> dict[str, float]:
        """One step on drawings (n, 3, size, size) in [-1, 1]; the losses by name."""

    def state(self) -> dict[str, Any]:
        """Everything that is needed to go on."""

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""


def step_random(seed: int, step: int) -> torch.Generator:
    """The chances of one step, so that a run that was stopped goes on as if it had not been."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


def load_pixels(folder: Path, recipe: Recipe, count: int, size: int) -> Tensor:
    """The first `count` drawings of the recipe's series, (n, size, size, 3) uint8, downsampled where necessary."""
    shards = cached_drawings(folder, recipe.seed, count, recipe.drawing_size or recipe.size, recipe.subject)
    pixels = torch.empty(count, size, size, 3, dtype=torch.uint8)
    first = 0
    for shard in shards:
        images = _shard(shard)
        pixels[first : first + len(images)] = downsample(images, size)
        first += len(images)
    return pixels


def _shard(path: Path) -> Tensor:
    with numpy.load(path, allow_pickle=False) as file:
        return torch.from_numpy(file["image"])


def downsample(pixels: Tensor, size: int) -> Tensor:
    """(n, h, w, 3) uint8 -> (n, size, size, 3) uint8, every pixel the mean of a square."""
    if pixels.shape[1] == size:
        return pixels
    images = functional.adaptive_avg_pool2d(pixels.permute(0, 3, 1, 2).float(), size)
    return images.round().byte().permute(0, 2, 3, 1).contiguous()


def sample_batch(pixels: Tensor, count: int, random: torch.Generator) -> Tensor:
    """(count, 3, h, w) drawings in [-1, 1] chosen from (n, h, w, 3) uint8, half of them mirrored."""
    chosen = pixels[torch.randint(len(pixels), (count,), generator=random)]
    images = to_images(chosen)
    mirrored = torch.rand(count, 1, 1, 1, generator=random) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def to_images(pixels: Tensor) -> Tensor:
    """(n, h, w, 3) uint8 -> (n, 3, h, w) in [-1, 1]."""
    return pixels.permute(0, 3, 1, 2).float().contiguous() / 127.5 - 1


def update_average(average: nn.Module, network: nn.Module, images: int, batch: int) -> None:
    """Move the average towards the network: it forgets half in 10 thousand images, sooner at first."""
    half_life = min(10_000.0, 1000 + 0.1 * images)
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - 0.5 ** (batch / half_life))


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give all parameters this learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def maybe_compile(function: Callable[..., Any], wanted: bool) -> Callable[..., Any]:
    """The function, compiled where wanted: that takes a minute, a C++ compiler, and then much less time a step."""
    return torch.compile(function, dynamic=False) if wanted else function
