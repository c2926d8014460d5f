"""The colours that a scene shares: weather, light, land, and what its church is built of."""

from __future__ import annotations

from dataclasses import dataclass

from dissectreport.drawings.brush import Brush, Colour, colour

WALL_MATERIALS = ("brick", "stone", "plaster")
ROOF_MATERIALS = ("tile", "slate")


@dataclass(frozen=True)
class Palette:
    """The colours of one scene; `sky` is hue, saturation and value at its top."""

    sky: tuple[float, float, float]
    light: float
    cloud: Colour
    hill: Colour
    turf: Colour
    earth: Colour
    wall_material: str
    wall: Colour
    trim: Colour
    roof_material: str
    roof: Colour
    metal: Colour
    glass: Colour
    wood: Colour


def choose_palette(brush: Brush) -> Palette:
    """Weather first, then everything that its light falls on."""
    weather = int(brush.random.choice(3, p=[0.6, 0.2, 0.2]))
    light = (1.0, 0.88, 0.74)[weather]
    wall_material, wall, trim = choose_wall(brush)
    roof_material = "tile" if brush.chance(0.6) else "slate"
    roof_hue = brush.between(0.01, 0.05) if roof_material == "tile" else brush.between(0.57, 0.63)
    return Palette(
        sky=choose_sky(brush, weather),
        light=light,
        cloud=((255, 255, 255), (244, 245, 248), (255, 226, 208))[weather],
        hill=colour(brush.between(0.56, 0.64), brush.between(0.18, 0.34), brush.between(0.5, 0.66) * light),
        turf=colour(brush.between(0.23, 0.31), brush.between(0.5, 0.7), brush.between(0.5, 0.66) * light),
        earth=colour(brush.between(0.08, 0.11), brush.between(0.2, 0.34), brush.between(0.74, 0.88) * light),
        wall_material=wall_material,
        wall=lit(wall, light),
        trim=lit(trim, light),
        roof_material=roof_material,
        roof=colour(roof_hue, brush.between(0.45, 0.65), brush.between(0.42, 0.58) * light),
        metal=colour(brush.one_of((0.12, 0.45, 0.58)), brush.between(0.4, 0.6), brush.between(0.72, 0.9) * light),
        glass=choose_glass(brush, weather),
        wood=colour(brush.one_of((0.04, 0.08, 0.36, 0.6, 0.98)), brush.between(0.55, 0.75), brush.between(0.34, 0.5)),
    )


def lit(paint: tuple[float, float, float], light: float) -> Colour:
    """A colour of hue, saturation and value in this light."""
    hue, saturation, value = paint
    return colour(hue, saturation, value * light)


def choose_sky(brush: Brush, weather: int) -> tuple[float, float, float]:
    """Hue, saturation and value at the top of the sky: day, overcast or dusk."""
    if weather == 0:
        return brush.between(0.55, 0.6), brush.between(0.4, 0.65), brush.between(0.82, 0.98)
    if weather == 1:
        return brush.between(0.55, 0.6), brush.between(0.06, 0.14), brush.between(0.68, 0.84)
    return brush.between(0.02, 0.09), brush.between(0.42, 0.6), brush.between(0.78, 0.92)


def choose_wall(brush: Brush) -> tuple[str, tuple[float, float, float], tuple[float, float, float]]:
    """The material of the walls, and hue, saturation and value in full light of the walls and of their trim."""
    material = brush.one_of(WALL_MATERIALS)
    if material == "brick":
        return material, (brush.between(0.005, 0.035), brush.between(0.5, 0.62), brush.between(0.58, 0.7)), PALE
    if material == "stone":
        hue = brush.between(0.08, 0.12)
        return material, (hue, brush.between(0.12, 0.25), brush.between(0.7, 0.84)), (hue, 0.2, 0.5)
    hue = brush.between(0.1, 0.15)
    return material, (hue, brush.between(0.03, 0.14), brush.between(0.88, 0.97)), (hue, 0.22, 0.66)


PALE = (0.11, 0.12, 0.93)


def choose_glass(brush: Brush, weather: int) -> Colour:
    """Lit windows, mostly at dusk, or dark ones."""
    if brush.chance(0.8 if weather == 2 else 0.1):
        return colour(0.13, 0.6, 0.97)
    return colour(0.6, brush.between(0.35, 0.55), brush.between(0.22, 0.36))
