"""Runs that take long: how far they are, where their time goes, and an end before the time is up."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from dissectreport.cli.app import app
from dissectreport.cli.session import TIME_LIMIT
from dissectreport.errors import BadOption, TimeLimit
from dissectreport.pipeline import journal
from dissectreport.pipeline.journal import Journal
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.reporter import OneLine, Silent, usual_reporter
from dissectreport.pipeline.schedule import Schedule, seconds_of
from dissectreport.pipeline.tasks import Task
from dissectreport.run.engine import Workers
from dissectreport.run.profile import TimeProfile
from dissectreport.run.shards import RunPart
from tests.support.reporters import RecordingReporter


def make_nap() -> Callable[[int], int]:
    """Work that takes a moment."""

    def work(shard: int) -> int:
        time.sleep(0.01)
        return shard

    return work


@pytest.mark.parametrize("workers", [1, 2])
def test_at_the_deadline_what_was_begun_is_finished_and_no_more(workers: int) -> None:
    finished: list[int] = []

    def work() -> None:
        for shard, _ in pool.run(make_nap, range(100)):
            finished.append(shard)
            pool.deadline = time.monotonic()

    with Workers(workers) as pool:
        with pytest.raises(TimeLimit, match="the same command continues"):
            work()
        assert sorted(finished) == list(range(len(finished))) and len(finished) <= 2 * workers


def test_a_command_that_stops_at_its_limit_says_so_with_its_status(tmp_path: Path) -> None:
    words = ["measure", "planted", "--layers", "features", "--samples", "32", "--workers", "1", "--device", "cpu"]
    profile = tmp_path / "where" / "profile.csv"
    more = ["--time-limit", "0s", "--profile", str(profile), "--cache", str(tmp_path / "cache")]
    ran = CliRunner().invoke(app, [*words, *more])
    assert ran.exit_code == TIME_LIMIT and ran.stderr.count("\n") == 1
    assert "the time limit is reached; finished work is kept" in ran.stderr
    assert next(csv.DictReader(profile.read_text().splitlines()))["stage"] == "start"


@pytest.mark.parametrize("words", ["", "2", "h", "1m2h", "1:2", "-1s", "1.5h"])
def test_what_is_no_time_is_refused(words: str) -> None:
    with pytest.raises(BadOption, match="write 90s, 45m"):
        seconds_of(words)


def test_every_second_belongs_to_one_row_of_a_profile() -> None:
    now = [0.0]
    profile = TimeProfile(lambda: now[0], lambda: now[0] / 2)
    for name, seconds in (("first", 2.0), ("second", 5.0)):
        profile.begin(name)
        now[0] += seconds
        profile.add(seconds=seconds, cpu=1.0, loading=0.5, here=name == "first")
        profile.end(name)
        now[0] += 1.0
    rows = {row.pop("stage"): row for row in csv.DictReader(profile.csv().splitlines())}
    assert list(rows) == ["start", "first", "after: first", "second", "after: second"]
    assert rows["first"]["driver_cpu_s"] == "0.000" and rows["second"]["driver_cpu_s"] == "2.500"
    assert sum(float(row["wall_s"]) for row in rows.values()) == now[0]
    assert rows["second"]["workers_s"] == "5.000" and rows["second"]["items"] == "1"


class Clock:
    """A clock that a test sets."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_the_state_of_a_run_is_shown_while_it_lasts_and_after_it_was_stopped(tmp_path: Path) -> None:
    clock, options, heard = Clock(), Options("planted", samples=100, cache=tmp_path), RecordingReporter()

    def stopped() -> None:
        with Journal(heard, options, RunPart(2, 8), clock) as kept:
            half(kept)
            raise KeyboardInterrupt

    def half(kept: Journal) -> None:
        kept.begin(Schedule({Task.COUNTING: 100.0, Task.PAGES: 100.0}))
        kept.progress(Task.COUNTING, 0, 100, "samples")
        clock.now += 20
        kept.progress(Task.COUNTING, 40, 100, "samples")
        (news,) = journal.every(tmp_path)
        assert (news.state, news.done, news.rate, news.step, news.steps) == ("running", 40, 2.0, 1, 2)
        clock.now += 1
        kept.progress(Task.COUNTING, 50, 100, "samples")

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert heard.steps[-1] == (Task.COUNTING, 50, 100, "samples"), "passed on"
    said = CliRunner().invoke(app, ["status", "planted", "--cache", str(tmp_path)]).stdout.splitlines()
    assert said[0] == "planted  corrected  100 samples  part 2 of 8: stopped"
    assert said[1] == (
        "  step 1 of 2: measuring units: counting units and concepts, 40 of 100 samples, 2 a second; about 2 min left"
    )
    assert "last update" in said[2] and len(said) == 3
    with Journal(heard, options, clock=clock):
        pass
    assert list(journal.every(tmp_path)) == [], "a run that is whole leaves nothing, nor do its parts"
    unknown = CliRunner().invoke(app, ["status", "plantet", "--cache", str(tmp_path)])
    assert unknown.exit_code == 1 and "no run of 'plantet'" in unknown.stderr


def test_in_a_notebook_one_line_of_progress_is_written_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert type(usual_reporter()) is Silent
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    assert isinstance(usual_reporter(), OneLine)
    times = iter([0.0, 0.0, 0.0, 0.1, 0.1])
    reporter = OneLine(lambda: next(times))
    reporter.progress("counting units", 1, 20, "samples")
    reporter.progress("counting units", 2, 20, "samples")
    reporter.progress("done", 20, 20, "samples")
    reporter.say("finished")
    first, *others = capsys.readouterr().out.split("\r")[1:]
    assert first == "counting units: 1 of 20 samples"
    assert others == ["done: 20 of 20 samples".ljust(len(first)), "finished".ljust(22) + "\n"], "the second is too soon"
