"""Photos as latents of a generator, and what is lost, in files that `build`, `edit` and `intervene` take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dissectreport import files
from dissectreport.errors import BadOption, ModelError, UnknownName, check_machine
from dissectreport.pipeline.loading import middle
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.prepare import resolve_machine
from dissectreport.pipeline.reporter import Reporter, usual_reporter
from dissectreport.pipeline.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor

    from dissectreport.models.base import Generator
    from dissectreport.worker.inversion import InvertedPhotos
    from dissectreport.worker.loaded_networks import Models

LARGEST = 64
"""Photos that are inverted at a time, at most."""
SEED = 0
"""Of the samples where latents begin."""
NAMED = 6
"""Concepts whose areas are reported, at most."""


@dataclass(frozen=True)
class ConceptArea:
    """How much of an image shows a concept."""

    concept: str
    photo: float
    """Share of the pixels of the photo,"""
    inverted: float
    """and of the image that the generator makes of it."""


@dataclass(frozen=True)
class InvertedPhoto:
    """How well the generator reproduces a photo."""

    photo: str
    file: str
    """The file with the latent."""
    psnr_latent: float
    """Peak signal-to-noise ratio of the latent's image, in dB,"""
    psnr: float
    """and with the residuals."""
    labels_latent: float
    """Share of the pixels to which the segmenter gives the same concepts, in the latent's image,"""
    labels: float
    """and with the residuals."""
    residuals: dict[str, float]
    """By layer the size of the residual, as a share of the layer's root mean square."""
    areas: tuple[ConceptArea, ...]
    """The concepts of which the areas differ most."""


def invert(
    options: Options, photos: Sequence[Path], out: Path, reporter: Reporter | None = None, layers: Sequence[str] = ()
) -> list[InvertedPhoto]:
    """Find latents for photos, and write for each OUT/NAME.safetensors, .png (photo, latent, residuals) and .json.

    Residuals are added to the outputs of `layers`, by default of two. Raises a BadOption for a photo that cannot be
    opened, and a ModelError for a model that has no latents.
    """
    import torch

    from dissectreport.worker.inversion import InversionSteps, invert
    from dissectreport.worker.loaded_networks import Source

    names = unique_names(photos)
    files.check_writable(out)
    reporter = reporter or usual_reporter()
    device = resolve_machine(options).device
    source = Source(options.model, "", device=device, weights=options.weights)
    generator = drawing(source.models())
    segmenter = options.segmenter or str(generator.facts.get("segmenter", "colour"))
    models = replace(source, segmenter=segmenter).models()
    pixels = torch.stack([opened(photo, generator.image_size) for photo in photos]).to(models.device)
    wrong = [layer for layer in layers if layer not in generator.layers]
    if wrong:
        raise UnknownName.of(f"layer of {options.model}", wrong[0], generator.layers)
    layers = tuple(layers) or residual_layers(generator)
    steps = InversionSteps()

    def progress(every: int, before: int, step: int) -> None:
        reporter.progress(Task.INVERSION, before + step, every, "steps")

    found = invert(models, pixels, layers, steps, SEED, progress)
    return [
        written(out / name, photo, number, models, pixels, found)
        for number, (photo, name) in enumerate(zip(photos, names, strict=True))
    ]


def unique_names(photos: Sequence[Path]) -> list[str]:
    """The names of files for photos; a BadOption if there are none, too many, or two of one name."""
    if not photos:
        raise BadOption("name at least one photo")
    if len(photos) > LARGEST:
        raise BadOption(f"{len(photos)} photos; give at most {LARGEST} at a time")
    names = [photo.stem for photo in photos]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise BadOption(f"two photos are called {twice}; their files would have one name")
    return names


def drawing(models: Models) -> Generator:
    """The generator, which must draw its images from latents."""
    from dissectreport.models.base import ImageModel

    generator = models.generator
    if isinstance(generator, ImageModel):
        raise ModelError(
            f"{generator.name} takes images itself, so a photo needs no latent; build it on a folder of photos"
        )
    return generator


def residual_layers(generator: Generator) -> tuple[str, ...]:
    """The first of the layers that are measured by default, and the middle one."""
    names = generator.default_layers
    return tuple(dict.fromkeys((names[0], middle(names))))


def opened(photo: Path, size: tuple[int, int]) -> Tensor:
    """(3, height, width) a photo in [-1, 1]; a BadOption if it cannot be opened."""
    from dissectreport.models.image_folder import read_image, reason

    try:
        return read_image(photo, size)
    # Decoders raise many kinds of error for a damaged file.
    except Exception as problem:
        check_machine(problem)
        raise BadOption(f"photo {photo} cannot be opened: {reason(problem)}") from problem


def written(
    path: Path, photo: Path, number: int, models: Models, photos: Tensor, found: InvertedPhotos
) -> InvertedPhoto:
    """Write the files of one photo."""
    import numpy as np
    import torch

    from dissectreport.models.inverted import Inverted
    from dissectreport.report.html.images import png, side_by_side
    from dissectreport.worker.inversion import label_agreement, signal_to_noise
    from dissectreport.worker.pictures import as_bytes

    one = slice(number, number + 1)
    before, after, target = found.from_latents[one], found.images[one], photos[one]
    latents = path.with_name(f"{path.name}.safetensors")
    residuals = {layer: value[one] for layer, value in found.residuals.items()}
    generator = models.generator
    pixels = torch.from_numpy(as_bytes(target)[0])
    Inverted(generator.name, generator.identity, found.latents[one], residuals, pixels).write(latents)
    result = InvertedPhoto(
        photo=photo.name,
        file=latents.name,
        psnr_latent=round(float(signal_to_noise(before, target)), 2),
        psnr=round(float(signal_to_noise(after, target)), 2),
        labels_latent=round(float(label_agreement(models, before, target)), 4),
        labels=round(float(label_agreement(models, after, target)), 4),
        residuals={layer: round(float(shares[number]), 4) for layer, shares in found.shares.items()},
        areas=changed_areas(models, after, target),
    )
    shown = np.concatenate([as_bytes(image) for image in (target, before, after)])
    files.write(path.with_name(f"{path.name}.png"), png(side_by_side(shown)))
    files.write(path.with_name(f"{path.name}.json"), (json.dumps(asdict(result), indent=1) + "\n").encode())
    return result


def changed_areas(models: Models, images: Tensor, photos: Tensor) -> tuple[ConceptArea, ...]:
    """The concepts whose areas differ most between an image and a photo."""
    from dissectreport.worker.edited_model import pixels_by_image

    names = models.segmenter.vocabulary.names
    labels = [models.labels(image) for image in (photos, images)]
    photo, inverted = ((pixels_by_image(one, len(names))[0] / one[0, 0].numel()).tolist() for one in labels)
    order = sorted(range(1, len(names)), key=lambda number: -abs(photo[number] - inverted[number]))
    changed = [number for number in order if photo[number] or inverted[number]][:NAMED]
    return tuple(ConceptArea(names[c], round(photo[c], 4), round(inverted[c], 4)) for c in changed)
