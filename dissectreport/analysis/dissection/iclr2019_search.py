"""The ICLR 2019 rule's search for each unit's threshold and label: mutual information over joint entropy.

Everything is counted on samples of their own. A unit's share is that of the images that hold the concept's
category, the concept's share is that of all images: the arithmetic of the published code, with its guards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dissectreport.stats.base import Floats, Ints, spread
from dissectreport.stats.categories import Categories
from dissectreport.stats.ends import Ends, Singles
from dissectreport.stats.iou import intersection_over_union
from dissectreport.stats.joint import Joint, above_edges

RAREST = 1e-3
"""A concept with a smaller share of the pixels shares no information."""
AGREEMENT = 0.8
"""Unit and concept must agree in more than this share of the pixels."""


@dataclass(frozen=True)
class Search:
    """The best threshold of every unit for every concept number."""

    ratio: Floats
    """(units, v) largest information over entropy."""
    column: Ints
    """(units, v) number of the threshold where it is reached."""
    iou: Floats
    """(units, v) IoU there."""
    agreement: Floats
    """(units, v) share of pixels where unit and concept agree there."""

    @property
    def label(self) -> Ints:
        """(units,) concept number of the largest ratio; 0 is nothing."""
        return np.asarray(self.ratio.argmax(1))

    @property
    def own(self) -> Ints:
        """(units,) number of the label's threshold."""
        return np.take_along_axis(self.column, self.label[:, None], 1)[:, 0]


def search(joint: Joint, ends: Ends, categories: Categories, category: Ints, thresholds: Singles) -> Search:
    """The search over rising `thresholds` (units, t), the lowest below everything; `category` (v,) by number."""
    numbers = np.arange(len(category))
    pixels = joint.total[0].sum()
    share = categories.named / pixels
    within = spread(share_above(joint, ends, thresholds), joint.concepts, numbers, 1, 1.0)
    seen = categories.images * (pixels // joint.samples)
    among = above_edges(categories.bins) / np.maximum(seen, 1)[:, None]
    if among.shape[1] == 1:
        among = above_edges(joint.total)[:, None] / pixels
    parts = [_unit(within[unit], among[unit, category], share, thresholds[unit]) for unit in range(len(thresholds))]
    return Search(*(np.stack(part) for part in zip(*parts, strict=True)))


def share_above(joint: Joint, ends: Ends, thresholds: Singles) -> Floats:
    """(units, c, t) share of each concept's pixels above each threshold, interpolated between activations.

    The k-th smallest of n activations stands at (k - 1/2) / n, as in the reference's sketch of quantiles.
    """
    above = above_edges(joint.joint)
    n = np.maximum(joint.present, 1)[None, :, None]
    low, high = (end.astype(np.float64) for end in ends.around())
    with np.errstate(invalid="ignore"):
        between = (thresholds[:, None] - low) / (high - low)
    return np.asarray(np.where((above > 0) & (above < n), (above + 0.5 - between) / n, above / n))


def _unit(within: Floats, on: Floats, share: Floats, thresholds: Singles) -> tuple[Floats, Ints, Floats, Floats]:
    """One unit's search, from shares above the thresholds of each concept's (v, t) and its category's pixels."""
    both = within * share[:, None]
    table = quadrants(both, on, share[:, None])
    agreement = both + table[1, 1]
    ratio = np.where((agreement > AGREEMENT) & (thresholds > 0), information_ratio(table), 0)
    ratio[:, 0] = 0
    ratio[share < RAREST] = 0
    # From the highest threshold down, so that equal ratios give the smaller on-fraction, as in the reference.
    best = ratio.shape[1] - 1 - ratio[:, ::-1].argmax(1)
    rows = np.arange(len(best))
    overlap, above = both[rows, best], np.broadcast_to(on, both.shape)[rows, best]
    return ratio[rows, best], best, intersection_over_union(overlap, above, share), agreement[rows, best]


def quadrants(both: Floats, on: Floats, present: Floats) -> Floats:
    """(2, 2, ...) shares of pixels by unit off or on, present or not, from those of both, on and present."""
    table = [[both, on - both], [present - both, 1 - (present + on - both)]]
    return np.asarray(np.clip([[np.broadcast_to(part, both.shape) for part in row] for row in table], 0, 1))


def information_ratio(table: Floats) -> Floats:
    """(2, 2, ...) shares -> (...) mutual information over joint entropy, 0 where there is no entropy."""
    product = table.sum(1, keepdims=True) * table.sum(0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.nan_to_num(table * np.log(table / product), nan=0.0).sum((0, 1)).clip(0)
        entropy = -np.nan_to_num(table * np.log(table), nan=0.0).sum((0, 1)).clip(None, 0)
        return np.asarray(np.nan_to_num(information / entropy, nan=0.0, posinf=0.0))
