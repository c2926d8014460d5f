"""Read pickles as data: those of NVIDIA's PyTorch StyleGAN programs, and those of plain tables. Nothing is run.

    networks = read_networks(Path("ffhq.pkl"))
    networks["G_ema"].tensors["synthesis.b4.const"]

NVIDIA's files have the source code of their networks, as text, and ask for a function that runs it. Here every name
that a file may import is in a table, with what is put in its place; a file that asks for anything else is refused,
and the name is said.
"""

from __future__ import annotations

import argparse
import io
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from dissectreport.checkpoints import plain_data
from dissectreport.checkpoints.file_type import REMEDY
from dissectreport.checkpoints.names import first_of, shown
from dissectreport.checkpoints.pickled_tensors import (
    Budget,
    Foreign,
    NumpyType,
    PickledArray,
    PickledStorage,
    PickledTensor,
    checked_tensor,
    pickled_tensor,
)
from dissectreport.checkpoints.pickles import check_repetitions, check_repetitions_of_torch
from dissectreport.errors import WeightsError, check_machine

MARKS = (b"_reconstruct_persistent_obj", b"torch_utils.persistence", b"training_set_kwargs")
"""Bytes that such files have: the last at the beginning, even of one that was truncated."""
MAX_MODULES = 20_000
"""Modules of a network; published ones have some hundreds."""
MAX_DEPTH = 30
MAX_TABLES = 6
"""Tables and lists around networks, within each other."""
STORAGES = "torch.storage._load_from_bytes"


@dataclass(frozen=True)
class PickledNetwork:
    """A network as the file describes it."""

    class_name: str
    settings: Mapping[str, Any]
    """The arguments that it was made with."""
    tensors: Mapping[str, Tensor]
    """By name, in the order of the original's state dict."""
    inner: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The arguments of the networks in it, by what their tensors' names begin with, such as module."""

    def settings_at(self, prefix: str) -> Mapping[str, Any]:
        """The arguments of the network whose tensors' names begin with a prefix."""
        return self.inner.get(prefix, {}) if prefix else self.settings


class Persistent:
    """An object whose class is described by source code in the file; the code is dropped."""

    def __init__(self, meta: object) -> None:
        table = meta if isinstance(meta, dict) else {}
        self.class_name = table.get("class_name")
        self.state = table.get("state")
        if table.get("type") != "class" or not isinstance(self.class_name, str) or not isinstance(self.state, dict):
            raise Foreign("an object of NVIDIA's programs without class_name and state")

    def __setstate__(self, state: object) -> None:
        """Refused: the state is a part of what the object was made of."""
        raise Foreign("an object of NVIDIA's programs whose state is set twice")


def is_stylegan_pickle(path: Path) -> bool:
    """Whether the file has a mark of NVIDIA's PyTorch programs."""
    content = path.read_bytes()
    return any(mark in content for mark in MARKS)


def read_networks(path: Path, remedy: str = REMEDY) -> dict[str, Any]:
    """The networks and tables of a file by their keys, such as G, D and G_ema.

    A WeightsError names an import that is not allowed, or says that the file is damaged.
    """
    content = path.read_bytes()
    try:
        check_repetitions(io.BytesIO(content), 1)
        value = PickleReader(io.BytesIO(content)).load()
        return _networks(value, len(content))
    except Foreign as problem:
        raise WeightsError(
            f"{path} would run or make {shown(str(problem))} when it is loaded; code in weight files is never run, and "
            f"NVIDIA's StyleGAN programs write no such files; {remedy}"
        ) from None
    except MemoryError as problem:
        raise WeightsError(f"{path} claims to hold more than fits into memory; {remedy}") from problem
    except WeightsError as problem:
        raise WeightsError(f"{path}: {problem}") from problem
    except Exception as problem:  # pickle documents no complete list of errors for damaged files.
        check_machine(problem)
        line = " ".join(str(problem).split())[:120]
        raise WeightsError(f"{path} is damaged, or was truncated ({line}); {remedy}") from problem


def read_plain(path: Path) -> object | None:
    """The tables of tensors and arrays that `pickle.dump` wrote; None for what is not allowed or is damaged."""
    content = path.read_bytes()
    try:
        check_repetitions(io.BytesIO(content), 1)
        return content_of(PlainPickleReader(io.BytesIO(content)).load(), len(content), Budget(len(content)))
    except MemoryError:
        raise
    except WeightsError as problem:
        raise WeightsError(f"{path}: {problem}") from problem
    except Exception as problem:  # as above; the caller says what is wrong
        check_machine(problem)
        return None


class PickleReader(pickle.Unpickler):
    """Unpickles with the table of allowed names alone."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream)
        self.table = _table()

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """What is put in the place of a name; a Foreign if it is not in the table."""
        name = f"{module_name}.{global_name}"
        if name not in self.table:
            raise Foreign(name)
        return self.table[name]

    def persistent_load(self, pid: object) -> Any:
        """Refused: these files refer to nothing outside."""
        raise Foreign("an object outside the file")


class PlainPickleReader(PickleReader):
    """Unpickles what programs keep beside weights as well, such as options and dates."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """What is put in the place of a name, or of data that no network needs."""
        name = plain_data.current_name(f"{module_name}.{global_name}")
        if name in self.table:
            return self.table[name]
        if name == "argparse.Namespace":
            return type("Options", (argparse.Namespace,), {})
        if plain_data.OPTIONS.fullmatch(name):
            return plain_data.OptionsTable
        if plain_data.SKIPPED.fullmatch(name):
            return type("Skipped", (plain_data.Skipped,), {})
        raise Foreign(name)


def _table() -> dict[str, Any]:
    """What each allowed name stands for. Made anew for each file, so that no file can change what another one gets."""
    table: dict[str, Any] = {
        "torch_utils.persistence._reconstruct_persistent_obj": lambda meta: Persistent(meta),
        "dnnlib.util.EasyDict": type("Table", (dict,), {}),
        "collections.OrderedDict": OrderedDict,
        "torch._utils._rebuild_tensor_v2": pickled_tensor,
        "torch._utils._rebuild_parameter": lambda data, *_rest: data,
        STORAGES: _storage,
        "_codecs.encode": _encode,
        "numpy.dtype": type("Type", (NumpyType,), {}),
        "numpy.ndarray": type("Array", (PickledArray,), {}),
    }
    for builtins in ("builtins", "__builtin__"):
        table[f"{builtins}.set"] = set
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray.scalar"] = _number
        table[f"{core}.multiarray._reconstruct"] = lambda *_arguments: PickledArray()
        table[f"{core}.numeric._frombuffer"] = _array
    # Wrapped, because a file may set attributes of what it imports.
    return {name: value if isinstance(value, type) else _wrapped(value) for name, value in table.items()}


def _wrapped(function: Any) -> Any:
    return lambda *arguments: function(*arguments)


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """How protocol 2 stores bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Foreign(f"_codecs.encode with {encoding!r}")
    return text.encode("latin-1")


def _number(kind: object, content: object = b"") -> float | int | bool:
    if not isinstance(kind, NumpyType) or not isinstance(content, bytes):
        raise Foreign("a number of numpy without its type")
    value: float | int | bool = kind.numbers(content)[0].item()
    return value


def _array(content: object = b"", kind: object = None, shape: object = (), order: object = "C") -> PickledArray:
    """How protocol 5 stores an array."""
    return PickledArray().fill(content, kind, shape, order)


def _storage(content: object) -> PickledStorage:
    """The storage that the bytes of an old torch.save hold; torch itself allows only tensors in them."""
    if not isinstance(content, bytes) or not content.startswith(b"\x80"):
        raise Foreign(f"{STORAGES} of something else than bytes of torch.save")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check_repetitions_of_torch(io.BytesIO(content))
            storage: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            if type(storage) is not torch.storage.TypedStorage:
                raise Foreign(f"{STORAGES} of a {type(storage).__name__}")
            loaded: Any = storage
            return PickledStorage(torch.empty(0, dtype=loaded.dtype).set_(loaded.untyped()))
    except (Foreign, WeightsError):
        raise
    except Exception as problem:  # torch documents no type of error for what it does not allow.
        check_machine(problem)
        raise Foreign(f"{STORAGES} of bytes that hold something else than numbers") from problem


def _networks(value: object, size: int) -> dict[str, Any]:
    """The networks of the whole file, or the only one."""
    content = content_of(value, size, Budget(size))
    if isinstance(content, PickledNetwork):
        return {"": content}
    if not isinstance(content, dict):
        raise WeightsError(f"it contains a {type(value).__name__} instead of a table of networks")
    if not _holds_weights(content):
        raise WeightsError(f"there is no network in it; it has {first_of(map(str, content), 6)}")
    return content


def content_of(value: object, size: int, budget: Budget, depth: int = 0) -> object:
    """A value with networks and tensors in place of their records, and numbered tables in place of lists of such."""
    budget.visit(1)
    if isinstance(value, Persistent):
        return _network(value, size, budget)
    if isinstance(value, PickledTensor):
        tensor = checked_tensor(value, "a tensor")
        budget.spend(tensor.numel())
        return tensor
    if isinstance(value, PickledArray):
        return value.tensor(budget)
    if depth < MAX_TABLES and isinstance(value, Mapping):
        return {str(key): content_of(part, size, budget, depth + 1) for key, part in value.items()}
    if depth < MAX_TABLES and isinstance(value, list | tuple) and len(value) < MAX_MODULES:
        parts = {str(number): content_of(part, size, budget, depth + 1) for number, part in enumerate(value)}
        return parts if _holds_weights(parts) else value
    return value


def _holds_weights(content: Mapping[str, object]) -> bool:
    """Whether there is a network or a tensor in a table, or in one within it."""
    return any(
        isinstance(part, PickledNetwork | Tensor) or (isinstance(part, dict) and _holds_weights(part))
        for part in content.values()
    )


def _network(record: Persistent, size: int, budget: Budget) -> PickledNetwork:
    tensors: dict[str, Tensor] = {}
    elements = 0
    inner: dict[str, Mapping[str, Any]] = {}
    seen = [0]
    for name, value in _tensors(record, "", 0, seen, inner):
        tensors[name], elements = value, elements + value.numel()
        # No two tensors share their numbers, so there cannot be more of them than bytes in the file.
        if elements > size:
            raise WeightsError("its tensors have more elements than the file has bytes")
    budget.visit(seen[0] + len(tensors))
    return PickledNetwork(str(record.class_name), inner.pop("", {}), tensors, inner)


def _settings(record: Persistent) -> dict[str, Any]:
    assert isinstance(record.state, dict), "checked when the object was made"
    settings = record.state.get("_init_kwargs", {})
    return _plain(settings) if isinstance(settings, dict) else {}


def _plain(table: Mapping[Any, Any]) -> dict[str, Any]:
    """The table with plain values, and tables within it one level down."""
    return {
        str(key): {str(k): v for k, v in value.items()} if isinstance(value, dict) else value
        for key, value in table.items()
    }


def _tensors(
    record: Persistent, prefix: str, depth: int, seen: list[int], settings: dict[str, Mapping[str, Any]]
) -> Iterator[tuple[str, Tensor]]:
    """The parameters, buffers and inner modules of a module, in the order of a state dict.

    The arguments of each module go into `settings`, by its prefix.
    """
    seen[0] += 1
    if depth > MAX_DEPTH or seen[0] > MAX_MODULES:
        raise WeightsError("its modules lie too deep, or are too many")
    assert isinstance(record.state, dict), "checked when the object was made"
    state: dict[str, Any] = record.state
    settings[prefix] = _settings(record)
    temporary = state.get("_non_persistent_buffers_set") or ()
    for table in ("_parameters", "_buffers"):
        for name, value in _items(state, table):
            if value is not None and not (table == "_buffers" and name in temporary):
                yield prefix + name, checked_tensor(value, prefix + name)
    for name, module in _items(state, "_modules"):
        if module is None:
            continue
        if not isinstance(module, Persistent):
            raise WeightsError(f"its part {shown(prefix + name)} is a {type(module).__name__} instead of a module")
        yield from _tensors(module, f"{prefix}{name}.", depth + 1, seen, settings)


def _items(state: dict[str, Any], table: str) -> list[tuple[str, Any]]:
    value = state.get(table, {})
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise WeightsError(f"{table} of a module is no table")
    return list(value.items())
