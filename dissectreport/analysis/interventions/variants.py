"""The causal sets changed in other ways than ablation to 0, and whether the segmenter fails on the ablated images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dissectreport.analysis.common.ratios import difference_interval, ratio_interval
from dissectreport.records.interventions import CausalVariants
from dissectreport.stats.base import Ints

DOUBT = 0.1
"""A segmenter fails on ablated images where its confidence falls by more than this, and more than elsewhere."""
COLUMNS = ("concept", "units", "images")


@dataclass(frozen=True)
class VariedSet:
    """A causal set of one concept, and the pixels of the concept that its changes leave."""

    concept: str
    units: int
    whole: Ints
    """(m,) pixels without any edit."""
    zero: Ints
    """(m,) pixels with the set ablated to 0."""
    variants: CausalVariants

    def row(self) -> dict[str, Any]:
        """The row of the table."""
        mean, resampled, inserted = self.variants.pixels.T
        facts = {"concept": self.concept, "units": self.units, "images": len(self.whole)}
        for name, left in (("zero", self.zero), ("mean", mean), ("resampled", resampled)):
            facts |= _columns(f"removed_{name}", *_removed(left, self.whole))
        ace = difference_interval((inserted - self.zero)[:, None], self.whole[:, None])
        return facts | _columns("ace", *(float(end[0]) for end in ace)) | self._confidence()

    def _confidence(self) -> dict[str, Any]:
        """Confidence where the concept is lost and over whole images, without and with the ablation."""
        lost, pixels = self.variants.lost.sum(), len(self.variants.lost) * self.variants.grid
        sums = self.variants.confidence.sum(0) / 1000
        before, after = (float(value / lost) if lost else np.nan for value in sums[:2])
        all_before, all_after = (float(value / pixels) if pixels else np.nan for value in sums[2:])
        fails = before - after > DOUBT and before - after > all_before - all_after
        return {
            "confidence_lost_before": before,
            "confidence_lost_after": after,
            "confidence_before": all_before,
            "confidence_after": all_after,
            "segmenter_fails": fails,
        }


def variants_table(sets: Sequence[VariedSet]) -> pd.DataFrame:
    """One row per concept."""
    columns = [*COLUMNS, *(f"removed_{mode}{end}" for mode in ("zero", "mean", "resampled") for end in ENDS)]
    columns += [*(f"ace{end}" for end in ENDS), "confidence_lost_before", "confidence_lost_after"]
    columns += ["confidence_before", "confidence_after", "segmenter_fails"]
    return pd.DataFrame([one.row() for one in sets], columns=columns)


ENDS = ("", "_low", "_high")


def _removed(left: Ints, whole: Ints) -> tuple[float, float, float]:
    value, low, high = ratio_interval(left[:, None], whole[:, None])
    return 1 - float(value[0]), 1 - float(high[0]), 1 - float(low[0])


def _columns(name: str, *values: float) -> dict[str, float]:
    return {f"{name}{end}": value for end, value in zip(ENDS, values, strict=True)}
