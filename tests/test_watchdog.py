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

LIMIT = 1.0


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
        for _ in range(8):
            with call_of("segmenter 'quick'"):
                time.sleep(LIMIT / 5)
        return shard

    return work


@pytest.mark.parametrize("workers", [1, 2])
def test_a_call_that_hangs_is_named(workers: int) -> None:
    began = time.monotonic()
    with Workers(workers, LIMIT) as pool, pytest.raises(DissectReportError, match=r"segmenter 'slow'.* 1 s.*--timeout"):
        list(pool.run(hangs, [1, 2]))
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("workers", [1, 2])
def test_the_limit_is_that_of_one_call(workers: int) -> None:
    with Workers(workers, LIMIT) as pool:
        assert sorted(pool.run(answers, [1, 2])) == [(1, 1), (2, 2)]


def test_a_call_that_cannot_be_interrupted_ends_the_process(tmp_path: Path) -> None:
    script = tmp_path / "stubborn.py"
    script.write_text(
        "import time\n"
        "from dissectreport.run.engine import Workers\n"
        "from dissectreport.run.watchdog import call_of\n"
        "def make():\n"
        "    def work(shard):\n"
        "        with call_of('generator of mine'):\n"
        "            while True:\n"
        "                try:\n"
        "                    time.sleep(0.1)\n"
        "                except BaseException:\n"
        "                    pass\n"
        "    return work\n"
        "list(Workers(1, 0.5).run(make, [1]))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "generator of mine has not answered for 0.5 s" in done.stderr
    assert "Traceback" not in done.stderr
