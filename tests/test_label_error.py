"""Intervals that include the segmenter's error, against masks whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dissectreport.analysis.dissection.corrected_rule import Groups, score
from dissectreport.analysis.dissection.label_error import (
    COLUMNS,
    LabelError,
    iou_range,
    label_errors,
    with_label_error,
)
from dissectreport.report.site.build import write_site
from dissectreport.run.shards import even_groups
from dissectreport.segmenters import scenes
from dissectreport.vocabulary import Concept
from tests.support.dissections import example_dissection
from tests.support.simulations import PIXELS, World, counts_of
from tests.support.sites import page_text

PRECISION, RECALL = 0.85, 0.8
ERROR = LabelError(PRECISION, RECALL)
WORLD = World((0.9, 0.6, 0.3), (0.5,))


def labelled(random, masks, on, follows):
    """The masks as a segmenter sees them that misses and invents pixels: at random, or where a unit is on (or off)."""
    near, far = np.where(on, 1.0, 0.05), np.where(on, 0.05, 1.0)
    bias = {"nothing": np.full(on.shape, 0.5), "unit": near, "others": far}[follows]
    found = masks.copy()
    missed = int(masks.sum() * (1 - RECALL))
    invented = int(masks.sum() * RECALL * (1 - PRECISION) / PRECISION)
    for among, count, value in ((masks, missed, False), (~masks, invented, True)):
        order = np.argsort(-(bias * random.random(on.shape) * among), axis=None)[:count]
        found.flat[order] = value
    return found


@pytest.mark.parametrize("follows", ["nothing", "unit", "others"])
def test_the_interval_with_both_errors_holds_the_iou_with_the_concept_itself(follows):
    held, sampled = [], []
    truth = score(Groups.of([(0, WORLD.truth()), (1, WORLD.truth())]), PIXELS, 1).iou.value[:, 0]
    for seed in range(12):
        random = np.random.default_rng(seed)
        shards = []
        for group in even_groups(26):
            on, masks = WORLD.draw(random)
            seen = labelled(random, masks, np.broadcast_to(on[:, :1, 0], masks.shape), follows)
            shards.append((group, counts_of(on, seen)))
        scores = score(Groups.of(shards), PIXELS, 1)
        units = np.arange(3)
        (low, high), _ = scores.intervals(units, np.zeros(3, int))
        present = sum(int(stat.present[0]) for group, stat in shards if group % 2)
        whole = sum(stat.samples for group, stat in shards if group % 2) * PIXELS
        ratio = present / whole / scores.on_fraction[:, 0]
        held += list((iou_range(low, ratio, ERROR)[0] <= truth) & (truth <= iou_range(high, ratio, ERROR)[1]))
        sampled += list((low <= truth) & (truth <= high))
    assert np.mean(held) >= 0.95
    assert np.mean(sampled) < 0.75, "the sampling interval is not one of the concept itself"


def test_a_perfect_segmenter_leaves_an_iou_as_it_is_and_a_worse_one_widens_its_range():
    iou, ratio = np.linspace(0, 0.6, 8)[1:], np.full(7, 0.9)
    same = iou_range(iou, ratio, LabelError(1, 1))
    assert np.allclose(same[0], same[1]) and np.allclose(same[0], iou)
    good, bad = (iou_range(iou, ratio, LabelError(p, p)) for p in (0.95, 0.8))
    assert (bad[0] <= good[0]).all() and (good[0] <= iou).all() and (iou <= good[1]).all() and (good[1] <= bad[1]).all()


def test_the_table_has_the_range_of_each_unit_whose_label_has_a_known_error():
    table = pd.DataFrame(
        {
            "concept": ["sky", "blue", ""],
            "category": ["object", "colour", ""],
            "iou": [0.3, 0.3, np.nan],
            "iou_low": [0.25, 0.25, np.nan],
            "iou_high": [0.35, 0.35, np.nan],
            "on_fraction": [0.2, 0.2, np.nan],
        }
    )
    concepts = pd.DataFrame({"concept": ["sky", "blue"], "category": ["object", "colour"], "area": [0.25, 0.25]})
    made = with_label_error(table, concepts, {Concept("sky", "object"): ERROR})
    first = made.iloc[0]
    assert first.iou_total_low < first.iou_label_low < 0.3 < first.iou_label_high < first.iou_total_high
    assert made.loc[1:, list(COLUMNS)].isna().all(axis=None)


def test_the_embedded_segmenters_know_their_error():
    errors = label_errors(scenes.load().facts)
    sky = errors[Concept("sky", "object")]
    assert 0.99 < sky.precision < 1 and 0.99 < sky.recall < 1
    assert not [concept for concept in errors if concept.category == "colour"]
    assert label_errors({"card": {"iou": {}}}) == {} == label_errors({})


def test_pages_tell_label_error_from_sampling_error(tmp_path: Path):
    dissection = example_dissection(units=6, layers=1)
    layer = dissection.layers[0]
    table = layer.table.assign(iou_label_low=0.31, iou_label_high=0.42, iou_total_low=0.28, iou_total_high=0.47)
    write_site(replace(dissection, layers=(replace(layer, table=table),)), tmp_path)
    pages = map(page_text, sorted((tmp_path / "planted").rglob("*.html")))
    page = next(text for text in pages if "with the segmenter's error" in text)
    assert "with the segmenter's error: 0.31 to 0.42, [0.28, 0.47] with sampling error too" in page
    assert "Intervals of IoU include only sampling error" in page_text(tmp_path / "planted" / "methods.html")
