"""What is left of a run: its steps, how long each should take, and how that changes with what it did take.

pace = Pace(schedule)
pace.update("counting units", 96, 1248)
pace.step, pace.left               # (1, "measuring units"), seconds
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dissectreport.pipeline.tasks import STEPS, Step, Task

TRUST = 10.0
"""Seconds of work that the estimate counts as: what was seen outweighs it from there on."""


@dataclass(frozen=True)
class Schedule:
    """The tasks to come, in order, and the seconds that each should take."""

    seconds: Mapping[Task, float]

    @property
    def total(self) -> float:
        """Seconds of everything."""
        return sum(self.seconds.values())

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps to which any task belongs, in order."""
        return tuple(step for step, tasks in STEPS.items() if any(task in self.seconds for task in tasks))

    def step_of(self, task: str) -> Step | None:
        """The step of a task; None for what is no part of the schedule, such as a download."""
        return next((step for step in self.steps if task in STEPS[step]), None)


class Pace:
    """How far a run is, and how long the rest will take at the pace at which it went so far."""

    def __init__(self, schedule: Schedule, clock: Callable[[], float] = time.monotonic) -> None:
        self.schedule, self.clock = schedule, clock
        self.began = clock()
        self.shares: dict[str, tuple[float, float]] = {}
        self.step: tuple[int, Step] | None = None

    def update(self, task: str, done: int, total: int) -> None:
        """Take note that `done` of `total` units of a task are finished."""
        step = self.schedule.step_of(task)
        if step is None:
            return
        share = min(1.0, done / max(total, 1))
        first, _ = self.shares.get(task, (share, share))
        self.shares[task] = (first, share)
        self.step = (1 + self.schedule.steps.index(step), step)

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.clock() - self.began

    @property
    def left(self) -> float:
        """Seconds that are left."""
        seconds = self.schedule.seconds
        names = list(seconds)
        current = max((names.index(Task(task)) for task in self.shares if task in seconds), default=-1)
        to_come = sum(seconds[name] for name in names[current + 1 :])
        worked = 0.0
        for name in names[: current + 1]:
            first, share = self.shares.get(name, (1.0, 1.0))
            share = share if name == names[current] else 1.0
            # What was counted in an earlier run took no time in this one.
            worked += (share - first) * seconds[name]
            to_come += (1 - share) * seconds[name]
        return to_come * (self.elapsed + TRUST) / (worked + TRUST)


def spoken(seconds: float) -> str:
    """A time in the unit that suits it.

    >>> spoken(42), spoken(200), spoken(9000)
    ('42 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
