"""Charts of causal effects: removal by number of units, estimates against measurements, gains and changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dissectreport.analysis.results.artifacts import EditedSet
from dissectreport.analysis.results.classes import AblatedUnits
from dissectreport.report.html.charts import Point, linear, short, spaced
from dissectreport.report.html.numbers import change, interval, removed, share
from dissectreport.report.html.svg import drawing, line, path, rect, round_numbers, tag, text
from dissectreport.run.rankings import Ranking

_MARKS: Mapping[str, str] = {
    Ranking.GRADIENT: "order1",
    EditedSet.WORST: "order1",
    Ranking.LEARNED_MASK: "order2",
    Ranking.GREEDY: "order3",
    Ranking.IOU: "order4",
    Ranking.RANDOM: "order0",
    AblatedUnits.LEADING: "order1",
    AblatedUnits.OTHERS: "order2",
    AblatedUnits.LEAST: "order3",
}
_WORDS: Mapping[str, str] = {
    EditedSet.WORST: "highest-ranked",
    Ranking.GRADIENT: "gradient × activation",
    Ranking.LEARNED_MASK: "learned mask",
    Ranking.GREEDY: "greedy",
    Ranking.IOU: "IoU",
    Ranking.RANDOM: "random",
    AblatedUnits.LEADING: "most important",
    AblatedUnits.LEAST: "least important",
    AblatedUnits.OTHERS: "all others",
}


CHANCE = 0.5
"""The balanced accuracy of chance."""
LETTER = 7.0
"""The width of a letter of a name beside a dot."""


def ranking_mark(ranking: str) -> str:
    """The sign of a ranking method, also a CSS class."""
    return _MARKS.get(ranking, "order1")


def ranking_words(ranking: str) -> str:
    """The name of a ranking method on pages."""
    return _WORDS.get(ranking, ranking)


@dataclass(frozen=True)
class Curve:
    """How much of a concept is removed by ablating the first units of a ranking."""

    ranking: str
    units: tuple[int, ...]
    points: tuple[Point, ...]


def ranking_sign(ranking: str, x: float, y: float) -> Markup:
    """A disc, a diamond, a triangle or a square; a ring for what is random."""
    kind = f"order {ranking_mark(ranking)}"
    shapes = {
        "order2": f"M{x:.1f} {y - 5.4:.1f}l5.4 5.4l-5.4 5.4l-5.4 -5.4z",
        "order3": f"M{x:.1f} {y - 5.2:.1f}l5 9h-10z",
        "order4": f"M{x - 4:.1f} {y - 4:.1f}h8v8h-8z",
    }
    if ranking_mark(ranking) in shapes:
        return tag("path", d=shapes[ranking_mark(ranking)], class_=kind)
    return tag("circle", cx=x, cy=y, r=4.6, class_=kind)


def _reach(curves: Sequence[Curve], least: float = 0.1) -> tuple[float, float]:
    """The lowest and highest share that curves and bands reach; 0 is always among them."""
    shown = [v for c in curves for p in c.points for v in (p.value, p.low, p.high) if not math.isnan(v)]
    return max(min([*shown, 0.0]), -0.6), max([*shown, least])


def _over_units(curves: Sequence[Curve], left: float, right: float) -> Callable[[float], float]:
    """Where a number of units stands: on a square-root scale, for the first units matter most."""
    most = max([n for c in curves for n in c.units] + [1])
    scale = linear(0.0, math.sqrt(most), left, right)
    return lambda units: scale(math.sqrt(units))


def _band(curve: Curve, x: Callable[[float], float], y: Callable[[float], float]) -> Markup:
    ends = [(n, p) for n, p in zip(curve.units, curve.points, strict=True) if not math.isnan(p.low + p.high)]
    around = [(x(n), y(p.high)) for n, p in ends] + [(x(n), y(p.low)) for n, p in reversed(ends)]
    several = sum(n > 0 for n, _ in ends) > 1
    return path(around, f"band {ranking_mark(curve.ranking)}") if several else Markup("")


def _line(curve: Curve, spots: Sequence[tuple[float, float]], y: Callable[[float], float]) -> list[Markup]:
    """A line through the points; where only one number of units was measured, the interval of its point instead."""
    kind = ranking_mark(curve.ranking)
    if sum(n > 0 for n in curve.units) > 1:
        return [path(spots, f"order-line {kind}")]
    ends = zip(curve.units, curve.points, spots, strict=True)
    return [
        line(at, y(p.low), at, y(p.high), f"whisker {kind}")
        for n, p, (at, _) in ends
        if n and not math.isnan(p.low + p.high)
    ]


def _words(ranking: str, units: int, point: Point) -> str:
    """What a point says when somebody points at it."""
    ends = "" if math.isnan(point.low + point.high) else f" {interval(point.low, point.high, removed)}"
    return f"{ranking_words(ranking)}, {units} units off: {removed(point.value)}{ends} removed"


def removal_curves(name: str, title: str, description: str, curves: Sequence[Curve]) -> Markup:
    """Share of a concept's area that is removed, over the number of ablated units; labelled at the right ends."""
    width, height, left, right, top, bottom = 560.0, 330.0, 50.0, 168.0, 14.0, 44.0
    low, high = _reach(curves)
    marks = round_numbers(low, max(high, 0.1), 5)
    y = linear(low, max(marks[-1], high) * 1.02, height - bottom, top)
    x = _over_units(curves, left + 8, width - right - 8)
    inside = [line(left, y(m), width - right, y(m), "grid" if abs(m) > 1e-9 else "axis") for m in marks]
    inside += [text(left - 8, y(m) + 4, _round(m), "end", "tick") for m in marks]
    tried = sorted({n for curve in curves for n in curve.units})
    inside += [text(x(n), height - bottom + 20, str(n), "middle", "tick") for n in _sparse(tried, x)]
    inside.append(text((left + width - right) / 2, height - 5, "ablated units", "middle", "tick"))
    inside += [_band(curve, x, y) for curve in curves]
    ends = []
    for curve in curves:
        spots = [(x(n), y(p.value)) for n, p in zip(curve.units, curve.points, strict=True)]
        inside += _line(curve, spots, y)
        inside += [
            tag("g", tag("title", _words(curve.ranking, n, p)), ranking_sign(curve.ranking, *spot))
            for n, p, spot in zip(curve.units, curve.points, spots, strict=True)
            if n and not math.isnan(spot[1])
        ]
        if spots and not math.isnan(spots[-1][1]):
            ends.append((spots[-1][1], curve.ranking))
    for up, ranking in spaced(ends, 19, height - bottom + 4):
        inside.append(ranking_sign(ranking, width - right + 16, up))
        inside.append(
            text(width - right + 28, up + 4, ranking_words(ranking), class_=f"end ink-{ranking_mark(ranking)}")
        )
    return drawing(width, height, title, description, name, *inside)


def _round(value: float) -> str:
    """A round share as a percentage."""
    return f"{100 * value:.3g}%".replace("-", "−")


def _sparse(numbers: Sequence[int], x: Callable[[float], float], gap: float = 17.0) -> list[int]:
    """The numbers whose labels do not overlap those before them."""
    kept: list[int] = []
    for number in numbers:
        if not kept or x(number) - x(kept[-1]) >= gap:
            kept.append(number)
    return kept


def small_curves(name: str, title: str, description: str, curves: Sequence[Curve], high: float) -> Markup:
    """The same without words, for a row of a table; `high` is the share at the top."""
    width, height, pad = 168.0, 62.0, 5.0
    low = _reach(curves)[0]
    y = linear(low, max(high, 0.1), height - pad, pad)
    x = _over_units(curves, pad, width - pad)
    inside = [line(0, y(0), width, y(0), "axis")]
    inside += [line(0, y(m), width, y(m), "grid") for m in (0.5, 1.0) if m <= high]
    inside += [_band(curve, x, y) for curve in curves]
    for curve in curves:
        spots = [(x(n), y(p.value)) for n, p in zip(curve.units, curve.points, strict=True)]
        inside += _line(curve, spots, y)
        if spots and not math.isnan(spots[-1][1]):
            inside.append(tag("circle", cx=spots[-1][0], cy=spots[-1][1], r=3.2, class_=_end(curve.ranking)))
    return drawing(width, height, title, description, name, *inside)


def accuracy_curves(name: str, title: str, description: str, curves: Sequence[Curve]) -> Markup:
    """Balanced accuracy over the number of units, for each kind of ablated units; labelled at the right ends."""
    width, height, left, right, top, bottom = 560.0, 330.0, 50.0, 168.0, 14.0, 44.0
    low = _lowest_accuracy(curves)
    y = linear(low, 1.02, height - bottom, top)
    x = _over_units(curves, left + 8, width - right - 8)
    marks = round_numbers(low, 1.0, 5)
    inside = [line(left, y(m), width - right, y(m), "axis" if abs(m - CHANCE) < 1e-9 else "grid") for m in marks]
    inside += [text(left - 8, y(m) + 4, share(m), "end", "tick") for m in marks]
    tried = sorted({n for curve in curves for n in curve.units})
    inside += [text(x(n), height - bottom + 20, str(n), "middle", "tick") for n in _sparse(tried, x)]
    inside.append(text((left + width - right) / 2, height - 5, "units", "middle", "tick"))
    inside += [_band(curve, x, y) for curve in curves]
    for curve in curves:
        spots = [(x(n), y(p.value)) for n, p in zip(curve.units, curve.points, strict=True)]
        inside += _line(curve, spots, y)
        inside += [
            tag("g", tag("title", _accuracy_words(curve.ranking, n, p)), ranking_sign(curve.ranking, *spot))
            for n, p, spot in zip(curve.units, curve.points, spots, strict=True)
            if n
        ]
    ends = [(y(curve.points[-1].value), curve.ranking) for curve in curves]
    for up, ranking in spaced(ends, 19, height - bottom + 4):
        inside.append(ranking_sign(ranking, width - right + 16, up))
        inside.append(
            text(width - right + 28, up + 4, ranking_words(ranking), class_=f"end ink-{ranking_mark(ranking)}")
        )
    return drawing(width, height, title, description, name, *inside)


def small_accuracy(name: str, title: str, description: str, curves: Sequence[Curve]) -> Markup:
    """The same without words, for a row of a table."""
    width, height, pad = 168.0, 62.0, 5.0
    y = linear(_lowest_accuracy(curves), 1.0, height - pad, pad)
    x = _over_units(curves, pad, width - pad)
    inside = [line(0, y(CHANCE), width, y(CHANCE), "axis"), line(0, y(1.0), width, y(1.0), "grid")]
    inside += [_band(curve, x, y) for curve in curves]
    for curve in curves:
        spots = [(x(n), y(p.value)) for n, p in zip(curve.units, curve.points, strict=True)]
        inside += _line(curve, spots, y)
        inside.append(tag("circle", cx=spots[-1][0], cy=spots[-1][1], r=3.2, class_=_end(curve.ranking)))
    return drawing(width, height, title, description, name, *inside)


def _lowest_accuracy(curves: Sequence[Curve]) -> float:
    shown = [v for curve in curves for p in curve.points for v in (p.value, p.low) if not math.isnan(v)]
    return min([*shown, CHANCE])


def _accuracy_words(ranking: str, units: int, point: Point) -> str:
    """What a point says when somebody points at it."""
    off = f"{units} left" if ranking == AblatedUnits.OTHERS else f"{units} units off"
    return f"{ranking_words(ranking)}, {off}: {share(point.value)} {interval(point.low, point.high, share)}"


def _end(ranking: str) -> str:
    return f"order {ranking_mark(ranking)}"


@dataclass(frozen=True)
class Dot:
    """A unit whose effect was estimated and measured."""

    unit: int
    estimate: float
    measured_effect: Point


def scatter(name: str, title: str, description: str, dots: Sequence[Dot], named: int = 5) -> Markup:
    """Measured effect of single units over its estimate, with whiskers; the dotted line is where both agree."""
    width, height, left, right, top, bottom = 560.0, 330.0, 56.0, 20.0, 26.0, 44.0
    every = [v for d in dots for v in (d.estimate, d.measured_effect.value) if not math.isnan(v)]
    low, high = min([*every, 0.0]), max([*every, 0.01])
    low, high = low - 0.05 * (high - low), high + 0.08 * (high - low)
    x, y = linear(low, high, left, width - right), linear(low, high, height - bottom, top)
    marks = round_numbers(low, high, 5)
    inside = [line(left, y(m), width - right, y(m), "grid" if abs(m) > 1e-9 else "axis") for m in marks]
    inside += [text(left - 8, y(m) + 4, _round(m), "end", "tick") for m in marks]
    inside += [text(x(m), height - bottom + 20, _round(m), "middle", "tick") for m in marks]
    inside.append(text((left + width - right) / 2, height - 5, "estimated (gradient × activation)", "middle", "tick"))
    inside.append(text(0, 12, "measured", class_="tick"))
    inside.append(path([(x(low), y(low)), (x(high), y(high))], "agreed"))
    for dot in dots:
        at, ends = (
            x(dot.estimate),
            [min(max(v, low), high) for v in (dot.measured_effect.low, dot.measured_effect.high)],
        )
        inside.append(line(at, y(ends[0]), at, y(ends[1]), "whisker order1 soft"))
    inside += [
        tag(
            "circle",
            tag(
                "title", f"unit {d.unit}: measured {removed(d.measured_effect.value)}, estimated {removed(d.estimate)}"
            ),
            cx=x(d.estimate),
            cy=y(d.measured_effect.value),
            r=4.4,
            class_="order order1",
        )
        for d in dots
    ]
    largest = sorted(dots, key=lambda d: (-d.measured_effect.value, d.unit))[:named]
    inside += _unit_names([(d.unit, x(d.estimate), y(d.measured_effect.value)) for d in largest], width - right)
    return drawing(width, height, title, description, name, *inside)


def _unit_names(dots: Sequence[tuple[int, float, float]], right: float) -> Iterator[Markup]:
    """The names of units beside their places, the most important first, where they cover no name before them.

    `right` is the right end of the chart.
    """
    taken: list[tuple[float, float]] = []
    for unit, at, up in dots:
        words = f"unit {unit}"
        wide = LETTER * len(words)
        sides = [(at + 9, "start"), (at - 9 - wide, "end")]
        free = [
            (start, side)
            for start, side in sides
            if start + wide < right + 12 and all(abs(start - x) > wide + 4 or abs(up - y) > 15 for x, y in taken)
        ]
        if free:
            start, side = free[0]
            taken.append((start, up))
            yield text(at + (9 if side == "start" else -9), up + 4, words, side, "name halo")


@dataclass(frozen=True)
class MatchDot:
    """A unit by how well it matches a concept, and how much of it ablating the unit removes."""

    unit: int
    match: float
    effect: float
    measured: bool
    """Whether the effect was measured; otherwise it is estimated."""
    labelled: bool
    """Whether the concept is an interpretable label of the unit."""


def match_and_effect(name: str, title: str, description: str, dots: Sequence[MatchDot], named: int = 6) -> Markup:
    """Effect of single units over their match; filled where the unit has the label, named where the effect is large."""
    width, height, left, right, top, bottom = 560.0, 330.0, 56.0, 20.0, 26.0, 44.0
    ends = [
        (min([*values, 0.0]), max([*values, 0.01])) for values in ([d.match for d in dots], [d.effect for d in dots])
    ]
    (x_low, x_high), (y_low, y_high) = ((low, high + 0.08 * (high - low)) for low, high in ends)
    x, y = linear(x_low, x_high, left, width - right), linear(y_low, y_high, height - bottom, top)
    inside = []
    for mark in round_numbers(y_low, y_high, 5):
        inside.append(line(left, y(mark), width - right, y(mark), "grid" if abs(mark) > 1e-9 else "axis"))
        inside.append(text(left - 8, y(mark) + 4, _round(mark), "end", "tick"))
    inside += [
        text(x(m), height - bottom + 20, f"{m:.3g}".replace("-", "−"), "middle", "tick")
        for m in round_numbers(x_low, x_high, 5)
    ]
    inside.append(text((left + width - right) / 2, height - 5, "chance-corrected IoU", "middle", "tick"))
    inside.append(text(0, 12, "removed by the unit alone", class_="tick"))
    for dot in sorted(dots, key=lambda d: d.labelled):
        known = "measured" if dot.measured else "estimated"
        words = f"unit {dot.unit}: chance-corrected IoU {dot.match:.2f}, removes {removed(dot.effect)} ({known})"
        kind = f"order {'order1' if dot.labelled else 'order0'}{'' if dot.measured else ' soft'}"
        inside.append(tag("circle", tag("title", words), cx=x(dot.match), cy=y(dot.effect), r=4.4, class_=kind))
    largest = sorted(dots, key=lambda d: (-d.effect, d.unit))[:named]
    inside += _unit_names([(d.unit, x(d.match), y(d.effect)) for d in largest], width - right)
    return drawing(width, height, title, description, name, *inside)


@dataclass(frozen=True)
class Amount:
    """A row of a bar chart: a value, optionally with a reference value."""

    name: str
    point: Point
    reference: float = math.nan
    """The position of the tick, e.g. the effect of random units."""
    mark: str = "quiet"
    lead: bool = False
    words: str = ""
    """The figure in words, at the end of the row."""


def bars(
    name: str,
    title: str,
    description: str,
    rows: Sequence[Amount],
    form: Callable[[float], str] = change,
    most: float = math.inf,
) -> Markup:
    """Bars to both sides of zero with whiskers, a tick across each for comparison; `most` cuts the scale."""
    width, row, left, right, top = 560.0, 27.0, 112.0, 84.0, 8.0
    height = top + row * len(rows) + 34
    shown = [v for r in rows for v in (r.point.value, r.point.low, r.point.high, r.reference) if not math.isnan(v)]
    low, high = max(min([*shown, 0.0]), -most), min(max([*shown, 0.0]), most)
    if high - low <= 0:
        low, high = 0.0, 1.0
    x = linear(low, high, left, width - right)
    floor = height - 30
    marks = round_numbers(low, high, 4)
    inside = [line(x(m), top, x(m), floor, "grid" if abs(m) > 1e-9 else "axis") for m in marks]
    inside += [text(x(m), floor + 18, form(m), "middle", "tick") for m in marks]
    for i, amount in enumerate(rows):
        up = top + row * i + row / 2
        inside.append(text(left - 12, up + 4, short(amount.name), "end", "name lead" if amount.lead else "name"))
        inside += _amount(amount, up, lambda value: x(min(max(value, low), high)))
        inside.append(text(width - right + 10, up + 4, amount.words or form(amount.point.value), class_="tick"))
    return drawing(width, height, title, description, name, *inside)


def _amount(amount: Amount, up: float, x: Callable[[float], float]) -> list[Markup]:
    """The bar, its whisker and its tick."""
    parts = []
    if not math.isnan(amount.point.value):
        start, end = sorted((x(0.0), x(amount.point.value)))
        parts.append(rect(start, up - 6, end - start, 12, f"bar fill-{amount.mark}" + ("" if amount.lead else " soft")))
    if not math.isnan(amount.point.low + amount.point.high):
        parts.append(line(x(amount.point.low), up, x(amount.point.high), up, "whisker ink"))
    if not math.isnan(amount.reference):
        parts.append(line(x(amount.reference), up - 9, x(amount.reference), up + 9, "chance_level"))
    return parts
