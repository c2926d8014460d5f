"""Other changes of a causal set than ablation to zero, and the check of the segmenter, against slow arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dissectreport.analysis.assemble import ablated_images
from dissectreport.analysis.common.ratios import ratio_interval
from dissectreport.analysis.interventions.variants import VariedSet, variants_table
from dissectreport.analysis.results.dissection import TrustSource
from dissectreport.records.interventions import CausalVariants
from tests.support.dissections import example_dissection, with_interventions

RANDOM = np.random.default_rng(0)
WHOLE = RANDOM.integers(100, 200, 40)
ZERO = RANDOM.integers(0, 50, 40)
PIXELS = np.stack([RANDOM.integers(20, 70, 40), RANDOM.integers(40, 90, 40), RANDOM.integers(200, 900, 40)], 1)


def varied(before: float, after: float, overall_after: float = 0.9) -> VariedSet:
    """A set whose ablation loses 100 pixels of each of 16 images, with these confidences there."""
    sums = 1000 * np.array([100 * before, 100 * after, 4096 * 0.92, 4096 * overall_after])
    confidence = np.tile(sums.round().astype(np.int64), (16, 1))
    variants = CausalVariants(np.arange(40), PIXELS, np.full(16, 100), 4096, confidence)
    return VariedSet("tree", 20, WHOLE, ZERO, variants)


def test_removed_shares_and_the_average_causal_effect_are_those_of_the_pixels() -> None:
    row = variants_table([varied(0.9, 0.85)]).iloc[0]
    total = WHOLE.sum()
    for name, left in (("zero", ZERO), ("mean", PIXELS[:, 0]), ("resampled", PIXELS[:, 1])):
        value, low, high = ratio_interval(left[:, None], WHOLE[:, None])
        assert row[f"removed_{name}"] == pytest.approx(1 - left.sum() / total) == pytest.approx(1 - float(value[0]))
        assert (row[f"removed_{name}_low"], row[f"removed_{name}_high"]) == (1 - high[0], 1 - low[0])
    assert row["ace"] == pytest.approx((PIXELS[:, 2].sum() - ZERO.sum()) / total)
    assert row["ace_low"] < row["ace"] < row["ace_high"]


@pytest.mark.parametrize(
    ("before", "after", "overall_after", "fails"),
    [(0.9, 0.85, 0.9, False), (0.9, 0.6, 0.9, True), (0.9, 0.6, 0.5, False), (1.0, 1.0, 0.92, False)],
)
def test_a_segmenter_fails_where_its_confidence_falls_more_than_elsewhere(
    before: float, after: float, overall_after: float, fails: bool
) -> None:
    row = variants_table([varied(before, after, overall_after)]).iloc[0]
    assert row["segmenter_fails"] == fails
    assert row["confidence_lost_before"] == pytest.approx(before)
    assert row["confidence_lost_after"] == pytest.approx(after)
    assert row["confidence_before"] == pytest.approx(0.92, abs=1e-3)


def test_without_variants_the_table_has_columns_and_no_row() -> None:
    assert len(variants_table([])) == 0 and "ace_low" in variants_table([]).columns


def test_the_page_of_the_segmenter_shows_ablated_images_of_every_concept() -> None:
    found = with_interventions(example_dissection()).interventions
    assert found is not None
    (trust,) = ablated_images(found)
    assert trust.source == TrustSource.ABLATED and len(trust.images) == len(trust.confidence) == 2 * len(found.pictures)
    first = next(iter(found.pictures.values())).ablated
    assert np.array_equal(trust.images[:2], first.after[:2])
    assert np.array_equal(trust.labels[:2], first.labels_after[:2])
    assert ablated_images(None) == () == ablated_images(replace(found, pictures={}))
