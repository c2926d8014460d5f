"""Levels chosen from a pilot's histogram, against sorted activations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissectreport.stats.histogram import Histogram
from dissectreport.stats.levels import (
    CELLS,
    CUTTINGS,
    NULL_TAILS,
    SEARCH,
    TAILS,
    ExactLevels,
    Levels,
    hundredth,
    nearest,
    searched,
    table,
)


def a_pilot(seed=0, units=3, cells=CELLS):
    """The histogram of normal activations in even cells between -4 and 4."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((units, 20_000))
    counts = np.stack([np.histogram(row, cells, (-4, 4))[0] for row in values])
    return Histogram(np.full(units, -4.0), np.full(units, 8 / cells), counts)


def test_the_on_fractions_fall_and_hold_those_of_the_papers():
    for fractions in (TAILS, NULL_TAILS):
        assert (np.diff(fractions) <= 0).all()
        assert 0 < fractions[-1] < fractions[0] < 1
        assert {0.005, 0.01} <= set(fractions)
    assert (len(TAILS), len(NULL_TAILS), len(SEARCH)) == (127, 32, 99)
    assert np.isclose(SEARCH[0], 0.001) and np.allclose(SEARCH[1:] / SEARCH[:-1], 1000 ** (1 / 99))
    assert all(np.abs(TAILS - number / 27).min() < 1e-12 for number in range(1, 27))


def test_levels_of_a_pilot_are_edges_of_its_cells():
    pilot = a_pilot()
    levels = Levels.of(pilot)
    assert levels.edges.shape == (3, 127) and (np.diff(levels.edges, axis=1) >= 0).all()
    assert np.array_equal(levels.edges, pilot.edge_cells(TAILS))
    assert levels.span.tolist() == [8, 8, 8]
    assert levels.values().dtype == np.float32
    assert np.array_equal(levels.values(), (-4 + levels.edges * 8 / CELLS).astype(np.float32))
    assert np.allclose(TAILS[levels.null], NULL_TAILS, rtol=0.06)


@given(seed=st.integers(0, 2**32 - 1))
def test_tables_hold_the_number_of_edges_at_or_below_each_cell(seed):
    edges = np.sort(np.random.default_rng(seed).integers(0, CELLS, (2, 9)), axis=1)
    found = table(edges)
    assert found.dtype == np.uint8 and found.shape == (2, CELLS)
    for cell in (0, 1, 500, CELLS - 1, *edges[0], *(edges[1] - 1).clip(0)):
        assert found[:, cell].tolist() == [(row <= cell).sum() for row in edges]


def test_the_table_of_chance_is_that_of_its_own_edges():
    levels = Levels.of(a_pilot())
    assert np.array_equal(levels.bin_table(), table(levels.edges))
    assert np.array_equal(levels.null_table(), table(levels.edges[:, levels.null]))
    assert levels.bin_table().max() == 127 and levels.null_table().max() == 32


@given(seed=st.integers(0, 2**32 - 1))
def test_the_nearest_fraction_is_that_of_the_smallest_ratio(seed):
    random = np.random.default_rng(seed)
    fractions, wanted = random.uniform(0.001, 1, 20), random.uniform(0.001, 1, 4)
    for one, found in zip(wanted, nearest(fractions, wanted), strict=True):
        ratios = [max(each / one, one / each) for each in fractions]
        assert ratios[found] == pytest.approx(min(ratios), rel=1e-12)


def test_exact_levels_leave_at_most_their_fraction_above_them():
    activations = a_pilot(cells=1 << 14)
    levels = hundredth(activations)
    assert levels.cuts.dtype == np.float32 and levels.cuts.shape == (3, 32)
    assert np.array_equal(levels.cuts, activations.cuts(NULL_TAILS).astype(np.float32))
    assert (NULL_TAILS[levels.own] == 0.01).all()
    assert levels.low.tolist() == [-4, -4, -4] and np.allclose(levels.span, 8)
    assert levels.values() is levels.cuts
    assert levels.null.tolist() == list(range(32))


def test_the_search_has_a_hundred_levels_of_which_the_first_is_below_everything():
    activations = a_pilot(cells=1 << 14)
    levels = searched(activations)
    assert levels.cuts.shape == (3, 100)
    assert levels.own.tolist() == [0, 0, 0]
    assert (np.diff(levels.cuts, axis=1) >= 0).all()
    assert np.array_equal(levels.cuts, activations.cuts(np.array([1, *SEARCH[::-1]])).astype(np.float32))
    assert np.allclose(levels.cuts[:, 0], -4 + 8 / (1 << 14))


@pytest.mark.parametrize("column", [0, 37, 99])
def test_around_a_unit_s_own_level_are_those_nearest_to_the_fractions_of_chance(column):
    levels = searched(a_pilot(cells=1 << 14))
    around = levels.around(np.full(3, column))
    fractions = np.append(SEARCH, 1.0)[::-1]
    for unit in range(3):
        own = levels.cuts[unit, column]
        wanted = [own, *(levels.cuts[unit, np.abs(np.log(fractions / one)).argmin()] for one in NULL_TAILS)]
        assert around.cuts[unit].tolist() == sorted(wanted)
        assert around.cuts[unit, around.own[unit]] == own
        assert around.own[unit] == sum(one < own for one in wanted)
    assert around.low is levels.low and around.span is levels.span


@pytest.mark.parametrize("rule", CUTTINGS)
def test_levels_come_back_from_arrays(rule):
    cutting = CUTTINGS[rule]
    levels = cutting.of(a_pilot(cells=cutting.cells))
    again = cutting.read({name: np.asarray(value.tolist(), value.dtype) for name, value in levels.arrays().items()})
    assert type(again) is type(levels) is (Levels if rule == "corrected" else ExactLevels)
    for name, value in levels.arrays().items():
        assert again.arrays()[name].dtype == value.dtype
        assert np.array_equal(again.arrays()[name], value)
