"""The same work over many parts, done by whoever is given: in turn or in threads here, or by other processes.

Analysis and report know no processes; they hand their parts to a `Spread`, and take the results in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Spread(Protocol):
    """Does `work` on each of `parts`; both must be picklable where processes do it."""

    def __call__(self, work: Callable[[T], R], parts: Sequence[T]) -> Iterator[tuple[T, R]]:
        """Each part with its result, as they finish."""


def in_turn(work: Callable[[T], R], parts: Sequence[T]) -> Iterator[tuple[T, R]]:
    """One part after the other."""
    for part in parts:
        yield part, work(part)


AT_A_TIME = 2
"""Threads: each part may hold much."""


def in_threads(work: Callable[[T], R], parts: Sequence[T]) -> Iterator[tuple[T, R]]:
    """Some parts at a time, where what takes long lets the other threads go on, as numpy and zlib do."""
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        yield from zip(parts, threads.map(work, parts), strict=True)
