"""The stages of a run. Each estimates its time, and adds its results to those of earlier stages.

    for stage in (DissectionStage(), InterventionStage(), ArtifactStage()):
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
from dissectreport.pipeline.class_requests import classes_required, is_classifier
from dissectreport.pipeline.machine import one_thread
from dissectreport.pipeline.painting import exported, is_painted, missing_packages
from dissectreport.pipeline.prepare import Job
from dissectreport.pipeline.render import write_site_of
from dissectreport.pipeline.reporter import Reporter
from dissectreport.pipeline.requests import artifacts_required, interventions_required, no_interventions
from dissectreport.pipeline.tasks import Task
from dissectreport.pipeline.words import read_words, word_vectors
from dissectreport.report.common.site_options import SiteSettings
from dissectreport.run.budgets import ArtifactBudget, ClassBudget, InterventionBudget
from dissectreport.run.engine import Workers

if TYPE_CHECKING:
    from dissectreport.report.site.writing import Written
    from dissectreport.worker.costs import Costs

SECONDS_OF_CLIP = 1.0
"""Seconds of one core for the vector of an image in the largest published CLIP."""
EXPORT = 25.0
"""Seconds of one core to export a small generator and its segmenter."""
LARGE = 512
"""Length of features from which threads speed up their covariances."""


@dataclass(frozen=True)
class RunContext:
    """A checked run, its workers and its reporter."""

    job: Job
    workers: Workers
    reporter: Reporter
    costs: Costs
    known: int
    """Samples that were counted before."""


@dataclass(frozen=True)
class Product:
    """The results of a run so far."""

    record: Record | None = None
    written: Written | None = None

    @property
    def measured(self) -> Record:
        """The record of all measurements."""
        assert self.record is not None, "the dissection comes first"
        return self.record


class Stage(Protocol):
    """A part of a run."""

    def seconds(self, run: RunContext) -> Mapping[Task, float]:
        """Seconds of one core that each of its tasks will take."""

    def run(self, run: RunContext, product: Product) -> Product:
        """Run the stage; returns the results so far, with its own."""


class DissectionStage:
    """Which concepts the units match, with controls."""

    def seconds(self, run: RunContext) -> Mapping[Task, float]:
        """Seconds of one core that each task will take."""
        from dissectreport.pipeline.image_passes import real_images

        return estimate.dissection_seconds(run.job, run.costs.networks, real_images(run.job), run.known)

    def run(self, run: RunContext, product: Product) -> Product:
        """The record of the dissection."""
        from dissectreport.pipeline.dissection import DissectionPasses

        if run.known < run.job.samples:
            run.workers.warm("dissectreport.worker.dissection")
        with one_thread():
            DissectionPasses(run.job, run.workers, run.reporter, run.costs.networks.repeats).run()
        return replace(product, record=newest(run.job))


class WordStage:
    """A word of a list for each unit, where there is a list."""

    def seconds(self, run: RunContext) -> Mapping[Task, float]:
        """Seconds of one core that the vectors of the shown images will take, none without a list of words."""
        shown = min(run.job.samples, estimate.PICTURES)
        return {} if run.job.options.words is None else {Task.WORDS: SECONDS_OF_CLIP * shown}

    def run(self, run: RunContext, product: Product) -> Product:
        """The record with vectors of images and words; unchanged without a list of words."""
        if run.job.options.words is None:
            return product
        words = read_words(run.job.options.words)
        folder, folders = word_vectors(run.job, product.measured, words, run.workers, run.reporter)
        return save_record(run.job, replace(product.measured, word_vectors=folder), folders)


class InterventionStage:
    """The causal effects of ablating and inserting units."""

    def seconds(self, run: RunContext) -> Mapping[Task, float]:
        """Seconds of one core that each task will take, none where the same was measured before."""
        job, request = run.job, run.job.intervention
        if request is None or _measured_before(job, "interventions", request.budget):
            return {}
        concepts = len(job.options.concepts) or request.budget.concepts
        edit = run.costs.edits[request.layer]
        return estimate.intervention_seconds(request.budget, concepts, run.costs.networks, edit)

    def run(self, run: RunContext, product: Product) -> Product:
        """The record with interventions; unchanged if they are not wanted or impossible."""
        from dissectreport.analysis.assemble import what_to_study
        from dissectreport.pipeline.interventions import InterventionPasses

        job, reporter, request = run.job, run.reporter, run.job.intervention
        if not job.options.interventions:
            return product
        if request is None and is_classifier(job.generator):
            return product  # The units of a classifier are ablated for its classes.
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
            # The dissection is complete without them.
            reporter.say(f"no interventions: {error}")
            return product
        return save_record(job, replace(product.measured, interventions=measured), passes.runner.folders)


class ClassStage:
    """What the units of a classifier do for its classes."""

    def seconds(self, run: RunContext) -> Mapping[Task, float]:
        """Seconds of one core that each task will take, none where the same was measured before."""
        job, request = run.job, run.job.classes
        if request is None or _measured_before(job, "classes", request.budget):
            return {}
        images = min(job.samples, request.budget.images)
        return estimate.class_seconds(request.budget, images, run.costs.networks, run.costs.edits[request.layer])

    def run(self, run: RunContext, product: Product) -> Product:
        """The record with the classes, or why there are none; unchanged for other models."""
        from dissectreport.pipeline.classes import ClassPasses

        if run.job.classes is None:
            return _without_classes(run.job, product) if is_classifier(run.job.generator) else product
        passes = ClassPasses(run.job, run.job.classes, run.workers, run.reporter)
        try:
            with one_thread():
                measured = passes.run()
        except (BadOption, ModelError) as error:
            if classes_required(run.job.options):
                raise
            # The dissection is complete without them.
            run.reporter.say(f"no classes: {error}")
            return _without_classes(replace(run.job, no_classes=str(error)), product)
        return save_record(run.job, replace(product.measured, classes=measured), passes.runner.folders)


def _without_classes(job: Job, product: Product) -> Product:
    """The record with the reason why a classifier has no classes."""
    reason = job.no_classes or "the build was told --no-interventions"
    return save_record(job, replace(product.measured, no_classes=reason), set())


class ArtifactStage:
    """The units whose ablation brings images closer to real ones, and what a repair does to image quality."""

    def seconds(self, run: RunContext) -> Mapping[Task, float]:
        """Seconds of one core that each task will take, none where the same was measured before."""
        job, request = run.job, run.job.artifacts
        if request is None or _measured_before(job, "artifacts", request.budget):
            return {}
        wanted = request.budget.real
        real = wanted if job.reference is None else min(wanted, len(job.reference.files))
        edit = run.costs.edits[request.layer]
        return estimate.artifact_seconds(request.budget, len(request.marked), real, run.costs.networks, edit)

    def run(self, run: RunContext, product: Product) -> Product:
        """The record with artifact units; unchanged if they are not wanted or impossible."""
        from dissectreport.pipeline.artifacts import ArtifactPasses

        job, reporter, request = run.job, run.reporter, run.job.artifacts
        if not job.options.artifacts:
            return product
        if request is None and is_classifier(job.generator):
            return product  # A classifier makes no images.
        if request is None:
            reporter.say(f"no artifact units: {job.no_artifacts}")
            return product
        passes = ArtifactPasses(job, request, run.workers, reporter)
        try:
            with one_thread() if request.network.dimension < LARGE else nullcontext():
                measured = passes.run()
        except (BadOption, ModelError, FeaturesError, FolderError) as error:
            if artifacts_required(job.options):
                raise
            # The dissection is complete without them.
            reporter.say(f"no artifact units: {error}")
            return product
        return save_record(job, replace(product.measured, artifacts=measured), passes.runner.folders)


class PaintStage:
    """The network after a layer as a file, for the page on which units are painted into images."""

    def seconds(self, run: RunContext) -> Mapping[Task, float]:
        """Seconds of one core that the export will take."""
        return {Task.EXPORT: EXPORT} if is_painted(run.job) and not missing_packages() else {}

    def run(self, run: RunContext, product: Product) -> Product:
        """The record with the exported network; unchanged if that is not wanted."""
        if not is_painted(run.job):
            return product
        painting, folders = exported(run.job, product.measured, run.workers, run.reporter)
        if painting.missing:
            run.reporter.say(f"no Paint page: {painting.missing}")
        return save_record(run.job, replace(product.measured, painting=painting), folders)


@dataclass(frozen=True)
class PageStage:
    """The pages of the site."""

    out: Path
    site_limit: int
    settings: SiteSettings
    workers: Workers
    """Processes that render."""

    def seconds(self, run: RunContext) -> Mapping[Task, float]:
        """Seconds of one core that each task will take."""
        return estimate.site_seconds(run.job, run.costs.networks.units)

    def run(self, run: RunContext, product: Product) -> Product:
        """Write the site."""
        cache = run.job.options.cache
        written = write_site_of(
            product.measured, self.out, cache, run.reporter, self.site_limit, self.settings, self.workers
        )
        return replace(product, written=written)


def _measured_before(job: Job, kind: str, budget: InterventionBudget | ClassBudget | ArtifactBudget) -> bool:
    """Whether the same run measured its `interventions`, `classes` or `artifacts` before, with the same budget."""
    runs = records.runs(job.options.cache, job.options.model, job.options.rule)
    same = [run for run in runs if run.plan == asdict(job.plan) and run.samples == job.samples]
    return any(getattr(getattr(run, kind), "budget", None) == budget for run in same)


def newest(job: Job) -> Record:
    """The newest record of a model, with what earlier runs of the same plan added to it."""
    return records.load(job.options.cache, job.options.model, job.options.rule)


def save_record(job: Job, record: Record, folders: set[str]) -> Product:
    """Save the record with further store folders that belong to it; returns the newest record."""
    replace(record, folders=tuple(sorted({*record.folders, *folders}))).save(job.options.cache)
    return Product(newest(job))
