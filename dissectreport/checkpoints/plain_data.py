"""What lies beside weights in a checkpoint: options, dates, paths, arrays, random states. None of it is run.

A pickle names functions and classes that would make its values. Each name that stands for data gets a stand-in of this
module, so that reading a file calls nothing else, wherever the name leads on this machine:

    stand_ins(["pathlib.PosixPath"])           # for torch.serialization.safe_globals
    is_data("os.system")                       # False: a file with this name is refused
"""

from __future__ import annotations

import _compat_pickle
import argparse
import re
import types
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

TENSORS = re.compile(
    r"collections\.(OrderedDict|Counter)|torch\.([A-Z]\w+|b?float\d\w*|u?int\d+|q?u?int\d+|complex\d+|bool|device|strided)"
    r"|torch\._(utils|tensor)\.\w+|torch\.nn\.parameter\.\w+|torch\.storage\.[A-Z]\w+|torch\.serialization\._get_layout"
    r"|_codecs\.encode|builtins\.(set|complex|bytearray)"
)
"""Names that torch reads itself."""
SKIPPED = re.compile(
    r"pathlib\.(_local\.)?\w+|datetime\.(date|datetime|time|timedelta|timezone)|decimal\.Decimal|fractions\.Fraction"
    r"|uuid\.\w+|typing\.\w+|types\.NoneType|copyreg\._reconstructor|random\.Random"
    r"|builtins\.(slice|range|object|int|float|str|bool|bytes|list|dict|tuple|type|frozenset|NoneType)"
    r"|numpy\.(bool_?|u?int\w+|float\w+|complex\w+|longdouble|str_|bytes_|generic|number)|numpy\.dtypes\.\w+"
    r"|numpy\.random\.[\w.]+|omegaconf\.[\w.]+|(pytorch_lightning|lightning|lightning_fabric)\.[\w.]+"
    r"|torch\.optim\.[\w.]+|torch\.(cuda\.)?amp\.[\w.]+|torch\.(distributed|torch_version)\.[\w.]+"
)
"""Names of data that no network needs."""
OPTIONS = re.compile(
    r"(\w+\.)*(AttributeDict|AttrDict|EasyDict|DotDict|DictConfig|ConfigDict|CfgNode|Munch|Box|HParams)|addict\.(\w+\.)*Dict"
)
"""Dictionaries with another name, in which training programs keep their options."""
NUMERIC = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")
"""Types of numbers that numpy and torch share."""


class Skipped:
    """A value that is not read."""

    def __init__(self, *args: object, **keywords: object) -> None:
        """Whatever it was made of is forgotten."""

    def __setstate__(self, state: object) -> None:
        """Whatever it consisted of is forgotten."""


class OptionsTable:
    """What stands for a dictionary with another name: a plain one, which the pickle fills."""

    def __new__(cls, *args: object, **keywords: object) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        """An empty dictionary."""
        return OrderedDict()


class NumberType:
    """The type of an array's numbers, such as f4."""

    def __init__(self, code: object = "", *rest: object) -> None:
        self.code, self.order = str(code).lstrip("<>=|"), ">" if str(code).startswith(">") else "<"

    def __setstate__(self, state: object) -> None:
        """Take over the order of bytes."""
        if isinstance(state, tuple) and len(state) > 1 and state[1] in (">", "<"):
            self.order = state[1]

    def numbers(self, content: object) -> np.ndarray[Any, np.dtype[Any]] | None:
        """The numbers in bytes; None if they are not plain numbers."""
        if self.code not in NUMERIC or not isinstance(content, bytes):
            return None
        kind = np.dtype(self.order + self.code)
        return np.frombuffer(content, kind).astype(kind.newbyteorder("="))


class SavedArray:
    """An array of numpy, read without numpy's own unpickling."""

    def __init__(self, *args: object) -> None:
        self.tensor: Tensor | None = None

    def __setstate__(self, state: object) -> None:
        """Take over the numbers: (version, shape, type, whether columns come first, bytes)."""
        if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[2], NumberType)):
            return
        _, shape, kind, columns_first, content = state
        numbers = kind.numbers(content)
        if numbers is not None:
            self.tensor = torch.from_numpy(numbers.reshape(shape, order="F" if columns_first else "C").copy())


def as_tensor(value: object) -> Tensor | None:
    """A tensor, or an array as one; None for anything else."""
    if isinstance(value, SavedArray):
        return value.tensor
    return value if isinstance(value, Tensor) else None


def _array(*args: object) -> SavedArray:
    return SavedArray()


def _number(kind: object, content: object = b"", *rest: object) -> object:
    numbers = kind.numbers(content) if isinstance(kind, NumberType) else None
    return Skipped() if numbers is None or not len(numbers) else numbers[0]


def _listed(items: object = (), *rest: object) -> list[object]:
    return list(items) if isinstance(items, list | tuple) else []


def _frozen(items: object = ()) -> frozenset[object]:
    return frozenset(items) if isinstance(items, list | tuple) else frozenset()


def _table(*args: object) -> OrderedDict[object, object]:
    return OrderedDict()


READ: dict[str, Any] = {
    "argparse.Namespace": argparse.Namespace,
    "types.SimpleNamespace": types.SimpleNamespace,
    "builtins.frozenset": _frozen,
    "collections.deque": _listed,
    "collections.defaultdict": _table,
    "numpy.ndarray": SavedArray,
    "numpy.dtype": NumberType,
    **{
        f"numpy.{core}.multiarray.{name}": function
        for core in ("core", "_core")
        for name, function in (("_reconstruct", _array), ("scalar", _number))
    },
}
"""What reads data that is kept."""
ALWAYS = [(function, name) for name, function in READ.items()]
"""The most common stand-ins, for torch.serialization.safe_globals."""


def current_name(name: str) -> str:
    """The name in Python 3 of what a pickle names as in Python 2.

    >>> current_name("__builtin__.xrange"), current_name("torch._utils._rebuild_tensor_v2")
    ('builtins.range', 'torch._utils._rebuild_tensor_v2')
    """
    module, _, inner = name.rpartition(".")
    if (module, inner) in _compat_pickle.NAME_MAPPING:
        return ".".join(_compat_pickle.NAME_MAPPING[module, inner])
    return f"{_compat_pickle.IMPORT_MAPPING.get(module, module)}.{inner}"


def is_data(name: str) -> bool:
    """Whether a name in a pickle stands for data, which is read or skipped, and not for code."""
    name = current_name(name)
    return name in READ or any(kind.fullmatch(name) for kind in (TENSORS, SKIPPED, OPTIONS))


def stand_ins(names: Iterable[str]) -> list[tuple[Any, str]]:
    """For torch.serialization.safe_globals: what stands for each name of data that torch does not read itself."""
    current = [current_name(name) for name in names]
    more = [name for name in current if name not in READ and not TENSORS.fullmatch(name)]
    return [*ALWAYS, *((OptionsTable if OPTIONS.fullmatch(name) else Skipped, name) for name in more)]
