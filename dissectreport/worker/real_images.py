"""The passes over real images: their segmentation for display, and the areas of their concepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from dissectreport.records.dissection import SegmentedImages
from dissectreport.run.plan import Plan
from dissectreport.run.shards import Shard
from dissectreport.stats.areas import Areas
from dissectreport.worker import concept_masks
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.pictures import segmented


def make_segmented_images(source: Source, count: int) -> Callable[[Shard], SegmentedImages]:
    """The pass that segments real images of the reference or of the generator; none if there are none."""
    models = source.models()

    def work(_shard: Shard) -> SegmentedImages:
        images = models.first_real_images(count)
        return SegmentedImages.none() if images is None else segmented(models, images.to(models.device))

    return work


def make_real_areas(source: Source, plan: Plan, of: int) -> Callable[[Shard], dict[str, Areas]]:
    """The pass that counts, in each of `of` real images, the pixels of every concept, as in generated ones."""
    models = source.models()

    def work(shard: Shard) -> dict[str, Areas]:
        numbers, images = models.real(shard, of)
        samples = np.array(numbers, np.int64)
        if not numbers:
            return {"areas": Areas(samples, samples, np.zeros((0, 0), np.int64), plan.grid**2)}
        with torch.no_grad():
            labels = torch.cat([models.labels(part.to(models.device)) for part in torch.split(images, plan.batch)])
        masks = concept_masks.Masks.of(concept_masks.on_grid(labels, plan.grid), len(models.segmenter.vocabulary))
        return {"areas": replace(concept_masks.areas(masks, shard.first), samples=samples)}

    return work
