"""What turning units off and on did: the tables and pictures that a report draws and a notebook explores.

Everything here is numpy and pandas; nothing refers to a network. Columns are documented in `COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ORDERS: Mapping[str, str] = {
    "first-order": "first-order estimate of the effect of ablating the unit: activation times gradient of the "
    "concept's area",
    "alpha": "weights of the continuous mask of Bau et al. (2019), learned by gradient descent",
    "greedy": "one unit at a time, always the one that removes most in addition to those already ablated",
    "IoU": "chance-corrected IoU of the unit with the concept, as in the dissection",
}
"""How units are ranked for a concept, best known method first."""

COLUMNS: Mapping[str, str] = {
    "best": "ranking method whose first 20 units (or all, if there are fewer) remove most on the selection latents",
    "units": "number of units ablated together; in the table of agreement, number of units ablated one by one",
    "order": "ranking method: first-order (gradient × activation), alpha (learned mask), greedy or IoU; "
    "'random' for the control",
    "estimate": "first-order estimate of exact, on the selection latents",
    "rank": "rank of the unit by estimate, 1 is the largest",
    "exact": "share of the concept's area removed by ablating only this unit, on held-out latents; empty if not "
    "measured",
    "exact_low": "lower end of the 95% interval of exact",
    "exact_high": "upper end of the 95% interval of exact",
    "spearman": "rank correlation of estimate and exact over the units that were ablated one by one",
    "spearman_low": "lower end of its 95% interval",
    "spearman_high": "upper end of its 95% interval",
    "ceiling": "largest rank correlation that noise allows, approximately: the square root of the reliability "
    "of exact, "
    "the rank correlation between two halves of the held-out latents, extrapolated to all of them",
    "place": "rank, 1 is the best",
    "weight": "weight of the unit in the learned mask, between 0 and 1",
    "removed": "share of the concept's area removed by ablating the units together; negative if it grows",
    "removed_low": "lower end of the 95% interval of removed over latents; of 'random', the smallest of the "
    "random sets",
    "removed_high": "upper end of the 95% interval of removed over latents; of 'random', the largest of the "
    "random sets",
    "random": "mean of removed over random sets of the same size",
    "random_low": "smallest of the random sets",
    "random_high": "largest of the random sets",
    "beyond": "removed minus random",
    "beyond_low": "lower end of the 95% interval of beyond over latents",
    "beyond_high": "upper end of the 95% interval of beyond over latents",
    "other": "another concept of the vocabulary",
    "before": "area of the concept, as a share of all pixels, before the ablation",
    "after": "the same after the ablation",
    "change": "(after - before) / before",
    "change_low": "lower end of the 95% interval of change",
    "change_high": "upper end of the 95% interval of change",
    "context_concept": "context: concept at the centre of the patch before the insertion; empty for none",
    "insertions": "number of insertions, each in another image or at another patch",
    "gain": "pixels of the concept gained per insertion, over the whole image",
    "gain_low": "lower end of the 95% interval of gain",
    "gain_high": "upper end of the 95% interval of gain",
    "random_gain": "the same for random units at the same patches",
    "random_gain_low": "lower end of its 95% interval",
    "random_gain_high": "upper end of its 95% interval",
}
"""What every column of every table of interventions means, where `dissection.COLUMNS` does not say."""


@dataclass(frozen=True)
class Ablated:
    """The same latents with and without some units."""

    units: tuple[int, ...]
    samples: NDArray[np.int64]
    """(k,) numbers of the judging latents."""
    before: NDArray[np.uint8]
    """(k, height, width, 3)"""
    after: NDArray[np.uint8]
    """(k, height, width, 3)"""
    seen_before: NDArray[np.int16]
    """(k, slots, h, w) concept numbers."""
    seen_after: NDArray[np.int16]
    """(k, slots, h, w)"""


@dataclass(frozen=True)
class Inserted:
    """The same latents with and without some units switched on at one place."""

    units: tuple[int, ...]
    samples: NDArray[np.int64]
    """(k,) numbers of the judging latents."""
    places: NDArray[np.float32]
    """(k, 4) top, left, height and width of the place, as shares of the image."""
    contexts: tuple[str, ...]
    """(k) the concept that stood at the middle of the place; '' for nothing."""
    gains: NDArray[np.int64]
    """(k,) pixels of the concept gained over the whole image."""
    before: NDArray[np.uint8]
    """(k, height, width, 3)"""
    after: NDArray[np.uint8]
    """(k, height, width, 3)"""


@dataclass(frozen=True)
class Heat:
    """Where switching units on would work, to first order."""

    samples: NDArray[np.int64]
    """(k,) numbers of the judging latents; their images are those of `Ablated.before`."""
    maps: NDArray[np.float32]
    """(k, h, w) pixels of the concept gained by switching the units on in that cell; negative where it loses."""


@dataclass(frozen=True)
class ConceptPictures:
    """What is shown of one concept."""

    ablated: Ablated
    inserted: Inserted
    heat: Heat


@dataclass(frozen=True)
class Interventions:
    """What the units of one layer cause. Orders were made on choosing latents; every area is of judging latents."""

    layer: str
    samples: int
    """Judging latents behind every area."""
    selection: int
    """Choosing latents on which orders were made."""
    random_sets: int
    block: float
    """Pixels of the image under one inserted place."""
    settings: Mapping[str, Any]
    """Everything else that was chosen, for the methods page; plain JSON values."""
    concepts: pd.DataFrame
    """One row a concept, commonest first: concept, category, area (share of all pixels), images (that hold it), best
    (the order whose 20 leading units remove most on choosing latents)."""
    effects: pd.DataFrame
    """One row a (concept, unit), by concept and rank: concept, unit, rank, estimate, excess (agreement beyond chance,
    choosing half), exact, exact_low, exact_high."""
    agreement: pd.DataFrame
    """One row a concept: concept, units (ablated one by one), spearman*, ceiling."""
    orders: pd.DataFrame
    """One row a (concept, order, place): concept, order, place, unit, weight."""
    curves: pd.DataFrame
    """One row a (concept, order, units): concept, order, units, removed, removed_low, removed_high. It starts with 0
    units; 'random' is among the orders, its ends the least and the most of the sets."""
    removal: pd.DataFrame
    """One row a (concept, order, units) for 10 and 20 units: concept, order, units, removed*, random*, beyond*."""
    side: pd.DataFrame
    """What else changes when the best order's 20 units are ablated: concept, order, units, other, category, before,
    after, change*; one row for every concept of the vocabulary that occurs."""
    context: pd.DataFrame
    """One row a (concept, ground) with at least 128 insertions: concept, ground, insertions, gain*, random_gain*."""
    unit_pictures: Mapping[int, Ablated]
    """Units that were ablated one by one, on images where they matter."""
    pictures: Mapping[str, ConceptPictures]
    """By concept."""
    notes: tuple[str, ...]
    """Sentences that the pages must show, e.g. that a concept occurs in few images."""
