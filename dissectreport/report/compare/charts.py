"""Charts of a comparison as SVG, in two steps: the parts of one model, and the combination of several models.

Everything that depends on numbers is drawn here for one model at a time, on the axes of its site (`scales.py`). Putting
such parts together for chosen models only moves them and gives each the colour and the sign of its place; the fixed
page does it below, the live page in templates/static/compare-charts.js. `SIGN` marks where a sign goes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dissectreport.analysis.comparison.profiles import Estimate, LayerProfile
from dissectreport.report.compare.scales import BINS, Scales, histogram
from dissectreport.report.compare.wording import Format
from dissectreport.report.html.charts import linear, short
from dissectreport.report.html.svg import drawing, line, path, rect, round_numbers, tag, text, ticks

MOST = 6
"""Models that can be compared at a time: more signs and colours would be hard to distinguish."""
SIGN = "{sign}"
WIDTH = 560.0
LEFT, RIGHT, TOP = 116.0, 150.0, 8.0
LONGEST_NAME = 12
"""Characters of a name that fit left of a histogram."""
ROW_RIGHT = 174.0
"""Room at the right of rows for a difference with its interval."""
LANE, GAP = 13.0, 12.0
"""Height of the part of a row that one model has, and the space between rows."""
HEAP, HEAP_BELOW, HEAP_GAP = 62.0, 22.0, 16.0
"""Height of a histogram above and below its line, and the space between histograms."""
LINES_HEIGHT, LINES_LEFT, LINES_TOP, LINES_BOTTOM = 300.0, 62.0, 14.0, 40.0
SHIFT = 5.0
"""By how much lines of different models are moved sideways, so that their intervals do not hide each other."""


@dataclass(frozen=True)
class Tick:
    """A round number along an axis."""

    at: float
    words: str
    zero: bool


Axis = tuple[Tick, ...]


def signs() -> tuple[str, ...]:
    """The sign of each place: disc, diamond, triangle, square, triangle on its head, cross; drawn around 0, 0."""
    corners = (
        ((0, -6.2), (6.2, 0), (0, 6.2), (-6.2, 0)),
        ((0, -6), (5.7, 4.2), (-5.7, 4.2)),
        ((-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)),
        ((-5.7, -4.2), (5.7, -4.2), (0, 6)),
    )
    outlines = [f"M{'L'.join(f'{x:g} {y:g}' for x, y in points)}z" for points in corners]
    paths = [tag("path", d=outline, class_=f"mark mark-{i}") for i, outline in enumerate(outlines, 2)]
    cross = tag("path", d="M-4 -4l8 8m0 -8l-8 8", class_="mark mark-6 open")
    return (tag("circle", r=4.8, class_="mark mark-1"), *paths, cross)


def lane(estimate: Estimate, reference: float, low: float, high: float) -> Markup:
    """One model's part of a row: a bar from 0 to its sign, the interval pale, and a tick for the reference value."""
    x = linear(low, high, LEFT, WIDTH - ROW_RIGHT)

    def at(value: float) -> float:
        return x(min(max(value, low), high))

    reference_tick = [] if math.isnan(reference) else [line(at(reference), -4.5, at(reference), 4.5, "chance_level")]
    if not estimate.known:
        return Markup("").join(reference_tick)
    start, end = sorted((at(0.0), at(estimate.value)))
    parts = [rect(start, -1.2, end - start, 2.4, "bar"), sign_at(at(estimate.value), 0.0)]
    if not math.isnan(estimate.low + estimate.high):
        parts.insert(0, rect(at(estimate.low), -4, at(estimate.high) - at(estimate.low), 8, "reach", rx=2.0))
    return Markup("").join([*parts, *reference_tick])


def sign_at(x: float, y: float) -> Markup:
    """Where the sign of a model goes."""
    return tag("g", Markup(SIGN), transform=f"translate({x:.1f} {y:.1f})")


def axis(low: float, high: float, start: float, end: float, words: Format) -> Axis:
    """Round numbers between two ends, for rows or histograms."""
    x = linear(low, high, start, end)
    return tuple(Tick(round(x(m), 1), words(m), abs(m) < 1e-9) for m in round_numbers(low, high, 4))


def row_axis(low: float, high: float, words: Format) -> Axis:
    """The axis under rows."""
    return axis(low, high, LEFT, WIDTH - ROW_RIGHT, words)


def histogram_axis(scales: Scales, words: Format) -> Axis:
    """The axis under histograms of IoU."""
    return axis(0.0, scales.iou, LEFT, WIDTH - 22, words)


def heap(layer: LayerProfile, scales: Scales) -> Markup:
    """The units of a layer over IoU, those that are not interpretable faint, and their chance levels downwards."""
    wide = (WIDTH - 22 - LEFT) / BINS
    factor = min(HEAP / scales.heights[0], HEAP_BELOW / scales.heights[1] * 4)
    bars = [line(LEFT, 0, WIDTH - 22, 0, "axis")]
    for i, (good, other, chance_level) in enumerate(zip(*histogram(layer, scales.iou), strict=True)):
        x = LEFT + wide * i + 0.5
        for below, share, kind in ((0.0, good, "bar"), (good, other, "bar faint")):
            if share:
                bars.append(rect(x, -(below + share) * factor, wide - 1, share * factor, kind))
        if chance_level:
            bars.append(rect(x, 1, wide - 1, min(chance_level * factor, HEAP_BELOW), "bar fill-quiet"))
    middle = median([iou for iou, _, good in layer.spread if good])
    if not math.isnan(middle):
        x = LEFT + (WIDTH - 22 - LEFT) * middle / scales.iou
        bars.append(line(x, -HEAP * 0.9, x, 0, "chance_level"))
    return Markup("").join(bars)


def median(values: Sequence[float]) -> float:
    """The middle of some values; NaN of none."""
    ordered, half = sorted(values), len(values) // 2
    if not ordered:
        return math.nan
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def line_x(place: float) -> float:
    """Where 0 to 1 stands across a chart of lines."""
    return linear(0, 1, LINES_LEFT + 14, WIDTH - RIGHT - 10)(place)


def line_y(value: float, highest: float) -> float:
    """The position of a value in a chart of lines."""
    return linear(0, highest * 1.02, LINES_HEIGHT - LINES_BOTTOM, LINES_TOP)(value)


def line_grid(highest: float, words: Format) -> Markup:
    """The vertical axis of a chart of lines."""
    right, marks = WIDTH - RIGHT, ticks(highest, 5)
    heights = [line_y(m, highest) for m in marks]
    lines = [line(LINES_LEFT, y, right, y, "grid" if m else "axis") for m, y in zip(marks, heights, strict=True)]
    names = [text(LINES_LEFT - 8, y + 4, words(m), "end", "tick") for m, y in zip(marks, heights, strict=True)]
    return Markup("").join([*lines, *names])


def line_mark(place: float, words: str) -> Markup:
    """A name under a chart of lines."""
    return text(line_x(place), LINES_HEIGHT - 14, short(words, 12), "middle", "tick")


def points(
    places: Sequence[float], estimates: Sequence[Estimate], chance_level: Sequence[float], highest: float
) -> Markup:
    """One model's line with intervals and signs, and its chance levels as a dotted line."""
    spots = [(line_x(place), line_y(e.value, highest)) for place, e in zip(places, estimates, strict=True)]
    chance = [(x, line_y(value, highest)) for (x, _), value in zip(spots, chance_level, strict=True)]
    lines = [path(chance, "chance"), path(spots, "model-line")]
    return Markup("").join([*lines, *(point(x, e, highest) for (x, _), e in zip(spots, estimates, strict=True))])


def point(x: float, estimate: Estimate, highest: float) -> Markup:
    """One figure of a model in a chart of lines."""
    if not estimate.known:
        return Markup("")
    ends = [line_y(end, highest) for end in (estimate.low, estimate.high)]
    return line(x, *(ends[0], x, ends[1]), "whisker") + sign_at(x, line_y(estimate.value, highest))


def placed(part: str, place: int, x: float = 0.0, y: float = 0.0) -> Markup:
    """The part of one model, moved, with the colour and sign of its place among the models."""
    moved = f"translate({x:g} {y:g})"
    return tag("g", Markup(part.replace(SIGN, signs()[place])), class_=f"slot slot-{place + 1}", transform=moved)


@dataclass(frozen=True)
class Lane:
    """One model's part of a row, and the words at its end."""

    place: int
    part: str
    words: str
    significant: bool


@dataclass(frozen=True)
class ConceptLanes:
    """One concept in every model."""

    name: str
    lanes: tuple[Lane, ...]


def rows_chart(name: str, title: str, description: str, rows: Sequence[ConceptLanes], marks: Axis) -> Markup:
    """A row for each concept, with a lane for each model."""
    tall = LANE * max((len(row.lanes) for row in rows), default=1) + GAP
    floor = TOP + tall * len(rows)
    inside = _vertical(marks, floor, floor + 18)
    for i, row in enumerate(rows):
        top = TOP + tall * i
        inside.append(text(LEFT - 12, top + tall / 2 + 4, short(row.name), "end", "name"))
        for j, row_lane in enumerate(row.lanes):
            y = top + GAP / 2 + LANE * (j + 0.5)
            inside.append(placed(row_lane.part, row_lane.place, y=y))
            if row_lane.words:
                kind = "value sure" if row_lane.significant else "tick"
                inside.append(text(WIDTH - ROW_RIGHT + 12, y + 4, row_lane.words, class_=kind))
    return drawing(WIDTH, floor + 30, title, description, name, *inside)


def _vertical(marks: Axis, floor: float, words: float) -> list[Markup]:
    lines = [line(mark.at, TOP, mark.at, floor, "axis" if mark.zero else "grid") for mark in marks]
    return [*lines, *(text(mark.at, words, mark.words, "middle", "tick") for mark in marks)]


@dataclass(frozen=True)
class Placed:
    """The part of one model, with its name."""

    place: int
    part: str
    name: str
    layer: str = ""


def lines_chart(name: str, title: str, description: str, models: Sequence[Placed], grid: str, marks: str) -> Markup:
    """Lines of several models, whose names are at the right."""
    inside = [Markup(grid), Markup(marks)]
    for i, model in enumerate(models):
        inside.append(placed(model.part, model.place, SHIFT * (i - (len(models) - 1) / 2)))
        inside.append(placed(SIGN, model.place, WIDTH - RIGHT + 18, 30 + 19 * i))
        inside.append(text(WIDTH - RIGHT + 30, 34 + 19 * i, model.name, class_="end"))
    return drawing(WIDTH, LINES_HEIGHT, title, description, name, *inside)


def trend_chart(
    name: str,
    title: str,
    description: str,
    models: Sequence[tuple[int, str]],
    spots: Sequence[tuple[float, float | None, float | None]],
    grid: str,
    marks: str,
) -> Markup:
    """A line from checkpoint to checkpoint; `spots` has x, and y of the figure and of its chance level."""
    chance = tag("path", d=joined([(x, chance_level) for x, _, chance_level in spots]), class_="chance model-line-0")
    measured = tag("path", d=joined([(x, y) for x, y, _ in spots]), class_="model-line model-line-0")
    parts = [placed(part, place) for place, part in models]
    return drawing(WIDTH, LINES_HEIGHT, title, description, name, Markup(grid), Markup(marks), chance, measured, *parts)


def joined(spots: Sequence[tuple[float, float | None]]) -> str:
    """A line through the points that are known."""
    known = [f"{x:g} {y:g}" for x, y in spots if y is not None]
    return f"M{'L'.join(known)}" if known else ""


def heaps_chart(name: str, title: str, description: str, models: Sequence[Placed], marks: Axis) -> Markup:
    """Histograms of several models, one under the other."""
    tall = HEAP + HEAP_BELOW + HEAP_GAP
    floor = TOP + tall * len(models)
    inside = _vertical(marks, floor - 10, floor + 8)
    for i, model in enumerate(models):
        base = TOP + tall * i + HEAP
        inside.append(placed(model.part, model.place, y=base))
        inside.append(placed(SIGN, model.place, 6, base - 5))
        long = len(model.name) > LONGEST_NAME  # it ends before the bars beside it
        inside.append(
            text(
                18,
                base - 1,
                model.name,
                class_="name",
                textLength=LEFT - 26 if long else None,
                lengthAdjust="spacingAndGlyphs" if long else None,
            )
        )
        inside.append(text(18, base + 15, model.layer, class_="tick"))
    return drawing(WIDTH, floor + 20, title, description, name, *inside)
