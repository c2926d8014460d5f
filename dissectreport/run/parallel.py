"""The same work for many parts: one after another, in threads, or in other processes.

Analysis and report do not start processes: they pass their parts to a `Spread`, and accept results in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Spread(Protocol):
    """Calls `work` on each of `parts`; both must be picklable for processes."""

    def __call__(self, work: Callable[[T], R], parts: Sequence[T]) -> Iterator[tuple[T, R]]:
        """Each part with its result, as they finish."""


def in_turn(work: Callable[[T], R], parts: Sequence[T]) -> Iterator[tuple[T, R]]:
    """One part after the other."""
    for part in parts:
        yield part, work(part)


AT_A_TIME = 2
"""Threads: each part may hold much."""


def in_threads(work: Callable[[T], R], parts: Sequence[T]) -> Iterator[tuple[T, R]]:
    """Several parts at a time; useful for work that releases the interpreter lock, as numpy and zlib do."""
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        yield from zip(parts, threads.map(work, parts), strict=True)
