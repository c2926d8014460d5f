"""Scenes with a church under a sky: what is drawn, of which words, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy
from PIL import Image

from dissectreport.drawings.brush import (
    Brush,
    Bytes,
    Colour,
    Floats,
    Piece,
    Subject,
    colour,
    courses,
    laid_out,
    speckle,
    stripes,
    textured,
    window_of,
)
from dissectreport.drawings.churches import PIECES
from dissectreport.drawings.scene_colours import WALL_MATERIALS
from dissectreport.segmenters.scenes import LEARNED, MATERIALS


@dataclass(frozen=True)
class ScenePalette:
    """The colours that a whole scene shares: weather, light and what the church is built of."""

    sky: tuple[float, float, float]
    dusk: bool
    light: float
    hill: Colour
    turf_hue: float
    turf_saturation: float
    earth: Colour
    wall_material: str
    wall: Colour
    joint: Colour
    roof_material: str
    roof: Colour
    metal: Colour
    glass: Colour
    wood: Colour


# --- colours of a scene -------------------------------------------------------------------------------------


def choose_weather(random: numpy.random.Generator) -> int:
    """The first choice of a scene: 0 for a clear day, 1 for an overcast one, 2 for dusk."""
    return int(random.choice(3, p=[0.6, 0.25, 0.15]))


def choose_palette(brush: Brush) -> ScenePalette:
    """Weather first, then everything that its light falls on."""
    weather = choose_weather(brush.random)
    light = (1.0, 0.8, 0.7)[weather]
    sky = choose_sky(brush, weather)
    dusk = weather == 2
    wall_material, wall = choose_wall(brush)
    roof_material = "tile" if brush.chance(0.6) else "slate"
    roof_hue = brush.between(0, 0.05) if roof_material == "tile" else brush.between(0.55, 0.62)
    hue, saturation, value = wall
    return ScenePalette(
        sky=sky,
        dusk=dusk,
        light=light,
        hill=colour(brush.between(0.55, 0.65), brush.between(0.15, 0.35), brush.between(0.45, 0.6) * light),
        turf_hue=brush.between(0.22, 0.32),
        turf_saturation=brush.between(0.45, 0.75),
        earth=colour(brush.between(0.07, 0.12), brush.between(0.1, 0.3), brush.between(0.6, 0.8) * light),
        wall_material=wall_material,
        wall=colour(hue, saturation, value * light),
        joint=colour(hue, saturation, value * light * 0.8),
        roof_material=roof_material,
        roof=colour(roof_hue, brush.between(0.3, 0.6), brush.between(0.3, 0.5) * light),
        metal=colour(brush.one_of((0.12, 0.45, 0.58)), brush.between(0.3, 0.6), brush.between(0.6, 0.85) * light),
        glass=choose_glass(brush, dusk),
        wood=colour(brush.one_of((0.04, 0.07, 0.3, 0.6, 0.98)), brush.between(0.5, 0.8), brush.between(0.25, 0.5)),
    )


def choose_sky(brush: Brush, weather: int) -> tuple[float, float, float]:
    """Hue, saturation and value at the top of the sky: day, overcast or dusk."""
    if weather == 0:
        return brush.between(0.55, 0.6), brush.between(0.35, 0.65), brush.between(0.8, 1)
    if weather == 1:
        return brush.between(0.55, 0.6), brush.between(0.03, 0.12), brush.between(0.65, 0.85)
    return brush.between(0.02, 0.09), brush.between(0.4, 0.6), brush.between(0.7, 0.9)


def choose_wall(brush: Brush) -> tuple[str, tuple[float, float, float]]:
    """The material of the walls, and its hue, saturation and value in full light."""
    material = brush.one_of(WALL_MATERIALS)
    if material == "brick":
        return material, (brush.between(0, 0.04), brush.between(0.45, 0.65), brush.between(0.5, 0.7))
    if material == "stone":
        return material, (brush.between(0.08, 0.12), brush.between(0.1, 0.25), brush.between(0.65, 0.85))
    return material, (brush.between(0.1, 0.15), brush.between(0.02, 0.08), brush.between(0.8, 0.95))


def choose_glass(brush: Brush, dusk: bool) -> Colour:
    """Lit windows, mostly at dusk, or dark ones."""
    if brush.chance(0.8 if dusk else 0.15):
        return colour(0.13, 0.6, 0.95)
    return colour(0.6, brush.between(0.2, 0.5), brush.between(0.15, 0.35))


# --- landscape ----------------------------------------------------------------------------------------------


def paint_sky(brush: Brush, palette: ScenePalette) -> None:
    """A gradient that pales towards the horizon."""
    hue, saturation, value = palette.sky
    rows = [
        colour(hue, saturation * (1 - 0.8 * y / brush.size), min(1, value * (1 + 0.2 * y / brush.size)))
        for y in range(brush.size)
    ]
    column = numpy.array(rows, dtype=numpy.uint8)[:, None]
    brush.image.paste(Image.fromarray(numpy.repeat(column, brush.size, axis=1)))


def paint_clouds(brush: Brush, palette: ScenePalette) -> None:
    """A few heaps of pale ellipses, more of them by day."""
    by_day = palette.light == 1
    for _ in range(brush.random.poisson(1.2 if by_day else 0.5)):
        x, y = brush.between(0, 1) * brush.size, brush.between(0, 0.3) * brush.size
        width = brush.between(0.06, 0.12) * brush.size
        for _ in range(5):
            radius = brush.between(0.5, 1) * width
            fill = colour(0.6, 0.02, brush.between(0.93, 1))
            puff_x, puff_y = x + brush.between(-1.6, 1.6) * width, y + brush.between(-0.3, 0.3) * width
            brush.ellipse(Piece("cloud"), fill, puff_x, puff_y, radius, radius * 0.6)


def paint_hills(brush: Brush, palette: ScenePalette, horizon: float) -> None:
    """A ridge along the horizon."""
    heights = horizon - brush.size * (0.04 + 0.12 * brush.random.random(9))
    ridge = list(zip(numpy.linspace(0, brush.size, 9).tolist(), heights.tolist(), strict=True))
    corners = [(0.0, horizon), *ridge, (float(brush.size), horizon)]
    brush.polygon(Piece("hill", "rock"), palette.hill, corners)


def paint_grass(brush: Brush, palette: ScenePalette, horizon: float) -> None:
    """A meadow with single blades."""
    size = brush.size

    def turf(shift: float, low: float, high: float) -> Colour:
        value = brush.between(low, high) * palette.light
        return colour(palette.turf_hue + shift, palette.turf_saturation, value)

    brush.rectangle(Piece("grass", "turf"), turf(0, 0.4, 0.6), 0, horizon, size, size)
    for _ in range(60):
        x, y = brush.between(0, size), brush.between(horizon, size)
        tip = x + brush.between(-0.01, 0.01) * size, y - brush.between(0.01, 0.026) * size
        brush.line(turf(brush.between(-0.02, 0.02), 0.35, 0.7), (x, y), tip, width=0.006)


def paint_tree(brush: Brush, palette: ScenePalette, kind: str, x: float, base: float, height: float) -> None:
    """A broad-leaved tree or a conifer, standing at (x, base)."""
    trunk = colour(0.07, 0.5, 0.3 * palette.light)
    half = height * 0.05
    brush.rectangle(Piece("tree", "wood", "tree trunk"), trunk, x - half, base - height * 0.4, x + half, base)
    hue, value = brush.between(0.22, 0.36), brush.between(0.25, 0.45) * palette.light
    if kind == "conifer":
        paint_needles(brush, hue, value, x, base, height)
    else:
        paint_leaves(brush, hue, value, x, base, height)


def paint_leaves(brush: Brush, hue: float, value: float, x: float, base: float, height: float) -> None:
    """A crown of nine overlapping balls."""
    for _ in range(9):
        radius = brush.between(0.1, 0.2) * height
        ball_x, ball_y = x + brush.between(-0.22, 0.22) * height, base + brush.between(-0.92, -0.42) * height
        fill = colour(hue + brush.between(-0.02, 0.02), brush.between(0.5, 0.8), value * brush.between(0.8, 1.3))
        brush.ellipse(Piece("tree", "foliage", "tree crown"), fill, ball_x, ball_y, radius, radius)


def paint_needles(brush: Brush, hue: float, value: float, x: float, base: float, height: float) -> None:
    """A crown of three triangles."""
    for number in range(3):
        foot = base - height * (0.2 + 0.25 * number)
        half = height * (0.26 - 0.06 * number)
        fill = colour(hue + 0.03, 0.6, value * brush.between(0.8, 1.1))
        corners = [(x - half, foot), (x + half, foot), (x, foot - height * 0.38)]
        brush.polygon(Piece("tree", "foliage", "tree crown"), fill, corners)


# --- church -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SceneChurch:
    """Where the parts of a church stand, in pixels of the brush; `tower` is None for a church without one."""

    left: float
    right: float
    base: float
    eaves: float
    arched: bool
    tower: SceneTower | None

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


@dataclass(frozen=True)
class SceneTower:
    """A tower around the axis x."""

    x: float
    width: float
    top: float
    height: float


def choose_church(brush: Brush, horizon: float) -> SceneChurch:
    """A church near the middle of the scene, a little below the horizon."""
    size = brush.size
    width, height = brush.between(0.3, 0.55) * size, brush.between(0.2, 0.34) * size
    middle, base = brush.between(0.35, 0.65) * size, horizon + brush.between(0.02, 0.08) * size
    tower = None
    if brush.chance(0.65):
        tower_width, tower_height = width * brush.between(0.22, 0.32), height * brush.between(1.5, 2.1)
        side = brush.one_of((-1, 0, 1))
        axis = middle + side * (width - tower_width) / 2
        tower = SceneTower(axis, tower_width, base - tower_height, tower_height)
    arched = brush.chance(0.5)
    return SceneChurch(middle - width / 2, middle + width / 2, base, base - height, arched, tower)


def paint_church(brush: Brush, palette: ScenePalette, horizon: float) -> None:
    """Nave, roof, tower, windows, door, and mostly a path to the door."""
    church = choose_church(brush, horizon)
    wall = Piece("wall", palette.wall_material)
    brush.rectangle(wall, palette.wall, church.left, church.eaves, church.right, church.base)
    brush.one_of((paint_gable_roof, paint_hip_roof, paint_dome))(brush, palette, church)
    if church.tower:
        paint_tower(brush, palette, church.tower)
    paint_openings(brush, palette, church)


def paint_gable_roof(brush: Brush, palette: ScenePalette, church: SceneChurch) -> None:
    """A triangle over the whole front."""
    over, height = 0.02 * brush.size, brush.between(0.08, 0.2) * brush.size
    feet = [(church.left - over, church.eaves), (church.right + over, church.eaves)]
    brush.polygon(Piece("roof", palette.roof_material), palette.roof, [*feet, (church.middle, church.eaves - height)])


def paint_hip_roof(brush: Brush, palette: ScenePalette, church: SceneChurch) -> None:
    """A trapezium over the whole front."""
    over, inset = 0.02 * brush.size, 0.2 * church.width
    ridge = church.eaves - 0.7 * brush.between(0.08, 0.2) * brush.size
    feet = [(church.left - over, church.eaves), (church.right + over, church.eaves)]
    ends = [(church.right - inset, ridge), (church.left + inset, ridge)]
    brush.polygon(Piece("roof", palette.roof_material), palette.roof, [*feet, *ends])


def paint_dome(brush: Brush, palette: ScenePalette, church: SceneChurch) -> None:
    """A flat roof that carries a dome with a finial."""
    over, rise, radius = 0.01 * brush.size, 0.025 * brush.size, 0.28 * church.width
    roof = Piece("roof", palette.roof_material)
    brush.rectangle(roof, palette.roof, church.left - over, church.eaves - rise, church.right + over, church.eaves)
    brush.half_disc(Piece("dome", "metal"), palette.metal, church.middle, church.eaves - 0.05 * radius, radius)
    half = 0.005 * brush.size
    top, foot = church.eaves - 1.35 * radius, church.eaves - radius
    brush.rectangle(Piece("dome", "metal"), palette.metal, church.middle - half, top, church.middle + half, foot)


def paint_tower(brush: Brush, palette: ScenePalette, tower: SceneTower) -> None:
    """A shaft, a belfry above a string course, and a spire or a cupola."""
    left, right = tower.x - tower.width / 2, tower.x + tower.width / 2
    course = tower.top + 0.36 * tower.height
    shaft = Piece("tower", palette.wall_material, "tower shaft")
    belfry = Piece("tower", palette.wall_material, "belfry")
    brush.rectangle(shaft, palette.wall, left, course, right, tower.top + tower.height)
    brush.rectangle(belfry, palette.wall, left, tower.top, right, course)
    brush.line(palette.joint, (left, course), (right, course), width=0.008)
    if brush.chance(0.7):
        over, peak = 0.6 * tower.width, tower.top - tower.width * brush.between(0.9, 1.8)
        corners = [(tower.x - over, tower.top), (tower.x + over, tower.top), (tower.x, peak)]
        brush.polygon(Piece("roof", palette.roof_material, "spire"), palette.roof, corners)
    else:
        brush.half_disc(Piece("dome", "metal", "cupola"), palette.metal, tower.x, tower.top, tower.width / 2)


def paint_openings(brush: Brush, palette: ScenePalette, church: SceneChurch) -> None:
    """Windows where neither door nor tower is in the way, the door, the path."""
    door_width, door_height = (
        church.width * brush.between(0.1, 0.17),
        church.height * brush.between(0.38, 0.55),
    )
    door = church.tower.x if church.tower and brush.chance(0.4) else church.middle
    count = int(brush.random.integers(2, 6))
    width, height = church.width / count * brush.between(0.3, 0.5), church.height * brush.between(0.25, 0.4)
    for number in range(count):
        x = church.left + church.width * (number + 0.5) / count
        if abs(x - door) >= 0.6 * (door_width + width) and not hidden_by_tower(church.tower, x, width):
            top = church.eaves + 0.25 * church.height
            paint_window(brush, palette, church.arched, "wall window", x, top, width, height)
    if tower := church.tower:
        top = tower.top + 0.15 * tower.height
        paint_window(
            brush,
            palette,
            church.arched,
            "tower window",
            tower.x,
            top,
            0.3 * tower.width,
            0.15 * tower.height,
        )
    if brush.chance(0.9):
        paint_door(brush, palette, church, door, door_width, door_height)
    if brush.chance(0.6):
        paint_path(brush, palette, church.base, door, door_width)


def hidden_by_tower(tower: SceneTower | None, x: float, width: float) -> bool:
    """Whether a window of this width around x would be cut by an edge of the tower."""
    return tower is not None and 0.1 * tower.width < abs(x - tower.x) < 0.5 * (tower.width + width)


def paint_window(
    brush: Brush,
    palette: ScenePalette,
    arched: bool,
    part: str,
    x: float,
    top: float,
    width: float,
    height: float,
) -> None:
    """A pane around the axis x, arched or not, with a bar."""
    piece = Piece("window", "glass", part)
    brush.rectangle(piece, palette.glass, x - width / 2, top, x + width / 2, top + height)
    if arched:
        brush.half_disc(piece, palette.glass, x, top, width / 2)
    start = top - (width / 2 if arched else 0)
    brush.line(palette.joint, (x, start), (x, top + height), width=0.005)


def paint_door(brush: Brush, palette: ScenePalette, church: SceneChurch, x: float, width: float, height: float) -> None:
    """A door around the axis x, arched where the windows are."""
    top = church.base - height
    brush.rectangle(Piece("door", "wood"), palette.wood, x - width / 2, top, x + width / 2, church.base)
    if church.arched:
        brush.half_disc(Piece("door", "wood"), palette.wood, x, top, width / 2)


def paint_path(brush: Brush, palette: ScenePalette, base: float, door: float, width: float) -> None:
    """A path that widens from the door to the lower edge."""
    end, bottom = door + brush.between(-0.2, 0.2) * brush.size, float(brush.size)
    near = [(end + 1.6 * width, bottom), (end - 1.6 * width, bottom)]
    far = [(door - width / 2, base), (door + width / 2, base)]
    brush.polygon(Piece("path", "earth"), palette.earth, [*far, *near])


# --- textures -----------------------------------------------------------------------------------------------


TEXTURES: dict[str, Callable[[int], Floats]] = {
    "brick": partial(courses, height=0.024, length=0.055, depth=0.2),
    "stone": partial(courses, height=0.062, length=0.11, depth=0.16),
    "plaster": partial(speckle, grain=9, depth=0.03),
    "tile": lambda size: stripes(size, 30, 0, 0.14) * stripes(size, 0, 26, 0.1),
    "slate": lambda size: stripes(size, 0, 30, 0.16),
    "metal": lambda size: stripes(size, 22, 0, 0.12),
    "wood": partial(stripes, across=44, along=0, depth=0.12),
    "foliage": partial(speckle, grain=56, depth=0.22),
    "turf": partial(speckle, grain=90, depth=0.08),
    "earth": partial(speckle, grain=70, depth=0.1),
    "rock": lambda size: stripes(size, 9, 16, 0.07) * speckle(size, 24, 0.08),
    "glass": lambda size: stripes(size, 7, 7, 0.08),
}


@lru_cache(maxsize=4)
def textures(size: int) -> Floats:
    """(materials + 1, 2 size, 2 size) brightness by material."""
    return laid_out(TEXTURES, MATERIALS, size)


# --- whole scenes -------------------------------------------------------------------------------------------


def paint(brush: Brush) -> Bytes:
    """A whole scene, (size, size, 3), with the texture of each material laid over it."""
    paint_scene(brush)
    materials = SCENES.numbers[numpy.asarray(brush.pieces), 2]
    return textured(brush, window_of(textures(brush.size), materials, brush)[..., None])


def paint_scene(brush: Brush) -> None:
    """Sky, land, the trees behind, mostly a church, the trees before."""
    palette = choose_palette(brush)
    horizon = brush.between(0.66, 0.8) * brush.size
    paint_sky(brush, palette)
    paint_clouds(brush, palette)
    if brush.chance(0.6):
        paint_hills(brush, palette, horizon)
    paint_grass(brush, palette, horizon)
    behind, before = choose_trees(brush)
    kind = "conifer" if brush.chance(0.4) else "broad-leaved"
    for x, drop, height in behind:
        paint_tree(brush, palette, kind, x, horizon + 0.3 * drop, height)
    if brush.chance(0.92):
        paint_church(brush, palette, horizon)
    for x, drop, height in before:
        paint_tree(brush, palette, kind, x, horizon + 0.04 * brush.size + drop, height)


def choose_trees(brush: Brush) -> tuple[list[tuple[float, float, float]], list[tuple[float, float, float]]]:
    """Place, drop below the horizon and height of the trees behind the church and of those before it."""
    size = brush.size
    trees = [
        (brush.between(0, 1) * size, brush.between(0, 0.06) * size, brush.between(0.3, 0.55) * size)
        for _ in range(int(brush.random.integers(0, 5)))
    ]
    half = len(trees) // 2 + 1
    return trees[:half], trees[half:]


SCENES = Subject("scenes", LEARNED, PIECES, paint)
