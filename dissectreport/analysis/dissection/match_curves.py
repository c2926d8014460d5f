"""How many units match their label at least as well as a cut-off, for every cut-off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.common.student import joint_reach
from dissectreport.analysis.dissection.corrected_rule import UnitLabels
from dissectreport.analysis.results.dissection import MATCH_COLUMNS, Control
from dissectreport.stats.base import Floats

CUT_OFFS = np.round(np.arange(0, 1, 0.02), 2)
"""(50,) chance-corrected IoUs."""


def match_curve(control: Control, category: str, verdicts: Sequence[UnitLabels]) -> pd.DataFrame:
    """One row per cut-off: units whose chance-corrected IoU with their label is at least that, with a 95% interval.

    For several random bases, each with its verdict, it is their mean, with the prediction interval of one more basis.
    """
    counts = np.stack([at_least(verdict.corrected_iou) for verdict in verdicts]).astype(np.float64)
    replicates = np.mean([at_least(verdict.matched) for verdict in verdicts], axis=0)
    low, high = interval(counts, replicates, verdicts[0].groups)
    units = len(verdicts[0].column)
    values = {
        "control": str(control),
        "category": category,
        "cut_off": CUT_OFFS,
        "units": counts.mean(0),
        "units_low": low.clip(0, units),
        "units_high": high.clip(0, units),
        "layer_units": units,
    }
    return pd.DataFrame(values, columns=list(MATCH_COLUMNS))


def at_least(corrected_iou: NDArray[np.floating]) -> Floats:
    """(..., cut-offs) how many of (..., units) are at or above each cut-off; NaN is below all.

    >>> at_least(np.array([0.01, 0.1, np.nan]))[:3].tolist()
    [2.0, 1.0, 1.0]
    """
    known = np.where(np.isnan(corrected_iou), -np.inf, corrected_iou)
    return np.asarray((known[..., None] >= CUT_OFFS).sum(-2), np.float64)


def interval(counts: Floats, replicates: Floats, groups: int) -> tuple[Floats, Floats]:
    """Ends (cut-offs,) of 95% intervals of (bases, cut-offs) counts, with (replicates, cut-offs) of their mean.

    Resampling shifts counts a little; the shift is no uncertainty. Of one basis, the units themselves, the interval is
    that of the count; of several it is where another one would lie. Ends are rounded outwards: counts are whole.
    """
    mean, bases = counts.mean(0), len(counts)
    spread = counts.var(0, ddof=1) * (1 + 1 / bases) if bases > 1 else np.zeros(len(mean))
    pairs = zip(spread.tolist(), resampled_variance(replicates, groups).tolist(), strict=True)
    freedom = max(1, bases - 1), max(1, groups - 1)
    reach = np.array([joint_reach(first, freedom[0], second, freedom[1]) for first, second in pairs])
    return np.floor(mean - reach), np.ceil(mean + reach)


def resampled_variance(replicates: Floats, groups: int) -> Floats:
    """(...) the variance of what (replicates, ...) are bootstrap replicates of.

    A bootstrap over g groups understates it by (g - 1) / g (Efron & Tibshirani 1993).
    """
    return np.asarray(replicates.var(0, ddof=1) * groups / max(1, groups - 1))
