"""The tables of one layer, from its counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.common.cutoffs import FEWEST_GROUPS, FEWEST_IMAGES
from dissectreport.analysis.common.jackknife import Jackknife
from dissectreport.analysis.dissection.concepts import images_of, seen_by_half
from dissectreport.analysis.dissection.corrected_rule import Groups, Scores, UnitLabels, blocks, judge, score
from dissectreport.analysis.results.dissection import Control, Curves, ExampleKind, no_counts
from dissectreport.stats.base import Floats, Ints, union
from dissectreport.stats.chance import Chance
from dissectreport.stats.cross import Cross
from dissectreport.stats.iou import intersection_over_union, largest_iou, lift
from dissectreport.stats.joint import Joint, above_edges
from dissectreport.stats.peaks import Peaks
from dissectreport.stats.thresholds import AnyThresholds
from dissectreport.vocabulary import Vocabulary

Chances = Callable[[], Iterable[tuple[int, Chance]]]
"""Calls give each shard's (group, counts), in order of shards; counts are read again at every call."""

PAIRS = 12
CURVES = 6
CORRELATED = 8
DUPLICATE = 0.99
FEWEST_EXPECTED = 100
"""Lift is printed only where at least this many pixels of overlap are expected by chance."""

TOP, MIDDLE, RANDOM = 8, 4, 4
RANDOM_POOL = 48
"""Random examples come from this many samples, so that units share images."""


@dataclass(frozen=True)
class Counted:
    """What was counted of one layer."""

    name: str
    shape: tuple[int, int, int]
    """Units, height, width."""
    thresholds: AnyThresholds
    chances: Chances
    joint: Joint
    """Over all samples."""
    held_out: Joint
    """Over the held-out half."""
    cross: Cross
    peaks: Peaks
    random_directions: Chances
    untrained: Chances
    pixels: int
    """Pixels of the grid on which chance was counted."""


@dataclass(frozen=True)
class Units:
    """The tables of one layer, before any picture; see `dissection.Layer` for their columns."""

    counted: Counted
    table: pd.DataFrame
    labels: pd.DataFrame
    pairs: pd.DataFrame
    controls: pd.DataFrame
    resampled: Mapping[str, Ints]
    by_concept: pd.DataFrame
    curves: Curves
    correlated: pd.DataFrame
    kind: NDArray[np.str_]
    examples: Ints
    """(units, k) sample numbers to show."""


def examine(counted: Counted, vocabulary: Vocabulary, position_only: pd.Series) -> Units:
    """The tables of a layer under the `corrected` rule.

    `position_only` is the IoU of each concept's
    best image-independent mask, by concept number.
    """
    scores = scored(counted, vocabulary, counted.chances)
    words = Words(vocabulary, scores.concepts)
    verdict = judge(scores)
    kind, samples = examples(counted.peaks)
    return Units(
        counted,
        unit_table(counted, scores, verdict, words, position_only),
        category_labels(scores, verdict, words, counted.thresholds),
        pair_table(scores, words, counted.thresholds),
        *counts_of(controls(counted, scores, words, verdict)),
        leading_curves(scores, verdict, counted.thresholds),
        most_correlated(counted.cross),
        kind,
        samples,
    )


def scored(
    counted: Counted, vocabulary: Vocabulary, chances: Chances, shifted: bool = False, wanted: Sequence[int] = ()
) -> Scores:
    """The scores of a layer's units, in blocks that fit into memory; every block reads the counts again.

    Where it takes several blocks, only concepts that matter are scored, and those `wanted`: of a thousand that occur
    in some image or other, a tenth can be tested.
    """
    units, thresholds = counted.shape[0], len(counted.thresholds.chance_columns)
    parts, among = blocks(units, len(counted.joint.concepts), thresholds), None
    if len(parts) > 1:
        among = mattering(chances(), vocabulary, wanted)
        parts = blocks(units, len(among), thresholds)
    return Scores.together([score(Groups.of(chances(), part, shifted, among), counted.pixels) for part in parts])


def mattering(shards: Iterable[tuple[int, Chance]], vocabulary: Vocabulary, wanted: Sequence[int]) -> Ints:
    """Numbers of the concepts that tables can show: tested or wanted ones, and the first of every category.

    All that occur where too few are tested to fill the tables.
    """
    halves = seen_by_half(shards)
    concepts = union(halves[0][0], halves[1][0])
    tested = np.minimum(*(images_of(half, concepts) for half in halves)) >= FEWEST_IMAGES
    if tested.sum() < max(PAIRS, CURVES):
        return concepts
    _, firsts = np.unique(np.array(vocabulary.category_of_each)[concepts], return_index=True)
    tested[firsts] = True
    return concepts[tested | np.isin(concepts, wanted)]


@dataclass(frozen=True)
class Words:
    """Names for the columns of scores."""

    vocabulary: Vocabulary
    concepts: Ints

    def concept(self, column: Ints) -> list[str]:
        """Names of concept columns; '' for -1."""
        return [self.vocabulary[self.concepts[c]].name if c >= 0 else "" for c in column]

    def category(self, column: Ints) -> list[str]:
        """Categories of concept columns; '' for -1."""
        return [self.vocabulary[self.concepts[c]].category if c >= 0 else "" for c in column]

    @property
    def categories(self) -> list[str]:
        """The categories of the concepts that occur, in the vocabulary's order."""
        return list(dict.fromkeys(self.category(np.arange(len(self.concepts)))))

    def within(self, category: str) -> NDArray[np.bool_]:
        """(c,) whether each concept column is of the category."""
        return np.array([c == category for c in self.category(np.arange(len(self.concepts)))])


def figures(scores: Scores, rows: Ints, columns: Ints, thresholds: AnyThresholds) -> dict[str, NDArray[np.float64]]:
    """The printed figures of (unit, concept column) pairs; NaN where the column is -1."""
    there = columns >= 0
    at = np.where(there, columns, 0)

    def pick(jack: Jackknife) -> Jackknife:
        return Jackknife(jack.value[rows, at], jack.without[:, rows, at], jack.sizes)

    iou, chance_level, corrected_iou = pick(scores.iou), pick(scores.chance_level), pick(scores.corrected_iou)
    lift = lifted(iou, chance_level, scores.expected[rows, at])
    iou_low, iou_high = iou.share_interval()
    corrected_iou_low, corrected_iou_high = corrected_iou.interval()
    lift_low, lift_high = lift.ratio_interval()
    values = {
        "threshold": thresholds.values()[:, thresholds.chance_columns][rows, scores.threshold[rows, at]].astype(
            np.float64
        ),
        "on_fraction": scores.on_fraction[rows, at],
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
    }
    return {name: np.where(there, value, np.nan) for name, value in values.items()}


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
    counted: Counted, scores: Scores, verdict: UnitLabels, words: Words, position_only: pd.Series
) -> pd.DataFrame:
    """One row a unit."""
    units = counted.shape[0]
    rows = np.arange(units)
    label_figures = figures(scores, rows, verdict.column, counted.thresholds)
    second = figures(scores, rows, verdict.runner_up, counted.thresholds)
    numbers = [int(scores.concepts[c]) if c >= 0 else -1 for c in verdict.column]
    share = {
        int(n): p for n, p in zip(scores.concepts, shares(counted.held_out, scores.concepts, counted), strict=True)
    }
    area = np.array([share.get(n, np.nan) for n in numbers])
    return pd.DataFrame(
        {
            "unit": rows,
            "concept": words.concept(verdict.column),
            "category": words.category(verdict.column),
            **label_figures,
            "p": verdict.p,
            "q": verdict.q,
            "interpretable": verdict.interpretable,
            "beats_chance": verdict.beats_chance,
            "attainable": largest_iou(label_figures["on_fraction"], area),
            "position_only": [position_only.get(n, np.nan) for n in numbers],
            "runner_up": words.concept(verdict.runner_up),
            "runner_up_corrected_iou": second["corrected_iou"],
            "stability": verdict.stability,
            **detection(counted, scores, verdict.column, label_figures["iou"]),
            "unit_state": states(counted.cross),
        }
    )


def shares(joint: Joint, concepts: Ints, counted: Counted) -> Floats:
    """(c,) share of all pixels that show each concept, on the grid of the joint counts."""
    present = dict(zip(joint.concepts.tolist(), joint.present.tolist(), strict=True))
    total = max(int(joint.total[0].sum()), 1)
    return np.array([present.get(int(n), 0) for n in concepts]) / total


def detection(counted: Counted, scores: Scores, column: Ints, iou: Floats) -> dict[str, Floats]:
    """How well every unit finds its label on the held-out half, on the grid of the joint counts."""
    joint = counted.held_out
    at = {int(n): k for k, n in enumerate(joint.concepts)}
    exact, precision, correlation = (np.full(len(column), np.nan) for _ in range(3))
    for unit, c in enumerate(column):
        k = at.get(int(scores.concepts[c])) if c >= 0 else None
        if k is not None:
            above = slice(int(counted.thresholds.chance_columns[scores.threshold[unit, c]]) + 1, None)
            both, on = joint.joint[unit, k, above].sum(), joint.total[unit, above].sum()
            exact[unit] = intersection_over_union(both, on, joint.present[k])
            precision[unit] = average_precision(joint.joint[unit, k], joint.total[unit])
            correlation[unit] = point_biserial(joint.joint[unit, k], joint.total[unit])
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
    words: Words,
    thresholds: AnyThresholds,
    label_units: Callable[..., UnitLabels] = judge,
) -> pd.DataFrame:
    """Each unit's label within each category, as `label_units` gives it: sky, blue and sky-top are not rivals."""
    parts = []
    rows = np.arange(len(scores.chosen))
    for category in words.categories:
        inside = label_units(scores, words.within(category))
        parts.append(
            pd.DataFrame(
                {
                    "unit": rows,
                    "category": category,
                    "concept": words.concept(inside.column),
                    **figures(scores, rows, inside.column, thresholds),
                    "interpretable": inside.interpretable,
                    "is_unit_label": inside.column == verdict.column,
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    return table[table["concept"] != ""].sort_values("unit", kind="stable").reset_index(drop=True)


def pair_table(scores: Scores, words: Words, thresholds: AnyThresholds) -> pd.DataFrame:
    """The concepts of largest chosen chance-corrected IoU of every unit, in that order."""
    units, concepts = scores.chosen.shape
    k = min(PAIRS, concepts)
    ranked = np.argsort(-np.where(scores.tested, scores.chosen, scores.chosen - 2), axis=1, kind="stable")[:, :k]
    rows, columns = np.repeat(np.arange(units), k), ranked.flatten()
    return pd.DataFrame(
        {
            "unit": rows,
            "concept": words.concept(columns),
            "category": words.category(columns),
            **figures(scores, rows, columns, thresholds),
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


def examples(peaks: Peaks) -> tuple[NDArray[np.str_], Ints]:
    """The kind of each column, and (units, k) sample numbers: top, middle and random."""
    units = peaks.peaks.shape[1]
    pool = np.random.RandomState(0).permutation(peaks.samples)[:RANDOM_POOL]
    random = np.random.RandomState(1)
    random_samples = np.stack([random.permutation(pool)[:RANDOM] for _ in range(units)])
    parts = {
        ExampleKind.TOP: peaks.top(TOP),
        ExampleKind.MIDDLE: peaks.middle(MIDDLE),
        ExampleKind.RANDOM: random_samples,
    }
    kind = np.concatenate([[str(name)] * part.shape[1] for name, part in parts.items()])
    return kind, np.concatenate(list(parts.values()), axis=1)


def controls(counted: Counted, scores: Scores, words: Words, verdict: UnitLabels) -> list[dict[str, Any]]:
    """Interpretable units and their concepts, measured and under each control, by category."""
    rows = tally(Control.MEASURED, partial(judge, scores), words, testable(scores))
    rows[0] |= mean_iou(scores, verdict)
    others = (
        (Control.RANDOM_DIRECTIONS, counted.random_directions, False),
        (Control.UNTRAINED, counted.untrained, False),
        (Control.CHANCE, counted.chances, True),
    )
    for name, chances, shifted in others:
        if next(iter(chances()), None) is not None:
            rivals = scored(counted, words.vocabulary, chances, shifted)
            rows += tally(name, partial(judge, rivals), replace(words, concepts=rivals.concepts), testable(rivals))
    return rows


MEAN_IOU = ("mean_iou", "mean_iou_low", "mean_iou_high")


def mean_iou(scores: Scores, verdict: UnitLabels) -> dict[str, float]:
    """The mean IoU of the interpretable units with their labels, and its interval over images for just these units."""
    rows = np.flatnonzero(verdict.interpretable)
    if not len(rows):
        return dict.fromkeys(MEAN_IOU, float("nan"))
    at = verdict.column[rows]
    mean = Jackknife(scores.iou.value[rows, at].mean(), scores.iou.without[:, rows, at].mean(1), scores.iou.sizes)
    return dict(zip(MEAN_IOU, (float(end) for end in (mean.value, *mean.share_interval())), strict=True))


def counts_of(rows: list[dict[str, Any]]) -> tuple[pd.DataFrame, dict[str, Ints], pd.DataFrame]:
    """The table of the controls; by control the interpretable units in each bootstrap replicate; and by concept."""
    figures = [
        "units",
        "units_low",
        "units_high",
        "layer_units",
        "concepts",
        "concepts_low",
        "concepts_high",
        *MEAN_IOU,
    ]
    table = pd.DataFrame(rows, columns=["control", "category", *figures, "resampled"])
    whole = table[(table["category"] == "") & table["units"].notna()]
    by_concept = [row["each"] for row in rows if row["each"] is not None]
    return (
        table.drop(columns="resampled"),
        dict(zip(whole["control"], whole["resampled"], strict=True)),
        pd.concat(by_concept, ignore_index=True) if by_concept else no_counts(),
    )


def testable(scores: Scores) -> NDArray[np.bool_]:
    """(c,) concepts that can be tested at all: in enough images of both halves, scored by enough groups."""
    return scores.tested & (scores.corrected_iou.freedom >= FEWEST_GROUPS - 1)


def tally(
    control: Control,
    label_units: Callable[[NDArray[np.bool_] | None], UnitLabels],
    words: Words,
    testable: NDArray[np.bool_] | None = None,
) -> list[dict[str, Any]]:
    """Rows of counts with bootstrap intervals: by overall label (''), and by the label within each category.

    Where none of the concepts is `testable` there is nothing to count, which is not the same as none: NaN.
    """
    rows: list[dict[str, Any]] = []
    for category in ["", *words.categories]:
        among = words.within(category) if category else None
        verdict = label_units(among)
        if testable is not None and not (testable if among is None else testable & among).any():
            figures = (f"{what}{end}" for what in ("units", "concepts") for end in ("", "_low", "_high"))
            blank = dict.fromkeys(figures, float("nan"))
            none = {"layer_units": len(verdict.column), "resampled": None, "each": None}
            rows.append({"control": str(control), "category": category} | none | blank)
            continue
        counts = _units_and_concepts(verdict.column, verdict.interpretable, among)
        replicates = zip(verdict.labels, verdict.passed, strict=True)
        spread = np.array([_units_and_concepts(label, passed, among) for label, passed in replicates])
        low, high = basic_interval(np.array(counts), spread)
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
                "concepts_high": min(high[1], len(words.concepts) if among is None else int(among.sum())),
                "resampled": spread[:, 0],
                "each": None if among is None else _each_concept(control, category, words, verdict),
            }
        )
    return rows


def _each_concept(control: Control, category: str, words: Words, verdict: UnitLabels) -> pd.DataFrame:
    """Interpretable units of each concept of a category, with bootstrap intervals; only concepts that have any."""
    concepts = len(words.concepts)

    def units(label: Ints, passed: NDArray[np.bool_]) -> Ints:
        return np.bincount(label[passed & (label >= 0)], minlength=concepts)

    counted = units(verdict.column, verdict.interpretable)
    spread = np.stack([units(*one) for one in zip(verdict.labels, verdict.passed, strict=True)])
    low, high = basic_interval(counted, spread)
    at = np.flatnonzero(high)
    return pd.DataFrame(
        {
            "control": str(control),
            "category": category,
            "concept": words.concept(at),
            "units": counted[at],
            "units_low": low[at],
            "units_high": np.minimum(high[at], len(verdict.column)),
        }
    )


def _units_and_concepts(label: Ints, passed: NDArray[np.bool_], among: NDArray[np.bool_] | None) -> tuple[int, int]:
    kept = label[passed & (label >= 0)]
    kept = kept if among is None else kept[among[kept]]
    return len(kept), len(np.unique(kept))


def basic_interval(value: Ints, replicates: Ints) -> tuple[Ints, Ints]:
    """95 % percentile interval of bootstrap counts, widened to hold the count itself."""
    low, high = np.percentile(replicates, [2.5, 97.5], axis=0)
    return np.minimum(np.floor(low), value).astype(np.int64), np.maximum(np.ceil(high), value).astype(np.int64)
