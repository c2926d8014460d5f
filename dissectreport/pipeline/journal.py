"""How far a run is, in a small file of its cache: `dissectreport status` reads it on any machine with the cache.

A file lasts as long as its run: one that ended well leaves none, one that was stopped or killed leaves its last state.
Parts of a run have a file each, which lasts until they are merged.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from dissectreport.cache.store import fingerprint, read_json
from dissectreport.errors import CacheError, OutputError
from dissectreport.files import write
from dissectreport.pipeline.options import MachineOptions, Options
from dissectreport.pipeline.reporter import Reporter
from dissectreport.pipeline.schedule import Pace, Schedule
from dissectreport.run.addresses import source_of
from dissectreport.run.plain import check_types
from dissectreport.run.shards import WHOLE, RunPart

FOLDER = "progress"
"""The folder of the cache with a file for each run that is under way."""
EVERY = 5.0
"""Seconds between two writes."""
RUNNING, STOPPED, FINISHED = "running", "stopped", "finished"


@dataclass(frozen=True)
class News:
    """How far a run is."""

    model: str
    source: str
    rule: str
    samples: int
    """Images that were asked for; 0 for the default."""
    part: int
    parts: int
    machine: str
    process: int
    began: float
    """Seconds since 1970."""
    seen: float
    """When this was written, in seconds since 1970."""
    state: str = RUNNING
    step: int = 0
    steps: int = 0
    step_name: str = ""
    task: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    rate: float = 0.0
    """Units a second."""
    left: float = 0.0
    """Seconds that are left, about."""

    @property
    def run_part(self) -> RunPart:
        """The part of the run that this is about."""
        return RunPart(self.part, self.parts)


class Journal:
    """A reporter that also keeps how far a run is. Use it as a context: it ends with the run."""

    def __init__(
        self,
        inner: Reporter,
        options: Options,
        part: RunPart = WHOLE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.inner, self.clock, self.part = inner, clock, part
        self.folder = options.cache / FOLDER
        self.name = fingerprint(run_facts(options))
        now = clock()
        self.news = News(
            model=options.model,
            source=source_of(options.model),
            rule=options.rule,
            samples=options.samples or 0,
            part=part.number,
            parts=part.of,
            machine=platform.node(),
            process=os.getpid(),
            began=now,
            seen=now,
        )
        self.pace: Pace | None = None
        self._written = -EVERY

    @property
    def path(self) -> Path:
        """The file of this run or part."""
        part = "" if self.part == WHOLE else f"-{self.part.number}-of-{self.part.of}"
        return self.folder / f"{self.name}{part}.json"

    def say(self, line: str) -> None:
        """Pass a line on."""
        self.inner.say(line)

    def begin(self, schedule: Schedule) -> None:
        """Number the steps from here on."""
        self.pace = Pace(schedule, self.clock)
        self.inner.begin(schedule)

    def progress(self, task: str, done: int, total: int, unit: str) -> None:
        """Pass progress on, and keep it if the last is long enough ago."""
        self.inner.progress(task, done, total, unit)
        if self.pace is None:
            return
        self.pace.update(task, done, total)
        now = self.clock()
        if now >= self._written + EVERY:
            number, step = self.pace.step or (0, None)
            self.news = replace(
                self.news,
                step=number,
                steps=len(self.pace.schedule.steps),
                step_name=step.value if step is not None else "",
                task=task,
                done=done,
                total=total,
                unit=unit,
                rate=self.pace.rate,
                left=self.pace.left,
            )
            self._write(RUNNING)
            self._written = now

    def _write(self, state: str) -> None:
        """Write the file. It is not a result: if it cannot be written, the run continues without it."""
        self.news = replace(self.news, seen=self.clock(), state=state)
        with suppress(OutputError):
            write(self.path, json.dumps(asdict(self.news), indent=1).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is not None:
            if self._written > 0:
                self._write(STOPPED)
        elif self.part != WHOLE:
            self._write(FINISHED)
        else:
            for path in self.folder.glob(f"{self.name}*.json"):
                with suppress(OSError):
                    path.unlink()
            with suppress(OSError):
                self.folder.rmdir()


def run_facts(options: Options) -> dict[str, str]:
    """What distinguishes the runs of a cache, independent of the machine and the part."""
    machine = {field.name for field in fields(MachineOptions)}
    return {name: str(value) for name, value in vars(options).items() if name not in machine}


def every(cache: Path) -> Iterator[News]:
    """How far the runs of a cache are, by model; files that are being written are left out."""
    found = []
    for path in (cache / FOLDER).glob("*.json"):
        with suppress(CacheError, TypeError, ValueError):
            news = News(**read_json(path))
            check_types(news)
            found.append(news)
    yield from sorted(found, key=lambda news: (news.model, news.rule, news.samples, news.parts, news.part))
