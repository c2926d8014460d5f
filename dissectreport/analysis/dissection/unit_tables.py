"""Tables of the units of one layer: labels, pairs, curves, states and correlations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.common.jackknife import Jackknife
from dissectreport.analysis.dissection.corrected_rule import Scores, UnitLabels, judge
from dissectreport.analysis.dissection.counted import CURVES, PAIRS, ConceptNames, Counted
from dissectreport.analysis.dissection.parts import Parts, no_figures
from dissectreport.analysis.results.dissection import Curves
from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.cross import Cross
from dissectreport.stats.iou import intersection_over_union, largest_iou, lift
from dissectreport.stats.joint import JointTotals, above_edges
from dissectreport.stats.thresholds import AnyThresholds

CORRELATED = 8
DUPLICATE = 0.99
FEWEST_EXPECTED = 100
"""Lift is printed only where at least this many pixels of overlap are expected by chance."""


def figures(
    scores: Scores, rows: Ints, columns: Ints, thresholds: AnyThresholds, parts: Parts | None = None
) -> dict[str, NDArray[Any]]:
    """The printed figures of (unit, concept column) pairs; NaN where the column is -1."""
    there = columns >= 0
    at = np.where(there, columns, 0)

    iou, chance_level, corrected_iou = (
        jack.at(rows, at) for jack in (scores.iou, scores.chance_level, scores.corrected_iou)
    )
    lift = lifted(iou, chance_level, scores.expected[rows, at])
    (iou_low, iou_high), (corrected_iou_low, corrected_iou_high) = scores.intervals(rows, at)
    lift_low, lift_high = lift.ratio_interval()
    values = {
        "threshold": thresholds.values()[:, thresholds.chance_columns][rows, scores.threshold[rows, at]].astype(
            np.float64
        ),
        "on_fraction": scores.on_fraction[rows, at],
        "selection_score": scores.chosen[rows, at],
        "iou": iou.value,
        "iou_low": iou_low,
        "iou_high": iou_high,
        "chance_level": chance_level.value,
        "corrected_iou": corrected_iou.value,
        "corrected_iou_low": corrected_iou_low,
        "corrected_iou_high": corrected_iou_high,
        "lift": lift.value,
        "lift_low": lift_low,
        "lift_high": lift_high,
        **(no_figures(len(rows)) if parts is None else parts.figures(rows, at)),
    }
    return {name: np.where(there, value, "" if name == "kind" else np.nan) for name, value in values.items()}


def lifted(iou: Jackknife, chance_level: Jackknife, expected: Floats) -> Jackknife:
    """IoU over its chance level; NaN where too little overlap is expected for the ratio to mean anything."""
    enough = expected >= FEWEST_EXPECTED
    with np.errstate(divide="ignore", invalid="ignore"):
        return Jackknife(
            np.where(enough, lift(iou.value, chance_level.value), np.nan),
            np.where(enough, lift(iou.without, chance_level.without), np.nan),
            iou.sizes,
        )


def unit_table(
    counted: Counted,
    scores: Scores,
    verdict: UnitLabels,
    names: ConceptNames,
    position_only: pd.Series,
    parts: Parts | None = None,
) -> pd.DataFrame:
    """One row per unit."""
    units = counted.shape[0]
    rows = np.arange(units)
    label_figures = figures(scores, rows, verdict.column, counted.thresholds, parts)
    second = figures(scores, rows, verdict.runner_up, counted.thresholds)
    numbers = [int(scores.concepts[c]) if c >= 0 else -1 for c in verdict.column]
    share = {int(n): p for n, p in zip(scores.concepts, shares(counted.held_out, scores.concepts), strict=True)}
    area = np.array([share.get(n, np.nan) for n in numbers])
    return pd.DataFrame(
        {
            "unit": rows,
            "concept": names.concept(verdict.column),
            "category": names.category(verdict.column),
            **label_figures,
            "p": verdict.p,
            "q": verdict.q,
            "interpretable": verdict.interpretable,
            "beats_chance": verdict.beats_chance,
            "attainable": largest_iou(label_figures["on_fraction"], area),
            "position_only": [position_only.get(n, np.nan) for n in numbers],
            "runner_up": names.concept(verdict.runner_up),
            "runner_up_corrected_iou": second["corrected_iou"],
            "stability": verdict.stability,
            **detection(counted, scores, verdict.column, label_figures["iou"]),
            "unit_state": states(counted.cross),
        }
    )


def shares(totals: JointTotals, concepts: Ints) -> Floats:
    """(c,) share of all pixels that show each concept, on the grid of the joint counts."""
    present = dict(zip(totals.concepts.tolist(), totals.present.tolist(), strict=True))
    total = max(int(totals.total[0].sum()), 1)
    return np.array([present.get(int(n), 0) for n in concepts]) / total


def detection(counted: Counted, scores: Scores, column: Ints, iou: Floats) -> dict[str, Floats]:
    """How well every unit finds its label on the held-out half, on the grid of the joint counts."""
    totals, by_bin = counted.held_out, counted.bins_of(np.where(column >= 0, scores.concepts[column], -1))
    at = {int(n): k for k, n in enumerate(totals.concepts)}
    exact, precision, correlation = (np.full(len(column), np.nan) for _ in range(3))
    for unit, c in enumerate(column):
        k = at.get(int(scores.concepts[c])) if c >= 0 else None
        if k is not None:
            above = slice(int(counted.thresholds.chance_columns[scores.threshold[unit, c]]) + 1, None)
            both, on = by_bin[unit, above].sum(), totals.total[unit, above].sum()
            exact[unit] = intersection_over_union(both, on, totals.present[k])
            precision[unit] = average_precision(by_bin[unit], totals.total[unit])
            correlation[unit] = point_biserial(by_bin[unit], totals.total[unit])
    f1 = 2 * iou / (1 + iou)
    return {"iou_full_grid": exact, "f1": f1, "average_precision": precision, "correlation": correlation}


def average_precision(concept: Ints, total: Ints) -> float:
    """Area under precision against recall for activations in bins: `concept` (b,) pixels of `total` (b,) pixels."""
    both = np.concatenate([above_edges(concept)[::-1], [concept.sum()]])
    on = np.concatenate([above_edges(total)[::-1], [total.sum()]])
    if not both[-1]:
        return float("nan")
    recall = np.diff(both, prepend=0) / both[-1]
    return float((recall * both / np.maximum(on, 1)).sum())


def point_biserial(concept: Ints, total: Ints) -> float:
    """Correlation of the concept's presence with the mid-rank of the activation's bin."""
    pixels, present = total.sum(), concept.sum()
    if not 0 < present < pixels:
        return float("nan")
    rank = (np.cumsum(total) - total / 2) / pixels
    mean = (rank * total).sum() / pixels
    spread = np.sqrt(((rank - mean) ** 2 * total).sum() / pixels)
    if spread == 0:
        return 0.0
    share = present / pixels
    return float(((rank * concept).sum() / present - mean) / spread * np.sqrt(share / (1 - share)))


def states(cross: Cross) -> list[str]:
    """'dead' for a unit that never varies, 'always on' for one never at or below zero, 'duplicate of N', or ''."""
    variance, correlation = np.diag(cross.covariance()), cross.correlation()
    names = []
    for unit in range(len(variance)):
        twins = np.flatnonzero(correlation[unit, :unit] > DUPLICATE)
        if variance[unit] < 1e-9:
            names.append("dead")
        elif len(twins):
            names.append(f"duplicate of {twins[0]}")
        elif cross.positive[unit] == cross.cells:
            names.append("always on")
        else:
            names.append("")
    return names


def category_labels(
    scores: Scores,
    verdict: UnitLabels,
    names: ConceptNames,
    thresholds: AnyThresholds,
    label_units: Callable[..., UnitLabels] = judge,
    parts: Parts | None = None,
) -> pd.DataFrame:
    """Each unit's label within each category, as `label_units` gives it: sky, blue and sky-top are not rivals."""
    tables = []
    rows = np.arange(len(scores.chosen))
    for category in names.categories:
        inside = label_units(scores, names.within(category))
        tables.append(
            pd.DataFrame(
                {
                    "unit": rows,
                    "category": category,
                    "concept": names.concept(inside.column),
                    **figures(scores, rows, inside.column, thresholds, parts),
                    "interpretable": inside.interpretable,
                    "is_unit_label": inside.column == verdict.column,
                }
            )
        )
    table = pd.concat(tables, ignore_index=True)
    return table[table["concept"] != ""].sort_values("unit", kind="stable").reset_index(drop=True)


def pair_table(
    scores: Scores, names: ConceptNames, thresholds: AnyThresholds, parts: Parts | None = None
) -> pd.DataFrame:
    """The concepts of largest chosen chance-corrected IoU of every unit, in that order."""
    units, concepts = scores.chosen.shape
    k = min(PAIRS, concepts)
    ranked = np.argsort(-np.where(scores.tested, scores.chosen, scores.chosen - 2), axis=1, kind="stable")[:, :k]
    rows, columns = np.repeat(np.arange(units), k), ranked.flatten()
    return pd.DataFrame(
        {
            "unit": rows,
            "concept": names.concept(columns),
            "category": names.category(columns),
            **figures(scores, rows, columns, thresholds, parts),
            "tested": scores.tested[columns],
        }
    )


def leading_curves(scores: Scores, verdict: UnitLabels, thresholds: AnyThresholds) -> Curves:
    """IoU as a function of the threshold, for each unit's leading concepts, its label first."""
    units, concepts = scores.chosen.shape
    m = min(CURVES, concepts)
    order = np.where(scores.tested, scores.chosen, scores.chosen - 2)
    label = np.where(verdict.column >= 0, verdict.column, order.argmax(1))
    order[np.arange(units), label] = np.inf
    leading = np.argsort(-order, axis=1, kind="stable")[:, :m]
    iou, chance_level, on_fractions = scores.curves
    at = leading[..., None]
    return Curves(
        scores.concepts[leading],
        thresholds.values()[:, thresholds.chance_columns],
        on_fractions,
        np.take_along_axis(iou, at, 1),
        np.take_along_axis(chance_level, at, 1),
        *(scores.band or (None, None)),
    )


def most_correlated(cross: Cross) -> pd.DataFrame:
    """The most correlated other units of each unit, by falling absolute correlation."""
    correlation = cross.correlation()
    units = len(correlation)
    np.fill_diagonal(correlation, 0)
    k = min(CORRELATED, units - 1)
    other = np.argsort(-np.abs(correlation), axis=1, kind="stable")[:, :k]
    rows = np.repeat(np.arange(units), k)
    columns = other.flatten()
    return pd.DataFrame({"unit": rows, "other_unit": columns, "correlation": correlation[rows, columns]})
