"""Connected components and their halves, against a flood that fills one after the other."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray

from dissectreport.segmenters.components import components, halves

Labels = NDArray[np.int64]


def flooded(labels: Labels) -> list[list[tuple[int, int]]]:
    """The pixels of each 8-connected component of equal labels of one map."""
    left = {(int(y), int(x)) for y, x in np.ndindex(labels.shape)}
    found = []
    while left:
        edge = [left.pop()]
        component = list(edge)
        while edge:
            y, x = edge.pop()
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            same = [pixel for pixel in near if labels[pixel] == labels[y, x]]
            left -= set(same)
            component += same
            edge += same
        found.append(component)
    return found


def halved_one_by_one(labels: Labels) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Lower and right halves of the boxes of one map's components."""
    lower, right = np.zeros((2, *labels.shape), bool)
    for component in flooded(labels):
        rows, columns = [y for y, _ in component], [x for _, x in component]
        for y, x in component:
            lower[y, x] = y >= (min(rows) + max(rows) + 1) // 2
            right[y, x] = x >= (min(columns) + max(columns) + 1) // 2
    return lower, right


@some.composite
def maps(draw: some.DrawFn) -> Labels:
    shape = draw(some.tuples(some.integers(1, 3), some.integers(1, 12), some.integers(1, 12)))
    return np.random.RandomState(draw(some.integers(0, 2**32 - 1))).randint(0, draw(some.integers(1, 5)), shape)


@given(maps())
def test_pixels_that_a_flood_reaches_are_one_component(labels: Labels) -> None:
    found = components(labels)
    floods = [{(image, *pixel) for pixel in flood} for image, one in enumerate(labels) for flood in flooded(one)]
    numbers = [{int(found[pixel]) for pixel in flood} for flood in floods]
    assert all(len(number) == 1 for number in numbers)
    assert len(set.union(*numbers)) == len(floods)


@given(maps())
def test_halves_are_those_of_the_box_around_every_component(labels: Labels) -> None:
    lower, right = halves(labels)
    for image, one in enumerate(labels):
        expected_lower, expected_right = halved_one_by_one(one)
        assert np.array_equal(lower[image], expected_lower)
        assert np.array_equal(right[image], expected_right)


def test_a_winding_path_is_one_component() -> None:
    labels = np.zeros((1, 61, 61), np.int64)
    labels[0, ::2] = 1
    labels[0, 1::4, -1] = labels[0, 3::4, 0] = 1
    assert len(np.unique(components(labels)[labels == 1])) == 1


def test_labels_that_meet_at_a_corner_are_connected() -> None:
    labels = np.array([[[1, 0], [0, 1]]])
    assert len(np.unique(components(labels))) == 2


def test_the_last_component_is_divided_too() -> None:
    labels = np.zeros((1, 4, 4), np.int64)
    labels[0, :2, :2] = 1
    labels[0, 2:, 2:] = 2
    lower, right = halves(labels)
    assert lower[0, 2:, 2:].tolist() == [[False, False], [True, True]]
    assert right[0, 2:, 2:].tolist() == [[False, True], [False, True]]


def test_thirty_components_of_128_by_128_pixels_are_halved_in_20_ms() -> None:
    random = np.random.RandomState(0)
    rows, columns = random.rand(2, 30) * 128
    y, x = np.mgrid[:128, :128][..., None]
    labels = ((y - rows) ** 2 + (x - columns) ** 2).argmin(-1)[None]
    times = []
    for _ in range(5):
        begin = time.process_time()
        halves(labels)
        times.append(time.process_time() - begin)
    assert len(np.unique(components(labels))) == 30
    assert min(times) < 0.02


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 5), (2, 5, 1)])
def test_the_narrowest_maps_have_components(shape: tuple[int, int, int]) -> None:
    assert len(np.unique(components(np.zeros(shape, np.int64)))) == shape[0]
