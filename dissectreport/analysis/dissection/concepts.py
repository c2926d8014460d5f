"""What the images show: areas of concepts with intervals, and the position-only baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from dissectreport.analysis.common.cutoffs import FEWEST_IMAGES
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Ints, spread, union
from dissectreport.stats.chance import Chance
from dissectreport.stats.iou import intersection_over_union
from dissectreport.vocabulary import Concept, Vocabulary


def concept_table(
    areas: Areas,
    halves: Halves,
    held_out: Halves,
    vocabulary: Vocabulary,
    trained: Mapping[Concept, float],
    twins: Mapping[int, int],
) -> pd.DataFrame:
    """One row per concept that occurs, indexed by concept number; see `dissection.Dissection.concepts`.

    `held_out` are the samples that the rule chooses and scores on: the `halves`, or all of them twice. `trained` is the
    segmenter's held-out IoU by concept; its category is '' where it holds for any. `twins` gives the concept that a
    concept counts as.
    """
    share = areas.share()
    mean = share.mean(0)
    reach = 1.96 * share.std(0, ddof=1) / np.sqrt(len(share)) if len(share) > 1 else np.full(len(mean), np.nan)
    named = [vocabulary[number] for number in areas.concepts]
    images = [images_of(half, areas.concepts) for half in halves]
    return pd.DataFrame(
        {
            "concept": [concept.name for concept in named],
            "category": [concept.category for concept in named],
            "pixels": areas.pixels.sum(0),
            "images": (areas.pixels > 0).sum(0),
            "area": mean,
            "area_low": (mean - reach).clip(0, 1),
            "area_high": (mean + reach).clip(0, 1),
            "position_only": position_only(held_out, areas.concepts),
            "tested": np.minimum(*images) >= FEWEST_IMAGES,
            "counts_as": [vocabulary[twins.get(number, number)].name for number in areas.concepts.tolist()],
            "segmenter_iou": [
                trained.get(concept, trained.get(Concept(concept.name, ""), np.nan)) for concept in named
            ],
        },
        index=areas.concepts,
    )


Half = tuple[Ints, Ints, Ints, int]
"""Concept numbers (c,), images showing each at each pixel (c, pixels), images showing each (c,), and samples."""
Halves = tuple[Half, Half]
"""What was seen on the samples that choose, and on those that score."""


def seen_by_half(shards: Iterable[tuple[int, Chance]]) -> Halves:
    """Where each concept was seen, in the selection and in the held-out half."""
    by_half: list[Half | None] = [None, None]
    for group, chance in shards:
        new: Half = (chance.concepts, chance.where, chance.images, chance.samples)
        old = by_half[group % 2]
        by_half[group % 2] = new if old is None else _together(old, new)
    empty: Half = (np.zeros(0, np.int64), np.zeros((0, 1), np.int64), np.zeros(0, np.int64), 0)
    return by_half[0] or empty, by_half[1] or empty


def unsplit(halves: Halves) -> Halves:
    """All samples as selection and as held-out samples: what a rule without halves does."""
    every = _together(*halves)
    return every, every


def _together(first: Half, second: Half) -> Half:
    concepts = union(first[0], second[0])
    where = spread(first[1], first[0], concepts, 0) + spread(second[1], second[0], concepts, 0)
    images = spread(first[2], first[0], concepts, 0) + spread(second[2], second[0], concepts, 0)
    return concepts, where, images, first[3] + second[3]


def images_of(half: Half, concepts: Ints) -> Ints:
    """(c,) images of the half that show each concept."""
    kept = np.isin(half[0], concepts)
    return spread(half[2][kept], half[0][kept], concepts, 0)


def position_only(halves: Halves, concepts: Ints) -> list[float]:
    """(c,) IoU of the best mask that is the same for every image: chosen on the one, scored on the other."""
    return [_best_mask(*halves, int(number)) for number in concepts]


def _best_mask(selection: Half, held_out: Half, number: int) -> float:
    if number not in selection[0] or number not in held_out[0]:
        return float("nan")
    often = selection[1][np.searchsorted(selection[0], number)]
    there = held_out[1][np.searchsorted(held_out[0], number)]
    order = np.argsort(-often, kind="stable")
    pixels = np.arange(1, len(order) + 1)
    overlap = np.cumsum(often[order])
    best = int(intersection_over_union(overlap, pixels * selection[3], often.sum()).argmax())
    chosen = order[: best + 1]
    return float(intersection_over_union(there[chosen].sum(), len(chosen) * held_out[3], there.sum()))
