"""A plug-in that hangs is named and ended, in this process and in workers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from dissectreport.errors import DissectReportError
from dissectreport.run.engine import Workers
from dissectreport.run.watchdog import call_of
from tests.support.tiers import extended

LIMIT, LONG = 1.0, 5.0
"""Seconds; the longer one is for calls that must not be late on a busy machine."""


def hangs() -> object:
    """Work that hangs in Python code."""

    def work(_shard: int) -> int:
        with call_of("segmenter 'slow'"):
            while True:
                time.sleep(0.05)

    return work


def answers() -> object:
    """Work whose every call is short, although all of them take longer than the limit."""

    def work(shard: int) -> int:
        for _ in range(6):
            with call_of("segmenter 'quick'"):
                time.sleep(LONG / 5)
        return shard

    return work


def test_a_call_that_hangs_in_a_worker_is_named() -> None:
    with Workers(2, LIMIT) as pool, pytest.raises(DissectReportError, match=r"segmenter 'slow'.* 1 s.*--timeout"):
        list(pool.run(hangs, [1, 2]))


@pytest.mark.parametrize("workers", [extended(1), 2])
def test_the_limit_is_that_of_one_call(workers: int) -> None:
    with Workers(workers, LONG) as pool:
        assert sorted(pool.run(answers, [1, 2])) == [(1, 1), (2, 2)]


INTERRUPTED = """
import signal, time
from dissectreport.errors import DissectReportError
from dissectreport.run.engine import Workers
from dissectreport.run.watchdog import call_of

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
