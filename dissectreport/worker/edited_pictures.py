"""The pass that makes the pictures of interventions, on a worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dissectreport.networks.edits import Edit, Prefix
from dissectreport.records.interventions import EditedPictures, Units
from dissectreport.run.plan import InterventionKey
from dissectreport.worker.edited_model import EditedModel, image_pair, open_held_out
from dissectreport.worker.gradients import gradients
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.pictures import as_bytes, segmented


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


def make_concept_examples(source: Source, key: InterventionKey) -> Callable[[ConceptExample], EditedPictures]:
    """The pass that makes the pictures of a concept or a unit."""
    model = EditedModel(source.models(), key)

    def work(example: ConceptExample) -> EditedPictures:
        at = open_held_out(model, key, example.samples)
        before, after = image_pair(model, at, Edit(example.units)(at.activations))
        ablated = segmented(model.networks, after)
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
        )

    return work


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
