"""Artifact units and repair: the tables and pictures that a report draws and a notebook explores.

Everything here is numpy and pandas; nothing refers to a network. Columns are documented in `COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class EditedSet(StrEnum):
    """A set of images in the tables, by what was ablated."""

    REAL = "real"
    """Real images, against other real images."""
    BEFORE = "before"
    """Generated images without any edit."""
    WORST = "worst"
    """Without the highest-ranked units."""
    RANDOM = "random"
    """Without as many random units as in `WORST`."""
    GAINED = "gained"
    """The images that gain most."""
    MARKED = "marked"
    """Without the units that a person marked."""
    RANDOM_MARKED = "random_marked"
    """Without as many random units as in `MARKED`."""


class Role(StrEnum):
    """Why a unit was ablated alone."""

    LEADING = "leading"
    CONTROL = "control"
    BOTTOM = "bottom"
    MARKED = "marked"


class QualityMeasure(StrEnum):
    """A measure of image quality."""

    KERNEL_DISTANCE = "kernel_distance"
    FRECHET_DISTANCE = "frechet_distance"
    PRECISION = "precision"
    RECALL = "recall"
    DENSITY = "density"
    COVERAGE = "coverage"


DISTANCES = (QualityMeasure.KERNEL_DISTANCE, QualityMeasure.FRECHET_DISTANCE)
"""The measures of which less is better."""

RULE = (
    "Candidates are the units with the largest and the smallest estimates. The best of them are tested on further "
    "images. A candidate is an artifact unit, in the features in which images are compared, if ablating it alone there "
    "lowers KID significantly (q below 0.05 after Benjamini-Hochberg over all candidates that affect any image, of "
    "which those that were not tested further count as not significant), by at least 1%, and by significantly more "
    "than ablating a control unit does on average (interval of the difference above 0)."
)
CHOICE = (
    "The repair ablates the smallest number of units that lowers KID significantly and to within one standard error of "
    "the best number tried. If no number does, no repair is recommended. The images used for this choice are used for "
    "nothing else. Units are ranked by their effect when ablated alone, those that were tested further first; the "
    "effect of a single unit need not be significant."
)

MARKED = "The units that a person marked as artifacts."
"""How marked units were chosen, for the file of edits."""

COLUMNS: Mapping[str, str] = {
    "role": "why the unit was ablated alone: leading (estimate above 0), bottom (smallest estimates, which may "
    "be wrong), "
    "control (similar mean activation), marked by hand; empty if it was not",
    "rank": "rank of the unit by estimate, 1 is the largest",
    "estimate": "first-order estimate of measured_effect, on the selection latents",
    "tested_images": "number of test latents behind measured_effect; only further ones for the best candidates, the "
    "control and the "
    "marked units",
    "measured_effect": "decrease of KID by ablating only this unit, on the same test latents with and without it; "
    "empty if not tested",
    "measured_effect_low": "lower end of the 95% interval of measured_effect",
    "measured_effect_high": "upper end of the 95% interval of measured_effect",
    "share": "measured_effect divided by the KID without edit, on the images used to choose the size of the repair",
    "p": "one-sided p-value of measured_effect > 0",
    "q": "p after Benjamini-Hochberg over the candidates (leading and bottom) that affect any image, with p = 1 for "
    "those that were not tested further; 1 for candidates that affect none, empty for others",
    "difference": "measured_effect minus the mean measured_effect of the control units",
    "difference_low": "lower end of the 95% interval of difference",
    "difference_high": "upper end of the 95% interval of difference",
    "second_effect": "decrease of KID in the second feature network by ablating only this unit, on latents and real "
    "images that were not used for any choice; empty for units that are not artifact units",
    "second_effect_low": "lower end of the 95% interval of second_effect",
    "second_effect_high": "upper end of the 95% interval of second_effect",
    "second_share": "second_effect divided by the KID without edit in the same features",
    "second_q": "one-sided p-value of second_effect > 0, after Benjamini-Hochberg over the artifact units",
    "confirmed": "whether second_q is below 0.05",
    "artifact": "whether the unit is an artifact unit by the rule",
    "effect_rank": "rank among the tested units: candidates tested further, then the others, by decreasing "
    "measured_effect; empty if not tested",
    "repair_rank": "rank among the candidates that lower KID when ablated alone: a repair of k units ablates "
    "the first k; "
    "empty for others",
    "mean_activation": "mean absolute activation of the unit, on the selection latents",
    "images_on": "share of images in which the unit is on anywhere; for information only",
    "frechet": "Fréchet distance to the real images of the 5% of images with the unit's highest activations",
    "frechet_random": "mean of the same over random subsets of the same size that contain as much of the unit's "
    "concept",
    "frechet_random_low": "smallest of the random subsets",
    "frechet_random_high": "largest of the random subsets",
    "frechet_ratio": "frechet / frechet_random: above 1 where the top images are less realistic",
    "set": "what was ablated: 'before' nothing, 'worst' the highest-ranked units by measured_effect, 'random' as many "
    "other units "
    "of similar mean activation, 'marked' the units marked by hand, 'random_marked' as many random units; "
    "'real' is real images against other real images",
    "activation": "mean activation of the units of a random set, divided by that of the units it is compared with",
    "number": "number of the random set, from 0",
    "units": "units that were ablated together",
    "images": "images on the generated side",
    "real": "images on the real side",
    "measure": "kernel_distance, frechet_distance, precision, recall, density or coverage",
    "distance": "KID of the same images without edit",
    "value": "value of the measure",
    "low": "lower end of its 95% interval",
    "high": "upper end of its 95% interval",
    "change": "value minus the value without edit, paired by latents",
    "change_low": "lower end of the 95% interval of change",
    "change_high": "upper end of the 95% interval of change",
    "error": "standard error of change",
    "chosen": "whether the repair ablates this number of units",
    "sample": "number of the held-out latent; random images come from further latents, which are not scored",
    "kind": "'worst', 'gained' or 'random'",
    "before": "realism score of the image: mean kernel to real images minus mean kernel to generated images",
    "after": "the same after the edit",
    "on": "artifact units (or, if there are none, the ablated units) that are on anywhere in the image, the "
    "strongest relative to its mean activation first",
    "tested": "units that were ablated one by one",
    "spearman": "rank correlation of estimate and measured_effect over the units that were ablated one by one, on the "
    "latents on which all of them were tested",
    "spearman_low": "lower end of its 95% interval",
    "spearman_high": "upper end of its 95% interval",
    "noise_ceiling": "an estimate of the largest rank correlation that can be reached: the square root of the "
    "reliability of measured_effect, which is the rank correlation between two halves of the "
    "latents, extrapolated to all of them",
    "noise_ceiling_low": "lower end of the 95% interval of noise_ceiling over units",
    "noise_ceiling_high": "upper end of the 95% interval of noise_ceiling over units",
}
"""What every column of every table of artifact units means, where `dissection.COLUMNS` does not say."""


@dataclass(frozen=True)
class Figures:
    """The quality of a model's images, for comparison with another model's."""

    features: str
    """The features, the images on each side, and the real images: only figures with the same ones can be compared."""
    figures: pd.DataFrame
    """measure, value, low, high, less_is_better."""


@dataclass(frozen=True)
class Repaired:
    """Images before and after the edit that is shown."""

    samples: NDArray[np.int64]
    """(k,) numbers of the held-out latents."""
    before: NDArray[np.uint8]
    """(k, height, width, 3)"""
    after: NDArray[np.uint8]
    """(k, height, width, 3)"""
    heat: NDArray[np.float32]
    """(k, h, w) activation of the strongest candidate, each over its own mean; (0, 0, 0) for images without."""


@dataclass(frozen=True)
class Artifacts:
    """The artifact units of a layer, and the effect of ablating them on image quality.

    Four separate sets of latents are used: to rank units, to test them, to choose the size of the repair, and to
    score it.
    """

    layer: str
    features: str
    """The network that computed the features, in words."""
    dimension: int
    """Length of the features."""
    reference: str
    """What the real images are, in words."""
    real: int
    """Real images."""
    selection_images: int
    """Real images used to choose units and the size of the repair; other ones than for scores, if there are enough."""
    against_itself: int
    """Images on each side where real images are compared with other real ones."""
    selection: int
    tested: int
    """Testing latents, on which all candidates and control units are ablated one by one."""
    retested: int
    """Further latents for the best candidates; only these measure the reported effects."""
    finalists: int
    """How many candidates are tested further, at most."""
    size_selection: int
    """Testing latents on which the size of the repair is chosen."""
    scored: int
    """Held-out latents."""
    random_scored: int
    """Held-out latents behind the random sets, and behind the repair's change where it is compared with them."""
    random_sets: int
    excited: int
    """Images that excite a unit most, of `dissected`."""
    dissected: int
    listed: tuple[int, ...]
    """The artifact units by the rule, worst first."""
    detectable: float
    """The smallest decrease of KID, as a share of it, with which a candidate would have been called an artifact unit
    with a probability of at least 80%; NaN where that is not known."""
    second: str
    """The second network in whose features artifact units are scored, in words; '' without one."""
    second_images: int
    """Latents on which they are; 0 where none are."""
    second_detectable: float
    """The smallest decrease of KID in its features, as a share of it, that would be significant with a probability of
    at least 80%; NaN where that is not known."""
    order: tuple[int, ...]
    """Every unit that was tested, control units too: candidates tested further, then others, by decreasing
    measured_effect."""
    repairable: tuple[int, ...]
    """The units that a repair may ablate, best first: candidates whose ablation alone improves images."""
    chosen: int
    """How many of the worst units the repair ablates; 0 where no repair is recommended."""
    shown: tuple[int, ...]
    """The units that are ablated in the pictures: the repair's, else those listed, else the worst ones."""
    reviewed: tuple[int, ...]
    """The units of the file of the manual review; () where none was given."""
    settings: Mapping[str, Any]
    """Everything else that was chosen, for the methods page; plain JSON values."""
    units: pd.DataFrame
    """One row per unit of the layer, by unit: unit, role, rank, estimate, tested_images, measured_effect*, share, p,
    q, difference*, second_effect*, second_share, second_q, confirmed,
    artifact, effect_rank, repair_rank, mean_activation, images_on, frechet, frechet_random*, frechet_ratio."""
    quality: pd.DataFrame
    """One row per (set, units, measure): set, units, measure, images, value, low, high, change*, error."""
    curve: pd.DataFrame
    """The kernel distance of repair, marked units and random sets on the same latents: set, number, units, activation,
    images, real, distance, change*."""
    choice: pd.DataFrame
    """The kernel distance with every size of the repair, on the latents that choose one: units, images, real, distance,
    change*, chosen."""
    agreement: pd.DataFrame
    """One row: tested, spearman*, noise_ceiling*."""
    images: pd.DataFrame
    """One row per image that is shown: kind, sample, before, after, on."""
    worst: Repaired
    gained: Repaired
    """The held-out images whose realism score rises most; none where the shown units were not scored together."""
    random: Repaired
    pairs: Repaired
    """Random images before and after, for a blind comparison."""
    command: str
    """The command that searched for artifact units; it may be later than the one that dissected the model."""
    notes: tuple[str, ...]
    """Sentences that the page must show, e.g. why a measure is missing."""

    @property
    def figures(self) -> Figures:
        """The quality of images without any edit."""
        unedited = self.quality[self.quality["set"] == EditedSet.BEFORE]
        measures = unedited[["measure", "value", "low", "high"]].reset_index(drop=True)
        less = measures["measure"].isin(DISTANCES)
        words = f"{self.features}, {self.scored:,} images on each side, {self.reference}"
        return Figures(words, measures.assign(less_is_better=less))

    @property
    def selects_on_other_images(self) -> bool:
        """Whether units are chosen with other real images than those used for scores."""
        return self.selection_images < self.real

    @property
    def repair(self) -> tuple[int, ...]:
        """The units that the repair ablates, worst first."""
        return self.repairable[: self.chosen]

    def is_repair(self, images: str, units: int) -> bool:
        """Whether a row of a table (its set and units) is about the recommended repair."""
        return images == EditedSet.WORST and units == self.chosen

    @property
    def candidate_count(self) -> int:
        """Units among which artifact units were looked for, one by one."""
        return int(self.units["role"].isin(CANDIDATES).sum())


CANDIDATES = (Role.LEADING, Role.BOTTOM)
"""Roles of the units among which artifact units are looked for."""
