"""What surrounds a church: sky, clouds, hills, a meadow and trees."""

from __future__ import annotations

from math import pi

import numpy
from PIL import Image

from dissectreport.drawings.brush import Brush, Colour, Floats, Piece, Point, colour
from dissectreport.drawings.patterns import (
    Coordinates,
    cover_ellipse,
    cover_polygon,
    cover_rectangle,
    pattern_of,
    plain,
    two_sided,
)
from dissectreport.drawings.scene_colours import Palette

CROWN = Piece("tree", "foliage", "tree crown")
TRUNK = Piece("tree", "wood", "tree trunk")


def paint_sky(brush: Brush, palette: Palette) -> None:
    """A gradient that pales towards the horizon."""
    hue, saturation, value = palette.sky
    shares = numpy.linspace(0, 1, 17)
    known = [colour(hue, saturation * (1 - 0.8 * share), min(1, value * (1 + 0.2 * share))) for share in shares]
    rows = numpy.linspace(0, 1, brush.size)
    column = numpy.stack([numpy.interp(rows, shares, channel) for channel in zip(*known, strict=True)], axis=1)
    strip = Image.fromarray(column.round().astype(numpy.uint8)[:, None])
    brush.image.paste(strip.resize((brush.size, brush.size), Image.Resampling.NEAREST))


def paint_clouds(brush: Brush, palette: Palette) -> None:
    """None to three heaps of puffs on a level base."""
    for _ in range(int(brush.random.choice(4, p=[0.3, 0.35, 0.25, 0.1]))):
        x, y = brush.between(0.05, 0.95) * brush.size, brush.between(0.08, 0.3) * brush.size
        paint_cloud(brush, palette, x, y, brush.between(0.055, 0.1) * brush.size)


def paint_cloud(brush: Brush, palette: Palette, x: float, y: float, radius: float) -> None:
    """A cloud that stands on the level y: a large puff, and one or two smaller ones on each side."""
    cloud = Piece("cloud")
    shadow = tuple(int(0.93 * channel) for channel in palette.cloud)
    puffs = [(0.0, 1.0), (-1.05, 0.7), (1.05, 0.7)]
    puffs += [(side * 1.85, 0.45) for side in (-1, 1) if brush.chance(0.5)]
    lean = brush.between(-0.25, 0.25)
    for offset, share in puffs:
        middle = x + (offset + lean * (offset == 0)) * radius, y - 0.62 * share * radius
        cover_ellipse(
            brush,
            cloud,
            (shadow[0], shadow[1], shadow[2]),
            middle,
            (share * radius, 0.66 * share * radius),
            plain,
            middle,
        )
    for offset, share in puffs:
        middle = x + (offset + lean * (offset == 0)) * radius, y - 0.74 * share * radius
        cover_ellipse(
            brush, cloud, palette.cloud, middle, (0.94 * share * radius, 0.54 * share * radius), plain, middle
        )


def paint_hills(brush: Brush, palette: Palette, horizon: float) -> None:
    """A soft ridge along the horizon."""
    size = brush.size
    across = numpy.linspace(0, 1, 33)
    rise = numpy.full(33, brush.between(0.06, 0.1))
    for waves, height in ((1.3, 0.045), (3.1, 0.02)):
        rise += height * numpy.sin(2 * pi * (waves * across + brush.between(0, 1)))
    tops = horizon - size * rise.clip(0.012)
    ridge = list(zip((size * across).tolist(), tops.tolist(), strict=True))
    corners = [(0.0, horizon), *ridge, (float(size), horizon)]
    cover_polygon(brush, Piece("hill", "rock"), palette.hill, corners, pattern_of("rock", size), (0, horizon))


def paint_meadow(brush: Brush, palette: Palette, horizon: float) -> None:
    """A meadow, darker towards the viewer."""
    size = brush.size
    turf = pattern_of("turf", size)

    def shaded(columns: Coordinates, rows: Coordinates) -> Floats:
        return turf(columns, rows) * (1.08 - 0.5 * rows / size)[:, None, None].astype(numpy.float32)

    cover_rectangle(brush, Piece("grass", "turf"), palette.turf, ((0, horizon), (size, size)), shaded)


def paint_path(brush: Brush, palette: Palette, base: float, door: float, width: float) -> None:
    """A path that widens from the door to the lower edge."""
    end, bottom = door + brush.between(-0.2, 0.2) * brush.size, float(brush.size)
    near = [(end + 1.1 * width, bottom), (end - 1.1 * width, bottom)]
    far = [(door - width / 2, base), (door + width / 2, base)]
    earth = pattern_of("earth", brush.size)
    cover_polygon(brush, Piece("path", "earth"), palette.earth, [*far, *near], earth, (door, base))


# --- trees --------------------------------------------------------------------------------------------------


def paint_tree(brush: Brush, palette: Palette, conifer: bool, foot: Point, height: float) -> None:
    """A broad-leaved tree or a conifer."""
    x, base = foot
    half = max(0.05 * height, 0.012 * brush.size)
    corners = ((x - half, base - 0.4 * height), (x + half, base))
    trunk = colour(0.075, 0.5, 0.4 * palette.light)
    cover_rectangle(brush, TRUNK, trunk, corners, two_sided(plain, half, 0.78))
    hue, value = brush.between(0.24, 0.35), brush.between(0.34, 0.5) * palette.light
    if conifer:
        paint_needles(brush, colour(hue + 0.05, 0.6, 0.9 * value), foot, height)
    else:
        paint_leaves(brush, hue, value, foot, height)


def paint_leaves(brush: Brush, hue: float, value: float, foot: Point, height: float) -> None:
    """A crown of four balls of one colour, and light on its upper left."""
    x, base = foot
    lean, spread = brush.between(-0.05, 0.05), brush.between(0.85, 1.15)
    foliage = pattern_of("foliage", brush.size)
    balls = [(-0.17, -0.55, 0.17), (0.17, -0.53, 0.17), (lean, -0.62, 0.24), (0.5 * lean, -0.8, 0.18)]
    for shade, shrink, shift in ((1.0, 1.0, 0.0), (1.22, 0.72, 0.05)):
        fill = colour(hue - 0.02 * (shade > 1), 0.62, value * shade)
        for across, up, radius in balls:
            middle = x + (across * spread - shift) * height, base + (up - shift) * height
            radii = shrink * radius * spread * height, shrink * radius * height
            cover_ellipse(brush, CROWN, fill, middle, radii, foliage, foot)


def paint_needles(brush: Brush, fill: Colour, foot: Point, height: float) -> None:
    """A crown of three triangles, darker on the right."""
    x, base = foot
    slim = brush.between(0.85, 1.1)
    foliage = two_sided(pattern_of("foliage", brush.size), 0, 0.78)
    for number in range(3):
        level = base - height * (0.16 + 0.24 * number)
        half = height * slim * (0.26 - 0.055 * number)
        tint = tuple(int(channel * (0.92 + 0.09 * number)) for channel in fill)
        corners = [(x - half, level), (x + half, level), (x, level - 0.36 * height)]
        cover_polygon(brush, CROWN, (tint[0], tint[1], tint[2]), corners, foliage, foot)
