"""Which units attacks change: those that matter to the target, to the source, or all others (Bau et al. 2020, PNAS)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from dissectreport.analysis.common.student import quantile
from dissectreport.records.classes import ClassPlan
from dissectreport.run.attacks import Attack
from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.predictions import Attacks

TARGET, SOURCE, OTHERS = "target", "source", "others"
"""Groups of units, in order."""


def attack_table(attacks: Attacks, plan: ClassPlan, leading: int) -> pd.DataFrame:
    """One row per mode of attack and group of units; see `analysis.results.classes.COLUMNS`."""
    return pd.DataFrame(
        [row for number, mode in enumerate(Attack) for row in _rows(attacks, plan, leading, number, mode)]
    )


def _rows(attacks: Attacks, plan: ClassPlan, leading: int, number: int, mode: Attack) -> Iterator[dict[str, Any]]:
    predicted, aim = attacks.predicted[:, number], attacks.target if mode == Attack.TARGETED else attacks.source
    succeeded = (predicted == aim) == (mode == Attack.TARGETED)
    peaks = np.abs(attacks.peaks[:, number].astype(np.float64))
    for group, chosen in groups(attacks, plan, leading).items():
        by_image = np.array([row[units].mean() for row, units in zip(peaks, chosen, strict=True) if len(units)])
        value, low, high = mean_interval(by_image)
        yield {
            "attack": str(mode),
            "unit_group": group,
            "attacked_images": len(by_image),
            "succeeded": float(succeeded.mean()),
            "change_norm": float(attacks.norm[:, number].astype(np.float64).mean()),
            "peak_change": value,
            "peak_change_low": low,
            "peak_change_high": high,
        }


def groups(attacks: Attacks, plan: ClassPlan, leading: int) -> dict[str, list[Ints]]:
    """By group, the units of each image. Those that matter to both classes belong to the target's."""
    units = np.arange(plan.order.shape[1])
    by_group: dict[str, list[Ints]] = {TARGET: [], SOURCE: [], OTHERS: []}
    for source, target in zip(attacks.source.tolist(), attacks.target.tolist(), strict=True):
        of_target, first = plan.order[target][:leading], plan.order[source][:leading]
        known = not np.isnan(plan.importance[source]).all()
        of_source = np.setdiff1d(first, of_target) if known else first[:0]
        by_group[TARGET].append(of_target)
        by_group[SOURCE].append(of_source)
        by_group[OTHERS].append(np.setdiff1d(units, [*of_target, *of_source]))
    return by_group


def mean_interval(values: Floats) -> tuple[float, float, float]:
    """The mean over images, and the ends of its 95% interval (Student's t); NaN ends with fewer than two images."""
    if not len(values):
        return np.nan, np.nan, np.nan
    mean = float(values.mean())
    if len(values) < 2:
        return mean, np.nan, np.nan
    reach = quantile(0.975, len(values) - 1) * float(values.std(ddof=1)) / np.sqrt(len(values))
    return mean, float(mean - reach), float(mean + reach)
