"""What inserting units gains in each context, compared with random units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.common.jackknife import Jackknife
from dissectreport.run.budgets import FEWEST_LATENTS
from dissectreport.run.plan import InterventionKey
from dissectreport.run.shards import EDIT_BATCH, GROUPS
from dissectreport.stats.base import Ints
from dissectreport.stats.insertions import Insertions
from dissectreport.vocabulary import Vocabulary


def insertion_gains(key: InterventionKey, insertions: Insertions, vocabulary: Vocabulary) -> pd.DataFrame:
    """One row a (concept, context) with enough images: pixels gained, and those by random units at the same patches."""
    rows = []
    group = insertions.samples // EDIT_BATCH % GROUPS
    for k, number in enumerate(key.concepts):
        for around in key.contexts:
            there = insertions.contexts == around
            if len(np.unique(insertions.samples[there])) < FEWEST_LATENTS:
                continue
            own, sets = insertions.own_gains(k), insertions.random_gains(k)
            random = sets.mean(1) if sets.shape[1] else np.full(len(sets), np.nan)
            gain, chance = (_mean(values[there], group[there]) for values in (own, random))
            rows.append(
                {
                    "concept": vocabulary[number].name,
                    "context_concept": vocabulary[around].name,
                    "insertions": int(there.sum()),
                    **_ends("gain", gain),
                    **_ends("random_gain", chance),
                }
            )
    columns = ["concept", "context_concept", "insertions", "gain", "gain_low", "gain_high"]
    columns += ["random_gain", "random_gain_low", "random_gain_high"]
    return pd.DataFrame(rows, columns=columns)


def _mean(values: NDArray[Any], group: Ints) -> Jackknife:
    """The mean over insertions, and with each group of latents left out."""
    total = np.bincount(group, values, minlength=GROUPS)
    count = np.bincount(group, minlength=GROUPS)
    has_insertions = count > 0
    without = (total.sum() - total[has_insertions]) / np.maximum(count.sum() - count[has_insertions], 1)
    return Jackknife(np.asarray(total.sum() / count.sum()), without, count[has_insertions].astype(np.int64))


def _ends(name: str, jack: Jackknife) -> dict[str, float]:
    low, high = jack.interval()
    return {name: float(jack.value), f"{name}_low": float(low), f"{name}_high": float(high)}
