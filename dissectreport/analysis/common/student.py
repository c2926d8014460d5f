"""Student's t distribution for whole degrees of freedom, by its finite series (Abramowitz & Stegun 26.7.3-4)."""

from __future__ import annotations

from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Floats


def upper_tail(t: NDArray[np.float64], freedom: int) -> Floats:
    """P(T > t) with `freedom` >= 1 degrees of freedom, elementwise."""
    theta = np.arctan(np.asarray(t, np.float64) / np.sqrt(freedom))
    sine, cosine = np.sin(theta), np.cos(theta)
    if freedom % 2:
        series, term = np.zeros_like(theta), cosine
        for k in range(1, freedom - 1, 2):
            series = series + term
            term = term * cosine**2 * (k + 1) / (k + 2)
        inside = 2 / np.pi * (theta + sine * series)
    else:
        series, term = np.zeros_like(theta), np.ones_like(theta)
        for k in range(0, freedom, 2):
            series = series + term
            term = term * cosine**2 * (k + 1) / (k + 2)
        inside = sine * series
    return np.asarray((1 - inside) / 2).clip(0, 1)


@lru_cache
def quantile(share: float, freedom: int) -> float:
    """The t with P(T <= t) = `share`, for `share` above one half, by bisection."""
    low, high = 0.0, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        if 1 - float(upper_tail(np.float64(middle), freedom)) < share:  # type: ignore[arg-type]
            low = middle
        else:
            high = middle
    return (low + high) / 2


def joint_reach(first: float, first_freedom: int, second: float, second_freedom: int) -> float:
    """Half of a 95% interval whose variance has two parts, each with its degrees of freedom (Satterthwaite 1946)."""
    whole = first + second
    if not whole:
        return 0.0
    freedom = whole**2 / (first**2 / first_freedom + second**2 / second_freedom)
    return float(quantile(0.975, max(1, int(freedom))) * sqrt(whole))
