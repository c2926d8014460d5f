"""Planted units of a shard: made of its masks, and counted like units."""

from __future__ import annotations

import numpy as np
import torch

from dissectreport.stats.spikes import SHARES, Spikes
from dissectreport.worker.counting import Masks, precise, whole

SEED = 1927
"""Of the images in which planted units have their concept's own mask; the first sample's number is added."""


def spikes(masks: Masks, first: int) -> Spikes:
    """The counts of planted units on the masks of a shard whose first sample has this number."""
    random = np.random.RandomState(SEED + first)
    concepts, images = len(masks.concepts), masks.images
    own = random.random_sample((concepts, len(SHARES), images)) < np.array(SHARES)[:, None]
    other = int(random.randint(1, images)) if images > 1 else 0
    shown = precise(torch.from_numpy(masks.by_pixel).to(masks.label_sets.device))
    observed, crossed, on = [], [], []
    for concept in range(concepts):
        mask = masks.holds[concept].bool()[masks.label_sets.long()]
        elsewhere = mask.roll(other, 0)
        copies = torch.from_numpy(own[concept]).to(mask.device)
        units = [torch.where(copy[:, None], mask, elsewhere) for copy in copies]
        by_set = torch.stack([torch.bincount(masks.label_sets[unit], minlength=masks.sets) for unit in units], 1)
        observed.append(whole(precise(masks.holds) @ precise(by_set)).T)
        crossed.append(whole(shown @ precise(torch.stack([unit.sum(0) for unit in units], 1))).T)
        on.append([int(unit.sum()) for unit in units])
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
