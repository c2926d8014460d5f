"""Training of the embedded segmenters on drawings, whose labels are exact.

    python -m dissectreport.training.segmenter train --out run --subject rooms
    python -m dissectreport.training.segmenter export --out run --weights rooms.safetensors

Half of the images come in strange hues and light, so that the network learns shapes and textures rather than
colours alone. Materials are learned from the others only, because colour is part of what a material is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import cos, pi
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.checkpoints.state_dicts import channels_last
from dissectreport.drawings.brush import Drawing
from dissectreport.drawings.dataset import HELD_OUT_SEED, SUBJECTS, draw_many, load_drawings
from dissectreport.segmenters.unet import ConceptNames, UNet, class_counts
from dissectreport.training.jitter import brighten, jitter, turn_hue
from dissectreport.training.precision import mixed_precision
from dissectreport.training.weights import write_weights

IGNORED = -100


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run computes."""

    data: int = 8000
    seed: int = 0
    steps: int = 2500
    batch: int = 16
    learning_rate: float = 3e-3
    subject: str = "scenes"
    """What the drawings show."""
    halved: float = 0.0
    """The share of images that are seen as a generator of half the size would draw them."""

    @property
    def words(self) -> ConceptNames:
        """What there is to learn."""
        return SUBJECTS[self.subject].words

    def rate(self, step: int) -> float:
        """The learning rate at a step: a short rise, then half a cosine down to nothing."""
        rise = min(1.0, (step + 1) / 100)
        return self.learning_rate * rise * 0.5 * (1 + cos(pi * min(1.0, step / self.steps)))


class Run:
    """The network of a training run, its optimiser, and how far it has come."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.step = 0
        self.seconds = 0.0
        torch.manual_seed(recipe.seed)
        self.network = channels_last(UNet(recipe.words))
        self.optimiser = torch.optim.AdamW(self.network.parameters(), weight_decay=1e-3)

    def save(self, path: Path) -> None:
        """Write everything that is needed to go on, whole or not at all."""
        state = {
            "recipe": json.dumps(asdict(self.recipe)),
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        unfinished = path.with_suffix(".unfinished")
        torch.save(state, unfinished)
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path) -> Run:
        """The run as it was saved."""
        state = torch.load(path, weights_only=True)
        run = cls(Recipe(**json.loads(state["recipe"])))
        run.step, run.seconds = state["step"], state["seconds"]
        run.network.load_state_dict(state["network"])
        run.optimiser.load_state_dict(state["optimiser"])
        return run

    def advance(self, images: Tensor, labels: Tensor) -> float:
        """One step on (n, h, w, 3) uint8 images and (n, 3, h, w) uint8 labels; the loss."""
        start = time.monotonic()
        random = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + self.step)
        chosen = torch.randint(len(images), (self.recipe.batch,), generator=random)
        strange = torch.rand(self.recipe.batch, generator=random) < 0.5
        batch = jitter(as_images(images[chosen]), strange, random)
        targets = labels[chosen].long()
        targets[strange, list(self.recipe.words).index("material")] = IGNORED
        if torch.rand((), generator=random) < 0.5:
            batch, targets = batch.flip(3), targets.flip(3)
        seen_halved = torch.rand(len(batch), generator=random) < self.recipe.halved
        batch = torch.where(seen_halved.view(-1, 1, 1, 1), halved(batch), batch)
        loss = self._learn(batch.contiguous(memory_format=torch.channels_last), targets)
        self.step += 1
        self.seconds += time.monotonic() - start
        return loss

    def _learn(self, images: Tensor, targets: Tensor) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate(self.step)
        with mixed_precision():
            logits = self.network.train()(images)
        split = logits.float().split(class_counts(self.recipe.words), dim=1)
        losses = [
            functional.cross_entropy(each, target, ignore_index=IGNORED, reduction="sum") / target[0].numel()
            for each, target in zip(split, targets.unbind(dim=1), strict=True)
        ]
        loss = torch.stack(losses).sum() / self.recipe.batch
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss.item()


def as_images(pixels: Tensor) -> Tensor:
    """(n, h, w, 3) uint8 -> (n, 3, h, w) in [-1, 1]."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def halved(images: Tensor) -> Tensor:
    """(n, 3, h, w) with no more detail than half the size has."""
    return functional.interpolate(functional.avg_pool2d(images, 2), scale_factor=2.0, mode="bilinear")


# --- how good it is -----------------------------------------------------------------------------------------


@torch.no_grad()
def intersections_and_unions(network: UNet, counts: list[int], images: Tensor, labels: Tensor) -> Tensor:
    """(2, classes) int64 pixel counts, the classes of all categories in a row, "nothing" first in each."""
    network.eval()
    both, either = [], []
    guessed = torch.cat([guess(network, counts, part) for part in torch.split(images, 16)])
    for slot, count in enumerate(counts):
        pairs = labels[:, slot].long() * count + guessed[:, slot]
        table = torch.bincount(pairs.flatten(), minlength=count * count).view(count, count)
        both.append(table.diagonal())
        either.append(table.sum(dim=0) + table.sum(dim=1) - table.diagonal())
    return torch.stack([torch.cat(both), torch.cat(either)])


def guess(network: UNet, counts: list[int], images: Tensor) -> Tensor:
    """(n, 3, h, w) -> (n, 3, h, w) the likeliest class in each category."""
    split = network(images).split(counts, dim=1)
    return torch.stack([each.argmax(dim=1) for each in split], dim=1)


def iou_by_concept(network: UNet, words: ConceptNames, images: Tensor, labels: Tensor) -> dict[str, dict[str, float]]:
    """By category and concept, pixels of both over pixels of either."""
    both, either = intersections_and_unions(network, class_counts(words), images, labels)
    iou = (both.double() / either.clamp(min=1)).split(class_counts(words))
    return {
        category: {name: round(float(value), 4) for name, value in zip(names, values[1:], strict=True)}
        for (category, names), values in zip(words.items(), iou, strict=True)
    }


@torch.no_grad()
def precision_and_recall(
    network: UNet, words: ConceptNames, images: Tensor, labels: Tensor
) -> dict[str, dict[str, dict[str, float]]]:
    """By category and concept, the share of its labels that are right, and of its pixels that are labelled."""
    counts = class_counts(words)
    guessed = torch.cat([guess(network.eval(), counts, part) for part in torch.split(images, 16)])
    found: dict[str, dict[str, dict[str, float]]] = {"precision": {}, "recall": {}}
    for slot, (category, names) in enumerate(words.items()):
        pairs = labels[:, slot].long() * counts[slot] + guessed[:, slot]
        table = torch.bincount(pairs.flatten(), minlength=counts[slot] ** 2).view(counts[slot], counts[slot])
        right = table.diagonal().double()
        for name, whole in (("precision", table.sum(dim=0)), ("recall", table.sum(dim=1))):
            shares = (right / whole.clamp(min=1)).tolist()[1:]
            found[name][category] = {one: round(share, 4) for one, share in zip(names, shares, strict=True)}
    return found


def mean(values: dict[str, float]) -> float:
    """The plain mean over concepts."""
    return round(sum(values.values()) / len(values), 4)


SHIFTS: dict[str, Callable[[Tensor], Tensor]] = {
    "hue a quarter turn on": lambda images: turned(images, 0.25),
    "hue half a turn on": lambda images: turned(images, 0.5),
    "hue three quarters of a turn on": lambda images: turned(images, 0.75),
    "0.6 times the brightness": lambda images: brightened(images, 0.6),
    "1.4 times the brightness": lambda images: brightened(images, 1.4),
    "half the size": halved,
}


def turned(images: Tensor, turns: float) -> Tensor:
    """The images with all hues turned."""
    return turn_hue(images, torch.full((len(images),), turns), torch.ones(len(images))).clamp(-1, 1)


def brightened(images: Tensor, factor: float) -> Tensor:
    """The images in other light."""
    return brighten(images, torch.full((len(images),), factor)).clamp(-1, 1)


def quality(network: UNet, words: ConceptNames, held_out: Drawing) -> dict[str, Any]:
    """Intersection over union on held-out drawings, plainly and in strange hues and light."""
    images, labels = as_images(torch.from_numpy(held_out.image)), torch.from_numpy(held_out.labels)
    plain = iou_by_concept(network, words, images, labels)
    shifted = {
        name: mean(iou_by_concept(network, words, shift(images), labels)["object"]) for name, shift in SHIFTS.items()
    }
    return {
        "held_out_drawings": len(images),
        "mean_iou": {category: mean(values) for category, values in plain.items()},
        "mean_iou_of_objects_under_shifts": shifted,
        "iou": plain,
        "error": {"held_out_drawings": len(images), **precision_and_recall(network, words, images, labels)},
    }


# --- commands -----------------------------------------------------------------------------------------------


def checkpoint(out: Path) -> Path:
    """Where a run keeps its latest state."""
    return out / "checkpoint.pt"


def train_segmenter(
    out: Path,
    recipe: Recipe | None = None,
    *,
    drawings: Path | None = None,
    until: int | None = None,
    save_every: int = 200,
) -> Path:
    """Train to the end of the recipe or to `until`, going on from the checkpoint in `out` if there is one."""
    out.mkdir(parents=True, exist_ok=True)
    run = Run.load(checkpoint(out)) if checkpoint(out).exists() else Run(recipe or Recipe())
    data = load_drawings(drawings or out / "drawings", run.recipe.seed, run.recipe.data, subject=run.recipe.subject)
    images, labels = torch.from_numpy(data.image), torch.from_numpy(data.labels)
    while run.step < min(run.recipe.steps, until or run.recipe.steps):
        loss = run.advance(images, labels)
        if run.step % 20 == 0:
            log(out, run, loss)
        if run.step % save_every == 0:
            run.save(checkpoint(out))
    run.save(checkpoint(out))
    return checkpoint(out)


def log(out: Path, run: Run, loss: float) -> None:
    """Add a line to the run's log."""
    with (out / "log.txt").open("a") as file:
        file.write(f"step {run.step} seconds {run.seconds:.0f} loss {loss:.4f}\n")


def export_segmenter(out: Path, weights: Path, held_out: int = 500, history: str = "") -> None:
    """Write the latest state of the run in `out` to `weights`, its card beside it.

    `history` tells on the card what the run's recipe does not, such as a change of vocabulary on the way.
    """
    run = Run.load(checkpoint(out))
    recipe = run.recipe
    card = {
        "what": f"U-Net that names the object, part and material of every pixel of drawn {recipe.subject}",
        "data": f"drawings 0 to {recipe.data - 1} of seed {recipe.seed} of {SUBJECTS[recipe.subject].paint.__module__}",
        "held_out": f"drawings 0 to {held_out - 1} of seed {HELD_OUT_SEED}",
        "steps": run.step,
        **({"history": history} if history else {}),
        "seconds": round(run.seconds),
        "recipe": asdict(recipe),
        **quality(run.network, recipe.words, draw_many(HELD_OUT_SEED, range(held_out), subject=recipe.subject)),
    }
    write_weights(weights, run.network.state_dict(), card)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train a segmenter or export it."""
    parser = argparse.ArgumentParser(prog="python -m dissectreport.training.segmenter", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train, or go on with a run")
    train.add_argument("--subject", choices=SUBJECTS, default=Recipe.subject, help="what the drawings show")
    train.add_argument("--halved", type=float, default=Recipe.halved, help="share of images at half the size")
    train.add_argument("--data", type=int, default=Recipe.data, help="how many drawings to draw")
    train.add_argument("--seed", type=int, default=Recipe.seed)
    train.add_argument("--steps", type=int, default=Recipe.steps)
    train.add_argument("--drawings", type=Path, help="folder of drawings, filled where they are missing")
    export = commands.add_parser("export", help="write weights and card")
    export.add_argument("--weights", type=Path, required=True, help="the .safetensors file to write")
    export.add_argument("--history", default="", help="what the card tells beside the recipe")
    for command in (train, export):
        command.add_argument("--out", type=Path, required=True, help="folder of the run")
        command.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.command == "train":
        recipe = Recipe(
            data=options.data,
            seed=options.seed,
            steps=options.steps,
            subject=options.subject,
            halved=options.halved,
        )
        train_segmenter(options.out, recipe, drawings=options.drawings)
    else:
        export_segmenter(options.out, options.weights, history=options.history)


if __name__ == "__main__":
    main()
