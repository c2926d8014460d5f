"""A run in parts, as the page on many machines has it: the same bytes as one process leaves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dissectreport
from dissectreport.errors import BadOption, CacheError, FolderError
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.parts import measure_part, merge
from dissectreport.run.shards import WHOLE, RunPart
from tests.support.documents import blocks
from tests.support.reporters import RecordingReporter

WORDS = "planted --quick --layers features --samples 64 --workers 1 --device cpu --no-interventions --no-artifacts"
SBATCH = """#!{python}
import os, re, subprocess, sys

*options, script = sys.argv[1:]
first, last = next((map(int, re.findall(r"\\d+", word)) for word in options if "--array" in word), (0, 0))
for task in range(first, last + 1):
    os.environ["SLURM_ARRAY_TASK_ID"] = str(task)
    subprocess.run(["sh", script], check=True, stdout=sys.stderr)
print(len(options))
"""
"""A scheduler that runs a script at once, each task of an array in turn."""


def options(cache: Path, quick: bool = False) -> Options:
    return Options(
        "planted",
        layers=("features",),
        samples=64,
        pilot=32,
        quick=quick,
        workers=1,
        device="cpu",
        cache=cache,
        interventions=False,
        artifacts=False,
    )


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that one process measured."""
    cache = tmp_path_factory.mktemp("whole")
    dissectreport.measure(options(cache))
    return cache


def test_parts_hold_every_item_once() -> None:
    assert sorted(item for n in (1, 2, 3) for item in RunPart(n, 3).taken(range(10))) == list(range(10))
    assert list(RunPart(0, 3).taken(range(10))) == [] and list(WHOLE.taken(range(10))) == list(range(10))
    for words in ("", "3", "4/3", "1/0", "-1/3", "1/3/4", "a/b"):
        with pytest.raises(BadOption, match="from 1/8 to 8/8"):
            RunPart.parse(words)


def test_parts_in_caches_of_their_own_are_merged_to_the_bytes_of_one_process(whole: Path, tmp_path: Path) -> None:
    prepared, first, second = (tmp_path / name for name in ("prepared", "first", "second"))
    assert measure_part(options(prepared), RunPart.parse("0/2")) == 0
    for number, cache in ((1, first), (2, second)):
        shutil.copytree(prepared, cache)
        reporter = RecordingReporter()
        assert measure_part(options(cache), RunPart(number, 2), reporter) == 32
        assert f"part {number} of 2: 32 of 64 samples" in reporter.lines[0]
        assert all(total == 32 for steps in reporter.tasks.values() for _, total in steps)
    with pytest.raises(CacheError, match=r"32 of 64 samples are not counted .*the first of them sample 16; run"):
        merge(options(first))
    victim = next(
        path for path in second.glob("measurements/*/samples-*.npz") if not (first / path.relative_to(second)).exists()
    )
    intact = victim.read_bytes()
    victim.write_bytes(b"")
    with pytest.raises(CacheError, match="16 of 64 samples are not counted"):
        merge(options(first), [second], reporter)
    assert f"{victim} is damaged; it was left out" in reporter.lines
    victim.write_bytes(intact)
    merge(options(first), [second])
    assert content(first) == content(whole)


def test_what_cannot_be_divided_or_merged_is_refused(tmp_path: Path) -> None:
    published = Options("planted", rule="pnas2020", layers=("features",), samples=64, cache=tmp_path, device="cpu")
    with pytest.raises(BadOption, match="pnas2020 takes its thresholds from all images"):
        measure_part(published, RunPart(1, 2))
    with pytest.raises(FolderError, match="holds no measurements"):
        merge(options(tmp_path), [tmp_path / "nothing"])


@pytest.mark.extended
@pytest.mark.slow
def test_the_page_on_many_machines_can_be_followed(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "sbatch").write_text(SBATCH.format(python=sys.executable))
    (programs / "sbatch").chmod(0o755)
    codes = [re.sub(r"ffhq\.pkl --samples 10000", WORDS, code) for code in blocks("cluster.md", "sh")]
    codes = [code.replace("ffhq.pkl", "planted").replace("/8", "/2").replace("1-8", "1-2") for code in codes]
    scripts = [code for code in codes if code.startswith("#!")]
    for code in scripts:
        name = re.search(r"# (\S+\.sh)\n", code)
        assert name is not None
        (tmp_path / name[1]).write_text(code)
    submit = next(code for code in codes if "--parsable" in code)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    ran = subprocess.run(["sh", "-e", "-c", submit], cwd=tmp_path, env={**os.environ, "PATH": path})
    assert ran.returncode == 0
    assert (tmp_path / "site" / "index.html").exists()
    dissectreport.measure(options(tmp_path / "one", quick=True))
    assert content(tmp_path / "cache") == content(tmp_path / "one")
