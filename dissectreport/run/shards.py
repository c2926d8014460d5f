"""Shards: consecutive samples that are counted together, the unit of work and of the cache."""

from __future__ import annotations

from dataclasses import dataclass

from dissectreport.errors import BadOption

BATCH = 16
"""Samples that go through the networks together."""
SHARD = 3 * BATCH
"""Samples in a shard: a multiple of the batch, because convolutions are not batch-size invariant in the last bits."""
EDIT_BATCH = 8
"""Latents that are edited together: few, so that the widest maps after the layer stay in the processor's cache."""
GROUPS = 20
"""Shard number modulo this is the shard's group; even groups are for selection, odd groups are held out."""


@dataclass(frozen=True)
class Shard:
    """Consecutive samples that are counted together."""

    number: int
    first: int
    count: int

    @property
    def group(self) -> int:
        """The group that the shard's counts go to."""
        return self.number % GROUPS


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
