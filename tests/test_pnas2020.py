"""The rule of Bau et al. (PNAS 2020), held to a slow and obvious oracle on the planted model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dissectreport
from dissectreport.analysis.dissection.published_rules import Evidence, score
from dissectreport.models import planted
from dissectreport.networks.latents import latents
from dissectreport.pipeline.render import load_dissection
from dissectreport.run.rules import rule_named
from dissectreport.segmenters import planted as planted_segmenter
from dissectreport.stats.base import merge_all
from dissectreport.stats.categories import numbered
from dissectreport.stats.thresholds import FINE, ExactThresholds, one_percent_thresholds
from dissectreport.worker import concept_masks, counting, pilot
from tests.support.planted_oracle import features

SAMPLES, GRID, SIDE = 40, 16, 8
UNITS = len(planted.UNITS)
WORDS = planted_segmenter.VOCABULARY.concepts
RULE = rule_named("pnas2020")


@pytest.fixture(scope="module")
def shown():
    """Activations (n, units, 8, 8) and labels (n, slots, 64, 64) of the first samples of seed 1."""
    generator, segment = planted.load(), planted_segmenter.load()
    z = latents(1, 0, SAMPLES, generator.latent_shape)
    with torch.no_grad():
        labels = segment(generator(z))
    return features(generator, z), labels


def upsampled(cells):
    """(8, 8) -> (16, 16), bilinear between the centres of cells, everything beyond the border being 0."""
    padded = np.pad(cells, 1)
    out = np.zeros((GRID, GRID))
    for y in range(GRID):
        for x in range(GRID):
            # Centre of the pixel in units of cells, counted from the centre of the padding's first cell.
            row, column = (y + 0.5) * SIDE / GRID + 0.5, (x + 0.5) * SIDE / GRID + 0.5
            top, left = int(row), int(column)
            down, right = row - top, column - left
            out[y, x] = (
                padded[top, left] * (1 - down) * (1 - right)
                + padded[top, left + 1] * (1 - down) * right
                + padded[top + 1, left] * down * (1 - right)
                + padded[top + 1, left + 1] * down * right
            )
    return out


@pytest.fixture(scope="module")
def oracle(shown):
    """Upsampled activations (units, n, 16, 16), masks (concepts, n, 16, 16) and thresholds (units,)."""
    maps, labels = shown
    laid = np.array([[upsampled(maps[i, unit]) for i in range(SAMPLES)] for unit in range(UNITS)])
    small = labels.numpy()[:, :, 2::4, 2::4]
    masks = np.array([(small == number).any(axis=1) for number in range(1, len(WORDS))])
    thresholds = np.array([np.quantile(laid[unit], 0.99, method="inverted_cdf") for unit in range(UNITS)])
    return laid, masks, thresholds


def iou_of(laid, masks, thresholds):
    """(units, concepts) by the reference's formula, from means over all pixels of all images."""
    found = np.zeros((UNITS, len(masks)))
    for unit in range(UNITS):
        on = laid[unit] > thresholds[unit]
        for concept, mask in enumerate(masks):
            share = mask.mean()
            both = on[mask].mean() * share if mask.any() else 0
            found[unit, concept] = both / (on.mean() + share - both) if share else 0
    return found


def cut(maps):
    """The rule's thresholds for activations (n, units, 8, 8)."""
    flat = torch.from_numpy(maps).float().transpose(0, 1).flatten(1).double()
    low, high = flat.amin(1).clamp(max=0).numpy(), flat.amax(1).clamp(min=0).numpy()
    even = pilot.even_cells(low, high, FINE)
    return one_percent_thresholds(pilot.histogram(torch.from_numpy(maps).float(), *even, FINE, GRID, "zero"))


def counts_of(maps, labels, thresholds):
    maps, labels = torch.from_numpy(maps).float(), concept_masks.on_grid(labels, GRID)
    category = numbered([concept.category for concept in WORDS])
    masks = concept_masks.Masks.of(labels, len(WORDS))
    return (
        *counting.joint_and_chance(maps, masks, thresholds, GRID, "zero"),
        counting.categories(maps, labels, category, thresholds, GRID, "zero"),
    )


def scored(shown, thresholds):
    """Every unit and concept as a run judges them, from shards of eight images."""
    maps, labels = shown
    parts = [slice(first, first + 8) for first in range(0, SAMPLES, 8)]
    counts = [counts_of(maps[part], labels[part], thresholds) for part in parts]
    evidence = Evidence(
        thresholds, None, lambda: enumerate(c[1] for c in counts), lambda: enumerate(c[2] for c in counts), GRID**2
    )
    return score(evidence, RULE, numbered([concept.category for concept in WORDS]))


def laid_over_all(result):
    """(units, concepts) IoU with 0 for concepts that do not occur."""
    found = np.zeros((UNITS, len(WORDS) - 1))
    found[:, result.scores.concepts - 1] = result.ratios["iou"]
    return found


def test_thresholds_are_exceeded_by_one_pixel_in_a_hundred(shown, oracle):
    laid, _, thresholds = oracle
    mine = cut(shown[0])
    own = np.take_along_axis(mine.cuts, mine.own[:, None], 1)[:, 0]
    # The upper edge of the cell that holds the quantile, one of 16,384 over the range.
    assert (own >= thresholds).all()
    assert (own - thresholds <= mine.span / FINE * 1.01).all()
    assert all((laid[unit] > own[unit]).mean() <= 0.01 for unit in range(UNITS))


def test_the_overlap_of_every_unit_and_concept_is_that_of_the_oracle(shown, oracle):
    laid, masks, thresholds = oracle
    exact = thresholds.astype(np.float32)[:, None]
    same_thresholds = ExactThresholds(np.zeros(UNITS), np.ones(UNITS), exact, np.zeros(UNITS, np.int64))
    found = laid_over_all(scored(shown, same_thresholds))
    assert np.allclose(found, iou_of(laid, masks, exact[:, 0]), rtol=0, atol=1e-12)


def test_labels_and_verdicts_are_those_of_the_oracle(shown, oracle):
    expected = iou_of(*oracle)
    result = scored(shown, cut(shown[0]))
    verdict = result.judge()
    assert np.allclose(laid_over_all(result), expected, rtol=0, atol=1e-12)
    label = result.scores.concepts[verdict.column]
    # Grass and green are the same pixels here: where several concepts are best, any of them is right.
    assert np.allclose(expected[np.arange(UNITS), label - 1], expected.max(1), rtol=0, atol=1e-12)
    assert np.array_equal(verdict.interpretable, expected.max(1) > 0.04)
    assert 0 < verdict.interpretable.sum() < UNITS


def test_every_unit_has_a_label_and_never_nothing(shown):
    result = scored(shown, cut(shown[0]))
    assert (result.judge().column >= 0).all()
    assert 0 not in result.scores.concepts


def test_the_chance_level_is_the_mean_over_all_pairings_of_different_images(shown, oracle):
    laid, masks, thresholds = oracle
    exact = thresholds.astype(np.float32)[:, None]
    result = scored(shown, ExactThresholds(np.zeros(UNITS), np.ones(UNITS), exact, np.zeros(UNITS, np.int64)))
    on = laid > exact[:, :, None, None]
    unit, concept = planted.UNIT["grass"], planted_segmenter.number_of("grass")
    overlap = sum(
        (on[unit, i] & masks[concept - 1, j]).sum() / 7
        for i in range(SAMPLES)
        for j in range(SAMPLES)
        if i != j and i // 8 == j // 8
    )
    expected = overlap / (on[unit].sum() + masks[concept - 1].sum() - overlap)
    column = result.scores.concepts.tolist().index(concept)
    assert result.ratios["chance_level"][unit, column] == pytest.approx(expected, abs=1e-12)


@given(cuts=st.sets(st.integers(1, SAMPLES - 1), max_size=4), order=st.randoms(use_true_random=False))
def test_counts_of_any_split_merge_to_the_same_bits(shown, cuts, order):
    maps, labels = shown
    few = np.flatnonzero(np.isin(planted.UNITS, ["grass", "dead", "ball"]))
    thresholds = cut(maps[:, few])
    ends = sorted({0, SAMPLES, *cuts})
    parts = [slice(*ends[i : i + 2]) for i in range(len(ends) - 1)]
    order.shuffle(parts)
    joint, _, categories = counts_of(maps[:, few], labels, thresholds)
    merged = [counts_of(maps[part][:, few], labels[part], thresholds) for part in parts]
    for whole, pieces in ((joint, [m[0] for m in merged]), (categories, [m[2] for m in merged])):
        for name, value in whole.arrays().items():
            assert np.array_equal(value, merge_all(pieces).arrays()[name]), name


def test_a_whole_run_gives_the_figures_of_its_parts(cache, shown):
    options = dissectreport.Options(
        "planted",
        interventions=False,
        artifacts=False,
        samples=SAMPLES,
        layers=("features",),
        rule="pnas2020",
        device="cpu",
        workers=1,
        cache=cache,
    )
    written = dissectreport.build(options, cache / "site")
    dissection = load_dissection("planted", "pnas2020", cache)
    (layer,) = dissection.layers
    result = scored(shown, cut(shown[0]))
    verdict, rows = result.judge(), np.arange(UNITS)
    assert written.index.exists()
    assert dissection.provenance.grid == GRID
    assert dissection.provenance.thresholds == {"iou": 0.04}
    assert np.array_equal(layer.table["iou"], result.ratios["iou"][rows, verdict.column])
    names = [WORDS[result.scores.concepts[column]].name for column in verdict.column]
    assert layer.table["concept"].tolist() == names
    assert np.array_equal(layer.table["interpretable"], layer.table["iou"] > 0.04)
    counts = layer.controls[layer.controls["category"] == ""].set_index("control")["units"]
    assert set(counts.index) == {"measured", "random_directions", "untrained", "chance"}
    assert counts["measured"] == layer.table["interpretable"].sum()
    both = (layer.table["interpretable"] & layer.table["beats_chance"]).sum()
    assert any(note.startswith("Scored by the rule") and f" {both} of the " in note for note in dissection.notes)


def test_counts_within_a_category_have_intervals_of_their_own(tmp_path):

    options = dissectreport.Options(
        "planted",
        interventions=False,
        artifacts=False,
        rule="pnas2020",
        samples=160,
        layers=("features",),
        cache=tmp_path,
        workers=1,
    )
    dissectreport.measure(options)
    rows = load_dissection("planted", "pnas2020", tmp_path).layers[0].controls
    rows = rows[(rows["control"] == "measured") & (rows["category"] != "")]
    # The planted units are far from the cut-off: resampling the images hardly changes how many pass.
    assert (rows["units"] - rows["units_low"] <= 3).all()
    assert rows["units"].max() > 3
