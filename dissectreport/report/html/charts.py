"""Charts as SVG; colours are CSS variables, so that they follow the theme of the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from dissectreport.analysis.results.dissection import Control, Kind
from dissectreport.report.html.numbers import count, interval, percent, plain, plural, share, tick, with_interval
from dissectreport.report.html.svg import drawing, line, path, rect, round_numbers, tag, text, ticks

CONTROL_WORDS: Mapping[str, str] = {
    Control.MEASURED: "units",
    Control.RANDOM_DIRECTIONS: "random directions",
    Control.UNTRAINED: "untrained",
    Control.CHANCE: "chance level",
}
"""What pages call them."""
KIND_WORDS: Mapping[str, str] = {
    Kind.OBJECT: "localises the concept within images",
    Kind.SCENE: "tells which images show the concept, or how much of it",
    Kind.PLACE: "matches the concept by position alone",
}
"""What a unit of each kind does."""
KIND_WORDS_MANY: Mapping[str, str] = {
    Kind.OBJECT: "localise their concept within images",
    Kind.SCENE: "tell which images show their concept, or how much of it",
    Kind.PLACE: "match their concept by position alone",
}
"""What units of each kind do."""


@dataclass(frozen=True)
class Point:
    """A figure with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """One control over the layers."""

    control: str
    points: tuple[Point, ...]


def linear(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """The position of a value if `low` is at `start` and `high` at `end`."""
    return lambda value: start + (end - start) * (value - low) / (high - low)


def mark(control: str, x: float, y: float) -> Markup:
    """The sign of a control: disc, diamond, triangle or cross."""
    kind = f"ctl ctl-{control}"
    if control == Control.MEASURED:
        return tag("circle", cx=x, cy=y, r=5.5, class_=kind)
    if control == Control.RANDOM_DIRECTIONS:
        return tag("path", d=f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z", class_=kind)
    if control == Control.UNTRAINED:
        return tag("path", d=f"M{x:.1f} {y - 6:.1f}l6 10.5h-12z", class_=kind)
    return tag("path", d=f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8", class_=kind)


def over_layers(
    name: str, title: str, description: str, layers: Sequence[str], series: Sequence[Series], as_share: bool
) -> Markup:
    """Lines over the layers, one a control, with whiskers; labelled at their right ends."""
    width, height, left, right, top, bottom = 560.0, 300.0, 62.0, 166.0, 14.0, 40.0
    highest = max([p.high for s in series for p in s.points if not math.isnan(p.high)] + [0.0])
    marks = ticks(max(highest, 0.05 if as_share else 1.0), 5)
    ceiling = max(marks[-1], highest) * 1.02 or 1.0
    plot_width, plot_height = width - left - right, height - top - bottom
    step = plot_width / max(len(layers) - 1, 1)
    x = [left + 12 + i * (step - 24 / max(len(layers) - 1, 1)) for i in range(len(layers))]
    y = linear(0, ceiling, top + plot_height, top)
    inside = [line(left, y(m), left + plot_width, y(m), "grid" if m else "axis") for m in marks]
    inside += [text(left - 8, y(m) + 4, percent(m) if as_share else f"{m:g}", "end", "tick") for m in marks]
    inside += [text(at, height - 14, short(layer), "middle", "tick") for at, layer in zip(x, layers, strict=True)]
    ends: list[tuple[float, str]] = []
    form = percent if as_share else count
    for i, one in enumerate(series):
        shift = (i - (len(series) - 1) / 2) * 5
        spots = [(at + shift, y(p.value)) for at, p in zip(x, one.points, strict=True)]
        inside.append(path(spots, f"ctl-line ctl-{one.control}"))
        for (at, up), layer, point in zip(spots, layers, one.points, strict=True):
            if not math.isnan(point.value):
                whisker = line(at, y(point.low), at, y(point.high), f"whisker ctl-{one.control}")
                said = f"{layer}, {CONTROL_WORDS.get(one.control, one.control)}: {with_interval(point, form)}"
                inside.append(tag("g", tag("title", said), whisker, mark(one.control, at, up)))
        if not math.isnan(one.points[-1].value):
            ends.append((spots[-1][1], one.control))
    for up, control in spaced(ends, 19, height - bottom + 4):
        inside.append(mark(control, width - right + 22, up))
        inside.append(
            text(width - right + 34, up + 4, CONTROL_WORDS.get(control, control), class_=f"end end-{control}")
        )
    return drawing(width, height, title, description, name, *inside)


@dataclass(frozen=True)
class MatchCurve:
    """The units of one control that match their label at least so well."""

    control: str
    cut_offs: tuple[float, ...]
    points: tuple[Point, ...]
    """A share of the layer's units at each cut-off."""


def over_cut_offs(
    name: str, title: str, description: str, curves: Sequence[MatchCurve], cut_off: float, heading: str
) -> Markup:
    """A line with its band for each control over the cut-off; the rule's own is marked, and lines are labelled."""
    width, height, left, right, top, bottom = 560.0, 300.0, 62.0, 166.0, 14.0, 46.0
    highest = max([p.high for one in curves for p in one.points] + [0.05])
    last = max([c for one in curves for c, p in zip(one.cut_offs, one.points, strict=True) if p.high > 0] + [0.1])
    marks = ticks(highest, 5)
    x, y = linear(0, last, left, width - right), linear(0, highest * 1.02, height - bottom, top)
    inside = [line(left, y(m), width - right, y(m), "grid" if m else "axis") for m in marks]
    inside += [text(left - 8, y(m) + 4, percent(m), "end", "tick") for m in marks]
    inside += [text(x(m), height - bottom + 18, tick(m), "middle", "tick") for m in ticks(last, 5)]
    inside.append(text((left + width - right) / 2, height - 6, heading, "middle", "tick"))
    if cut_off <= last:
        inside.append(line(x(cut_off), top, x(cut_off), height - bottom, "threshold"))
    for one in curves:
        shown = [(x(c), p) for c, p in zip(one.cut_offs, one.points, strict=True) if c <= last]
        edge = [(at, y(p.high)) for at, p in shown] + [(at, y(p.low)) for at, p in reversed(shown)]
        inside.append(path(edge, f"band band-{one.control}"))
    for one in curves:
        spots = [(x(c), y(p.value)) for c, p in zip(one.cut_offs, one.points, strict=True) if c <= last]
        inside.append(path(spots, f"ctl-line ctl-{one.control}"))
    for at, one in enumerate(curves):
        up = top + 12 + 19 * at
        inside.append(mark(one.control, width - right + 22, up))
        words = CONTROL_WORDS.get(one.control, one.control)
        inside.append(text(width - right + 34, up + 4, words, class_=f"end end-{one.control}"))
    return drawing(width, height, title, description, name, *inside)


def short(name: str, most: int = 16) -> str:
    """The name, cut where it is longer than a chart has room for."""
    return name if len(name) <= most else name[: most - 1] + "…"


def spaced(ends: list[tuple[float, str]], gap: float, lowest: float) -> list[tuple[float, str]]:
    """The heights, moved as little as necessary to leave `gap` between neighbours."""
    placed: list[tuple[float, str]] = []
    for up, name in sorted(ends):
        placed.append((max(up, placed[-1][0] + gap) if placed else up, name))
    over = placed[-1][0] - lowest if placed else 0.0
    for i in range(len(placed) - 1, -1, -1):
        limit = placed[i + 1][0] - gap if i + 1 < len(placed) else lowest
        if over > 0:
            placed[i] = (min(placed[i][0], limit), placed[i][1])
    return placed


@dataclass(frozen=True)
class Bar:
    """Units of one concept."""

    concept: str
    units: int
    leading: int
    """Those for which it is the label over all categories."""
    href: str


@dataclass(frozen=True)
class BarGroup:
    """The concepts of one category, with what stands above them."""

    category: str
    mark: str
    heading: str
    """The count with its interval."""
    controls: str
    """The controls' counts."""
    bars: tuple[Bar, ...]


def concept_bars(name: str, title: str, description: str, groups: Sequence[BarGroup]) -> Markup:
    """Units per concept as columns, grouped by category; every column is a link to its units."""
    longest = max([len(short(bar.concept)) for group in groups for bar in group.bars] + [4])
    width, top, bottom, between = 1150.0, 58.0, 20.0 + 5.2 * longest, 34.0
    height = 154.0 + bottom
    least = max([max(_beside(group) + 6.6 * len(group.heading), 6.2 * len(group.controls)) for group in groups] + [0.0])
    pitch = _pitch([len(group.bars) for group in groups], width - between * (len(groups) - 1), least)
    thick = pitch - max(4.0, pitch * 0.22)
    most = max([bar.units for group in groups for bar in group.bars] + [1])
    floor = height - bottom
    inside: list[Markup] = []
    first = len(short(groups[0].bars[0].concept)) if groups else 0
    x = max(0.0, 6.0 * first - thick / 2)  # room for the slanted name under the first column
    for group in groups:
        span = max(pitch * len(group.bars), least)
        inside.append(text(x, 14, group.category, class_=f"group ink-{group.mark}"))
        inside.append(text(x + _beside(group), 14, group.heading, class_="count"))
        inside.append(text(x, 32, group.controls, class_="tick"))
        inside.append(line(x, floor + 0.5, x + pitch * len(group.bars) - pitch + thick, floor + 0.5, "axis"))
        for i, bar in enumerate(group.bars):
            inside.append(_column(x + i * pitch, thick, floor, (floor - top) * bar.units / most, bar, group.mark))
        x += span + between
    return drawing(max(x - between, 320.0), height, title, description, name, *inside, role="group")


def _beside(group: BarGroup) -> float:
    """How far from the start of a category's name its count stands, on the same line."""
    return 14.0 + 9.0 * len(group.category)


def _pitch(sizes: Sequence[int], width: float, least: float, most: float = 58.0) -> float:
    """How far apart columns stand if each group of `sizes` columns takes `least` or more of `width`."""
    wide = [size for size in sizes if size * most > least]
    while wide:
        room = width - least * (len(sizes) - len(wide))
        pitch = min(most, max(room, 0.0) / sum(wide))
        if all(size * pitch > least for size in wide):
            return pitch
        wide = [size for size in wide if size * pitch > least]
    return min(most, least / max([*sizes, 1]))


def _column(x: float, thick: float, floor: float, tall: float, bar: Bar, colour: str) -> Markup:
    middle, whole = x + thick / 2, tall * bar.leading / max(bar.units, 1)
    said = f"{bar.concept}: {plural(bar.units, 'unit')}; the overall label of {count(bar.leading)}"
    return tag(
        "a",
        tag("title", said),
        rect(x, floor - tall, thick, tall, f"bar fill-{colour} part", rx=min(2.0, thick / 4)),
        rect(x, floor - whole, thick, whole, f"bar fill-{colour}", rx=min(2.0, thick / 4)),
        text(middle, floor - tall - 7, str(bar.units), "middle", "value"),
        text(
            middle + 4,
            floor + 16,
            short(bar.concept),
            "end",
            "name",
            transform=f"rotate(-42 {middle + 4:.1f} {floor + 16:.1f})",
        ),
        href=bar.href,
        aria_label=f"{bar.concept}: {bar.units} units",
        class_="column",
    )


@dataclass(frozen=True)
class Ranked:
    """One concept of a unit's ranking."""

    concept: str
    mark: str
    iou: float
    low: float
    high: float
    chance_level: float
    leading: bool
    tested: bool = True


def _name_class(row: Ranked) -> str:
    return "name lead" if row.leading else "name" if row.tested else "name untested"


def ranking(name: str, title: str, description: str, rows: Sequence[Ranked]) -> Markup:
    """IoU over concepts as bars with whiskers, the chance level as a tick across each."""
    width, row, left, right, top = 560.0, 27.0, 118.0, 14.0, 8.0
    height = top + row * len(rows) + 34
    highest = max([v for r in rows for v in (r.high, r.chance_level) if not math.isnan(v)] + [0.05])
    marks = ticks(highest, 5)
    x = linear(0, highest, left, width - right)
    floor = height - 30
    inside = [line(x(m), top, x(m), floor, "grid" if m else "axis") for m in marks]
    inside += [text(x(m), floor + 18, share(m, 2 if highest < 0.5 else 1), "middle", "tick") for m in marks]
    for i, one in enumerate(rows):
        up = top + row * i + row / 2
        inside.append(
            text(left - 10, up + 4, short(one.concept) + ("" if one.tested else " *"), "end", _name_class(one))
        )
        figure = f"{share(one.iou)} {interval(one.low, one.high, share)}"
        said = f"{one.concept}: IoU {figure}, chance {share(one.chance_level)}"
        kind = f"bar fill-{one.mark}" + ("" if one.leading else " faint")
        parts = (
            rect(left, up - 6, max(x(one.iou) - left, 0.0), 12, kind),
            line(x(one.low), up, x(one.high), up, "whisker ink"),
            line(x(one.chance_level), up - 10, x(one.chance_level), up + 10, "chance_level"),
        )
        inside.append(tag("g", tag("title", said), *parts, class_="agree"))
    return drawing(width, height, title, description, name, *inside)


SPREAD = 3.0
"""Columns that a bin must cover to be drawn faint: where in it the activations lie is unknown."""


def histogram(
    name: str,
    title: str,
    description: str,
    counts: NDArray[np.int64],
    edges: NDArray[np.float32],
    threshold: float,
    colour: str,
) -> Markup:
    """Activations of one unit on a square-root scale; what is above the threshold is coloured.

    A bin that is much wider than a column has no shape within it: its columns are faint.
    """
    width, height, left, right, top, bottom, columns = 560.0, 250.0, 14.0, 14.0, 34.0, 34.0, 84
    low, high = float(edges[0]), float(edges[-1])
    if not (high > low) or counts.sum() == 0:
        return drawing(
            width, 60, title, description, name, text(left, 34, "The activation is constant.", class_="tick")
        )
    at = np.linspace(low, high, columns + 1)
    below = np.concatenate([[0], np.cumsum(counts)])
    dense = np.diff(np.interp(at, edges.astype(float), below)) / counts.sum()
    tall = np.sqrt(dense / (dense.max() or 1)) * (height - top - bottom)
    wide = np.diff(edges) > SPREAD * (high - low) / columns
    spread = wide[(np.searchsorted(edges, (at[:-1] + at[1:]) / 2, side="right") - 1).clip(0, len(wide) - 1)]
    x = linear(low, high, left, width - right)
    floor = height - bottom
    inside = [line(left, floor + 0.5, width - right, floor + 0.5, "axis")]
    for i, (a, b) in enumerate(pairwise(at)):
        above = not math.isnan(threshold) and (a + b) / 2 > threshold
        if tall[i] >= 0.05:
            kind = f"bar fill-{colour if above else 'quiet'}{' spread' if spread[i] else ''}"
            inside.append(rect(x(a) + 0.4, floor - tall[i], x(b) - x(a) - 0.8, tall[i], kind))
    inside += [text(x(s), floor + 20, tick(s), "middle", "tick") for s in round_numbers(low, high)]
    if not math.isnan(threshold):
        inside.append(line(x(threshold), top - 12, x(threshold), floor, "threshold"))
        side = "end" if x(threshold) > width * 0.6 else "start"
        inside.append(
            text(x(threshold) + (-7 if side == "end" else 7), top - 2, f"threshold {plain(threshold)}", side, "value")
        )
    return drawing(width, height, title, description, name, *inside)


@dataclass(frozen=True)
class Trace:
    """IoU with one concept over the thresholds."""

    concept: str
    mark: str
    iou: tuple[float, ...]
    chance_level: tuple[float, ...]


CURVE = (560.0, 300.0, 46.0, 14.0, 16.0, 44.0)
"""Width, height, left, right, top and bottom of the curve, which its slider must match."""


def curve(
    name: str,
    title: str,
    description: str,
    on_fractions: Sequence[float],
    traces: Sequence[Trace],
    on_fraction: float,
    low: Sequence[float],
    high: Sequence[float],
) -> Markup:
    """IoU (line, with its band) and chance level (dashes) over the on-fraction."""
    width, height, left, right, top, bottom = CURVE
    shown = [v for trace in traces for v in (*trace.iou, *trace.chance_level) if not math.isnan(v)]
    marks = ticks(max([*shown, 0.05]), 4)
    ceiling = max([*shown, 0.05]) * 1.06
    y = linear(0, ceiling, height - bottom, top)
    x = tail_scale(on_fractions)
    inside = [line(left, y(m), width - right, y(m), "grid" if m else "axis") for m in marks]
    inside += [text(left - 8, y(m) + 4, share(m), "end", "tick") for m in marks]
    for percentage in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0):
        if min(on_fractions) <= percentage <= max(on_fractions):
            inside.append(text(x(percentage), height - bottom + 18, percent(percentage), "middle", "tick"))
    inside.append(text((left + width - right) / 2, height - 6, "on-fraction (share of pixels)", "middle", "tick"))
    spots = [x(t) for t in on_fractions]
    band = [(a, y(v)) for a, v in zip(spots, high, strict=True)]
    band += [(a, y(v)) for a, v in reversed(list(zip(spots, low, strict=True)))]
    inside.append(path([point for point in band if not math.isnan(point[1])], f"band fill-{traces[0].mark}"))
    for i, trace in enumerate(traces):
        faint = "" if i == 0 else " faint"
        inside.append(path(zip(spots, map(y, trace.iou), strict=True), f"trace line-{trace.mark}{faint}"))
        inside.append(path(zip(spots, map(y, trace.chance_level), strict=True), f"trace dash line-{trace.mark}{faint}"))
    inside += _peak_names(traces, spots, y)
    if not math.isnan(on_fraction):
        inside.append(line(x(on_fraction), top, x(on_fraction), height - bottom, "threshold"))
    inside.append(tag("g", line(0, top, 0, height - bottom, "cursor"), class_="cursor-group", visibility="hidden"))
    return drawing(width, height, title, description, name, *inside)


def _peak_names(traces: Sequence[Trace], spots: Sequence[float], y: Callable[[float], float]) -> list[Markup]:
    """The name of each line beside its highest point, one below the other where they would overlap."""
    peaks = [(max(zip(trace.iou, spots, strict=True), key=_known), trace) for trace in traces]
    named: list[Markup] = []
    placed: list[tuple[float, float]] = []
    for (value, at), trace in peaks:
        if math.isnan(value):
            continue
        up = max(y(value) - 7, 11.0)
        while any(abs(at - other) < 90 and abs(up - height) < 15 for other, height in placed):
            up += 15
        placed.append((at, up))
        side = "end" if at > 0.75 * CURVE[0] else "start"
        kind = f"name halo ink-{trace.mark}" + (" lead" if trace is traces[0] else "")
        named.append(text(at + (-12 if side == "end" else 12), up, short(trace.concept), side, kind))
    return named


def _known(peak: tuple[float, float]) -> float:
    return -1.0 if math.isnan(peak[0]) else peak[0]


def tail_scale(on_fractions: Sequence[float]) -> Callable[[float], float]:
    """Where a share of pixels stands on the logarithmic axis of the curve, many to the left."""
    width, _, left, right, _, _ = CURVE
    high, low = math.log(max(*on_fractions, 1e-6)), math.log(max(min(on_fractions), 1e-6))

    def place(on_fraction: float) -> float:
        at = (high - math.log(max(on_fraction, 1e-6))) / ((high - low) or 1.0)
        return left + (width - left - right) * min(max(at, 0.0), 1.0)

    return place
