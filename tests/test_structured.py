"""JSON and TOML of anybody: limits hold, every failure is one error of one line, and there is one reader."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissectreport.structured import DEPTH, LARGEST, Malformed, parse_json, read_json, read_toml

PACKAGE = Path(__file__).parents[1] / "dissectreport"

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST, LARGEST - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(PLAIN)
def test_plain_values_come_back(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b"\xff", "it is not UTF-8 text: byte 0"),
        (b"[NaN]", "NaN is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b"[1e999]", "inf is not a finite number"),
        (b"9223372036854775808", "a whole number has 19 digits"),
        (b"[" + b"9" * 5000 + b"]", "a whole number has too many digits"),
        (b'["\\ud800"]', r"the text '\\ud800' holds characters"),
        (b'{"a\\u0000b": 1}', r"the text 'a\\x00b' holds characters"),
        (b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1), "nested more than"),
        (b"[" * 100_000, "nested more than"),
    ],
)
def test_json_outside_the_limits_is_refused_in_one_line(content: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason) as caught:
        parse_json(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a = inf", "inf is not a finite number"),
        (b"a = nan", "nan is not a finite number"),
        (b"a = " + b"1" * 5000, "a whole number has too many digits"),
        (b"a = " + b"[" * 2000 + b"]" * 2000, "nested more than"),
        (b"a =", "Invalid value"),
        (b"\xff", "it is not UTF-8 text"),
    ],
)
def test_toml_outside_the_limits_is_refused_in_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(Malformed, match=reason) as caught:
        read_toml(path)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_and_the_deepest_allowed_lists_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfa = 1")
    assert read_toml(tmp_path / "a.toml") == {"a": 1}
    assert parse_json("\ufeff[]") == []
    parse_json("[" * DEPTH + "]" * DEPTH)


def test_large_files_and_pipes_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "large.json").write_bytes(b" " * 11)
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_json(tmp_path / "large.json", 10)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(OSError, match="not a regular file"):
        read_json(tmp_path / "pipe.json")


def test_no_other_module_parses_json_or_toml() -> None:
    """Training reads its own log."""
    parsers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("json.loads", "json.load", "tomllib.loads")
    }
    assert {name for name in parsers if not name.startswith("training/")} == {"structured.py"}
