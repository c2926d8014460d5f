"""A few words of SVG: elements with escaped text, scales and ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable

from markupsafe import Markup, escape


def tag(name: str, *inside: str, **attributes: object) -> Markup:
    """One element; `class_` gives class, `stroke_width` gives stroke-width, text is escaped."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_word(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{given}>{''.join(map(escape, inside))}</{name}>")


def _word(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".rstrip("0").rstrip(".")
    return str(escape(value))


def text(x: float, y: float, words: str, anchor: str = "start", class_: str | None = None, **more: object) -> Markup:
    """A line of text."""
    anchored = None if anchor == "start" else anchor
    return tag("text", escape(words), x=float(x), y=float(y), text_anchor=anchored, class_=class_, **more)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def rect(x: float, y: float, width: float, height: float, class_: str, **more: object) -> Markup:
    """A rectangle."""
    return tag("rect", x=float(x), y=float(y), width=float(width), height=float(height), class_=class_, **more)


def path(points: Iterable[tuple[float, float]], class_: str) -> Markup:
    """A line through points; broken where a coordinate is no number."""
    words, pen = [], "M"
    for x, y in points:
        if math.isnan(x) or math.isnan(y):
            pen = "M"
            continue
        words.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    return tag("path", d="".join(words), class_=class_)


def drawing(
    width: float, height: float, title: str, description: str, name: str, *inside: str, role: str = "img"
) -> Markup:
    """A whole picture with its title and description for those who cannot see it; a "group" has links."""
    return tag(
        "svg",
        tag("title", escape(title), id=f"{name}-t"),
        tag("desc", escape(description), id=f"{name}-d"),
        *inside,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        role=role,
        aria_labelledby=f"{name}-t",
        aria_describedby=f"{name}-d",
        id=name,
        class_="drawn",
        style=f"--w:{width:.0f}px",
    )


def _step(span: float, about: int) -> float:
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)


def round_numbers(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers between `low` and `high`."""
    step = _step(high - low, about)
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def ticks(top: float, about: int = 5) -> list[float]:
    """Round numbers from 0 to at most `top`."""
    return round_numbers(0.0, top, about) if top > 0 else [0.0]
