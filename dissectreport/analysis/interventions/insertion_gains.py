"""The gain of inserting units in each context, compared with random units, and whether contexts differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.common.jackknife import Jackknife
from dissectreport.run.budgets import FEWEST_INSERTIONS
from dissectreport.run.plan import InterventionKey
from dissectreport.run.shards import EDIT_BATCH, GROUPS
from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.insertions import Insertions
from dissectreport.vocabulary import Vocabulary

PERMUTATIONS = 999
"""How often contexts are exchanged between insertions to see how much gains differ by chance."""


def insertion_gains(key: InterventionKey, insertions: Insertions, vocabulary: Vocabulary) -> pd.DataFrame:
    """One row per (concept, context) with enough images: pixels gained, also by random units at the same patches."""
    rows = []
    samples, chunks = (numbers // EDIT_BATCH % GROUPS for numbers in (insertions.samples, _numbers(insertions)))
    for k, number in enumerate(key.concepts):
        own, (of, random) = insertions.own_gains(k), insertions.random_gains(k)
        for around in used_contexts(insertions):
            there, random_there = insertions.contexts == around, insertions.contexts[of] == around
            rows.append(
                {
                    "concept": vocabulary[number].name,
                    "context_concept": vocabulary[around].name,
                    "insertions": int(there.sum()),
                    **_ends("gain", _mean(own[there], samples[there])),
                    "random_insertions": int(random_there.sum()),
                    **_ends("random_gain", _mean(random[random_there], chunks[of][random_there])),
                }
            )
    columns = ["concept", "context_concept", "insertions", "gain", "gain_low", "gain_high"]
    columns += ["random_insertions", "random_gain", "random_gain_low", "random_gain_high"]
    return pd.DataFrame(rows, columns=columns)


def used_contexts(insertions: Insertions) -> list[int]:
    """The contexts with insertions in enough images."""
    contexts = np.unique(insertions.contexts).tolist()
    images = [len(np.unique(insertions.samples[insertions.contexts == context])) for context in contexts]
    return [context for context, count in zip(contexts, images, strict=True) if count >= FEWEST_INSERTIONS]


def context_p(insertions: Insertions, concept: int) -> float:
    """The p-value of gains that do not depend on the context, by permutation; NaN with fewer than two contexts.

    The statistic is the largest difference between the mean gains of two contexts, over its standard error, so it
    allows for picking the two contexts afterwards.
    """
    used = used_contexts(insertions)
    if len(used) < 2:
        return float("nan")
    kept = np.isin(insertions.contexts, used)
    gains = insertions.own_gains(concept)[kept].astype(np.float64)
    groups = np.searchsorted(used, insertions.contexts[kept])
    observed = largest_difference(gains, groups)
    random = np.random.RandomState(concept)
    permuted = [largest_difference(gains, random.permutation(groups)) for _ in range(PERMUTATIONS)]
    return float((1 + np.sum(np.array(permuted) >= observed)) / (1 + PERMUTATIONS))


def largest_difference(values: Floats, groups: Ints) -> float:
    """The largest difference between the means of two groups, over its standard error; 0 where nothing varies."""
    count = np.bincount(groups)
    mean = np.bincount(groups, values) / count
    variance = np.bincount(groups, (values - mean[groups]) ** 2) / np.maximum(count - 1, 1) / count
    apart, error = np.abs(mean[:, None] - mean), np.sqrt(variance[:, None] + variance)
    ratio = np.divide(apart, error, out=np.where(apart > 0, np.inf, 0.0), where=error > 0)
    return float(ratio.max())


def _numbers(insertions: Insertions) -> Ints:
    """(m,) the numbers of the insertions, by which they share random sets."""
    return np.arange(len(insertions.samples))


def _mean(values: NDArray[Any], group: Ints) -> Jackknife:
    """The mean over insertions, and with each group of latents left out; NaN for none."""
    total = np.bincount(group, values, minlength=GROUPS)
    count = np.bincount(group, minlength=GROUPS)
    has_insertions = count > 0
    without = (total.sum() - total[has_insertions]) / np.maximum(count.sum() - count[has_insertions], 1)
    value = np.asarray(total.sum() / count.sum() if count.sum() else np.nan)
    return Jackknife(value, without, count[has_insertions].astype(np.int64))


def _ends(name: str, jack: Jackknife) -> dict[str, float]:
    low, high = jack.interval()
    return {name: float(jack.value), f"{name}_low": float(low), f"{name}_high": float(high)}
