"""The pass that makes the pictures of interventions, on a worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dissectreport.networks.edits import Edit, Prefix
from dissectreport.records.interventions import EditedPictures, Units, UnitStrips
from dissectreport.run.plan import InterventionKey
from dissectreport.worker.edited_model import EditedModel, image_pair, open_held_out
from dissectreport.worker.gradients import gradients
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.pictures import as_bytes, segmented

STRIP_SIDE = 96
"""Longest side, in pixels, of an image in a strip: those of 512 units then take about 100 MB before compression."""


@dataclass(frozen=True)
class ConceptExample:
    """What is shown of one concept, or of one unit."""

    name: str
    units: Units
    samples: tuple[int, ...]
    """Held-out latents to show with the units ablated."""
    concept: int = 0
    """The concept whose heat map is drawn; 0 for none."""
    values: tuple[float, ...] = ()
    """Activations to which the units are set when they are inserted."""
    inserted: tuple[tuple[int, int], ...] = ()
    """(sample, patch) at which they are."""
    random: Units = ()
    """A random set of units, ablated in the same images; () for none."""
    mapped: int = -1
    """The unit whose activations in these images are kept; -1 for none."""


def make_concept_examples(source: Source, key: InterventionKey) -> Callable[[ConceptExample], EditedPictures]:
    """The pass that makes the pictures of a concept or a unit."""
    model = EditedModel(source.models(), key)

    def work(example: ConceptExample) -> EditedPictures:
        at = open_held_out(model, key, example.samples)
        before, after = image_pair(model, at, Edit(example.units)(at.activations))
        ablated = segmented(model.networks, after)
        control = image_pair(model, at, Edit(example.random)(at.activations))[1] if example.random else before[:0]
        inserted = insertion_pair(model, key, example) if example.inserted else [as_bytes(before[:0])] * 2
        return EditedPictures(
            units=example.units,
            samples=np.array(example.samples, np.int64),
            before=as_bytes(before),
            after=ablated.images,
            labels_before=model.labels(before).cpu().numpy().astype(np.int16),
            labels_after=ablated.labels,
            confidence_after=ablated.confidence,
            heat=heat_map(model, at, example) if example.concept else np.zeros((0, 0, 0), np.float32),
            inserted=np.array(example.inserted, np.int64).reshape(-1, 2),
            inserted_before=inserted[0],
            inserted_after=inserted[1],
            random_units=example.random,
            random_after=as_bytes(control),
            mapped_unit=example.mapped,
            activations=unit_maps(at, example.mapped),
        )

    return work


def unit_maps(at: Prefix, unit: int) -> NDArray[np.float32]:
    """(n, h, w) activations of a unit; (0, 0, 0) for unit -1."""
    if unit < 0:
        return np.zeros((0, 0, 0), np.float32)
    return at.on_image(at.activations[:, [unit]])[:, 0].float().cpu().numpy()


def insertion_pair(model: EditedModel, key: InterventionKey, example: ConceptExample) -> list[NDArray[np.uint8]]:
    """(m, height, width, 3) images without and with the units inserted at each patch."""
    at = open_held_out(model, key, [sample for sample, _ in example.inserted])
    patches = torch.tensor([patch for _, patch in example.inserted], device=at.activations.device)
    where = at.inside(patches)
    changed = Edit(example.units, torch.tensor(example.values), where)(at.activations)
    return [as_bytes(images) for images in image_pair(model, at, changed)]


def heat_map(model: EditedModel, at: Prefix, example: ConceptExample) -> NDArray[np.float32]:
    """(n, h, w) pixels of the concept gained by inserting the units in each cell, by gradient × activation."""
    ((_, gradient),) = gradients(model, at, at.activations, [example.concept])
    chosen = list(example.units)
    values = torch.tensor(example.values, device=gradient.device).view(1, -1, 1, 1)
    gained = ((values - at.activations[:, chosen]) * gradient[:, chosen]).sum(1, keepdim=True)
    return at.on_image(gained)[:, 0].float().cpu().numpy()


@dataclass(frozen=True)
class StripGroup:
    """Units that are ablated one by one in the same images."""

    name: str
    concept: int
    """The number of the concept whose area is counted."""
    units: Units
    samples: tuple[int, ...]
    """Held-out latents."""


def make_unit_strips(source: Source, key: InterventionKey) -> Callable[[StripGroup], UnitStrips]:
    """The pass that ablates each unit of a group alone. A unit and image costs one run of the network's rest."""
    model = EditedModel(source.models(), key)

    def work(group: StripGroup) -> UnitStrips:
        at = open_held_out(model, key, group.samples)
        with torch.no_grad():
            before = model.images(at, at.activations)
        pixels, pictures = [], []
        for images in model.variants(at, [Edit((unit,)) for unit in group.units]):
            pixels.append(model.pixels(images)[:, group.concept])
            pictures.append(small(images))
        shape = len(group.units), len(group.samples)
        return UnitStrips(
            concept=group.concept,
            units=group.units,
            samples=np.array(group.samples, np.int64),
            pixels_before=model.pixels(before)[:, group.concept],
            pixels_after=np.concatenate(pixels).reshape(shape),
            before=small(before),
            after=(after := np.concatenate(pictures)).reshape(*shape, *after.shape[1:]),
        )

    return work


def small(images: Tensor) -> NDArray[np.uint8]:
    """(n, height, width, 3) images whose longest side is at most that of a strip."""
    scale = STRIP_SIDE / max(images.shape[2:])
    if scale >= 1:
        return as_bytes(images)
    size = [max(1, round(scale * length)) for length in images.shape[2:]]
    return as_bytes(functional.interpolate(images, size, mode="area"))
