"""A run in parts: each of several jobs counts its share of the images, and a last one merges them.

measure_part(options, RunPart(2, 8))   # in eight jobs, on one cache or on a cache each
merge(options)                      # the record, pictures, interventions and artifact units, as `measure` leaves them

Files are written whole, under names that depend on their content alone, so jobs need no locks and no order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dissectreport.cache.records import Record
from dissectreport.errors import BadOption, CacheError
from dissectreport.pipeline import estimate
from dissectreport.pipeline.cache_tools import adopt
from dissectreport.pipeline.dissection import DissectionPasses
from dissectreport.pipeline.machine import one_thread
from dissectreport.pipeline.measure import (
    MEASURING,
    NOTHING,
    announce,
    run_stages,
    schedule_of,
    start_run,
    time_line,
    units_line,
)
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.prepare import prepare, without_unreadable_images
from dissectreport.pipeline.reporter import Reporter
from dissectreport.pipeline.running import running
from dissectreport.pipeline.stages import Product, RunContext
from dissectreport.pipeline.tasks import Task
from dissectreport.run.rules import rule_named
from dissectreport.run.shards import RunPart, shards

COUNTED = (Task.COUNTING, Task.CONTROL_COUNTING)
"""Tasks that are divided among parts."""
PREPARED = (Task.PILOT, Task.CONTROL_PILOT)
"""Tasks that every part needs, and does where they are not done."""


@dataclass(frozen=True)
class PartStage:
    """The thresholds of a dissection, and the counts of one part of its images."""

    part: RunPart

    def samples(self, run: RunContext) -> int:
        """Images of the part."""
        return sum(shard.count for shard in self.part.taken(shards(run.job.samples, run.job.plan.shard)))

    def seconds(self, run: RunContext) -> Mapping[Task, float]:
        """Seconds of one core that each task will take."""
        whole = estimate.dissection_seconds(run.job, run.costs.networks, 0, run.known)
        share = self.samples(run) / run.job.samples
        return {
            task: seconds * (share if task in COUNTED else 1.0)
            for task, seconds in whole.items()
            if task in PREPARED or (task in COUNTED and share)
        }

    def run(self, run: RunContext, product: Product) -> Product:
        """Count the part's images; there is no record before all parts are merged."""
        with one_thread():
            DissectionPasses(run.job, run.workers, run.reporter, run.costs.networks.repeats, self.part).count()
        return product


def measure_part(options: Options, part: RunPart, reporter: Reporter | None = None) -> int:
    """Count one part of a run's images, and find thresholds where they are not known; returns the part's images.

    RunPart 0 finds the thresholds alone, so that the others need not.
    """
    if rule_named(options.rule).is_published:
        raise BadOption(
            f"--rule {options.rule} takes its thresholds from all images, so that they cannot be measured in parts;"
            " leave out --shard"
        )
    stage = PartStage(part)
    with running(options, reporter, part) as session:
        job = without_unreadable_images(prepare(options), session.reporter)
        with session.workers(job) as workers:
            return _measure_part(start_run(job, workers, session.reporter), stage)


def _measure_part(run: RunContext, stage: PartStage) -> int:
    part, job = stage.part, run.job
    schedule, samples = schedule_of(run, (stage,)), stage.samples(run)
    size = f"{samples:,} of {job.samples:,} samples" if samples else "thresholds"
    line = f"part {part.number} of {part.of}: {size}, {units_line(run)}: {time_line(run, schedule)}"
    announce(run, schedule, line)
    stage.run(run, NOTHING)
    return samples


def merge(options: Options, folders: Sequence[Path] = (), reporter: Reporter | None = None) -> Record:
    """Merge the parts of a run, also those in other caches, and measure what does not belong to a part.

    CacheError where images are not counted yet.
    """
    with running(options, reporter) as session:
        for folder in folders:
            adopt(options.cache, folder, session.reporter.say)
        job = without_unreadable_images(prepare(options), session.reporter)
        with session.workers(job) as workers:
            run = start_run(job, workers, session.reporter)
            _check_counted(run)
            return run_stages(run, MEASURING).measured


def _check_counted(run: RunContext) -> None:
    """Refuse to merge parts of which some are missing."""
    missing = DissectionPasses(run.job, run.workers, run.reporter).uncounted()
    if missing:
        count = sum(shard.count for shard in missing)
        raise CacheError(
            f"{count:,} of {run.job.samples:,} samples are not counted in {run.job.options.cache}, the first of them"
            f" sample {missing[0].first:,}; run the parts that are missing with the same options, add caches with"
            " --from, or let `dissectreport measure` count them here"
        )
