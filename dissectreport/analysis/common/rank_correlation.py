"""Rank correlation of two measures, its interval, and the most that noise allows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dissectreport.stats.base import Floats


def spearman(first: Floats, second: Floats) -> float:
    """Rank correlation, ties at their mean rank; NaN where one of them never varies."""
    ranks = [pd.Series(values).rank().to_numpy() for values in (first, second)]
    if min(np.ptp(rank) for rank in ranks) == 0:
        return float("nan")
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def noise_ceiling(within: float) -> float:
    """About the rank correlation that a perfect estimate would have with a noisy measure, by that of its halves.

    The halves step up to the reliability of the whole (Spearman 1910, Brown 1910), of which this is the square root
    (Spearman 1904); 0 where they do not agree, NaN where that is not known.
    """
    return float(np.sqrt(2 * within / (1 + within))) if within > 0 else 0.0 * abs(within)


def noise_ceiling_interval(within: float, n: int) -> tuple[float, float]:
    """95% interval of the noise ceiling, from that of the rank correlation of the halves over n pairs."""
    return tuple(noise_ceiling(end) for end in spearman_interval(within, n))  # type: ignore[return-value]


def spearman_interval(correlation: float, n: int) -> tuple[float, float]:
    """95% interval of a rank correlation of n pairs (Bonett & Wright 2000)."""
    if n < 4 or np.isnan(correlation):
        return float("nan"), float("nan")
    centre = np.arctanh(np.clip(correlation, -0.9999999, 0.9999999))
    reach = 1.96 * np.sqrt((1 + correlation**2 / 2) / (n - 3))
    return float(np.tanh(centre - reach)), float(np.tanh(centre + reach))
