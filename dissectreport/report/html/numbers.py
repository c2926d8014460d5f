"""Numbers as a reader sees them: short, honest at both ends, a dash where there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

DASH = "–"


def share(value: float, digits: int = 2) -> str:
    """A number in [-1, 1] without its leading zero; 0 and 1 only if they are exact."""
    if math.isnan(value):
        return DASH
    if value in (0, 1):
        return str(int(value))
    least = 10.0**-digits
    if abs(value) < least / 2:
        return "<" + f"{least:.{digits}f}"[1:]
    if 1 - least / 2 <= value < 1:
        return ">" + f"{1 - least:.{digits}f}"[1:]
    return f"{value:.{digits}f}".replace("0.", ".", 1).replace("-", "−")


def percent(value: float) -> str:
    """A share as per cent, with the digits that it deserves."""
    if math.isnan(value):
        return DASH
    if value in (0, 1):
        return f"{value:.0%}".replace("%", " %")
    hundredths = 100 * value
    if hundredths < 0.01:
        return "<0.01 %"
    if hundredths > 99.9:
        return ">99.9 %"
    return f"{hundredths:.{0 if hundredths >= 10 else 1 if hundredths >= 1 else 2}f} %"


def removed(value: float) -> str:
    """A share of an area that went, as per cent; negative where the area grew."""
    if math.isnan(value):
        return DASH
    size, sign = abs(value), "−" if value < 0 else ""
    if 0 < size < 0.0005:
        return "<0.1 %" if value > 0 else ">−0.1 %"
    if 0.9995 <= size < 1:
        return ">99.9 %" if value > 0 else "<−99.9 %"
    tenths = 0 < size < 0.0995 or 0.995 <= size < 1
    return f"{sign}{100 * size:.{1 if tenths else 0}f} %"


def change(value: float) -> str:
    """A relative change as per cent, with its sign."""
    return f"+{removed(value)}" if value > 0 else removed(value)


def points(value: float) -> str:
    """A difference of shares, in hundredths of the whole, with its sign."""
    if math.isnan(value):
        return DASH
    size = 100 * abs(value)
    if 0 < size < 0.005:
        return "±<0.01"
    words = f"{size:.{1 if size >= 10 else 2}f}"
    return words if value == 0 else f"{'+' if value > 0 else '−'}{words}"


def gain(value: float) -> str:
    """A number of pixels won, with its sign."""
    return DASH if math.isnan(value) else "0" if value == 0 else f"{'+' if value > 0 else '−'}{_size(abs(value))}"


def _size(value: float) -> str:
    return "<0.1" if value < 0.05 else f"{value:.1f}" if value < 9.95 else count(round(value))


def times(value: float) -> str:
    """A ratio: 5.5×."""
    return DASH if math.isnan(value) else f"{value:.0f}×" if value >= 100 else f"{value:.1f}×"


def ratio(value: float) -> str:
    """A ratio of any size, with two digits below 10: 0.17×."""
    return "<0.01×" if 0 < value < 0.005 else f"{value:.2f}×" if value < 9.995 else times(value)


def count(value: float) -> str:
    """A whole number with thin spaces between thousands."""
    return DASH if math.isnan(value) else f"{int(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def signed(value: float) -> str:
    """A whole number with its sign, 0 without."""
    return (
        DASH
        if math.isnan(value)
        else f"{int(value):+,d}".replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", "−")
        if int(value)
        else "0"
    )


def plain(value: float, digits: int = 3) -> str:
    """A number of any size."""
    return DASH if math.isnan(value) else f"{value:.{digits}g}".replace("-", "−")


def p_value(value: float) -> str:
    """A probability, never printed as zero."""
    return DASH if math.isnan(value) else "<.001" if value < 0.001 else share(value, 3)


@dataclass(frozen=True)
class Agreement:
    """An IoU with what it may never be shown without."""

    iou: float
    low: float
    high: float
    null: float
    lift: float
    lift_low: float
    lift_high: float
    excess: float
    excess_low: float
    excess_high: float

    @classmethod
    def of(cls, row: Any) -> Agreement:
        """From a row of a table, as `itertuples` gives it."""
        return cls(
            *(float(v) for v in (row.iou, row.iou_low, row.iou_high, row.null)),
            *(float(v) for v in (row.lift, row.lift_low, row.lift_high)),
            *(float(v) for v in (row.excess, row.excess_low, row.excess_high)),
        )

    @property
    def known(self) -> bool:
        """Whether there is a number at all."""
        return not math.isnan(self.iou)

    def css(self) -> dict[str, str]:
        """Where bar, interval and null stand, in per cent of the width."""
        fit = {"iou": self.iou, "low": self.low, "span": self.high - self.low, "null": self.null}
        return {name: f"{100 * (0 if math.isnan(v) else v):.1f}%" for name, v in fit.items()}


def compact(value: float) -> str:
    """A large number in few letters: 151k, 1.5k."""
    if value >= 10_000:
        return f"{math.floor(value / 1000 + 0.5):.0f}k"
    return f"{math.floor(value / 100 + 0.5) / 10:g}k" if value >= 1000 else f"{value:g}"
