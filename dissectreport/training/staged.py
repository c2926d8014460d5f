"""Training of an embedded generator in stages, each of which goes on where it was stopped.

    python -m dissectreport.training.staged train --out run --drawings drawings
    python -m dissectreport.training.staged export --out run --weights churches_pgan.safetensors

First a variational autoencoder of the drawings at the smallest size, then its decoder against discriminators,
there and at twice the size again and again. No stage sees a label. In `run`, every stage has a folder with its
latest state, sheets of samples and averaged generators; `log.jsonl` holds losses, `curve.jsonl` distances to
held-out drawings.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dissectreport.drawings.dataset import HELD_OUT_SEED, SHARD, SUBJECTS
from dissectreport.files import write
from dissectreport.segmenters.unet import WEIGHTS, UNetSegmenter, load_unet
from dissectreport.training.adversarial import AdversarialStage, first_stage, next_stage
from dissectreport.training.autoencoder import AutoencoderStage
from dissectreport.training.evaluation import Evaluator
from dissectreport.training.families import tensors_of, trained_generator, with_average_w
from dissectreport.training.generator import numbers, sheet
from dissectreport.training.quality import assess
from dissectreport.training.recipes import (
    PROGRESSIVE,
    Progress,
    Recipe,
    Stage,
    TrainedGenerator,
    load_pixels,
    sample_batch,
    step_random,
    to_images,
)
from dissectreport.training.weights import write_weights

AUTOENCODER = AutoencoderStage.name
SHOWN = 40
SEGMENTERS = {"churches": "scenes"}
"""Subjects whose words the segmenter of another subject knows."""


@dataclass(frozen=True)
class RunOptions:
    """Settings of a run that do not change its result."""

    drawings: Path
    segmenter: Path | None = None
    """Weights of the segmenter used for evaluation; by default those of the package."""
    save_every: float = 240.0
    """Seconds."""
    evaluate_every: int = 10_000
    evaluated: int = 500
    held_out: int = 1000
    log_every: int = 50
    compile_networks: bool = True


def train(out: Path, recipe: Recipe, options: RunOptions, stop_at: tuple[str, int] | None = None) -> None:
    """Go through the stages that are not finished in `out`, or until a stage has seen so many images."""
    out.mkdir(parents=True, exist_ok=True)
    recipe = load_recipe(out, recipe)
    stage: Stage | None = None
    for name in stage_names(recipe):
        stage = open_stage(out, name, recipe, options, stage)
        if stage.progress.images < stage.planned:
            limit = min(stage.planned, stop_at[1]) if stop_at and stop_at[0] == name else stage.planned
            advance(out, stage, recipe, options, limit)
        if stop_at and stop_at[0] == name:
            return


def stage_names(recipe: Recipe) -> list[str]:
    """The names of the stages in their order."""
    return [AUTOENCODER, *(f"adversarial-{size}" for size in recipe.stage_sizes)]


def load_recipe(out: Path, recipe: Recipe) -> Recipe:
    """The recipe that the run in `out` began with; only the lengths of its stages may have changed since."""
    path = out / "recipe.json"
    if path.exists():
        recipe = replace(
            recipe_of(json.loads(path.read_text())),
            autoencoder_images=recipe.autoencoder_images,
            adversarial_images=recipe.adversarial_images,
        )
    write(path, (json.dumps(asdict(recipe), indent=2) + "\n").encode())
    return recipe


def recipe_of(values: Mapping[str, Any]) -> Recipe:
    """The recipe with these values, lists made tuples."""
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return Recipe(**given)


def open_stage(out: Path, name: str, recipe: Recipe, options: RunOptions, before: Stage | None) -> Stage:
    """A stage as it was left, or as it begins after the one before it."""
    path = checkpoint(out, name)
    stage = new_stage(replace(recipe, growth_steps=0) if path.exists() else recipe, options, before)
    if path.exists():
        state = torch.load(path, weights_only=True)
        stage.load(state["stage"])
        stage.progress = Progress(**state["progress"])
    return stage


def new_stage(recipe: Recipe, options: RunOptions, before: Stage | None) -> Stage:
    """A stage before its first step."""
    if before is None:
        return AutoencoderStage(recipe, compile_networks=options.compile_networks)
    if isinstance(before, AutoencoderStage):
        return first_stage(recipe, before, compile_networks=options.compile_networks)
    assert isinstance(before, AdversarialStage)
    images = to_images(load_pixels(options.drawings, recipe, min(SHARD, recipe.data), 2 * before.size))
    return next_stage(recipe, before, images, compile_networks=options.compile_networks)


def checkpoint(out: Path, name: str) -> Path:
    """Where a stage keeps its latest state."""
    return out / name / "checkpoint.pt"


def advance(out: Path, stage: Stage, recipe: Recipe, options: RunOptions, limit: int) -> None:
    """Train a stage until it has seen `limit` images."""
    (out / stage.name).mkdir(exist_ok=True)
    count = recipe.autoencoder_data if stage.name == AUTOENCODER else recipe.data
    pixels = load_pixels(options.drawings, recipe, count, stage.size)
    evaluator = make_evaluator(recipe, options, stage.size)
    saved = time.monotonic()
    while stage.progress.images < limit:
        before = stage.progress.images
        losses = timed_step(stage, pixels, recipe)
        if stage.progress.step % options.log_every == 0:
            append_record(out / "log.jsonl", stage, losses)
        if stage.progress.images // options.evaluate_every > before // options.evaluate_every:
            evaluate(out, stage, evaluator, options)
            save(out, stage)
            saved = time.monotonic()
        elif time.monotonic() - saved >= options.save_every:
            save(out, stage)
            saved = time.monotonic()
    save(out, stage)


def timed_step(stage: Stage, pixels: Tensor, recipe: Recipe) -> dict[str, float]:
    """One step of a stage, its time added to the stage's."""
    clock, processor = time.monotonic(), time.process_time()
    random = step_random(recipe.seed, stage.progress.step)
    losses = stage.advance(sample_batch(pixels, recipe.batch, random), random)
    stage.progress.seconds += time.monotonic() - clock
    stage.progress.processor_seconds += time.process_time() - processor
    return losses


def make_evaluator(recipe: Recipe, options: RunOptions, size: int) -> Evaluator:
    """The evaluator of generators of this size."""
    held_out = replace(recipe, seed=HELD_OUT_SEED)
    return Evaluator(segmenter_of(recipe, options), load_pixels(options.drawings, held_out, options.held_out, size))


def segmenter_of(recipe: Recipe, options: RunOptions) -> UNetSegmenter:
    """The segmenter in whose features generators are evaluated."""
    packaged = WEIGHTS / f"{SEGMENTERS.get(recipe.subject, recipe.subject)}.safetensors"
    return load_unet(recipe.subject, SUBJECTS[recipe.subject].words, options.segmenter or packaged)


def evaluate(out: Path, stage: Stage, evaluator: Evaluator, options: RunOptions) -> None:
    """Add a point to the curve, and write samples and the averaged generator as it is now."""
    compared = {"images_compared": options.evaluated, "segmenter": evaluator.segmenter.identity}
    append_record(out / "curve.jsonl", stage, evaluator(stage.average, options.evaluated) | compared)
    name = f"{stage.progress.images:07d}"
    sheet(samples(stage.average), columns=8).save(out / stage.name / f"samples_{name}.png")
    about = {"stage": stage.name, "images": stage.progress.images}
    tensors = tensors_of(with_average_w(stage.average))
    write_weights(out / stage.name / f"generator_{name}.safetensors", tensors, about)


@torch.no_grad()
def samples(generator: TrainedGenerator) -> Tensor:
    """(SHOWN, 3, h, w) images, always from the same latents."""
    latents = torch.randn(SHOWN, generator.latent_size, generator=torch.Generator().manual_seed(1))
    return torch.cat([generator(part) for part in torch.split(latents, 8)])


def append_record(path: Path, stage: Stage, values: Mapping[str, Any]) -> None:
    """Add a line about a stage to a file of JSON lines."""
    progress = stage.progress
    known = {
        "stage": stage.name,
        "step": progress.step,
        "images": progress.images,
        "seconds": round(progress.seconds, 1),
        "processor_seconds": round(progress.processor_seconds, 1),
    }
    rounded = {name: round(value, 5) if isinstance(value, float) else value for name, value in values.items()}
    with path.open("a") as file:
        file.write(json.dumps(known | rounded) + "\n")


def save(out: Path, stage: Stage) -> None:
    """Write everything that is needed to go on, whole or not at all."""
    path = checkpoint(out, stage.name)
    unfinished = path.with_suffix(".unfinished")
    torch.save({"stage": stage.state(), "progress": asdict(stage.progress)}, unfinished)
    unfinished.replace(path)


# --- commands -----------------------------------------------------------------------------------------------


def export(out: Path, weights: Path, options: RunOptions, count: int = 1000) -> None:
    """Write the averaged generator of the last stage that has begun in `out`, and its card beside it."""
    recipe = recipe_of(json.loads((out / "recipe.json").read_text()))
    paths = {name: checkpoint(out, name) for name in stage_names(recipe)}
    states = {name: torch.load(path, weights_only=True) for name, path in paths.items() if path.exists()}
    generator = with_average_w(trained_generator(recipe, list(states.values())[-1]["stage"]["average"]))
    family = "Progressive GAN" if recipe.family == PROGRESSIVE else "StyleGAN2"
    size = f"{generator.resolution} x {generator.resolution}"
    card = {
        "what": f"{family} of drawn {recipe.subject}, {size}",
        "subject": recipe.subject,
        "family_of_training": f"drawn {recipe.subject}, {size}",
        "preceded_by": "it began as the decoder of a variational autoencoder of the same drawings, without labels",
        "data": f"drawings 0 to {recipe.data - 1} of seed {recipe.seed} of {SUBJECTS[recipe.subject].paint.__module__}",
        "images": sum(state["progress"]["images"] for state in states.values()),
        "stages": {name: state["progress"] for name, state in states.items()},
        "recipe": asdict(recipe),
        **assess(generator, segmenter_of(recipe, options), count),
    }
    write_weights(weights, tensors_of(generator), card)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train in stages or export."""
    parser = argparse.ArgumentParser(prog="python -m dissectreport.training.staged", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train, or go on with a run")
    for field in fields(Recipe):
        kind = numbers if isinstance(field.default, tuple) else type(field.default)
        training.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    training.add_argument(
        "--evaluate-every", type=int, default=RunOptions.evaluate_every, help="images between two points"
    )
    training.add_argument("--held-out", type=int, default=RunOptions.held_out, help="drawings to compare with")
    training.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    exporting = commands.add_parser("export", help="write weights and card")
    exporting.add_argument("--weights", type=Path, required=True, help="the .safetensors file to write")
    exporting.add_argument("--count", type=int, default=1000, help="images to compare with drawings")
    for command in (training, exporting):
        command.add_argument("--out", type=Path, required=True, help="folder of the run")
        command.add_argument("--drawings", type=Path, help="folder of drawings, filled where they are missing")
        command.add_argument("--segmenter", type=Path, help="weights of the segmenter used for evaluation")
        command.add_argument("--threads", type=int, default=2)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    options = RunOptions(given.drawings or given.out / "drawings", given.segmenter)
    if given.command == "export":
        export(given.out, given.weights, options, given.count)
        return
    options = replace(
        options,
        evaluate_every=given.evaluate_every,
        held_out=given.held_out,
        compile_networks=given.compile,
    )
    train(given.out, Recipe(**{field.name: getattr(given, field.name) for field in fields(Recipe)}), options)


if __name__ == "__main__":
    main()
