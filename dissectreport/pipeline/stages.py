"""The stages of a run: each knows how long it takes, and adds what it makes to what those before it made.

    for stage in (Dissection(), Interventions(), ArtifactUnits()):
        product = stage.run(run, product)

Another kind of measurement is another stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dissectreport.cache import records
from dissectreport.cache.reader import CacheReader
from dissectreport.cache.records import Record
from dissectreport.errors import BadOption, FeaturesError, FolderError, ModelError, SegmenterError
from dissectreport.pipeline import estimate
from dissectreport.pipeline.machine import one_thread
from dissectreport.pipeline.prepare import Job
from dissectreport.pipeline.render import write_site_of
from dissectreport.pipeline.reporter import Reporter
from dissectreport.pipeline.requests import artifacts_required, interventions_required, no_artifacts, no_interventions
from dissectreport.pipeline.tasks import Task
from dissectreport.report.common.site_options import Drawing
from dissectreport.run.budgets import ArtifactBudget, InterventionBudget
from dissectreport.run.engine import Workers

if TYPE_CHECKING:
    from dissectreport.report.site.writing import Written
    from dissectreport.worker.costs import Costs

LARGE = 512
"""Length of features from which their covariances take longer than threads take to meet."""


@dataclass(frozen=True)
class Run:
    """A checked run, and what carries it out."""

    job: Job
    workers: Workers
    reporter: Reporter
    costs: Costs
    known: int
    """Samples that were counted before."""


@dataclass(frozen=True)
class Product:
    """What a run has made so far."""

    record: Record | None = None
    written: Written | None = None

    @property
    def measured(self) -> Record:
        """Where everything measured is stored."""
        assert self.record is not None, "the dissection comes first"
        return self.record


class Stage(Protocol):
    """A part of a run."""

    def seconds(self, run: Run) -> Mapping[Task, float]:
        """Seconds of one core that each of its tasks will take."""

    def run(self, run: Run, product: Product) -> Product:
        """What was made so far, and what this stage makes."""


class Dissection:
    """Which concepts the units match, with controls."""

    def seconds(self, run: Run) -> Mapping[Task, float]:
        """Seconds of one core that each task will take."""
        from dissectreport.pipeline.dissection import real_images

        return estimate.dissection_seconds(run.job, run.costs.networks, real_images(run.job), run.known)

    def run(self, run: Run, product: Product) -> Product:
        """The record of the dissection."""
        from dissectreport.pipeline.dissection import DissectionPasses

        if run.known < run.job.samples:
            run.workers.warm("dissectreport.worker.dissection")
        with one_thread():
            DissectionPasses(run.job, run.workers, run.reporter, run.costs.networks.repeats).run()
        return replace(product, record=newest(run.job))


class Interventions:
    """The causal effects of ablating and inserting units."""

    def seconds(self, run: Run) -> Mapping[Task, float]:
        """Seconds of one core that each task will take, none where the same was measured before."""
        job, request = run.job, run.job.intervention
        if request is None or _measured_before(job, "interventions", request.budget):
            return {}
        concepts = len(job.options.concepts) or request.budget.concepts
        edit = run.costs.edits[request.layer]
        return estimate.intervention_seconds(request.budget, concepts, run.costs.networks, edit)

    def run(self, run: Run, product: Product) -> Product:
        """The record with interventions; as it was where they are not wanted or impossible."""
        from dissectreport.analysis.assemble import what_to_study
        from dissectreport.pipeline.interventions import InterventionPasses

        job, reporter, request = run.job, run.reporter, run.job.intervention
        if not job.options.interventions:
            return product
        if request is None:
            reporter.say(f"no interventions: {no_interventions(job.generator, job.segmenter)}")
            return product
        reader = CacheReader(job.options.cache / "measurements")
        try:
            with one_thread():
                study = what_to_study(product.measured, reader, request.layer, job.options.concepts, request.budget)
                passes = InterventionPasses(job, study, request, run.workers, reporter)
                measured = passes.run()
        except (BadOption, ModelError, SegmenterError) as error:
            if interventions_required(job.options):
                raise
            # The dissection can be shown without.
            reporter.say(f"no interventions: {error}")
            return product
        return saved(job, replace(product.measured, interventions=measured), passes.runner.folders)


class ArtifactUnits:
    """The units whose ablation brings images closer to real ones, and what a repair does to image quality."""

    def seconds(self, run: Run) -> Mapping[Task, float]:
        """Seconds of one core that each task will take, none where the same was measured before."""
        job, request = run.job, run.job.artifacts
        if request is None or _measured_before(job, "artifacts", request.budget):
            return {}
        wanted = request.budget.real
        real = wanted if job.reference is None else min(wanted, len(job.reference.files))
        edit = run.costs.edits[request.layer]
        return estimate.artifact_seconds(request.budget, len(request.marked), real, run.costs.networks, edit)

    def run(self, run: Run, product: Product) -> Product:
        """The record with artifact units; as it was where they are not wanted or cannot be looked for."""
        from dissectreport.pipeline.artifacts import ArtifactPasses

        job, reporter, request = run.job, run.reporter, run.job.artifacts
        if not job.options.artifacts:
            return product
        if request is None:
            reporter.say(f"no artifact units: {no_artifacts(job.networks)}")
            return product
        passes = ArtifactPasses(job, request, run.workers, reporter)
        try:
            with one_thread() if request.network.dimension < LARGE else nullcontext():
                measured = passes.run()
        except (BadOption, ModelError, FeaturesError, FolderError) as error:
            if artifacts_required(job.options):
                raise
            # The dissection can be shown without.
            reporter.say(f"no artifact units: {error}")
            return product
        return saved(job, replace(product.measured, artifacts=measured), passes.runner.folders)


@dataclass(frozen=True)
class Pages:
    """The pages of the site."""

    out: Path
    site_limit: int
    drawing: Drawing
    workers: Workers
    """Processes that render."""

    def seconds(self, run: Run) -> Mapping[Task, float]:
        """Seconds of one core that each task will take."""
        return estimate.site_seconds(run.job, run.costs.networks.units)

    def run(self, run: Run, product: Product) -> Product:
        """The site, written."""
        cache = run.job.options.cache
        written = write_site_of(
            product.measured, self.out, cache, run.reporter, self.site_limit, self.drawing, self.workers
        )
        return replace(product, written=written)


def _measured_before(job: Job, kind: str, budget: InterventionBudget | ArtifactBudget) -> bool:
    """Whether the same run measured its `interventions` or `artifacts` before, with the same budget."""
    runs = records.runs(job.options.cache, job.options.model, job.options.rule)
    same = [run for run in runs if run.plan == asdict(job.plan) and run.samples == job.samples]
    return any(getattr(getattr(run, kind), "budget", None) == budget for run in same)


def newest(job: Job) -> Record:
    """The newest record of a model, with what earlier runs of the same plan added to it."""
    return records.load(job.options.cache, job.options.model, job.options.rule)


def saved(job: Job, record: Record, folders: set[str]) -> Product:
    """The record, saved, with more folders of the cache that belong to it."""
    replace(record, folders=tuple(sorted({*record.folders, *folders}))).save(job.options.cache)
    return Product(newest(job))
