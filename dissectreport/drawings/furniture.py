"""Furniture out of boxes, laid out from the place where it stands."""

from __future__ import annotations

from functools import partial

import numpy

from dissectreport.drawings.brush import Brush, Piece
from dissectreport.drawings.perspective import Box, Solid, Span, Spot, Tone, View
from dissectreport.drawings.room_style import STEEL, WHITE, Scene


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
    """A chair of 0.5 m that faces away from its wall ("out") or along it ("low", "high")."""
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


def add_bedside(brush: Brush, scene: Scene, spot: Spot) -> None:
    """A small table, mostly with a lamp."""
    add_table(scene, spot, 0.24, 0.5, (0.05, 0.5))
    if brush.chance(0.8):
        add_lamp(brush, scene, spot, 0.28, 0.5, 0.2)


def stand_lamp(brush: Brush, scene: Scene, spot: Spot, half: float, free: Span) -> None:
    """A standing lamp next to the sofa, where there is room for it."""
    if spot.side != "back":
        add_lamp(brush, scene, Spot(scene.room, spot.side, scene.room.depth - 0.25), 0.35, 0.0, 1.4)
        return
    places = [spot.along + sign * (half + 0.32) for sign in (-1, 1)]
    places = [place for place in places if free[0] + 0.15 < place < free[1] - 0.15]
    if places:
        add_lamp(brush, scene, Spot(scene.room, "back", brush.one_of(places)), 0.4, 0.0, brush.between(1.25, 1.5))
