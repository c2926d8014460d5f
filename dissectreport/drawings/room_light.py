"""Light and textures of a room: patterns of walls and floor in perspective, dark corners, shadows, glowing lamps."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy
from PIL import Image, ImageDraw

from dissectreport.drawings.brush import Brush, Floats, laid_out, speckle, stripes, window_of
from dissectreport.drawings.perspective import seen_surface
from dissectreport.drawings.room_style import NUMBERS, Scene, Style
from dissectreport.segmenters.rooms import LEARNED, MATERIALS

WARM = numpy.array([1.0, 0.78, 0.42], numpy.float32)
"""How much of a lamp's light is red, green and blue."""


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
    light: Floats = numpy.asarray(image, numpy.float32) / numpy.float32(255)
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
    pieces = NUMBERS[numpy.asarray(brush.pieces)]
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
