"""Boxes in a room: nothing is painted over what hides it, and walls are where the camera sees them."""

from __future__ import annotations

import numpy
import pytest

from dissectreport.drawings.brush import Brush, Piece
from dissectreport.drawings.perspective import (
    Box,
    Room,
    Solid,
    Spot,
    Tone,
    View,
    far_to_near,
    paint_box,
    paint_solids,
    seen_surface,
)

SIZE = 60
VIEW = View(SIZE, focal=0.75, middle=0.47, horizon=0.42, eye=1.5)
ROOM = Room(left=-2.0, right=1.8, height=2.6, depth=4.5)


def scattered(seed: int, count: int) -> list[Box]:
    """Boxes in cells of a grid over the room, so that none overlap."""
    random = numpy.random.default_rng(seed)
    cells = random.permutation(4 * 3 * 3)[:count]
    boxes = []
    for x, y, z in zip(*numpy.unravel_index(cells, (4, 3, 3)), strict=True):
        low = numpy.array([-1.9 + 0.95 * x, 0.8 * y, 1.8 + 0.85 * z])
        start, end = low + random.uniform(0, 0.2, 3), low + random.uniform(0.4, 0.75, 3)
        boxes.append(Box(*(float(v) for pair in zip(start, end, strict=True) for v in pair)))
    return boxes


def distance_along(ray: numpy.ndarray, box: Box) -> float:
    """How far along the ray from the camera the box is entered; infinity where it is missed."""
    low = numpy.array([box.left, box.bottom - VIEW.eye, box.near]) / ray
    high = numpy.array([box.right, box.top - VIEW.eye, box.far]) / ray
    enter, leave = numpy.minimum(low, high).max(), numpy.maximum(low, high).min()
    return float(enter) if enter < leave else float("inf")


def nearest_at(column: int, row: int, boxes: list[Box]) -> int:
    """1 + the number of the box that a pixel shows, by following its ray; 0 for none."""
    ray = numpy.array(
        [
            ((column + 0.5) / SIZE - VIEW.middle) / VIEW.focal,
            (VIEW.horizon - (row + 0.5) / SIZE) / VIEW.focal,
            1.0,
        ]
    )
    distances = [distance_along(ray, box) for box in boxes]
    return 1 + int(numpy.argmin(distances)) if min(distances) < float("inf") else 0


@pytest.mark.parametrize("seed", range(4))
def test_every_pixel_shows_the_box_that_its_ray_meets_first(seed: int) -> None:
    boxes = scattered(seed, 12)
    pieces = [Piece("-"), *(Piece(str(number)) for number in range(len(boxes)))]
    brush = Brush(numpy.random.default_rng(0), SIZE, pieces)

    def solid(number: int, box: Box) -> Solid:
        return Solid(
            box,
            lambda brush, view, box: paint_box(brush, view, box, piece=pieces[number + 1], tone=Tone(0, 0, 1), light=1),
        )

    paint_solids(brush, VIEW, [solid(number, box) for number, box in enumerate(boxes)])
    expected = [[nearest_at(column, row, boxes) for column in range(SIZE)] for row in range(SIZE)]
    agreement = (numpy.asarray(brush.pieces) == numpy.array(expected)).mean()
    assert agreement > 0.94  # the rest is edges, which a polygon covers to the last pixel that it touches


def test_without_boxes_there_is_no_order() -> None:
    assert far_to_near([], 1.5) == []


def test_a_box_on_the_floor_is_hidden_by_one_on_top_of_it() -> None:
    low, high = Box(-1, 1, 0, 0.5, 3, 4), Box(-1, 1, 0.5, 1, 3, 4)
    assert far_to_near([high, low], 1.5) == far_to_near([high, low], 2.5) == [1, 0]


def test_empty_pixels_show_the_nearest_of_walls_floor_and_ceiling() -> None:
    x, y, z = seen_surface(VIEW, ROOM)
    distances = numpy.stack([x - ROOM.left, ROOM.right - x, y, ROOM.height - y, ROOM.depth - z])
    assert distances.min(axis=0) == pytest.approx(0, abs=1e-4)
    column, row = VIEW.at(float(x[40, 20]), float(y[40, 20]), float(z[40, 20]))
    assert (column, row) == pytest.approx((20.5, 40.5), abs=1e-3)


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        ("back", Box(0.5, 1.5, 0, 1, 3.5, 4.3)),
        ("left", Box(-1.8, -1.0, 0, 1, 0.5, 1.5)),
        ("right", Box(0.8, 1.6, 0, 1, 0.5, 1.5)),
    ],
)
def test_furniture_stands_out_from_its_wall(side, expected: Box) -> None:
    box = Spot(ROOM, side, 1.0).box((-0.5, 0.5), (0, 1), (0.2, 1.0))
    assert list(vars(box).values()) == pytest.approx(list(vars(expected).values()))
