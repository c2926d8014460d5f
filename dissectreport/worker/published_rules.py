"""The passes of the published rules: counts at exact thresholds, on the reference's grid and with its edges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from dissectreport.run.plan import Plan, Reading
from dissectreport.run.rules import rule_named
from dissectreport.run.shards import Shard
from dissectreport.stats.categories import numbered
from dissectreport.stats.peaks import Peaks
from dissectreport.stats.thresholds import ExactThresholds
from dissectreport.worker import concept_masks, counting
from dissectreport.worker.loaded_networks import Source
from dissectreport.worker.observing import at_lattice, observe, replaced, samples_of

ThresholdsByKey = Mapping[str, ExactThresholds]
Work = Callable[[Shard], dict[str, dict[str, Any]]]


def make_search(source: Source, plan: Plan, readings: Sequence[Reading], thresholds: ThresholdsByKey) -> Work:
    """The pass over the samples of the selection seed, for the search for thresholds and labels."""
    models, edge = source.models(), rule_named(plan.rule).edge
    vocabulary = models.segmenter.vocabulary
    category = numbered(vocabulary.category_of_each)

    def work(shard: Shard) -> dict[str, dict[str, Any]]:
        maps, labels = observe(models, plan, plan.pilot_seed, readings, shard)
        counts: dict[str, dict[str, Any]] = {}
        for reading in readings:
            read, threshold, label_grid = maps[reading], thresholds[reading.key], labels_on_grid(labels, plan, reading)
            masks = concept_masks.Masks.of(label_grid, len(vocabulary), least=0)
            counts[reading.key] = {
                "joint": counting.joint(read, masks, threshold, plan.side(reading), edge),
                "categories": counting.categories(read, label_grid, category, threshold, plan.side(reading), edge),
                "ends": counting.ends(read, masks, threshold, plan.side(reading), edge),
            }
        return counts

    return work


def make_counts(source: Source, plan: Plan, readings: Sequence[Reading], thresholds: ThresholdsByKey) -> Work:
    """The pass over the samples that are scored: the counts of a shard, by reading and statistic."""
    models, edge = source.models(), rule_named(plan.rule).edge
    vocabulary = models.segmenter.vocabulary
    category = numbered(vocabulary.category_of_each)

    def work(shard: Shard) -> dict[str, dict[str, Any]]:
        maps, labels = observe(models, plan, plan.seed, readings, shard)
        counts: dict[str, dict[str, Any]] = {}
        for reading in readings:
            read, threshold, label_grid = maps[reading], thresholds[reading.key], labels_on_grid(labels, plan, reading)
            masks = concept_masks.Masks.of(label_grid, len(vocabulary))
            joint, chance = counting.joint_and_chance(read, masks, threshold, plan.side(reading), edge)
            counts[reading.key] = {
                "joint": joint,
                "chance": chance,
                "categories": counting.categories(read, label_grid, category, threshold, plan.side(reading), edge),
                "peaks": Peaks(samples_of(shard), read.amax((2, 3)).cpu().numpy()),
                "cross": counting.cross(read, threshold),
                "areas": concept_masks.areas(masks, shard.first),
                **replaced(models, plan.seed, shard),
            }
        return counts

    return work


def labels_on_grid(labels: Tensor, plan: Plan, reading: Reading) -> Tensor:
    """(n, slots, k, k) labels where a reading is counted; the next image's where it is shifted."""
    on_grid = concept_masks.on_grid(labels, plan.grid).roll(-reading.shift, 0)
    return on_grid if reading.rotation is None else at_lattice(on_grid, plan)
