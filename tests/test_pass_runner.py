"""Passes run what a store lacks, save each result as it comes, and report how far they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dissectreport.pipeline.pass_runner import PassRunner
from dissectreport.pipeline.precision import HalfPrecision, choose_precision
from dissectreport.records.interventions import RemainingArea
from dissectreport.run.engine import Workers
from dissectreport.run.shards import Shard, shards
from dissectreport.stats.areas import Areas
from tests.support.reporters import RecordingReporter


def runner(cache: Path) -> tuple[PassRunner, RecordingReporter]:
    reporter = RecordingReporter()
    return PassRunner(cache, "cpu", Workers(1), reporter), reporter


def make_areas() -> Callable[[Shard], Areas]:
    def work(shard: Shard) -> Areas:
        samples = np.arange(shard.first, shard.first + shard.count)
        return Areas(samples, np.array([1]), samples[:, None], 100)

    return work


def test_a_pass_counts_what_is_missing_and_reports_samples(tmp_path: Path) -> None:
    passes, reporter = runner(tmp_path)
    store, wanted = passes.open("areas", {"seed": 1}), shards(20, 8)
    passes.count(store, make_areas, wanted[:1], "counting")
    reporter.steps.clear()
    passes.count(store, make_areas, wanted, "counting")
    assert [step[1:] for step in reporter.steps] == [(8, 20, "samples"), (16, 20, "samples"), (20, 20, "samples")]
    assert passes.total(store, wanted, Areas).pixels[:, 0].tolist() == list(range(20))
    assert store.load(store.names()[0])["device"] == "cpu"
    assert passes.folders == {store.folder.name}


def test_a_pass_that_was_stopped_keeps_what_was_done_and_continues(tmp_path: Path) -> None:
    passes, _ = runner(tmp_path)
    store, wanted, calls = passes.open("areas", {}), shards(24, 8), []

    def make() -> Callable[[Shard], Areas]:
        work = make_areas()

        def stopping(shard: Shard) -> Areas:
            calls.append(shard.number)
            if calls == [0, 1]:
                raise KeyboardInterrupt
            return work(shard)

        return stopping

    with pytest.raises(KeyboardInterrupt):
        passes.count(store, make, wanted, "counting")
    passes.count(store, make, wanted, "counting")
    assert calls == [0, 1, 1, 2]
    passes.count(store, make, wanted, "counting")
    assert calls == [0, 1, 1, 2], "nothing is missing"


def test_a_damaged_result_is_reported_and_made_again(tmp_path: Path) -> None:
    passes, reporter = runner(tmp_path)
    store, wanted = passes.open("areas", {}), shards(8, 8)
    passes.count(store, make_areas, wanted, "counting")
    path = store.path(store.names()[0])
    before = path.read_bytes()
    path.write_bytes(before[:40])
    passes.count(store, make_areas, wanted, "counting")
    assert path.read_bytes() == before
    assert reporter.lines == [f"{path} was damaged; it is measured again"]


def test_values_are_saved_by_name_and_computed_once(tmp_path: Path) -> None:
    passes, reporter = runner(tmp_path)
    store = passes.open("values", {})
    passes.save_values(store, lambda: lambda n: RemainingArea(np.array([n])), [3, 5], str, "learning", "concepts")
    assert store.names() == ["3", "5"]
    assert reporter.steps == [("learning", done, 2, "concepts") for done in (0, 1, 2)]
    assert passes.once(store, HalfPrecision, lambda: HalfPrecision(0.5)).value == 0.5
    assert passes.once(store, HalfPrecision, lambda: HalfPrecision(0.7)).value == 0.5


def test_a_value_lies_where_its_content_says(tmp_path: Path) -> None:
    passes, _ = runner(tmp_path)
    places = [passes.keep("left", {}, RemainingArea(np.array(pixels))) for pixels in ([1], [2], [1])]
    assert places[0] == places[2] != places[1]


@pytest.mark.parametrize(
    ("asked", "is_fast", "is_close", "precision"),
    [
        ("float32", True, True, "float32"),
        ("bfloat16", False, False, "bfloat16"),
        ("auto", True, True, "bfloat16"),
        ("auto", True, False, "float32"),
        ("auto", False, True, "float32"),
    ],
)
def test_a_precision_is_the_one_asked_for_or_the_fast_one_that_is_close(
    asked: str, is_fast: bool, is_close: bool, precision: str
) -> None:
    assert choose_precision(asked, is_fast, lambda: is_close) == precision


@pytest.mark.parametrize(("asked", "is_fast"), [("float32", True), ("bfloat16", True), ("auto", False)])
def test_closeness_is_measured_only_where_it_decides(asked: str, is_fast: bool) -> None:
    def never() -> bool:
        raise AssertionError("measured")

    choose_precision(asked, is_fast, never)
