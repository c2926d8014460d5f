"""Artifact units and repair: the tables and pictures that a report draws and a notebook explores.

Everything here is numpy and pandas; nothing refers to a network. Columns are documented in `COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

RULE = (
    "Of the units of largest and of smallest estimate those that do most good alone are tested on further latents, and "
    "one of these is an artifact unit if on those latents ablating it alone surely brings images nearer to the real "
    "ones (q < .05 after Benjamini-Hochberg over all of these units on which any image depends), by at least one per "
    "cent of the kernel distance, and surely by more than ablating one of the control units does on average (lower end "
    "of the interval above 0, over images; the control units, a few of like mean activation, are taken as they are)."
)
CHOICE = (
    "The repair ablates the fewest of the sizes tried with which the kernel distance surely falls, to within one "
    "standard error of the most that it falls with any of them; none where it surely falls with none. That is told by "
    "latents on which nothing else is chosen or scored. Units come in the order of what each does alone, those that "
    "were tested further first; what one does alone need not be sure."
)

MARKED = "The units that a person marked as artifacts."
"""What edits of marked units are by."""

COLUMNS: Mapping[str, str] = {
    "role": "why the unit was ablated by itself: leading by an estimate above 0, control of like mean activation, "
    "bottom by the smallest estimate, which may be wrong, marked by hand; empty if it was not",
    "rank": "place of the unit among all by estimate, 1 first",
    "estimate": "fall of the kernel distance by ablating the unit, to first order; on the choosing latents",
    "tested_images": "testing latents behind exact: further ones alone for the units that do most good on the first, "
    "for the control and for the marked ones",
    "exact": "fall of the kernel distance by ablating the unit alone, of the same testing latents with and without it; "
    "empty if not tested",
    "exact_low": "lower end of the 95 % interval of exact",
    "exact_high": "upper end of the 95 % interval of exact",
    "share": "exact as a share of the kernel distance without any edit, of the testing images that choose a size",
    "p": "one-sided p-value of exact > 0",
    "q": "p after Benjamini-Hochberg over the suspected units, leading and bottom, on which any image depends; 1 for "
    "suspected ones on which none does, empty for others",
    "beyond": "exact less the mean exact of the control units",
    "beyond_low": "lower end of the 95 % interval of beyond",
    "beyond_high": "upper end of the 95 % interval of beyond",
    "artifact": "whether the unit is an artifact unit by the rule",
    "place": "place among all units that were tested: suspected ones tested further, then others, by falling exact; "
    "empty if not tested",
    "repair_place": "the same place among the suspected units that alone bring images nearer: a repair of k units "
    "ablates the first k; empty for others",
    "strength": "mean absolute activation of the unit; on the choosing latents",
    "images_on": "share of images in which the unit is on anywhere; shown, never scored",
    "frechet": "Fréchet distance to the real images of the twentieth of images that excite the unit most",
    "frechet_random": "mean of the same over random subsets of as many images, with as much of the unit's concept",
    "frechet_random_low": "least of the random subsets",
    "frechet_random_high": "most of the random subsets",
    "frechet_ratio": "frechet / frechet_random: above 1 where what excites the unit is less like real images",
    "set": "what was ablated: 'before' nothing, 'worst' the worst units by exact, 'random' as many others of like "
    "mean activation, whatever these do alone, 'review' the units of the file that was given, "
    "'random_review' as many random ones beside these; "
    "'real' is real images against other real ones",
    "activation": "mean activation of the units of a random set over that of the units that it stands beside",
    "number": "number of the random set, from 0",
    "units": "units that were ablated together",
    "images": "images on the generated side",
    "real": "images on the real side",
    "measure": "kernel_distance, frechet_distance, precision, recall, density or coverage",
    "distance": "the kernel distance of the same images without any edit",
    "value": "the measure",
    "low": "lower end of its 95 % interval",
    "high": "upper end of its 95 % interval",
    "change": "the measure less the same without any edit, paired by latents",
    "change_low": "lower end of the 95 % interval of change",
    "change_high": "upper end of the 95 % interval of change",
    "error": "standard error of change",
    "chosen": "whether the repair ablates so many",
    "sample": "number of the scoring latent; random ones are beyond those that are scored",
    "kind": "'worst', or 'random'",
    "before": "nearness of the image to the real ones, kernel to real less kernel to generated",
    "after": "the same after the edit that is shown",
    "on": "artifact units, or those that are off in the pictures where there are none, that are on anywhere in the "
    "image, the strongest for its mean activation first",
    "tested": "units that were ablated one by one",
    "spearman": "rank correlation of estimate and exact over the units that were ablated one by one, exact by the "
    "latents on which all were",
    "spearman_low": "lower end of its 95 % interval",
    "spearman_high": "upper end of its 95 % interval",
    "ceiling": "about the most that a perfect estimate could reach: the square root of the reliability of exact, which "
    "is the rank correlation between two halves of the latents on which all were tested, stepped up",
}
"""What every column of every table of artifact units means, where `dissection.COLUMNS` does not say."""


@dataclass(frozen=True)
class Figures:
    """How near a model's images are to real ones, to stand beside another model's."""

    features: str
    """What saw the images, how many on each side, and what real ones are: figures of others do not compare."""
    figures: pd.DataFrame
    """measure, value, low, high, less_is_better."""


@dataclass(frozen=True)
class Repaired:
    """Images before and after the edit that is shown."""

    samples: NDArray[np.int64]
    """(k,) numbers of the scoring latents."""
    before: NDArray[np.uint8]
    """(k, height, width, 3)"""
    after: NDArray[np.uint8]
    """(k, height, width, 3)"""
    heat: NDArray[np.float32]
    """(k, h, w) activation of the strongest suspected unit, each over its own mean; (0, 0, 0) for images without."""


@dataclass(frozen=True)
class Artifacts:
    """Which units of a layer keep images away from real ones, and what ablating them does to their quality.

    Units were put in order on choosing latents and tested on others, a size was chosen on others, and the repair was
    scored on others again.
    """

    layer: str
    features: str
    """What saw the images."""
    dimension: int
    """Length of the features."""
    reference: str
    """What the real images are, in words."""
    real: int
    """Real images."""
    beside: int
    """Real images beside which units and the size of the repair are chosen: not those that score, where enough are."""
    against_itself: int
    """Images on each side where real images are compared with other real ones."""
    choosing: int
    tested: int
    """Testing latents, on which all suspected and control units are ablated one by one."""
    retested: int
    """Further ones, for those that do most good: they alone tell what these do."""
    finalists: int
    """How many suspected units are tested further at most."""
    weighed: int
    """Testing latents on which the size of the repair is chosen."""
    scored: int
    """Scoring latents."""
    random_scored: int
    """Scoring latents behind the random sets, and the repair's change beside them."""
    random_sets: int
    excited: int
    """Images that excite a unit most, of `dissected`."""
    dissected: int
    listed: tuple[int, ...]
    """The artifact units by the rule, worst first."""
    order: tuple[int, ...]
    """Every unit that was tested, control units too: suspected ones tested further, then others, by falling exact."""
    candidates: tuple[int, ...]
    """The units that a repair may ablate, worst first: suspected, and alone bringing images nearer."""
    chosen: int
    """How many of the worst units the repair ablates; 0 where no repair is recommended."""
    shown: tuple[int, ...]
    """The units that are ablated in the pictures: the repair's, else those listed, else the worst ones."""
    reviewed: tuple[int, ...]
    """The units of the file of the manual review; () where none was given."""
    settings: Mapping[str, Any]
    """Everything else that was chosen, for the methods page; plain JSON values."""
    units: pd.DataFrame
    """One row a unit of the layer, by unit: unit, role, rank, estimate, tested_images, exact*, share, p, q, beyond*,
    artifact, place, repair_place, strength, images_on, frechet, frechet_random*, frechet_ratio."""
    quality: pd.DataFrame
    """One row a (set, units, measure): set, units, measure, images, value, low, high, change*, error."""
    curve: pd.DataFrame
    """The kernel distance of repair, marked units and random sets on the same latents: set, number, units, activation,
    images, real, distance, change*."""
    choice: pd.DataFrame
    """The kernel distance with every size of the repair, on the latents that choose one: units, images, real, distance,
    change*, chosen."""
    agreement: pd.DataFrame
    """One row: tested, spearman*, ceiling."""
    images: pd.DataFrame
    """One row an image that is shown: kind, sample, before, after, on."""
    worst: Repaired
    random: Repaired
    pairs: Repaired
    """Random images before and after, for a blind comparison."""
    command: str
    """What looked for them, which may be later than what dissected the model."""
    notes: tuple[str, ...]
    """Sentences that the page must show, e.g. why a measure is missing."""

    @property
    def figures(self) -> Figures:
        """The quality of images without any edit."""
        held = self.quality[self.quality["set"] == "before"]
        told = held[["measure", "value", "low", "high"]].reset_index(drop=True)
        less = told["measure"].str.endswith("_distance")
        words = f"{self.features}, {self.scored:,} images on each side, {self.reference}"
        return Figures(words, told.assign(less_is_better=less))

    @property
    def apart(self) -> bool:
        """Whether units are chosen beside other real images than those that score."""
        return self.beside < self.real

    @property
    def repair(self) -> tuple[int, ...]:
        """The units that the repair ablates, worst first."""
        return self.candidates[: self.chosen]

    @property
    def suspected(self) -> int:
        """Units among which artifact units were looked for, one by one."""
        return int(self.units["role"].isin(SUSPECTED).sum())


SUSPECTED = ("leading", "bottom")
"""Roles of the units among which artifact units are looked for."""
