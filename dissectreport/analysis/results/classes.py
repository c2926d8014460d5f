"""What the units of a classifier do for its classes: the tables and pictures that a report draws.

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


class AblatedUnits(StrEnum):
    """Which units of a layer are ablated for a class, by their name in tables."""

    LEADING = "leading"
    """Those that matter most to it."""
    RANDOM = "random"
    """Random sets of as many other units, each close in mean activation to one of those that matter most."""
    LEAST = "least"
    """As many that matter least."""
    OTHERS = "others"
    """All but those that matter most."""


COLUMNS: Mapping[str, str] = {
    "class": "name of the class",
    "class_number": "position of the class among the scores, from 0",
    "class_images": "held-out images of the class",
    "selection_images": "selection images of the class",
    "balanced_accuracy": "(recall + 1 - false_positives) / 2 of the class against all others, on held-out images: 0.5 "
    "is chance",
    "balanced_accuracy_low": "lower end of its 95% interval (Newcombe's, from Wilson's of both shares); of 'random', "
    "the smallest of the random sets",
    "balanced_accuracy_high": "upper end of its 95% interval; of 'random', the largest of the random sets",
    "recall": "share of the images of the class that are predicted to be of it",
    "false_positives": "share of all other images that are predicted to be of the class",
    "ablated": "which units are ablated: 'leading' (those that matter most to the class), 'random' (mean over random "
    "sets of as many other units), 'least' (those that matter least) or 'others' (all but the leading ones)",
    "ablated_units": "number of units: leading, random or least ones that are ablated; of 'others', leading ones that "
    "are kept",
    "accuracy_change": "balanced accuracy with these units ablated minus that without, on the same images",
    "accuracy_change_low": "lower end of its 95% interval, by a bootstrap of images within their classes",
    "accuracy_change_high": "upper end of its 95% interval",
    "random_difference": "accuracy_change of the leading units minus the mean of the random sets",
    "random_difference_low": "lower end of its 95% prediction interval, which includes 0 if one more random set could "
    "change as much",
    "random_difference_high": "upper end of its 95% prediction interval",
    "accuracy_lost": "balanced accuracy that the class loses when only this unit is ablated, on selection images: by "
    "this units are ranked; empty for units that were not ablated alone",
    "certainty_lost": "mean logarithm of the probability of the class that its selection images lose; decides the "
    "order of units that lose equally much",
    "estimated_loss": "first-order estimate of certainty_lost (gradient × activation); empty where ablations have a "
    "closed form",
    "estimate_correlation": "rank correlation of estimated_loss and certainty_lost over the units that were ablated "
    "alone whatever their estimate; empty where there is no estimate",
    "class_rank": "rank of the unit for the class, 1 is the one that matters most",
    "held_out_lost": "accuracy_lost on held-out images; empty where it was not measured",
    "held_out_lost_low": "lower end of its 95% interval, for each unit by itself",
    "held_out_lost_high": "upper end of its 95% interval",
    "matters": "whether the unit is among the leading units of the class (by class_rank) and the class loses accuracy "
    "without it, on selection images",
    "attack": "how images are changed: 'targeted' (towards another class), 'untargeted' (away from the predicted one) "
    "or 'random' (a random change of the same length as the targeted one)",
    "unit_group": "units whose peaks are compared: the leading units of the target, those of the source (the class "
    "that was predicted), or all others",
    "attacked_images": "held-out images that were changed",
    "succeeded": "share of the images that are predicted as the attack intends: as the target, or not as the source; "
    "of random changes, not as the source",
    "change_norm": "mean length (L2) of the change, in pixel values of 0 to 1",
    "peak_change": "mean absolute change of the peak activation of a unit, over images and units",
    "peak_change_low": "lower end of its 95% interval over images",
    "peak_change_high": "upper end of its 95% interval",
}
"""What every column of these tables means."""


@dataclass(frozen=True)
class ShownImage:
    """A held-out image with its class, and what the network predicts."""

    sample: int
    image: NDArray[np.uint8]
    """(height, width, 3)"""
    label: str
    predicted: str


@dataclass(frozen=True)
class ShownAttack:
    """An image before and after a targeted attack."""

    sample: int
    before: NDArray[np.uint8]
    """(height, width, 3)"""
    after: NDArray[np.uint8]
    """(height, width, 3)"""
    source: str
    target: str
    predicted: str
    """What is predicted after the attack."""


@dataclass(frozen=True)
class Classes:
    """The classes of a classifier, and the units of one layer that they depend on."""

    layer: str
    units: int
    names: tuple[str, ...]
    """All classes, in the order of the scores."""
    studied: tuple[str, ...]
    """The classes that were studied."""
    most_images: bool
    """Whether these are the classes with most images."""
    labelled: bool
    """Whether the images have labels; otherwise accuracy is the agreement of the network with itself."""
    closed_form: bool
    """Whether ablations follow from the means of units and the weights of the last layer."""
    validation: str
    """The name of the folder of validation images, which score units; '' where one half of the images does."""
    balanced: bool
    """Whether images were chosen so that every studied class has enough of them."""
    tested: int
    """Units that were ablated alone on selection images."""
    checked: int
    """Those of them that were not chosen by the estimate."""
    images: int
    """Images that were classified."""
    held_out: int
    """Images that score."""
    accuracy: float
    """Share of all images that are predicted right, without any edit."""
    leading: int
    """A unit is among those that matter to a class if its rank is at most this."""
    random_sets: int
    sizes: tuple[int, ...]
    """Numbers of units that were ablated together."""
    largest_norm: float
    """Length (L2) of an attack's change, at most, in pixel values of 0 to 1."""
    steps: int
    """Steps of an attack."""
    classes: pd.DataFrame
    """One row per studied class: class, class_number, class_images, selection_images, balanced_accuracy*, recall,
    false_positives, estimate_correlation."""
    curves: pd.DataFrame
    """One row per (class, ablated, ablated_units): balanced_accuracy*, accuracy_change*, random_difference* (of
    'leading'), recall, false_positives."""
    class_units: pd.DataFrame
    """One row per (class, unit), ordered by class and class_rank: accuracy_lost, certainty_lost, estimated_loss,
    class_rank, held_out_lost*, matters."""
    attacks: pd.DataFrame
    """One row per (attack, unit_group): attacked_images, succeeded, change_norm, peak_change*."""
    shown: Mapping[str, tuple[ShownImage, ...]]
    """Held-out images of each studied class."""
    shown_attacks: tuple[ShownAttack, ...]
    settings: Mapping[str, Any]
    """The key and budget of the experiments."""

    def class_numbers(self) -> Mapping[str, int]:
        """The positions of the classes among the scores, by name."""
        return {name: number for number, name in enumerate(self.names)}

    def matters_to(self, unit: int) -> pd.DataFrame:
        """The rows of `class_units` of the classes that a unit matters to, by falling accuracy_lost."""
        rows = self.class_units[(self.class_units["unit"] == unit) & self.class_units["matters"]]
        return rows.sort_values("accuracy_lost", ascending=False, kind="stable")
