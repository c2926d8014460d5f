"""Where the time of a run goes: a row for each pass, and for what the driver does after it.

profile = TimeProfile()
profile.begin("counting units")     # everything from here on belongs to this row
profile.add(seconds=1.2, cpu=1.1, loading=0.0)   # work of a worker
profile.csv()
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field

AFTER = "after: "
"""The beginning of the name of a row for the driver's work after a pass."""


@dataclass
class Row:
    """The time of one pass, or of the driver after it, in seconds."""

    wall: float = 0.0
    driver: float = 0.0
    """Of a processor, by the driver."""
    workers: float = 0.0
    """Of all workers, by the clock."""
    workers_cpu: float = 0.0
    """Of a processor, by all workers."""
    loading: float = 0.0
    """Of all workers, by the clock, until their networks were ready."""
    items: int = 0
    """Shards, or other parts of a pass."""


@dataclass
class TimeProfile:
    """The rows of a run, in the order in which they began."""

    clock: Callable[[], float] = time.perf_counter
    processor: Callable[[], float] = time.process_time
    rows: dict[str, Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._since = self.clock(), self.processor()
        self._name = "start"

    def begin(self, name: str) -> None:
        """Add the time since the last call to the row that began then; what follows belongs to this one."""
        now = self.clock(), self.processor()
        row = self.rows.setdefault(self._name, Row())
        row.wall += now[0] - self._since[0]
        row.driver += now[1] - self._since[1]
        self._since, self._name = now, name

    def end(self, name: str) -> None:
        """The pass of this name is over; what follows is the driver's."""
        self.begin(AFTER + name)

    def add(self, seconds: float, cpu: float, loading: float, here: bool = False) -> None:
        """Add the work of a worker on one item, which may have been done `here`, in the driver's own process."""
        row = self.rows.setdefault(self._name, Row())
        row.workers += seconds
        row.workers_cpu += cpu
        row.loading += loading
        row.driver -= cpu if here else 0.0
        row.items += 1

    def csv(self) -> str:
        """A table of all rows, with the seconds of each."""
        self.begin(self._name)
        lines = io.StringIO()
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(["stage", "wall_s", "driver_cpu_s", "workers_s", "workers_cpu_s", "loading_s", "items"])
        for name, row in self.rows.items():
            seconds = (row.wall, row.driver, row.workers, row.workers_cpu, row.loading)
            table.writerow([name, *(f"{max(value, 0.0):.3f}" for value in seconds), row.items])
        return lines.getvalue()
