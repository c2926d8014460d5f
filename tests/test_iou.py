"""IoU, its chance level and lift against masks laid over masks, and the laws that they obey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissectreport.stats.iou import against_chance, chance_corrected_iou, intersection_over_union, largest_iou, lift


@st.composite
def overlaps(draw):
    """Pixels of both, on and present, of masks that exist."""
    both = draw(st.integers(0, 1 << 40))
    return both, both + draw(st.integers(0, 1 << 40)), both + draw(st.integers(0, 1 << 40))


def test_iou_is_the_share_of_pixels_in_both_masks_among_those_in_either():
    random = np.random.default_rng(0)
    on, present = random.random((5, 8, 8)) < 0.4, random.random((5, 8, 8)) < 0.6
    either = sum(bool(a or b) for a, b in zip(on.flat, present.flat, strict=True))
    both = sum(bool(a and b) for a, b in zip(on.flat, present.flat, strict=True))
    assert float(intersection_over_union((on & present).sum(), on.sum(), present.sum())) == both / either


def test_counts_broadcast():
    found = intersection_over_union(np.array([[1, 2], [0, 3]]), np.array([[4], [3]]), np.array([2, 3]))
    assert found.tolist() == [[1 / 5, 2 / 5], [0, 1]]


@given(counts=overlaps())
def test_iou_lies_between_zero_and_one_and_treats_both_masks_alike(counts):
    both, on, present = counts
    value = float(intersection_over_union(both, on, present))
    assert 0 <= value <= 1
    assert value == float(intersection_over_union(both, present, on))
    assert (value == 1) == (both == on == present != 0)
    assert (value == 0) == (both == 0)


@given(counts=overlaps())
def test_no_iou_is_larger_than_that_of_masks_one_of_which_holds_the_other(counts):
    both, on, present = counts
    value, largest = float(intersection_over_union(both, on, present)), float(largest_iou(on, present))
    assert value <= largest * (1 + 1e-12)
    assert float(intersection_over_union(min(on, present), on, present)) == pytest.approx(largest)


@given(counts=overlaps(), pixels=st.integers(1, 30))
def test_shares_of_pixels_have_the_iou_of_their_counts(counts, pixels):
    both, on, present = counts
    total = (on + present) * pixels + 1
    shares = (both / total, on / total, present / total)
    larger = max(on, present) / total > 1e-6
    assert not larger or float(intersection_over_union(*shares)) == pytest.approx(
        float(intersection_over_union(both, on, present))
    )


def test_an_empty_union_has_iou_zero_in_every_kind_of_number():
    for zero in (0, 0.0, np.int64(0), np.zeros(3, np.float32)):
        assert (intersection_over_union(zero, zero, zero) == 0).all()
    assert float(largest_iou(0, 0)) == 0


@given(value=st.floats(0, 1), chance=st.floats(0, 0.999))
def test_the_corrected_iou_is_zero_at_chance_one_when_perfect_and_has_the_sign_of_the_difference(value, chance):
    assert float(chance_corrected_iou(chance, chance)) == 0
    assert float(chance_corrected_iou(1.0, chance)) == 1
    assert np.sign(chance_corrected_iou(value, chance)) == np.sign(value - chance)
    assert float(chance_corrected_iou(value, 0.0)) == value


def test_a_perfect_iou_at_a_perfect_chance_level_is_corrected_to_zero():
    assert float(chance_corrected_iou(1.0, 1.0)) == 0


def test_lift_is_the_ratio_to_chance_and_silently_not_a_number_without_any():
    with np.errstate(all="raise"):
        assert np.isnan(lift(np.array([0.5, 0.0]), np.zeros(2))).all()
    assert lift(np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.0, 0.0])).tolist()[0] == 2


@given(counts=overlaps(), share=st.floats(0, 1))
def test_against_chance_gives_all_three(counts, share):
    both, on, present = counts
    expected = min(on, present) * share
    value, chance, corrected = (float(one) for one in against_chance(both, expected, on, present))
    assert value == float(intersection_over_union(both, on, present))
    assert chance == float(intersection_over_union(expected, on, present))
    assert corrected == float(chance_corrected_iou(value, chance))


def test_the_formulas_with_numbers():
    assert float(intersection_over_union(30, 40, 60)) == 3 / 7
    assert float(chance_corrected_iou(0.75, 0.5)) == 0.5
    assert float(largest_iou(1, 4)) == float(largest_iou(4, 1)) == 0.25
    assert [float(one) for one in against_chance(30, 20, 40, 40)] == [0.6, 1 / 3, pytest.approx(0.4)]
