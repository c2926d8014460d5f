"""How a run reports its progress: messages, and the progress of each task."""

from __future__ import annotations

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
