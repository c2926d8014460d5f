"""A dissection from what was measured: every table, every picture, and where they come from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dissectreport.analysis.artifacts.artifact_results import Dissected, artifacts
from dissectreport.analysis.classes.class_results import class_results
from dissectreport.analysis.common.cutoffs import FEWEST_GROUPS
from dissectreport.analysis.comparison.replication import replication
from dissectreport.analysis.dissection import published_rules
from dissectreport.analysis.dissection.concepts import concept_table, seen_by_half, unsplit
from dissectreport.analysis.dissection.counted import ONE_UNIT
from dissectreport.analysis.dissection.label_error import (
    concepts_with_label_error,
    effects_with_label_error,
    with_label_error,
)
from dissectreport.analysis.dissection.twins import twins_of
from dissectreport.analysis.dissection.units import Units, examine
from dissectreport.analysis.interventions.intervention_results import interventions
from dissectreport.analysis.interventions.study import Study, study
from dissectreport.analysis.painting import painting
from dissectreport.analysis.record_source import RecordSource
from dissectreport.analysis.results.artifacts import Artifacts
from dissectreport.analysis.results.dissection import (
    Control,
    Dissection,
    Examples,
    Layer,
    Lookup,
    Pictures,
    Provenance,
    Trust,
    TrustSource,
)
from dissectreport.analysis.results.interventions import Interventions
from dissectreport.analysis.results.painting import Painting
from dissectreport.errors import SegmenterError
from dissectreport.records.dissection import ShownPictures
from dissectreport.records.reader import Reader
from dissectreport.records.replication import ReplicatedClaims
from dissectreport.records.words import WordVectors
from dissectreport.run.budgets import InterventionBudget
from dissectreport.run.parallel import Spread, in_threads
from dissectreport.run.plan import Plan
from dissectreport.run.rules import Rule, rule_named
from dissectreport.run.shards import BATCH, shards
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import merge_all
from dissectreport.stats.overlaps import Overlaps
from dissectreport.vocabulary import Concept, Vocabulary

if TYPE_CHECKING:
    from dissectreport.cache.records import LayerRecord, Record

ABLATED_EACH = 2
"""Ablated images of each concept that are shown as the segmenter sees them."""


def assemble(record: Record, reader: Reader, spread: Spread = in_threads) -> Dissection:
    """The results of a measured model; `spread` analyses its layers, each with its counts in memory."""
    plan = Plan(**record.plan)
    source = RecordSource(record, plan, reader)
    first = record.layers[0].counts
    areas = merge_all(stat for _, stat in source.stats(first, Areas))
    if not len(areas.concepts):
        raise SegmenterError(
            f"segmenter {record.segmenter['name']!r} found no concept in {record.samples:,} images of {record.model}; "
            "choose another with --segmenter, or look at the images"
        )
    halves = seen_by_half(source.chances(first, ONE_UNIT))
    held_out = unsplit(halves) if source.rule.is_published else halves
    twins = {} if source.rule.is_published else twins_of(merge_all(stat for _, stat in source.stats(first, Overlaps)))
    concepts = concept_table(areas, halves, held_out, record.vocabulary, trained(record.segmenter), twins)
    examine_layer = (
        partial(_published, source, vocabulary=record.vocabulary, position_only=concepts["position_only"])
        if source.rule.is_published
        else partial(_corrected, source, vocabulary=record.vocabulary, concepts=concepts, twins=twins)
    )
    by_layer = {layer.name: layer_units for layer, layer_units in spread(examine_layer, record.layers)}
    units = [by_layer[layer.name] for layer in record.layers]
    vectors = reader.read(record.word_vectors, WordVectors) if record.word_vectors else None
    if vectors is not None:
        units = [source.with_words(one, vectors, areas) for one in units]
    pictures = source.pictures()
    devices = source.devices()
    repair = _artifacts(record, reader, units, areas)
    causes = (
        None
        if record.interventions is None
        else interventions(record.interventions, reader, record.vocabulary, record.mixed_devices)
    )
    layers = tuple(_layer(layer_units, pictures) for layer_units in units)
    errors = {} if source.rule.is_published else source.label_errors()
    if errors and causes is not None:
        causes = effects_with_label_error(causes, errors)
    dissection = Dissection(
        model=record.model,
        provenance=_provenance(record, plan, source, devices),
        vocabulary=vocabulary_table(record.vocabulary),
        concepts=concepts_with_label_error(concepts, errors) if errors else concepts,
        layers=layers,
        pictures=Pictures(pictures.numbers, pictures.pixels),
        trust=(*source.trust(pictures.segmented), *ablated_images(causes)),
        notes=(*_notes(record, devices), *_above_chance_note(source.rule, units)),
        interventions=causes,
        classes=None if record.classes is None else class_results(record.classes, reader),
        no_classes=record.no_classes if record.classes is None else "",
        artifacts=repair,
        quality=None if repair is None else repair.figures,
        reality=source.reality(areas),
        spike_in=None if source.rule.is_published else source.spike_in(first, units, twins),
        painting=_painting(record, reader, layers, causes, repair),
        words=None if vectors is None else source.word_facts(vectors, units),
        no_painting=record.painting.missing if record.painting is not None else "",
    )
    if not record.replication:
        return dissection
    return replace(dissection, replication=replication(reader.read(record.replication, ReplicatedClaims), dissection))


def _painting(
    record: Record,
    reader: Reader,
    layers: Sequence[Layer],
    causes: Interventions | None,
    artifacts_of_units: Artifacts | None,
) -> Painting | None:
    if record.painting is None or not record.painting.folder:
        return None
    made, edited = record.interventions, None
    if made is not None and causes is not None and made.key.layer == record.painting.layer:
        edited = made, causes
    return painting(record.painting, reader, layers, record.vocabulary, edited, artifacts_of_units)


def ablated_images(causes: Interventions | None) -> tuple[Trust, ...]:
    """Some images with each concept's units ablated, as the segmenter sees them; none without interventions."""
    if causes is None or not causes.pictures:
        return ()
    shown = [pictures.ablated for pictures in causes.pictures.values()]
    images, labels, confidence = (
        np.concatenate([getattr(one, name)[:ABLATED_EACH] for one in shown])
        for name in ("after", "labels_after", "confidence_after")
    )
    return (Trust(TrustSource.ABLATED, images, labels, confidence),)


def _artifacts(record: Record, reader: Reader, units: Sequence[Units], areas: Areas) -> Artifacts | None:
    record_of_artifacts = record.artifacts
    if record_of_artifacts is None:
        return None
    layer = next(candidate for candidate in units if candidate.counted.name == record_of_artifacts.key.layer)
    numbers = {name: number for number, name in enumerate(record.vocabulary.names) if number}
    concepts = [numbers.get(str(name), 0) for name in layer.table["concept"]]
    thresholds = layer.table["threshold"].to_numpy(np.float64)
    return artifacts(record_of_artifacts, reader, Dissected(concepts, thresholds, layer.counted.peaks, areas))


def what_to_study(
    record: Record, reader: Reader, layer: str, requested: Sequence[str], budget: InterventionBudget
) -> Study:
    """The concepts to intervene on and what the dissection of the layer measured for them."""
    source = RecordSource(record, Plan(**record.plan), reader)
    layer_record = next(candidate for candidate in record.layers if candidate.name == layer)
    areas = merge_all(stat for _, stat in source.stats(layer_record.counts, Areas))
    return study(source.counted(layer_record), areas, record.vocabulary, requested, budget)


def _corrected(
    source: RecordSource, layer: LayerRecord, vocabulary: Vocabulary, concepts: pd.DataFrame, twins: Mapping[int, int]
) -> Units:
    units = examine(source.counted(layer), vocabulary, concepts["position_only"], twins)
    errors = source.label_errors()
    return replace(units, table=with_label_error(units.table, concepts, errors)) if errors else units


def _published(source: RecordSource, layer: LayerRecord, vocabulary: Vocabulary, position_only: pd.Series) -> Units:
    folders = {
        Control.UNTRAINED: layer.untrained,
        Control.CHANCE: layer.shifted,
    }
    controls = {name: source.evidence(folder) for name, folder in folders.items() if folder}
    return published_rules.examine(
        source.counted(layer),
        source.evidence(layer.counts),
        controls,
        [source.evidence(folder, len(source.plan.lattice) ** 2) for folder in layer.random_directions],
        source.rule,
        vocabulary,
        position_only,
    )


def trained(segmenter: Mapping[str, Any]) -> dict[Concept, float]:
    """Held-out IoU by concept, from the segmenter's card where it has one; category '' is any."""
    by_name = segmenter.get("card", segmenter).get("iou", {})
    by_concept: dict[Concept, float] = {}
    for name, value in by_name.items() if isinstance(by_name, Mapping) else ():
        if isinstance(value, Mapping):
            by_concept |= {Concept(concept, str(name)): iou for concept, iou in value.items()}
        else:
            by_concept[Concept(str(name), "")] = value
    return {concept: float(iou) for concept, iou in by_concept.items()}


def vocabulary_table(vocabulary: Vocabulary) -> pd.DataFrame:
    """One row per concept, by concept number: concept, category."""
    return pd.DataFrame(vocabulary.concepts, columns=["concept", "category"])


def _layer(units: Units, pictures: ShownPictures) -> Layer:
    counted = units.counted
    name, (count, height, width) = counted.name, counted.shape
    low, high = counted.thresholds.low[:, None], (counted.thresholds.low + counted.thresholds.span)[:, None]
    edges = np.concatenate([low, counted.thresholds.values(), high], 1).astype(np.float32)
    maps = np.empty((count, units.examples.shape[1], height, width), np.float32)
    shown = pictures.maps[name]
    maps[shown.at[:, 0], shown.at[:, 1]] = shown.maps
    histogram = counted.totals.total
    return Layer(
        name=name,
        units=count,
        height=height,
        width=width,
        table=units.table,
        labels=units.labels,
        pairs=units.pairs,
        controls=units.counts.controls,
        curves=units.curves,
        histogram=histogram,
        edges=edges,
        correlated=units.correlated,
        examples=Examples(units.kind, units.examples, counted.peaks.of(units.examples), maps),
        lookup=Lookup(pictures.lookup, ranked(shown.lookup, histogram, edges)),
        resampled=units.counts.resampled,
        by_rotation=units.counts.by_rotation,
        by_concept=units.counts.by_concept,
        own_units=units.own_units,
        best_units=units.best_units,
        match_curves=units.counts.match_curves,
        formulas=units.formulas,
    )


def ranked(maps: Any, histogram: Any, edges: Any) -> Any:
    """(k, units, h, w) activations -> uint8 share of the unit's activations that are lower, in 255ths."""
    below = np.concatenate([np.zeros((len(histogram), 1)), np.cumsum(histogram, 1)], 1)
    below = below / np.maximum(below[:, -1:], 1)
    shares = np.empty(maps.shape, np.uint8)
    for unit in range(maps.shape[1]):
        shares[:, unit] = np.interp(maps[:, unit], edges[unit], below[unit]) * 255
    return shares


def _provenance(record: Record, plan: Plan, source: RecordSource, devices: tuple[str, ...]) -> Provenance:
    groups, counts = source.groups, [shard.count for shard in shards(record.samples, plan.shard)]
    halved = not source.rule.is_published
    held_out = sum(count for group, count in zip(groups, counts, strict=True) if group % 2 or not halved)
    return Provenance(
        model=record.model,
        rule=record.rule,
        seed=plan.seed,
        samples=record.samples,
        selection=record.samples - held_out if halved else plan.pilot,
        held_out=held_out,
        pilot=plan.pilot,
        grid=plan.grid,
        groups=len({group for group in groups if group % 2 or not halved}),
        generator=record.generator,
        segmenter=record.segmenter,
        versions=record.versions,
        devices=devices,
        command=record.command,
        thresholds=dict(source.rule.interpretable),
        reference=record.reference,
        reads=record.reads,
        source=hashlib.sha256(os.fsencode(record.source)).hexdigest()[:16] if record.source else "",
    )


def _notes(record: Record, devices: tuple[str, ...]) -> tuple[str, ...]:
    notes = []
    if len(devices) > 1:
        notes.append(f"Samples measured on {' and '.join(devices)} were merged; such counts differ in the last bits.")
    if record.generator.get("repeats") is False:
        notes.append(
            "The network does not reproduce its images from the same latents: it uses random noise or dropout. Another"
            " run gives different numbers, and the images shown here cannot be generated again."
        )
    if replaced := record.generator.get("replaced"):
        are = "image of a sample is" if len(replaced) == 1 else "images of samples are"
        notes.append(
            f"{len(replaced):,} of {record.samples:,} {are} not finite ({', '.join(map(str, replaced))}). Other latents"
            " were drawn in their place, in every pass."
        )
    if record.samples < (fewest := 2 * FEWEST_GROUPS * BATCH):
        notes.append(
            f"Only {record.samples:,} images: too few to tell which units match a concept better than chance, and"
            f" too few for meaningful intervals. At least {fewest} are needed; 1,000 or more give narrow intervals."
        )
    elif record.samples < 1000:
        notes.append(
            f"Only {record.samples:,} images: intervals are wide, and results for rare concepts are unreliable."
        )
    if any(layer.random_directions for layer in record.layers) and not any(layer.untrained for layer in record.layers):
        notes.append(
            "There is no untrained control: the model does not define how to initialise it with random weights."
        )
    if record.reads and rule_named(record.rule).searches:
        notes.append(
            "Thresholds and labels were searched for on images of the same folder that scored them. Where the "
            "same images"
            " were used for both, IoU, p and q are optimistic."
        )
    return tuple(notes)


def _above_chance_note(rule: Rule, units: list[Units]) -> tuple[str, ...]:
    """For a published rule, how many of the units that it calls interpretable also beat chance."""
    if not rule.is_published:
        return ()
    counts = [
        (by_layer.table["interpretable"], by_layer.table["beats_chance"], by_layer.counted.name) for by_layer in units
    ]
    layers = [(int((named & beats).sum()), int(named.sum()), layer) for named, beats, layer in counts]
    by_layer = ", ".join(f"{both} of {named} in {layer}" for both, named, layer in layers)
    sentence = (
        f"Scored by the rule {rule.name} on all samples: {sum(both for both, _, _ in layers)} of the "
        f"{sum(named for _, named, _ in layers)} interpretable units also match better than chance ({by_layer})."
    )
    return (sentence,)
