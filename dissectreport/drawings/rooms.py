"""Indoor rooms in perspective: bedrooms, living rooms and dining rooms."""

from __future__ import annotations

from dissectreport.drawings.brush import Brush, Bytes, Subject, textured
from dissectreport.drawings.furniture import (
    add_bed,
    add_bedside,
    add_chair,
    add_hanging_lamp,
    add_sofa,
    add_table,
    paint_rug,
    stand_lamp,
)
from dissectreport.drawings.perspective import Side, Span, Spot, paint_solids
from dissectreport.drawings.room_light import brightness, glow
from dissectreport.drawings.room_style import PIECES, Scene, choose_room, choose_style
from dissectreport.drawings.room_walls import furnish_walls, paint_shell
from dissectreport.segmenters.rooms import LEARNED


def furnish_bedroom(brush: Brush, scene: Scene, free: Span) -> None:
    """A bed at the back wall or at a side wall, mostly a bedside table with a lamp, a rug, perhaps a chair."""
    half = brush.one_of((0.5, 0.75, 0.85))
    side: Side = brush.one_of(("back", "back", "left", "right"))
    if side == "back":
        spot = prepare_back_wall(brush, scene, free, half)
    else:
        spot = prepare_side_wall(brush, scene, side, half)
    add_bed(brush, scene, spot, half)


def prepare_back_wall(brush: Brush, scene: Scene, free: Span, half: float) -> Spot:
    """A rug and bedside tables; the place for a bed between them."""
    room, spare = scene.room, free[1] - free[0] - 2 * half
    x = free[0] + half + brush.between(0.2, 0.8) * max(0.0, spare)
    if brush.chance(0.65):
        paint_rug(brush, scene, (x - half - 0.6, x + half + 0.6), (room.depth - 2.6, room.depth - 1.1))
    for place in (x - half - 0.33, x + half + 0.33):
        if free[0] + 0.25 < place < free[1] - 0.25 and brush.chance(0.8):
            add_bedside(brush, scene, Spot(room, "back", place))
    return Spot(room, "back", x)


def prepare_side_wall(brush: Brush, scene: Scene, side: Side, half: float) -> Spot:
    """A rug, a bedside table in the corner, perhaps a chair opposite; the place for a bed."""
    room = scene.room
    if brush.chance(0.65):
        paint_rug(brush, scene, (-0.9, 0.9), (room.depth - 2.4, room.depth - 0.9))
    add_bedside(brush, scene, Spot(room, side, room.depth - 0.3))
    if brush.chance(0.5):
        corner = Spot(room, "back", room.right - 0.5 if side == "left" else room.left + 0.5)
        add_chair(scene, corner, "out", (0.2, 0.7), "fabric")
    return Spot(room, side, room.depth - half - 0.65)


def furnish_living_room(brush: Brush, scene: Scene, free: Span) -> None:
    """A sofa, a low table before it on a rug, a standing lamp beside it, perhaps an armchair."""
    room, half = scene.room, brush.between(0.8, 1.1)
    side: Side = brush.one_of(("back", "back", "left", "right"))
    middle = (free[0] + free[1]) / 2 + brush.between(-0.2, 0.2) if side == "back" else room.depth - half - 0.5
    spot = Spot(room, side, middle)
    reach = brush.between(1.35, 1.55)
    if brush.chance(0.75):
        rug = spot.box((-1.1, 1.1), (0, 0), (reach - 0.5, reach + 1.0))
        paint_rug(brush, scene, (rug.left, rug.right), (rug.near, rug.far))
    add_sofa(brush, scene, spot, half)
    if brush.chance(0.85):
        top = brush.one_of(("wood", "wood", "glass"))
        add_table(scene, spot, brush.between(0.4, 0.6), 0.42, (reach, reach + 0.5), top)
    if brush.chance(0.7):
        stand_lamp(brush, scene, spot, half, free)
    if side != "back" and brush.chance(0.6):
        corner = Spot(room, "back", brush.between(-0.3, 0.3))
        add_chair(scene, corner, "out", (0.3, 0.8), "fabric")


def furnish_dining_room(brush: Brush, scene: Scene, free: Span) -> None:
    """A table with chairs, mostly a lamp over it and perhaps a rug under it."""
    room, half = scene.room, brush.between(0.55, 0.85)
    out = brush.between(1.1, 1.4)
    spot = Spot(room, "back", brush.between(-0.3, 0.3))
    if brush.chance(0.5):
        x, far = spot.along, room.depth - out
        paint_rug(brush, scene, (x - half - 0.7, x + half + 0.7), (far - 1.4, far + 0.5))
    add_table(scene, spot, half, 0.76, (out, out + 0.8), brush.one_of(("wood", "wood", "wood", "glass")))
    add_dining_chairs(brush, scene, spot, half, out)
    if brush.chance(0.8):
        add_hanging_lamp(brush, scene, spot, out + 0.4)


def add_dining_chairs(brush: Brush, scene: Scene, spot: Spot, half: float, out: float) -> None:
    """Chairs at both ends of a table and behind it, some of them missing."""
    material = brush.one_of(("wood", "fabric"))
    for shift, faces in ((-half - 0.2, "high"), (half + 0.2, "low")):
        if brush.chance(0.85):
            place = Spot(scene.room, "back", spot.along + shift)
            add_chair(scene, place, faces, (out + 0.15, out + 0.65), material)
    for shift in (-half / 2, half / 2) if half > 0.65 else (0.0,):
        if brush.chance(0.8):
            place = Spot(scene.room, "back", spot.along + shift)
            add_chair(scene, place, "out", (out - 0.55, out - 0.05), material)


def paint(brush: Brush) -> Bytes:
    """A whole room, (size, size, 3)."""
    room, view = choose_room(brush)
    scene = Scene(room, view, choose_style(brush))
    paint_shell(brush, scene)
    free = furnish_walls(brush, scene)
    brush.one_of((furnish_bedroom, furnish_living_room, furnish_dining_room))(brush, scene, free)
    paint_solids(brush, view, scene.solids)
    return textured(brush, brightness(brush, scene)[..., None] * (1 + glow(scene)))


ROOMS = Subject("rooms", LEARNED, PIECES, paint)
