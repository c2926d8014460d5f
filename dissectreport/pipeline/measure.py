"""Measuring a model: stage after stage, each reusing earlier measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from dissectreport.cache.behaviours import Recogniser
from dissectreport.cache.records import Record
from dissectreport.errors import counted
from dissectreport.files import remove_parts
from dissectreport.pipeline import estimate
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.painting import check_photos, is_painted
from dissectreport.pipeline.prepare import Job, prepare, without_unreadable_images
from dissectreport.pipeline.reporter import Reporter
from dissectreport.pipeline.requests import check_marked
from dissectreport.pipeline.running import running
from dissectreport.pipeline.schedule import Schedule, spoken
from dissectreport.pipeline.stages import (
    ArtifactStage,
    ClassStage,
    DissectionStage,
    InterventionStage,
    PaintStage,
    Product,
    RunContext,
    Stage,
    WordStage,
)
from dissectreport.pipeline.tasks import Task
from dissectreport.pipeline.words import check_words
from dissectreport.run.engine import Workers
from dissectreport.run.shards import Shard

if TYPE_CHECKING:
    from dissectreport.worker.costs import Costs, NetworksCost

MEASURING: tuple[Stage, ...] = (
    DissectionStage(),
    WordStage(),
    InterventionStage(),
    ClassStage(),
    ArtifactStage(),
    PaintStage(),
)
"""The stages of a measurement, in order."""
NOTHING = Product()
LONG = 900.0
"""Seconds from which a quick run is offered."""


def measure(options: Options, reporter: Reporter | None = None) -> Record:
    """Measure a model, reusing earlier measurements. The record names the folders with all results."""
    with running(options, reporter) as session:
        job = without_unreadable_images(prepare(options), session.reporter)
        with session.workers(job) as workers:
            return run_stages(start_run(job, workers, session.reporter), MEASURING).measured


def start_run(job: Job, workers: Workers, reporter: Reporter) -> RunContext:
    """A run whose networks have been timed and checked on their first batch."""
    from dissectreport.pipeline.classes import with_known_classes
    from dissectreport.pipeline.dissection import DissectionPasses

    # Refuse what cannot be painted or read, before anything long begins.
    is_painted(job)
    check_photos(job)
    check_words(job.options)
    job = with_known_classes(job, reporter)
    remove_parts(job.options.cache)
    costs = measured_costs(job, workers)
    job = recognised(job, costs.networks, reporter)
    if job.artifacts is not None and costs.edits[job.artifacts.layer].units:
        check_marked(job.options, job.artifacts, costs.edits[job.artifacts.layer].units)
    return RunContext(job, workers, reporter, costs, DissectionPasses(job, workers, reporter).known_samples())


def measured_costs(job: Job, workers: Workers) -> Costs:
    """The time of the networks on this machine."""
    from dissectreport.worker.costs import make_costs
    from dissectreport.worker.finite_images import finite_work

    edited = {job.intervention.layer: False} if job.intervention is not None else {}
    edited |= {job.classes.layer: False} if job.classes is not None else {}
    edited |= {job.artifacts.layer: True} if job.artifacts is not None else {}
    make = partial(make_costs, job.source, job.layers, edited, job.plan.seed)
    first = Shard(0, 0, min(job.plan.batch, job.samples))
    ((_, costs),) = workers.run(partial(finite_work, make), [first], "timing the networks")
    return costs


def recognised(job: Job, cost: NetworksCost, reporter: Reporter) -> Job:
    """The run with the behaviour of its networks in its plan, so that results of changed code are not used again.

    Networks that do not reproduce their images or labels cannot be recognised by them.
    """
    if not cost.repeats or cost.cautions:
        return job
    plan, request = job.plan, job.artifacts
    recogniser = Recogniser(job.options.cache / "measurements", reporter.say)
    name = recogniser.name
    facts = {"generator": plan.generator, "seed": plan.seed, "torch": plan.torch}
    generator = name(f"generator {job.generator.name!r}", facts, cost.behaviour.generator)
    facts |= {"behaviour": generator}
    of_segmenter = {**facts, "segmenter": plan.segmenter}
    segmenter = name(f"segmenter {job.segmenter.name!r}", of_segmenter, cost.behaviour.segmenter)
    if request is not None:
        of_features = {**facts, "features": request.identity}
        features = name(f"feature network {request.network.name!r}", of_features, cost.behaviour.features)
        request = replace(request, behaviour=features)
    plan = replace(plan, generator=f"{plan.generator} {generator}", segmenter=f"{plan.segmenter} {segmenter}")
    return replace(job, plan=plan, artifacts=request, behaviours=frozenset(recogniser.folders))


def run_stages(run: RunContext, stages: Sequence[Stage], product: Product = NOTHING) -> Product:
    """Run the stages, which add their results to `product`. The estimated time is reported first."""
    schedule = schedule_of(run, stages)
    announce(run, schedule, size_line(run, schedule))
    for stage in stages:
        product = stage.run(run, product)
    return product


def schedule_of(run: RunContext, stages: Sequence[Stage]) -> Schedule:
    """The tasks of some stages, with the seconds that each will take on this machine."""
    parallel = run.costs.networks.slowdown / run.workers.number
    seconds = {task: parallel * value for stage in stages for task, value in stage.seconds(run).items()}
    return Schedule({task: seconds[task] for task in Task if task in seconds})


def announce(run: RunContext, schedule: Schedule, size: str) -> None:
    """Report the size of a run, what is doubtful about its networks, and its steps."""
    run.reporter.say(size)
    if not run.costs.networks.repeats:
        run.reporter.say(
            f"caution: {run.job.generator.name} does not reproduce its images from the same latents: it uses"
            " random noise or dropout, so another run gives different numbers; see `dissectreport check`"
        )
    for line in (*run.costs.networks.cautions, *filter(None, (run.costs.networks.memory,))):
        run.reporter.say(f"caution: {line}")
    run.reporter.begin(schedule)


def size_line(run: RunContext, schedule: Schedule) -> str:
    """A line with the size of a run and its estimated time."""
    job, cost = run.job, run.costs.networks
    size = f"{counted(job.samples, 'sample')}, {units_line(run)}"
    time = time_line(run, schedule)
    if run.known == job.samples:
        return f"{size}, measured before: only what is missing is measured; {time}"
    known = f", {run.known:,} samples of it measured before" if run.known else ""
    return f"{size}{known}: {time}, and {estimate.disk_bytes(job, cost, run.known) / 1e6:,.0f} MB of cache"


def units_line(run: RunContext) -> str:
    """How many units a run reads."""
    controls = ", and controls" if run.job.options.controls else ""
    return f"{counted(run.costs.networks.units, 'unit')} in {counted(len(run.job.layers), 'layer')}{controls}"


def time_line(run: RunContext, schedule: Schedule) -> str:
    """How long a run will take, and with what."""
    workers = f"{counted(run.workers.number, 'worker')} on {run.job.source.device}"
    quick = "; --quick is a first look in much less" if schedule.total > LONG and not run.job.options.quick else ""
    return f"about {spoken(schedule.total)} in {counted(len(schedule.steps), 'step')} with {workers}{quick}"
