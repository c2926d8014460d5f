"""Pickles of NVIDIA's PyTorch programs: what is read as data, and what is refused before anything happens."""

from __future__ import annotations

import io
import os
import pickle
import sys
import time
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dissectreport.checkpoints.model_files import open_model_file
from dissectreport.checkpoints.pickled_tensors import pickled_tensor
from dissectreport.checkpoints.stylegan_pickles import is_stylegan_pickle, read_networks
from dissectreport.checkpoints.weight_files import read_checkpoint
from dissectreport.errors import WeightsError
from dissectreport.models.families.recognition import find

FOLDER = Path(__file__).parent / "fixtures" / "families"
MARK = "a text that is found again"
SMALL = {"weight": nn.Parameter(torch.arange(6.0).view(2, 3))}


class Call:
    """What a pickle calls when it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.function, self.arguments, self.state = function, arguments, state

    def __reduce__(self) -> Any:
        """The call, and the state that is set afterwards."""
        return (self.function, self.arguments, *((self.state,) if self.state is not None else ()))


@pytest.fixture(autouse=True)
def nvidia(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules by whose names test pickles call NVIDIA's functions."""
    for name in ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    exec_ = types.FunctionType((lambda meta: meta).__code__, globals(), "_reconstruct_persistent_obj")
    exec_.__module__, exec_.__qualname__ = "torch_utils.persistence", "_reconstruct_persistent_obj"
    monkeypatch.setattr(sys.modules["torch_utils.persistence"], "_reconstruct_persistent_obj", exec_, raising=False)


def module(parameters: Any, parts: Any = None, **more: Any) -> Call:
    """A network as NVIDIA's programs pickle it."""
    state = {"_parameters": parameters, "_buffers": {}, "_modules": parts or {}, **more}
    meta = {"type": "class", "version": 6, "module_src": "raise SystemExit", "class_name": "Generator", "state": state}
    return Call(vars(sys.modules["torch_utils.persistence"])["_reconstruct_persistent_obj"], meta)


def written(folder: Path, value: Any, protocol: int = 4) -> Path:
    """A pickle with a mark of NVIDIA's programs."""
    path = folder / "network.pkl"
    path.write_bytes(pickle.dumps({"training_set_kwargs": None, "G_ema": value}, protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    kwargs = {"z_dim": 4, "gain": np.float64(0.5), "flag": np.bool_(True), "size": np.array([1, 2])}
    inner = module({"bias": nn.Parameter(torch.ones(2, dtype=torch.float16))})
    value = module(SMALL, {"fc": inner}, _init_kwargs=kwargs, _non_persistent_buffers_set=set())
    network = read_networks(written(tmp_path, value, protocol))["G_ema"]
    assert list(network.tensors) == ["weight", "fc.bias"]
    assert torch.equal(network.tensors["weight"], SMALL["weight"])
    assert network.tensors["fc.bias"].dtype == torch.float16
    assert {name: network.settings[name] for name in ("z_dim", "gain", "flag")} == {
        "z_dim": 4,
        "gain": 0.5,
        "flag": True,
    }


def test_only_persistent_buffers_are_read(tmp_path: Path) -> None:
    buffers = {"kept": torch.zeros(2), "dropped": torch.zeros(2), "none": None}
    value = module({}, _buffers=buffers, _non_persistent_buffers_set={"dropped"})
    assert list(read_networks(written(tmp_path, value))["G_ema"].tensors) == ["kept"]


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.pkl")), ids=lambda path: path.stem)
def test_all_networks_of_a_file_are_read(file: Path) -> None:
    networks = read_networks(file)
    assert {"G", "D", "G_ema"} <= set(networks)
    assert list(networks["G"].tensors) == list(networks["G_ema"].tensors)
    assert not all(
        torch.equal(a, b) for a, b in zip(*(networks[n].tensors.values() for n in ("G", "G_ema")), strict=True)
    )


def forbidden() -> None:
    """Called by no file."""
    raise AssertionError("code in a file was run")


def storage(value: Any) -> Call:
    """The bytes of a storage that are loaded by torch."""
    stream = io.BytesIO()
    pickle.dump(0x1950A86A20F9469CFC6C, stream, 2)
    pickle.dump(1001, stream, 2)
    pickle.dump({"little_endian": True}, stream, 2)
    pickle.dump(value, stream, 2)
    pickle.dump([], stream, 2)
    return Call(torch.storage._load_from_bytes, stream.getvalue())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (lambda: Call(os.system, "true"), "system"),
        (lambda: module({"weight": Call(forbidden)}), "forbidden"),
        (lambda: module({"weight": Call(eval, "1")}), r"builtin.*\.eval"),
        (lambda: module({"weight": Call(getattr, 1, "real")}), r"builtin.*\.getattr"),
        (lambda: module({"weight": Call(torch.load, "x")}), r"torch\.serialization\.load"),
        (lambda: module({"weight": storage(Call(forbidden))}), "_load_from_bytes"),
        (lambda: module({"weight": storage({"a": 1})}), "_load_from_bytes"),
        (lambda: module({"weight": Call(dict.fromkeys, "ab")}), "getattr|fromkeys"),
        (lambda: nn.Linear(2, 2), r"torch\.nn\.modules\.linear\.Linear"),
    ],
    ids=["system", "function", "eval", "getattr", "load", "storage", "table", "dotted", "module"],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_what_is_not_in_the_table_is_refused_by_name(
    tmp_path: Path, value: Callable[[], Any], words: str, protocol: int
) -> None:
    with pytest.raises(WeightsError, match=f"would run or make .*({words})") as raised:
        read_networks(written(tmp_path, value(), protocol))
    assert "\n" not in str(raised.value)


def rebuilt(offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Call:
    """A tensor over a storage of six numbers."""
    stored = torch.arange(6.0).storage()
    return Call(torch._utils._rebuild_tensor_v2, stored, offset, shape, strides, False, {})


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (2**20, 2**20), (0, 0)),
        (0, (7,), (1,)),
        (4, (3,), (1,)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (2, 3), (1,)),
        (0, (2,), ("1",)),
    ],
)
def test_a_tensor_outside_its_numbers_is_refused(
    tmp_path: Path, offset: int, shape: tuple[int, ...], strides: tuple[Any, ...]
) -> None:
    path = written(tmp_path, module({"weight": rebuilt(offset, shape, strides)}))
    with pytest.raises(WeightsError, match=r"weight (of shape|has a shape)"):
        read_networks(path)


def test_a_tensor_within_its_numbers_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, module({"weight": rebuilt(1, (2, 2), (2, 1))}))
    assert read_networks(path)["G_ema"].tensors["weight"].tolist() == [[1, 2], [3, 4]]


def test_modules_that_multiply_are_refused(tmp_path: Path) -> None:
    value = module(SMALL)
    for _ in range(25):
        value = module({}, {"a": value, "b": value})
    with pytest.raises(WeightsError, match=r"too many|than the file has bytes"):
        read_networks(written(tmp_path, value))


def pairs(depth: int) -> object:
    """Pairs of pairs, each of the same one twice."""
    value: object = (1,)
    for _ in range(depth):
        value = (value, value)
    return value


def nested(value: object, width: int, depth: int, keys: bool = False) -> object:
    """Lists or tables of the same one again and again."""
    for _ in range(depth):
        value = dict.fromkeys(range(width), value) if keys else [value] * width
    return value


def chain(depth: int) -> bytes:
    """A pickle of a table whose key is a tuple in a tuple, and so on."""
    return b"\x80\x04}(K\x01" + b"\x85" * depth + b"K\x01u."


HOSTILE: dict[str, Callable[[], bytes]] = {
    "pairs": lambda: b"\x80\x04}" + pickle.dumps(pairs(60), 4)[2:-1] + b"K\x01s.",
    "pairs of protocol 2": lambda: b"\x80\x02}" + pickle.dumps(pairs(60), 2)[2:-1] + b"K\x01s.",
    "pairs by DUP": lambda: b"\x80\x04}K\x01" + b"2\x86" * 60 + b"K\x01s.",
    "chain": lambda: chain(200_000),
    "lists": lambda: pickle.dumps(nested([0] * 15_000, 15_000, 5)),
    "tables": lambda: pickle.dumps({"a": nested({}, 1000, 6, keys=True)}),
    "tables and pairs": lambda: pickle.dumps({"a": nested({}, 2, 60, keys=True), "training_set_kwargs": 1}),
}


@pytest.mark.parametrize("mark", [b"", b"training_set_kwargs"], ids=["plain", "NVIDIA"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_small_pickle_is_answered_soon(tmp_path: Path, name: str, mark: bytes) -> None:
    """Each is read or refused in a fraction of a second, and none crashes the interpreter."""
    path = tmp_path / "network.pkl"
    path.write_bytes(HOSTILE[name]() + mark)
    before = time.process_time()
    with pytest.raises(WeightsError) as raised:
        find(open_model_file(path))
    assert time.process_time() - before < 10
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "old"])
def test_a_file_of_torch_with_such_a_pickle_is_refused(tmp_path: Path, new: bool) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.ones(2), "b": MARK}, path, _use_new_zipfile_serialization=new)
    hostile, honest = HOSTILE["pairs of protocol 2"]()[2:-1], pickle.dumps(MARK, 2)[2:-3]
    if new:
        with zipfile.ZipFile(path) as archive:
            entries = {entry: archive.read(entry) for entry in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for entry, content in entries.items():
                assert honest in content or not entry.endswith("data.pkl")
                archive.writestr(entry, content.replace(honest, hostile))
    else:
        path.write_bytes(path.read_bytes().replace(honest, hostile))
    with pytest.raises(WeightsError, match=r"weights\.pth: its values are repeated within each other"):
        read_checkpoint(path)


def test_bytes_that_claim_to_be_huge_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(
        b"\x80\x04\x95\x20\x00\x00\x00\x00\x00\x00\x00\x8c\x13training_set_kwargs\x8e" + (2**40).to_bytes(8, "little")
    )
    with pytest.raises(WeightsError, match=r"truncated|memory"):
        read_networks(path)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_file_is_one_line(tmp_path: Path, share: float) -> None:
    content = (FOLDER / "stylegan2ada_32.pkl").read_bytes()
    path = tmp_path / "network.pkl"
    path.write_bytes(content[: int(len(content) * share)])
    assert is_stylegan_pickle(path)
    with pytest.raises(WeightsError, match="truncated"):
        read_networks(path)


def test_what_a_file_imports_cannot_be_changed_for_the_next_one(tmp_path: Path) -> None:
    """A pickle may set attributes of a function that it imports."""
    path = tmp_path / "network.pkl"
    name = b"ctorch._utils\n_rebuild_tensor_v2\n"
    path.write_bytes(b"\x80\x02" + name + b"}X\x08\x00\x00\x00__name__X\x03\x00\x00\x00badsb.")
    with pytest.raises(WeightsError):
        read_networks(path)
    assert pickled_tensor.__name__ == "pickled_tensor"
    assert read_networks(FOLDER / "stylegan2ada_32.pkl")["G_ema"].class_name == "Generator"


def test_a_file_without_a_network_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no network in it; it has training_set_kwargs, G_ema"):
        read_networks(written(tmp_path, 3))
