"""How often the intervals and tests of causal effects are wrong, on simulated images whose truth is known.

Removal: the share of intervals that contain the share that is removed in truth, beside a jackknife over groups of eight
images. Random sets: how often one of 20 random sets, judged against the others, removes significantly more; beside the
interval over images alone. Contexts: how often gains that do not depend on the context differ significantly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import write
from numpy.random import Generator

from dissectreport.analysis.common.jackknife import Jackknife
from dissectreport.analysis.common.ratios import ratio_interval
from dissectreport.analysis.common.student import quantile
from dissectreport.analysis.interventions.insertion_gains import context_p
from dissectreport.analysis.interventions.random_sets import RandomRemovals
from dissectreport.stats.insertions import Insertions

IMAGES, RUNS = 128, 1000


def areas(random: Generator, present: float, removed: float, evenness: float) -> tuple[np.ndarray, np.ndarray]:
    """(images,) areas before and after an edit that removes this share on average, less evenly for a small evenness."""
    before = np.where(random.random(IMAGES) < present, random.lognormal(7, 1, IMAGES), 0)
    lost = random.beta(evenness * removed, evenness * (1 - removed), IMAGES)
    return before.round().astype(np.int64), (before * (1 - lost)).round().astype(np.int64)


def jackknife_interval(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """The interval of the removed share by leaving out one group of eight images at a time."""
    groups = [values.reshape(-1, 8).sum(1) for values in (before, after)]
    without = 1 - (after.sum() - groups[1]) / (before.sum() - groups[0])
    jack = Jackknife(np.asarray(1 - after.sum() / before.sum()), without, np.full(len(without), 8))
    low, high = jack.interval()
    return float(low), float(high)


def removal(present: float, removed: float, evenness: float) -> dict[str, Any]:
    """Coverage of the two intervals."""
    random, held = np.random.default_rng(0), np.zeros(2)
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(RUNS):
            before, after = areas(random, present, removed, evenness)
            _, (low,), (high,) = ratio_interval(after[:, None], before[:, None])
            ends = [(1 - high, 1 - low), jackknife_interval(before, after)]
            held += [least <= removed <= most for least, most in ends]
    what = f"removal of {removed:.0%}{'' if evenness > 5 else ', uneven'}, concept in {present:.0%} of {IMAGES} images"
    return {"what": what, "measure": "intervals with the truth", "now": held[0] / RUNS, "before": held[1] / RUNS}


def random_sets(spread: float) -> dict[str, Any]:
    """How often one random set removes significantly more than the others."""
    random, more, cases = np.random.default_rng(1), np.zeros(2), 0
    for _ in range(RUNS // 20):
        before = random.lognormal(6, 1, 12).round().astype(np.int64)
        lost = 0.1 + spread * random.standard_normal(20) + 0.1 * random.standard_normal((12, 1))
        after = (before[:, None] * (1 - lost + 0.05 * random.standard_normal((12, 20)))).astype(np.int64)
        for one in range(20):
            others = RandomRemovals(before, np.delete(after, one, 1))
            value, low, _ = others.difference(after[:, one])
            gained = others.after.mean(1) - after[:, one]
            error = np.sqrt(((gained - value * before) ** 2).sum() * 12 / 11) / before.sum()
            more += [low > 0, value - quantile(0.975, 11) * error > 0]
            cases += 1
    what = f"random sets that differ by {spread}"
    return {"what": what, "measure": "sets called better", "now": more[0] / cases, "before": more[1] / cases}


def contexts() -> dict[str, Any]:
    """How often gains differ significantly between nine contexts that do not matter."""
    random, called = np.random.default_rng(2), np.zeros(2)
    for _ in range(RUNS // 5):
        spots = np.array([(image, context) for context in range(1, 10) for image in random.permutation(216)[:32]])
        gains = (50 * random.standard_normal(216)[spots[:, 0]] + 60 * random.standard_normal(len(spots))).round()
        none = np.zeros((len(spots), 0), np.int64)
        made = Insertions(spots[:, 0], np.arange(len(spots)), spots[:, 1], none, gains[:, None, None].astype(np.int64))
        parts = [gains[spots[:, 1] == context] for context in range(1, 10)]
        ends = [(p.mean(), quantile(0.975, 31) * p.std(ddof=1) / np.sqrt(32)) for p in parts]
        apart = max(mean - reach for mean, reach in ends) > min(mean + reach for mean, reach in ends)
        called += [context_p(made, 0) < 0.05, apart]
    runs = RUNS // 5
    return {
        "what": "nine contexts without any effect",
        "measure": "runs with a difference",
        "now": called[0] / runs,
        "before": called[1] / runs,
    }


if __name__ == "__main__":
    rows = [removal(p, r, e) for r, e in ((0.5, 6.0), (0.85, 6.0), (0.1, 4.0)) for p in (0.8, 0.2, 0.1, 0.05)]
    write("causal_errors", [*rows, *(random_sets(spread) for spread in (0.05, 0.17)), contexts()])
