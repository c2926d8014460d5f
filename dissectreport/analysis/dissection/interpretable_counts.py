"""How many units are interpretable, in the layer itself and under each control, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.common.cutoffs import FEWEST_GROUPS
from dissectreport.analysis.common.student import quantile
from dissectreport.analysis.dissection.corrected_rule import Scores, UnitLabels, judge
from dissectreport.analysis.dissection.counted import ONE_UNIT, ConceptNames, Counted, scored
from dissectreport.analysis.dissection.match_curves import interval, match_curve, resampled_variance
from dissectreport.analysis.results.dissection import Control, no_counts, no_match_curves
from dissectreport.stats.base import Floats, Ints
from dissectreport.vocabulary import Vocabulary

REPLICATES_OF_DIRECTIONS = 40
"""Bootstrap replicates of each random basis, for the error of the mean over all bases, which share their images."""


def scores_of_directions(counted: Counted, vocabulary: Vocabulary) -> tuple[Scores, ...]:
    """The scores of random directions, one for each random basis."""
    return tuple(
        scored(counted, vocabulary, chances, replicates=REPLICATES_OF_DIRECTIONS)
        for chances in counted.random_directions
    )


def controls(
    counted: Counted, scores: Scores, rotations: Sequence[Scores], names: ConceptNames, verdict: UnitLabels
) -> list[dict[str, Any]]:
    """Interpretable units and their concepts, measured and under each control, by category."""
    rows = tally(Control.MEASURED, partial(judge, scores), names, testable(scores))
    rows[0] |= mean_match(scores, verdict)
    rows += across_rotations(
        [
            tally(Control.RANDOM_DIRECTIONS, partial(judge, one), replace(names, concepts=one.concepts), testable(one))
            for one in rotations
        ]
    )
    others = (
        (Control.UNTRAINED, counted.untrained, False),
        (Control.CHANCE, counted.chances, True),
    )
    for name, chances, shifted in others:
        if next(iter(chances(ONE_UNIT)), None) is not None:
            rivals = scored(counted, names.vocabulary, chances, shifted)
            rows += tally(name, partial(judge, rivals), replace(names, concepts=rivals.concepts), testable(rivals))
    return rows


def across_rotations(rotations: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One row per category from the rows of every random basis: means, with the interval of one more random basis."""
    by_category: dict[str, list[dict[str, Any]]] = {}
    for row in (row for rows in rotations for row in rows):
        by_category.setdefault(row["category"], []).append(row)
    return [_mean_row(rows) for rows in by_category.values()]


def _mean_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    known = [row for row in rows if row["resampled"] is not None]
    if len(known) < 2:
        return (known or rows)[0]
    groups = known[0]["verdict"].groups
    both = {
        name: predicted([row[name] for row in known], resampled, groups)
        for name, resampled in _resampled(known).items()
    }
    figures = {f"{name}{end}": value for name, three in both.items() for end, value in zip(ENDS, three, strict=True)}
    figures["units_high"] = min(figures["units_high"], known[0]["layer_units"])
    return {
        **known[0],
        **figures,
        "resampled": _resampled(known)["units"],
        "by_rotation": tuple(int(row["units"]) for row in known),
        "verdicts": [row["verdict"] for row in known],
        "each": None if known[0]["each"] is None else _mean_of_each([row["each"] for row in known]),
    }


ENDS = ("", "_low", "_high")


def _resampled(rows: list[dict[str, Any]]) -> dict[str, Floats]:
    """(replicates,) means over the random bases."""
    return {
        "units": np.mean([row["resampled"] for row in rows], axis=0),
        "concepts": np.mean([row["resampled_concepts"] for row in rows], axis=0),
    }


def predicted(values: Sequence[int], replicates: Floats, groups: int) -> tuple[int, int, int]:
    """The mean of the counts of several random bases, and the ends of the interval in which that of another would lie.

    `replicates` (r,) are the mean in bootstrap replicates of the groups of images, which all bases share.
    """
    counts = np.array(values, np.float64)
    (low,), (high,) = interval(counts[:, None], replicates[:, None], groups)
    return round(float(counts.mean())), max(0, int(low)), int(high)


def _mean_of_each(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Directions of each concept: the mean over the random bases, and the widest ends of their intervals."""
    every = pd.concat(tables, ignore_index=True)
    groups = every.groupby(["control", "category", "concept"], sort=False)
    low = groups["units_low"].min().where(groups.size() == len(tables), 0)
    units = (groups["units"].sum() / len(tables)).round()
    joined = pd.DataFrame({"units": units, "units_low": low, "units_high": groups["units_high"].max()})
    return joined.astype(np.int64).reset_index()


MEAN_MATCH = ("mean_corrected_iou", "mean_corrected_iou_low", "mean_corrected_iou_high")


def mean_match(scores: Scores, verdict: UnitLabels) -> dict[str, float]:
    """The mean chance-corrected IoU of all units with their labels, and its 95% interval.

    Over all units, interpretable or not, because a mean over units that were selected by their own scores moves with
    the selection. The bootstrap resamples the images that choose labels and thresholds as well as those that score.
    """
    rows = np.flatnonzero(verdict.column >= 0)
    freedom = scores.corrected_iou.freedom
    if not len(rows) or freedom < 1:
        return dict.fromkeys(MEAN_MATCH, float("nan"))
    value = scores.corrected_iou.value[rows, verdict.column[rows]].mean()
    replicates = np.nanmean(verdict.matched[:, rows], axis=1)
    reach = quantile(0.975, freedom) * np.sqrt(resampled_variance(replicates, freedom + 1))
    return dict(zip(MEAN_MATCH, (float(value), float(value - reach), float(value + reach)), strict=True))


@dataclass(frozen=True)
class ControlCounts:
    """How many units are interpretable; the fields of the same names of `Layer`."""

    controls: pd.DataFrame
    resampled: Mapping[str, NDArray[Any]]
    by_rotation: tuple[int, ...]
    by_concept: pd.DataFrame
    match_curves: pd.DataFrame


def counts_of(rows: list[dict[str, Any]]) -> ControlCounts:
    """The tables of rows of `tally`."""
    figures = [
        "units",
        "units_low",
        "units_high",
        "layer_units",
        "concepts",
        "concepts_low",
        "concepts_high",
        *MEAN_MATCH,
    ]
    table = pd.DataFrame(rows, columns=["control", "category", *figures, "resampled"])
    whole = table[(table["category"] == "") & table["units"].notna()]
    by_concept = [row["each"] for row in rows if row["each"] is not None]
    return ControlCounts(
        table.drop(columns="resampled"),
        dict(zip(whole["control"], whole["resampled"], strict=True)),
        next((row["by_rotation"] for row in rows if row["category"] == "" and "by_rotation" in row), ()),
        pd.concat(by_concept, ignore_index=True) if by_concept else no_counts(),
        _match_curves(rows),
    )


def _match_curves(rows: list[dict[str, Any]]) -> pd.DataFrame:
    counted = [row for row in rows if row["resampled"] is not None]
    curves = [
        match_curve(Control(row["control"]), row["category"], row.get("verdicts", [row["verdict"]])) for row in counted
    ]
    return pd.concat(curves, ignore_index=True) if curves else no_match_curves()


def testable(scores: Scores) -> NDArray[np.bool_]:
    """(c,) concepts that can be tested at all: in enough images of both halves, scored by enough groups."""
    return scores.tested & (scores.corrected_iou.freedom >= FEWEST_GROUPS - 1)


def tally(
    control: Control,
    label_units: Callable[[NDArray[np.bool_] | None], UnitLabels],
    names: ConceptNames,
    testable: NDArray[np.bool_] | None = None,
) -> list[dict[str, Any]]:
    """Rows of counts with bootstrap intervals: by overall label (''), and by the label within each category.

    If none of the concepts is `testable`, counts are unknown (NaN), not 0.
    """
    rows: list[dict[str, Any]] = []
    for category in ["", *names.categories]:
        among = names.within(category) if category else None
        verdict = label_units(among)
        if testable is not None and not (testable if among is None else testable & among).any():
            figures = (f"{what}{end}" for what in ("units", "concepts") for end in ("", "_low", "_high"))
            blank = dict.fromkeys(figures, float("nan"))
            none = {"layer_units": len(verdict.column), "resampled": None, "each": None}
            rows.append({"control": str(control), "category": category} | none | blank)
            continue
        counts = _units_and_concepts(verdict.column, verdict.interpretable, names, among)
        replicates = zip(verdict.labels, verdict.passed, strict=True)
        spread = np.array([_units_and_concepts(label, passed, names, among) for label, passed in replicates])
        low, high = count_interval(np.array(counts), spread, verdict.groups)
        rows.append(
            {
                "control": str(control),
                "category": category,
                "units": counts[0],
                "units_low": low[0],
                "units_high": min(high[0], len(verdict.column)),
                "layer_units": len(verdict.column),
                "concepts": counts[1],
                "concepts_low": low[1],
                "concepts_high": min(high[1], len(names.concepts) if among is None else int(among.sum())),
                "resampled": spread[:, 0],
                "resampled_concepts": spread[:, 1],
                "verdict": verdict,
                "each": None if among is None else _each_concept(control, category, names, verdict),
            }
        )
    return rows


def _each_concept(control: Control, category: str, names: ConceptNames, verdict: UnitLabels) -> pd.DataFrame:
    """Interpretable units of each concept of a category, with bootstrap intervals; only concepts that have any."""
    concepts = len(names.concepts)

    def units(label: Ints, passed: NDArray[np.bool_]) -> Ints:
        return np.bincount(label[passed & (label >= 0)], minlength=concepts)

    counted = units(verdict.column, verdict.interpretable)
    spread = np.stack([units(*one) for one in zip(verdict.labels, verdict.passed, strict=True)])
    low, high = count_interval(counted, spread, verdict.groups)
    at = np.flatnonzero(high)
    return pd.DataFrame(
        {
            "control": str(control),
            "category": category,
            "concept": names.concept(at),
            "units": counted[at],
            "units_low": low[at],
            "units_high": np.minimum(high[at], len(verdict.column)),
        }
    )


def _units_and_concepts(
    label: Ints, passed: NDArray[np.bool_], names: ConceptNames, among: NDArray[np.bool_] | None
) -> tuple[int, int]:
    kept = label[passed & (label >= 0)]
    kept = kept if among is None else kept[among[kept]]
    return len(kept), names.different(np.unique(kept))


def count_interval(value: Ints, replicates: Ints, groups: int) -> tuple[Ints, Ints]:
    """(...) ends of the 95% intervals of counts (...), from (replicates, ...) of them over so many groups.

    Student's t with the error of the replicates, rounded outwards. Percentiles of the replicates hold what other
    images would give on average in 95 to 98% of simulated cases with 13 groups, but in 80 to 90% with six; these in
    92 to 98%.
    """
    low, high = interval(
        value.reshape(1, -1).astype(np.float64), replicates.reshape(len(replicates), -1).astype(np.float64), groups
    )
    return tuple(np.maximum(end, 0).astype(np.int64).reshape(value.shape) for end in (low, high))  # type: ignore[return-value]
