"""Artifact units of one model, and images repaired by ablating them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dissectreport import files
from dissectreport.analysis.results.artifacts import CHOICE, MARKED
from dissectreport.cache import records
from dissectreport.cache.records import Record, Wanted
from dissectreport.errors import BadOption
from dissectreport.pipeline.loading import load_generator, middle
from dissectreport.pipeline.measure import run_stages, start_run
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.prepare import prepare, resolve_machine, without_unreadable_images
from dissectreport.pipeline.render import assembled
from dissectreport.pipeline.reporter import Reporter, Silent
from dissectreport.pipeline.requests import marked_layer
from dissectreport.pipeline.stages import ArtifactStage, DissectionStage, Product, Stage
from dissectreport.pipeline.tasks import Task
from dissectreport.run.engine import Workers
from dissectreport.run.plan import Plan
from dissectreport.run.rules import rule_named
from dissectreport.run.shards import shards

if TYPE_CHECKING:
    from dissectreport.analysis.results.artifacts import Artifacts
    from dissectreport.models.edits import Edits


def artifact_units(options: Options, reporter: Reporter | None = None) -> tuple[Artifacts, Edits | None, Edits | None]:
    """The artifact units of a model; the edits of the recommended repair, and of the units that a person marked.

    Edits are None where no repair is recommended, and where no units were marked. The newest run that fits is taken as
    it is; a model that was not measured is, in that layer alone.
    """
    from dissectreport.models.edits import Edits

    reporter = reporter or Silent()
    layer = options.artifact_layer or marked_layer(options)
    options = replace(options, interventions=False, artifact_layer=layer)
    known = _measured(options)
    if known is not None:
        options = _like(known, options)
    layer = layer or middle(prepare(replace(options, artifacts=False)).layers)
    if known is None:
        options = replace(options, layers=(layer,), controls=False)
    job = without_unreadable_images(prepare(replace(options, artifact_layer=layer)), reporter)
    with Workers(job.workers, job.options.timeout) as workers:
        same = known is not None and known.plan == asdict(job.plan)
        stages: tuple[Stage, ...] = (ArtifactStage(),) if same else (DissectionStage(), ArtifactStage())
        record = run_stages(start_run(job, workers, reporter), stages, Product(known if same else None)).measured
    artifacts = assembled(record, options.cache).artifacts
    assert artifacts is not None, "what is required is there, or was refused"

    def edits(units: tuple[int, ...], why: str) -> Edits | None:
        zeros = (0.0,) * len(units)
        return Edits(options.model, job.generator.identity, artifacts.layer, units, zeros, why) if units else None

    return artifacts, edits(artifacts.repair, CHOICE), edits(artifacts.reviewed, MARKED)


def _measured(options: Options) -> Record | None:
    """The newest run of the model that has the layer, if one is named."""
    wanted = Wanted(options.samples or 0, seed=options.seed, segmenter=options.segmenter)
    fitting = [record for record in records.runs(options.cache, options.model, options.rule) if wanted.fits(record)]
    layer = options.artifact_layer
    return next(
        (record for record in fitting if not layer or layer in [measured.name for measured in record.layers]), None
    )


def _like(known: Record, options: Options) -> Options:
    """The options of a measured run."""
    return replace(
        options,
        layers=tuple(layer.name for layer in known.layers),
        samples=known.samples,
        segmenter=known.segmenter["name"],
        pilot=known.plan["pilot"],
        grid=0 if rule_named(options.rule).is_published else known.plan["grid"],
        budget=options.budget or (known.artifacts.budget.name if known.artifacts is not None else ""),
    )


def save_edits(edits: Edits, out: Path) -> None:
    """Write edits as a small JSON file."""
    files.write(out, edits.text().encode())


def repair(
    options: Options,
    edits: Path,
    samples: int,
    out: Path,
    other_weights: bool = False,
    reporter: Reporter | None = None,
) -> int:
    """Write edited images as PNG files, named by their samples; returns how many."""
    from dissectreport.models.edits import read_edits
    from dissectreport.report.html.images import png

    if samples < 1:
        raise BadOption(f"--samples must be at least 1, not {samples}")
    wanted = read_edits(edits)
    files.check_writable(out)
    for number, pixels in repaired_images(options, wanted, samples, other_weights, reporter or Silent()):
        files.write(out / f"{number:06d}.png", png(pixels))
    return samples


def repaired_images(
    options: Options, edits: Edits, samples: int, other_weights: bool, reporter: Reporter
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Sample numbers with their edited images (height, width, 3), in order of batches as they finish."""
    from dissectreport.models.edits import repaired
    from dissectreport.worker.artifacts import make_repaired
    from dissectreport.worker.finite_images import finite_work
    from dissectreport.worker.loaded_networks import Source

    machine = resolve_machine(options)
    generator = load_generator(options)
    if not 0 <= options.seed < 2**32:
        raise BadOption(f"--seed must be between 0 and {2**32 - 1}, not {options.seed}")
    with repaired(generator, edits, other_weights):
        pass  # Checked before workers start.
    source = Source(options.model, "", None, machine.device, weights=options.weights)
    done = 0
    with Workers(machine.workers) as workers:
        make = partial(finite_work, partial(make_repaired, source, edits, options.seed, other_weights))
        for shard, images in workers.run(make, shards(samples, Plan.batch)):
            yield from enumerate(images, shard.first)
            done += shard.count
            reporter.progress(Task.REPAIR, done, samples, "images")
