"""Running the same work over many shards: in this process, or in several on this machine.

`make()` returns the work and is called once per worker and pass, so a model is loaded once. Results come as they
finish, in any order; the work must depend on its shard alone. Processes are started when first needed and serve
every pass, because starting one means importing torch.

With a `timeout`, a call of a plug-in that takes longer ends the work, and the error says which plug-in it was. After a
`deadline` no shard is begun; those that are being worked on are finished first.
"""

from __future__ import annotations

import _thread
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar

from dissectreport.errors import DissectReportError, TimeLimit
from dissectreport.run.processes import CALL, descendants, end_with_parent, kill_all, overdue
from dissectreport.run.profile import TimeProfile
from dissectreport.run.watchdog import Watchdog, guarded, note_in

if TYPE_CHECKING:
    from ctypes import Array, c_char
    from multiprocessing.sharedctypes import Synchronized

T = TypeVar("T")
R = TypeVar("R")

Make = Callable[[], Callable[[T], R]]


class Workers:
    """A number of workers; with one, everything runs in this process. Close it, or use it as a context."""

    def __init__(
        self,
        number: int,
        timeout: float = 0.0,
        deadline: float = math.inf,
        profile: TimeProfile | None = None,
    ) -> None:
        self.number = number
        self.timeout = timeout
        """Seconds that a call of a plug-in may take; 0 for no limit."""
        self.deadline = deadline
        """The time of the monotonic clock after which no shard is begun."""
        self.profile = profile or TimeProfile()
        """Where the time goes."""
        self.kept: dict[Any, Any] = {}
        """What the work of several passes shares in this process."""
        self.passes = 0
        self.pool: ProcessPoolExecutor | None = None
        self._watchdog: Watchdog | None = None
        self._hung = ""
        """What is said of a plug-in that hangs in a worker, which was ended for it."""

    def run(self, make: Make[T, R], shards: Sequence[T], name: str = "") -> Iterator[tuple[T, R]]:
        """Each shard with its result, as they finish; with more than one worker `make` must be picklable.

        `name` is what the pass is called in the profile. TimeLimit where the deadline comes first.
        """
        name = name or getattr(make, "func", make).__name__
        self.profile.begin(name)
        here = self.number <= 1 or len(shards) <= 1
        try:
            for shard, answer in self._here(make, shards) if here else self._in_processes(make, shards):
                self.profile.add(answer.seconds, answer.cpu, answer.loading, here)
                yield shard, answer.result
        finally:
            self.profile.end(name)

    def _here(self, make: Make[T, R], shards: Sequence[T]) -> Iterator[tuple[T, Answer[R]]]:
        """Each shard with its result, worked on in this process."""
        made = cache(make)
        longest = 0.0
        for shard in shards:
            self._check_time(longest)
            with limited(self.timeout), keeping(self.kept):
                answer = answer_of(made, shard)
            longest = max(longest, answer.seconds)
            yield shard, answer

    def _in_processes(self, make: Make[T, R], shards: Sequence[T]) -> Iterator[tuple[T, Answer[R]]]:
        """Each shard with its result, as workers finish them."""
        self.passes += 1
        waiting: dict[Future[Answer[R] | _MissingWork], T] = {}
        left = iter(shards)
        sent, longest = 0, 0.0
        try:
            while True:
                # Few shards are submitted at a time, so that results do not accumulate behind a slow reader.
                for shard in islice(left, self._wanted(longest, len(waiting))):
                    # `make` may be large, so it is sent with the first shards, and again only to workers that lack it.
                    what = make if sent < self.number else None
                    waiting[self._started().submit(_run, self.passes, what, shard)] = shard
                    sent += 1
                if not waiting:
                    if sent < len(shards):
                        self._check_time(math.inf)
                    return
                done = next(as_completed(waiting))
                shard, result = waiting.pop(done), done.result()
                if isinstance(result, _MissingWork):
                    waiting[self._started().submit(_run, self.passes, make, shard)] = shard
                else:
                    longest = max(longest, result.seconds)
                    yield shard, result
        except BrokenProcessPool as error:
            if self._hung:
                raise DissectReportError(self._hung) from error
            raise DissectReportError(
                "a worker process died unexpectedly (out of memory?); "
                "run again with --workers 1, finished shards are kept"
            ) from error
        finally:
            for future in waiting:
                future.cancel()

    def _wanted(self, longest: float, waiting: int) -> int:
        """How many more shards to submit, the longest of which took so many seconds: none near the deadline."""
        # With two shards for each worker, one that is submitted now ends after two.
        return 0 if time.monotonic() + 2 * longest > self.deadline else 2 * self.number - waiting

    def _check_time(self, longest: float) -> None:
        """Raise a TimeLimit if a shard that takes so many seconds would end after the deadline."""
        if time.monotonic() + longest > self.deadline:
            raise TimeLimit("the time limit is reached; finished work is kept, the same command continues")

    def _started(self) -> ProcessPoolExecutor:
        if self.pool is None:
            context = multiprocessing.get_context("spawn")
            try:
                calls, places = context.RawArray("c", self.number * CALL), context.Value("i")
                self.pool = ProcessPoolExecutor(
                    self.number, mp_context=context, initializer=_begin, initargs=(calls, places)
                )
            except OSError as error:
                raise DissectReportError(
                    f"this system does not let processes share memory ({error.strerror}); run again with --workers 1"
                ) from error
            if self.timeout:
                self._watchdog = Watchdog(self.timeout, self._end_hanging, partial(_late_in, calls))
        return self.pool

    def _end_hanging(self, line: str) -> None:
        """End the workers, the plug-in of one of which hangs."""
        self._hung = line
        kill_workers()

    def warm(self, module: str) -> None:
        """Start the processes and import a module in them, without waiting."""
        if self.number > 1:
            for _ in range(self.number):
                self._started().submit(import_module, module)

    def close(self) -> None:
        """End the processes after their current shards."""
        self.kept.clear()
        if self._watchdog is not None:
            self._watchdog.end()
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)
            self.pool = None

    def stop(self) -> None:
        """End the processes now; their current shards are lost."""
        kill_workers()
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self.stop()
        else:
            self.close()


def kill_workers() -> None:
    """End all workers that this process has started, and what their code has started, at once."""
    workers = multiprocessing.active_children()
    theirs = [child for worker in workers if worker.pid is not None for child in descendants(worker.pid)]
    for worker in workers:
        worker.kill()
    kill_all(theirs)


def end_now(line: str, status: int) -> NoReturn:
    """Say a line, and end this process and all that it has started, whatever their code does."""
    kill_workers()
    kill_all(descendants(os.getpid()))
    with suppress(Exception):
        sys.stderr.write(f"\n{line}\n")
        sys.stderr.flush()
    os._exit(status)


_current_pass: tuple[int, Make[Any, Any]] | None = None
"""In a worker: the number of the current pass, and what makes its work, once."""


_kept: dict[Any, Any] | None = None


def kept() -> dict[Any, Any]:
    """Values that the passes of the same workers share in this process, such as networks; empty outside of a pass."""
    return {} if _kept is None else _kept


@contextmanager
def keeping(shared: dict[Any, Any]) -> Iterator[None]:
    """While this lasts, what passes share in this process is kept here."""
    global _kept
    before, _kept = _kept, shared
    try:
        yield
    finally:
        _kept = before


def _begin(calls: Array[c_char], places: Synchronized[int]) -> None:
    global _kept
    _kept = {}
    with places:
        note_in(calls, places.value * CALL)
        places.value += 1
    # Ctrl-C reaches every process of a terminal; the parent decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _leave_with_parent()
    end_with_parent()


def _late_in(calls: Array[c_char], limit: float) -> str:
    """Who has been called for too long in a worker, by what all of them note; '' if nobody."""
    notes = (bytes(memoryview(calls)[first : first + CALL]) for first in range(0, len(calls), CALL))
    return next(filter(None, (overdue(note, limit) for note in notes)), "")


HUNG = 1
GRACE = 2.0
"""Seconds in which a call in this process can be interrupted, before the process is ended."""
PATIENCE = GRACE + 2.0
"""Seconds after which the process is ended from outside, which is needed where a plug-in keeps Python's lock."""


_is_limited = False


@contextmanager
def limited(timeout: float) -> Iterator[None]:
    """Work in this process, which is interrupted when a call takes too long, and ended where that does not help.

    Within such work, this changes nothing.
    """
    global _is_limited
    if not timeout or _is_limited or threading.current_thread() is not threading.main_thread():
        yield
        return
    _is_limited = True
    guarded(timeout, PATIENCE)
    said: list[str] = []
    ended = threading.Event()

    def interrupt(line: str) -> None:
        said.append(line)
        _thread.interrupt_main()
        if not ended.wait(GRACE):
            end_now(f"dissectreport: {line}", HUNG)

    watchdog = Watchdog(timeout, interrupt)
    try:
        yield
    except KeyboardInterrupt as error:
        if said:
            raise DissectReportError(said[0]) from error
        raise
    finally:
        _is_limited = False
        ended.set()
        watchdog.end()


def _leave_with_parent() -> None:
    """End this worker when its parent is killed: a pool's queues would keep it waiting for ever."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class _MissingWork:
    """The answer of a worker that has not received the work of this pass."""


@dataclass(frozen=True)
class Moment:
    """A moment by the clock and by the processor time of this process."""

    time: float
    cpu: float

    @classmethod
    def now(cls) -> Self:
        """This moment."""
        return cls(time.perf_counter(), time.process_time())

    def since(self) -> tuple[float, float]:
        """Seconds of the clock and of the processor since then."""
        return time.perf_counter() - self.time, time.process_time() - self.cpu


@dataclass(frozen=True)
class Answer(Generic[R]):
    """The result of a shard, and what it took."""

    result: R
    seconds: float
    """By the clock."""
    cpu: float
    """Of a processor."""
    loading: float
    """By the clock, until the networks were ready."""


def answer_of(make: Make[T, R], shard: T) -> Answer[R]:
    """What work gives for a shard, and what that took; `make` gives the work, and may have to load networks first."""
    began = Moment.now()
    work = make()
    ready = Moment.now()
    return Answer(work(shard), *ready.since(), ready.time - began.time)


def _run(number: int, make: Make[T, R] | None, shard: T) -> Answer[R] | _MissingWork:
    global _current_pass
    if _current_pass is None or _current_pass[0] != number:
        _current_pass = None
        if make is None:
            return _MissingWork()
        _current_pass = number, cache(make)
    return answer_of(_current_pass[1], shard)
