"""How many seconds each task takes, from the networks' cost on a first batch and from the budgets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissectreport.pipeline.prepare import Job
from dissectreport.pipeline.tasks import Task
from dissectreport.run.budgets import ArtifactBudget, ClassBudget, InterventionBudget
from dissectreport.run.plan import ROTATIONS
from dissectreport.run.rules import RuleName, rule_named
from dissectreport.run.shards import EDIT_BATCH

if TYPE_CHECKING:
    from dissectreport.worker.costs import EditCost, NetworksCost


@dataclass(frozen=True)
class Counting:
    """Seconds of one core, besides the networks."""

    spot: float
    """To count one unit at one pixel, with everything that is counted of units."""
    shard: float
    """To add up, pack and write one unit of one shard, whatever its samples."""
    pilot: float
    """To find the threshold of one unit at one pixel of the pilot."""
    control: float
    """To count one unit of a control at one pixel."""
    control_shard: float
    """To add up, pack and write one unit of a control of one shard."""


COUNTING: Mapping[str, Counting] = {
    RuleName.CORRECTED: Counting(2.1e-8, 8e-4, 4.5e-9, 9e-9, 3e-4),
    RuleName.ICLR2019: Counting(5e-8, 1.2e-3, 9e-9, 5e-8, 1.2e-3),
    RuleName.PNAS2020: Counting(3e-8, 8e-4, 9e-9, 3e-8, 8e-4),
}
PLANTED = 9e-5
"""Seconds of one core to count the planted units of one concept in one sample."""
PICTURES = 1000
"""Approximate number of images that are made again to be shown."""
KEPT, KEPT_OF_CONTROL, FEW_PIXELS = 37.0, 10.0, 30.0
"""Bytes kept of one unit and concept in one shard, after compression, and of one unit of a control, for each doubling
of the pixels of a concept above so few: the counts of a concept of few pixels are mostly zeros."""
KEPT_OF_UNIT, KEPT_OF_PAIR = 1900, 1.3
"""Bytes kept of one unit in one shard whatever its concepts, and of one pair of units."""
ANALYSIS, UNIT = 0.016, 0.035
"""Seconds of one core to analyse one unit of a layer or a control, and to render one."""
START = 4.0
"""Seconds of one core to start a process and load the networks into it."""


def readings(job: Job) -> int:
    """How often each unit is counted: itself, and its controls."""
    return 1 + (1 + len(ROTATIONS) + rule_named(job.plan.rule).is_published) * job.options.controls


def dissection_seconds(job: Job, cost: NetworksCost, real: int, known: int) -> dict[Task, float]:
    """Seconds of one core for the dissection, of which `known` samples were counted before."""
    missing = 1 - known / job.samples
    plan, rule, controls = job.plan, rule_named(job.plan.rule), job.options.controls
    counting, networks = COUNTING[plan.rule], cost.generator + cost.segmenter

    def of(pixels: int, unit: float) -> tuple[float, float, float]:
        """Of units whose pilot has so many pixels, and each of which takes so many seconds to count in a sample."""
        sample = networks + cost.units * unit
        pilot = plan.pilot * (cost.generator + cost.units * pixels * counting.pilot)
        return pilot, plan.pilot * sample * rule.searches, job.samples * sample

    own = plan.grid**2 * counting.spot + counting.shard / plan.shard
    # At few pixels the fixed part of a count weighs as much as the pixels.
    direction = len(plan.lattice) ** 2 * counting.spot + counting.control_shard / plan.shard
    shifted = own * rule.is_published
    in_bases = controls * len(ROTATIONS) * len(plan.lattice) ** 2
    trained = of(plan.grid**2 + in_bases, own + controls * (len(ROTATIONS) * direction + shifted))
    planted = 0.0 if rule.is_published else job.samples * PLANTED * cost.concepts
    trained = (*trained[:2], trained[2] + planted)
    one_control = plan.chance_grid**2 * counting.control + counting.control_shard / plan.shard
    control = of(plan.grid**2, one_control) if controls else (0.0, 0.0, 0.0)
    tasks = [Task.PILOT, Task.THRESHOLD_SEARCH, Task.COUNTING]
    tasks += [Task.CONTROL_PILOT, Task.CONTROL_THRESHOLD_SEARCH, Task.CONTROL_COUNTING]
    seconds = {task: missing * value for task, value in zip(tasks, (*trained, *control), strict=True) if value}
    if job.workers > 1 and missing:
        seconds[Task.PILOT] += START * job.workers
    seconds[Task.PICTURES] = missing * min(job.samples, PICTURES) * networks
    return seconds | ({Task.REAL_CONCEPTS: missing * real * cost.segmenter} if real else {})


def intervention_seconds(
    budget: InterventionBudget, concepts: int, cost: NetworksCost, edit: EditCost
) -> dict[Task, float]:
    """Seconds of one core for the interventions on some concepts."""
    image = edit.tail + cost.segmenter
    prefix = max(cost.generator - edit.tail, 0.0)
    step = prefix + edit.forward + edit.backward
    methods = 4 if budget.learned else 2
    singles = min(budget.singles or edit.units, edit.units)
    sets = singles + concepts * (len(budget.sizes) + (methods - 1) * len(budget.sparse))
    random = concepts * len(budget.random_sizes) * budget.random_images
    spots = budget.context_samples * budget.context_patches // budget.context_each * budget.context_each
    variants = budget.variant_images * (2 * prefix + 3 * image)
    variants += min(budget.confidence_images, budget.variant_images) * 2 * (image + cost.segmenter)
    trials = len(budget.penalties) if len(budget.penalties) > 1 else 0
    learning = 2 * budget.learned_mask_batch * max(trials - 1, 0) * budget.learned_mask_trial_steps
    learning += 2 * budget.learned_mask_batch * budget.learned_mask_steps
    greedy = budget.greedy_units * budget.greedy_images * (edit.forward + edit.backward + budget.greedy_among * image)
    tries = min(budget.learned_mask_tries, budget.search) * (prefix + (1 + budget.learned_mask_patches) * image)
    kept = 2 * budget.learned_mask_held_out * (trials + 2) * (prefix + edit.forward)
    seconds = {
        Task.SEARCH: budget.search * (prefix + image),
        Task.GRADIENTS: budget.gradients * (prefix + edit.forward + concepts * edit.backward),
        Task.LEARNING: concepts * (tries + learning * step + kept + greedy) if budget.learned else 0.0,
        Task.COMPARING: concepts * EDIT_BATCH * (prefix + methods * image),
        Task.ABLATION: budget.samples * (prefix + (1 + sets) * image),
        Task.RANDOM: random * (prefix + budget.random_sets * image),
        Task.SAMPLED: budget.sampled_images * (prefix + (1 + budget.sampled) * image) if budget.sampled else 0.0,
        Task.VARIANTS: concepts * variants,
        Task.CONTEXTS: budget.context_samples * (prefix + image),
        Task.INSERTION: spots * (prefix + (concepts + budget.context_random) * image),
        Task.EDITED_PICTURES: concepts * (5 * budget.shown * image + budget.shown * step)
        + 6 * singles * image
        + (concepts * budget.shown + 3 * singles) * cost.segmenter,
        Task.STRIPS: budget.strip_images * edit.units * image,
    }
    return {task: value for task, value in seconds.items() if value}


def class_seconds(budget: ClassBudget, images: int, cost: NetworksCost, edit: EditCost) -> dict[Task, float]:
    """Seconds of one core for the experiments with classes of so many images, without a closed form."""
    half, sizes = images / 2, sum(size < edit.units for size in budget.sizes)
    alone = min(edit.units, budget.tested)
    sets = budget.classes * (sizes * (3 + budget.random_sets) + min(budget.named, edit.units))
    attacks = min(budget.attacked, half)
    return {
        Task.CLASSES: images * cost.generator,
        Task.CLASS_ESTIMATES: half * (cost.generator + 2 * edit.tail),
        Task.CLASS_SINGLES: half * (cost.generator + alone * edit.tail),
        Task.CLASS_SETS: half * (cost.generator + sets * edit.tail),
        Task.ATTACKS: attacks * 3 * cost.generator * (2 * budget.steps + 6),
    }


def artifact_seconds(
    budget: ArtifactBudget, marked: int, real: int, cost: NetworksCost, edit: EditCost
) -> dict[Task, float]:
    """Seconds of one core for artifact units and their repair, with this many real images."""
    prefix, image = max(cost.generator - edit.tail, 0.0), edit.tail + edit.features
    tested = min(1 + budget.leading + budget.control + budget.bottom + marked, edit.units)
    finalists = min(1 + budget.finalists + budget.control + marked, edit.units)
    sizes, scored = len(budget.sizes), min(budget.scored, real)
    seconds = {
        Task.REAL_FEATURES: real * (edit.real + edit.features),
        Task.SIDE_FEATURES: budget.side * (cost.generator + edit.features),
        Task.FEATURES: budget.dissected * (cost.generator + edit.features),
        Task.ARTIFACT_GRADIENTS: budget.gradients * (prefix + edit.features_backward),
        Task.TESTING: budget.tested * (prefix + tested * image),
        Task.RETESTING: budget.retested * (prefix + finalists * image),
        Task.SCORING: scored * (prefix + (1 + sizes) * image),
        Task.SCORING_MARKED: scored * (prefix + 2 * image) if marked else 0.0,
        Task.SCORING_RANDOM: budget.random_scored * (prefix + (1 + sizes * budget.random_sets) * image),
        Task.CHOOSING: budget.size_selection * (prefix + (1 + sizes) * image),
        Task.SECOND: budget.second * (prefix + finalists * edit.tail),
        Task.REPAIR_PICTURES: (2 * budget.worst + budget.pairs) * (prefix + 2 * image),
    }
    return {task: value for task, value in seconds.items() if value}


def disk_bytes(job: Job, cost: NetworksCost, known: int) -> float:
    """Bytes that will be added to the cache by counting; `known` samples are in it."""
    # Of a large vocabulary few concepts occur; a shard holds some more than its first batch.
    doublings = math.log2(1 + job.plan.shard * job.plan.grid**2 / max(cost.concepts, 1) / FEW_PIXELS)
    kept = (KEPT + (readings(job) - 1) * KEPT_OF_CONTROL) * doublings * cost.concepts
    alone = KEPT_OF_UNIT + KEPT_OF_PAIR * cost.units / max(len(job.layers), 1)
    return (job.samples - known) / job.plan.shard * cost.units * (kept + alone)


def site_seconds(job: Job, units: int) -> dict[Task, float]:
    """Seconds of one core to analyse and render some units."""
    bases = len(ROTATIONS) * job.options.controls
    # Random bases have fewer bootstrap replicates.
    return {Task.ANALYSIS: ANALYSIS * units * (readings(job) - bases / 2), Task.PAGES: UNIT * units}
