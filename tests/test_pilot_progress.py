"""A pilot that is stopped goes on where it was, and leaves nothing behind once it is done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dissectreport.pipeline import pilot_progress
from dissectreport.pipeline.pass_runner import PassRunner
from dissectreport.pipeline.pilot_progress import FILE, PilotProgress
from dissectreport.pipeline.reporter import Silent
from dissectreport.run.engine import Workers
from dissectreport.run.plan import Reading
from dissectreport.run.shards import shards
from dissectreport.stats.histogram import Histogram

READINGS = [Reading("a"), Reading("b", rotation=3)]
PARTS = shards(64, 16)


def counted_shard(first: int) -> dict[str, Histogram]:
    """Histograms of two readings that differ from shard to shard."""
    cells = np.arange(6, dtype=np.int64).reshape(2, 3)
    return {r.key: Histogram(np.zeros(2), np.ones(2), cells + first + n) for n, r in enumerate(READINGS)}


def progress(cache: Path, facts: int = 1) -> PilotProgress:
    """What is known of a pilot."""
    return PilotProgress(PassRunner(cache, "cpu", Workers(1), Silent()), {"facts": facts}, READINGS)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is kept after every shard."""
    monkeypatch.setattr(pilot_progress, "EVERY", 0.0)


@pytest.mark.usefixtures("always")
def test_what_was_counted_is_not_counted_again(tmp_path: Path) -> None:
    whole, first = progress(tmp_path / "whole"), progress(tmp_path / "stopped")
    for shard in PARTS:
        whole.add(shard, counted_shard(shard.first))
    for shard in (PARTS[2], PARTS[0]):
        first.add(shard, counted_shard(shard.first))
    again = progress(tmp_path / "stopped")
    assert again.missing(PARTS) == [PARTS[1], PARTS[3]]
    for shard in again.missing(PARTS):
        again.add(shard, counted_shard(shard.first))
    for reading in READINGS:
        assert np.array_equal(again.sums[reading.key].counts, whole.sums[reading.key].counts)
    again.finish()
    assert not again.store.folder.exists()
    whole.finish()
    assert whole.runner.folders == again.runner.folders == set(), "a record must not depend on how long a pilot takes"


@pytest.mark.usefixtures("always")
def test_damaged_progress_and_that_of_another_pilot_is_not_used(tmp_path: Path) -> None:
    first = progress(tmp_path)
    first.add(PARTS[0], counted_shard(0))
    assert progress(tmp_path, facts=2).missing(PARTS) == list(PARTS)
    path = first.store.path(FILE)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert progress(tmp_path).missing(PARTS) == list(PARTS)


def test_a_short_pilot_writes_nothing(tmp_path: Path) -> None:
    first = progress(tmp_path)
    first.add(PARTS[0], counted_shard(0))
    first.finish()
    assert list(tmp_path.rglob("*.npz")) == []
