"""Training of the embedded classifier of drawn scenes, in some minutes on one core.

    python -m dissectreport.training.classifier --out DRAWINGS --weights dissectreport/models/weights

Classes that are rare are drawn as often as the others. Images are mirrored and shifted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.drawings.brush import Drawing
from dissectreport.drawings.dataset import HELD_OUT_SEED, load_drawings
from dissectreport.drawings.scene_classes import CLASSES, scene_class
from dissectreport.models.scenes_classifier import NAME, SIZE, SceneClassifier, untrained
from dissectreport.training.recipes import to_images
from dissectreport.training.weights import write_weights


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what the training computes."""

    seed: int = 0
    data: int = 12_000
    held_out: int = 1248
    steps: int = 2400
    batch: int = 32
    rate: float = 4e-3
    """The highest learning rate, from which it falls to 0 along a cosine."""
    decay: float = 1e-2
    """Weight decay."""
    shift: int = 4
    """Pixels by which images are shifted, at most."""


def classes_of(drawings: Drawing, seed: int) -> Tensor:
    """(n,) the class of every drawing of a series, from its first on."""
    pairs = zip(drawings.image, drawings.labels, strict=True)
    return torch.tensor([scene_class(Drawing(*pair), seed, number) for number, pair in enumerate(pairs)])


def batch_of(pixels: Tensor, chances: Tensor, recipe: Recipe, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """(batch,) numbers of drawings, drawn by `chances`, and (batch, 3, h, w) images, mirrored and shifted."""
    numbers = torch.multinomial(chances, recipe.batch, replacement=True, generator=random)
    images = to_images(pixels[numbers])
    mirrored = torch.rand(recipe.batch, 1, 1, 1, generator=random) < 0.5
    images = torch.where(mirrored, images.flip(3), images)
    wide = functional.pad(images, [recipe.shift] * 4, mode="replicate")
    down, right = torch.randint(2 * recipe.shift + 1, (2,), generator=random).tolist()
    return numbers, wide[:, :, down : down + SIZE, right : right + SIZE]


def train(recipe: Recipe, pixels: Tensor, labels: Tensor) -> SceneClassifier:
    """The network, trained on (n, h, w, 3) pixels of classes (n,)."""
    network = untrained(len(CLASSES), recipe.seed).train()
    optimiser = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=recipe.steps)
    random = torch.Generator().manual_seed(recipe.seed)
    chances = 1 / torch.bincount(labels, minlength=len(CLASSES))[labels].double()
    for _ in range(recipe.steps):
        numbers, images = batch_of(pixels, chances, recipe, random)
        loss = functional.cross_entropy(network(images), labels[numbers])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return network.eval()


def predictions(network: nn.Module, pixels: Tensor) -> Tensor:
    """(n,) the class that the network gives each of (n, h, w, 3) pixels."""
    with torch.no_grad():
        return torch.cat([network(to_images(part)).argmax(1) for part in torch.split(pixels, 64)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the classifier and write it with its card."""
    parser = argparse.ArgumentParser(prog="python -m dissectreport.training.classifier", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of drawings, filled where they are missing")
    parser.add_argument("--weights", type=Path, required=True, help="folder for the weights and their card")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--data", type=int, default=Recipe.data, help="how many drawings to draw")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    recipe = Recipe(steps=options.steps, data=options.data)
    drawn = load_drawings(options.out, recipe.seed, recipe.data, SIZE, workers=1)
    held = load_drawings(options.out, HELD_OUT_SEED, recipe.held_out, SIZE, workers=1)
    labels, truth = classes_of(drawn, recipe.seed), classes_of(held, HELD_OUT_SEED)
    began = time.process_time()
    network = train(recipe, torch.from_numpy(drawn.image), labels)
    right = predictions(network, torch.from_numpy(held.image)) == truth
    card = {
        "what": "classifier of drawn scenes, 64 x 64: their light, and by clear day the kind of church",
        "data": f"drawings 0 to {recipe.data - 1} of seed {recipe.seed} of dissectreport.drawings.scenes",
        "held_out": f"drawings 0 to {recipe.held_out - 1} of seed {HELD_OUT_SEED}",
        "recipe": asdict(recipe),
        "seconds": round(time.process_time() - began),
        "classes": list(CLASSES),
        "accuracy": round(float(right.double().mean()), 4),
        "recall": {
            name: round(float(right[truth == number].double().mean()), 4) for number, name in enumerate(CLASSES)
        },
        "images": {name: int((truth == number).sum()) for number, name in enumerate(CLASSES)},
        "held_out_classes": "".join(map(str, np.asarray(truth))),
    }
    write_weights(options.weights / f"{NAME}.safetensors", network.state_dict(), card)


if __name__ == "__main__":
    main()
