"""The tables of one layer, from its counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dissectreport.analysis.dissection.corrected_rule import judge
from dissectreport.analysis.dissection.counted import ConceptNames, Counted, scored
from dissectreport.analysis.dissection.examples import examples
from dissectreport.analysis.dissection.formula_table import formula_table
from dissectreport.analysis.dissection.interpretable_counts import (
    ControlCounts,
    controls,
    counts_of,
    scores_of_directions,
)
from dissectreport.analysis.dissection.own_units import best_units, own_units
from dissectreport.analysis.dissection.parts import parts_of_layer
from dissectreport.analysis.dissection.unit_tables import (
    category_labels,
    leading_curves,
    most_correlated,
    pair_table,
    unit_table,
)
from dissectreport.analysis.results.dissection import BestUnits, Curves
from dissectreport.analysis.results.formulas import FormulaCounts
from dissectreport.stats.base import Ints
from dissectreport.stats.thresholds import Thresholds
from dissectreport.vocabulary import Vocabulary


@dataclass(frozen=True)
class Units:
    """The tables of one layer, before any picture; see `dissection.Layer` for their columns."""

    counted: Counted
    table: pd.DataFrame
    labels: pd.DataFrame
    pairs: pd.DataFrame
    counts: ControlCounts
    own_units: pd.DataFrame
    best_units: BestUnits | None
    curves: Curves
    correlated: pd.DataFrame
    kind: NDArray[np.str_]
    examples: Ints
    """(units, k) sample numbers to show."""
    formulas: FormulaCounts | None = None
    """What the search for combinations of concepts found; None where it was not made."""


def examine(counted: Counted, vocabulary: Vocabulary, position_only: pd.Series, twins: Mapping[int, int]) -> Units:
    """The tables of a layer under the `corrected` rule.

    `position_only` is the IoU of each concept's best image-independent mask, by concept number; `twins` gives the
    concept that a concept counts as.
    """
    scores = scored(counted, vocabulary, counted.chances)
    names = ConceptNames(vocabulary, scores.concepts, twins)
    verdict = judge(scores)
    parts = parts_of_layer(counted, scores)
    kind, samples = examples(counted.peaks)
    rotations = scores_of_directions(counted, vocabulary)
    table = unit_table(counted, scores, verdict, names, position_only, parts)
    assert isinstance(counted.thresholds, Thresholds)
    formulas = formula_table(counted.label_sets, scores, verdict, names, counted.thresholds)
    return Units(
        counted=counted,
        table=table if formulas is None else pd.concat([table, formulas.columns], axis=1),
        labels=category_labels(scores, verdict, names, counted.thresholds, parts=parts),
        pairs=pair_table(scores, names, counted.thresholds, parts),
        counts=counts_of(controls(counted, scores, rotations, names, verdict)),
        own_units=own_units(scores, rotations, names),
        best_units=best_units(scores, rotations, names),
        curves=leading_curves(scores, verdict, counted.thresholds),
        correlated=most_correlated(counted.cross),
        kind=kind,
        examples=samples,
        formulas=None if formulas is None else formulas.counts,
    )
