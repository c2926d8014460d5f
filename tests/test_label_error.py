"""Intervals that include the segmenter's error, against masks whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dissectreport.analysis.common.ratios import difference_interval
from dissectreport.analysis.dissection.corrected_rule import Groups, score
from dissectreport.analysis.dissection.label_error import (
    COLUMNS,
    LabelError,
    ace_range,
    concepts_with_label_error,
    disagreements,
    effects_with_label_error,
    iou_range,
    label_errors,
    with_label_error,
)
from dissectreport.records.replication import SegmenterAgreement
from dissectreport.report.site.build import write_site
from dissectreport.run.shards import even_groups
from dissectreport.segmenters import scenes
from dissectreport.vocabulary import Concept
from tests.support.dissections import example_dissection, with_interventions
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


def agreement_of(first, second):
    """What (n, pixels) masks of two segmenters share, of one concept."""
    counts = [mask.sum(1)[:, None] for mask in (first, second, first & second)]
    return SegmenterAgreement("other", np.array([["sky", "object"]]), *counts)


@pytest.mark.parametrize("follows", ["nothing", "unit", "others"])
def test_the_disagreement_of_two_segmenters_bounds_the_iou_with_the_concept_itself(follows):
    held, sampled = [], []
    truth = score(Groups.of([(0, WORLD.truth()), (1, WORLD.truth())]), PIXELS, 1).iou.value[:, 0]
    for seed in range(8):
        random = np.random.default_rng(seed)
        shards, seen, others = [], [], []
        for group in even_groups(26):
            on, masks = WORLD.draw(random)
            where = np.broadcast_to(on[:, :1, 0], masks.shape)
            mine = labelled(random, masks, where, follows)
            shards.append((group, counts_of(on, mine)))
            seen.append(mine[:4, 0])
            # The second errs elsewhere: where it would err as the first does, it is right.
            other = labelled(random, masks, where, "nothing")
            others.append(np.where((other == mine) & (mine != masks), masks, other)[:4, 0])
        error = disagreements(agreement_of(np.concatenate(seen), np.concatenate(others)))[Concept("sky", "object")]
        scores = score(Groups.of(shards), PIXELS, 1)
        (low, high), _ = scores.intervals(np.arange(3), np.zeros(3, int))
        present = sum(int(stat.present[0]) for group, stat in shards if group % 2)
        whole = sum(stat.samples for group, stat in shards if group % 2) * PIXELS
        ratio = present / whole / scores.on_fraction[:, 0]
        held += list((iou_range(low, ratio, error)[0] <= truth) & (truth <= iou_range(high, ratio, error)[1]))
        sampled += list((low <= truth) & (truth <= high))
    assert np.mean(held) >= 0.95
    assert np.mean(sampled) < 0.75, "the sampling interval is not one of the concept itself"


def test_the_range_by_a_second_segmenter_holds_every_choice_of_the_disputed_pixels():
    random = np.random.default_rng(1)
    for _ in range(200):
        on, first, second = random.random((3, 12)) < random.random((3, 1))
        disputed = np.flatnonzero(first != second)
        if not on.any() or not (first & second).any() or len(disputed) > 8:
            continue
        possible = []
        for bits in range(2 ** len(disputed)):
            concept = first & second
            concept[disputed[(bits >> np.arange(len(disputed))) & 1 > 0]] = True
            possible.append((on & concept).sum() / (on | concept).sum())
        wrong, missed = (first & ~second).sum() / first.sum(), (second & ~first).sum() / first.sum()
        iou = np.array([(on & first).sum() / (on | first).sum()])
        low, high = iou_range(iou, np.array([first.sum() / on.sum()]), LabelError.bounded(wrong, missed, ""))
        assert low[0] <= min(possible) + 1e-12 and max(possible) - 1e-12 <= high[0]


def test_a_second_segmenter_that_agrees_leaves_what_it_may_have_missed_and_one_that_never_does_bounds_nothing():
    masks = np.random.default_rng(0).random((40, 64)) < 0.3
    same = disagreements(agreement_of(masks, masks))[Concept("sky", "object")]
    assert 0 < same.wrong < 0.15 and 0 < same.missed < 0.15 and same.at_least and "other" in same.source
    assert disagreements(agreement_of(masks, ~masks)) == {}
    assert disagreements(agreement_of(masks[:10], masks[:10])) == {}, "too few images"


@pytest.mark.parametrize("precision", [0.8, 0.95])
def test_the_interval_of_an_average_causal_effect_with_both_errors_holds_that_on_the_concept_itself(precision):
    held, sampled = [], []
    for seed in range(200):
        random = np.random.default_rng(seed)
        true = random.gamma(2, 100, (3, 40)) * np.array([[1.0], [0.25], [1.3]])
        ace = (1.3 - 0.25) / 1.0
        # The first invents as many pixels in every image, whatever is left of the concept, and misses some of it.
        invented = (1 - precision) / precision * 0.8 * 200
        whole, zero, inserted = np.round(0.8 * true + invented).astype(np.int64)
        both = np.round(0.8 * true[0]).astype(np.int64)
        counts = (array[:, None] for array in (whole, np.round(true[0]).astype(np.int64), both))
        error = disagreements(SegmenterAgreement("other", np.array([["sky", "object"]]), *counts))
        value, low, high = (float(end[0]) for end in difference_interval((inserted - zero)[:, None], whole[:, None]))
        left = zero.sum() / whole.sum()
        ranges = [ace_range(end, left, error[Concept("sky", "object")]) for end in (value, low, high)]
        held.append(min(low for low, _ in ranges) <= ace <= max(high for _, high in ranges))
        sampled.append(low <= ace <= high)
    assert np.mean(held) >= 0.95
    assert np.mean(sampled) < 0.93 or precision > 0.9


def test_pages_tell_label_error_from_sampling_error(tmp_path: Path):
    dissection = with_interventions(example_dissection(units=6, layers=1))
    layer, causes = dissection.layers[0], dissection.interventions
    table = layer.table.assign(iou_label_low=0.31, iou_label_high=0.42, iou_total_low=0.28, iou_total_high=0.47)
    errors = {
        Concept(str(row.concept), str(row.category)): LabelError.bounded(0.04, 0.06, "the segmenter other")
        for row in dissection.concepts.itertuples()
    }
    concepts = concepts_with_label_error(dissection.concepts, errors)
    layers, effects = (replace(layer, table=table),), effects_with_label_error(causes, errors)
    write_site(replace(dissection, layers=layers, concepts=concepts, interventions=effects), tmp_path)
    pages = {page: page_text(page) for page in sorted((tmp_path / "planted").rglob("*.html"))}
    sentence = "with the segmenter's error: 0.31 to 0.42, [0.28, 0.47] with sampling error too"
    units = [page for page, text in pages.items() if sentence in text]
    assert any("unit-" in page.name for page in units) and any(page.parent.name == "concepts" for page in units)
    concept = next(text for page, text in pages.items() if page.parent.name == "concepts" and page in units)
    assert "at most 4.0%" in concept and "it misses at most 6.0% as many pixels" in concept
    edited = effects.variants.dropna(subset=["ace_total_low"])
    assert len(edited) and (edited["ace_total_low"] < edited["ace_low"]).all()
    assert "with the segmenter's error" in pages[tmp_path / "planted" / "causes.html"]
    methods = pages[tmp_path / "planted" / "methods.html"]
    assert "Intervals of IoU include only sampling error" in methods and "the segmenter other" in methods
    assert "label_wrong" in (tmp_path / "planted" / "data" / "concepts.csv").read_text().splitlines()[0]
