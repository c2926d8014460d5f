"""The remaining time of a run: its steps, their estimates, and corrections by the time they took.

pace = Pace(schedule)
pace.update("counting units", 96, 1248)
pace.step, pace.left               # (1, "measuring units"), seconds
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dissectreport.errors import BadOption
from dissectreport.pipeline.tasks import STEPS, Step, Task

TRUST = 10.0
"""Weight of the estimate, in seconds of work; after this time the measured pace outweighs it."""


@dataclass(frozen=True)
class Schedule:
    """The tasks of a run, in order, and the seconds that each should take."""

    seconds: Mapping[Task, float]

    @property
    def total(self) -> float:
        """Seconds of all tasks."""
        return sum(self.seconds.values())

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps to which any task belongs, in order."""
        return tuple(step for step, tasks in STEPS.items() if any(task in self.seconds for task in tasks))

    def step_of(self, task: str) -> Step | None:
        """The step of a task; None for a task outside the schedule, such as a download."""
        return next((step for step in self.steps if task in STEPS[step]), None)


class Pace:
    """The progress of a run, and the remaining time at its present pace."""

    def __init__(self, schedule: Schedule, clock: Callable[[], float] = time.monotonic) -> None:
        self.schedule, self.clock = schedule, clock
        self.began = clock()
        self.shares: dict[str, tuple[float, float]] = {}
        self.step: tuple[int, Step] | None = None
        self._task = ""
        self._start = self._latest = (0.0, 0)

    def update(self, task: str, done: int, total: int) -> None:
        """Record that `done` of `total` units of a task are finished."""
        self._latest = self.clock(), done
        if task != self._task:
            self._task, self._start = task, self._latest
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
    def rate(self) -> float:
        """Units of the present task that are finished in a second; 0 where it has just begun."""
        seconds, units = (latest - start for latest, start in zip(self._latest, self._start, strict=True))
        return units / seconds if seconds > 0 and units > 0 else 0.0

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
            # Samples of an earlier run took no time in this one.
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


def spoken_rate(rate: float) -> str:
    """So many units a second, in the unit that suits it; '' for none.

    >>> spoken_rate(8.13), spoken_rate(0.2), spoken_rate(0.01), spoken_rate(0)
    ('8.1 a second', '12 a minute', '36 an hour', '')
    """
    if rate <= 0:
        return ""
    for seconds, word in ((1, "a second"), (60, "a minute")):
        if rate * seconds >= 1:
            return f"{rate * seconds:.2g} {word}" if rate * seconds < 10 else f"{rate * seconds:,.0f} {word}"
    return f"{3600 * rate:.2g} an hour" if 3600 * rate < 10 else f"{3600 * rate:.0f} an hour"


def seconds_of(words: str) -> float:
    """A time as people and batch schedulers write it: 90s, 45m, 2h, 1h30m, 1:30:00; BadOption for anything else.

    >>> seconds_of("1h30m"), seconds_of("1:30:00"), seconds_of("2d")
    (5400.0, 5400.0, 172800.0)
    """
    clock = re.fullmatch(r"(\d{1,5}):(\d\d):(\d\d)", words)
    named = re.fullmatch(r"(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?", words)
    if clock is not None:
        days, parts = 0, [int(part) for part in clock.groups()]
    elif named is not None and words:
        days, *parts = (int(part or 0) for part in named.groups())
    else:
        raise BadOption(f"{words!r} is no time; write 90s, 45m, 2h, 1h30m, 2d or 1:30:00")
    hours, minutes, seconds = parts
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
