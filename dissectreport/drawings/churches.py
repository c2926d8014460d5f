"""Scenes with a church under a sky, drawn so that all they show can be seen, and learned, at 128 pixels."""

from __future__ import annotations

import numpy

from dissectreport.drawings.brush import Brush, Bytes, Piece, Point, Subject
from dissectreport.drawings.scene_church import DOME, Church, choose_church, paint_church
from dissectreport.drawings.scene_colours import ROOF_MATERIALS, WALL_MATERIALS, Palette, choose_palette
from dissectreport.drawings.scene_land import (
    CROWN,
    TRUNK,
    paint_clouds,
    paint_hills,
    paint_meadow,
    paint_path,
    paint_sky,
    paint_tree,
)
from dissectreport.segmenters.scenes import LEARNED

PIECES = (
    Piece("sky"),
    Piece("cloud"),
    Piece("hill", "rock"),
    Piece("grass", "turf"),
    Piece("path", "earth"),
    TRUNK,
    CROWN,
    Piece("door", "wood"),
    Piece("window", "glass", "wall window"),
    Piece("window", "glass", "tower window"),
    DOME,
    Piece("dome", "metal", "cupola"),
    *(Piece("wall", material) for material in WALL_MATERIALS),
    *(Piece("tower", material, part) for material in WALL_MATERIALS for part in ("tower shaft", "belfry")),
    *(Piece("roof", material) for material in ROOF_MATERIALS),
    *(Piece("roof", material, "spire") for material in ROOF_MATERIALS),
)


def paint(brush: Brush) -> Bytes:
    """A whole scene, (size, size, 3): sky, land, the trees behind, mostly a church, the trees before."""
    palette = choose_palette(brush)
    horizon = brush.between(0.68, 0.8) * brush.size
    paint_sky(brush, palette)
    paint_clouds(brush, palette)
    if brush.chance(0.55):
        paint_hills(brush, palette, horizon)
    paint_meadow(brush, palette, horizon)
    church = choose_church(brush, horizon) if brush.chance(0.95) else None
    conifers = brush.chance(0.45)
    for _ in range(int(brush.random.choice(3, p=[0.2, 0.35, 0.45]))):
        foot = brush.between(0.02, 0.98) * brush.size, horizon + brush.between(0.005, 0.02) * brush.size
        paint_tree_beside(brush, palette, conifers, church, foot, brush.between(0.33, 0.5), 0.3)
    if church:
        axis, width = paint_church(brush, palette, church)
        if brush.chance(0.65):
            paint_path(brush, palette, church.base, axis, width)
    for _ in range(int(brush.random.choice(3, p=[0.25, 0.4, 0.35]))):
        foot = brush.between(0.02, 0.98) * brush.size, horizon + brush.between(0.07, 0.12) * brush.size
        paint_tree_beside(brush, palette, conifers, church, foot, brush.between(0.36, 0.56), 0.12)
    return numpy.asarray(brush.image)


def paint_tree_beside(
    brush: Brush, palette: Palette, conifers: bool, church: Church | None, foot: Point, share: float, anyway: float
) -> None:
    """A tree as high as this share of the picture, left out where it would overlap the church, but not always."""
    height = share * brush.size
    if church is None or is_beside(church, foot, height) or brush.chance(anyway):
        paint_tree(brush, palette, conifers, foot, height)


def is_beside(church: Church, foot: Point, height: float) -> bool:
    """Whether a tree of this height overlaps hardly any of the church."""
    reach = 0.24 * height
    return foot[0] + reach < church.left or foot[0] - reach > church.right


CHURCHES = Subject("churches", LEARNED, PIECES, paint)
