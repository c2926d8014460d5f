"""How realistic the images are that excite a unit most, beside random images with as much of its concept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissectreport.analysis.artifacts.quality import Reference
from dissectreport.stats.base import Floats, Ints

BINS = 10
SUBSETS = 8
"""Random subsets that the images which excite a unit are compared with."""
EXCITING = 20
"""Of so many images one is among those that excite a unit most; and at least so many are taken."""


@dataclass(frozen=True)
class Exciting:
    """The Fréchet distance to real images of those that excite each unit most, and of random subsets."""

    own: Floats
    """(units,) NaN for a unit that excites none more than another."""
    random: Floats
    """(units, subsets)"""
    images: int


def exciting(peaks: NDArray[Any], areas: NDArray[Any], rows: Floats, reference: Reference) -> Exciting:
    """Of peaks (n, units), the area (n, units) of each unit's own concept, and scaled features (n, d)."""
    count = min(len(peaks), max(EXCITING, len(peaks) // EXCITING))
    real = reference.features
    centre, covariance = real.mean(0), np.cov(real, rowvar=False)
    own, random = np.full(peaks.shape[1], np.nan), np.full((peaks.shape[1], SUBSETS), np.nan)
    for unit in np.flatnonzero(np.ptp(peaks, axis=0) > 0).tolist():
        top = np.argsort(-peaks[:, unit], kind="stable")[:count]
        draws = matched_subsets(areas[:, unit], top, np.random.RandomState(unit))
        distances = low_rank_distances(rows[np.vstack([top, draws])], centre, covariance)
        own[unit], random[unit] = distances[0], distances[1:]
    return Exciting(own, random, count)


def matched_subsets(area: NDArray[Any], top: Ints, random: np.random.RandomState) -> Ints:
    """(subsets, m) images with the same amounts of a concept as the `top` (m,), drawn from tenths by amount."""
    order = np.lexsort((random.permutation(len(area)), area))
    tenth = np.empty(len(area), np.int64)
    tenth[order] = np.arange(len(area)) * BINS // len(area)
    wanted = np.bincount(tenth[top], minlength=BINS)
    subsets = []
    for _ in range(SUBSETS):
        parts = []
        for number, count in enumerate(wanted.tolist()):
            members = np.flatnonzero(tenth == number)
            parts.append(random.choice(members, count, replace=count > len(members)) if count else members[:0])
        subsets.append(np.concatenate(parts))
    return np.stack(subsets)


def low_rank_distances(rows: Floats, centre: Floats, covariance: Floats) -> Floats:
    """(s, m, d) few images each -> (s,) Fréchet distances to the normal distribution of that centre and covariance.

    Of C_s = XᵀX/(m - 1) with few rows X, C C_s has the eigenvalues of the small X C Xᵀ/(m - 1), but for zeros.
    """
    means = rows.mean(1)
    centred = rows - means[:, None]
    small = centred @ covariance @ centred.transpose(0, 2, 1) / (rows.shape[1] - 1)
    shared = np.sqrt(np.linalg.eigvalsh(small).clip(min=0)).sum(1)
    spread = (centred**2).sum((1, 2)) / (rows.shape[1] - 1)
    return np.asarray(((means - centre) ** 2).sum(1) + np.trace(covariance) + spread - 2 * shared)
