"""How pages write numbers: the one place that turns a number into text.

61%, 0.57, 1,248, 5.5×; at most three significant digits; a dash where there is no number. A figure and the ends of its
interval have equally many decimals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

DASH = "–"
MINUS = "−"
SMALLEST = 0.0001
"""Numbers nearer to 0 are written with an exponent."""


def share(value: float, digits: int = 2) -> str:
    """A number in [-1, 1] with so many decimals; 0 and 1 only if they are exact.

    >>> share(0.567), share(-0.02), share(0.001), share(0.999), share(1)
    ('0.57', '−0.02', '<0.01', '>0.99', '1')
    """
    if math.isnan(value):
        return DASH
    if value in (0, 1):
        return str(int(value))
    least = 10.0**-digits
    if abs(value) < least / 2:
        return f"<{least:.{digits}f}"
    if 1 - least / 2 <= value < 1:
        return f">{1 - least:.{digits}f}"
    return _negative(f"{value:.{digits}f}")


def percent(value: float) -> str:
    """A share of a whole; 100% only if it is exact.

    >>> percent(0.61), percent(0.0123), percent(0.00001), percent(0.996), percent(1)
    ('61%', '1.2%', '<0.01%', '99.6%', '100%')
    """
    if math.isnan(value):
        return DASH
    if value in (0, 1):
        return f"{value:.0%}"
    hundredths = 100 * value
    if hundredths < 0.01:
        return "<0.01%"
    if hundredths > 99.9:
        return ">99.9%"
    return f"{hundredths:.{1 if hundredths >= 99.5 else 0 if hundredths >= 10 else 1 if hundredths >= 1 else 2}f}%"


def removed(value: float) -> str:
    """The share of an area that was removed; negative where the area grew."""
    if math.isnan(value):
        return DASH
    size, sign = abs(value), MINUS if value < 0 else ""
    if 0 < size < 0.0005:
        return "<0.1%" if value > 0 else f">{MINUS}0.1%"
    if 0.9995 <= size < 1:
        return ">99.9%" if value > 0 else f"<{MINUS}99.9%"
    tenths = 0 < size < 0.0995 or 0.995 <= size < 1
    return f"{sign}{100 * size:.{1 if tenths else 0}f}%"


def change(value: float) -> str:
    """A relative change with its sign: +12%."""
    return f"+{removed(value)}" if value > 0 else removed(value)


def points(value: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    if math.isnan(value):
        return DASH
    size = 100 * abs(value)
    if 0 < size < 0.005:
        return "±<0.01"
    digits = f"{size:.{1 if size >= 10 else 2}f}"
    return digits if value == 0 else f"{'+' if value > 0 else MINUS}{digits}"


def gain(value: float) -> str:
    """A number of pixels gained, with its sign."""
    return DASH if math.isnan(value) else "0" if value == 0 else f"{'+' if value > 0 else MINUS}{_size(abs(value))}"


def _size(value: float) -> str:
    return "<0.1" if value < 0.05 else f"{value:.1f}" if value < 9.95 else count(round(value))


def times(value: float) -> str:
    """A ratio: 5.5×."""
    return DASH if math.isnan(value) else f"{value:,.0f}×" if value >= 100 else f"{value:.1f}×"


def ratio(value: float) -> str:
    """A ratio of any size, with two digits below 10: 0.17×."""
    return "<0.01×" if 0 < value < 0.005 else f"{value:.2f}×" if value < 9.995 else times(value)


def count(value: float) -> str:
    """A whole number with a comma between thousands: 1,248."""
    return DASH if math.isnan(value) else f"{int(value):,}"


def signed(value: float) -> str:
    """A whole number with its sign; 0 has none."""
    return DASH if math.isnan(value) else _negative(f"{int(value):+,d}") if int(value) else "0"


def plain(value: float, digits: int = 3) -> str:
    """A number of any size, by default with three significant digits.

    >>> plain(0.0476), plain(5.2), plain(-1234.5), plain(0.0)
    ('0.0476', '5.20', '−1,234', '0')
    """
    if math.isnan(value) or value == 0:
        return DASH if value else "0"
    if math.isinf(value) or abs(value) < SMALLEST:
        return _negative(f"{value:.{digits}g}")
    rounded = float(f"{value:.{digits}g}")
    return _negative(f"{value:,.{max(digits - 1 - _power(rounded), 0)}f}")


def tick(value: float) -> str:
    """A round number along an axis.

    >>> tick(-0.5), tick(2.0), tick(3 * 0.1)
    ('−0.5', '2', '0.3')
    """
    return _negative(f"{value:g}")


def decimal(value: float, digits: int) -> str:
    """A number with so many decimals; 0 only if it is exact.

    >>> decimal(0.0683, 3), decimal(-0.004, 2), decimal(1.0, 2)
    ('0.068', '>−0.01', '1.00')
    """
    if math.isnan(value) or value == 0:
        return DASH if value else "0"
    words = f"{abs(value):,.{digits}f}"
    if float(words.replace(",", "")) == 0:
        least = f"{10.0**-digits:.{digits}f}"
        return f"<{least}" if value > 0 else f">{MINUS}{least}"
    return words if value > 0 else f"{MINUS}{words}"


def form_of(point: HasInterval) -> Callable[[float], str]:
    """How a figure and its interval are written: with two digits of half the interval, and at most three of the figure.

    A figure without an interval has three digits.
    """
    ends = [abs(v) for v in (point.value, point.low, point.high) if math.isfinite(v) and v != 0]
    most = 2 - _power(max(ends, default=1.0))
    half = (point.high - point.low) / 2
    digits = min(1 - _power(half), most) if half > 0 and math.isfinite(half) else most
    return partial(decimal, digits=max(digits, 0))


def figure(point: HasInterval) -> str:
    """A figure with as many decimals as its interval allows."""
    return form_of(point)(point.value)


def before_and_after(before: float, after: float) -> str:
    """Two values of one measure, with equally many decimals.

    >>> before_and_after(-2.7, -2.92)
    '−2.70 → −2.92'
    """
    largest = max(abs(before), abs(after)) or 1.0
    digits = max(2 - _power(largest), 0)
    return f"{decimal(before, digits)} → {decimal(after, digits)}"


def _power(value: float) -> int:
    """The power of ten of the first digit."""
    return math.floor(math.log10(abs(value)))


def p_value(value: float) -> str:
    """A probability, never written as zero."""
    return DASH if math.isnan(value) else "<0.001" if value < 0.001 else share(value, 3)


def compact(value: float) -> str:
    """A large number in few letters: 151k, 1.5k."""
    if value >= 10_000:
        return f"{math.floor(value / 1000 + 0.5):.0f}k"
    return f"{math.floor(value / 100 + 0.5) / 10:g}k" if value >= 1000 else f"{value:g}"


def interval(low: float, high: float, form: Callable[[float], str]) -> str:
    """An interval in brackets, its ends written by `form`: [0.52, 0.61]."""
    return f"[{form(low)}, {form(high)}]"


def with_interval(point: HasInterval, form: Callable[[float], str]) -> str:
    """A figure with its interval: 61% [55%, 66%]."""
    return f"{form(point.value)} {interval(point.low, point.high, form)}"


def listing(words: Sequence[object], last: str = "and") -> str:
    """Words in a sentence.

    >>> listing([1, 10, 20], "or")
    '1, 10 or 20'
    """
    every = [str(word) for word in words]
    return f" {last} ".join(filter(None, [", ".join(every[:-1]), *every[-1:]]))


def plural(number: float, noun: str) -> str:
    """A count with its noun: 1 unit, 1,248 units."""
    return f"{count(number)} {noun}{'s' if number != 1 else ''}"


class HasInterval(Protocol):
    """A figure with the ends of its interval."""

    @property
    def value(self) -> float:
        """The figure."""

    @property
    def low(self) -> float:
        """The lower end of its interval."""

    @property
    def high(self) -> float:
        """The upper end of its interval."""


def _negative(digits: str) -> str:
    return digits.replace("-", MINUS, 1) if digits.startswith("-") else digits


SHADES = {"areas": "--a", "position": "--b", "image level": "--c", "within images": "--d"}
"""The parts of an IoU, and the variables of the style sheet that hold their widths."""


@dataclass(frozen=True)
class Agreement:
    """An IoU with its interval and its chance level, which are always shown with it."""

    iou: float
    low: float
    high: float
    chance_level: float
    lift: float
    lift_low: float
    lift_high: float
    corrected_iou: float
    corrected_iou_low: float
    corrected_iou_high: float
    iou_areas: float = math.nan
    """Expected from the areas of unit and concept alone."""
    iou_image_level: float = math.nan
    """Expected from position and from how active the unit is in each image."""
    within: float = math.nan
    """What is beyond that: localisation within images."""
    within_low: float = math.nan
    within_high: float = math.nan
    selection_score: float = math.nan
    """What the strongest unit is chosen by."""
    kind: str = ""
    """object, scene, place or ''."""

    @classmethod
    def of(cls, row: Any) -> Agreement:
        """From a row of a table, as `itertuples` gives it."""
        values = [
            *(row.iou, row.iou_low, row.iou_high, row.chance_level),
            *(row.lift, row.lift_low, row.lift_high),
            *(row.corrected_iou, row.corrected_iou_low, row.corrected_iou_high),
            *(row.iou_areas, row.iou_image_level),
            *(row.within_images, row.within_images_low, row.within_images_high),
            row.selection_score,
        ]
        numbers: list[Any] = [float(value) for value in values]
        numbers.append(str(row.kind))
        return cls(*numbers)

    @property
    def known(self) -> bool:
        """Whether there is a number at all."""
        return not math.isnan(self.iou)

    @property
    def shades(self) -> tuple[float, ...]:
        """What the IoU is made of, from left to right: the width of each part in percent; () where it is unknown."""
        ends = [min(max(v, 0.0), self.iou) for v in (self.iou_areas, self.chance_level, self.iou_image_level, self.iou)]
        if math.isnan(sum(ends) + self.iou_image_level):
            return ()
        rising = [max(ends[: at + 1]) for at in range(len(ends))]
        widths = [end - start for start, end in zip([0.0, *rising], rising, strict=False)]
        return tuple(round(100 * width, 1) for width in widths)

    @property
    def shades_style(self) -> str:
        """The four widths as the style of a bar."""
        return ";".join(f"{part}:{width:.1f}%" for part, width in zip(SHADES.values(), self.shades, strict=True))

    def css(self) -> dict[str, str]:
        """Positions of bar, interval and chance level, as a percentage of the width."""
        positions = {"iou": self.iou, "low": self.low, "span": self.high - self.low, "chance_level": self.chance_level}
        return {name: f"{100 * (0 if math.isnan(v) else v):.1f}%" for name, v in positions.items()}
