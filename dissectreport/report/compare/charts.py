"""Charts of a comparison as SVG: each model has a colour and a sign, so that colour never stands alone.

templates/static/compare.js draws the same in the browser, where models are chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dissectreport.analysis.comparison.profiles import Estimate
from dissectreport.report.html.charts import apart, linear, short
from dissectreport.report.html.svg import drawing, line, path, rect, round_numbers, tag, text, ticks

WIDTH = 560.0
MOST = 6
"""Models that can be compared at a time: more signs and colours could not be told apart."""
LANE, GAP = 10.0, 13.0


def sign(model: int, x: float, y: float, size: float = 4.6) -> Markup:
    """The sign of model number `model`: disc, diamond, triangle, square, triangle on its head, cross."""
    kind = f"mark mark-{model + 1}"
    s = size
    if model == 0:
        return tag("circle", cx=x, cy=y, r=s, class_=kind)
    if model == 5:
        arm, side = s * 0.8, f"{s * 1.6:.1f}"
        words = f"M{x - arm:.1f} {y - arm:.1f}l{side} {side}m0 -{side}l-{side} {side}"
        return tag("path", d=words, class_=f"{kind} open")
    corners = {
        1: ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
        2: ((0, -1.2), (1.15, 0.85), (-1.15, 0.85)),
        3: ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        4: ((-1.15, -0.85), (1.15, -0.85), (0, 1.2)),
    }[model]
    points = "L".join(f"{x + a * s:.1f} {y + b * s:.1f}" for a, b in corners)
    return tag("path", d=f"M{points}z", class_=kind)


@dataclass(frozen=True)
class Row:
    """One thing in every model."""

    name: str
    estimates: tuple[Estimate, ...]
    beside: tuple[float, ...]
    """What chance or random units give, a tick in every lane."""
    words: str = ""
    """The difference, at the end of the row."""
    sure: bool = False
    """Whether that leaves out 0."""


def rows(
    name: str, title: str, description: str, found: Sequence[Row], told: Callable[[float], str], most: float = math.inf
) -> Markup:
    """A row for each thing, a lane for each model: line from 0 to a sign, its interval pale, and a tick for chance."""
    models = max((len(row.estimates) for row in found), default=1)
    longest = max((len(row.words) for row in found), default=0)
    left, right, top = 116.0, (max(118.0, 14 + 7.6 * longest) if longest else 22.0), 8.0
    height = LANE * models + GAP
    floor = top + height * len(found)
    shown = [v for row in found for e in row.estimates for v in (e.value, e.low, e.high) if not math.isnan(v)]
    shown += [v for row in found for v in row.beside if not math.isnan(v)]
    low, high = max(min([*shown, 0.0]), -most), min(max([*shown, 0.0]), most)
    if high - low <= 0:
        high = low + 1.0
    x = linear(low, high, left, WIDTH - right)
    inside = [line(x(m), top, x(m), floor, "grid" if abs(m) > 1e-9 else "axis") for m in round_numbers(low, high, 4)]
    inside += [text(x(m), floor + 18, told(m), "middle", "tick") for m in round_numbers(low, high, 4)]
    for i, row in enumerate(found):
        up = top + height * i
        inside.append(text(left - 12, up + height / 2 + 4, short(row.name), "end", "name"))
        for lane, (one, beside) in enumerate(zip(row.estimates, row.beside, strict=True)):
            inside += _lane(lane, one, beside, up + GAP / 2 + LANE * (lane + 0.5), lambda v: x(min(max(v, low), high)))
        if row.words:
            kind = "value sure" if row.sure else "tick"
            inside.append(text(WIDTH - right + 12, up + height / 2 + 4, row.words, class_=kind))
    return drawing(WIDTH, floor + 30, title, description, name, *inside)


def _lane(lane: int, one: Estimate, beside: float, y: float, x: Callable[[float], float]) -> list[Markup]:
    drawn = []
    if one.known:
        start, end = sorted((x(0.0), x(one.value)))
        if not math.isnan(one.low + one.high):
            drawn.append(rect(x(one.low), y - 4, x(one.high) - x(one.low), 8, f"reach model-{lane + 1}", rx=2.0))
        drawn.append(rect(start, y - 1.2, end - start, 2.4, f"bar model-{lane + 1}"))
        drawn.append(sign(lane, x(one.value), y))
    if not math.isnan(beside):
        drawn.append(line(x(beside), y - 4.5, x(beside), y + 4.5, "null"))
    return drawn


@dataclass(frozen=True)
class Line:
    """A figure of one model over places, e.g. layers, and what chance gives at each."""

    name: str
    model: int
    at: tuple[float, ...]
    """Where each stands across, 0 to 1."""
    estimates: tuple[Estimate, ...]
    null: tuple[float, ...]
    signs: tuple[int, ...] = ()
    """The model of each point, where a line goes from model to model; it has then no colour and name."""


def lines(
    name: str,
    title: str,
    description: str,
    found: Sequence[Line],
    marks: Sequence[tuple[float, str]],
    told: Callable[[float], str],
    least: float,
) -> Markup:
    """Lines with whiskers over places 0 to 1, chance as dots; `marks` name places; named at their right ends."""
    height, left, right, top, bottom = 300.0, 62.0, 150.0, 14.0, 40.0
    shown = [v for one in found for e in one.estimates for v in (e.value, e.high) if not math.isnan(v)]
    highest = max([*shown, least])
    y = linear(0, highest * 1.02, height - bottom, top)
    x = linear(0, 1, left + 14, WIDTH - right - 10)
    scale = ticks(highest, 5)
    inside = [line(left, y(m), WIDTH - right, y(m), "grid" if m else "axis") for m in scale]
    inside += [text(left - 8, y(m) + 4, told(m), "end", "tick") for m in scale]
    inside += [text(x(at), height - 14, short(words, 12), "middle", "tick") for at, words in marks]
    ends: list[tuple[float, str]] = []
    for i, one in enumerate(found):
        shift = (i - (len(found) - 1) / 2) * 5
        spots = [(x(at) + shift, y(e.value)) for at, e in zip(one.at, one.estimates, strict=True)]
        chance = [(across, y(v)) for (across, _), v in zip(spots, one.null, strict=True)]
        own = 0 if one.signs else one.model + 1
        inside.append(path(chance, f"chance model-line-{own}"))
        inside.append(path(spots, f"model-line model-line-{own}"))
        each = one.signs or (one.model,) * len(spots)
        for (across, up), e, model in zip(spots, one.estimates, each, strict=True):
            if e.known:
                inside.append(line(across, y(e.low), across, y(e.high), f"whisker model-line-{model + 1}"))
                inside.append(sign(model, across, up, 5))
        known = [up for (_, up), e in zip(spots, one.estimates, strict=True) if e.known]
        if known and not one.signs:
            ends.append((known[-1], str(i)))
    for up, at in apart(ends, 19, height - bottom + 4):
        one = found[int(at)]
        inside.append(sign(one.model, WIDTH - right + 18, up, 5))
        inside.append(text(WIDTH - right + 30, up + 4, short(one.name, 18), class_="end"))
    return drawing(WIDTH, height, title, description, name, *inside)


@dataclass(frozen=True)
class Heap:
    """The units of one model: IoU, null, and whether each is interpretable."""

    name: str
    model: int
    units: tuple[tuple[float, float, bool], ...]


BINS = 32


def heaps(name: str, title: str, description: str, found: Sequence[Heap]) -> Markup:
    """For each model a heap of its units over IoU, those that are not interpretable faint, and its null turned down."""
    left, right, top, up, down = 116.0, 22.0, 6.0, 62.0, 22.0
    highest = max([v for heap in found for iou, null, _ in heap.units for v in (iou, null)] + [0.05])
    x = linear(0, highest, left, WIDTH - right)
    columns = [_columns(heap, highest) for heap in found]
    tallest = max([a + b for sure, rest, _ in columns for a, b in zip(sure, rest, strict=True)] + [1e-9])
    deepest = max([v for _, _, null in columns for v in null] + [1e-9])
    scale = min(up / tallest, down / deepest * 4)
    row = up + down + 16
    floor = top + row * len(found)
    marks = ticks(highest, 5)
    inside = [line(x(m), top, x(m), floor - 10, "grid" if m else "axis") for m in marks]
    inside += [text(x(m), floor + 8, iou_tick(m), "middle", "tick") for m in marks]
    wide = (WIDTH - right - left) / BINS
    for i, (heap, (sure, rest, null)) in enumerate(zip(found, columns, strict=True)):
        base = top + row * i + up
        inside.append(line(left, base, WIDTH - right, base, "axis"))
        inside.append(sign(heap.model, 6, base - 5, 5))
        inside.append(text(18, base - 1, short(heap.name, 12), class_="name"))
        for b in range(BINS):
            at = left + wide * b + 0.5
            for start, share, kind in ((0.0, sure[b], ""), (sure[b], rest[b], " faint")):
                if share:
                    tall = share * scale
                    inside.append(
                        rect(at, base - start * scale - tall, wide - 1, tall, f"bar model-{heap.model + 1}{kind}")
                    )
            if null[b]:
                inside.append(rect(at, base + 1, wide - 1, min(null[b] * scale, down), "bar fill-quiet"))
        middle = median([iou for iou, _, good in heap.units if good])
        if not math.isnan(middle):
            inside.append(line(x(middle), base - up * 0.9, x(middle), base, "null"))
    return drawing(WIDTH, floor + 20, title, description, name, *inside)


def iou_tick(value: float) -> str:
    """A round number without its leading zero."""
    return "0" if value == 0 else f"{value:.2f}".rstrip("0").replace("0.", ".", 1)


def _columns(heap: Heap, highest: float) -> tuple[list[float], list[float], list[float]]:
    """Shares of the units by bin of IoU, interpretable and not, and by bin of their null."""
    sure, rest, null = ([0.0] * BINS for _ in range(3))
    each = 1 / max(len(heap.units), 1)
    for iou, chance, good in heap.units:
        (sure if good else rest)[bin_of(iou, highest)] += each
        null[bin_of(chance, highest)] += each
    return sure, rest, null


def bin_of(value: float, highest: float) -> int:
    """The bin of a value between 0 and the highest."""
    return min(max(int(value / highest * BINS), 0), BINS - 1)


def median(values: Sequence[float]) -> float:
    """The middle of some values; NaN of none."""
    ordered, half = sorted(values), len(values) // 2
    if not ordered:
        return math.nan
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
