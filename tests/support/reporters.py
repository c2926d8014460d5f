"""A reporter that keeps what a run says."""

from __future__ import annotations

from dissectreport.pipeline.reporter import Silent
from dissectreport.pipeline.schedule import Schedule


class RecordingReporter(Silent):
    """Keeps the lines, the steps of progress and the schedule."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps: list[tuple[str, int, int, str]] = []
        self.schedule: Schedule | None = None

    def say(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, task: str, done: int, total: int, unit: str) -> None:
        self.steps.append((task, done, total, unit))

    def begin(self, schedule: Schedule) -> None:
        self.schedule = schedule

    @property
    def tasks(self) -> dict[str, list[tuple[int, int]]]:
        """The steps (done, total) of each task."""
        found: dict[str, list[tuple[int, int]]] = {}
        for task, done, total, _ in self.steps:
            found.setdefault(task, []).append((done, total))
        return found
