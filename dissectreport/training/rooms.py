"""Indoor rooms in perspective: what is drawn, of which words, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy
from PIL import Image, ImageDraw

from dissectreport.segmenters.rooms import LEARNED, MATERIALS
from dissectreport.training.brush import (
    Brush,
    Bytes,
    Floats,
    Piece,
    Subject,
    laid_out,
    speckle,
    stripes,
    textured,
    window_of,
)
from dissectreport.training.perspective import (
    Box,
    Room,
    Side,
    Solid,
    Spot,
    Tone,
    View,
    paint_box,
    paint_solids,
    seen_surface,
)

WALL_MATERIALS = ("plaster", "paper", "brick", "wood")
FLOOR_MATERIALS = ("wood", "tile", "carpet")
PIECES = (
    Piece("ceiling", "plaster"),
    *(Piece("wall", material) for material in WALL_MATERIALS),
    *(Piece("floor", material) for material in FLOOR_MATERIALS),
    Piece("rug", "carpet"),
    Piece("window", "glass", "pane"),
    Piece("window", "wood", "window frame"),
    Piece("curtain", "fabric"),
    Piece("door", "wood", "door leaf"),
    Piece("door", "wood", "door frame"),
    Piece("picture", "paper"),
    Piece("picture", "wood", "picture frame"),
    Piece("bed", "wood"),
    Piece("bed", "fabric"),
    Piece("bed", "fabric", "blanket"),
    Piece("bed", "fabric", "pillow"),
    *(Piece("bed", material, "headboard") for material in ("wood", "fabric")),
    *(Piece("sofa", material) for material in ("fabric", "leather")),
    *(Piece("sofa", material, "cushion") for material in ("fabric", "leather")),
    *(Piece("table", material, "table top") for material in ("wood", "glass")),
    *(Piece("table", material, "table leg") for material in ("wood", "metal")),
    *(Piece("chair", material, part) for material in ("wood", "fabric") for part in ("chair back", "chair seat")),
    *(Piece("chair", material, "chair leg") for material in ("wood", "metal")),
    Piece("lamp", "metal", "lamp stand"),
    *(Piece("lamp", material, "lamp shade") for material in ("paper", "metal")),
)
WHITE = Tone(0.1, 0.03, 0.95)
STEEL = Tone(0.6, 0.06, 0.4)
WARM = numpy.array([1.0, 0.78, 0.42], numpy.float32)
"""How much of a lamp's light is red, green and blue."""


@dataclass(frozen=True)
class Style:
    """What a whole room shares: light, and the tones and materials of its surfaces."""

    light: float
    lit: bool
    sky: Tone
    wall_material: str
    wall: Tone
    floor_material: str
    floor: Tone
    wood: Tone
    legs: str
    textile: Tone
    second: Tone
    curtain: Tone
    sofa_material: str
    checked: bool


@dataclass
class Scene:
    """A room while it is furnished: its solids, what falls on the floor, and the lamps that shine."""

    room: Room
    view: View
    style: Style
    solids: list[Solid] = field(default_factory=list)
    glows: list[tuple[float, float, float]] = field(default_factory=list)

    def add(self, box: Box, piece: Piece, tone: Tone) -> None:
        """Place a box of one piece."""
        self.solids.append(Solid(box, partial(paint_box, piece=piece, tone=tone, light=self.style.light)))


# --- tones and materials ------------------------------------------------------------------------------------


def choose_style(brush: Brush) -> Style:
    """Time of day first, then materials, then textiles in two tones that go together."""
    evening = brush.chance(0.3)
    wall_material, wall = choose_wall(brush)
    floor_material, floor = choose_floor(brush)
    hue = brush.between(0, 1)
    textile = Tone(hue, brush.between(0.35, 0.75), brush.between(0.45, 0.85))
    second = Tone(hue + brush.one_of((0.08, 0.33, 0.5)), brush.between(0.3, 0.65), brush.between(0.45, 0.9))
    return Style(
        light=0.66 if evening else brush.between(0.88, 1),
        lit=brush.chance(0.9 if evening else 0.1),
        sky=Tone(0.63, 0.6, 0.2) if evening else Tone(0.57, brush.between(0.15, 0.45), 1),
        wall_material=wall_material,
        wall=wall,
        floor_material=floor_material,
        floor=floor,
        wood=Tone(brush.between(0.05, 0.09), brush.between(0.4, 0.7), brush.between(0.28, 0.7)),
        legs=brush.one_of(("wood", "wood", "metal")),
        textile=textile,
        second=second,
        curtain=second.times(1.1) if brush.chance(0.6) else WHITE,
        sofa_material=brush.one_of(("fabric", "fabric", "leather")),
        checked=brush.chance(0.5),
    )


def choose_wall(brush: Brush) -> tuple[str, Tone]:
    """The material of the walls and its tone."""
    material = brush.one_of(("plaster", "plaster", "plaster", "paper", "paper", "brick", "wood"))
    if material == "brick":
        return material, Tone(brush.between(0.01, 0.05), brush.between(0.35, 0.55), brush.between(0.6, 0.75))
    if material == "wood":
        return material, Tone(brush.between(0.07, 0.1), brush.between(0.3, 0.5), brush.between(0.55, 0.75))
    hue = brush.one_of((0.08, 0.12, 0.15, 0.33, 0.55, 0.6, 0.95)) + brush.between(-0.02, 0.02)
    strength = brush.between(0.02, 0.2) if material == "plaster" else brush.between(0.15, 0.4)
    return material, Tone(hue, strength, brush.between(0.75, 0.93))


def choose_floor(brush: Brush) -> tuple[str, Tone]:
    """The material of the floor and its tone."""
    material = brush.one_of(("wood", "wood", "tile", "carpet"))
    if material == "wood":
        return material, Tone(brush.between(0.06, 0.1), brush.between(0.4, 0.65), brush.between(0.4, 0.75))
    if material == "tile":
        return material, Tone(brush.one_of((0.06, 0.1, 0.55)), brush.between(0.04, 0.25), brush.between(0.65, 0.85))
    return material, Tone(brush.between(0, 1), brush.between(0.1, 0.4), brush.between(0.4, 0.65))


# --- the empty room -----------------------------------------------------------------------------------------


def choose_room(brush: Brush) -> tuple[Room, View]:
    """A room and where it is seen from."""
    room = Room(
        left=-brush.between(1.6, 2.2),
        right=brush.between(1.6, 2.2),
        height=brush.between(2.5, 2.8),
        depth=brush.between(4.0, 4.8),
    )
    view = View(
        size=brush.size,
        focal=brush.between(0.72, 0.84),
        middle=brush.between(0.42, 0.58),
        horizon=brush.between(0.38, 0.44),
        eye=brush.between(1.4, 1.6),
    )
    return room, view


NEAREST = 0.3


def paint_shell(brush: Brush, scene: Scene) -> None:
    """Ceiling, floor and three walls, the side walls in less light."""
    room, style = scene.room, scene.style
    left, right, height, depth = room.left, room.right, room.height, room.depth

    def plane(piece: Piece, tone: Tone, share: float, *corners: tuple[float, float, float]) -> None:
        brush.polygon(piece, tone.lit(share * style.light), [scene.view.at(*corner) for corner in corners])

    wall = Piece("wall", style.wall_material)
    ends = ((left, 0, depth), (right, 0, depth), (right, height, depth), (left, height, depth))
    front = [(x, y, NEAREST) for x, y, _ in ends]
    plane(Piece("ceiling", "plaster"), WHITE, 0.95, ends[3], ends[2], front[2], front[3])
    plane(Piece("floor", style.floor_material), style.floor, 1, ends[0], ends[1], front[1], front[0])
    plane(wall, style.wall, 0.84, ends[0], ends[3], front[3], front[0])
    plane(wall, style.wall, 0.92, ends[1], ends[2], front[2], front[1])
    plane(wall, style.wall, 1, *ends)


Span = tuple[float, float]


def panel(brush: Brush, scene: Scene, piece: Piece, tone: Tone, side: Side, along: Span, up: Span) -> None:
    """A flat rectangle on a wall."""
    corners = [(along[0], up[0]), (along[1], up[0]), (along[1], up[1]), (along[0], up[1])]
    points = [scene.view.at(*scene.room.on(side, *corner)) for corner in corners]
    brush.polygon(piece, tone.lit(scene.style.light if piece.part != "pane" else 1), points)


def paint_window(brush: Brush, scene: Scene, side: Side, along: Span, up: Span) -> None:
    """A frame, panes with the sky and mostly some green below it, and mostly curtains."""
    frame, pane = Piece("window", "wood", "window frame"), Piece("window", "glass", "pane")
    panel(brush, scene, frame, WHITE, side, along, up)
    bars, columns = 0.09, 2 if along[1] - along[0] > 0.7 else 1
    step = (along[1] - along[0] - bars) / columns
    ground = up[0] + bars + brush.between(0, 0.35) * (up[1] - up[0])
    green = Tone(0.3, 0.4, 0.65 * scene.style.sky.value)
    for column in range(columns):
        inner = (along[0] + bars + column * step, along[0] + (column + 1) * step)
        panel(brush, scene, pane, scene.style.sky, side, inner, (up[0] + bars, up[1] - bars))
        panel(brush, scene, pane, green, side, inner, (up[0] + bars, ground))
    if brush.chance(0.6):
        paint_curtains(brush, scene, side, along, up)


def paint_curtains(brush: Brush, scene: Scene, side: Side, along: Span, up: Span) -> None:
    """A length of cloth on either side of a window, in folds."""
    cloth, width = Piece("curtain", "fabric"), brush.between(0.22, 0.32)
    bottom = 0.05 if brush.chance(0.5) else up[0] - 0.1
    for low in (along[0] - width * 0.6, along[1] - width * 0.4):
        for fold in range(4):
            tone = scene.style.curtain.times(1.0 if fold % 2 else 0.86)
            strip = (low + fold * width / 4, low + (fold + 1) * width / 4)
            panel(brush, scene, cloth, tone, side, strip, (bottom, up[1] + 0.12))


def paint_door(brush: Brush, scene: Scene, side: Side, along: Span) -> None:
    """A frame, a leaf with two fields, and a handle that is no piece of its own."""
    top, width = 2.1, 0.1
    tone = brush.one_of((WHITE, scene.style.wood, scene.style.wood.times(1.3)))
    frame = WHITE if tone is not WHITE else Tone(0.1, 0.05, 0.75)
    leaf = Piece("door", "wood", "door leaf")
    panel(brush, scene, Piece("door", "wood", "door frame"), frame, side, along, (0, top))
    inner = (along[0] + width, along[1] - width)
    panel(brush, scene, leaf, tone, side, inner, (0, top - width))
    field_ = (inner[0] + 0.14, inner[1] - 0.14)
    for up in ((0.2, 0.85), (1.05, 1.8)):
        panel(brush, scene, leaf, tone.times(0.88), side, field_, up)
    handle = scene.view.at(*scene.room.on(side, inner[1] - 0.08, 1.0))
    brush.line(STEEL.lit(1), handle, (handle[0] - 0.02 * brush.size, handle[1]), width=0.008)


def paint_picture(brush: Brush, scene: Scene, side: Side, along: Span, up: Span) -> None:
    """A frame around a landscape in two tones, with a sun."""
    border, paper = 0.07, Piece("picture", "paper")
    dark = brush.one_of((Tone(0.1, 0.1, 0.15), scene.style.wood, Tone(0.12, 0.6, 0.75)))
    panel(brush, scene, Piece("picture", "wood", "picture frame"), dark, side, along, up)
    inner, height = (along[0] + border, along[1] - border), (up[0] + border, up[1] - border)
    hue = brush.between(0, 1)
    panel(brush, scene, paper, Tone(hue, 0.25, 0.95), side, inner, height)
    land = height[0] + brush.between(0.3, 0.6) * (height[1] - height[0])
    panel(brush, scene, paper, Tone(hue + 0.4, 0.5, 0.6), side, inner, (height[0], land))


def furnish_back_wall(brush: Brush, scene: Scene, free: Span) -> None:
    """Windows and pictures in even cells of the free part of the back wall."""
    cells = max(1, int((free[1] - free[0]) / brush.between(1.25, 1.7)))
    step = (free[1] - free[0]) / cells
    for cell in range(cells):
        middle = free[0] + (cell + 0.5) * step
        if brush.chance(0.45):
            half = min(0.34 * step, brush.between(0.45, 0.8))
            paint_window(brush, scene, "back", (middle - half, middle + half), (0.95, brush.between(2.05, 2.3)))
        elif brush.chance(0.65):
            half, bottom = min(0.33 * step, brush.between(0.25, 0.5)), brush.between(1.3, 1.45)
            height = brush.between(0.5, 0.75)
            paint_picture(brush, scene, "back", (middle - half, middle + half), (bottom, bottom + height))


def furnish_side_wall(brush: Brush, scene: Scene, side: Side, door: bool) -> None:
    """A door, a window or a picture, seen aslant."""
    middle = scene.room.depth - brush.between(0.8, 1.2)
    if door:
        paint_door(brush, scene, side, (middle - 0.5, middle + 0.5))
    elif brush.chance(0.45):
        half = brush.between(0.4, 0.6)
        paint_window(brush, scene, side, (middle - half, middle + half), (0.95, 2.15))
    elif brush.chance(0.4):
        paint_picture(brush, scene, side, (middle - 0.4, middle + 0.4), (1.35, 1.95))


def furnish_walls(brush: Brush, scene: Scene) -> Span:
    """At most one door, windows and pictures; the part of the back wall where furniture may stand."""
    room = scene.room
    free = (room.left + 0.1, room.right - 0.1)
    place = brush.one_of(("none", "left", "right", "back"))
    if place == "back":
        if brush.chance(0.5):
            paint_door(brush, scene, "back", (room.left + 0.2, room.left + 1.2))
            free = (room.left + 1.4, free[1])
        else:
            paint_door(brush, scene, "back", (room.right - 1.2, room.right - 0.2))
            free = (free[0], room.right - 1.4)
    furnish_side_wall(brush, scene, "left", place == "left")
    furnish_side_wall(brush, scene, "right", place == "right")
    furnish_back_wall(brush, scene, free)
    return free


# --- furniture ----------------------------------------------------------------------------------------------


def add_bed(brush: Brush, scene: Scene, spot: Spot, half: float) -> None:
    """A bed with its head at the wall: frame, mattress, blanket, and a pillow for each sleeper."""
    style, long = scene.style, 2.0
    head_material, head = ("wood", style.wood) if brush.chance(0.6) else ("fabric", style.second)
    scene.add(
        spot.box((-half, half), (0, brush.between(0.95, 1.25)), (0, 0.12)),
        Piece("bed", head_material, "headboard"),
        head,
    )
    scene.add(spot.box((-half, half), (0, 0.24), (0.12, long)), Piece("bed", "wood"), style.wood)
    scene.add(spot.box((-half, half), (0.24, 0.5), (0.12, 0.75)), Piece("bed", "fabric"), WHITE)
    scene.add(spot.box((-half, half), (0.24, 0.54), (0.75, long)), Piece("bed", "fabric", "blanket"), style.textile)
    pillow = style.second if brush.chance(0.3) else WHITE
    sleepers = 2 if half > 0.6 else 1
    for number in range(sleepers):
        low = -half + 2 * half * number / sleepers
        along = (low + 0.08, low + 2 * half / sleepers - 0.08)
        scene.add(spot.box(along, (0.5, 0.7), (0.16, 0.56)), Piece("bed", "fabric", "pillow"), pillow)


def add_sofa(brush: Brush, scene: Scene, spot: Spot, half: float) -> None:
    """A sofa with its back to the wall: base, back, arms, seat cushions, and mostly a loose one."""
    style = scene.style
    tone = style.textile if style.sofa_material == "fabric" else Tone(brush.one_of((0.03, 0.06, 0.1)), 0.5, 0.45)
    whole, cushion = Piece("sofa", style.sofa_material), Piece("sofa", style.sofa_material, "cushion")
    scene.add(spot.box((-half, half), (0, 0.85), (0.05, 0.3)), whole, tone)
    scene.add(spot.box((-half + 0.2, half - 0.2), (0.06, 0.32), (0.3, 0.95)), whole, tone.times(0.85))
    for low in (-half, half - 0.2):
        scene.add(spot.box((low, low + 0.2), (0, 0.62), (0.3, 0.95)), whole, tone.times(0.95))
    count = 3 if half > 0.9 else 2
    step = (2 * half - 0.4) / count
    for number in range(count):
        low = -half + 0.2 + number * step
        along = (low + 0.02, low + step - 0.02)
        scene.add(spot.box(along, (0.32, 0.5), (0.3, 0.97)), cushion, tone.times(1.18))
    if brush.chance(0.7):
        low = brush.one_of((-half + 0.26, half - 0.66))
        loose = Piece("sofa", "fabric", "cushion")
        scene.add(spot.box((low, low + 0.4), (0.5, 0.88), (0.32, 0.46)), loose, style.second)


def add_table(scene: Scene, spot: Spot, half: float, height: float, out: Span, top: str = "wood") -> None:
    """A table top on four legs."""
    style, leg, thick = scene.style, 0.09, 0.08
    tone = style.wood.times(1.1) if top == "wood" else Tone(0.5, 0.15, 0.85)
    scene.add(spot.box((-half, half), (height - thick, height), out), Piece("table", top, "table top"), tone)
    legs = style.wood.times(0.8) if style.legs == "wood" else STEEL
    for low in (-half + 0.03, half - 0.03 - leg):
        for near in (out[0] + 0.03, out[1] - 0.03 - leg):
            box = spot.box((low, low + leg), (0, height - thick), (near, near + leg))
            scene.add(box, Piece("table", style.legs, "table leg"), legs)


def add_chair(scene: Scene, spot: Spot, faces: str, out: Span, material: str) -> None:
    """A chair of 0.5 m whose back is on the side that it does not face: "out", "in", "low" or "high"."""
    style, leg, thick, half = scene.style, 0.08, 0.09, 0.25
    tone = style.wood if material == "wood" else style.second
    legs = style.wood.times(0.8) if style.legs == "wood" else STEEL
    seat = Piece("chair", material, "chair seat")
    scene.add(spot.box((-half, half), (0.4, 0.4 + thick), out), seat, tone.times(1.1))
    for low in (-half, half - leg):
        for near in (out[0], out[1] - leg):
            box = spot.box((low, low + leg), (0, 0.4), (near, near + leg))
            scene.add(box, Piece("chair", style.legs, "chair leg"), legs)
    backs = {
        "out": ((-half, half), (out[0], out[0] + thick)),
        "in": ((-half, half), (out[1] - thick, out[1])),
        "low": ((half - thick, half), out),
        "high": ((-half, -half + thick), out),
    }
    along, depth = backs[faces]
    scene.add(spot.box(along, (0.4 + thick, 1.0), depth), Piece("chair", material, "chair back"), tone)


def add_lamp(brush: Brush, scene: Scene, spot: Spot, out: float, foot: float, height: float) -> None:
    """A lamp that stands on the floor or on a table: a stand and a shade."""
    radius, tall = (0.24, 0.34) if foot == 0 else (0.17, 0.26)
    stand = Piece("lamp", "metal", "lamp stand")
    scene.add(spot.box((-0.035, 0.035), (foot, foot + height), (out - 0.035, out + 0.035)), stand, STEEL)
    if foot == 0:
        scene.add(spot.box((-0.16, 0.16), (0, 0.05), (out - 0.16, out + 0.16)), stand, STEEL)
    box = spot.box((-radius, radius), (foot + height, foot + height + tall), (out - radius, out + radius))
    add_shade(brush, scene, box, "paper")


def add_hanging_lamp(brush: Brush, scene: Scene, spot: Spot, out: float) -> None:
    """A lamp on a cord from the ceiling."""
    bottom, tall, radius = brush.between(1.65, 1.8), brush.between(0.25, 0.35), brush.between(0.25, 0.36)
    cord = spot.box((-0.02, 0.02), (bottom + tall, scene.room.height), (out - 0.02, out + 0.02))
    scene.add(cord, Piece("lamp", "metal", "lamp stand"), STEEL)
    box = spot.box((-radius, radius), (bottom, bottom + tall), (out - radius, out + radius))
    add_shade(brush, scene, box, brush.one_of(("paper", "metal")))


def add_shade(brush: Brush, scene: Scene, box: Box, material: str) -> None:
    """A shade that narrows upwards, bright where lamps are lit."""
    style = scene.style
    tone = Tone(0.12, 0.25, 0.9) if material == "paper" else style.second.times(0.9)
    light = style.light
    if style.lit and material == "paper":
        tone, light = Tone(0.13, 0.3, 1.0), 1.1
    scene.solids.append(
        Solid(box, partial(paint_shade, piece=Piece("lamp", material, "lamp shade"), tone=tone, light=light))
    )
    if style.lit:
        z = (box.near + box.far) / 2
        x, y = scene.view.at((box.left + box.right) / 2, box.bottom, z)
        scene.glows.append((x, y, scene.view.size * scene.view.focal * 0.55 / z))


def paint_shade(brush: Brush, view: View, box: Box, *, piece: Piece, tone: Tone, light: float) -> None:
    """A trapezium on a disc."""
    x, z, half = (box.left + box.right) / 2, (box.near + box.far) / 2, (box.right - box.left) / 2
    corners = [(x - half, box.bottom), (x + half, box.bottom), (x + 0.6 * half, box.top), (x - 0.6 * half, box.top)]
    brush.polygon(piece, tone.lit(light), [view.at(*corner, z) for corner in corners])
    y, share = (box.bottom, 1.0) if box.bottom > view.eye else (box.top, 0.6)
    middle, edge = view.at(x, y, z), view.at(x + share * half, y, z)
    across = edge[0] - middle[0]
    up = abs(view.at(x, y, box.near)[1] - middle[1])
    brush.ellipse(piece, tone.lit(light * 1.08), *middle, across, max(1.0, share * up))


def paint_rug(brush: Brush, scene: Scene, x: Span, z: Span) -> None:
    """A rug with a border, rectangular or oval."""
    rug, oval = Piece("rug", "carpet"), brush.chance(0.35)
    tones = (scene.style.second, scene.style.textile.times(1.1), scene.style.second.times(0.8))
    for tone, inset in zip(tones, (0.0, 0.12, 0.3), strict=True):
        points = outline(oval, (x[0] + inset, x[1] - inset), (z[0] + inset, z[1] - inset))
        brush.polygon(rug, tone.lit(scene.style.light), [scene.view.at(px, 0, pz) for px, pz in points])


def outline(oval: bool, x: Span, z: Span) -> list[tuple[float, float]]:
    """The corners of a rectangle or of the oval within it."""
    if not oval:
        return [(x[0], z[0]), (x[1], z[0]), (x[1], z[1]), (x[0], z[1])]
    turns = numpy.linspace(0, 2 * numpy.pi, 28, endpoint=False)
    across = (x[0] + x[1]) / 2 + (x[1] - x[0]) / 2 * numpy.cos(turns)
    away = (z[0] + z[1]) / 2 + (z[1] - z[0]) / 2 * numpy.sin(turns)
    return list(zip(across.tolist(), away.tolist(), strict=True))


# --- kinds of rooms -----------------------------------------------------------------------------------------


def furnish_bedroom(brush: Brush, scene: Scene, free: Span) -> None:
    """A bed at the back wall or at a side wall, mostly a bedside table with a lamp, a rug, perhaps a chair."""
    room, half = scene.room, brush.one_of((0.5, 0.75, 0.85))
    side: Side = brush.one_of(("back", "back", "left", "right"))
    if side == "back":
        spare = free[1] - free[0] - 2 * half
        x = free[0] + half + brush.between(0.2, 0.8) * max(0.0, spare)
        spot = Spot(room, "back", x)
        if brush.chance(0.65):
            paint_rug(brush, scene, (x - half - 0.6, x + half + 0.6), (room.depth - 2.6, room.depth - 1.1))
        beside = [x + sign * (half + 0.33) for sign in (-1, 1)]
        beside = [place for place in beside if free[0] + 0.25 < place < free[1] - 0.25]
        for place in beside:
            if brush.chance(0.8):
                add_bedside(brush, scene, Spot(room, "back", place))
    else:
        spot = Spot(room, side, room.depth - half - 0.65)
        if brush.chance(0.65):
            paint_rug(brush, scene, (-0.9, 0.9), (room.depth - 2.4, room.depth - 0.9))
        add_bedside(brush, scene, Spot(room, side, room.depth - 0.3))
        if brush.chance(0.5):
            corner = Spot(room, "back", room.right - 0.5 if side == "left" else room.left + 0.5)
            add_chair(scene, corner, "out", (0.2, 0.7), "fabric")
    add_bed(brush, scene, spot, half)


def add_bedside(brush: Brush, scene: Scene, spot: Spot) -> None:
    """A small table, mostly with a lamp."""
    add_table(scene, spot, 0.24, 0.5, (0.05, 0.5))
    if brush.chance(0.8):
        add_lamp(brush, scene, spot, 0.28, 0.5, 0.2)


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


def stand_lamp(brush: Brush, scene: Scene, spot: Spot, half: float, free: Span) -> None:
    """A standing lamp next to the sofa, where there is room for it."""
    if spot.side != "back":
        add_lamp(brush, scene, Spot(scene.room, spot.side, scene.room.depth - 0.25), 0.35, 0.0, 1.4)
        return
    places = [spot.along + sign * (half + 0.32) for sign in (-1, 1)]
    places = [place for place in places if free[0] + 0.15 < place < free[1] - 0.15]
    if places:
        add_lamp(brush, scene, Spot(scene.room, "back", brush.one_of(places)), 0.4, 0.0, brush.between(1.25, 1.5))


def furnish_dining_room(brush: Brush, scene: Scene, free: Span) -> None:
    """A table with chairs, mostly a lamp over it and perhaps a rug under it."""
    room, half = scene.room, brush.between(0.55, 0.85)
    out = brush.between(1.1, 1.4)
    spot = Spot(room, "back", brush.between(-0.3, 0.3))
    if brush.chance(0.5):
        x, far = spot.along, room.depth - out
        paint_rug(brush, scene, (x - half - 0.7, x + half + 0.7), (far - 1.4, far + 0.5))
    add_table(scene, spot, half, 0.76, (out, out + 0.8), brush.one_of(("wood", "wood", "wood", "glass")))
    material = brush.one_of(("wood", "fabric"))
    for sign, faces in ((-1, "high"), (1, "low")):
        if brush.chance(0.85):
            place = Spot(room, "back", spot.along + sign * (half + 0.2))
            add_chair(scene, place, faces, (out + 0.15, out + 0.65), material)
    for number in range(2 if half > 0.65 else 1):
        if brush.chance(0.8):
            shift = 0.0 if half <= 0.65 else (number - 0.5) * half
            add_chair(scene, Spot(room, "back", spot.along + shift), "out", (out - 0.55, out - 0.05), material)
    if brush.chance(0.8):
        add_hanging_lamp(brush, scene, spot, out + 0.4)


# --- light and textures -------------------------------------------------------------------------------------


def shadows(scene: Scene) -> Floats:
    """(size, size) how much light the floor gets: less under furniture."""
    size, view = scene.view.size, scene.view
    image = Image.new("L", (size, size), 255)
    pen = ImageDraw.Draw(image)
    for solid in scene.solids:
        box = solid.box
        if box.bottom > 0.8:
            continue
        reach = 0.05 + 0.1 * (1 - box.bottom)
        corners = [(box.left - reach, box.near - reach), (box.right + reach, box.near - reach)]
        corners += [(box.right + reach, box.far + reach), (box.left - reach, box.far + reach)]
        pen.polygon([view.at(x, 0, z) for x, z in corners], fill=178)
    light: Floats = numpy.asarray(image, numpy.float32) / 255
    return light


def corners_darkened(scene: Scene, x: Floats, y: Floats, z: Floats) -> Floats:
    """(size, size) light on the surfaces of the room: less where two of them meet."""
    room = scene.room
    light = numpy.ones_like(z)
    for distance in (x - room.left, room.right - x, y, room.height - y, room.depth - z):
        light *= 1 - 0.16 / (1 + (distance / 0.3) ** 2)
    return (light / 0.84).astype(numpy.float32)


def planks(across: Floats, along: Floats) -> Floats:
    """Boards 0.2 m wide and 1.4 m long, each a little lighter or darker."""
    row = numpy.floor(across / 0.2)
    length = along / 1.4 + 0.37 * row
    tint = numpy.sin(12.9898 * row + 78.233 * numpy.floor(length)) * 43758.5453 % 1
    joint = (across / 0.2 % 1 < 0.12) | (length % 1 < 0.02)
    boards: Floats = numpy.where(joint, 0.74, 0.92 + 0.16 * tint).astype(numpy.float32)
    return boards


def squares(across: Floats, along: Floats, checked: bool) -> Floats:
    """Tiles 0.45 m wide with joints, every second one darker where they are checked."""
    column, row = across / 0.45, along / 0.45
    joint = (column % 1 < 0.09) | (row % 1 < 0.09)
    odd = (numpy.floor(column) + numpy.floor(row)) % 2
    laid: Floats = numpy.where(joint, 0.8, 1 - (0.35 * odd if checked else 0.0)).astype(numpy.float32)
    return laid


def bricks(across: Floats, up: Floats) -> Floats:
    """Bricks 0.36 m by 0.15 m with pale joints."""
    row = numpy.floor(up / 0.15)
    length = across / 0.36 + 0.5 * (row % 2)
    tint = numpy.sin(12.9898 * row + 78.233 * numpy.floor(length)) * 43758.5453 % 1
    joint = (up / 0.15 % 1 < 0.16) | (length % 1 < 0.08)
    laid: Floats = numpy.where(joint, 1.2, 0.88 + 0.2 * tint).astype(numpy.float32)
    return laid


def paper(across: Floats, up: Floats, checked: bool) -> Floats:
    """Stripes 0.2 m wide, or diamonds."""
    if checked:
        odd = (numpy.floor((across + up) / 0.2) + numpy.floor((across - up) / 0.2)) % 2
    else:
        odd = numpy.floor(across / 0.2) % 2
    printed: Floats = (1.03 - 0.12 * odd).astype(numpy.float32)
    return printed


def pattern_of_walls(style: Style, across: Floats, up: Floats) -> Floats | float:
    """The brightness of the walls' material at these places of them."""
    if style.wall_material == "brick":
        return bricks(across, up)
    if style.wall_material == "wood":
        return planks(across, up)
    return paper(across, up, style.checked) if style.wall_material == "paper" else 1.0


def pattern_of_floor(style: Style, x: Floats, z: Floats) -> Floats | float:
    """The brightness of the floor's material at these places of it."""
    if style.floor_material == "wood":
        return planks(x, z) if style.checked else planks(z, x)
    return squares(x, z, style.checked) if style.floor_material == "tile" else 1.0


TEXTURES: dict[str, Callable[[int], Floats]] = {
    "plaster": partial(speckle, grain=9, depth=0.02),
    "paper": partial(speckle, grain=40, depth=0.02),
    "brick": partial(speckle, grain=60, depth=0.04),
    "wood": lambda size: stripes(size, 3, 40, 0.05),
    "tile": partial(speckle, grain=9, depth=0.02),
    "carpet": partial(speckle, grain=84, depth=0.12),
    "fabric": lambda size: stripes(size, 28, 0, 0.05) * stripes(size, 0, 28, 0.05),
    "leather": partial(speckle, grain=28, depth=0.1),
    "glass": lambda size: stripes(size, 6, 6, 0.06),
    "metal": lambda size: stripes(size, 26, 0, 0.14),
}


@lru_cache(maxsize=4)
def textures(size: int) -> Floats:
    """(materials + 1, 2 size, 2 size) brightness by material."""
    return laid_out(TEXTURES, MATERIALS, size)


def brightness(brush: Brush, scene: Scene) -> Floats:
    """(size, size) materials, patterns of walls and floor, dark corners, shadows."""
    pieces = ROOMS.numbers[numpy.asarray(brush.pieces)]
    light = window_of(textures(brush.size), pieces[..., 2], brush)
    x, y, z = seen_surface(scene.view, scene.room)
    shell = corners_darkened(scene, x, y, z)
    shows = {name: pieces[..., 0] == 1 + LEARNED["object"].index(name) for name in ("wall", "floor", "ceiling", "rug")}
    walls, floor = shows["wall"], shows["floor"]
    across = numpy.where(z < scene.room.depth - 1e-3, z, x)[walls]
    light[walls] *= shell[walls] * pattern_of_walls(scene.style, across, y[walls])
    light[floor] *= shell[floor] * pattern_of_floor(scene.style, x[floor], z[floor])
    light[shows["ceiling"]] *= shell[shows["ceiling"]]
    on_floor = floor | shows["rug"]
    light[on_floor] *= shadows(scene)[on_floor]
    return light


def glow(scene: Scene) -> Floats:
    """(size, size, 3) what lit lamps add, as a share of what is there."""
    size = scene.view.size
    total = numpy.zeros((size, size), numpy.float32)
    places = numpy.arange(size, dtype=numpy.float32)
    for x, y, radius in scene.glows:
        squared = ((places[None] - x) ** 2 + (places[:, None] - y) ** 2) / radius**2
        total += 0.55 / (1 + squared)
    return total[..., None] * WARM


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
