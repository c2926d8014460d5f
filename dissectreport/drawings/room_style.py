"""What a room is made of: its words, its tones and materials, its shape, and what it holds so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from dissectreport.drawings.brush import Brush, Piece, numbers_of
from dissectreport.drawings.perspective import Box, Room, Solid, Tone, View, paint_box
from dissectreport.segmenters.rooms import LEARNED

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
NUMBERS = numbers_of(LEARNED, PIECES)
WHITE = Tone(0.1, 0.03, 0.95)
STEEL = Tone(0.6, 0.06, 0.4)


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
    mean_activation = brush.between(0.02, 0.2) if material == "plaster" else brush.between(0.15, 0.4)
    return material, Tone(hue, mean_activation, brush.between(0.75, 0.93))


def choose_floor(brush: Brush) -> tuple[str, Tone]:
    """The material of the floor and its tone."""
    material = brush.one_of(("wood", "wood", "tile", "carpet"))
    if material == "wood":
        return material, Tone(brush.between(0.06, 0.1), brush.between(0.4, 0.65), brush.between(0.4, 0.75))
    if material == "tile":
        return material, Tone(brush.one_of((0.06, 0.1, 0.55)), brush.between(0.04, 0.25), brush.between(0.65, 0.85))
    return material, Tone(brush.between(0, 1), brush.between(0.1, 0.4), brush.between(0.4, 0.65))


# --- shape --------------------------------------------------------------------------------------------------


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
