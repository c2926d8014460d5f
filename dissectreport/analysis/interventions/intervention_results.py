"""The results of a layer's interventions, from the results of its passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.common.ratios import FEW_EFFECTIVE, effective_number
from dissectreport.analysis.interventions.effect_tables import InterventionTables
from dissectreport.analysis.interventions.insertion_gains import insertion_gains
from dissectreport.analysis.interventions.random_sets import RandomSetEffects
from dissectreport.analysis.interventions.removed_area import Removed
from dissectreport.analysis.interventions.shown_images import (
    alone_table,
    concept_pictures,
    unit_pictures,
    unit_strips,
)
from dissectreport.analysis.interventions.variants import VariedSet, variants_table
from dissectreport.analysis.results.interventions import (
    Interventions,
)
from dissectreport.records.interventions import (
    AblationPlan,
    CausalVariants,
    InterventionRecord,
    Units,
    concept_file,
)
from dissectreport.records.reader import Reader
from dissectreport.run.budgets import InterventionBudget
from dissectreport.run.patches import patch_grid
from dissectreport.run.shards import EDIT_BATCH, Shard
from dissectreport.stats.ablated_areas import AblatedAreas
from dissectreport.stats.areas import Areas
from dissectreport.stats.effects import FirstOrder
from dissectreport.stats.insertions import Insertions
from dissectreport.stats.paired import Paired
from dissectreport.vocabulary import Vocabulary


def interventions(
    record: InterventionRecord, reader: Reader, vocabulary: Vocabulary, mixed_devices: bool = False
) -> Interventions:
    """The results of a layer's interventions, from the record's passes; devices are mixed only if requested."""
    key, budget = record.key, record.budget
    measured = _read(record, reader, mixed_devices)
    sets = measured.plan.sets()
    removed = Removed.by_image(sets, measured.areas, measured.ablated, key.concepts)
    all_removed = Removed.by_shard(sets, measured.paired)
    random = RandomSetEffects.read(record, reader, measured.plan, measured.areas, measured.ablated)
    sampled = _sampled(record, reader, removed, measured.plan)
    tables = InterventionTables(
        key, budget, measured.plan, removed, all_removed, measured.first, sampled, random, vocabulary
    )
    concepts = tables.concepts(measured.areas, measured.insertions)
    pictures = concept_pictures(record, measured.insertions, reader, vocabulary)
    shown = next(iter(pictures.values()))
    strips = unit_strips(record, reader, vocabulary)
    return Interventions(
        layer=key.layer,
        samples=budget.samples,
        selection=budget.gradients,
        random_sets=min((len(sets[0]) for sets in measured.plan.random.values()), default=0),
        random_images=max((len(result.samples) for result in random.results.values()), default=0),
        block=shown.ablated.before.shape[1] * shown.ablated.before.shape[2] / _patches(shown.heat.maps),
        settings=_settings(record, tables),
        concepts=concepts,
        effects=tables.effects(),
        agreement=tables.agreement(),
        rankings=tables.rankings(),
        curves=tables.curves(),
        removal=tables.removal(),
        side_effects=tables.side_effects(measured.areas),
        alone=alone_table(strips),
        strips=strips,
        context=insertion_gains(key, measured.insertions, vocabulary),
        variants=variants_table(_varied_sets(record, reader, measured, tables.names)),
        unit_pictures=unit_pictures(record, measured.plan.singles, reader),
        pictures=pictures,
        notes=_notes(tables, concepts, budget),
    )


def _settings(record: InterventionRecord, tables: InterventionTables) -> dict[str, Any]:
    """What else was chosen, for the methods page."""
    key, budget = record.key, record.budget
    return {
        "budget": {name: value for name, value in asdict(budget).items() if budget.learned or not learning(name)},
        "precision": key.precision,
        "precision_agreement": record.agreement,
        "selection_seed": key.selection_seed,
        "held_out_seed": key.held_out_seed,
        "penalties": {name: _number(mask.penalty) for name, mask in tables.masks.items()},
    }


@dataclass(frozen=True)
class _MeasuredInterventions:
    """Everything that was measured, read."""

    plan: AblationPlan
    paired: list[tuple[Shard, Paired]]
    areas: Areas
    ablated: AblatedAreas
    first: FirstOrder
    insertions: Insertions


def _read(record: InterventionRecord, reader: Reader, mixed_devices: bool) -> _MeasuredInterventions:
    budget = record.budget
    ablations = record.ablations, budget.samples, EDIT_BATCH
    gradients = record.gradients, budget.gradients, EDIT_BATCH
    insertions = record.insertions, record.inserted, EDIT_BATCH
    concepts = record.key.concepts
    for folder in (ablations, gradients, *([insertions] if record.insertions else [])):
        reader.devices(*folder, mixed_devices)
    return _MeasuredInterventions(
        plan=reader.read(record.plan, AblationPlan),
        paired=list(reader.stats(*ablations, Paired)),
        areas=reader.total(*ablations, Areas),
        ablated=reader.total(*ablations, AblatedAreas),
        first=reader.total(*gradients, FirstOrder),
        insertions=reader.total(*insertions, Insertions) if record.insertions else Insertions.none(len(concepts)),
    )


def _sampled(record: InterventionRecord, reader: Reader, removed: Removed, plan: AblationPlan) -> Removed:
    """What units that were drawn at random remove: all of the layer, where all were ablated one by one."""
    if not record.sampled:
        every = len(plan.singles) == len(plan.mean_activation)
        return removed.only([(unit,) for unit in (plan.singles if every else ())])
    folder = record.sampled, record.budget.sampled_images, EDIT_BATCH
    areas, ablated = reader.total(*folder, Areas), reader.total(*folder, AblatedAreas)
    return Removed.by_image([(unit,) for unit in plan.sampled], areas, ablated, record.key.concepts)


def _varied_sets(
    record: InterventionRecord, reader: Reader, measured: _MeasuredInterventions, names: Sequence[str]
) -> list[VariedSet]:
    """The causal sets with their other changes, beside ablation to 0 in the same images; none where not measured."""
    if not record.variants:
        return []
    plan, sets = measured.plan, []
    for k, number in enumerate(record.key.concepts):
        variants, units = reader.read(record.variants, CausalVariants, concept_file(k)), plan.causal_set(k)
        whole = measured.areas.pixels[variants.samples, np.searchsorted(measured.areas.concepts, number)]
        zero = measured.ablated.pixels[variants.samples, plan.sets().index(units), k]
        sets.append(VariedSet(names[k], len(units), whole, zero, variants))
    return sets


def _notes(tables: InterventionTables, concepts: pd.DataFrame, budget: InterventionBudget) -> tuple[str, ...]:
    """Warnings about the reliability of the numbers."""
    notes = [
        f"{name} occurs in {images:,} of {budget.samples:,} held-out images, and its area is spread as over"
        f" {number:.0f} equal ones: where effects differ much between images, its 95% intervals contain the truth in"
        " as few as 87% of cases."
        for name, images, number in zip(
            concepts["concept"], concepts["images"], effective_number(tables.removed.before), strict=True
        )
        if number < FEW_EFFECTIVE
    ]
    unlearned = [name for name, mask in tables.masks.items() if np.isnan(mask.penalty)]
    if unlearned:
        notes.append(f"Too few images contain {', '.join(unlearned)} to learn a mask.")
    notes += [
        f"The learned mask of {name} has not converged, and is left out: its loss on held-out images went from"
        f" {mask.start_loss:.2f} to {mask.end_loss:.2f}."
        for name, mask in tables.masks.items()
        if mask.end_loss > mask.start_loss
    ]
    if not tables.plan.random:
        notes.append("The layer has too few units for random sets of the same size.")
    return tuple(notes)


def _patches(maps: NDArray[np.float32]) -> int:
    rows, columns = patch_grid(maps.shape[1], maps.shape[2])
    return rows * columns


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def learning(name: str) -> bool:
    """Whether a size of a budget is about learned orders alone."""
    return name.startswith(("learned_mask", "greedy", "penalties"))


def causal_sets(record: InterventionRecord, vocabulary: Vocabulary, reader: Reader, layer: str) -> dict[str, Units]:
    """The causal set of each concept in a layer; empty for a layer without interventions."""
    if record.key.layer != layer:
        return {}
    plan = reader.read(record.plan, AblationPlan)
    return {vocabulary[number].name: plan.causal_set(k) for k, number in enumerate(record.key.concepts)}
