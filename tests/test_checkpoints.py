"""Files of weights: every kind gives the same tensors, and what is no weights is refused in one line."""

from __future__ import annotations

import argparse
import datetime
import gzip
import hashlib
import os
import pickle
import random
import sys
import tarfile
import time
import types
import uuid
import zipfile
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dissectreport.checkpoints.pickles import imported_names
from dissectreport.checkpoints.plain_data import is_data
from dissectreport.checkpoints.state_dicts import load_exactly, select_tensors
from dissectreport.checkpoints.weight_files import read_checkpoint, read_tensors
from dissectreport.errors import WeightsError


def some() -> dict[str, Tensor]:
    """A few tensors of different types and shapes."""
    random = torch.Generator().manual_seed(0)
    return {
        "a.weight": torch.randn(3, 2, generator=random),
        "a/b": torch.randn(4, generator=random).half(),
        "count": torch.tensor(7),
    }


def as_safetensors(path: Path) -> None:
    save_file(some(), path)


def as_torch(path: Path) -> None:
    torch.save(some(), path)


def as_old_torch(path: Path) -> None:
    torch.save(some(), path, _use_new_zipfile_serialization=False)


def as_wrapped(path: Path) -> None:
    torch.save({"state_dict": some(), "step": 7, "name": "church"}, path)


def as_arrays(path: Path) -> None:
    np.savez(path, **{name: value.numpy() for name, value in some().items()})


KINDS = {
    "safetensors": (as_safetensors, "weights.safetensors"),
    "torch": (as_torch, "weights.pth"),
    "old torch": (as_old_torch, "weights.pt"),
    "wrapped": (as_wrapped, "weights.ckpt"),
    "arrays": (as_arrays, "weights.npz"),
    "another ending": (as_torch, "weights.bin"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_gives_the_same_tensors_in_single_precision(tmp_path: Path, kind: str) -> None:
    write, name = KINDS[kind]
    write(tmp_path / name)
    read = read_tensors(tmp_path / name)
    expected = some()
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[key], expected[key].float() if key != "count" else expected[key]) for key in read)
    assert {str(value.dtype) for value in read.values()} == {"torch.float32", "torch.int64"}


def test_a_header_whose_length_begins_as_a_pickle_does_is_no_pickle(tmp_path: Path) -> None:
    path, name = tmp_path / "network.safetensors", "w"
    while True:
        save_file({name: torch.ones(2)}, path)
        if path.read_bytes()[0] == 0x80:
            break
        name += "w"
    assert torch.equal(read_tensors(path)[name], torch.ones(2))


def test_a_file_of_several_networks_is_read_as_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "gan.pt"
    torch.save({"g_ema": some(), "steps": 12, "d": some()}, path)
    found = read_checkpoint(path)
    assert found.content["steps"] == 12
    assert found.content["g_ema"].keys() == some().keys()
    with pytest.raises(WeightsError, match="'g_ema' is a dict; it should be a tensor"):
        read_tensors(path)


def test_the_digest_is_whole_and_may_be_checked_by_its_first_digits(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    as_torch(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for known in ("", digest[:8], digest, digest.upper()):
        assert read_checkpoint(path, known).sha256 == digest


class Coat(nn.Module):
    """A network of somebody's own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))


class Runs:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (Path(RAN),)


RAN = "/nowhere"


def naming(module: str, name: str, protocol: int) -> bytes:
    """A pickle that calls something of a repository that is not here."""
    if protocol < 4:
        words = b"c" + f"{module}\n{name}\n".encode()
    else:
        words = b"".join(b"\x8c" + bytes([len(word)]) + word.encode() for word in (module, name)) + b"\x93"
    return b"\x80" + bytes([protocol]) + words + b")R."


def write_tar(path: Path) -> None:
    inner = path.with_name("inner")
    inner.write_bytes(b"x")
    with tarfile.open(path, "w") as archive:
        archive.add(inner, "inner")


def zip_of(*names: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "hello")

    return write


def cut(write: Callable[[Path], None]) -> Callable[[Path], None]:
    """Writes a file without its second half."""

    def halve(path: Path) -> None:
        write(path)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])

    return halve


def bytes_of(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


@pytest.mark.parametrize(("new", "core"), [(True, "_core"), (False, "_core"), (False, "core")])
def test_options_and_numbers_may_lie_beside_the_weights(tmp_path: Path, new: bool, core: str) -> None:
    path = tmp_path / "w.pth"
    beside = {"args": argparse.Namespace(size=8, betas=(0.0, 0.9)), "best": np.float64(3.5), "step": np.int64(7)}
    torch.save({"g_ema": some(), **beside}, path, _use_new_zipfile_serialization=new, pickle_protocol=2)
    if not new:  # Where nothing counts bytes, the name can be that of numpy's older versions.
        path.write_bytes(path.read_bytes().replace(b"numpy._core.", f"numpy.{core}.".encode()))
    content = read_checkpoint(path).content
    assert {name: content[name] for name in beside} == beside
    assert set(content["g_ema"]) == set(some())


class Options(dict):  # type: ignore[type-arg]
    """Stands for the dictionaries with other names in which training programs keep their options."""


Options.__module__, Options.__qualname__ = "easydict", "EasyDict"

BESIDE = {
    "numpy's random numbers": lambda: np.random.RandomState(0).get_state(),
    "a newer generator": lambda: np.random.default_rng(0).bit_generator.state,
    "a generator itself": lambda: np.random.default_rng(0),
    "Python's random numbers": lambda: random.getstate(),
    "torch's random numbers": lambda: torch.get_rng_state(),
    "a path": lambda: argparse.Namespace(out=Path("runs/1")),
    "a path of Windows": lambda: PureWindowsPath("runs/1"),
    "slices and ranges": lambda: (
        slice(1, 2),
        range(3),
        frozenset([1]),
        {1, 2},
        complex(1, 2),
        bytearray(b"a"),
        b"bytes",
    ),
    "collections": lambda: (deque([1], 3), defaultdict(list, a=[1]), Counter("ab"), OrderedDict(a=1)),
    "times": lambda: (datetime.datetime.now(datetime.UTC), datetime.date(2024, 5, 17), datetime.timedelta(1)),
    "numbers": lambda: (
        np.float32(1),
        np.bool_(True),
        np.str_("a"),
        np.arange(3),
        np.array(["a"]),
        Decimal(1),
        Fraction(1),
    ),
    "structured arrays": lambda: (np.zeros(2, [("a", "f4")]), np.array([{}, None]), np.array(["2024"], "M8[Y]")),
    "types": lambda: (np.float32, np.dtype(">f8"), int, list, torch.float16, torch.device("cpu"), torch.Size([1])),
    "an identifier": lambda: uuid.UUID(int=7),
    "a table with another name": lambda: Options(size=8),
    "a namespace": lambda: types.SimpleNamespace(a=types.SimpleNamespace(b=1)),
}


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("kind", BESIDE)
def test_data_beside_the_weights_is_skipped(
    tmp_path: Path, kind: str, new: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "easydict", types.SimpleNamespace(EasyDict=Options))  # type: ignore[misc]
    path = tmp_path / "w.pth"
    torch.save(
        {"before": BESIDE[kind](), "g": some(), "after": BESIDE[kind]()}, path, _use_new_zipfile_serialization=new
    )
    content = read_checkpoint(path).content
    assert list(content) == ["before", "g", "after"]
    assert all(torch.equal(content["g"][name], value) for name, value in some().items())


def test_arrays_of_numpy_are_weights_as_well(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "b": np.arange(3, dtype=">i4"), "c": np.float16([1, 2])}
    torch.save(arrays, tmp_path / "w.pth")
    read = read_tensors(tmp_path / "w.pth")
    assert all(np.array_equal(read[name].numpy(), value) for name, value in arrays.items())
    assert set(select_tensors(read_checkpoint(tmp_path / "w.pth").content)) == set(arrays)


def test_a_stand_in_does_not_lead_to_code(tmp_path: Path) -> None:
    for name in (
        "os.system",
        "pathlib.Path.touch",
        "builtins.getattr",
        "builtins.eval",
        "numpy.load",
        "evil.EasyDict.run",
    ):
        assert not is_data(name)
    assert is_data("__builtin__.xrange") and is_data("a.b.EasyDict") and is_data("torch._utils._rebuild_tensor_v2")
    hostile = b"\x80\x02cpathlib\nPosixPath\n(U\x01xtRcos\nsystem\n(U\x04truetR."
    (tmp_path / "w.pth").write_bytes(hostile)
    with pytest.raises(WeightsError, match=r"would run os\.system"):
        read_checkpoint(tmp_path / "w.pth")


def bomb(entry: str) -> Callable[[Path], None]:
    """Writes an archive of torch.save whose directory says that an entry has a terabyte."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("w/data.pkl", b"\x80\x02}.")
            archive.writestr("w/data/0", bytes(100))
            archive.getinfo(entry).file_size = 1 << 40

    return write


def write_views(path: Path) -> None:
    """One number that is expanded to a terabyte."""
    torch.save({"a": torch.ones(1).expand(1 << 19, 1 << 19)}, path)


def holes(beginning: bytes) -> Callable[[Path], None]:
    """Writes a file of 20 GB, of which only the beginning is there."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(beginning)
            file.truncate(20_000_000_000)

    return write


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


TOO_MUCH = {
    "bomb": (bomb("w/data/0"), "w.pth", "would unpack to 1,099,511,627,780: a zip bomb, which is not read"),
    "bomb of a pickle": (bomb("w/data.pkl"), "w.pth", "a zip bomb"),
    "sparse": (holes(b""), "w.pth", "no format that can be read|only 0.0 GB were ever written"),
    "sparse pickle": (holes(b"\x80\x02}q\x00."), "w.pth", "has 20.0 GB, of which only 0.0 GB were ever written"),
    "sparse archive": (holes(b"PK\x03\x04"), "w.pth", "its download was not finished"),
    "pipe": (lambda path: os.mkfifo(path), "w.pth", "cannot be read: not a regular file"),
    "device": (link("/dev/zero"), "w.pth", "cannot be read: not a regular file"),
    "terminal": (link("/dev/null"), "w.pth", "cannot be read: not a regular file"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_damaged_anywhere_is_read_or_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    write, name = KINDS[kind]
    path = tmp_path / name
    write(path)
    whole, chance = path.read_bytes(), random.Random(1)
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(chance.choice([1, 3, 20])):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content[: chance.choice([len(content), len(content), chance.randrange(len(content)) + 1])])
        assert "\n" not in _refusal(path)


def _refusal(path: Path) -> str:
    """Why a file's weights do not fit a small network; '' if they do."""
    try:
        load_exactly(nn.Linear(2, 3), select_tensors(read_checkpoint(path).content), "a line")
    except WeightsError as refused:
        return str(refused)
    return ""


@pytest.mark.skipif(sys.platform != "linux", reason="files with holes, pipes and devices as on Linux")
@pytest.mark.parametrize("case", TOO_MUCH)
def test_what_never_ends_is_not_read(tmp_path: Path, case: str) -> None:
    write, name, message = TOO_MUCH[case]
    write(tmp_path / name)
    start = time.monotonic()
    with pytest.raises(WeightsError, match=message) as refused:
        read_checkpoint(tmp_path / name)
    assert time.monotonic() - start < 2
    assert "\n" not in str(refused.value)


def test_tensors_that_are_larger_than_their_numbers_are_not_converted(tmp_path: Path) -> None:
    write_views(tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="would take 1,100 GB, but their file has 4 bytes of numbers"):
        read_tensors(tmp_path / "w.pth")


BROKEN = {
    "missing": (lambda path: None, "w.pth", "there is no such file"),
    "a folder": (Path.mkdir, "w.pth", "is a folder; give the file of weights in it"),
    "empty": (Path.touch, "w.pth", "is empty"),
    "cut torch": (cut(as_torch), "w.pth", "truncated: the directory at its end is missing"),
    "cut old torch": (cut(as_old_torch), "w.pth", "damaged, or was truncated"),
    "cut safetensors": (cut(as_safetensors), "w.safetensors", "not a safetensors file, or was truncated"),
    "cut arrays": (cut(as_arrays), "w.npz", "truncated"),
    "page": (bytes_of(b"\n<!DOCTYPE html><html><body>404</body></html>"), "w.pth", "is a web page"),
    "bare page": (bytes_of(b"<HTML><head>Moved</head></HTML>"), "w.safetensors", "is a web page"),
    "pointer": (bytes_of(b"version https://git-lfs.github.com/spec/v1\noid sha256:0"), "w.pth", "git-lfs pointer"),
    "tar": (write_tar, "w.pth", "is a tar archive"),
    "gzip": (bytes_of(gzip.compress(b"weights")), "w.pth", "compressed with gzip: unpack it with `gunzip -k"),
    "zip": (zip_of("readme.txt"), "w.zip", "zip archive of readme.txt: none of them is called like weights"),
    "program": (zip_of("w/data.pkl", "w/constants.pkl", "w/code/w.py"), "w.pt", "damaged, or was truncated"),
    "tensorflow": (
        bytes_of(b"\x00\x00\x0cfirst"),
        "model.ckpt-7.index",
        "part of a TensorFlow checkpoint.*numpy.savez",
    ),
    "tensorflow data": (bytes_of(b"\x00" * 600), "model.ckpt.data-00000-of-00001", "part of a TensorFlow checkpoint"),
    "checkpoint": (bytes_of(b'model_checkpoint_path: "model.ckpt-7"'), "checkpoint", "part of a TensorFlow checkpoint"),
    "keras": (bytes_of(b"\x89HDF\r\n\x1a\n"), "w.h5", "Keras"),
    "onnx": (bytes_of(b"\x08\x08\x12\x07pytorch\x1a\x052.0.0"), "g.onnx", "an ONNX program, not only weights"),
    "an index": (bytes_of(b'{\n  "weight_map": {}}'), "model.index.json", "is no index of weights"),
    "JSON": (bytes_of(b'{\n  "weight_map": {}}'), "model.json", "is JSON, not weights: .* weights = "),
    "image": (bytes_of(b"\x89PNG\r\n"), "w.pth", "is an image"),
    "cut newer pickle": (
        cut(lambda path: torch.save(some(), path, pickle_protocol=4, _use_new_zipfile_serialization=False)),
        "w.pth",
        "is damaged, was truncated, or has more than data",
    ),
    "code in a newer pickle": (
        lambda path: torch.save({"a": torch.zeros(1), "b": Runs()}, path, pickle_protocol=4),
        "w.pth",
        "would run",
    ),
    "damaged archive": (bytes_of(b"PK\x03\x04PK\x05\x06" + b"\xff" * 18), "w.pth", "damaged|truncated"),
    "exported program": (
        zip_of("w/archive_format", "w/models/model.json"),
        "w.pt2",
        "program .torch.export. without a table of weights",
    ),
    "text": (bytes_of(b"hello, world\n"), "w.pth", "no format that can be read"),
    "text, named safetensors": (bytes_of(b"hello, world\n"), "w.safetensors", "is not a safetensors file"),
    "a network": (lambda path: torch.save(nn.Sequential(nn.Linear(1, 1)), path), "w.pth", "contains a whole network"),
    "an old network": (
        lambda path: torch.save(nn.Linear(1, 1), path, _use_new_zipfile_serialization=False),
        "w.pth",
        r"contains a whole network \(torch.nn.modules.linear.Linear\)",
    ),
    "a network of one's own": (lambda path: torch.save(Coat(), path), "w.pth", r"test_checkpoints\.Coat"),
    "code": (lambda path: torch.save({"a": torch.zeros(1), "b": Runs()}, path), "w.pth", "would run"),
    "code among options": (
        lambda path: torch.save({"args": argparse.Namespace(a=Runs())}, path),
        "w.pth",
        "would run (?!argparse)",
    ),
    "pickled code": (lambda path: path.write_bytes(pickle.dumps({"a": Runs()})), "w.pkl", "would run"),
    "arrays of objects": (
        lambda path: np.savez(path, a=np.array([{}], dtype=object)),
        "w.npz",
        "something other than arrays of numbers",
    ),
    "words": (lambda path: np.savez(path, a=np.array(["x"])), "w.npz", "something other than arrays of numbers"),
    "a list": (
        lambda path: torch.save([torch.zeros(1)], path),
        "w.pth",
        "contains a list instead of a table",
    ),
    "stylegan3": (
        bytes_of(naming("torch_utils.persistence", "_reconstruct_persistent_obj", 4)),
        "w.pkl",
        "legacy.load_network_pkl",
    ),
    "stylegan, TensorFlow": (bytes_of(naming("dnnlib.tflib.network", "Network", 3)), "w.pkl", "numpy.savez"),
    "progressive, TensorFlow": (bytes_of(naming("tfutil", "Network", 2)), "w.pkl", "numpy.savez"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_weights_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    write, name, message = BROKEN[case]
    path = tmp_path / name
    write(path)
    with pytest.raises(WeightsError, match=message) as refused:
        read_tensors(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_torch_files_are_read_in_every_protocol(protocol: int, old: bool, tmp_path: Path) -> None:
    tensors = {
        **some(),
        "half": torch.arange(3).half(),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "part": torch.arange(9.0)[4:6],
        "nothing": torch.zeros(0, 3),
        "number": torch.tensor(2.5, dtype=torch.bfloat16),
    }
    content = {"state_dict": tensors, "epoch": 3, "args": argparse.Namespace(path=Path("x"))}
    torch.save(content, tmp_path / "w.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=not old)
    found = read_checkpoint(tmp_path / "w.pth").content["state_dict"]
    assert list(found) == list(tensors)
    for name, value in tensors.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value)


@pytest.mark.parametrize("old", [False, True])
def test_a_newer_pickle_that_is_damaged_anywhere_is_read_or_refused_in_one_line(tmp_path: Path, old: bool) -> None:
    path, chance = tmp_path / "w.pth", random.Random(2)
    torch.save(some(), path, pickle_protocol=4, _use_new_zipfile_serialization=not old)
    whole = path.read_bytes()
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(chance.choice([1, 3, 20])):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content[: chance.choice([len(content), chance.randrange(len(content)) + 1])])
        assert "\n" not in _refusal(path)


def test_the_wrong_file_is_refused_whatever_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    as_torch(path)
    with pytest.raises(WeightsError, match=r"not the file that its card describes .* not 7e701dd5…\).*; try another"):
        read_tensors(path, "7e701dd5", remedy="try another")


@pytest.mark.parametrize("old", [False, True])
def test_code_in_weights_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool) -> None:
    ran = tmp_path / "ran"
    monkeypatch.setitem(globals(), "RAN", str(ran))
    path = tmp_path / "w.pth"
    torch.save({"b": Runs()}, path, _use_new_zipfile_serialization=not old)
    with pytest.raises(WeightsError, match="code in weight files is never run"):
        read_tensors(path)
    assert not ran.exists()
    torch.load(path, weights_only=False)
    assert ran.exists(), "the file would have done it"


@pytest.mark.parametrize("protocol", range(2, 6))
def test_the_names_that_a_pickle_wants_are_those_that_unpickling_looks_up(protocol: int) -> None:
    looked_up = []

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            looked_up.append(f"{module}.{name}")
            return super().find_class(module, name)

    from io import BytesIO

    content = pickle.dumps([Coat(), some(), Path("x"), Coat(), {"state": slice(1, 2)}, np.float64(1)], protocol)
    Unpickler(BytesIO(content)).load()
    assert imported_names(content) == list(dict.fromkeys(looked_up))
    assert (
        imported_names(content[: len(content) // 2])
        == imported_names(content)[: len(imported_names(content[: len(content) // 2]))]
    )
