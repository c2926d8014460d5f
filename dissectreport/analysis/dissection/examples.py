"""Which images are shown as examples of a unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dissectreport.analysis.results.dissection import ExampleKind
from dissectreport.stats.base import Ints
from dissectreport.stats.peaks import Peaks

TOP, MIDDLE, RANDOM = 8, 4, 4
RANDOM_POOL = 48
"""Random examples come from this many samples, so that units share images."""


def examples(peaks: Peaks) -> tuple[NDArray[np.str_], Ints]:
    """The kind of each column, and (units, k) sample numbers: top, middle and random."""
    units = peaks.peaks.shape[1]
    pool = np.random.RandomState(0).permutation(peaks.samples)[:RANDOM_POOL]
    random = np.random.RandomState(1)
    random_samples = np.stack([random.permutation(pool)[:RANDOM] for _ in range(units)])
    parts = {
        ExampleKind.TOP: peaks.top(TOP),
        ExampleKind.MIDDLE: peaks.middle(MIDDLE),
        ExampleKind.RANDOM: random_samples,
    }
    kind = np.concatenate([[str(name)] * part.shape[1] for name, part in parts.items()])
    return kind, np.concatenate(list(parts.values()), axis=1)
