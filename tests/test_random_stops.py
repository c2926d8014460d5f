"""A build that is killed or stopped at any moment leaves nothing wrong: the same command ends with the same bytes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.processes import accept_ctrl_c
from tests.support.tiers import extended

BUILD = (
    *(sys.executable, "-m", "dissectreport", "build", "planted", "--samples", "64"),
    *("--no-interventions", "--no-artifacts", "--device", "cpu", "--cache", "cache", "--out", "site"),
)
ENDS = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT)
FEW, TIMES = 1, 10
"""Builds that are ended in a usual run, a stop with two workers, and in an extended one."""


class Undisturbed(NamedTuple):
    """A build that nobody stopped."""

    files: dict[str, bytes]
    seconds: float


def built(folder: Path, workers: int) -> dict[str, bytes]:
    """The bytes of all files of the cache and the site, after a build that ends well."""
    done = subprocess.run([*BUILD, "--workers", str(workers)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A build that ended by itself."""
    began = time.monotonic()
    files = built(tmp_path_factory.mktemp("undisturbed"), 1)
    return Undisturbed(files, time.monotonic() - began)


def ended(folder: Path, workers: int, moment: float, how: signal.Signals) -> tuple[int, str]:
    """The status and the last words of a build that is ended some seconds after it has begun."""
    process = subprocess.Popen(
        [*BUILD, "--workers", str(workers)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=accept_ctrl_c,
    )
    # Until a program has loaded what it is made of, signals are Python's own affair; a kill is nobody's.
    while how != signal.SIGKILL and not (folder / "cache").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(moment)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.slow
@pytest.mark.parametrize("number", [*range(FEW), *map(extended, range(FEW, TIMES))])
def test_a_build_that_is_ended_at_any_moment_continues_to_the_same_bytes(
    undisturbed: Undisturbed, tmp_path: Path, number: int
) -> None:
    chance = random.Random(number)
    how, workers = ENDS[number % len(ENDS)], 2 - number % 2
    moment = chance.uniform(0, undisturbed.seconds)
    status, said = ended(tmp_path, workers, moment, how)
    assert status in (0, -signal.SIGKILL, 130), f"{how.name} after {moment:.1f} s: {said}"
    assert "Traceback" not in said
    assert built(tmp_path, workers) == undisturbed.files
