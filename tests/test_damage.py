"""No bit of a cache changes unnoticed, no file counts in the wrong place, and no record leads outside the cache."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import dissectreport
from dissectreport.cache import records
from dissectreport.cache.reader import CacheReader
from dissectreport.cache.store import DIGEST, Store, folders, is_sealed, sealed_json
from dissectreport.errors import CacheError, UnknownName
from dissectreport.pipeline import cache_tools
from dissectreport.pipeline.journal import Journal
from dissectreport.pipeline.options import Options
from dissectreport.stats.joint import Joint
from tests.support.reporters import RecordingReporter

FLIPS = 2000
"""Random bits that are flipped in large files."""


def measure(cache: Path) -> RecordingReporter:
    reporter = RecordingReporter()
    few = {"samples": 32, "pilot": 32, "workers": 1, "controls": False, "interventions": False, "artifacts": False}
    options = Options("planted", cache=cache, layers=("features",), device="cpu", **few)
    dissectreport.measure(options, reporter)
    return reporter


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished cache."""
    cache = tmp_path_factory.mktemp("finished")
    measure(cache)
    return cache


@pytest.fixture
def cache(finished: Path, tmp_path: Path) -> Path:
    """A copy of it that may be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "cache"))


def flipped(content: bytes, byte: int, bit: int) -> bytes:
    return content[:byte] + bytes([content[byte] ^ 1 << bit]) + content[byte + 1 :]


def every_byte(content: bytes) -> Iterator[bytes]:
    """The content with one bit of each byte changed."""
    bits = np.random.default_rng(1).integers(0, 8, len(content))
    for byte, bit in enumerate(bits):
        yield flipped(content, byte, int(bit))


def record_of(cache: Path) -> Path:
    (path,) = (cache / "records").glob("*.json")
    return path


def test_every_byte_of_a_record_matters(cache: Path) -> None:
    path = record_of(cache)
    for damaged in every_byte(path.read_bytes()):
        path.write_bytes(damaged)
        assert records.damaged(cache) == [path], damaged


def test_every_byte_of_the_facts_matters(cache: Path) -> None:
    for store in list(folders(cache / "measurements"))[:2]:
        whole = store.facts_path.read_bytes()
        for damaged in every_byte(whole):
            store.facts_path.write_bytes(damaged)
            assert not store.has_facts(), damaged
        store.facts_path.write_bytes(whole)


def test_any_bit_of_measurements_matters(cache: Path) -> None:
    random = np.random.default_rng(2)
    files = sorted((cache / "measurements").glob("*/*.npz"))
    for _ in range(FLIPS // len(files) + 1):
        for path in files:
            whole = path.read_bytes()
            path.write_bytes(flipped(whole, int(random.integers(len(whole))), int(random.integers(8))))
            is_sealed.cache_clear()
            assert not Store(path.parent).is_intact(path.stem)
            path.write_bytes(whole)
    is_sealed.cache_clear()
    assert cache_tools.damaged(cache) == []


def test_a_shard_in_the_place_of_another_is_damage(cache: Path) -> None:
    store = next(store for store in folders(cache / "measurements") if len(store.names()) > 1)
    first, second = (store.path(name) for name in store.names()[:2])
    shutil.copy(first, second)
    assert not store.is_intact(second.stem) and store.is_intact(first.stem)
    with pytest.raises(CacheError, match="is damaged"):
        store.load(second.stem)


def test_the_file_of_another_folder_is_damage(cache: Path) -> None:
    first, second = list(folders(cache / "measurements"))[:2]
    name = first.names()[0]
    shutil.copy(first.path(name), second.path(name))
    assert not second.is_intact(name)


@pytest.mark.parametrize("kind", ["record", "facts", "arrays"])
def test_damage_is_reported_and_repaired_by_the_next_run(cache: Path, finished: Path, kind: str) -> None:
    store = next(iter(folders(cache / "measurements")))
    victim = {"record": record_of(cache), "facts": store.facts_path, "arrays": store.path(store.names()[0])}[kind]
    whole = victim.read_bytes()
    victim.write_bytes(flipped(whole, len(whole) // 2, 0))
    assert cache_tools.damaged(cache) == [victim]
    assert any(str(victim) in line and "was damaged" in line for line in measure(cache).lines)
    assert victim.read_bytes() == whole and cache_tools.damaged(cache) == []


def test_pipes_and_links_in_a_cache_are_neither_waited_for_nor_written_through(cache: Path, tmp_path: Path) -> None:
    store = next(iter(folders(cache / "measurements")))
    victims = [store.path(store.names()[0]), store.facts_path, record_of(cache)]
    for victim in victims:
        victim.unlink()
        os.mkfifo(victim)
    assert set(cache_tools.damaged(cache)) >= {victims[0], victims[2]}
    assert any("was damaged" in line for line in measure(cache).lines)
    assert cache_tools.damaged(cache) == []
    precious = tmp_path / "precious"
    shutil.move(store.folder, precious)
    store.folder.symlink_to(precious)
    (precious / "facts.json").write_text("mine")
    with pytest.raises(CacheError, match="is a symbolic link, and the cache is not written through links"):
        measure(cache)
    assert (precious / "facts.json").read_text() == "mine"


def test_the_news_of_a_run_are_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    news = Journal(RecordingReporter(), Options("planted", cache=tmp_path))
    news.path.parent.mkdir()
    news.path.symlink_to(tmp_path / "precious")
    news._write("running")
    assert (tmp_path / "precious").read_text() == "mine" and not news.path.is_symlink()


@pytest.mark.parametrize("name", ["../../precious", "/tmp", "..", "", "0123456789ABCDEF", "0123456789abcdef/.."])
def test_a_record_that_names_other_folders_removes_nothing(cache: Path, tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years")
    path = record_of(cache)
    value = json.loads(path.read_text())
    del value[DIGEST]
    path.write_bytes(sealed_json({**value, "folders": [name]}, path.name))
    assert records.damaged(cache) == [path]
    with pytest.raises(UnknownName):
        cache_tools.clear(cache, "planted")
    assert (precious / "thesis.txt").read_text() == "years"
    with pytest.raises(CacheError, match="is not a folder of measurements"):
        next(CacheReader(cache / "measurements").stats(name or "..", 32, 16, Joint))


WRONG = {
    "samples": (None, True, 1.5, "1", [1]),
    "model": (None, 1, ["planted"]),
    "plan": (None, 1, "plan"),
    "layers": (None, 1, [1], {"name": "features"}),
    "run": (None, True, "1"),
    "segmenter": (None, "planted"),
    "vocabulary": (None, [["sky"]], [[1, 2]]),
    "mixed_devices": (None, 0, "no"),
}
"""By field of a record, values of other types."""


@pytest.mark.parametrize(("field", "wrong"), [(field, wrong) for field, values in WRONG.items() for wrong in values])
def test_a_field_of_another_type_is_damage(cache: Path, field: str, wrong: object) -> None:
    path = record_of(cache)
    value = json.loads(path.read_text())
    del value[DIGEST]
    path.write_bytes(sealed_json({**value, field: wrong}, path.name))
    assert records.damaged(cache) == [path]
