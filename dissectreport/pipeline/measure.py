"""Measuring a model: stage after stage, each reusing what was measured before."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from dissectreport.cache.records import Record
from dissectreport.errors import counted
from dissectreport.pipeline import estimate
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.prepare import Job, prepare, without_unreadable_images
from dissectreport.pipeline.reporter import Reporter, Silent
from dissectreport.pipeline.requests import check_marked
from dissectreport.pipeline.schedule import Schedule, spoken
from dissectreport.pipeline.stages import ArtifactUnits, Dissection, Interventions, Product, Run, Stage
from dissectreport.pipeline.tasks import Task
from dissectreport.run.engine import Workers
from dissectreport.run.shards import Shard

if TYPE_CHECKING:
    from dissectreport.worker.costs import Costs

MEASURING: tuple[Stage, ...] = (Dissection(), Interventions(), ArtifactUnits())
"""What is measured, in order."""
NOTHING = Product()


def measure(options: Options, reporter: Reporter | None = None) -> Record:
    """Measure a model, reusing whatever was measured before; the record says where everything is stored."""
    reporter = reporter or Silent()
    job = without_unreadable_images(prepare(options), reporter)
    with Workers(job.workers) as workers:
        return run_stages(begun(job, workers, reporter), MEASURING).measured


def begun(job: Job, workers: Workers, reporter: Reporter) -> Run:
    """A run whose networks were timed, and checked, on their first batch."""
    from dissectreport.pipeline.dissection import DissectionPasses

    costs = measured_costs(job, workers)
    if job.artifacts is not None and costs.edits[job.artifacts.layer].units:
        check_marked(job.options, job.artifacts, costs.edits[job.artifacts.layer].units)
    return Run(job, workers, reporter, costs, DissectionPasses(job, workers, reporter).known_samples())


def measured_costs(job: Job, workers: Workers) -> Costs:
    """What the networks take on this machine."""
    from dissectreport.worker.costs import make_costs

    edited = {job.intervention.layer: False} if job.intervention is not None else {}
    edited |= {job.artifacts.layer: True} if job.artifacts is not None else {}
    make = partial(make_costs, job.source, job.layers, edited, job.plan.seed)
    ((_, costs),) = workers.run(make, [Shard(0, 0, min(job.plan.batch, job.samples))])
    return costs


def run_stages(run: Run, stages: Sequence[Stage], product: Product = NOTHING) -> Product:
    """What was made before, and what the stages add to it; how long they will take is reported first."""
    announce(run, scheduled(run, stages))
    for stage in stages:
        product = stage.run(run, product)
    return product


def scheduled(run: Run, stages: Sequence[Stage]) -> Schedule:
    """The tasks of some stages, with the seconds that each will take on this machine."""
    parallel = run.costs.networks.slowdown / run.job.workers
    seconds = {task: parallel * value for stage in stages for task, value in stage.seconds(run).items()}
    return Schedule({task: seconds[task] for task in Task if task in seconds})


def announce(run: Run, schedule: Schedule) -> None:
    """Report the size of a run, and how long it will take."""
    run.reporter.say(size_line(run, schedule))
    if not run.costs.networks.repeats:
        run.reporter.say(
            f"caution: {run.job.generator.name} gives other images the second time for the same latents: something in"
            " it is random, such as noise or dropout, so that no number can be repeated; see `dissectreport check`"
        )
    run.reporter.begin(schedule)


def size_line(run: Run, schedule: Schedule) -> str:
    """How much is measured, and how long it will take."""
    job, cost = run.job, run.costs.networks
    layers = f"{counted(len(job.layers), 'layer')}{', and controls' if job.options.controls else ''}"
    size = f"{counted(job.samples, 'sample')}, {counted(cost.units, 'unit')} in {layers}"
    workers = f"{counted(job.workers, 'worker')} on {job.source.device}"
    time = f"about {spoken(schedule.total)} in {counted(len(schedule.steps), 'step')} with {workers}"
    if run.known == job.samples:
        return f"{size}, measured before: only what is missing is measured; {time}"
    known = f", {run.known:,} samples of it measured before" if run.known else ""
    return f"{size}{known}: {time}, and {estimate.disk_bytes(job, cost, run.known) / 1e6:,.0f} MB of cache"
