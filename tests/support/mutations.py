"""Input that is nearly right: values and bytes with a few random changes, as strategies of hypothesis."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

NASTY = (
    "",
    "..",
    "../../x",
    "/etc/passwd",
    "a/../../b",
    "C:\\x",
    "\0",
    "\ud800",
    "\u202e",
    "=1+1",
    "<script>alert(1)</script>",
    "javascript:alert(1)",
    "http://[",
    "x" * 300,
    "é",
    "nan",
    "1e999",
    "-",
    "%00",
    "$(reboot)",
    "; rm -rf /",
)
"""Texts that stumble over paths, pages, shells and numbers."""
NUMBERS = (0, -1, 1, 2**31, 2**63 - 1, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), float("-inf"))

scalars = (
    st.none()
    | st.booleans()
    | st.sampled_from(NUMBERS)
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(NASTY)
    | st.text(max_size=8)
)
values: SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NASTY) | st.text(max_size=5), inner),
    max_leaves=6,
)


@st.composite
def changed(draw: DrawFn, value: Any) -> Any:
    """A value of JSON with one to three changes anywhere in it."""
    new = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        new = _changed(draw, new)
    return new


def _changed(draw: DrawFn, value: Any) -> Any:
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 7)) == 0:
        return draw(values)
    key = draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
    action = draw(st.integers(0, 9))
    if action == 0:
        del value[key]
    elif action == 1 and isinstance(value, dict):
        value[draw(st.sampled_from(NASTY))] = draw(values)
    elif action == 1 and isinstance(value, list):
        value.insert(key, copy.deepcopy(value[key]))
    else:
        value[key] = _changed(draw, value[key])
    return value


def changed_json(value: Any) -> SearchStrategy[bytes]:
    """The JSON text of a changed value; in one of eight cases with changed bytes."""
    return st.one_of(*[changed(value).map(_text)] * 7, changed(value).map(_text).flatmap(damaged))


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()


def damaged(content: bytes) -> SearchStrategy[bytes]:
    """Bytes with one to four changes: flipped bits, missing, doubled or foreign pieces."""

    @st.composite
    def bent(draw: DrawFn) -> bytes:
        new = bytearray(content)
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, len(new)))
            length = draw(st.integers(1, 16) | st.just(len(new)))
            CHANGES[draw(st.sampled_from(sorted(CHANGES)))](new, at, length, draw(st.binary(max_size=8)))
        return bytes(new)

    return bent()


def _turn(new: bytearray, at: int, length: int, _: bytes) -> None:
    if at < len(new):
        new[at] ^= 1 << length % 8


def _remove(new: bytearray, at: int, length: int, _: bytes) -> None:
    del new[at : at + length]


def _double(new: bytearray, at: int, length: int, _: bytes) -> None:
    new[at:at] = new[at : at + min(length, 64)]


def _insert(new: bytearray, at: int, _length: int, foreign: bytes) -> None:
    new[at:at] = foreign


def _replace(new: bytearray, at: int, _length: int, foreign: bytes) -> None:
    new[at : at + len(foreign)] = foreign


CHANGES: dict[str, Callable[[bytearray, int, int, bytes], None]] = {
    "turn": _turn,
    "remove": _remove,
    "double": _double,
    "insert": _insert,
    "replace": _replace,
}
