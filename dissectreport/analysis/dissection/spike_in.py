"""What this run would have found: planted units, whose labels are known, are treated like its own units.

The run's images are taken as the population: a planted unit's truth follows from its share and from the masks of all
images. Its interval, label and q come from the same halves and groups as those of units. What is smallest that is found
follows from the standard error of planted units on the scale of the test: a unit is found with a probability of at
least 80% if it is as many errors above the cut-off as the test wants, and 0.84 more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dissectreport.analysis.common.cutoffs import FEWEST_IMAGES, LEAST_CORRECTED_IOU, Q
from dissectreport.analysis.common.jackknife import logit
from dissectreport.analysis.common.student import quantile
from dissectreport.analysis.dissection.corrected_rule import Groups, Scores, blocks, judge, score
from dissectreport.analysis.dissection.counted import ConceptNames
from dissectreport.analysis.results.spike_in import SpikeIn
from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.iou import against_chance
from dissectreport.stats.spikes import SHARES, Spikes
from dissectreport.vocabulary import Vocabulary

POWER = 0.8
LEVELS = np.round(np.arange(0.045, 1, 0.005), 3)
"""Chance-corrected IoUs among which the smallest that is found is searched."""


def spike_in(
    shards: Iterable[tuple[int, Spikes]],
    pixels: int,
    vocabulary: Vocabulary,
    twins: Mapping[int, int],
    interpretable: float,
) -> SpikeIn | None:
    """Which planted units of a run were found; None if no concept can be tested.

    `shards` are (group, counts); `pixels` is the number of pixels of the grid, `twins` gives the concept that a concept
    counts as, and `interpretable` the share of the run's units that are interpretable: the larger it is, the larger
    p-values are significant.
    """
    counted = list(shards)
    if not counted:
        return None
    every, concepts = OwnOverlaps.of([stat for _, stat in counted]), tested(counted)
    scores = _scores(counted, every.concepts, concepts, pixels)
    if not len(concepts) or scores.corrected_iou.freedom < 2:
        return None
    planted = _table(every, scores, ConceptNames(vocabulary, scores.concepts, twins))
    found = planted[planted["found"]]
    return SpikeIn(
        planted=planted,
        concepts=_smallest(planted, scores, Q * max(interpretable, 0.01)),
        covered=int(planted["covered"].sum()),
        intervals=len(planted),
        found=len(found),
        falsely=int((~found["right"]).sum()),
    )


@dataclass(frozen=True)
class OwnOverlaps:
    """Over all images, what the truth of planted units follows from."""

    concepts: Ints
    """(c,) rising numbers of the concepts that occur."""
    present: Ints
    """(c,) pixels that show the concept."""
    expected: Floats
    """(c,) pixels that masks of the concept in different images share by chance."""

    @classmethod
    def of(cls, stats: Sequence[Spikes]) -> OwnOverlaps:
        """Those of all shards."""
        concepts = np.unique(np.concatenate([stat.concepts for stat in stats]))
        present, by_size = np.zeros(len(concepts), np.int64), dict[int, Ints]()
        for stat in stats:
            at, own = np.searchsorted(concepts, stat.concepts), np.arange(len(stat.concepts))
            present[at] += stat.present
            paired = (stat.crossed - stat.observed)[:, own, -1, own]
            for size, pairs in zip(stat.sizes.tolist(), paired, strict=True):
                by_size.setdefault(size, np.zeros(len(concepts), np.int64))[at] += pairs
        shares = [pairs / (size - 1) for size, pairs in sorted(by_size.items()) if size > 1]
        return cls(concepts, present, np.sum([np.zeros(len(concepts)), *shares], axis=0))


def tested(shards: Sequence[tuple[int, Spikes]]) -> Ints:
    """Numbers of the concepts that are in enough images of both halves."""
    halves = ([stat for group, stat in shards if group % 2 == half and stat.samples > 1] for half in range(2))
    first, second = (_in_enough_images(half) for half in halves)
    return np.asarray(np.intersect1d(first, second), np.int64)


def _in_enough_images(stats: Sequence[Spikes]) -> Ints:
    images = Counter[int]()
    for stat in stats:
        images.update(dict(zip(stat.concepts.tolist(), stat.images.tolist(), strict=True)))
    return np.array([number for number, count in images.items() if count >= FEWEST_IMAGES], np.int64)


def _scores(shards: Sequence[tuple[int, Spikes]], concepts: Ints, columns: Ints, pixels: int) -> Scores:
    """The scores of all planted units with the concepts that can be labels, in blocks that fit into memory."""
    parts = []
    for part in blocks(len(concepts), len(SHARES) * len(columns), thresholds=1):
        chances = ((group, stat.as_chance(concepts[part], columns)) for group, stat in shards)
        parts.append(score(Groups.of(chances), pixels, replicates=1))
    return Scores.together(parts)


def truth(every: OwnOverlaps) -> tuple[Floats, Floats]:
    """(c, shares) IoU and chance-corrected IoU that planted units have in all images."""
    whole, shares = every.present[:, None].astype(np.float64), np.array(SHARES)
    both = shares * whole + (1 - shares) * every.expected[:, None]
    iou, _, corrected = against_chance(both, every.expected[:, None], whole, whole)
    return iou, corrected


def _table(every: OwnOverlaps, scores: Scores, names: ConceptNames) -> pd.DataFrame:
    """One row a planted unit of a concept that is tested."""
    shares = len(SHARES)
    there = np.repeat(np.isin(every.concepts, scores.concepts[scores.tested]), shares)
    unit = np.flatnonzero(there)
    column, share = np.searchsorted(scores.concepts, every.concepts[unit // shares]), unit % shares
    iou, corrected = (values.reshape(-1)[unit] for values in truth(every))
    verdict = judge(scores)
    label = verdict.column[unit]
    (low, high), (corrected_low, corrected_high) = scores.intervals(unit, column)
    same = [names.different(np.array(pair)) == 1 for pair in zip(column, np.maximum(label, 0), strict=True)]
    right = np.array(same) & (corrected > LEAST_CORRECTED_IOU)
    table = pd.DataFrame(
        {
            "concept": names.concept(column),
            "category": names.category(column),
            "planted_share": np.array(SHARES)[share],
            "iou_true": iou,
            "corrected_iou_true": corrected,
            "iou": scores.iou.value[unit, column],
            "iou_low": low,
            "iou_high": high,
            "corrected_iou": scores.corrected_iou.value[unit, column],
            "corrected_iou_low": corrected_low,
            "corrected_iou_high": corrected_high,
            "label": names.concept(label),
            "q": verdict.q[unit],
            "found": verdict.interpretable[unit],
            "right": right,
            "error": _error(scores, unit, column),
        }
    )
    covered = (table["iou_low"] <= table["iou_true"]) & (table["iou_true"] <= table["iou_high"])
    known = table["planted_share"] < 1
    kept: pd.DataFrame = table.assign(covered=covered).loc[known].reset_index(drop=True)
    return kept


def _error(scores: Scores, unit: Ints, column: Ints) -> Floats:
    """Standard errors of planted units with their concepts on the scale of the test; NaN where it is plain."""
    picked = scores.corrected.at(unit, column)
    shares = picked.as_shares()
    return np.where(shares.inside(), shares.logit().error(), np.nan)


def _smallest(planted: pd.DataFrame, scores: Scores, significant: float) -> pd.DataFrame:
    """One row per concept: the smallest chance-corrected IoU that is found with a probability of at least 80%.

    `significant` is the largest p-value of units that are interpretable.
    """
    freedom = scores.corrected_iou.freedom
    wanted = quantile(1 - significant, freedom) + quantile(POWER, freedom)
    rows = []
    for (concept, category), group in planted.groupby(["concept", "category"], sort=False):
        known = group[group["error"].notna() & (group["corrected_iou_true"] > 0)].sort_values("corrected_iou_true")
        least = float("nan")
        if len(known):
            chance = _chance_level(known)
            errors = np.interp(LEVELS, known["corrected_iou_true"], known["error"])
            beyond = logit(LEVELS * (1 - chance) + chance) - logit(
                np.full(len(LEVELS), LEAST_CORRECTED_IOU * (1 - chance) + chance)
            )
            enough = LEVELS[beyond >= wanted * errors]
            least = float(enough[0]) if len(enough) else float("nan")
        rows.append((concept, category, least))
    return pd.DataFrame(rows, columns=["concept", "category", "smallest_found"])


def _chance_level(known: pd.DataFrame) -> float:
    """The chance level of a concept's planted units, from their true IoUs."""
    iou, corrected = known["iou_true"].to_numpy(), known["corrected_iou_true"].to_numpy()
    return float(np.median((iou - corrected) / np.maximum(1 - corrected, 1e-9)))
