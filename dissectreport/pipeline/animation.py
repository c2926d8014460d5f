"""An animation of a measured model: images in which the causal units of a concept are ablated, one by one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dissectreport import files
from dissectreport.analysis.results.dissection import Dissection
from dissectreport.analysis.results.interventions import Interventions
from dissectreport.errors import BadOption, UnknownName
from dissectreport.pipeline.options import NetworkOptions
from dissectreport.report.causes.galleries import areas_lost
from dissectreport.report.causes.image_files import concept_number_of
from dissectreport.report.causes.summary import studied

Pixels = NDArray[np.uint8]
LONGEST, SHORT, LONG = 200, 260, 1800
"""Most units, and how long a frame stands: those in between, and the first and last, in milliseconds."""
HEIGHT, GAP, LINE = 256, 6, 44
"""Pixels: of an image, between images, and of the line of words below them."""
PAPER, INK, BAR = (252, 251, 248), (28, 28, 30), (169, 74, 34)
FORMATS = {".webp": "WEBP", ".gif": "GIF"}


@dataclass(frozen=True)
class AnimationPlan:
    """What an animation shows."""

    concept: str
    layer: str
    units: tuple[int, ...]
    """The units that are ablated, in this order."""
    samples: tuple[int, ...]
    """The images, by their numbers in the series of the seed."""
    seed: int


def animation_plan(dissection: Dissection, concept: str = "", units: int = 20, images: int = 3) -> AnimationPlan:
    """The first units of the preselected ranking of a concept, and the images that lose most of it with all units off.

    Without a concept it is that of which most is removed.
    """
    if not 1 <= units <= LONGEST or not 1 <= images <= 6:
        raise BadOption(
            f"an animation has 1 to {LONGEST} --units and 1 to 6 images (--shown), not {units} and {images}"
        )
    interventions = dissection.interventions
    if interventions is None or not interventions.pictures:
        raise BadOption(f"causal effects of {dissection.title} were not measured: build it without --no-interventions")
    shown = [one for one in studied(interventions) if one.concept.name in interventions.pictures]
    leads = {one.concept.name: one.leading.removed.value if one.leading else -1.0 for one in shown}
    name = concept or max(leads, key=lambda one: leads[one])
    if name not in leads:
        raise UnknownName.of("studied concept", name, leads)
    best = next(one.best for one in shown if one.concept.name == name)
    table = interventions.rankings
    ranked = table[(table["concept"] == name) & (table["ranking"] == best)].sort_values("rank")["unit"]
    return AnimationPlan(
        concept=name,
        layer=interventions.layer,
        units=tuple(int(unit) for unit in ranked[:units]),
        samples=_most_changed(dissection, interventions, name, images),
        seed=int(interventions.settings["held_out_seed"]),
    )


def _most_changed(dissection: Dissection, interventions: Interventions, concept: str, images: int) -> tuple[int, ...]:
    """The stored images that lose most of a concept, in the order of their numbers."""
    ablated, number = interventions.pictures[concept].ablated, concept_number_of(dissection, concept)
    lost = areas_lost(ablated, number)
    order = sorted(range(len(lost)), key=lambda i: (-lost[i], i))[:images]
    return tuple(sorted(int(ablated.samples[i]) for i in order))


def frames_of(options: NetworkOptions, plan: AnimationPlan) -> list[Pixels]:
    """One picture (height, width, 3) for every number of ablated units, from none to all: the images side by side."""
    import torch

    from dissectreport.models.edits import Edits
    from dissectreport.models.strokes import everywhere, painted
    from dissectreport.worker.loaded_networks import Source
    from dissectreport.worker.pictures import as_bytes

    models = Source(options.model, "", weights=options.weights).models()
    facts = models.generator.name, models.generator.identity, plan.layer
    frames = []
    with torch.no_grad():
        for count in range(len(plan.units) + 1):
            edits = everywhere(Edits(*facts, plan.units[:count], (0.0,) * count))
            with painted(models.generator, edits):
                images = [
                    np.asarray(as_bytes(models.images(models.latents(plan.seed, sample, 1), sample))[0])
                    for sample in plan.samples
                ]
            frames.append(_frame(images, plan, count))
    return frames


def _frame(images: Sequence[Pixels], plan: AnimationPlan, count: int) -> Pixels:
    """The images in a row, and below them how many units are off, in words and as a bar."""
    scaled = [_scaled(pixels) for pixels in images]
    width = sum(image.width for image in scaled) + GAP * (len(scaled) - 1)
    picture = Image.new("RGB", (width, HEIGHT + LINE), PAPER)
    left = 0
    for image in scaled:
        picture.paste(image, (left, 0))
        left += image.width + GAP
    drawn = ImageDraw.Draw(picture)
    words = f"{plan.concept}: {count} of {len(plan.units)} units of {plan.layer} switched off"
    drawn.text((2, HEIGHT + 9), words, fill=INK, font=ImageFont.load_default(17))
    drawn.rectangle((0, HEIGHT + LINE - 7, width * count // len(plan.units), HEIGHT + LINE - 3), fill=BAR)
    return np.asarray(picture)


def _scaled(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels)
    return image.resize((round(image.width * HEIGHT / image.height), HEIGHT), Image.Resampling.BICUBIC)


def moving_picture(frames: Sequence[Pixels], form: str = "WEBP") -> bytes:
    """An animated WebP or GIF that runs forever; the first and the last frame stand longer."""
    pictures = [Image.fromarray(frame) for frame in frames]
    durations = [LONG, *([SHORT] * (len(pictures) - 2)), LONG][: len(pictures)]
    out = io.BytesIO()
    pictures[0].save(
        out, form, save_all=True, append_images=pictures[1:], duration=durations, loop=0, quality=80, method=4
    )
    return out.getvalue()


def animate(options: NetworkOptions, plan: AnimationPlan, out: Path) -> int:
    """Write the moving picture, as WebP or GIF by the name of the file; gives the number of its frames."""
    form = FORMATS.get(out.suffix.lower())
    if form is None:
        raise BadOption(f"--out is a .webp or a .gif file, not {out}")
    files.check_writable(out.parent)
    frames = frames_of(options, plan)
    files.write(out, moving_picture(frames, form))
    return len(frames)
