"""Sentences and small tables that a dissection carries: what they say for which runs."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dissectreport.analysis import assemble
from dissectreport.analysis.dissection.concepts import position_only
from dissectreport.analysis.dissection.iclr2019_search import search
from dissectreport.run.rules import rule_named
from dissectreport.stats.categories import Categories
from dissectreport.stats.ends import Ends
from dissectreport.stats.joint import Joint
from dissectreport.vocabulary import Concept


def a_record(**changes: Any) -> SimpleNamespace:
    """What notes look at: by default a run of which nothing has to be said."""
    layer = SimpleNamespace(random_directions=("folder",), untrained="folder")
    facts: dict[str, Any] = {"samples": 1248, "generator": {}, "layers": [layer], "reads": {}, "rule": "corrected"}
    return SimpleNamespace(**facts | changes)


def notes(*devices: str, **changes: Any) -> tuple[str, ...]:
    return assemble._notes(a_record(**changes), devices or ("cpu",))  # type: ignore[arg-type]


def test_an_ordinary_run_has_no_notes() -> None:
    assert notes() == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generator": {"repeats": False}}, "does not reproduce its images"),
        ({"samples": 159}, "Only 159 images: too few"),
        ({"samples": 160}, "Only 160 images: intervals are wide"),
        ({"samples": 999}, "Only 999 images: intervals are wide"),
        ({"layers": [SimpleNamespace(random_directions=("folder",), untrained="")]}, "no untrained control"),
        ({"reads": {"folder": "photos"}, "rule": "iclr2019"}, "are optimistic"),
    ],
)
def test_what_limits_a_run_is_said_in_one_note(changes: dict[str, Any], words: str) -> None:
    (note,) = notes(**changes)
    assert words in note


@pytest.mark.parametrize(
    "changes",
    [
        {"samples": 1000},
        {"generator": {"repeats": True}},
        {"layers": [SimpleNamespace(random_directions=(), untrained="")]},
        {"reads": {"folder": "photos"}},
        {"rule": "iclr2019"},
    ],
)
def test_what_does_not_limit_a_run_is_not_said(changes: dict[str, Any]) -> None:
    assert notes(**changes) == ()


def test_samples_of_two_devices_are_said() -> None:
    (note,) = notes("cpu", "cuda")
    assert "cpu and cuda" in note


def test_of_units_that_a_published_rule_names_those_that_beat_chance_are_counted_by_layer() -> None:
    def layer(name: str, named: list[bool], beats: list[bool]) -> Any:
        table = pd.DataFrame({"interpretable": named, "beats_chance": beats})
        return SimpleNamespace(table=table, counted=SimpleNamespace(name=name))

    layers = [layer("one", [True, True, False], [True, False, True]), layer("two", [True], [True])]
    (sentence,) = assemble._above_chance_note(rule_named("pnas2020"), layers)
    assert "2 of the 3 interpretable units also match better than chance (1 of 2 in one, 1 of 1 in two)" in sentence
    assert assemble._above_chance_note(rule_named("corrected"), layers) == ()


def test_the_held_out_iou_of_a_segmenter_is_by_name_or_by_category_and_name() -> None:
    card = {"iou": {"tree": 1, "colour": {"red": 0.5, "blue": "0.25"}}}
    wanted = {Concept("tree", ""): 1.0, Concept("red", "colour"): 0.5, Concept("blue", "colour"): 0.25}
    assert assemble.trained({"card": card}) == assemble.trained(card) == wanted
    assert assemble.trained({"card": {"iou": "unknown"}}) == {}


def test_a_concept_that_a_half_never_shows_has_no_position_only_mask() -> None:
    def half(*numbers: int) -> Any:
        n = len(numbers)
        return np.array(numbers), np.full((n, 4), 2), np.full(n, 2), 2

    found = position_only((half(1, 2), half(1, 3)), np.array([1, 2, 3]))
    assert found[0] == 1 and np.isnan(found[1:]).all()


def test_with_one_category_the_search_counts_a_unit_over_all_images() -> None:
    # Two images of four pixels; the unit is above 0.5 in one pixel of the first, which alone shows the concept.
    counts = np.array([[[0, 7, 0], [0, 0, 1]]])
    joint = Joint(np.array([0, 1]), counts, np.array([[0, 7, 1]]), np.array([7, 1]), np.array([2, 1]), 2)
    infinity = np.inf
    low, high = (
        [[infinity, 0, infinity], [infinity, infinity, 1]],
        [[-infinity, 0, -infinity], [-infinity, -infinity, 1]],
    )
    ends = Ends(np.array([0, 1]), np.float32([low]), np.float32([high]))
    thresholds, named = np.float32([[-1, 0.5]]), np.array([7, 1])
    one = Categories(np.array([[[0, 3, 1]]]), np.array([1]), named)
    found = search(joint, ends, one, np.array([0, 0]), thresholds)
    assert found.label.tolist() == [1] and found.own.tolist() == [1]
    assert found.iou[0, 1] == 1 and found.agreement[0, 1] == 1
    # Beside another category the unit counts within the images of its own: on in a quarter of the pixels.
    two = replace(one, bins=np.repeat(one.bins, 2, 1), images=np.array([1, 1]))
    assert search(joint, ends, two, np.array([0, 0]), thresholds).iou[0, 1] == 0.5
