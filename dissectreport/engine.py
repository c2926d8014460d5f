"""Running the same work over many shards: in this process, or in several on this machine.

`make()` is called once per worker and returns the work, so a model is loaded once per worker. Results come as they
finish, in any order; the work must depend on its shard alone.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from dissectreport.errors import DissectReportError

T = TypeVar("T")
R = TypeVar("R")

Make = Callable[[], Callable[[T], R]]

_work: Callable[[Any], Any]


def run(make: Make[T, R], shards: Sequence[T], workers: int = 1) -> Iterator[tuple[T, R]]:
    """Each shard with its result, as they finish; with more than one worker `make` must be picklable."""
    if workers <= 1 or len(shards) <= 1:
        work = make()
        for shard in shards:
            yield shard, work(shard)
        return
    yield from _in_processes(make, shards, min(workers, len(shards)))


def _in_processes(make: Make[T, R], shards: Sequence[T], workers: int) -> Iterator[tuple[T, R]]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(make,))
    try:
        waiting = {pool.submit(_run, shard): shard for shard in shards}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
    except BrokenProcessPool as error:
        raise DissectReportError(
            "a worker process ended without a word (out of memory?); run again with --workers 1, finished shards are kept"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(make: Make[Any, Any]) -> None:
    global _work
    _work = make()


def _run(shard: Any) -> Any:
    return _work(shard)
