"""The machine that a run uses: its device, how many processes, and how many threads each has."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast

from threadpoolctl import threadpool_limits


@dataclass(frozen=True)
class Machine:
    """What a run computes on."""

    device: str
    workers: int
    """Processes at a time."""
    threads: int
    """Threads of each process."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_thread() -> AbstractContextManager[Any]:
    """While the block runs, numpy multiplies matrices on one thread.

    They are small here: threads that wait for each other take three times as long as one alone, and beside busy
    workers the eigenvalues of a small matrix take a hundred times as long.
    """
    return cast("AbstractContextManager[Any]", threadpool_limits(1, user_api="blas"))
