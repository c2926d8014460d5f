"""Which layers of a network to read, from what its parts were seen to do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from dissectreport.probe import Seen

MOST = 5
"""Layers that are read where none are named."""


def readable(parts: Sequence[Seen]) -> tuple[str, ...]:
    """The parts whose units can be read, in the order in which they finish."""
    return tuple(part.name for part in parts if part.units)


def usual(parts: Sequence[Seen], channels: int = 3) -> tuple[str, ...]:
    """The layers that are read where none are named: of the network's blocks the last of each size, five at most.

    The last of several blocks of one shape is where a resolution's work is done, and where an activation function
    has been applied; the image itself, `channels` deep at the end, is no layer.
    """
    runs = [list(group) for _, group in groupby(blocks(parts), key=lambda part: part.shape)]
    last = [run[-1] for run in runs]
    if len(last) > 1 and last[-1].units == channels:
        last.pop()
    return tuple(part.name for part in spread(last, MOST))


def blocks(parts: Sequence[Seen]) -> list[Seen]:
    """The outermost parts whose units can be read; wrappers around everything are looked into."""
    outermost = [part for part in parts if not any(part.name.startswith(f"{other.name}.") for other in parts)]
    inside = [part for part in parts if any(part.name.startswith(f"{other.name}.") for other in outermost)]
    if len(outermost) == 1 and inside:
        return blocks(inside)
    return [part for part in outermost if part.units] or (blocks(inside) if inside else [])


def spread(parts: Sequence[Seen], most: int) -> list[Seen]:
    """At most so many, evenly from the first to the last."""
    if len(parts) <= most:
        return list(parts)
    return [parts[round(place * (len(parts) - 1) / (most - 1))] for place in range(most)]
