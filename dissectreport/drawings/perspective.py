"""A simple one-point perspective: points, panels on walls, and boxes from the farthest to the nearest.

Metres: x to the right and z away from the camera, which stands at x = z = 0; y up from the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy
from numpy.typing import NDArray

from dissectreport.drawings.brush import Brush, Colour, Floats, Piece, Point, colour

Side: TypeAlias = Literal["back", "left", "right"]
Span: TypeAlias = tuple[float, float]


class Tone(NamedTuple):
    """Hue, saturation and value of a surface in full light."""

    hue: float
    saturation: float
    value: float

    def lit(self, light: float) -> Colour:
        """The colour under this light, 1 for full."""
        return colour(self.hue, self.saturation, self.value * light)

    def times(self, factor: float) -> Tone:
        """The same hue, lighter or darker."""
        return self._replace(value=self.value * factor)


@dataclass(frozen=True)
class View:
    """What the camera sees: `size` pixels square, `focal` and the vanishing point in parts of it, `eye` in metres."""

    size: int
    focal: float
    middle: float
    horizon: float
    eye: float

    def at(self, x: float, y: float, z: float) -> Point:
        """Where a point in the room appears, in pixels to the right and down."""
        scale = self.focal / z
        return self.size * (self.middle + scale * x), self.size * (self.horizon - scale * (y - self.eye))


@dataclass(frozen=True)
class Room:
    """The walls at x = `left` (negative), x = `right` and z = `depth`, the ceiling at y = `height`."""

    left: float
    right: float
    height: float
    depth: float

    @property
    def width(self) -> float:
        """From the left wall to the right one."""
        return self.right - self.left

    def on(self, side: Side, along: float, y: float) -> tuple[float, float, float]:
        """A point of a wall, `along` its x or z."""
        if side == "back":
            return along, y, self.depth
        return (self.left if side == "left" else self.right), y, along


@dataclass(frozen=True)
class Box:
    """A box along the axes of the room."""

    left: float
    right: float
    bottom: float
    top: float
    near: float
    far: float


@dataclass(frozen=True)
class Spot:
    """A place at a wall, `along` its x or z, from which furniture is laid out towards the room."""

    room: Room
    side: Side
    along: float

    def box(self, along: tuple[float, float], up: tuple[float, float], out: tuple[float, float]) -> Box:
        """The box between these distances along the wall, from the floor up, and from the wall out."""
        low, high = self.along + along[0], self.along + along[1]
        if self.side == "back":
            return Box(low, high, *up, self.room.depth - out[1], self.room.depth - out[0])
        if self.side == "left":
            return Box(self.room.left + out[0], self.room.left + out[1], *up, low, high)
        return Box(self.room.right - out[1], self.room.right - out[0], *up, low, high)


@dataclass(frozen=True)
class Solid:
    """Something that fills a box, and how it is painted."""

    box: Box
    paint: Callable[[Brush, View, Box], None]


def paint_solids(brush: Brush, view: View, solids: Sequence[Solid]) -> None:
    """Paint the solids, those that others may hide first."""
    for number in far_to_near([solid.box for solid in solids], view.eye):
        solids[number].paint(brush, view, solids[number].box)


def far_to_near(boxes: Sequence[Box], eye: float) -> list[int]:
    """The numbers of the boxes in an order in which none is painted over one that hides it."""
    if not boxes:
        return []
    behind = hidden_by(boxes, eye)
    waiting, order = numpy.ones(len(boxes), dtype=bool), []
    for _ in boxes:
        farther = behind[waiting].sum(axis=0) + numpy.where(waiting, 0, len(boxes))
        order.append(int(farther.argmin()))
        waiting[order[-1]] = False
    return order


def hidden_by(boxes: Sequence[Box], eye: float) -> NDArray[numpy.bool_]:
    """(n, n) whether a box (row) can be hidden by another (column), the camera being on the other's side of a gap."""
    left, right, bottom, top, near, far = numpy.array([list(vars(box).values()) for box in boxes]).T
    order = parted(-far, -near, 0.0)
    for low, high, camera in ((left, right, 0.0), (bottom, top, eye)):
        order = numpy.where(order == 0, parted(low, high, camera), order)
    hidden: NDArray[numpy.bool_] = order > 0
    return hidden


def parted(low: Floats, high: Floats, camera: float) -> Floats:
    """(n, n) along one axis: 1 where the camera is on the column's side of a gap, -1 on the row's, 0 for no gap."""
    below, above = high[:, None] <= low[None] + 1e-9, low[:, None] >= high[None] - 1e-9
    gap_below, gap_above = (high[:, None] + low[None]) / 2, (low[:, None] + high[None]) / 2
    order: Floats = numpy.where(below, numpy.sign(camera - gap_below), 0) + numpy.where(
        above & ~below, numpy.sign(gap_above - camera), 0
    )
    return order


TOP, FRONT, FLANK, UNDER = 1.1, 0.94, 0.76, 0.6
"""How much light the faces of a box get."""


def paint_box(brush: Brush, view: View, box: Box, *, piece: Piece, tone: Tone, light: float) -> None:
    """The faces of a box that the camera sees, each as bright as it faces the light."""

    def face(share: float, *corners: tuple[float, float, float]) -> None:
        brush.polygon(piece, tone.lit(share * light), [view.at(*corner) for corner in corners])

    left, right, bottom, top, near, far = vars(box).values()
    if top < view.eye:
        face(TOP, (left, top, near), (right, top, near), (right, top, far), (left, top, far))
    if bottom > view.eye:
        face(UNDER, (left, bottom, near), (right, bottom, near), (right, bottom, far), (left, bottom, far))
    if left > 0:
        face(FLANK, (left, bottom, near), (left, top, near), (left, top, far), (left, bottom, far))
    if right < 0:
        face(FLANK, (right, bottom, near), (right, top, near), (right, top, far), (right, bottom, far))
    face(FRONT, (left, bottom, near), (right, bottom, near), (right, top, near), (left, top, near))


def seen_surface(view: View, room: Room) -> tuple[Floats, Floats, Floats]:
    """(size, size) each: x, y and z of the point of the empty room that every pixel shows."""
    places = (numpy.arange(view.size, dtype=numpy.float32) + 0.5) / view.size
    slope_x = (places - view.middle)[None] / view.focal
    slope_y = (view.horizon - places)[:, None] / view.focal
    to_sides = numpy.where(slope_x < 0, room.left, room.right) / slope_x
    to_ends = numpy.where(slope_y < 0, -view.eye, room.height - view.eye) / slope_y
    z = numpy.minimum(numpy.minimum(to_sides, to_ends), numpy.float32(room.depth)).astype(numpy.float32)
    x, y = slope_x * z, view.eye + slope_y * z
    return x.astype(numpy.float32), y.astype(numpy.float32), z
