"""One edit on demand: some units of a layer are ablated or inserted, and every concept is counted before and after."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport import files
from dissectreport.analysis.interventions.intervention_results import causal_sets
from dissectreport.analysis.interventions.removed_area import changes
from dissectreport.cache import records
from dissectreport.cache.reader import CacheReader
from dissectreport.errors import BadOption, ModelError, UnknownName
from dissectreport.pipeline.loading import middle
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.prepare import Job, prepare
from dissectreport.pipeline.reporter import Reporter, usual_reporter
from dissectreport.pipeline.requests import check_concepts, with_commas
from dissectreport.pipeline.tasks import Task
from dissectreport.run import engine
from dissectreport.run.budgets import FEWEST_LATENTS, InterventionBudget
from dissectreport.run.patches import patch_grid
from dissectreport.run.plan import InterventionKey
from dissectreport.run.precision import Precision
from dissectreport.run.shards import EDIT_BATCH, Shard, shards

if TYPE_CHECKING:
    from dissectreport.worker.requested_edits import EditOutcome

MODES = ("ablate", "insert")
VALUES = ("zero", "mean", "resample", "quantile")
SHOWN = 8
"""Images kept of an edit."""
ACTIVATION_SAMPLES = 64
"""Selection latents from which means and quantiles of activations are taken."""


@dataclass(frozen=True)
class EditOptions:
    """The requested edit, as options of the command line."""

    units: tuple[int, ...]
    layer: str
    """'' for the middle one."""
    mode: str = "ablate"
    value: str = ""
    """zero, mean, resample, quantile or a number; '' for zero in ablation, quantile in insertion."""
    at: str = "everywhere"
    """'everywhere', or patches like '3,4' of the 8 x 8, several separated by spaces."""
    samples: int = FEWEST_LATENTS
    concepts: tuple[str, ...] = field(default=())
    photo: Path | None = None
    """A photo that was inverted, which is edited in place of samples."""


@dataclass(frozen=True)
class EditResult:
    """The result of an edit."""

    table: pd.DataFrame
    """One row per concept that occurs, by falling size of the change: concept, category, before, after, change*.

    The interval of the change is without numbers where one photo was edited.
    """
    before: NDArray[np.uint8]
    """(k, height, width, 3)"""
    after: NDArray[np.uint8]
    samples: int


def intervene(options: Options, request: EditOptions, reporter: Reporter | None = None) -> EditResult:
    """Ablate or insert some units of a model, and count every concept with and without.

    Where the request names no units, those are taken that remove its first concept best, of a model that was measured.
    """
    job = prepare(replace(options, interventions=False))
    request = request if request.layer else replace(request, layer=middle(job.layers))
    request = replace(request, concepts=with_commas(request.concepts, job.segmenter.vocabulary.names))
    if not request.units and request.concepts:
        request = replace(request, units=causal_units(options, request))
    precision = Precision.FLOAT32 if options.precision == Precision.AUTO else options.precision
    return count_edit(job, request, precision, reporter or usual_reporter())


def causal_units(options: Options, request: EditOptions) -> tuple[int, ...]:
    """The causal units of a concept, from earlier measurements."""
    runs = records.runs(options.cache, options.model, options.rule)
    # A newer run may lack interventions that an older one measured.
    record = next((run for run in runs if run.interventions is not None), None)
    reader = CacheReader(options.cache / "measurements")
    causal = {}
    if record is not None and record.interventions is not None:
        causal = causal_sets(record.interventions, record.vocabulary, reader, request.layer)
    if request.concepts[0] not in causal:
        raise UnknownName.of(f"causal units in {request.layer} of", request.concepts[0], causal)
    return causal[request.concepts[0]]


def count_edit(job: Job, request: EditOptions, precision: str, reporter: Reporter) -> EditResult:
    """Make the edit on held-out latents, and count every concept with and without it."""
    from dissectreport.worker.finite_images import finite_work
    from dissectreport.worker.requested_edits import EditRequest, make_edits, make_photo_edit

    check_edit(job, request)
    plan = job.plan
    key = InterventionKey(
        generator=plan.generator,
        segmenter=plan.segmenter,
        layer=request.layer,
        concepts=(),
        contexts=(),
        seed=plan.seed,
        precision=precision,
        torch=plan.torch,
    )
    _, height, width = shape_of(job, request.layer)
    patches = patches_of(request.at, patch_grid(height, width))
    with engine.Workers(job.workers, job.options.timeout) as workers:
        edit = EditRequest(request.units, activations_of(job, key, request, workers), patches)
        parts: dict[Shard, EditOutcome] = {}
        if request.photo is None:
            make, wanted = partial(make_edits, job.source, key, edit, SHOWN), shards(request.samples, EDIT_BATCH)
        else:
            make, wanted = partial(make_photo_edit, job.source, key, edit, request.photo), (Shard(0, 0, 1),)
        for shard, outcome in workers.run(partial(finite_work, make), wanted, make.func.__name__):
            parts[shard] = outcome
            reporter.progress(Task.EDITING, len(parts), len(wanted), "batches")
    return _result(job, request, [(shard, parts[shard]) for shard in wanted])


def _result(job: Job, request: EditOptions, ordered: Sequence[tuple[Shard, EditOutcome]]) -> EditResult:
    parts = [(shard, outcome.paired) for shard, outcome in ordered]
    table = changes(parts, job.segmenter.vocabulary, request.concepts)
    before, after = (np.concatenate([getattr(outcome, name) for _, outcome in ordered]) for name in ("before", "after"))
    return EditResult(table, before, after, request.samples if request.photo is None else len(before))


def save_pictures(result: EditResult, out: Path) -> None:
    """Write the images before the edit, and below them the same after it."""
    from dissectreport.report.html.images import sheet

    files.write(out, sheet([result.before, result.after]))


def check_edit(job: Job, request: EditOptions) -> None:
    """Refuse an edit that cannot be made."""
    from dissectreport.models.base import makes_images

    if not makes_images(job.generator):
        raise ModelError(f"{job.generator.name} reads images and makes none, so its units cannot be ablated")
    if request.layer not in job.generator.layers:
        raise UnknownName.of(f"layer of {job.options.model}", request.layer, job.generator.layers)
    check_units(request, shape_of(job, request.layer)[0])
    check_concepts(request.concepts, job.segmenter)


def shape_of(job: Job, layer: str) -> tuple[int, int, int]:
    """Units, height and width of a layer."""
    from dissectreport.worker.first_batch import layer_shape

    return layer_shape(job.generator, layer)


def check_units(request: EditOptions, units: int) -> None:
    """Refuse an empty set, and units that the layer does not have."""
    if not request.units:
        raise BadOption(
            "no units were named: give --units 3,5,8, or the --concept of a model that was built, for its causal units"
        )
    wrong = [unit for unit in request.units if not 0 <= unit < units]
    if wrong:
        raise BadOption(f"unit {wrong[0]} is not in {request.layer}, whose units are 0 to {units - 1}")
    if request.samples < FEWEST_LATENTS and request.photo is None:
        raise BadOption(
            f"--samples must be at least {FEWEST_LATENTS}, not {request.samples}: areas on fewer images are not "
            f"reliable"
        )
    if request.mode not in MODES:
        raise BadOption(f"--mode is {' or '.join(MODES)}, not {request.mode}")


def patches_of(at: str, blocks: tuple[int, int]) -> tuple[int, ...]:
    """Numbers of the patches in words like '3,4 5,6' (row, column); () for 'everywhere'."""
    if at == "everywhere":
        return ()
    rows, columns = blocks
    patches = []
    for words in at.split():
        parts = words.split(",")
        if len(parts) != 2 or not all(re.fullmatch(r"[0-9]{1,6}", part.strip()) for part in parts):
            raise BadOption(f"--at is 'everywhere', or row,column like 3,4 (several separated by spaces), not {at!r}")
        row, column = (int(part) for part in parts)
        if row >= rows or column >= columns:
            raise BadOption(f"--at {words} is outside: rows are 0 to {rows - 1} and columns 0 to {columns - 1}")
        patches.append(row * columns + column)
    return tuple(patches)


def activations_of(job: Job, key: InterventionKey, request: EditOptions, workers: engine.Workers) -> tuple[float, ...]:
    """The activation that each unit is set to; () for those of other latents."""
    value = request.value or ("zero" if request.mode == "ablate" else "quantile")
    if value == "zero":
        return (0.0,) * len(request.units)
    if value == "resample":
        return ()
    if value in VALUES:
        from dissectreport.worker.finite_images import finite_work
        from dissectreport.worker.requested_edits import make_unit_activations

        make = partial(finite_work, partial(make_unit_activations, job.source, key, InterventionBudget.quantile))
        ((_, thresholds),) = workers.run(make, [Shard(0, 0, ACTIVATION_SAMPLES)])
        values = thresholds.mean if value == "mean" else thresholds.upper
        return tuple(float(values[unit]) for unit in request.units)
    try:
        number = float(value)
    except ValueError:
        raise BadOption(f"--value is {', '.join(VALUES)} or a number, not {value!r}") from None
    if not np.isfinite(number):
        raise BadOption(f"--value must be a finite number, not {value}")
    return (number,) * len(request.units)
