"""A plug-in that hangs is named and ended, in this process and in workers."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dissectreport.errors import DissectReportError
from dissectreport.run.engine import Workers
from dissectreport.run.watchdog import call_of, guarded, late
from tests.support.tiers import extended

LIMIT, LONG = 1.0, 5.0
"""Seconds; the longer one is for calls that must not be late on a busy machine."""


def hangs() -> Callable[[int], int]:
    """Work that hangs in Python code."""

    def work(_shard: int) -> int:
        with call_of("segmenter 'slow'"):
            while True:
                time.sleep(0.05)

    return work


def keeps_the_lock() -> Callable[[int], int]:
    """Work that computes for years in C, while no other thread of Python runs."""

    def work(_shard: int) -> int:
        with call_of("segmenter 'greedy'"):
            sum(range(10**15))
        return 0

    return work


def answers() -> Callable[[int], int]:
    """Work whose every call is short, although all of them take longer than the limit."""

    def work(shard: int) -> int:
        for _ in range(6):
            with call_of("segmenter 'quick'"):
                time.sleep(LONG / 5)
        return shard

    return work


@pytest.mark.parametrize(("make", "who"), [(hangs, "slow"), (keeps_the_lock, "greedy")])
def test_a_call_that_hangs_in_a_worker_is_named(make: Callable[[], Callable[[int], int]], who: str) -> None:
    line = rf"segmenter '{who}' has not answered for 1 s.*--timeout"
    with Workers(2, LIMIT) as pool, pytest.raises(DissectReportError, match=line):
        list(pool.run(make, [1, 2]))


@pytest.mark.parametrize("workers", [extended(1), 2])
def test_the_limit_is_that_of_one_call(workers: int) -> None:
    with Workers(workers, LONG) as pool:
        assert sorted(pool.run(answers, [1, 2])) == [(1, 1), (2, 2)]


INTERRUPTED = """
import signal, time
from dissectreport.errors import DissectReportError
from dissectreport.run.engine import Workers
from dissectreport.run.watchdog import call_of, guarded, late

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a program in the background lacks

def make():
    def work(shard):
        with call_of("generator of mine"):
            while True:
                {hang}
    return work

try:
    list(Workers(1, 0.5).run(make, [1]))
except DissectReportError as error:
    raise SystemExit(f"one line: {{error}}")
"""
STUBBORN = """try:
                    time.sleep(0.1)
                except BaseException:
                    pass"""


@pytest.mark.parametrize(("hang", "begins"), [("time.sleep(0.1)", "one line: "), (STUBBORN, "\ndissectreport: ")])
def test_a_call_that_hangs_in_this_process_is_named_and_ended(tmp_path: Path, hang: str, begins: str) -> None:
    script = tmp_path / "hanging.py"
    script.write_text(INTERRUPTED.format(hang=hang))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{begins}generator of mine has not answered for 0.5 s")
    assert "Traceback" not in done.stderr


def test_code_that_keeps_the_lock_of_python_is_named_and_ended_from_outside(tmp_path: Path) -> None:
    script = tmp_path / "hanging.py"
    # Without a handler, as where C code looks for no signals.
    text = INTERRUPTED.replace("signal.default_int_handler", "signal.SIG_IGN")
    script.write_text(text.format(hang="sum(range(10**15))"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    line = "dissectreport: generator of mine has not answered for 0.5 s, which is the --timeout of a batch; fix it"
    assert done.stderr.startswith(f"\n{line}") and done.stderr.count("\n") == 2


def test_without_shared_memory_calls_are_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert guarded(12345.0, 1.0) is None
    with call_of("segmenter of mine"):
        assert late(60.0) == "" and late(-1.0) == "segmenter of mine"
