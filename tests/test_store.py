"""A store writes whole files or nothing, knows what it holds, and notices damage."""

import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dissectreport import files
from dissectreport.cache.archive import array_of, npy
from dissectreport.cache.store import Store
from dissectreport.errors import CacheError, OutputError

ARRAYS = {"counts": np.arange(12).reshape(3, 4), "share": np.array([0.5, np.nan]), "one": np.int64(7)}


@pytest.fixture
def place(tmp_path):
    return Store.open(tmp_path, {"kind": "test", "seed": 1})


def test_arrays_come_back_as_they_were(place):
    place.save("a", ARRAYS)
    back = place.load("a")
    assert {name: value.shape for name, value in back.items()} == {"counts": (3, 4), "share": (2,), "one": ()}
    assert np.array_equal(back["counts"], ARRAYS["counts"]) and back["one"] == 7
    assert np.array_equal(back["share"], ARRAYS["share"], equal_nan=True)


def test_the_same_arrays_give_the_same_bytes(place):
    place.save("a", ARRAYS)
    first = place.path("a").read_bytes()
    place.save("a", dict(reversed(ARRAYS.items())))
    assert place.path("a").read_bytes() == first


def test_only_what_begins_with_the_prefix_is_read(place):
    place.save("a", {"joint.total": np.ones(2), "chance.on": np.ones(3)})
    assert list(place.load("a", lambda keys: [key for key in keys if key.startswith("joint.")])) == ["joint.total"]


def test_the_folder_depends_on_every_fact(tmp_path):
    names = {Store.open(tmp_path, facts).folder.name for facts in ({"a": 1}, {"a": 2}, {"a": 1, "b": None})}
    assert len(names) == 3


@pytest.mark.parametrize("damage", ['{"kind": "other"}', "", "\0\0"])
def test_damaged_facts_are_written_again_because_the_folder_is_named_by_them(place, tmp_path, damage):
    (place.folder / "facts.json").write_text(damage)
    again = Store.open(tmp_path, {"kind": "test", "seed": 1})
    assert again.folder == place.folder
    assert again.facts() == {"kind": "test", "seed": 1}


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_noticed(place, keep):
    place.save("a", {"counts": np.random.default_rng(0).integers(0, 1000, 4096)})
    whole = place.path("a").read_bytes()
    place.path("a").write_bytes(whole[: int(len(whole) * keep)])
    assert not place.is_intact("a")
    with pytest.raises(CacheError, match="damaged"):
        place.load("a")


def test_a_flipped_bit_in_the_data_is_noticed(place):
    place.save("a", {"counts": np.random.default_rng(0).integers(0, 1000, 4096)})
    content = bytearray(place.path("a").read_bytes())
    content[len(content) // 2] ^= 1
    place.path("a").write_bytes(bytes(content))
    assert not place.is_intact("a")


def test_a_missing_file_is_one_line_that_says_what_to_do(place):
    with pytest.raises(CacheError, match="missing; `dissectreport measure` measures it again"):
        place.load("nothing")


@pytest.mark.parametrize("step", ["write", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(place, monkeypatch, step):
    place.save("a", ARRAYS)
    before = {path.name: path.read_bytes() for path in place.folder.iterdir()}

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fdopen" if step == "write" else "replace", full)
    with pytest.raises(OutputError, match="no space left"):
        place.save("a", {"counts": np.zeros(3)})
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in place.folder.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another folder"):
        files.check_writable(tmp_path / "file" / "site")


def test_the_cache_folder_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.default_folder() == tmp_path / "dissectreport"


@pytest.mark.parametrize("values", [[0, 255], [0, 256], [70_000], [2**40], [-1, 3], []])
def test_counts_are_kept_in_the_smallest_type_and_come_back_equal(place, values):
    place.save("a", {"counts": np.array(values, np.int64)})
    assert np.array_equal(place.load("a")["counts"].astype(np.int64), np.array(values, np.int64))


@pytest.mark.skipif(os.name == "nt", reason="no such rights")
def test_files_have_the_rights_of_any_new_file(tmp_path: Path) -> None:
    files.write(tmp_path / "ours.json", b"{}")
    (tmp_path / "plain.json").write_bytes(b"{}")
    assert (tmp_path / "ours.json").stat().st_mode == (tmp_path / "plain.json").stat().st_mode


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(()),
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array(["a", "bc"]),
        np.zeros((0, 3)),
        np.array([True]),
        np.arange(3, dtype=">u2"),
    ],
)
def test_arrays_are_read_as_numpy_reads_them(array: NDArray[np.generic]) -> None:
    content = npy(array)
    found, expected = array_of(content), np.lib.format.read_array(io.BytesIO(content))
    assert found.dtype == expected.dtype and found.shape == expected.shape and found.flags.writeable
    assert np.array_equal(found, expected)
    for damaged in (content[:-1] if array.size else content[:20], content + b"0", content[3:], b""):
        with pytest.raises(ValueError, match=r"."):
            array_of(damaged)


def test_no_python_object_is_read() -> None:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="objects"):
        array_of(file.getvalue())
