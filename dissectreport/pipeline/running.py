"""What surrounds a run: its journal, its time limit, and its profile.

with running(options, reporter) as session, session.workers(job.workers) as workers:
    ...
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dissectreport import files
from dissectreport.pipeline.journal import Journal
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.prepare import Job
from dissectreport.pipeline.reporter import Reporter, usual_reporter
from dissectreport.pipeline.schedule import seconds_of
from dissectreport.run.cluster import RayWorkers
from dissectreport.run.engine import Workers, limited
from dissectreport.run.profile import TimeProfile
from dissectreport.run.shards import WHOLE, RunPart


@dataclass(frozen=True)
class Session:
    """A run while it lasts."""

    options: Options
    reporter: Reporter
    deadline: float
    """The time of the monotonic clock after which no shard is begun."""
    profile: TimeProfile

    def workers(self, job: Job) -> Workers:
        """The workers of a run, here or on a cluster, which keep to the time limit and are timed."""
        options = self.options
        if not options.ray:
            return self.processes(job.workers)
        accelerator = job.source.device != "cpu"
        return RayWorkers(options.ray, options.workers, options.timeout, self.deadline, self.profile, accelerator)

    def processes(self, number: int) -> Workers:
        """So many workers on this machine."""
        return Workers(number, self.options.timeout, self.deadline, self.profile)


@contextmanager
def running(options: Options, reporter: Reporter | None = None, part: RunPart = WHOLE) -> Iterator[Session]:
    """A run, whose progress `dissectreport status` shows while it lasts; its profile is written at the end."""
    limit = seconds_of(options.time_limit) if options.time_limit else math.inf
    profile = TimeProfile()
    if options.profile is not None:
        files.check_writable(options.profile.parent)
    try:
        with Journal(reporter or usual_reporter(), options, part) as journal, limited(options.timeout):
            yield Session(options, journal, time.monotonic() + limit, profile)
    finally:
        if options.profile is not None:
            files.write(options.profile, profile.csv().encode())
