"""A church seen from the front: nave, roof or dome, tower, windows, door."""

from __future__ import annotations

from dataclasses import dataclass

from dissectreport.drawings.brush import Brush, Colour, Piece, Point
from dissectreport.drawings.patterns import (
    cover_half_disc,
    cover_polygon,
    cover_rectangle,
    pattern_of,
    plain,
    ribbed,
    two_sided,
)
from dissectreport.drawings.scene_colours import Palette

DOME = Piece("dome", "metal")
THIN = 0.0125
"""The width of bars, frames and string courses as a share of the picture: 1.6 pixels of 128."""


@dataclass(frozen=True)
class Tower:
    """A tower around the axis x; `side` is -1, 0 or 1 for left, middle and right of the nave."""

    x: float
    width: float
    top: float
    height: float
    side: int

    @property
    def edges(self) -> tuple[float, float]:
        """The left and the right edge."""
        return self.x - self.width / 2, self.x + self.width / 2


@dataclass(frozen=True)
class Church:
    """Where the parts of a church stand, in pixels of the brush; `tower` is None for a church without one."""

    left: float
    right: float
    base: float
    eaves: float
    arched: bool
    domed: bool
    tower: Tower | None

    @property
    def middle(self) -> float:
        """The axis of the nave."""
        return (self.left + self.right) / 2

    @property
    def width(self) -> float:
        """From wall to wall."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """From the ground to the eaves."""
        return self.base - self.eaves


def choose_church(brush: Brush, horizon: float) -> Church:
    """A church near the middle of the scene, a little below the horizon."""
    size = brush.size
    width, height = brush.between(0.37, 0.57) * size, brush.between(0.22, 0.32) * size
    middle, base = brush.between(0.38, 0.62) * size, horizon + brush.between(0.03, 0.08) * size
    domed = brush.chance(0.42)
    tower = choose_tower(brush, middle, width, base, height, domed) if brush.chance(0.72) else None
    return Church(middle - width / 2, middle + width / 2, base, base - height, brush.chance(0.5), domed, tower)


def choose_tower(brush: Brush, middle: float, width: float, base: float, height: float, domed: bool) -> Tower:
    """A tower at a side of the nave, or before its middle where no dome would be hidden."""
    side = brush.one_of((-1, 1)) if domed else brush.one_of((-1, 0, 1))
    wide, tall = width * brush.between(0.25, 0.32), height * brush.between(1.55, 2.05)
    return Tower(middle + side * (width - wide) / 2, wide, base - tall, tall, side)


def paint_church(brush: Brush, palette: Palette, church: Church) -> tuple[float, float]:
    """The whole church; the axis and the width of its door."""
    corners = ((church.left, church.eaves), (church.right, church.base))
    pattern = pattern_of(palette.wall_material, brush.size)
    cover_rectangle(brush, Piece("wall", palette.wall_material), palette.wall, corners, pattern)
    if church.domed:
        paint_dome(brush, palette, church)
    else:
        paint_roof(brush, palette, church)
    if church.tower:
        paint_tower(brush, palette, church.tower)
    return paint_openings(brush, palette, church)


# --- what stands on the walls -------------------------------------------------------------------------------


def paint_roof(brush: Brush, palette: Palette, church: Church) -> None:
    """A triangle or a trapezium over the whole front."""
    over, inset = 0.025 * brush.size, brush.one_of((0.2, 0.5)) * church.width
    ridge = church.eaves - brush.between(0.1, 0.19) * brush.size
    feet = [(church.left - over, church.eaves), (church.right + over, church.eaves)]
    ends = [(church.right - inset, ridge), (church.left + inset, ridge)]
    pattern = pattern_of(palette.roof_material, brush.size)
    roof = Piece("roof", palette.roof_material)
    cover_polygon(brush, roof, palette.roof, [*feet, *ends], pattern, (church.left - over, church.eaves))


def paint_dome(brush: Brush, palette: Palette, church: Church) -> None:
    """A flat roof that carries a dome with a finial, away from the tower."""
    over, rise, radius = 0.015 * brush.size, 0.035 * brush.size, 0.27 * church.width
    corners = ((church.left - over, church.eaves - rise), (church.right + over, church.eaves))
    pattern = pattern_of(palette.roof_material, brush.size)
    cover_rectangle(brush, Piece("roof", palette.roof_material), palette.roof, corners, pattern)
    axis = church.middle - (church.tower.side * 0.12 * church.width if church.tower else 0)
    foot = axis, church.eaves - rise
    finial = ((axis - 0.009 * brush.size, foot[1] - 1.3 * radius), (axis + 0.009 * brush.size, foot[1] - 0.9 * radius))
    cover_rectangle(brush, DOME, palette.metal, finial, plain)
    cover_half_disc(brush, DOME, palette.metal, foot, radius, ribbed(radius, 0.006 * brush.size))


def paint_tower(brush: Brush, palette: Palette, tower: Tower) -> None:
    """A shaft, a belfry above a string course, and a spire or a cupola."""
    (left, right), base = tower.edges, tower.top + tower.height
    course, thick = tower.top + 0.4 * tower.height, THIN * brush.size
    pattern = two_sided(pattern_of(palette.wall_material, brush.size), 0.82 * tower.width, 0.8)
    shaft, belfry = (Piece("tower", palette.wall_material, part) for part in ("tower shaft", "belfry"))
    cover_rectangle(brush, shaft, palette.wall, ((left, course), (right, base)), pattern)
    cover_rectangle(brush, belfry, palette.wall, ((left, tower.top), (right, course)), pattern)
    over = 0.02 * brush.size
    cover_rectangle(brush, belfry, palette.trim, ((left - over / 2, course - thick), (right + over / 2, course)), plain)
    if brush.chance(0.6):
        paint_spire(brush, palette, tower)
    else:
        pattern = ribbed(tower.width / 2, 0.006 * brush.size)
        cover_half_disc(
            brush, Piece("dome", "metal", "cupola"), palette.metal, (tower.x, tower.top), tower.width / 2, pattern
        )


def paint_spire(brush: Brush, palette: Palette, tower: Tower) -> None:
    """A pointed roof, darker on the right."""
    half = 0.5 * tower.width + 0.02 * brush.size
    peak = max(tower.top - tower.width * brush.between(1.1, 1.8), 0.02 * brush.size)
    corners = [(tower.x - half, tower.top), (tower.x + half, tower.top), (tower.x, peak)]
    pattern = two_sided(pattern_of(palette.roof_material, brush.size), half, 0.78)
    spire = Piece("roof", palette.roof_material, "spire")
    cover_polygon(brush, spire, palette.roof, corners, pattern, (tower.x - half, tower.top))


# --- openings -----------------------------------------------------------------------------------------------


def paint_openings(brush: Brush, palette: Palette, church: Church) -> tuple[float, float]:
    """Windows on both sides of the door, and the door itself, mostly; its axis and its width."""
    axis, width = choose_door(brush, church)
    pane, tall = brush.between(0.066, 0.088) * brush.size, church.height * brush.between(0.34, 0.46)
    for left, right in free_walls(church, axis, width):
        count = min(2, int((right - left) / (pane + 0.03 * brush.size)))
        for number in range(count):
            place = left + (right - left) * (number + 0.5) / count, church.eaves + 0.24 * church.height
            paint_window(brush, palette, church.arched, "wall window", place, (pane, tall))
    if tower := church.tower:
        place = tower.x - 0.04 * tower.width, tower.top + 0.14 * tower.height
        extent = max(0.44 * tower.width, 0.055 * brush.size), 0.16 * tower.height
        paint_window(brush, palette, church.arched, "tower window", place, extent)
    if brush.chance(0.95):
        paint_door(brush, palette, church, axis, (width, church.height * brush.between(0.48, 0.6)))
    return axis, width


def choose_door(brush: Brush, church: Church) -> tuple[float, float]:
    """The axis of the door, in the tower or amid the wall beside it, and its width."""
    width = max(church.width * brush.between(0.16, 0.21), 0.075 * brush.size)
    tower = church.tower
    if tower and (tower.side == 0 or brush.chance(0.2)):
        return tower.x, min(width, 0.6 * tower.width)
    return church.middle - (tower.side * tower.width / 2 if tower else 0), width


def free_walls(church: Church, door: float, width: float) -> list[tuple[float, float]]:
    """The stretches of the nave's wall, from left to right, that neither door nor tower takes."""
    tower = [church.tower.edges] if church.tower else []
    within = any(left <= door <= right for left, right in tower)
    taken = sorted(tower if within else [*tower, (door - width / 2, door + width / 2)])
    edges = [church.left, *(edge for stretch in taken for edge in stretch), church.right]
    return [(left, right) for left, right in zip(edges[::2], edges[1::2], strict=True) if right > left]


def paint_window(
    brush: Brush, palette: Palette, arched: bool, part: str, place: Point, extent: tuple[float, float]
) -> None:
    """A pane with a frame and a bar, its upper edge, or the centre of its arch, at `place`."""
    (x, top), (width, height), thick = place, extent, THIN * brush.size
    piece = Piece("window", "glass", part)
    for fill, edge in ((palette.trim, 0.0), (palette.glass, thick)):
        paint_opening(brush, piece, fill, arched, (x, top), (width - 2 * edge, height - edge), edge)
    start, bar = top - (width / 2 if arched else 0), top + 0.42 * height
    brush.rectangle(piece, palette.trim, x - thick / 2, start, x + thick / 2, top + height)
    brush.rectangle(piece, palette.trim, x - width / 2, bar - thick / 2, x + width / 2, bar + thick / 2)


def paint_door(brush: Brush, palette: Palette, church: Church, x: float, extent: tuple[float, float]) -> None:
    """A door of planks in a dark frame, arched where the windows are."""
    width, height = extent
    top, thick = church.base - height, THIN * brush.size
    dark = tuple(int(0.6 * channel) for channel in palette.wood)
    door = Piece("door", "wood")
    paint_opening(brush, door, (dark[0], dark[1], dark[2]), church.arched, (x, top), (width, height), 0)
    paint_opening(brush, door, palette.wood, church.arched, (x, top), (width - 2 * thick, height), thick)


def paint_opening(
    brush: Brush, piece: Piece, fill: Colour, arched: bool, place: Point, extent: tuple[float, float], edge: float
) -> None:
    """A rectangle below `place`, `edge` lower where it has no arch, with a half disc above it where it has one."""
    (x, top), (width, height) = place, extent
    pattern = pattern_of("wood", brush.size) if piece.material == "wood" else plain
    upper = top if arched else top + edge
    corners = ((x - width / 2, upper), (x + width / 2, top + height))
    cover_rectangle(brush, piece, fill, corners, pattern)
    if arched:
        cover_half_disc(brush, piece, fill, (x, top), width / 2, plain)
