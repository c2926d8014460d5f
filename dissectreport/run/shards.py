"""Shards: consecutive samples that are counted together, the unit of work and of the cache."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from dissectreport.errors import BadOption

T = TypeVar("T")

BATCH = 16
"""Samples that go through the networks together."""
SHARD = 3 * BATCH
"""Samples in a shard: a multiple of the batch, because convolutions are not batch-size invariant in the last bits."""
EDIT_BATCH = 8
"""Latents that are edited together: few, so that the largest maps after the layer fit into the processor's cache."""
GROUPS = 20
"""Groups of the images of interventions and of artifact units: the number of an image, or of its shard, modulo this."""
SELECTION, HELD_OUT = 0, 1
"""The halves of a dissection: the remainder of the numbers of their shards, and of their groups, divided by two."""
MOST_GROUPS = 20
"""Groups of a dissection's selection half, and of its held-out half, at most."""


@dataclass(frozen=True)
class Shard:
    """Consecutive samples that are counted together."""

    number: int
    first: int
    count: int


def shards(samples: int, size: int = SHARD) -> tuple[Shard, ...]:
    """The shards of `samples` samples, in order; only the last may be short.

    >>> [s.count for s in shards(100, 48)]
    [48, 48, 4]
    """
    if samples < 1:
        raise BadOption(f"--samples must be at least 1, not {samples}")
    return tuple(
        Shard(number, first, min(size, samples - first)) for number, first in enumerate(range(0, samples, size))
    )


def even_groups(count: int) -> tuple[int, ...]:
    """The group of each of a dissection's `count` shards: even groups are for selection, odd groups are held out.

    Groups of a half differ by at most one shard: uneven groups would cost degrees of freedom.

    >>> even_groups(6)
    (0, 1, 2, 3, 4, 5)
    """
    groups = [max(1, half // max(1, math.ceil(half / MOST_GROUPS))) for half in ((count + 1) // 2, count // 2)]
    return tuple(2 * (number // 2 % groups[number % 2]) + number % 2 for number in range(count))


@dataclass(frozen=True)
class RunPart:
    """One of several parts of a run, each of which another job measures; part 0 only prepares."""

    number: int
    of: int

    @classmethod
    def parse(cls, words: str) -> Self:
        """The part that is written as 2/8; BadOption where there is none.

        >>> RunPart.parse("2/8")
        RunPart(number=2, of=8)
        """
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", words)
        number, of = (int(match[1]), int(match[2])) if match else (1, 0)
        if number > of:
            raise BadOption(f"--shard is a part and the number of parts, from 1/8 to 8/8, or 0/8; not {words!r}")
        return cls(number, of)

    def taken(self, items: Sequence[T]) -> Sequence[T]:
        """Those of the items that belong to this part: every `of`-th, so that parts are equally long."""
        return items[self.number - 1 :: self.of] if self.number else ()


WHOLE = RunPart(1, 1)
"""All of a run."""
