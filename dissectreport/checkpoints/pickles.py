"""Which classes and functions a pickle would call, read from its bytes; nothing is unpickled."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from io import BytesIO
from typing import Any

PUSHES = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE"}
KEEPS = {"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"}
FETCHES = {"GET", "BINGET", "LONG_BINGET"}
PICKLES = 5
"""A file of torch.save before 1.6 holds five pickles in a row, then bare numbers."""


def wanted(content: bytes) -> list[str]:
    """The full names that the pickles at the beginning of `content` import, in order, each once."""
    stream, found = BytesIO(content), []
    for _ in range(PICKLES):
        try:
            found += list(_one(stream))
        except (ValueError, IndexError):
            break  # What follows is no pickle, or was cut short.
    return list(dict.fromkeys(found))


def _one(stream: BytesIO) -> Iterator[str]:
    """The names of one pickle: spelt out in older protocols, taken from two strings on the stack since the fourth."""
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
