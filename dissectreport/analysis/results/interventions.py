"""The effects of ablating and inserting units: the tables and pictures for reports and notebooks.

Everything here is numpy and pandas; nothing refers to a network. Columns are documented in `COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.run.rankings import Ranking

RANKING_METHODS: Mapping[str, str] = {
    Ranking.GRADIENT: "first-order estimate of the effect of ablating the unit: activation times gradient of the "
    "concept's area",
    Ranking.LEARNED_MASK: "weights of the continuous mask of Bau et al. (2019), learned by gradient descent",
    Ranking.GREEDY: "one unit at a time, always the one that removes most in addition to those already ablated",
    Ranking.IOU: "chance-corrected IoU of the unit with the concept, as in the dissection",
}
"""How units are ranked for a concept, best known method first."""

COLUMNS: Mapping[str, str] = {
    "best_ranking": "ranking method whose first 20 units (or all, if there are fewer) remove most on the "
    "selection latents",
    "mask_loss_start": "loss of the learned mask on held-out images before learning, when it follows the IoU: mean "
    "probability of the concept where it is ablated, minus that where it is inserted; empty without a learned mask",
    "mask_loss_end": "the same after learning; where it is higher, the mask is left out",
    "units": "number of units ablated together; in the table of agreement, number of units ablated one by one",
    "ranking": "ranking method: gradient (gradient × activation), learned_mask, greedy or IoU; "
    "'random' for the control",
    "estimate": "first-order estimate of measured_effect, on the selection latents",
    "rank": "rank of the unit, 1 is the first: by estimate in the table of effects, by the ranking method in that of "
    "rankings",
    "measured_effect": "share of the concept's area removed by ablating only this unit, on held-out latents; "
    "empty if not measured",
    "measured_effect_low": "lower end of the 95% interval of measured_effect",
    "measured_effect_high": "upper end of the 95% interval of measured_effect",
    "context_p": "p-value, by permutation, of the largest difference in gain between two contexts, if gains did not "
    "depend on the context; empty with fewer than two contexts",
    "images": "number of held-out images; in the table of concepts, of those that show the concept",
    "spearman": "rank correlation of estimate and measured effect over units that were drawn at random from all and "
    "ablated one by one",
    "spearman_low": "lower end of its 95% interval",
    "spearman_high": "upper end of its 95% interval",
    "noise_ceiling": "an estimate of the largest rank correlation that can be reached: the square root of the "
    "reliability of measured_effect, which is the rank correlation between two halves of the "
    "held-out latents, extrapolated to all of them",
    "noise_ceiling_low": "lower end of the 95% interval of noise_ceiling over units",
    "noise_ceiling_high": "upper end of the 95% interval of noise_ceiling over units",
    "weight": "learned weight of the unit, between 0 and 1; empty for rankings that learn none",
    "removed": "share of the concept's area removed by ablating the units together; negative if it grows",
    "removed_low": "lower end of the 95% interval of removed over latents; of 'random', the smallest of the "
    "random sets",
    "removed_high": "upper end of the 95% interval of removed over latents; of 'random', the largest of the "
    "random sets",
    "random": "mean of removed over random sets of the same size, on random_images of the held-out images",
    "random_low": "smallest of the random sets",
    "random_high": "largest of the random sets",
    "difference": "removed minus the mean of the random sets, both on the images of the random sets",
    "difference_low": "lower end of the 95% prediction interval of difference: it includes 0 if one more random set "
    "could remove as much",
    "difference_high": "upper end of the 95% prediction interval of difference",
    "random_images": "number of held-out images, all of which show the concept, on which random sets are ablated",
    "random_activation": "mean activation of the units of the random sets, divided by that of the units they are "
    "compared with",
    "random_rank_distance": "mean difference in rank by mean activation between the units of the random sets and those "
    "they are compared with, as a share of the units of the layer",
    "other_concept": "another concept of the vocabulary",
    "before": "area of the concept, as a share of all pixels, before the ablation",
    "after": "the same after the ablation",
    "change": "(after - before) / before",
    "change_low": "lower end of the 95% interval of change",
    "change_high": "upper end of the 95% interval of change",
    "context_concept": "context: the concept at the centre of the patch before the insertion; empty for none",
    "insertions": "number of insertions, each in another image or at another patch",
    "gain": "pixels of the concept gained per insertion, over the whole image",
    "gain_low": "lower end of the 95% interval of gain",
    "gain_high": "upper end of the 95% interval of gain",
    "random_insertions": "number of insertions of random units for this concept, at some of the same patches",
    "random_gain": "the same for random units at the same patches",
    "random_gain_low": "lower end of its 95% interval",
    "random_gain_high": "upper end of its 95% interval",
    "removed_zero": "share of the concept's area removed by setting the units of the best ranking to zero, on images",
    "removed_mean": "the same by setting each unit to its mean activation",
    "removed_resampled": "the same by setting each unit to its activations in another image",
    **{
        f"removed_{mode}_{end}": f"{words} end of the 95% interval of removed_{mode}"
        for mode in ("zero", "mean", "resampled")
        for end, words in (("low", "lower"), ("high", "upper"))
    },
    "ace": "average causal effect (Bau et al. 2019), with every cell as the place of the edit: area of the concept "
    "with the units set to their mean activation where the concept is, minus that with the units set to zero, divided "
    "by the area without edit",
    "ace_low": "lower end of the 95% interval of ace",
    "ace_high": "upper end of the 95% interval of ace",
    "ace_label_low": "smallest average causal effect on the concept itself that the segmenter's error allows, without "
    "sampling error; empty where that error is not known",
    "ace_label_high": "largest average causal effect on the concept itself that the segmenter's error allows",
    "ace_total_low": "lower end of the 95% interval of the effect on the concept itself, with both errors",
    "ace_total_high": "upper end of that interval",
    "confidence_lost_before": "mean confidence of the segmenter, without edit, in the pixels that lose the concept "
    "when the units are set to zero",
    "confidence_lost_after": "the same with the units set to zero",
    "confidence_before": "mean confidence of the segmenter over all pixels without edit",
    "confidence_after": "the same with the units set to zero",
    "segmenter_fails": "whether confidence_lost falls by more than 0.1, and by more than the confidence over all "
    "pixels: then the segmenter may fail instead of the concept disappearing",
}
"""What every column of every table of interventions means, where `dissection.COLUMNS` does not say."""


@dataclass(frozen=True)
class Ablated:
    """The same latents with and without some units."""

    units: tuple[int, ...]
    samples: NDArray[np.int64]
    """(k,) numbers of the held-out latents."""
    before: NDArray[np.uint8]
    """(k, height, width, 3)"""
    after: NDArray[np.uint8]
    """(k, height, width, 3)"""
    labels_before: NDArray[np.int16]
    """(k, slots, h, w) concept numbers."""
    labels_after: NDArray[np.int16]
    """(k, slots, h, w)"""
    confidence_after: NDArray[np.float16]
    """(k, h, w) the segmenter's confidence without the units."""


@dataclass(frozen=True)
class Inserted:
    """The same latents with and without some units inserted at one patch."""

    units: tuple[int, ...]
    samples: NDArray[np.int64]
    """(k,) numbers of the held-out latents."""
    patches: NDArray[np.float32]
    """(k, 4) top, left, height and width of the patch, as shares of the image."""
    contexts: tuple[str, ...]
    """(k) the concept that stood at the middle of the patch; '' for nothing."""
    gains: NDArray[np.int64]
    """(k,) pixels of the concept gained over the whole image."""
    before: NDArray[np.uint8]
    """(k, height, width, 3)"""
    after: NDArray[np.uint8]
    """(k, height, width, 3)"""


@dataclass(frozen=True)
class Heat:
    """Where inserting units would add the concept, by a first-order estimate."""

    samples: NDArray[np.int64]
    """(k,) numbers of the held-out latents; their images are those of `Ablated.before`."""
    maps: NDArray[np.float32]
    """(k, h, w) pixels of the concept gained by switching the units on in that cell; negative where it loses."""


@dataclass(frozen=True)
class RandomControl:
    """The images of `Ablated` with random units ablated instead, and where one of the concept's units is active."""

    units: tuple[int, ...]
    """The random units; () for none."""
    after: NDArray[np.uint8]
    """(k, height, width, 3); (0, height, width, 3) for none."""
    unit: int
    """The unit of the causal set that matches the concept best; -1 for none."""
    activations: NDArray[np.float32]
    """(k, h, w) its activations without edit; (0, 0, 0) for none."""


@dataclass(frozen=True)
class UnitStrip:
    """Small images of some held-out latents with one unit ablated alone."""

    concept: str
    """The concept that the unit changes most, by the estimate; all images show it."""
    samples: NDArray[np.int64]
    """(k,) numbers of the held-out latents."""
    before: NDArray[np.uint8]
    """(k, height, width, 3)"""
    after: NDArray[np.uint8]
    """(k, height, width, 3)"""
    pixels_before: NDArray[np.int64]
    """(k,) pixels of the concept."""
    pixels_after: NDArray[np.int64]
    """(k,)"""


@dataclass(frozen=True)
class ConceptPictures:
    """What is shown of one concept."""

    ablated: Ablated
    inserted: Inserted
    heat: Heat
    control: RandomControl


@dataclass(frozen=True)
class Interventions:
    """Causal effects of the units of one layer. Units are ranked on selection latents, areas are of held-out ones."""

    layer: str
    samples: int
    """Held-out latents behind every area."""
    selection: int
    """Selection latents on which units were ranked."""
    random_sets: int
    """Random sets of each size for each concept."""
    random_images: int
    """Held-out latents on which random sets are ablated, for each concept."""
    block: float
    """Pixels of the image under one patch."""
    settings: Mapping[str, Any]
    """Everything else that was chosen, for the methods page; plain JSON values."""
    concepts: pd.DataFrame
    """One row per concept, commonest first: concept, category, area (share of all pixels), images (that hold it),
    best_ranking (the ranking whose 20 leading units remove most on selection latents), context_p, and with a
    learned mask mask_loss_start, mask_loss_end."""
    effects: pd.DataFrame
    """One row per (concept, unit), by concept and rank: concept, unit, rank, estimate, corrected_iou (
    selection half), measured_effect*."""
    agreement: pd.DataFrame
    """One row per concept: concept, units (drawn at random), images, spearman*, noise_ceiling*."""
    rankings: pd.DataFrame
    """One row per (concept, ranking, rank): concept, ranking, rank, unit, weight."""
    curves: pd.DataFrame
    """One row per (concept, ranking, units): concept, ranking, units, removed, removed_low, removed_high. It starts
    with 0
    units; 'random' is among the rankings, its ends the least and the most of the sets."""
    removal: pd.DataFrame
    """One row per (concept, ranking, units) for 10 and 20 units: concept, ranking, units, removed*, random*,
    difference*, random_images, random_activation, random_rank_distance."""
    side_effects: pd.DataFrame
    """What else changes when the best ranking's 20 units are ablated: concept, ranking, units, other_concept, category,
    before, after, change*; one row for every concept of the vocabulary that occurs."""
    alone: pd.DataFrame
    """One row per unit of `strips`: unit, concept, images, measured_effect* of ablating it alone on these images."""
    context: pd.DataFrame
    """One row per (concept, context_concept) with at least 30 insertions, each in another image: concept,
    context_concept, insertions, gain*, random_insertions, random_gain*."""
    variants: pd.DataFrame
    """One row per concept: concept, units (of the best ranking), images, removed_zero*, removed_mean*,
    removed_resampled*, ace*, confidence_lost_before, confidence_lost_after, confidence_before, confidence_after,
    segmenter_fails; ace_label* and ace_total* where the error of labels is known; none where it was not measured."""
    unit_pictures: Mapping[int, Ablated]
    """Units that were ablated one by one, on images where they matter."""
    strips: Mapping[int, UnitStrip]
    """Every unit of the layer, ablated alone on a few small images; none where that was not measured."""
    pictures: Mapping[str, ConceptPictures]
    """By concept."""
    notes: tuple[str, ...]
    """Sentences that the pages must show, e.g. that a concept occurs in few images."""
