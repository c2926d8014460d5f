"""The empty room: its surfaces, and the doors, windows and pictures on its walls."""

from __future__ import annotations

from dissectreport.drawings.brush import Brush, Piece
from dissectreport.drawings.perspective import Side, Span, Tone
from dissectreport.drawings.room_style import STEEL, WHITE, Scene

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
    context_concept = up[0] + bars + brush.between(0, 0.35) * (up[1] - up[0])
    green = Tone(0.3, 0.4, 0.65 * scene.style.sky.value)
    for column in range(columns):
        inner = (along[0] + bars + column * step, along[0] + (column + 1) * step)
        panel(brush, scene, pane, scene.style.sky, side, inner, (up[0] + bars, up[1] - bars))
        panel(brush, scene, pane, green, side, inner, (up[0] + bars, context_concept))
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
