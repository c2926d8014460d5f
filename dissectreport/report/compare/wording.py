"""How a comparison writes numbers and lists: differences with signs, intervals in brackets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dissectreport.analysis.comparison.differences import Scale
from dissectreport.analysis.comparison.profiles import Estimate
from dissectreport.report.html.numbers import DASH, count

LISTED = 8
"""Names in a sentence; of more, only their number is given."""

Format = Callable[[float], str]


def tenths(value: float) -> str:
    """A number with one decimal; halves go up."""
    return DASH if math.isnan(value) else f"{math.floor(value * 10 + 0.5) / 10:.1f}".replace("-", "−")


def thousandths(value: float) -> str:
    """A number with three decimals; halves go up."""
    return DASH if math.isnan(value) else f"{math.floor(value * 1000 + 0.5) / 1000:.3f}".replace("-", "−")


def signed(value: float, format_value: Format) -> str:
    """A number with its sign; none before 0."""
    words = format_value(abs(value))
    return words if not words.strip("0.") or words == DASH else f"{'+' if value > 0 else '−'}{words}"


def format_interval(estimate: Estimate, format_value: Format) -> str:
    """'5 [2, 8]'."""
    if not estimate.known:
        return DASH
    return f"{format_value(estimate.value)} [{format_value(estimate.low)}, {format_value(estimate.high)}]"


def format_difference(difference: Estimate, format_value: Format = count) -> str:
    """'+5 [+2, +8]'."""
    return format_interval(difference, lambda value: signed(value, format_value))


@dataclass(frozen=True)
class UnitFormat:
    """How numbers of units are written: counts, or so many of each hundred."""

    scale: Scale

    @property
    def per(self) -> str:
        """What stands after the name of what is counted."""
        return " per 100 units" if self.scale.per_hundred else ""

    def difference(self, difference: Estimate) -> str:
        """A difference with its interval."""
        return format_difference(difference, tenths if self.scale.per_hundred else count)


def listed(words: Sequence[str], most: int = LISTED) -> str:
    """Words with commas between them, and how many were left out."""
    shown = ", ".join(words[:most])
    return shown if len(words) <= most else f"{shown} and {count(len(words) - most)} more"


def conjoined(words: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def plural(number: int, noun: str) -> str:
    """'one concept', '3 concepts'."""
    return f"one {noun}" if number == 1 else f"{count(number)} {noun}s"
