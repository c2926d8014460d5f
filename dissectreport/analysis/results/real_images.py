"""Areas of concepts in real and in generated images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

COLUMNS: Mapping[str, str] = {
    "real": "share of all pixels of real images that show the concept",
    "real_low": "lower end of the 95% interval of real",
    "real_high": "upper end of the 95% interval of real",
    "generated": "share of all pixels of generated images that show the concept",
    "generated_low": "lower end of the 95% interval of generated",
    "generated_high": "upper end of the 95% interval of generated",
    "difference": "generated - real: negative where the concept is under-represented",
    "difference_low": "lower end of the 95% interval of difference",
    "difference_high": "upper end of the 95% interval of difference",
    "ratio": "generated / real: 1 where both areas are equal",
    "ratio_low": "lower end of the 95% interval of ratio; empty where a side has none",
    "ratio_high": "upper end of the 95% interval of ratio; empty where a side has none",
    "in_real": "share of real images in which the concept occurs",
    "in_generated": "share of generated images in which the concept occurs",
    "p_difference": "two-sided p-value of difference being 0",
    "q_difference": "p_difference after Benjamini-Hochberg over the concepts that are tested",
    "compared": "whether the concept occurs in enough images of one side to be tested",
    "verdict": "'less' or 'more' where generated images show significantly less or more of the concept than "
    "real images",
}
"""What every column means."""


@dataclass(frozen=True)
class Reality:
    """Areas of concepts in real and in generated images."""

    table: pd.DataFrame
    """One row per concept that occurs on either side, the most under-represented first: concept, category, real*,
    generated*, difference*, ratio*, in_real, in_generated, p_difference, q_difference, compared, verdict."""
    real: int
    """Real images."""
    generated: int
    """Generated images."""
