"""What a run would have found of units whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import pandas as pd

COLUMNS: Mapping[str, str] = {
    "planted_share": "share of images in which the planted unit is on exactly where the concept is; in the others it "
    "is on where the concept is in another image",
    "iou_true": "the IoU that the planted unit has in all images",
    "corrected_iou_true": "its chance-corrected IoU in all images",
    "label": "the label that the rule gives to the planted unit",
    "found": "whether the rule calls the planted unit interpretable",
    "right": "whether the rule should call it so: corrected_iou_true is above 0.04, and the label is the planted "
    "concept or a twin",
    "covered": "whether the 95% interval of iou contains iou_true",
    "error": "standard error on the logit scale of the test; empty where a value touches 0 or 1",
    "smallest_found": "the smallest chance-corrected IoU that a unit of this concept must have to be found with a "
    "probability of 80%; empty where no unit is large enough",
}
"""What every column means, where `dissection.COLUMNS` does not say."""


@dataclass(frozen=True)
class SpikeIn:
    """Planted units, and what the rule made of them."""

    planted: pd.DataFrame
    """One row per planted unit: concept, category, planted_share, iou_true, corrected_iou_true, iou*, corrected_iou*,
    label, q, found, right, error, covered."""
    concepts: pd.DataFrame
    """One row per tested concept: concept, category, smallest_found."""
    covered: int
    """Intervals that contain the truth, of `intervals`."""
    intervals: int
    found: int
    """Planted units that the rule calls interpretable."""
    falsely: int
    """Those of them that it should not."""

    def usual(self) -> tuple[float, float]:
        """The shares of intervals that contain the truth which 95% of runs print where intervals are right.

        So much is the spread of intervals that err independently of each other, and that of planted units in simulated
        runs (`benchmarks/validity.py`).
        """
        reach = 1.96 * sqrt(0.95 * 0.05 / max(self.intervals, 1))
        return 0.95 - reach, min(1.0, 0.95 + reach)
