"""How a run reports what it does: lines that a person should read, and how far each task is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dissectreport.pipeline.schedule import Schedule


class Reporter(Protocol):
    """Shows a person how a run goes."""

    def say(self, line: str) -> None:
        """Show one line."""

    def progress(self, task: str, done: int, total: int, unit: str) -> None:
        """Show that `done` of `total` units of a task are finished."""

    def begin(self, schedule: Schedule) -> None:
        """Show which steps are to come, and how long they will take."""


class Silent:
    """A reporter that shows nothing."""

    def say(self, line: str) -> None:
        """Show nothing."""

    def progress(self, task: str, done: int, total: int, unit: str) -> None:
        """Show nothing."""

    def begin(self, schedule: Schedule) -> None:
        """Show nothing."""
