"""Intervals of shares, in closed form (Wilson 1927; Newcombe 1998)."""

from __future__ import annotations

import math

Z = 1.959963984540054
"""Standard deviations on each side that contain 95% of a normal distribution."""


def wilson(successes: float, trials: float) -> tuple[float, float]:
    """The 95% interval of a share; it has a width where all trials, or none, succeed.

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
    """The 95% interval of the share of one set less that of another; both are successes and trials.

    >>> [round(end, 4) for end in difference_of_shares((56, 70), (48, 80))]
    [0.0524, 0.3339]
    """
    (a, (a_low, a_high)), (b, (b_low, b_high)) = ((one[0] / one[1], wilson(*one)) for one in (first, second))
    return a - b - math.hypot(a - a_low, b_high - b), a - b + math.hypot(a_high - a, b - b_low)
