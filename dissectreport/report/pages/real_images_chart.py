"""The chart of generated area relative to real area: dots with intervals on a scale of doublings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dissectreport.report.html.charts import Point, linear, short
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.numbers import percent
from dissectreport.report.html.svg import drawing, line, tag, text

FARTHEST = 5
"""Doublings to either side of 1 beyond which a dot is drawn at the edge."""


@dataclass(frozen=True)
class RatioRow:
    """A concept's ratio of generated to real, and both shares."""

    concept: NamedConcept
    ratio: Point
    real: float
    generated: float
    significant: bool
    """Whether real and generated differ significantly."""


def ratios(name: str, title: str, description: str, rows: Sequence[RatioRow]) -> Markup:
    """A row a concept: the ratio as a dot with its interval, and a line where both areas are equal."""
    width, row, left, right, top = 600.0, 25.0, 124.0, 150.0, 34.0
    floor = top + row * len(rows)
    low, high = _ends(rows)
    x = linear(low, high, left + 8, width - right - 14)
    inside = [text(width - 84, top - 14, "real", "end", "tick"), text(width, top - 14, "generated", "end", "tick")]
    for step in range(math.ceil(low), math.floor(high) + 1):
        inside.append(line(x(step), top - 6, x(step), floor, "grid" if step else "null thin"))
        inside.append(text(x(step), floor + 18, fraction(step), "middle", "tick"))
    for i, ratio_row in enumerate(rows):
        up = top + row * (i + 0.5)
        inside.append(text(left - 10, up + 4, short(ratio_row.concept.name), "end", "name"))
        inside.append(tag("g", *_spot(ratio_row, up, x, low, high), class_="" if ratio_row.significant else "unsure"))
        inside.append(text(width - 84, up + 4, percent(ratio_row.real), "end", "tick"))
        inside.append(
            text(width, up + 4, percent(ratio_row.generated), "end", "value" if ratio_row.significant else "tick")
        )
    return drawing(width, floor + 28, title, description, name, *inside)


def fraction(step: int) -> str:
    """2 to the power of `step`, in words.

    >>> fraction(-2), fraction(0), fraction(3)
    ('1/4', 'equal', '8×')
    """
    return "equal" if step == 0 else f"1/{2**-step}" if step < 0 else f"{2**step}×"


def _ends(rows: Sequence[RatioRow]) -> tuple[float, float]:
    """Ends of the scale in doublings, with room for every ratio and for the shorter intervals."""
    ends = [
        _doublings(value)
        for ratio_row in rows
        for value in (ratio_row.ratio.value, ratio_row.ratio.low, ratio_row.ratio.high)
    ]
    near = [value for value in ends if math.isfinite(value)]
    return max(min([*near, -1.0]) - 0.15, -FARTHEST), min(max([*near, 1.0]) + 0.15, FARTHEST)


def _doublings(ratio: float) -> float:
    return math.log2(ratio) if 0 < ratio < math.inf else -math.inf if ratio == 0 else ratio


def _spot(ratio_row: RatioRow, up: float, x: Callable[[float], float], low: float, high: float) -> list[Markup]:
    at = _doublings(ratio_row.ratio.value)
    if not low <= at <= high:
        # A ratio of 0 has no interval: an arrow shows that it lies beyond the edge.
        edge, turn = (x(low), -1) if at < low else (x(high), 1)
        points = f"M{edge + turn * 8:.1f} {up:.1f}l{-turn * 10} -6v12z"
        return [tag("path", d=points, class_=f"fill-{ratio_row.concept.mark}")]
    ends = [min(max(_doublings(v), low), high) for v in (ratio_row.ratio.low, ratio_row.ratio.high)]
    whisker = (
        []
        if any(map(math.isnan, ends))
        else [line(x(ends[0]), up, x(ends[1]), up, f"whisker line-{ratio_row.concept.mark}")]
    )
    return [*whisker, tag("circle", cx=x(at), cy=up, r=5.5, class_=f"fill-{ratio_row.concept.mark}")]
