"""Training of the embedded feature network: an autoencoder of the drawings, which sees images and no labels.

    python -m dissectreport.training.encoder --drawings drawings --weights drawings.safetensors

It sees scenes, rooms and churches alike, at 64 x 64 pixels. Only the encoder is kept. The card has the error on
held-out drawings, and how far from each other the means of two kinds of images lie beside two halves of one kind.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import cos, pi
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.drawings.dataset import HELD_OUT_SEED, SUBJECTS, draw_many, load_images
from dissectreport.features.drawings import CHANNELS, COARSEST, CODE, SIDE, DrawingEncoder, DrawingFeatures
from dissectreport.training.autoencoder import multiscale_error
from dissectreport.training.segmenter import as_images
from dissectreport.training.weights import write_weights

HELD_OUT = 200


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run computes."""

    data: int = 1000
    """Drawings of each subject."""
    seed: int = 0
    steps: int = 1200
    batch: int = 16
    learning_rate: float = 2e-3


class Decoder(nn.Module):
    """From 48 numbers to images of 64 x 64 pixels; used in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(CODE, CHANNELS[-1] * COARSEST**2)
        self.levels = nn.ModuleList(nn.Conv2d(above, below, 3, 1, 1) for above, below in pairwise(reversed(CHANNELS)))
        self.image = nn.Sequential(nn.Conv2d(CHANNELS[0], 12, 3, 1, 1), nn.PixelShuffle(2))

    def forward(self, code: Tensor) -> Tensor:
        """(n, 48) -> (n, 3, 64, 64)."""
        maps = functional.leaky_relu(self.enter(code), 0.2).view(-1, CHANNELS[-1], COARSEST, COARSEST)
        for level in self.levels:
            maps = functional.leaky_relu(level(functional.interpolate(maps, scale_factor=2.0)), 0.2)
        images: Tensor = self.image(maps)
        return images


def train(images: Tensor, recipe: Recipe) -> tuple[DrawingEncoder, Decoder]:
    """The encoder and the decoder after so many steps on (n, 3, 64, 64) images."""
    torch.manual_seed(recipe.seed)
    encoder, decoder = DrawingEncoder(), Decoder()
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], recipe.learning_rate)
    for step, batch in zip(range(recipe.steps), batches(images, recipe), strict=False):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * min(1.0, (step + 1) / 100) * 0.5 * (1 + cos(pi * step / recipe.steps))
        loss = multiscale_error(decoder(encoder(batch)[0]), batch)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return encoder, decoder


def batches(images: Tensor, recipe: Recipe) -> Iterator[Tensor]:
    """Random images without end, half of them mirrored."""
    random = torch.Generator().manual_seed(recipe.seed)
    while True:
        batch = images[torch.randint(len(images), (recipe.batch,), generator=random)]
        yield batch.flip(3) if torch.rand((), generator=random) < 0.5 else batch


@torch.no_grad()
def quality(encoder: DrawingEncoder, decoder: Decoder) -> dict[str, Any]:
    """The error on held-out drawings, and the distances of the means of subjects and of halves of one subject."""
    drawn = {name: _images(draw_many(HELD_OUT_SEED, range(HELD_OUT), SIDE, name).image) for name in SUBJECTS}
    error = {
        name: round(float((decoder(encoder(images)[0]) - images).abs().mean()), 4) for name, images in drawn.items()
    }
    network = DrawingFeatures(encoder, "")
    features = {name: network(images) for name, images in drawn.items()}
    spread = torch.cat(list(features.values())).std(0)
    first, *_, last = features.values()
    return {
        "held_out_error": error,
        "distance_of_subjects": round(distance(first, last, spread), 3),
        "distance_of_halves": round(distance(first[::2], first[1::2], spread), 3),
    }


def distance(first: Tensor, second: Tensor, spread: Tensor) -> float:
    """The root mean square difference of the means of features, in standard deviations."""
    return float(((first.mean(0) - second.mean(0)) / spread).square().mean().sqrt())


def _images(pixels: Any) -> Tensor:
    return as_images(torch.from_numpy(pixels))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the encoder and write its weights and its card."""
    parser = argparse.ArgumentParser(prog="python -m dissectreport.training.encoder", description=__doc__)
    parser.add_argument(
        "--drawings", type=Path, required=True, help="folder of drawings, filled where they are missing"
    )
    parser.add_argument("--weights", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--data", type=int, default=Recipe.data, help="drawings of each subject")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    options = parser.parse_args(arguments)
    recipe = Recipe(data=options.data, seed=options.seed, steps=options.steps)
    torch.set_num_threads(1)
    images = torch.cat(
        [_images(load_images(options.drawings, recipe.seed, recipe.data, SIDE, name)) for name in SUBJECTS]
    )
    started = time.monotonic()
    encoder, decoder = train(images, recipe)
    card = {
        "what": "encoder of an autoencoder of drawings, whose features compare images; it has seen no labels",
        "data": f"drawings 0 to {recipe.data - 1} of seed {recipe.seed} of {', '.join(SUBJECTS)}, at 64 x 64 pixels",
        "held_out": f"drawings 0 to {HELD_OUT - 1} of seed {HELD_OUT_SEED} of each",
        "command": f"python -m dissectreport.training.encoder --data {recipe.data} --steps {recipe.steps}",
        "seconds": round(time.monotonic() - started),
        "recipe": asdict(recipe),
        **quality(encoder, decoder),
    }
    write_weights(options.weights, encoder.state_dict(), card)


if __name__ == "__main__":
    main()
