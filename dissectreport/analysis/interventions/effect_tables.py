"""Tables of causal effects: single units, rankings, sets of units, and side effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dissectreport.analysis.common.rank_correlation import (
    noise_ceiling,
    noise_ceiling_interval,
    spearman,
    spearman_interval,
)
from dissectreport.analysis.interventions.insertion_gains import context_p
from dissectreport.analysis.interventions.random_sets import RandomSetEffects
from dissectreport.analysis.interventions.removed_area import Removed, RemovedShare
from dissectreport.analysis.results.interventions import (
    RANKING_METHODS,
)
from dissectreport.records.interventions import AblationPlan, LearnedMask
from dissectreport.run.budgets import InterventionBudget
from dissectreport.run.plan import InterventionKey
from dissectreport.run.rankings import Ranking
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Floats
from dissectreport.stats.effects import FirstOrder
from dissectreport.stats.insertions import Insertions
from dissectreport.vocabulary import Vocabulary

REMOVAL = (10, 20)
"""Sizes of the sets in the summary."""
FEWEST_RANKED = 4
"""Units behind any rank correlation: with fewer it could be anything."""


@dataclass(frozen=True)
class InterventionTables:
    """The tables of a layer's interventions."""

    key: InterventionKey
    budget: InterventionBudget
    plan: AblationPlan
    removed: Removed
    """What each set removes of the studied concepts, by image."""
    all_removed: Removed
    """What each set removes of every concept, by shard."""
    first: FirstOrder
    sampled: Removed
    """What each unit drawn at random removes of the studied concepts, by image."""
    random: RandomSetEffects
    vocabulary: Vocabulary

    @property
    def names(self) -> list[str]:
        """The studied concepts."""
        return [self.vocabulary[number].name for number in self.key.concepts]

    def ranking_names(self, concept: int) -> list[str]:
        """The ranking methods for one of the concepts, best known first."""
        return [str(name) for name in RANKING_METHODS if name in self.plan.methods(concept)]

    @property
    def masks(self) -> dict[str, LearnedMask]:
        """The learned mask by concept; empty if none was requested."""
        return dict(zip(self.names, self.plan.masks, strict=False))

    def concepts(self, areas: Areas, insertions: Insertions) -> pd.DataFrame:
        """One row per studied concept."""
        rows = []
        for k, number in enumerate(self.key.concepts):
            column = areas.pixels[:, np.flatnonzero(areas.concepts == number)[0]]
            mask = self.masks.get(self.names[k])
            rows.append(
                {
                    "concept": self.names[k],
                    "category": self.vocabulary[number].category,
                    "area": column.sum() / (len(column) * areas.grid),
                    "images": int((column > 0).sum()),
                    "best_ranking": self.plan.best[k],
                    "context_p": context_p(insertions, k),
                    "mask_loss_start": np.nan if mask is None else mask.start_loss,
                    "mask_loss_end": np.nan if mask is None else mask.end_loss,
                }
            )
        table = pd.DataFrame(rows)
        return table if self.plan.masks else table.drop(columns=["mask_loss_start", "mask_loss_end"])

    def estimates(self) -> Floats:
        """(concepts, units) share of the concept's area that ablating a unit removes, by gradient × activation."""
        return np.asarray(self.first.effect / np.maximum(self.first.area, 1e-9)[:, None])

    def effects(self) -> pd.DataFrame:
        """One row per (concept, unit), by concept and rank."""
        parts = []
        estimates = self.estimates()
        measured_effect = {unit: self.removed[(unit,)] for unit in self.plan.singles}
        for k in range(len(self.key.concepts)):
            order = np.argsort(-estimates[k], kind="stable")
            parts.append(
                pd.DataFrame(
                    {
                        "concept": self.names[k],
                        "unit": order,
                        "rank": np.arange(1, len(order) + 1),
                        "estimate": estimates[k][order],
                        "corrected_iou": self.plan.corrected_iou[k][order],
                        **_columns(k, [measured_effect.get(unit) for unit in order.tolist()]),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    def agreement(self) -> pd.DataFrame:
        """How far the estimate's order is that of exact ablation, by concept, over units that were drawn at random."""
        units = [unit for (unit,) in self.sampled.index]
        halves = [self.sampled.rows(slice(half, None, 2)) for half in (0, 1)]
        estimates = self.estimates()
        rows = []
        for k in range(len(self.key.concepts)):
            measured_effect = np.array([self.sampled[(unit,)].value[k] for unit in units])
            split = [np.array([half[(unit,)].value[k] for unit in units]) for half in halves]
            enough = len(units) >= FEWEST_RANKED
            correlation = spearman(estimates[k][units], measured_effect) if enough else np.nan
            low, high = spearman_interval(correlation, len(units))
            split_correlation = spearman(*split) if enough else np.nan
            ceiling_low, ceiling_high = noise_ceiling_interval(split_correlation, len(units))
            rows.append(
                {
                    "concept": self.names[k],
                    "units": len(units),
                    "images": len(self.sampled.before),
                    "spearman": correlation,
                    "spearman_low": low,
                    "spearman_high": high,
                    "noise_ceiling": noise_ceiling(split_correlation),
                    "noise_ceiling_low": ceiling_low,
                    "noise_ceiling_high": ceiling_high,
                }
            )
        return pd.DataFrame(rows)

    def rankings(self) -> pd.DataFrame:
        """One row per (concept, order, place)."""
        parts = []
        for k, concept in enumerate(self.names):
            for name in self.ranking_names(k):
                units = self.plan.rankings[name][k]
                weight = (
                    self.plan.masks[k].weights[units] if name == Ranking.LEARNED_MASK else np.full(len(units), np.nan)
                )
                place = np.arange(1, len(units) + 1)
                parts.append(
                    pd.DataFrame({"concept": concept, "ranking": name, "rank": place, "unit": units, "weight": weight})
                )
        return pd.concat(parts, ignore_index=True)

    def curves(self) -> pd.DataFrame:
        """What ablating more and more units of every ranking removes, and what random sets remove."""
        rows: list[dict[str, Any]] = []
        for k in range(len(self.key.concepts)):
            for name in self.ranking_names(k):
                rows.append(_point(self.names[k], name, 0, 0.0, 0.0, 0.0))
                for size in self.plan.tried_sizes(name, k):
                    share = self.removed[self.plan.leading(name, k, size)]
                    rows.append(_point(self.names[k], name, size, share.value[k], share.low[k], share.high[k]))
            rows.append(_point(self.names[k], Ranking.RANDOM, 0, 0.0, 0.0, 0.0))
            for size in self.random.sizes:
                removed = self.random.removals(k, size).removed
                rows.append(_point(self.names[k], Ranking.RANDOM, size, removed.mean(), removed.min(), removed.max()))
        return pd.DataFrame(rows)

    def removal(self) -> pd.DataFrame:
        """What ablating 10 and 20 units removes, compared with random units."""
        rows = []
        for k in range(len(self.key.concepts)):
            for name in self.ranking_names(k):
                for size in [s for s in REMOVAL if s in self.plan.tried_sizes(name, k) and s in self.random.sizes]:
                    rows.append(self._row(k, name, size))
        columns = ["concept", "ranking", "units", "removed", "removed_low", "removed_high"]
        columns += ["random", "random_low", "random_high", "difference", "difference_low", "difference_high"]
        columns += ["random_images", "random_activation", "random_rank_distance"]
        return pd.DataFrame(rows, columns=columns)

    def _row(self, k: int, name: str, size: int) -> dict[str, Any]:
        units = self.plan.leading(name, k, size)
        random = self.random.removals(k, size).removed
        difference, difference_low, difference_high = self.random.difference(k, units)
        activation, rank_distance = self.random.match(k, units)
        return {
            "concept": self.names[k],
            "ranking": name,
            "units": size,
            **self.removed[units].of(k, "removed"),
            "random": random.mean(),
            "random_low": random.min(),
            "random_high": random.max(),
            "difference": difference,
            "difference_low": difference_low,
            "difference_high": difference_high,
            "random_images": self.random.images(k, size),
            "random_activation": activation,
            "random_rank_distance": rank_distance,
        }

    def side_effects(self, areas: Areas) -> pd.DataFrame:
        """What else changes with the best order's units."""
        rows = []
        total = len(areas.samples) * areas.grid
        for k in range(len(self.key.concepts)):
            name = self.plan.best[k]
            size = self.plan.causal_size
            units = self.plan.leading(name, k, size)
            share = self._with_images(self.all_removed[units], self.removed[units])
            for other in areas.concepts[areas.pixels.sum(0) > 0].tolist():
                before = self.all_removed.before[:, other].sum() / total
                rows.append(
                    {
                        "concept": self.names[k],
                        "ranking": name,
                        "units": size,
                        "other_concept": self.vocabulary[other].name,
                        "category": self.vocabulary[other].category,
                        "before": before,
                        "after": before * (1 - share.value[other]),
                        "change": 0.0 - share.value[other],
                        "change_low": 0.0 - share.high[other],
                        "change_high": 0.0 - share.low[other],
                    }
                )
        return pd.DataFrame(rows)

    def _with_images(self, every: RemovedShare, studied: RemovedShare) -> RemovedShare:
        """What a set removes of every concept, that of the studied ones with intervals over images."""
        merged = RemovedShare(every.value.copy(), every.low.copy(), every.high.copy())
        for name, values in vars(merged).items():
            values[list(self.key.concepts)] = getattr(studied, name)
        return merged


def _columns(concept: int, effects: Sequence[RemovedShare | None]) -> dict[str, list[float]]:
    """Columns with the effects of units on one of the concepts; NaN for units whose effect was not measured."""
    unknown = dict.fromkeys(("measured_effect", "measured_effect_low", "measured_effect_high"), np.nan)
    rows = [unknown if effect is None else effect.of(concept, "measured_effect") for effect in effects]
    return {name: [row[name] for row in rows] for name in unknown}


def _point(concept: str, order: str, units: int, removed: float, low: float, high: float) -> dict[str, Any]:
    return {
        "concept": concept,
        "ranking": str(order),
        "units": units,
        "removed": removed,
        "removed_low": low,
        "removed_high": high,
    }
