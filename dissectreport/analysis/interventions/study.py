"""What to study in a layer, from its dissection: concepts, contexts, and activations of inserted units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dissectreport.analysis.dissection.counted import Counted, scored
from dissectreport.errors import BadOption, UnknownName
from dissectreport.run.budgets import InterventionBudget
from dissectreport.run.patches import PATCHES_PER_SIDE
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Floats, Ints
from dissectreport.vocabulary import Vocabulary


@dataclass(frozen=True)
class Study:
    """The results of the dissection of a layer for the concepts to be studied."""

    concepts: tuple[int, ...]
    """Concept numbers, commonest first."""
    names: tuple[str, ...]
    contexts: tuple[int, ...]
    """Concepts of the leading category: those on which units are inserted."""
    corrected_iou: Floats
    """(concepts, units) chance-corrected IoU on the selection half, at each pair's best threshold."""
    upper: Floats
    """(units,) activation that the wanted share of pixels does not exceed."""

    def keeping(self, rows: Ints) -> Study:
        """The same for some of the concepts."""
        concepts, names = (tuple(values[row] for row in rows) for values in (self.concepts, self.names))
        return replace(self, concepts=concepts, names=names, corrected_iou=self.corrected_iou[rows])


def study(
    counted: Counted, areas: Areas, vocabulary: Vocabulary, wanted: Sequence[str], budget: InterventionBudget
) -> Study:
    """What to study in a layer: the `wanted` concepts, or the commonest of the vocabulary's first category."""
    numbers = chosen_concepts(areas, vocabulary, wanted, budget.concepts)
    scores = scored(counted, vocabulary, counted.chances, wanted=numbers)
    corrected_iou = np.zeros((len(numbers), counted.shape[0]))
    for row, number in enumerate(numbers):
        column = np.flatnonzero(scores.concepts == number)
        if len(column):
            corrected_iou[row] = scores.chosen[:, column[0]]
    return Study(
        numbers,
        tuple(vocabulary[n].name for n in numbers),
        chosen_contexts(areas, vocabulary, budget),
        np.where(np.isfinite(corrected_iou), corrected_iou, 0.0),
        upper_activations(counted, budget.quantile),
    )


def chosen_concepts(areas: Areas, vocabulary: Vocabulary, requested: Sequence[str], count: int) -> tuple[int, ...]:
    """Concept numbers, most frequent first; BadOption or UnknownName if a requested one does not occur."""
    images = dict(zip(areas.concepts.tolist(), (areas.pixels > 0).sum(0).tolist(), strict=True))
    pixels = dict(zip(areas.concepts.tolist(), areas.pixels.sum(0).tolist(), strict=True))
    if not requested:
        candidates = numbers_in(areas, vocabulary, leading_category(vocabulary))
        if not candidates:
            raise BadOption(f"no concept of category {leading_category(vocabulary)!r} occurs; choose --concepts")
        return tuple(sorted(candidates, key=lambda n: (-images[n], -pixels[n]))[:count])
    names = vocabulary.names
    numbers = []
    for name in requested:
        if name not in names[1:]:
            raise UnknownName.of("concept", name, names[1:])
        number = names.index(name, 1)
        if not images.get(number):
            raise BadOption(
                f"concept {name!r} occurs in none of {len(areas.samples):,} images; choose other --concepts"
            )
        numbers.append(number)
    return tuple(dict.fromkeys(numbers))


def chosen_contexts(areas: Areas, vocabulary: Vocabulary, budget: InterventionBudget) -> tuple[int, ...]:
    """The concepts of the leading category that most often cover a patch, as many as the budget has insertions for."""
    known = np.array(numbers_in(areas, vocabulary, leading_category(vocabulary)), np.int64)
    column = np.searchsorted(areas.concepts, known)
    room = budget.context_samples * budget.context_patches // budget.context_each
    often = (areas.pixels[:, column] * PATCHES_PER_SIDE**2 >= areas.grid).mean(0)
    order = np.argsort(-often, kind="stable")[: max(1, room)]
    return tuple(known[order].tolist())


def leading_category(vocabulary: Vocabulary) -> str:
    """The category that the vocabulary names first."""
    return vocabulary[1].category


def numbers_in(areas: Areas, vocabulary: Vocabulary, category: str) -> tuple[int, ...]:
    """The concepts of a category that occur."""
    occurring = areas.concepts[areas.pixels.sum(0) > 0]
    return tuple(int(n) for n in occurring if n and vocabulary[int(n)].category == category)


def upper_activations(counted: Counted, quantile: float) -> Floats:
    """(units,) the threshold above which the share 1 - `quantile` of pixels lies, as nearly as thresholds allow."""
    total = counted.totals.total
    above = total[:, ::-1].cumsum(1)[:, ::-1][:, 1:] / np.maximum(total.sum(1, keepdims=True), 1)
    column = np.abs(above - (1 - quantile)).argmin(1)
    return np.asarray(counted.thresholds.values()[np.arange(len(total)), column], np.float64)
