"""Twins: concepts that cover almost the same pixels and count as one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dissectreport.analysis.common.cutoffs import TWINS
from dissectreport.stats.overlaps import Overlaps


def twins_of(overlaps: Overlaps) -> Mapping[int, int]:
    """By concept number the concept that it counts as: the most common one among its twins, twins of twins included.

    Only concepts that count as another one.
    """
    twins = overlaps.jaccard() > TWINS
    counts_as: dict[int, int] = {}
    for first in np.argsort(-np.diag(overlaps.both), kind="stable").tolist():
        if int(overlaps.concepts[first]) in counts_as.values() | counts_as.keys():
            continue
        for at in _reached(twins, first):
            counts_as[int(overlaps.concepts[at])] = int(overlaps.concepts[first])
    return {number: other for number, other in counts_as.items() if number != other}


def _reached(twins: np.ndarray, first: int) -> list[int]:
    """The columns that are reached from `first` by steps between twins."""
    reached = {first}
    while new := set(np.flatnonzero(twins[sorted(reached)].any(0)).tolist()) - reached:
        reached |= new
    return sorted(reached)
