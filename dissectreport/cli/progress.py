"""How the command line shows progress: one live line in a terminal, elsewhere a plain line a minute."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import typer

from dissectreport.pipeline.schedule import Pace, Schedule, spoken, spoken_rate

MINUTE = 60.0
"""Seconds between two lines of progress in a log."""


class LogReporter:
    """Prints lines on the error stream, and never more than one line of progress a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.began = clock()
        self.pace: Pace | None = None
        self.next_line = self.began

    def say(self, line: str) -> None:
        """Print one line on the error stream, so that it does not mix with results."""
        typer.echo(line, err=True)

    def begin(self, schedule: Schedule) -> None:
        """Number the steps from here on."""
        self.pace = Pace(schedule, self.clock)

    def progress(self, task: str, done: int, total: int, unit: str) -> None:
        """Take note of a task's progress, and show it."""
        if self.pace is not None:
            self.pace.update(task, done, total)
        self.show(task, done, total, unit)

    def show(self, task: str, done: int, total: int, unit: str) -> None:
        """Print where the run is, if the last such line is long enough ago."""
        now = self.clock()
        if self.pace is not None and self.pace.step is not None and now >= self.next_line:
            self.next_line = now + MINUTE
            self.say(f"{self.position(task)}, {done:,} of {total:,} {unit}{self.rate()}; {self.left()}")

    def position(self, task: str) -> str:
        """The numbered step and its task; the task alone where it belongs to no step."""
        pace = self.pace
        if pace is None or pace.step is None or pace.schedule.step_of(task) is None:
            return task
        number, step = pace.step
        words = f"step {number} of {len(pace.schedule.steps)}: {step.value}"
        return words if task == step.value else f"{words}: {task}"

    def rate(self) -> str:
        """How fast the task goes, after a comma."""
        words = "" if self.pace is None else spoken_rate(self.pace.rate)
        return f", {words}" if words else ""

    def left(self) -> str:
        """The remaining time in words."""
        return "" if self.pace is None or self.pace.step is None else f"about {spoken(self.pace.left)} left"

    @property
    def elapsed(self) -> float:
        """Seconds since the command began."""
        return self.clock() - self.began

    def close(self) -> None:
        """Nothing is left to clean up."""


class TerminalReporter(LogReporter):
    """Prints lines, and below them one live line of progress."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self.bar: Any = None

    def say(self, line: str) -> None:
        """Print one line above the live one."""
        if self.bar is None:
            super().say(line)
        else:
            self.bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, task: str, done: int, total: int, unit: str) -> None:
        """Redraw the live line."""
        if self.bar is None:
            self.bar = _bar()
            self.bar.add_task("", count="", left="")
            self.bar.start()
        count = f"{done:,}/{total:,} {unit}{self.rate()}"
        self.bar.update(
            0, description=self.position(task), completed=min(done, total), total=total, count=count, left=self.left()
        )

    def close(self) -> None:
        """Take the live line away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def reporter() -> LogReporter:
    """The reporter that suits the error stream."""
    return TerminalReporter() if sys.stderr.isatty() else LogReporter()


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    return Progress(
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        BarColumn(20),
        TextColumn("{task.fields[count]}", table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True)),
        console=Console(stderr=True),
        expand=True,
        transient=True,
    )
