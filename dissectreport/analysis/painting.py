"""What the Paint page needs: the exported network, brushes from the interventions, and the repair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dissectreport.analysis.results.artifacts import Artifacts
from dissectreport.analysis.results.dissection import Layer
from dissectreport.analysis.results.interventions import Interventions
from dissectreport.analysis.results.painting import InsertionGain, Painting, UnitBrush
from dissectreport.records.interventions import AblationPlan, InterventionRecord
from dissectreport.records.painting import PaintedNetwork, PaintRecord
from dissectreport.records.reader import Reader
from dissectreport.stats.base import Floats
from dissectreport.vocabulary import Vocabulary

QUANTILE = 0.995
"""The share of a unit's activations that are lower than the level at which it is painted alone."""


def painting(
    record: PaintRecord,
    reader: Reader,
    layers: Sequence[Layer],
    vocabulary: Vocabulary,
    edited: tuple[InterventionRecord, Interventions] | None,
    artifacts: Artifacts | None,
) -> Painting:
    """What the page of an exported network paints with; `edited` are the interventions, if they were measured."""
    network = reader.read(record.folder, PaintedNetwork)
    layer = next(layer for layer in layers if layer.name == record.layer)
    is_same = artifacts is not None and artifacts.layer == record.layer
    return Painting(
        layer=record.layer,
        network=network,
        brushes=() if edited is None else brushes(*edited, reader, vocabulary),
        levels=levels(layer),
        repair=artifacts.repair if artifacts is not None and is_same else (),
        block=network.pixels / max(1, network.contexts.shape[1]),
    )


def brushes(
    record: InterventionRecord, results: Interventions, reader: Reader, vocabulary: Vocabulary
) -> tuple[UnitBrush, ...]:
    """The causal set of every studied concept, with the activations at which it was inserted."""
    plan = reader.read(record.plan, AblationPlan)
    means = plan.concept_means
    values = means if record.budget.constant == "mean" else np.broadcast_to(plan.upper, means.shape)
    return tuple(
        UnitBrush(
            concept=vocabulary[number].name,
            number=number,
            units=plan.causal_set(k),
            ranked=tuple(plan.rankings[plan.best[k]][k][: plan.causal_size].tolist()),
            values=tuple(float(values[k, unit]) for unit in plan.causal_set(k)),
            contexts=gains(results.context, vocabulary[number].name, vocabulary),
        )
        for k, number in enumerate(record.key.concepts)
    )


def gains(context: pd.DataFrame, concept: str, vocabulary: Vocabulary) -> dict[int, InsertionGain]:
    """What inserting the causal set of a concept adds of it, by the number of the context."""
    numbers = {name: number for number, name in enumerate(vocabulary.names) if number}
    rows = context[context["concept"] == concept]
    figures = rows[["gain", "gain_low", "gain_high", "insertions"]].to_numpy(np.float64).tolist()
    return {
        numbers.get(str(name), 0): InsertionGain(gain, low, high, int(insertions))
        for name, (gain, low, high, insertions) in zip(rows["context_concept"], figures, strict=True)
    }


def levels(layer: Layer) -> Floats:
    """(units,) the activation that all but a few of a unit's pixels stay below, from its histogram."""
    below = np.concatenate([np.zeros((layer.units, 1)), np.cumsum(layer.histogram, 1)], 1)
    shares = below / np.maximum(below[:, -1:], 1)
    return np.array([np.interp(QUANTILE, shares[unit], layer.edges[unit]) for unit in range(layer.units)])
