"""Intervals of shares, in closed form (Wilson 1927; Newcombe 1998)."""

from __future__ import annotations

import math

Z = 1.959963984540054
"""Standard deviations on each side that contain 95% of a normal distribution."""


def wilson(successes: float, trials: float) -> tuple[float, float]:
    """The 95% interval of a share; it has a width even if all trials, or none, succeed.

    >>> [round(end, 4) for end in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    if not trials:
        return 0.0, 1.0
    share, extra = successes / trials, Z * Z / trials
    middle = (share + extra / 2) / (1 + extra)
    reach = Z / (1 + extra) * math.sqrt(share * (1 - share) / trials + extra / trials / 4)
    return middle - reach if successes else 0.0, middle + reach if successes < trials else 1.0


def difference_of_shares(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """The 95% interval of the difference of two shares, each given as successes and trials.

    >>> [round(end, 4) for end in difference_of_shares((56, 70), (48, 80))]
    [0.0524, 0.3339]
    """
    (a, (a_low, a_high)), (b, (b_low, b_high)) = ((one[0] / one[1], wilson(*one)) for one in (first, second))
    return a - b - math.hypot(a - a_low, b_high - b), a - b + math.hypot(a_high - a, b - b_low)


def paired_difference(first_only: int, second_only: int, both: int, trials: int) -> tuple[float, float]:
    """The 95% interval of one share less another over the same trials, which has a width where no trial differs.

    The trials in which the first alone succeeds, the second alone, and both (Newcombe 1998, method 10).

    >>> [round(end, 4) for end in paired_difference(12, 2, 36, 50)]
    [0.0569, 0.3404]
    """
    first, second = (first_only + both) / trials, (second_only + both) / trials
    low, high = wilson(first_only + both, trials)
    other_low, other_high = wilson(second_only + both, trials)
    together = _correlation(first_only, second_only, both, trials - first_only - second_only - both)
    below = _root(first - low, other_high - second, together)
    above = _root(high - first, second - other_low, together)
    return first - second - below, first - second + above


def _root(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * correlation * one * other + other * other))


def _correlation(first_only: int, second_only: int, both: int, neither: int) -> float:
    """The correlation of two outcomes, from their counts, corrected for continuity where it is above 0."""
    product = (both + first_only) * (second_only + neither) * (both + second_only) * (first_only + neither)
    if not product:
        return 0.0
    apart = both * neither - first_only * second_only
    half = (both + first_only + second_only + neither) / 2
    return (max(apart - half, 0.0) if apart > 0 else apart) / math.sqrt(product)
