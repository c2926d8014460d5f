"""Patterns that are laid from a corner of what they cover, so that a wall's first brick is always whole.

A pattern maps coordinates relative to its origin, columns (w,) and rows (h,), to brightness (h, w, 1) or, for
patterns of two colours, (h, w, 3). Nothing in a pattern is left to chance: the same wall looks the same wherever it
stands.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TypeAlias

import numpy
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dissectreport.drawings.brush import Brush, Colour, Floats, Piece, Point

Coordinates: TypeAlias = NDArray[numpy.float64]
Pattern: TypeAlias = Callable[[Coordinates, Coordinates], Floats]


# --- what can be covered ------------------------------------------------------------------------------------


def cover_rectangle(
    brush: Brush,
    piece: Piece,
    fill: Colour,
    corners: tuple[Point, Point],
    pattern: Pattern,
    origin: Point | None = None,
) -> None:
    """A rectangle between two corners, its pattern laid from the first of them unless an origin is given."""
    (left, top), (right, bottom) = corners
    outline = [(left, top), (right, top), (right, bottom), (left, bottom)]
    cover_polygon(brush, piece, fill, outline, pattern, origin or (left, top))


def cover_polygon(
    brush: Brush, piece: Piece, fill: Colour, corners: list[Point], pattern: Pattern, origin: Point
) -> None:
    """A polygon of one piece, its pattern laid from `origin`."""
    columns, rows = [x for x, _ in corners], [y for _, y in corners]
    _cover(
        brush,
        piece,
        fill,
        (min(columns), min(rows), max(columns), max(rows)),
        lambda pen, left, top: pen.polygon([(x - left, y - top) for x, y in corners], fill=255),
        pattern,
        origin,
    )


def cover_ellipse(
    brush: Brush, piece: Piece, fill: Colour, middle: Point, radii: tuple[float, float], pattern: Pattern, origin: Point
) -> None:
    """An ellipse of one piece, its pattern laid from `origin`."""
    (x, y), (across, up) = middle, radii
    box = (x - across, y - up, x + across, y + up)
    _cover(
        brush, piece, fill, box, lambda pen, left, top: pen.ellipse(_moved(box, left, top), fill=255), pattern, origin
    )


def cover_half_disc(brush: Brush, piece: Piece, fill: Colour, foot: Point, radius: float, pattern: Pattern) -> None:
    """The upper half of a disc around `foot`, its pattern laid from there."""
    x, y = foot
    box = (x - radius, y - radius, x + radius, y + radius)
    _cover(
        brush,
        piece,
        fill,
        (x - radius, y - radius, x + radius, y),
        lambda pen, left, top: pen.pieslice(_moved(box, left, top), 180, 360, fill=255),
        pattern,
        foot,
    )


Box: TypeAlias = tuple[float, float, float, float]


def _moved(box: Box, left: int, top: int) -> Box:
    return box[0] - left, box[1] - top, box[2] - left, box[3] - top


def _cover(
    brush: Brush,
    piece: Piece,
    fill: Colour,
    box: Box,
    shape: Callable[[ImageDraw.ImageDraw, int, int], None],
    pattern: Pattern,
    origin: Point,
) -> None:
    """Paint a shape within `box`; `shape` draws it on a stencil whose corner is at the given pixel."""
    left, top = max(0, int(box[0])), max(0, int(box[1]))
    right, bottom = min(brush.size, int(box[2]) + 2), min(brush.size, int(box[3]) + 2)
    if left >= right or top >= bottom:
        return
    stencil = Image.new("L", (right - left, bottom - top))
    shape(ImageDraw.Draw(stencil), left, top)
    if pattern is plain:
        brush.image.paste(fill, (left, top, right, bottom), stencil)
    else:
        columns, rows = numpy.arange(left, right) - round(origin[0]), numpy.arange(top, bottom) - round(origin[1])
        brightness = pattern(columns.astype(float), rows.astype(float))
        pixels = (numpy.array(fill, numpy.float32) * brightness).clip(0, 255).astype(numpy.uint8)
        brush.image.paste(Image.fromarray(pixels), (left, top), stencil)
    brush.pieces.paste(brush.numbers[piece], (left, top, right, bottom), stencil)


# --- patterns -----------------------------------------------------------------------------------------------


def plain(columns: Coordinates, rows: Coordinates) -> Floats:
    """No pattern."""
    return numpy.ones((len(rows), len(columns), 1), numpy.float32)


def repeated(tile: Floats) -> Pattern:
    """The tile, (h, w, c), side by side in both directions."""

    def pattern(columns: Coordinates, rows: Coordinates) -> Floats:
        found: Floats = tile[numpy.ix_(rows.astype(int) % tile.shape[0], columns.astype(int) % tile.shape[1])]
        return found

    return pattern


def blocks(size: int, height: float, length: float, joint: float, mortar: tuple[float, ...], tint: float) -> Floats:
    """A tile of rows of blocks, every second row shifted by half a block; heights are shares of the picture.

    `mortar` is the brightness of the joints, `tint` how much blocks differ among themselves.
    """
    tall, wide, thick = round(height * size), 2 * round(length * size / 2), max(1, round(joint * size))
    y, x = numpy.mgrid[: 4 * tall, : 4 * wide]
    row = y // tall
    along = x + (row % 2) * (wide // 2)
    shade = numpy.sin(12.9898 * row + 78.233 * (along // wide % 4)) * 43758.5453 % 1
    brightness = numpy.repeat((1 + tint * (shade - 0.5))[..., None], len(mortar), axis=2)
    brightness[(y % tall < thick) | (along % wide < thick)] = mortar
    return brightness.astype(numpy.float32)


def ridges(size: int, period: float, low: float, share: float, *, upright: bool) -> Floats:
    """A tile of lines, `low` bright, that take this share of every period: upright ones or level ones."""
    length = max(2, round(period * size))
    line = numpy.where(numpy.arange(length) < max(1, round(share * length)), low, 1.0).astype(numpy.float32)
    return line[None, :, None] if upright else line[:, None, None]


def mottled(size: int, grain: float, depth: float) -> Floats:
    """A tile of smooth noise, always the same, with patches as large as this share of the picture."""
    cells = max(2, round(1 / grain))
    noise = numpy.random.default_rng(cells).uniform(-1, 1, (cells, cells)).astype(numpy.float32)
    noise = numpy.pad(noise, 2, mode="wrap")
    edge = 2 * size // cells
    smooth = Image.fromarray(noise).resize((size + 2 * edge, size + 2 * edge), Image.Resampling.BICUBIC)
    tile: Floats = numpy.asarray(smooth)[edge:-edge, edge:-edge, None]
    return (1 + depth * tile).astype(numpy.float32)


def ribbed(radius: float, rib: float) -> Pattern:
    """A dome of this radius seen from the front: lit from the left, with ribs that meet at its top."""

    def pattern(columns: Coordinates, rows: Coordinates) -> Floats:
        half = numpy.sqrt(numpy.clip(radius**2 - rows**2, 1, None))[:, None]
        turn = numpy.arcsin(numpy.clip(columns[None] / half, -1, 1))
        light = 0.72 + 0.4 * numpy.cos(turn + 0.6)
        near = numpy.abs((turn / (numpy.pi / 6) + 0.5) % 1 - 0.5) * (numpy.pi / 6) * half < rib
        return numpy.where(near, 0.78 * light, light)[..., None].astype(numpy.float32)

    return pattern


def two_sided(pattern: Pattern, axis: float, dark: float) -> Pattern:
    """The pattern, darker to the right of the column `axis`."""

    def shaded(columns: Coordinates, rows: Coordinates) -> Floats:
        side = numpy.where(columns < axis, 1.0, dark).astype(numpy.float32)
        return pattern(columns, rows) * side[None, :, None]

    return shaded


TILES: dict[str, Callable[[int], Floats]] = {
    "brick": partial(blocks, height=0.047, length=0.11, joint=0.0095, mortar=(1.1, 1.55, 1.6), tint=0.22),
    "stone": partial(blocks, height=0.075, length=0.14, joint=0.0095, mortar=(0.72,), tint=0.14),
    "plaster": partial(mottled, grain=0.2, depth=0.02),
    "tile": partial(blocks, height=0.04, length=0.05, joint=0.01, mortar=(0.72,), tint=0.12),
    "slate": partial(ridges, period=0.036, low=0.72, share=0.3, upright=False),
    "wood": partial(ridges, period=0.024, low=0.75, share=0.4, upright=True),
    "foliage": partial(mottled, grain=0.05, depth=0.11),
    "turf": partial(mottled, grain=0.06, depth=0.03),
    "earth": partial(mottled, grain=0.045, depth=0.06),
    "rock": partial(mottled, grain=0.07, depth=0.05),
}


@lru_cache(maxsize=64)
def pattern_of(material: str, size: int) -> Pattern:
    """The pattern of a material in a picture of this size."""
    return repeated(TILES[material](size))
