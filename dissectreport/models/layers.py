"""Which layers of a network to read, from what its parts were seen to do."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import groupby

from dissectreport.networks.hooks import ModuleTrace

MOST = 5
"""Layers that are read where none are named."""


def readable(parts: Sequence[ModuleTrace]) -> tuple[str, ...]:
    """The parts whose units can be read, in the order in which they finish."""
    return tuple(part.name for part in parts if part.units)


def refusal(part: ModuleTrace) -> str:
    """Why the units of a part cannot be read."""
    if part.runs > 1:
        return f"runs {part.runs} times for an image"
    return (
        f"returns shape {('n', *part.shape)}, not (n, units, h, w) or (n, units)"
        if part.shape
        else f"returns a {part.returned}"
    )


def usual(parts: Sequence[ModuleTrace], image_size: tuple[int, int]) -> tuple[str, ...]:
    """The layers that are read where none are named: of the network's blocks the last of each shape, five at most.

    The last of several blocks of one shape is where a resolution's work is done, and where an activation function
    has been applied. The image itself is no layer; and where there are maps, vectors are none.
    """
    units = {part.name for part in parts if part.units and not is_image(part, image_size)}
    maps = {part.name for part in parts if part.name in units and math.prod(part.shape[1:]) > 1}
    runs = groupby(blocks(parts, maps or units), key=lambda part: part.shape)
    return tuple(part.name for part in spread([list(run)[-1] for _, run in runs], MOST))


def blocks(parts: Sequence[ModuleTrace], wanted: Collection[str]) -> list[ModuleTrace]:
    """The outermost of the wanted parts; where there is but one, it is a wrapper: its own parts are the blocks."""
    names = {part.name for part in parts}
    outermost = [part for part in parts if not names & {*parents(part.name)}]
    kept = [part for part in outermost if part.name in wanted]
    inside = [part for part in parts if part not in outermost]
    return (blocks(inside, wanted) or kept) if len(kept) <= 1 and inside else kept


def parents(name: str) -> list[str]:
    """The names of the parts that a part is in: a.b and a for a.b.c."""
    steps = name.split(".")
    return [".".join(steps[:count]) for count in range(1, len(steps))]


def is_image(part: ModuleTrace, image_size: tuple[int, int]) -> bool:
    """Whether a part's output is the image, as a map or as a vector: at most four numbers a pixel."""
    if len(part.shape) == 3:
        return part.shape[1:] == image_size and part.shape[0] <= 4
    pixels = math.prod(image_size)
    return math.prod(part.shape) in (pixels, 3 * pixels, 4 * pixels)


def spread(parts: Sequence[ModuleTrace], most: int) -> list[ModuleTrace]:
    """At most so many, evenly from the first to the last."""
    if len(parts) <= most:
        return list(parts)
    return [parts[round(place * (len(parts) - 1) / (most - 1))] for place in range(most)]
