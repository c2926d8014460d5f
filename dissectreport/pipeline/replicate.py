"""Replication: the claims of a run are fixed, and measured again on new latents."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dissectreport import files
from dissectreport.analysis.comparison.replication import (
    Claim,
    Estimate,
    claims_of,
    digest,
    replicated,
    stored,
)
from dissectreport.analysis.results.replication import ClaimKind
from dissectreport.cache import records
from dissectreport.cache.reader import CacheReader, save
from dissectreport.cache.records import Record
from dissectreport.cache.store import Store
from dissectreport.errors import BadOption, UnknownName
from dissectreport.pipeline.measure import measure
from dissectreport.pipeline.on_demand import EditOptions, count_edit
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.prepare import Job, prepare
from dissectreport.pipeline.render import assembled
from dissectreport.pipeline.reporter import Reporter, usual_reporter
from dissectreport.pipeline.tasks import Task
from dissectreport.records.replication import ReplicatedClaims, SegmenterAgreement
from dissectreport.run import engine
from dissectreport.run.budgets import FEWEST_LATENTS
from dissectreport.run.plan import SEEDS
from dissectreport.run.precision import Precision
from dissectreport.run.shards import BATCH, Shard, shards

if TYPE_CHECKING:
    from dissectreport.analysis.results.dissection import Dissection

MORE = FEWEST_LATENTS
"""Latents behind each causal set, and behind the comparison of two segmenters."""


def replicate(options: Options, seed: int | None = None, reporter: Reporter | None = None) -> Record:
    """Measure the claims of the newest run of a model again; its record, with what was found.

    The other run has a seed of its own, by default the next one that shares no latents, and another segmenter or
    feature network where the options name one. It stays in the cache as a run like any other.
    """
    reporter = reporter or usual_reporter()
    first = records.load(options.cache, options.model, options.rule)
    other = again_options(options, first, seed)
    dissection = assembled(first, options.cache)
    claims = claims_of(dissection)
    if not claims:
        raise BadOption(f"the run of {first.words} claims nothing, so there is nothing to replicate")
    reporter.say(f"{len(claims):,} claims, SHA-256 {digest(claims)[:16]}, measured again with seed {other.seed}")
    again = measured_again(other, claims, reporter)
    # The run whose claims these are stays the newest, which pages show.
    first.save(options.cache)
    removed = removed_again(other, [claim for claim in claims if claim.kind == ClaimKind.CAUSAL_SET], reporter)
    outcomes = replicated(claims, dissection, again, removed)
    agreement = segmenters_compared(other, first, reporter) or known_agreement(first, options.cache)
    return kept(first, stored(claims, outcomes, again), agreement, options.cache)


def again_options(options: Options, first: Record, seed: int | None) -> Options:
    """The options of the second run: those of the first with new latents, without what claims do not need."""
    own = int(first.plan["seed"])
    seed = own + SEEDS if seed is None else seed
    if abs(seed - own) < SEEDS:
        raise BadOption(f"--seed {seed} shares latents with the run of seed {own}; take one from {own + SEEDS} on")
    return replace(
        options,
        seed=seed,
        layers=tuple(layer.name for layer in first.layers),
        samples=options.samples or first.samples,
        segmenter=options.segmenter or str(first.segmenter["name"]),
        grid=int(first.plan["grid"]) if first.rule == "corrected" else 0,
        pilot=int(first.plan["pilot"]),
        controls=False,
        interventions=False,
        artifacts=False,
        paint=False,
    )


def measured_again(options: Options, claims: Sequence[Claim], reporter: Reporter) -> Dissection:
    """The second run; with artifact units where some, or a repair, are claimed."""
    of_artifacts = [claim for claim in claims if claim.kind in (ClaimKind.ARTIFACT_UNIT, ClaimKind.REPAIR)]
    if not of_artifacts:
        return assembled(measure(options, reporter), options.cache)
    # Units of the repair are scored together, as units that a person marked are.
    marked = next((claim for claim in of_artifacts if claim.kind == ClaimKind.REPAIR), of_artifacts[0])
    with tempfile.TemporaryDirectory() as folder:
        marks = Path(folder) / "claims.json"
        files.write(marks, json.dumps({"layer": marked.layer, "units": list(marked.units)}).encode())
        searched = replace(options, artifacts=True, artifact_layer=marked.layer, artifact_units=marks)
        return assembled(measure(searched, reporter), options.cache)


def removed_again(options: Options, claims: Sequence[Claim], reporter: Reporter) -> dict[Claim, Estimate]:
    """The share of its concept that each causal set removes on the second run's latents.

    Concepts that the segmenter does not know, or that do not occur, are left out.
    """
    if not claims:
        return {}
    job = prepare(options)
    precision = Precision.FLOAT32 if options.precision == Precision.AUTO else options.precision
    known = {(concept.name, concept.category) for concept in job.segmenter.vocabulary.concepts}
    removed: dict[Claim, Estimate] = {}
    for claim in claims:
        if (claim.concept, claim.category) in known:
            edit = EditOptions(claim.units, claim.layer, samples=MORE, concepts=(claim.concept,))
            table = count_edit(job, edit, precision, reporter).table
            row = table[(table["concept"] == claim.concept) & (table["category"] == claim.category)]
            if len(row):
                change, low, high = (float(row[name].iloc[0]) for name in ("change", "change_low", "change_high"))
                removed[claim] = -change, -high, -low
    return removed


def segmenters_compared(options: Options, first: Record, reporter: Reporter) -> SegmenterAgreement | None:
    """What the run's segmenter and another one, if the options name it, say of the second run's images.

    None where they name no other one, where the run's cannot be loaded again, or where no concept is common to both.
    """
    own = str(first.segmenter["name"])
    if prepare(options).segmenter.name == own:
        return None
    try:
        job = prepare(replace(options, segmenter=own))
    except UnknownName as error:
        reporter.say(f"two segmenters are not compared: {error}")
        return None
    return _compared(job, options.segmenter, reporter)


def _compared(job: Job, second: str, reporter: Reporter) -> SegmenterAgreement | None:
    from dissectreport.worker.segmenter_agreement import make_segmenter_agreement

    make = partial(make_segmenter_agreement, job.source, second, job.plan.seed, job.plan.grid)
    wanted = shards(MORE, BATCH)
    parts: dict[Shard, SegmenterAgreement] = {}
    with engine.Workers(job.workers, job.options.timeout) as workers:
        for shard, part in workers.run(make, wanted):
            parts[shard] = part
            reporter.progress(Task.AGREEMENT, len(parts), len(wanted), "batches")
    agreement = SegmenterAgreement.joined([parts[shard] for shard in wanted])
    return agreement if len(agreement.concepts) else None


def known_agreement(first: Record, cache: Path) -> SegmenterAgreement | None:
    """What an earlier comparison of two segmenters found, if there is one."""
    reader = CacheReader(cache / "measurements")
    if not first.replication or SegmenterAgreement.FILE not in reader.names(first.replication):
        return None
    return reader.read(first.replication, SegmenterAgreement)


def kept(record: Record, claims: ReplicatedClaims, agreement: SegmenterAgreement | None, cache: Path) -> Record:
    """The record with what was found, saved."""
    facts = {name: getattr(claims, name) for name in ("digest", "seed", "samples", "segmenter", "features")}
    store = Store.open(cache / "measurements", {"kind": "replication", "model": record.model, **facts})
    save(store, claims)
    if agreement is not None:
        save(store, agreement)
    name = store.folder.name
    record = replace(record, replication=name, folders=tuple(sorted({*record.folders, name})))
    record.save(cache)
    return record
