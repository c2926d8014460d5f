"""Planted units: their truth is known, and what a run says of them agrees with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dissectreport.analysis.dissection.corrected_rule import Groups, score
from dissectreport.analysis.dissection.spike_in import POWER, OwnOverlaps, spike_in, truth
from dissectreport.analysis.results import spike_in as spike_in_columns
from dissectreport.analysis.results.dissection import COLUMNS
from dissectreport.report.site.build import write_site
from dissectreport.run.shards import even_groups
from dissectreport.stats.base import merge_all
from dissectreport.stats.spikes import SHARES, Spikes
from dissectreport.vocabulary import Vocabulary
from dissectreport.worker.concept_masks import Masks
from dissectreport.worker.spikes import spikes
from tests.support.dissections import example_dissection
from tests.support.simulations import PIXELS, World
from tests.support.sites import page_text

SIDE = 12
VOCABULARY = Vocabulary.of(object=("sky", "tree", "door"))
PRESENCE = (0.0, 0.9, 0.5, 0.1)
"""The share of images that show each concept."""


def labels_of(random: np.random.Generator, images: int) -> torch.Tensor:
    """(n, 1, side, side) squares of each concept somewhere in some images."""
    labels = np.zeros((images, 1, SIDE, SIDE), np.int64)
    for image in range(images):
        for concept in (1, 2, 3):
            if random.random() < PRESENCE[concept]:
                top, left = random.integers(0, SIDE - 4, 2)
                labels[image, 0, top : top + 4, left : left + 4] = concept
    return torch.from_numpy(labels)


def run(seed: int, shards: int = 26, images: int = 48) -> Iterator[tuple[int, Spikes]]:
    """(group, planted units) of each shard of a run."""
    random = np.random.default_rng(seed)
    for number, group in enumerate(even_groups(shards)):
        yield group, spikes(Masks.of(labels_of(random, images), 4), number * images + 10_000 * seed)


def test_planted_units_are_counted_as_a_loop_over_their_maps_counts_them() -> None:
    masks = Masks.of(labels_of(np.random.default_rng(1), 20), 4)
    found = spikes(masks, 7)
    again = spikes(masks, 7)
    assert all(np.array_equal(value, getattr(again, name)) for name, value in vars(found).items())
    own = np.arange(len(found.concepts))
    assert (found.on[:, -1] == found.present).all(), "a copy is on where its concept is"
    assert (found.observed[0, own, -1, own] == found.present).all()
    assert (found.on[:, 0] == found.present).all(), "and the concept of other images covers as much in all"
    shown = masks.by_pixel.astype(np.int64)
    assert np.array_equal(found.crossed[0, own, -1, own], (shown * shown).sum(1))
    assert (found.observed[0, own, 0, own] < found.present).all()


def test_the_truth_of_planted_units_is_what_many_runs_measure() -> None:
    counted = [stat for seed in range(3) for _, stat in run(seed, shards=20)]
    every = merge_all(counted)
    iou, corrected = truth(OwnOverlaps.of(counted))
    own = np.arange(3)
    both = every.observed.sum(0)[own, :, own]
    measured = both / (every.on + every.present[:, None] - both)
    assert np.allclose(iou, measured, atol=0.02)
    assert np.allclose(corrected[:, 0], 0, atol=1e-9) and np.allclose(corrected[:, -1], 1)


@pytest.fixture(scope="module")
def found() -> list[object]:
    """What twelve runs found of their planted units."""
    return [spike_in(run(seed), SIDE * SIDE, VOCABULARY, {}, 0.8) for seed in range(12)]


def test_intervals_hold_the_truth_of_planted_units_and_few_are_found_that_should_not_be(found) -> None:
    covered, intervals = sum(one.covered for one in found), sum(one.intervals for one in found)
    assert 0.92 <= covered / intervals <= 1
    usual = [one.usual()[0] <= one.covered / one.intervals for one in found]
    assert np.mean(usual) >= 0.8
    assert sum(one.falsely for one in found) / sum(one.found for one in found) <= 0.05
    planted = found[0].planted
    assert not planted.loc[planted["planted_share"] == 0, "found"].any()
    assert planted.loc[planted["planted_share"] == SHARES[-2], "found"].all()


def test_the_chance_level_of_a_planted_unit_leaves_out_the_images_that_it_copies(found) -> None:
    none = pd.concat([one.planted[one.planted["planted_share"] == 0] for one in found])
    by_concept = none.groupby("concept")["corrected_iou"]
    error = by_concept.std() / np.sqrt(by_concept.size())
    assert (by_concept.mean().abs() < 3 * error).all(), "with the copied image it would be a 47th lower"
    for end in ("", "_low", "_high"):
        assert none[f"corrected_iou{end}"].notna().all()
    held = (none["corrected_iou_low"] <= 0) & (none["corrected_iou_high"] >= 0)
    assert held.mean() >= 0.9


def test_where_nothing_overlaps_the_interval_holds_what_may_have_been_missed() -> None:
    rare = World((0.0,), (0.9, 0.06), side=2)
    truth = rare.truth()
    whole = score(Groups.of([(0, truth), (1, truth)]), PIXELS, 1).iou.value[0, 1]
    rows = [score(Groups.of(rare.shards(seed, 12)), PIXELS, 1) for seed in range(12)]
    zero, one = np.array([0]), np.array([1])
    ends = [(scores.iou.value[0, 1], *scores.intervals(zero, one)[0]) for scores in rows]
    without = [(low[0], high[0]) for value, low, high in ends if value == 0]
    assert without, "some runs have no overlap"
    assert all(low == 0 and whole < high < 0.2 for low, high in without)
    assert np.mean([low[0] <= whole <= high[0] for _, low, high in ends]) >= 0.9


def test_a_unit_of_the_smallest_size_that_is_found_is_found_as_often_as_that_says(found) -> None:
    tables = [one.concepts.set_index("concept")["smallest_found"] for one in found]
    least = np.mean(tables, axis=0)
    assert least[0] < least[2], "rare concepts need a larger match"
    for one, table in zip(found, tables, strict=True):
        clear = one.planted[one.planted["corrected_iou_true"] > one.planted["concept"].map(table) + 0.03]
        assert clear["found"].mean() >= POWER
    below = [one.planted[one.planted["corrected_iou_true"] < 0.04]["found"].mean() for one in found]
    assert np.mean(below) <= 0.05


def test_the_methods_page_says_what_the_run_would_have_found(found, tmp_path: Path) -> None:
    write_site(replace(example_dissection(units=6, layers=1), spike_in=found[0]), tmp_path)
    text = page_text(tmp_path / "planted" / "methods.html")
    assert f"{found[0].covered} of {found[0].intervals} 95% intervals contain the true value" in text
    low, high = found[0].usual()
    assert f"If intervals are correct, this share is between {low:.3f} and {high:.3f} in 95% of runs." in text
    assert f"of {found[0].found} planted units that the rule calls interpretable, {found[0].falsely} have" in text
    header = (tmp_path / "planted" / "data" / "planted.csv").read_text("utf-8-sig").splitlines()[0]
    assert set(header.split(",")) <= {*COLUMNS, *spike_in_columns.COLUMNS}
    assert all(name in text for name in header.split(",")), "the dictionary explains every column"


def test_where_no_concept_can_be_tested_nothing_is_said() -> None:
    assert spike_in([], SIDE * SIDE, VOCABULARY, {}, 0.5) is None
    assert spike_in(run(1, shards=4, images=8), SIDE * SIDE, VOCABULARY, {}, 0.5) is None
