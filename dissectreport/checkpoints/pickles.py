"""What a pickle imports, and how often it repeats its values, parsed from its bytes without unpickling it."""

from __future__ import annotations

import pickletools
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any

from dissectreport.errors import WeightsError

PUSHES = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE"}
KEEPS = {"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"}
FETCHES = {"GET", "BINGET", "LONG_BINGET"}
MAX_PICKLES = 5
"""A file of torch.save before 1.6 has five pickles in a row, then the numbers of tensors."""


DAMAGED = (
    *(ValueError, IndexError, OverflowError, EOFError, NotImplementedError, struct.error),
    *(zipfile.BadZipFile, zlib.error),
)
"""What is raised for damaged pickles and archives."""
ZIP = b"PK\x03\x04"
MARKED = pickletools.markobject
MADE = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET", "LIST", "DICT"}
FILLED = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS"}
"""Operations that make a value of others, and that put some into one."""
TUPLES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET"}
REPEATS, FEW = 20, 100_000
"""A pickle may repeat this many values for each of its operations, and this many besides."""
DEEPEST = 500
"""Tuples within each other; Python adds them up without a limit of its own."""


def imported_names(content: bytes) -> list[str]:
    """The full names that the pickles at the beginning of `content` import, in order, without repetitions."""
    stream, names = BytesIO(content), []
    for _ in range(MAX_PICKLES):
        try:
            names += list(_imports_of_one(stream))
        except (ValueError, IndexError, OverflowError, struct.error):
            break  # The rest is not a pickle, or was truncated.
    return list(dict.fromkeys(names))


def _imports_of_one(stream: BytesIO) -> Iterator[str]:
    """The names of one pickle: literal in old protocols; from protocol 4 on, the last two strings on the stack."""
    strings: list[str] = []
    memo: dict[Any, str] = {}
    last = ""
    for operation, argument, _ in pickletools.genops(stream):
        name = operation.name
        if name in KEEPS:
            memo[len(memo) if argument is None else argument] = last
            continue
        last = str(argument) if name in PUSHES else memo.get(argument, "") if name in FETCHES else ""
        if last:
            strings = [*strings[-1:], last]
        elif name == "GLOBAL":
            yield str(argument).replace(" ", ".")
        elif name == "STACK_GLOBAL":
            yield ".".join(strings)


@dataclass
class _Value:
    """A value on the stack of a pickle."""

    size: int = 1
    """The number of values in it, each as often as it is repeated."""
    depth: int = 0
    """Tuples within each other."""


def check_repetitions(stream: IO[bytes], most: int = MAX_PICKLES) -> None:
    """Raise a WeightsError for pickles at the beginning of `stream` that reading would multiply without end.

    A pickle may refer to a value again and again: 60 pairs, each of the one before twice, are some 300 bytes, and a
    table with such a key is never finished. ValueError, IndexError, OverflowError or struct.error where a pickle is
    damaged.
    """
    for _ in range(most):
        _check_one(stream)


def check_repetitions_of_torch(stream: IO[bytes]) -> None:
    """The same for a file of torch.save, old or new; what is damaged does not count, for torch refuses it."""
    beginning = stream.read(len(ZIP))
    stream.seek(0)
    try:
        if beginning != ZIP:
            check_repetitions(stream)
            return
        with zipfile.ZipFile(stream) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(".pkl"):
                    with archive.open(entry) as inner:
                        _check_entry(inner)
    except DAMAGED:
        return


def _check_entry(inner: IO[bytes]) -> None:
    try:
        check_repetitions(inner)
    except DAMAGED:
        return


def _check_one(stream: IO[bytes]) -> None:
    stack: list[_Value | None] = []
    memo: dict[Any, _Value] = {}
    repeated = 0
    for number, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        name = operation.name
        if name in KEEPS:
            memo[len(memo) if argument is None else argument] = stack[-1] or _Value()
        elif name in FETCHES or name == "DUP":
            value = memo.get(argument, _Value()) if name in FETCHES else stack[-1] or _Value()
            stack.append(value)
            repeated += value.size
        elif name == "MARK":
            stack.append(None)
        elif name == "POP":
            stack.pop()
        else:
            _apply(operation, stack)
        deep = bool(stack) and (stack[-1] or _Value()).depth > DEEPEST
        if deep or repeated > FEW + REPEATS * number:
            raise WeightsError("its values are repeated within each other without end; such a file is not loaded")


def _apply(operation: pickletools.OpcodeInfo, stack: list[_Value | None]) -> None:
    """Take what an operation takes from the stack, and put there what it makes."""
    before, parts = operation.stack_before, list[_Value]()
    if MARKED in before:
        while (part := stack.pop()) is not None:
            parts.append(part)
    for _ in range(before.index(MARKED) if MARKED in before else len(before)):
        parts.append(stack.pop() or _Value())
    name, size = operation.name, 1 + sum(part.size for part in parts)
    if name in FILLED:
        parts[-1].size = size
        stack.append(parts[-1])
    elif name in MADE:
        stack.append(_Value(size, 1 + max((part.depth for part in parts), default=0) if name in TUPLES else 0))
    elif name == "BUILD":
        stack.append(parts[-1])
    else:
        stack += [_Value() for _ in operation.stack_after]
