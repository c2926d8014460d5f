"""The names that a pickle imports, parsed from its bytes without unpickling it."""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Any

PUSHES = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE"}
KEEPS = {"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"}
FETCHES = {"GET", "BINGET", "LONG_BINGET"}
MAX_PICKLES = 5
"""A file of torch.save before 1.6 has five pickles in a row, then the numbers of tensors."""


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
