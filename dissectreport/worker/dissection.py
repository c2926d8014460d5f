"""The pass of a dissection under the `corrected` rule: the counts of a shard.

A pass is one small make(plan) -> work(shard). It depends on its plan and its shard alone, so shards can be made
anywhere, in any order, and again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from dissectreport.run.plan import Plan, Reading
from dissectreport.run.rules import Edge, rule_named
from dissectreport.run.shards import Shard
from dissectreport.stats.chance import Chance
from dissectreport.stats.joint import Joint
from dissectreport.stats.label_sets import LabelSets
from dissectreport.stats.neighbours import Neighbours
from dissectreport.stats.peaks import Peaks
from dissectreport.stats.thresholds import Thresholds
from dissectreport.worker import concept_masks, counting
from dissectreport.worker.concept_masks import Masks
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.observing import at_lattice, observe, replaced, samples_of
from dissectreport.worker.spikes import spikes


def make_counts(
    source: Source, plan: Plan, readings: Sequence[Reading], thresholds: dict[str, Thresholds]
) -> Callable[[Shard], dict[str, dict[str, Any]]]:
    """The one pass over generator and segmenter: every reading's counts of a shard, by statistic."""
    models, edge = source.models(), rule_named(plan.rule).edge
    concepts = len(models.segmenter.vocabulary)

    def work(shard: Shard) -> dict[str, dict[str, Any]]:
        maps, labels = observe(models, plan, plan.seed, readings, shard)
        masks = Masks.of(concept_masks.on_grid(labels, plan.grid), concepts)
        coarse_labels = concept_masks.on_grid(labels, plan.chance_grid)
        coarse = masks if plan.chance_grid == plan.grid else Masks.of(coarse_labels, concepts)
        has_rotations = any(reading.rotation is not None for reading in readings)
        sparse = Masks.of(at_lattice(coarse_labels, plan), concepts) if has_rotations else coarse
        # The same for every layer.
        shared = (
            {}
            if source.untrained is not None
            else {
                "areas": concept_masks.areas(masks, shard.first),
                "overlaps": concept_masks.overlaps(masks),
                "spikes": spikes(coarse, shard.first),
                **replaced(models, plan.seed, shard),
            }
        )
        counts: dict[str, dict[str, Any]] = {}
        for reading in readings:
            # Taken out, so that a reading's activations can be forgotten once they are counted.
            read, threshold = maps.pop(reading), thresholds[reading.key]
            if source.untrained is not None or reading.rotation is not None:
                under = coarse if reading.rotation is None else sparse
                grid = min(plan.side(reading), plan.chance_grid)
                chance = counting.chance(read, under, threshold, grid, edge, with_shifted=False)
                counts[reading.key] = {"chance": chance}
                continue
            joint, chance, neighbours, label_sets = _joint_and_others(read, masks, coarse, threshold, plan, edge)
            counts[reading.key] = {
                "joint": joint,
                "chance": chance,
                "neighbours": neighbours.beginning(shard.first),
                "label_sets": label_sets,
                "peaks": Peaks(samples_of(shard), read.amax((2, 3)).cpu().numpy()),
                "cross": counting.cross(read, threshold),
                **shared,
            }
        return counts

    return work


def _joint_and_others(
    maps: Tensor,
    masks: Masks,
    coarse: Masks,
    thresholds: Thresholds,
    plan: Plan,
    edge: Edge,
) -> tuple[Joint, Chance, Neighbours, LabelSets]:
    """Joint counts on the plan's grid, and the others on its coarse one; together where the two are the same."""
    if coarse is masks:
        return counting.joint_and_others(maps, masks, thresholds, plan.grid, edge)
    return (
        counting.joint(maps, masks, thresholds, plan.grid, edge),
        *counting.chance_and_others(maps, coarse, thresholds, plan.chance_grid, edge),
    )
