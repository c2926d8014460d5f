"""Read the networks in a pickle of NVIDIA's PyTorch StyleGAN programs as data: nothing in the file is run.

    networks = read_networks(Path("ffhq.pkl"))
    networks["G_ema"].tensors["synthesis.b4.const"]

Such a file has the source code of its networks, as text, and asks for a function that runs it. Here every name that a
file may import stands in a table, with what is put in its place; a file that asks for anything else is refused, and
the name is said.
"""

from __future__ import annotations

import io
import math
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dissectreport.checkpoints.weight_files import REMEDY
from dissectreport.errors import WeightsError

MARKS = (b"_reconstruct_persistent_obj", b"torch_utils.persistence", b"training_set_kwargs")
"""Bytes that such files have: the last at the beginning, even of one that was truncated."""
NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
"""Types of numpy's numbers that a file may have."""
MAX_MODULES = 20_000
"""Modules of a network; published ones have some hundreds."""
MAX_DEPTH = 30
STORAGES = "torch.storage._load_from_bytes"


@dataclass(frozen=True)
class PickledNetwork:
    """A network as the file describes it."""

    class_name: str
    settings: Mapping[str, Any]
    """The arguments that it was made with."""
    tensors: Mapping[str, Tensor]
    """By name, in the order of the original's state dict."""


class Foreign(Exception):
    """A pickle asks for something that is not in the table."""


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


class NumpyType:
    """The type of numpy's numbers."""

    def __init__(self, code: object = "", *_options: object) -> None:
        if code not in NUMBERS:
            raise Foreign(f"numpy's type {code!r}")
        self.code, self.order = str(code), "<"

    def __setstate__(self, state: object) -> None:
        """Version, byte order, and more that only other types have."""
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            raise Foreign(f"numpy's byte order {order!r}")
        self.order = str(order)


class Ignored:
    """A value that no network needs, such as an array among its settings."""

    def __init__(self, *_arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        """Dropped."""


@dataclass
class PickledTensor:
    """Where a tensor lies in its storage; checked when the tensor is made."""

    storage: object
    offset: object
    shape: object
    strides: object

    def __setstate__(self, state: object) -> None:
        """Refused: a tensor has all that it needs."""
        raise Foreign("a tensor whose state is set")


@dataclass
class PickledStorage:
    """The numbers of one tensor or of several."""

    values: Tensor
    """(elements,) of the storage's type."""

    def __setstate__(self, state: object) -> None:
        """Refused: a storage has all that it needs."""
        raise Foreign("a storage whose state is set")


def is_stylegan_pickle(path: Path) -> bool:
    """Whether the file has a mark of NVIDIA's PyTorch programs."""
    content = path.read_bytes()
    return any(mark in content for mark in MARKS)


def read_networks(path: Path, remedy: str = REMEDY) -> dict[str, PickledNetwork]:
    """The networks of a file by their keys, such as G, D and G_ema.

    A WeightsError names an import that is not allowed, or says that the file is damaged.
    """
    content = path.read_bytes()
    try:
        value = _Reader(content).load()
        return _networks(value, len(content))
    except Foreign as problem:
        raise WeightsError(
            f"{path} would run or make {problem} when it is loaded; code in weight files is never run, and NVIDIA's "
            f"StyleGAN programs write no such files; {remedy}"
        ) from None
    except MemoryError as problem:
        raise WeightsError(f"{path} claims to hold more than fits into memory; {remedy}") from problem
    except WeightsError as problem:
        raise WeightsError(f"{path}: {problem}") from problem
    except Exception as problem:  # pickle documents no complete list of errors for damaged files.
        line = " ".join(str(problem).split())[:120]
        raise WeightsError(f"{path} is damaged, or was truncated ({line}); {remedy}") from problem


class _Reader(pickle.Unpickler):
    """Unpickles with the table of allowed names alone."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
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


def _table() -> dict[str, Any]:
    """What each allowed name stands for. Made anew for each file, so that no file can change what another one gets."""
    table: dict[str, Any] = {
        "torch_utils.persistence._reconstruct_persistent_obj": lambda meta: Persistent(meta),
        "dnnlib.util.EasyDict": type("Table", (dict,), {}),
        "collections.OrderedDict": OrderedDict,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": lambda data, *_rest: data,
        STORAGES: _storage,
        "_codecs.encode": _encode,
        "numpy.dtype": type("Type", (NumpyType,), {}),
        "numpy.ndarray": type("Array", (Ignored,), {}),
    }
    for builtins in ("builtins", "__builtin__"):
        table[f"{builtins}.set"] = set
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray.scalar"] = _number
        table[f"{core}.multiarray._reconstruct"] = lambda *_arguments: Ignored()
        table[f"{core}.numeric._frombuffer"] = lambda *_arguments: Ignored()
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
    order: Any = kind.order
    value: float | int | bool = np.frombuffer(content, np.dtype(kind.code).newbyteorder(order))[0].item()
    return value


def _tensor(storage: object, offset: object, shape: object, strides: object, *_rest: object) -> PickledTensor:
    """Where a tensor lies; what else the file says, such as hooks, is dropped."""
    return PickledTensor(storage, offset, shape, strides)


def _storage(content: object) -> PickledStorage:
    """The storage that the bytes of an old torch.save hold; torch itself allows only tensors in them."""
    if not isinstance(content, bytes) or not content.startswith(b"\x80"):
        raise Foreign(f"{STORAGES} of something else than bytes of torch.save")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            storage: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            if type(storage) is not torch.storage.TypedStorage:
                raise Foreign(f"{STORAGES} of a {type(storage).__name__}")
            loaded: Any = storage
            return PickledStorage(torch.empty(0, dtype=loaded.dtype).set_(loaded.untyped()))
    except (MemoryError, Foreign):
        raise
    except Exception as problem:  # torch documents no type of error for what it does not allow.
        raise Foreign(f"{STORAGES} of bytes that hold something else than numbers") from problem


def _networks(value: object, size: int) -> dict[str, PickledNetwork]:
    """The networks of the whole file, or the only one."""
    if isinstance(value, Persistent):
        return {"": _network(value, size)}
    if not isinstance(value, Mapping):
        raise WeightsError(f"it contains a {type(value).__name__} instead of a table of networks")
    networks = {str(key): _network(part, size) for key, part in value.items() if isinstance(part, Persistent)}
    if not networks:
        raise WeightsError(f"there is no network in it; it has {', '.join(map(str, value)) or 'nothing'}")
    return networks


def _network(record: Persistent, size: int) -> PickledNetwork:
    tensors: dict[str, Tensor] = {}
    elements = 0
    for name, value in _tensors(record, "", 0, [0]):
        tensors[name], elements = value, elements + value.numel()
        # No two tensors share their numbers, so there cannot be more of them than bytes in the file.
        if elements > size:
            raise WeightsError("its tensors have more elements than the file has bytes")
    return PickledNetwork(str(record.class_name), _settings(record), tensors)


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


def _tensors(record: Persistent, prefix: str, depth: int, seen: list[int]) -> Iterator[tuple[str, Tensor]]:
    """The parameters, buffers and inner modules of a module, in the order of a state dict."""
    seen[0] += 1
    if depth > MAX_DEPTH or seen[0] > MAX_MODULES:
        raise WeightsError("its modules lie too deep, or are too many")
    assert isinstance(record.state, dict), "checked when the object was made"
    state: dict[str, Any] = record.state
    temporary = state.get("_non_persistent_buffers_set") or ()
    for table in ("_parameters", "_buffers"):
        for name, value in _items(state, table):
            if value is not None and not (table == "_buffers" and name in temporary):
                yield prefix + name, _checked(value, prefix + name)
    for name, module in _items(state, "_modules"):
        if module is None:
            continue
        if not isinstance(module, Persistent):
            raise WeightsError(f"its part {prefix + name} is a {type(module).__name__} instead of a module")
        yield from _tensors(module, f"{prefix}{name}.", depth + 1, seen)


def _items(state: dict[str, Any], table: str) -> list[tuple[str, Any]]:
    value = state.get(table, {})
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise WeightsError(f"{table} of a module is no table")
    return list(value.items())


def _checked(value: object, name: str) -> Tensor:
    """The tensor, if it lies within its storage and does not repeat its numbers."""
    if not isinstance(value, PickledTensor) or not isinstance(value.storage, PickledStorage):
        raise WeightsError(f"{name} is a {type(value).__name__} instead of a tensor")
    offset, shape, strides = value.offset, value.shape, value.strides
    whole = _whole_numbers(shape), _whole_numbers(strides)
    if not all(whole) or not _whole_numbers((offset,)) or len(shape) != len(strides):  # type: ignore[arg-type]
        raise WeightsError(f"{name} has a shape or strides that are no whole numbers")
    assert isinstance(shape, tuple), "checked above"
    assert isinstance(strides, tuple), "checked above"
    assert isinstance(offset, int), "checked above"
    elements = value.storage.values.numel()
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    count = math.prod(shape)
    if count and (count > elements or last >= elements):
        raise WeightsError(f"{name} of shape {shape} lies outside its {elements} numbers")
    return value.storage.values.as_strided(shape, strides, offset).clone()


def _whole_numbers(values: object) -> bool:
    """Whether this is a tuple of whole numbers of at least 0."""
    return isinstance(values, tuple) and all(type(number) is int and number >= 0 for number in values)
