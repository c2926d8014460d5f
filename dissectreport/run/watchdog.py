"""A limit for the time of one call of a plug-in, so that one which hangs is named and ended.

    watchdog = Watchdog(60.0, on_late=print)
    with call_of("segmenter 'mine'"):   # anywhere in this process
        ...

The thread of a watchdog runs even while a library computes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_current: tuple[str, float] | None = None
"""Who is called now, and since when on the monotonic clock."""


@contextmanager
def call_of(who: str) -> Iterator[None]:
    """While this lasts, `who` is called; an inner call takes its place."""
    global _current
    before, _current = _current, (who, time.monotonic())
    try:
        yield
    finally:
        _current = before


def late(limit: float) -> str:
    """Who has been called for more than `limit` seconds; '' if nobody."""
    now = _current
    return now[0] if now is not None and time.monotonic() - now[1] > limit else ""


class Watchdog:
    """Calls `on_late` once with a line, in a thread of its own, when a call takes more than `limit` seconds."""

    def __init__(self, limit: float, on_late: Callable[[str], None]) -> None:
        self.limit, self.on_late = limit, on_late
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._ended.wait(min(1.0, self.limit / 4)):
            who = late(self.limit)
            if who:
                self.on_late(
                    f"{who} has not answered for {self.limit:g} s, which is the --timeout of a batch; fix it, or "
                    f"give it more time; finished work is kept"
                )
                return

    def end(self) -> None:
        """Watch no longer."""
        self._ended.set()
