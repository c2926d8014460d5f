"""Which layers of a network can be measured, and which are measured by default."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import groupby

from dissectreport.networks.hooks import ModuleTrace

MAX_DEFAULT = 5
"""At most this many layers are measured when the user names none."""


def measurable_layers(parts: Sequence[ModuleTrace]) -> tuple[str, ...]:
    """Names of the modules whose units can be measured, in the order in which they finish."""
    return tuple(part.name for part in parts if part.units)


def why_not_measurable(part: ModuleTrace) -> str:
    """Why the units of a module cannot be measured, as the predicate of a sentence."""
    if part.runs > 1:
        return f"runs {part.runs} times for an image"
    return (
        f"returns shape {('n', *part.shape)}, not (n, units, h, w) or (n, units)"
        if part.shape
        else f"returns a {part.returned}"
    )


def default_layers(parts: Sequence[ModuleTrace], image_size: tuple[int, int]) -> tuple[str, ...]:
    """The last block of each output shape, at most five, evenly chosen.

    The last of several blocks of one shape completes the work at a resolution, and usually follows an activation
    function. Modules that output the image are left out; vectors are left out if there are maps.
    """
    units = {part.name for part in parts if part.units and not is_image(part, image_size)}
    maps = {part.name for part in parts if part.name in units and math.prod(part.shape[1:]) > 1}
    by_shape = groupby(blocks(parts, maps or units), key=lambda part: part.shape)
    return tuple(part.name for part in evenly_chosen([list(group)[-1] for _, group in by_shape], MAX_DEFAULT))


def blocks(parts: Sequence[ModuleTrace], wanted: Collection[str]) -> list[ModuleTrace]:
    """The outermost of the wanted modules; a single one is a wrapper, and its own modules are the blocks."""
    names = {part.name for part in parts}
    outermost = [part for part in parts if not names & {*parents(part.name)}]
    kept = [part for part in outermost if part.name in wanted]
    inside = [part for part in parts if part not in outermost]
    return (blocks(inside, wanted) or kept) if len(kept) <= 1 and inside else kept


def parents(name: str) -> list[str]:
    """The names of the modules that contain a module: a and a.b for a.b.c."""
    steps = name.split(".")
    return [".".join(steps[:count]) for count in range(1, len(steps))]


def is_image(part: ModuleTrace, image_size: tuple[int, int]) -> bool:
    """Whether a module outputs the image, as a map of at most four channels, or as a vector."""
    if len(part.shape) == 3:
        return part.shape[1:] == image_size and part.shape[0] <= 4
    pixels = math.prod(image_size)
    return math.prod(part.shape) in (pixels, 3 * pixels, 4 * pixels)


def evenly_chosen(parts: Sequence[ModuleTrace], limit: int) -> list[ModuleTrace]:
    """At most `limit` modules, evenly from the first to the last."""
    if len(parts) <= limit:
        return list(parts)
    return [parts[round(step * (len(parts) - 1) / (limit - 1))] for step in range(limit)]
