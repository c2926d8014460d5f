"""Labels under the published rules, by their own cut-offs, and which of those units also beat chance.

Every figure comes from all samples at the unit's one threshold. Nothing is split into halves, so p and q of a
label that was chosen on the same samples are optimistic; the chance-corrected IoU has to be large as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.common.cutoffs import LEAST_CORRECTED_IOU, Q
from dissectreport.analysis.common.jackknife import Jackknife, benjamini_hochberg
from dissectreport.analysis.dissection.corrected_rule import REPLICATES, Groups, Scores, UnitLabels
from dissectreport.analysis.dissection.counted import Chances, ConceptNames, Counted
from dissectreport.analysis.dissection.examples import examples
from dissectreport.analysis.dissection.iclr2019_search import information_ratio, quadrants
from dissectreport.analysis.dissection.interpretable_counts import across_rotations, counts_of, mean_match, tally
from dissectreport.analysis.dissection.own_units import best_units, own_units
from dissectreport.analysis.dissection.unit_tables import (
    category_labels,
    leading_curves,
    most_correlated,
    pair_table,
    unit_table,
)
from dissectreport.analysis.dissection.units import Units
from dissectreport.analysis.results.dissection import Control
from dissectreport.run.rules import Rule, RuleName
from dissectreport.stats.base import Floats, Ints, merge_all
from dissectreport.stats.categories import Categories, numbered
from dissectreport.stats.chance import Chance
from dissectreport.stats.iou import against_chance
from dissectreport.stats.joint import above_edges
from dissectreport.stats.thresholds import ExactThresholds
from dissectreport.vocabulary import Vocabulary


@dataclass(frozen=True)
class Evidence:
    """What was counted of a layer's units, or of one of their controls."""

    thresholds: ExactThresholds
    search_ratios: Floats | None
    """(units, v) what the search on other samples ranked every concept number by, where the rule searches."""
    chances: Chances
    categories: Callable[[], Iterable[tuple[int, Categories]]]
    """Calls give each shard's (group, counts), in order of shards."""
    pixels: int
    """Pixels of an image at which it was counted."""


@dataclass(frozen=True)
class SampleCounts:
    """What some samples showed, at some thresholds."""

    concepts: Ints
    """(c,) concept numbers."""
    on: Ints
    """(units, t) pixels above each threshold."""
    present: Ints
    """(c,) pixels that show the concept."""
    samples: int
    categories: Categories


@dataclass(frozen=True)
class UnionPixels:
    """What a rule's union contains besides the overlap, in pixels."""

    on: Ints
    """(units, c, t) the unit is above the threshold."""
    present: Ints
    """(c,) the concept is there."""
    pixels: Ints
    """(c,) all that count."""


def everywhere(counts: SampleCounts, category: Ints, image: int) -> UnionPixels:
    """All pixels of all images (PNAS 2020); an image has `image` pixels."""
    concepts = len(counts.concepts)
    on = np.repeat(counts.on[:, None], concepts, 1)
    return UnionPixels(on, counts.present, np.full(concepts, counts.samples * image))


def within_category(counts: SampleCounts, category: Ints, image: int) -> UnionPixels:
    """The images that hold the concept's category (ICLR 2019); `category` (v,) is by concept number."""
    kind, by_category = category[counts.concepts], counts.categories
    return UnionPixels(
        above_edges(by_category.bins)[:, kind], by_category.named[counts.concepts], by_category.images[kind] * image
    )


UNIONS = {RuleName.ICLR2019: within_category, RuleName.PNAS2020: everywhere}


@dataclass(frozen=True)
class RatioSums:
    """What the ratios are made of at each unit's threshold, by group (first axis), in pixels."""

    observed: Floats
    """(g, units, c)"""
    expected: Floats
    """(g, units, c)"""
    on: Floats
    """(g, units, c)"""
    present: Floats
    """(g, 1, c)"""
    pixels: Floats
    """(g, 1, c)"""

    def weighted(self, weight: Floats) -> RatioSums:
        """The groups added up with `weight` (g,); the first axis is gone."""
        return RatioSums(*(np.tensordot(weight, value, 1) for value in vars(self).values()))

    def less(self, parts: RatioSums) -> RatioSums:
        """These sums with each part of `parts` left out."""
        return RatioSums(*(getattr(self, name) - value for name, value in vars(parts).items()))

    def ratios(self) -> dict[str, Floats]:
        """'iou', 'chance_level', 'corrected_iou' and 'iqr' (mutual information over joint entropy), elementwise."""
        iou, chance_level, corrected_iou = against_chance(self.observed, self.expected, self.on, self.present)
        whole = np.maximum(self.pixels, 1)
        iqr = information_ratio(quadrants(self.observed / whole, self.on / whole, self.present / whole))
        return {"iou": iou, "chance_level": chance_level, "corrected_iou": corrected_iou, "iqr": iqr}


def examine(
    counted: Counted,
    evidence: Evidence,
    controls: Mapping[Control, Evidence],
    rotations: Sequence[Evidence],
    rule: Rule,
    vocabulary: Vocabulary,
    position_only: pd.Series,
) -> Units:
    """The tables of a layer under a published rule; see `units.examine` for arguments that it shares."""
    category = numbered(vocabulary.category_of_each)
    score_of = partial(score, rule=rule, category=category)
    result = score_of(evidence)
    scores, names = result.scores, ConceptNames(vocabulary, result.scores.concepts)
    verdict = result.judge()
    kind, samples = examples(counted.peaks)
    rows = tally(Control.MEASURED, result.judge, names)
    rows[0] |= mean_match(scores, verdict)
    of_directions = [score_of(one) for one in rotations]
    rows += across_rotations([_tally(Control.RANDOM_DIRECTIONS, one, names) for one in of_directions])
    for name, control in controls.items():
        rows += _tally(name, score_of(control), names)
    return Units(
        counted=counted,
        table=unit_table(counted, scores, verdict, names, position_only),
        labels=category_labels(scores, verdict, names, counted.thresholds, lambda _scores, among: result.judge(among)),
        pairs=pair_table(scores, names, counted.thresholds),
        counts=counts_of(rows),
        own_units=own_units(scores, [one.scores for one in of_directions], names),
        best_units=best_units(scores, [one.scores for one in of_directions], names),
        curves=leading_curves(scores, verdict, counted.thresholds),
        correlated=most_correlated(counted.cross),
        kind=kind,
        examples=samples,
    )


def _tally(control: Control, rival: RuleScores, names: ConceptNames) -> list[dict[str, Any]]:
    return tally(control, rival.judge, replace(names, concepts=rival.scores.concepts))


@dataclass(frozen=True)
class RuleScores:
    """Every unit with every concept under a rule, and what the rule needs to judge them."""

    rule: Rule
    scores: Scores
    ratios: Mapping[str, Floats]
    """(units, c) by name."""
    resampled: Mapping[str, NDArray[np.float32]]
    """(replicates, units, c) in resampled groups, by name."""
    nothing: Floats
    """(units,) what a concept must exceed in the rule's order to be a label."""
    searched: bool
    """Whether labels come from other samples, which were not resampled."""

    def judge(self, among: NDArray[np.bool_] | None = None) -> UnitLabels:
        """Each unit's first concept in the rule's order, or first among some (c,), by the rule's cut-offs."""
        scores, rows = self.scores, np.arange(len(self.nothing))
        order = scores.chosen if among is None else np.where(among, scores.chosen, -np.inf)
        first, second = ranked(order, self.nothing)
        p = np.where(first >= 0, scores.corrected_iou.p_above()[rows, first], 1.0)
        q = benjamini_hochberg(p)
        at = {name: np.where(first >= 0, value[rows, first], np.nan) for name, value in self.ratios.items()}
        labels = self._labels(first, among)
        stability = np.full(len(rows), np.nan) if self.searched else (labels == first).mean(0)
        beats_chance = (at["corrected_iou"] >= LEAST_CORRECTED_IOU) & (q < Q)
        columns = np.maximum(labels, 0)[..., None]
        replicated = {name: np.take_along_axis(value, columns, 2)[..., 0] for name, value in self.resampled.items()}
        passed = self.passed(replicated) & (labels >= 0)
        matched = np.where(labels >= 0, replicated["corrected_iou"], np.nan).astype(np.float64)
        return UnitLabels(
            column=first,
            runner_up=second,
            p=p,
            q=q,
            interpretable=self.passed(at),
            beats_chance=beats_chance,
            stability=stability,
            labels=labels,
            passed=passed,
            matched=matched,
            corrected_iou=at["corrected_iou"],
            groups=len(scores.corrected_iou.sizes),
        )

    def _labels(self, first: Ints, among: NDArray[np.bool_] | None) -> Ints:
        """(replicates, units) labels in resampled groups: the searched one, or the largest IoU among some (c,)."""
        iou = self.resampled["iou"]
        if self.searched or not iou.size or (among is not None and not among.any()):
            return np.broadcast_to(first, iou.shape[:2])
        allowed = np.ones(iou.shape[2], bool) if among is None else among
        return np.asarray(np.flatnonzero(allowed)[iou[:, :, allowed].argmax(-1)])

    def passed(self, ratios: Mapping[str, NDArray[np.floating]]) -> NDArray[np.bool_]:
        """Whether every ratio that the rule looks at exceeds its cut-off."""
        return np.asarray(np.all([ratios[name] > cut for name, cut in self.rule.interpretable.items()], 0))


def ranked(order: Floats, nothing: Floats) -> tuple[Ints, Ints]:
    """(units,) columns of the largest two of `order` (units, c); -1 where they are not above `nothing`."""
    padded = np.concatenate([order, np.full((len(order), 2), -np.inf)], 1)
    columns = np.argsort(-padded, axis=1, kind="stable")[:, :2]
    columns_in_order = np.where(np.take_along_axis(padded, columns, 1) > nothing[:, None], columns, -1)
    return columns_in_order[:, 0], columns_in_order[:, 1]


def score(evidence: Evidence, rule: Rule, category: Ints) -> RuleScores:
    """Every unit with every concept at its threshold; `category` (v,) by number."""
    own, image = evidence.thresholds.own, evidence.pixels
    groups = Groups.of((group, at_own(chance, own)) for group, chance in evidence.chances())
    union = partial(UNIONS[rule.name], category=category, image=image)
    sums = summed(groups, evidence, union)
    together = sums.weighted(np.ones(len(groups.numbers)))
    ratios, less = together.ratios(), together.less(sums).ratios()
    order, nothing = ordered(ratios["iou"], evidence.search_ratios, groups.concepts)
    resampled = bootstrap(sums)
    concepts = len(groups.concepts)
    jackknife = {
        name: Jackknife(ratios[name], less[name], groups.samples) for name in ("iou", "chance_level", "corrected_iou")
    }
    empty = np.zeros((0, 0, 0), np.float32)
    scores = Scores(
        concepts=groups.concepts,
        tested=np.ones(concepts, bool),
        threshold=np.repeat(own[:, None], concepts, 1),
        chosen=order,
        iou=jackknife["iou"],
        chance_level=jackknife["chance_level"],
        corrected_iou=jackknife["corrected_iou"],
        unseen=np.zeros(ratios["iou"].shape),
        expected=together.expected,
        on_fraction=np.repeat(groups.on.sum(0) / (groups.samples.sum() * image), concepts, 1),
        curves=curves(evidence, union, image),
        band=None,
        resampled=(empty, empty),
    )
    return RuleScores(rule, scores, ratios, resampled, nothing, evidence.search_ratios is not None)


def at_own(chance: Chance, own: Ints) -> Chance:
    """The counts at each unit's own threshold alone."""

    def taken(counts: Ints) -> Ints:
        return np.take_along_axis(counts, own[None, :, None, None], 3)

    return replace(
        chance,
        observed=taken(chance.observed),
        shifted=taken(chance.shifted),
        crossed=taken(chance.crossed),
        on=np.take_along_axis(chance.on, own[:, None], 1),
    )


def split_at_own(categories: Categories, own: Ints) -> Categories:
    """The counts in two bins: up to each unit's own threshold, and above it."""
    above = np.take_along_axis(above_edges(categories.bins), own[:, None, None], 2)
    return replace(categories, bins=np.concatenate([categories.bins.sum(2, keepdims=True) - above, above], 2))


def summed(groups: Groups, evidence: Evidence, union: Callable[[SampleCounts], UnionPixels]) -> RatioSums:
    """The group sums at each unit's own threshold, with the rule's union."""
    by_group: dict[int, Categories] = {}
    for group, counts in evidence.categories():
        part = split_at_own(counts, evidence.thresholds.own)
        by_group[group] = by_group[group].merge(part) if group in by_group else part
    parts = zip(groups.numbers, groups.on, groups.present, groups.samples, strict=True)
    unions = [
        union(SampleCounts(groups.concepts, on, present, int(samples), by_group[int(number)]))
        for number, on, present, samples in parts
    ]
    return RatioSums(
        groups.observed[..., 0],
        groups.expected[..., 0],
        np.stack([part.on[..., 0] for part in unions]).astype(np.float64),
        np.stack([part.present[None] for part in unions]).astype(np.float64),
        np.stack([part.pixels[None] for part in unions]).astype(np.float64),
    )


def ordered(iou: Floats, searched: Floats | None, concepts: Ints) -> tuple[Floats, Floats]:
    """(units, c) what labels are ranked by, and (units,) what they must exceed.

    Without a search that is the IoU, and every unit has a label; with one its ratios, and a label must exceed
    those of nothing and of concepts that were not seen again.
    """
    if searched is None:
        return iou, np.full(len(iou), -np.inf)
    others = np.delete(searched, concepts, axis=1)
    return searched[:, concepts], others.max(1)


def bootstrap(sums: RatioSums) -> dict[str, NDArray[np.float32]]:
    """(replicates, units, c) ratios of resampled groups, by name; single precision will do for counts of units."""
    random = np.random.RandomState(0)
    groups = len(sums.on)
    replicates: list[dict[str, Floats]] = []
    for _ in range(REPLICATES):
        weight = random.multinomial(groups, np.full(groups, 1 / groups)).astype(np.float64)
        replicates.append(sums.weighted(weight).ratios())
    return {name: np.stack([replicate[name].astype(np.float32) for replicate in replicates]) for name in replicates[0]}


def curves(
    evidence: Evidence, union: Callable[[SampleCounts], UnionPixels], image: int
) -> tuple[Floats, Floats, Floats]:
    """IoU and chance level (units, c, t), and share above (units, t), at every threshold."""
    chance = merge_all(counts for _, counts in evidence.chances())
    categories = merge_all(counts for _, counts in evidence.categories())
    whole = union(SampleCounts(chance.concepts, chance.on, chance.present, chance.samples, categories))
    observed, on, present = (v.astype(np.float64) for v in (chance.observed_overlap(), whole.on, whole.present))
    iou, chance_level, _ = against_chance(observed, chance.expected(), on, present[None, :, None])
    return iou, chance_level, chance.on / (chance.samples * image)
