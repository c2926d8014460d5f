"""A limit for the time of one call of a plug-in, so that one which hangs is named and ended.

    watchdog = Watchdog(60.0, on_late=print)
    with call_of("segmenter 'mine'"):   # anywhere in this process
        ...

The thread of a watchdog runs while a library computes, but not while one keeps the interpreter's lock. So calls can
also be noted in memory that another process reads: the parent of a worker, or a `guarded` process's guard.
"""

from __future__ import annotations

import mmap
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Protocol

from dissectreport.run.processes import CALL, SINCE, noted, overdue, start_guard


class SharedBytes(Protocol):
    """Memory that several processes see."""

    def __setitem__(self, where: slice, content: bytes, /) -> None:
        """Write some bytes."""


_current: tuple[str, float] | None = None
"""Who is called now, and since when on the monotonic clock."""
_shared: list[tuple[SharedBytes, int]] = []
"""Memory in which other processes read who is called, and where in it, `CALL` bytes each."""


@contextmanager
def call_of(who: str) -> Iterator[None]:
    """While this lasts, `who` is called; an inner call takes its place."""
    before = _current
    _note((who, time.monotonic()))
    try:
        yield
    finally:
        _note(before)


def _note(call: tuple[str, float] | None) -> None:
    global _current
    _current = call
    content = noted("", 0.0) if call is None else noted(*call)
    for memory, first in _shared:
        since = slice(first, first + SINCE)
        memory[since] = bytes(SINCE)  # Nobody, until the whole name is there.
        memory[first + SINCE : first + CALL] = content[SINCE:]
        memory[since] = content[:SINCE]


def note_in(memory: SharedBytes, first: int = 0) -> None:
    """Note every call of this process in `CALL` bytes of shared memory too."""
    _shared.append((memory, first))


def late_line(who: str, limit: float) -> str:
    """What is said of a call that takes too long."""
    return (
        f"{who} has not answered for {limit:g} s, which is the --timeout of a batch; fix it, or "
        f"give it more time; finished work is kept"
    )


@cache
def guarded(limit: float, patience: float) -> subprocess.Popen[bytes] | None:
    """A process that ends this one, if a call takes `patience` seconds longer than the limit allows.

    None where there can be no such process.
    """
    try:
        with tempfile.TemporaryFile() as file:
            file.truncate(CALL)
            note_in(mmap.mmap(file.fileno(), CALL))
            return start_guard(file.fileno(), limit + patience, late_line("", limit))
    except OSError:
        return None


def late(limit: float) -> str:
    """Who has been called for more than `limit` seconds; '' if nobody."""
    return "" if _current is None else overdue(noted(*_current), limit)


class Watchdog:
    """Calls `on_late` once with a line, in a thread of its own, when a call takes more than `limit` seconds.

    `who_is_late` says whose call this is, '' while there is none; it is usually one of this process.
    """

    def __init__(
        self, limit: float, on_late: Callable[[str], None], who_is_late: Callable[[float], str] = late
    ) -> None:
        self.limit, self.on_late, self.who_is_late = limit, on_late, who_is_late
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._ended.wait(min(1.0, self.limit / 4)):
            who = self.who_is_late(self.limit)
            if who:
                self.on_late(late_line(who, self.limit))
                return

    def end(self) -> None:
        """Watch no longer."""
        self._ended.set()
