"""Which concepts, contexts and thresholds interventions use, against counts that are made by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dissectreport.analysis.interventions.study import chosen_concepts, chosen_contexts, upper_activations
from dissectreport.errors import BadOption, UnknownName
from dissectreport.run.budgets import InterventionBudget
from dissectreport.stats.areas import Areas
from dissectreport.vocabulary import NOTHING, Concept, Vocabulary

NAMES = ("sky", "tree", "door", "sun", "hill")
VOCABULARY = Vocabulary((NOTHING, *(Concept(name, "part" if name == "door" else "object") for name in NAMES)))
AREAS = Areas(
    np.arange(4),
    np.arange(6),
    # nothing, sky, tree, door, sun, hill: of 640 pixels, of which 10 are as many as a patch has
    np.array([[9, 500, 20, 8, 1, 0], [9, 400, 30, 0, 1, 0], [9, 9, 0, 8, 0, 0], [9, 9, 40, 8, 0, 0]]),
    640,
)


def test_the_most_frequent_concepts_of_the_first_category_are_studied_and_of_equals_the_largest() -> None:
    assert chosen_concepts(AREAS, VOCABULARY, (), 3) == (1, 2, 4), "in 4, 3 and 2 images; no hill, no part"
    often = replace(AREAS, pixels=AREAS.pixels + np.array([0, 0, 0, 0, 90, 0]))
    assert chosen_concepts(often, VOCABULARY, (), 2) == (1, 4), "as often as the sky, but smaller"


def test_concepts_that_are_asked_for_are_studied_once_each_in_that_order() -> None:
    assert chosen_concepts(AREAS, VOCABULARY, ("door", "sky", "door"), 1) == (3, 1)
    with pytest.raises(UnknownName, match="no concept 'dor'; did you mean door"):
        chosen_concepts(AREAS, VOCABULARY, ("dor",), 1)
    with pytest.raises(UnknownName, match="no concept '-'"):
        chosen_concepts(AREAS, VOCABULARY, ("-",), 1)
    with pytest.raises(BadOption, match="concept 'hill' occurs in none of 4 images; choose other --concepts"):
        chosen_concepts(AREAS, VOCABULARY, ("sky", "hill"), 1)


def test_where_no_object_occurs_concepts_must_be_asked_for() -> None:
    parts = Areas(AREAS.samples, np.array([0, 3]), AREAS.pixels[:, [0, 3]], AREAS.grid)
    with pytest.raises(BadOption, match="no concept of category 'object' occurs; choose --concepts"):
        chosen_concepts(parts, VOCABULARY, (), 4)


@pytest.mark.parametrize(("samples", "wanted"), [(160, 1), (319, 1), (320, 2), (9999, 3)])
def test_contexts_are_the_concepts_that_most_often_cover_a_patch_as_many_as_get_enough_insertions(
    samples: int, wanted: int
) -> None:
    budget = InterventionBudget("some", context_samples=samples, context_patches=1, context_each=160)
    # Sky and tree cover 10 pixels in 2 and 3 of 4 images, the sun in none.
    assert chosen_contexts(AREAS, VOCABULARY, budget) == (2, 1, 4)[:wanted]


def test_units_are_inserted_at_the_threshold_whose_on_fraction_is_nearest_to_the_one_wanted() -> None:
    # Above the three thresholds lie 60, 10 and 1 of 100 pixels of the first unit, and 30, 20 and 5 of the second.
    total = np.array([[40, 50, 9, 1], [70, 10, 15, 5], [0, 0, 0, 0]])
    values = np.float32([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    counted = SimpleNamespace(totals=SimpleNamespace(total=total), thresholds=SimpleNamespace(values=lambda: values))
    assert upper_activations(counted, 0.9).tolist() == [2, 6, 7]
    assert upper_activations(counted, 0.75).tolist() == [2, 4, 7]
    assert upper_activations(counted, 0.995).dtype == np.float64
