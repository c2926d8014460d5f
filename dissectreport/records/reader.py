"""The interface by which recorded values are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Protocol, Self, TypeVar

from numpy.typing import NDArray

from dissectreport.run.shards import Shard
from dissectreport.stats.base import Stat

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Portion:
    """Which counts of a layer are read."""

    units: slice = field(default_factory=partial(slice, None))
    """The units of statistics by unit."""
    half: int | None = None
    """`SELECTION` or `HELD_OUT` for the shards of this half, None for all."""

    def has(self, shard: Shard) -> bool:
        """Whether a shard is of this half."""
        return self.half is None or shard.number % 2 == self.half


EVERYTHING = Portion()
"""All shards and units."""


class Stored(Protocol):
    """A value that is stored as one file of arrays."""

    FILE: ClassVar[str]
    """The usual name of the file."""

    def arrays(self) -> Arrays:
        """Plain arrays that `from_arrays` turns back into the same value."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The value that `arrays` came from; KeyError where some are missing."""


S = TypeVar("S", bound=Stat)
V = TypeVar("V", bound=Stored)


class Reader(Protocol):
    """Reads measurements by the folder names of a record."""

    def stats(
        self, folder: str, samples: int, shard: int, kind: type[S], portion: Portion = EVERYTHING
    ) -> Iterator[tuple[Shard, S]]:
        """Each shard of `samples` samples, or of a portion of them, with one of its statistics, in order.

        Nothing where `folder` is ''.
        """

    def total(self, folder: str, samples: int, shard: int, kind: type[S]) -> S:
        """The same statistic of all shards, merged."""

    def read(self, folder: str, kind: type[V], name: str = "") -> V:
        """The value of a kind in a folder, under its usual name or another; CacheError where it is not there."""

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted."""

    def devices(self, folder: str, samples: int, shard: int, mixed: bool) -> tuple[str, ...]:
        """The devices on which the shards were measured; CacheError for several, unless these may be `mixed`."""
