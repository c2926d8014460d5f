"""Thresholds chosen from a pilot's histogram, against sorted activations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissectreport.stats.activation_range import ActivationRange
from dissectreport.stats.histogram import Histogram
from dissectreport.stats.thresholds import (
    CELLS,
    CHANCE_ON_FRACTIONS,
    ON_FRACTIONS,
    RULE_THRESHOLDS,
    SEARCH_ON_FRACTIONS,
    ExactThresholds,
    Thresholds,
    nearest,
    one_percent_thresholds,
    search_thresholds,
    table,
    thresholds_from_arrays,
)


def a_pilot(seed=0, units=3, cells=CELLS):
    """The histogram of normal activations in even cells between -4 and 4."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((units, 20_000))
    counts = np.stack([np.histogram(row, cells, (-4, 4))[0] for row in values])
    return Histogram(np.full(units, -4.0), np.full(units, 8 / cells), counts)


def test_the_on_fractions_fall_and_hold_those_of_the_papers():
    for fractions in (ON_FRACTIONS, CHANCE_ON_FRACTIONS):
        assert (np.diff(fractions) <= 0).all()
        assert 0 < fractions[-1] < fractions[0] < 1
        assert {0.005, 0.01} <= set(fractions)
    assert (len(ON_FRACTIONS), len(CHANCE_ON_FRACTIONS), len(SEARCH_ON_FRACTIONS)) == (127, 32, 99)
    assert np.isclose(SEARCH_ON_FRACTIONS[0], 0.001) and np.allclose(
        SEARCH_ON_FRACTIONS[1:] / SEARCH_ON_FRACTIONS[:-1], 1000 ** (1 / 99)
    )
    assert all(np.abs(ON_FRACTIONS - number / 27).min() < 1e-12 for number in range(1, 27))


def test_thresholds_of_a_pilot_are_edges_of_its_cells():
    pilot = a_pilot()
    thresholds = Thresholds.of(pilot)
    assert thresholds.edges.shape == (3, 127) and (np.diff(thresholds.edges, axis=1) >= 0).all()
    assert np.array_equal(thresholds.edges, pilot.edge_cells(ON_FRACTIONS))
    assert thresholds.span.tolist() == [8, 8, 8]
    assert thresholds.values().dtype == np.float32
    assert np.array_equal(thresholds.values(), (-4 + thresholds.edges * 8 / CELLS).astype(np.float32))
    assert np.allclose(ON_FRACTIONS[thresholds.chance_columns], CHANCE_ON_FRACTIONS, rtol=0.06)


@given(seed=st.integers(0, 2**32 - 1))
def test_tables_hold_the_number_of_edges_at_or_below_each_cell(seed):
    edges = np.sort(np.random.default_rng(seed).integers(0, CELLS, (2, 9)), axis=1)
    found = table(edges)
    assert found.dtype == np.uint8 and found.shape == (2, CELLS)
    for cell in (0, 1, 500, CELLS - 1, *edges[0], *(edges[1] - 1).clip(0)):
        assert found[:, cell].tolist() == [(row <= cell).sum() for row in edges]


def test_the_table_of_chance_is_that_of_its_own_edges():
    thresholds = Thresholds.of(a_pilot())
    assert np.array_equal(thresholds.bin_table(), table(thresholds.edges))
    assert np.array_equal(thresholds.chance_table(), table(thresholds.edges[:, thresholds.chance_columns]))
    assert thresholds.bin_table().max() == 127 and thresholds.chance_table().max() == 32


@given(seed=st.integers(0, 2**32 - 1))
def test_the_nearest_fraction_is_that_of_the_smallest_ratio(seed):
    random = np.random.default_rng(seed)
    fractions, wanted = random.uniform(0.001, 1, 20), random.uniform(0.001, 1, 4)
    for one, found in zip(wanted, nearest(fractions, wanted), strict=True):
        ratios = [max(each / one, one / each) for each in fractions]
        assert ratios[found] == pytest.approx(min(ratios), rel=1e-12)


def test_exact_thresholds_leave_at_most_their_on_fraction_above_them():
    activations = a_pilot(cells=1 << 14)
    thresholds = one_percent_thresholds(activations)
    assert thresholds.cuts.dtype == np.float32 and thresholds.cuts.shape == (3, 32)
    assert np.array_equal(thresholds.cuts, activations.cuts(CHANCE_ON_FRACTIONS).astype(np.float32))
    assert (CHANCE_ON_FRACTIONS[thresholds.own] == 0.01).all()
    assert thresholds.low.tolist() == [-4, -4, -4] and np.allclose(thresholds.span, 8)
    assert thresholds.values() is thresholds.cuts
    assert thresholds.chance_columns.tolist() == list(range(32))


def test_the_search_has_a_hundred_thresholds_of_which_the_first_is_below_everything():
    activations = a_pilot(cells=1 << 14)
    thresholds = search_thresholds(activations)
    assert thresholds.cuts.shape == (3, 100)
    assert thresholds.own.tolist() == [0, 0, 0]
    assert (np.diff(thresholds.cuts, axis=1) >= 0).all()
    assert np.array_equal(
        thresholds.cuts, activations.cuts(np.array([1, *SEARCH_ON_FRACTIONS[::-1]])).astype(np.float32)
    )
    assert np.allclose(thresholds.cuts[:, 0], -4 + 8 / (1 << 14))


@pytest.mark.parametrize("column", [0, 37, 99])
def test_around_a_units_own_threshold_are_those_nearest_to_the_on_fractions_of_chance(column):
    thresholds = search_thresholds(a_pilot(cells=1 << 14))
    around = thresholds.around(np.full(3, column))
    fractions = np.append(SEARCH_ON_FRACTIONS, 1.0)[::-1]
    for unit in range(3):
        own = thresholds.cuts[unit, column]
        wanted = [
            own,
            *(thresholds.cuts[unit, np.abs(np.log(fractions / one)).argmin()] for one in CHANCE_ON_FRACTIONS),
        ]
        assert around.cuts[unit].tolist() == sorted(wanted)
        assert around.cuts[unit, around.own[unit]] == own
        assert around.own[unit] == sum(one < own for one in wanted)
    assert around.low is thresholds.low and around.span is thresholds.span


@pytest.mark.parametrize("rule", RULE_THRESHOLDS)
def test_thresholds_come_back_from_arrays(rule):
    cutting = RULE_THRESHOLDS[rule]
    thresholds = cutting.of(a_pilot(cells=cutting.cells))
    others = {"i": np.int32, "f": np.longdouble}
    arrays = {name: value.astype(others[value.dtype.kind]) for name, value in thresholds.arrays().items()}
    again = thresholds_from_arrays(arrays)
    assert type(again) is type(thresholds) is (Thresholds if rule == "corrected" else ExactThresholds)
    for name, value in thresholds.arrays().items():
        assert again.arrays()[name].dtype == value.dtype
        assert np.array_equal(again.arrays()[name], value)


def test_the_range_of_two_shards_holds_both() -> None:
    first = ActivationRange(np.array([0.0, -3.0]), np.array([1.0, 2.0]), (2, 4, 4))
    second = ActivationRange(np.array([-1.0, -2.0]), np.array([0.5, 7.0]), (2, 4, 4))
    merged = first.merge(second)
    assert (merged.low.tolist(), merged.high.tolist(), merged.shape) == ([-1.0, -3.0], [1.0, 7.0], (2, 4, 4))
