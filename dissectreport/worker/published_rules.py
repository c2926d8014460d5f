"""The passes of the published rules: counts at exact levels, on the reference's grid and with its edges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from dissectreport.run.plan import Plan, Reading
from dissectreport.run.rules import rule_named
from dissectreport.run.shards import Shard
from dissectreport.stats.categories import numbered
from dissectreport.stats.levels import ExactLevels
from dissectreport.stats.peaks import Peaks
from dissectreport.worker import counting
from dissectreport.worker.dissection import Source, observe, samples_of

LevelsByKey = Mapping[str, ExactLevels]
Work = Callable[[Shard], dict[str, dict[str, Any]]]


def make_search(source: Source, plan: Plan, readings: Sequence[Reading], levels: LevelsByKey) -> Work:
    """The pass over the samples of the choosing seed that the search for levels and labels rests on."""
    models, edge = source.models(), rule_named(plan.rule).edge
    vocabulary = models.segmenter.vocabulary
    category = numbered([concept.category for concept in vocabulary.concepts])

    def work(shard: Shard) -> dict[str, dict[str, Any]]:
        maps, labels = observe(models, plan, plan.pilot_seed, readings, shard)
        found = {}
        for reading in readings:
            read, level, there = maps[reading], levels[reading.key], laid(labels, plan, reading)
            masks = counting.Masks.of(there, len(vocabulary), least=0)
            found[reading.key] = {
                "joint": counting.joint(read, masks, level, plan.grid, edge),
                "categories": counting.categories(read, there, category, level, plan.grid, edge),
                "ends": counting.ends(read, masks, level, plan.grid, edge),
            }
        return found

    return work


def make_counts(source: Source, plan: Plan, readings: Sequence[Reading], levels: LevelsByKey) -> Work:
    """The pass over the samples that are judged: every reading's counts of a shard, by statistic."""
    models, edge = source.models(), rule_named(plan.rule).edge
    vocabulary = models.segmenter.vocabulary
    category = numbered([concept.category for concept in vocabulary.concepts])

    def work(shard: Shard) -> dict[str, dict[str, Any]]:
        maps, labels = observe(models, plan, plan.seed, readings, shard)
        found = {}
        for reading in readings:
            read, level, there = maps[reading], levels[reading.key], laid(labels, plan, reading)
            masks = counting.Masks.of(there, len(vocabulary))
            joint, chance = counting.joint_and_chance(read, masks, level, plan.grid, edge)
            found[reading.key] = {
                "joint": joint,
                "chance": chance,
                "categories": counting.categories(read, there, category, level, plan.grid, edge),
                "peaks": Peaks(samples_of(shard), read.amax((2, 3)).cpu().numpy()),
                "cross": counting.cross(read, level),
                "areas": counting.areas(masks, shard.first),
            }
        return found

    return work


def laid(labels: Tensor, plan: Plan, reading: Reading) -> Tensor:
    """(n, slots, grid, grid) labels on the plan's grid; the next image's where the reading is shifted."""
    return counting.on_grid(labels, plan.grid).roll(-reading.shift, 0)
