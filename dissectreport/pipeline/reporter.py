"""How a run reports its progress: messages, and the progress of each task."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dissectreport.pipeline.schedule import Schedule


class Reporter(Protocol):
    """Receives messages and progress of a run."""

    def say(self, line: str) -> None:
        """Show one line."""

    def progress(self, task: str, done: int, total: int, unit: str) -> None:
        """Show that `done` of `total` units of a task are finished."""

    def begin(self, schedule: Schedule) -> None:
        """Show the steps of the run and their estimated time."""


class Silent:
    """A reporter that shows nothing."""

    def say(self, line: str) -> None:
        """Show nothing."""

    def progress(self, task: str, done: int, total: int, unit: str) -> None:
        """Show nothing."""

    def begin(self, schedule: Schedule) -> None:
        """Show nothing."""


class OneLine(Silent):
    """A reporter for notebooks: messages, and below them one line of progress that is written over."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.next_line, self.width = clock(), 0

    def say(self, line: str) -> None:
        """Print one line."""
        self._write(f"{line}\n")
        self.width = 0

    def progress(self, task: str, done: int, total: int, unit: str) -> None:
        """Write over the line of progress, at most twice a second."""
        if done >= total or self.clock() >= self.next_line:
            self.next_line = self.clock() + 0.5
            self._write(f"{task}: {done:,} of {total:,} {unit}")

    def _write(self, text: str) -> None:
        """Write from the beginning of the line, over what stood there."""
        sys.stdout.write("\r" + text.removesuffix("\n").ljust(self.width) + "\n" * text.endswith("\n"))
        sys.stdout.flush()
        self.width = len(text)


def usual_reporter() -> Reporter:
    """The reporter of calls from Python that are given none: one line of progress in a notebook, else nothing."""
    return OneLine() if "ipykernel" in sys.modules else Silent()
