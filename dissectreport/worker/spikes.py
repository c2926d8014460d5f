"""Planted units of a shard: made of its masks, and counted like units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dissectreport.stats.spikes import SHARES, Spikes
from dissectreport.worker.concept_masks import Masks
from dissectreport.worker.whole_counts import occurrences, precise, whole

SEED = 1927
"""Of the images in which planted units have their concept's own mask; the first sample's number is added."""


def spikes(masks: Masks, first: int) -> Spikes:
    """The counts of planted units on the masks of a shard whose first sample has this number.

    They are counted on the processor: an accelerator would wait for it at every concept.
    """
    masks = replace(masks, label_sets=masks.label_sets.cpu(), holds=masks.holds.cpu())
    random = np.random.RandomState(SEED + first)
    concepts, images = len(masks.concepts), masks.images
    own = random.random_sample((concepts, len(SHARES), images)) < np.array(SHARES)[:, None]
    others = random.randint(1, images, concepts).tolist() if images > 1 else [0] * concepts
    shown = precise(torch.from_numpy(masks.by_pixel))
    keys = masks.label_sets.long() + torch.arange(images)[:, None] * masks.sets
    holds, by_set = precise(masks.holds), _by_set(masks, keys.flatten())
    observed, crossed, on = [], [], []
    for concept in range(concepts):
        mask = masks.holds[concept].bool()[masks.label_sets.long()]
        # A row of each share is a sum of rows of images: one that shows its own mask, or another image's.
        maps = torch.cat([mask, mask.roll(others[concept], 0)])
        copied = torch.from_numpy(np.concatenate([own[concept], ~own[concept]], 1))
        by_sets = torch.cat([by_set * masks.holds[concept], _by_set(masks, keys[maps[images:]])])
        overlaps = precise(by_sets) @ holds.T
        observed.append(whole(precise(copied) @ overlaps))
        # Pixels of both concepts in all pairs of different images: those of a planted unit would hold the very image
        # that it copies, and its chance level would be too high.
        pairs = whole(shown[concept] @ shown.T - overlaps[:images].sum(0))
        crossed.append(observed[-1] + pairs)
        on.append(whole(precise(copied) @ precise(maps.sum(1))))
    shape = (1, concepts, len(SHARES), concepts)
    per_image = masks.by_image
    return Spikes(
        concepts=masks.concepts,
        sizes=np.array([images]),
        observed=np.array(observed, np.int64).reshape(shape),
        crossed=np.array(crossed, np.int64).reshape(shape),
        on=np.array(on, np.int64).reshape(concepts, len(SHARES)),
        present=per_image.sum(0),
        images=(per_image > 0).sum(0),
        samples=images,
    )


def _by_set(masks: Masks, on: Tensor) -> Tensor:
    """(n, label sets) pixels of each image with each label set, among some pixels, given as their image times the label
    sets plus their label set."""
    return occurrences(on, masks.images * masks.sets).reshape(masks.images, masks.sets)
