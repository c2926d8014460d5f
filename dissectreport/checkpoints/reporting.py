"""Where messages and progress of downloads go: nowhere, unless a caller asks for them.

    with reporting_to(reporter):
        plugins.generator("church_pgan")    # calls reporter.say(…) and reporter.progress(…)

The loader of a plug-in is called without a reporter, so the reporter is kept in a context variable.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

MEGABYTE = 1_000_000


class DownloadReporter(Protocol):
    """Shows messages and progress to the user."""

    def say(self, line: str) -> None:
        """Show one line."""

    def progress(self, task: str, done: int, total: int, unit: str) -> None:
        """Show that `done` of `total` units of a task are finished."""


@dataclass(frozen=True)
class _Current:
    """The reporter of a context, and the lines that it was given: a model is loaded for every pass."""

    reporter: DownloadReporter
    lines: set[str] = field(default_factory=set)


_CURRENT: ContextVar[_Current | None] = ContextVar("dissectreport_reporter", default=None)


@contextmanager
def reporting_to(reporter: DownloadReporter) -> Iterator[None]:
    """Messages and progress of downloads go to `reporter` while the block runs."""
    token = _CURRENT.set(_Current(reporter))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def say(line: str) -> None:
    """Show a line, unless the current reporter has shown it already."""
    current = _CURRENT.get()
    if current is not None and line not in current.lines:
        current.lines.add(line)
        current.reporter.say(line)


def progress(task: str, done: int, total: int) -> None:
    """Show how many bytes have arrived; `total` is 0 if the size is unknown."""
    current = _CURRENT.get()
    if current is not None:
        current.reporter.progress(task, done // MEGABYTE, max(total, done, MEGABYTE) // MEGABYTE, "MB")
