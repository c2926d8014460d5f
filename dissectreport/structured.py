"""The one way to read JSON, TOML and CSV: sizes, depths and numbers have limits, and all problems are one error.

Such a file may come from anybody, so it may contain what Python's parsers accept or fail on: nesting without end,
numbers of thousands of digits, NaN, and strings that no file can hold.
"""

from __future__ import annotations

import csv
import json
import math
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dissectreport import files

MEGABYTE = 2**20
DEPTH = 64
"""Levels of lists and objects within each other."""
LARGEST = 2**63
"""Whole numbers are smaller than this, as in every array that they end in."""


class Malformed(ValueError):
    """Content that cannot be read as what it should be; the message says why, in one line."""


def read_json(path: Path, limit: int = 64 * MEGABYTE) -> Any:
    """The value in a JSON file of at most `limit` bytes; OSError or Malformed where there is none."""
    return parse_json(files.read(path, limit, links=True))


def parse_json(content: bytes | str, nan: bool = False) -> Any:
    """The value of a JSON text, which may begin with a byte order mark; Malformed where it is none.

    With `nan`, the NaN and Infinity that Python's own writer gives are read too, all as NaN.

    >>> parse_json('{"units": [1, 2]}')
    {'units': [1, 2]}
    >>> parse_json("[NaN]")
    Traceback (most recent call last):
    dissectreport.structured.Malformed: NaN is no number
    """
    try:
        value = json.loads(_text(content), parse_constant=_not_a_number if nan else _no_constant)
    except RecursionError as error:
        raise Malformed(_TOO_DEEP) from error
    except Malformed:
        raise
    except ValueError as error:
        raise Malformed(_line(error)) from error
    _check(value, nan)
    return value


def read_toml(path: Path, limit: int = MEGABYTE) -> dict[str, Any]:
    """The table in a TOML file of at most `limit` bytes; OSError or Malformed where there is none."""
    content = _text(files.read(path, limit, links=True))
    try:
        value = tomllib.loads(content)
    except RecursionError as error:
        raise Malformed(_TOO_DEEP) from error
    except ValueError as error:
        raise Malformed(_line(error)) from error
    _check(value)
    return value


def read_lines(path: Path, limit: int = 64 * MEGABYTE) -> list[str]:
    """The lines of a text of at most `limit` bytes in UTF-8; OSError or Malformed where there is none."""
    return _text(files.read(path, limit, links=True)).splitlines()


def cells(lines: Iterable[str], separator: str = ",") -> list[list[str]]:
    """The cells of each row of a table, without blanks around them; Malformed for a cell that is far too long.

    >>> cells(["3, red door", '4,"a,b"'])
    [['3', 'red door'], ['4', 'a,b']]
    """
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    try:
        return [[cell.strip() for cell in row] for row in reader]
    except csv.Error as error:
        raise Malformed(f"line {reader.line_num} is not a row of a table ({error})") from error


_TOO_DEEP = f"it is nested more than {DEPTH} levels deep"


def _text(content: bytes | str) -> str:
    try:
        return content.decode("utf-8-sig") if isinstance(content, bytes) else content.removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Malformed(f"it is not UTF-8 text: byte {error.start} cannot be read") from error


def _no_constant(name: str) -> None:
    raise Malformed(f"{name} is no number")


def _not_a_number(name: str) -> float:
    return math.nan


def _line(error: ValueError) -> str:
    if "integer string conversion" in str(error):  # Python's own limit, whose message is about the interpreter.
        return "a whole number has too many digits"
    return " ".join(str(error).split())


def _check(value: Any, nan: bool = False) -> None:
    """Raise a Malformed for a value, at any depth, that is outside the limits."""
    level = [value]
    for _ in range(DEPTH + 1):
        if not level:
            return
        for item in level:
            _check_single(item, nan)
        level = [inner for item in level for inner in _inner(item)]
    raise Malformed(_TOO_DEEP)


def _inner(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def _check_single(value: Any, nan: bool) -> None:
    if isinstance(value, int) and not -LARGEST <= value < LARGEST:
        raise Malformed(f"a whole number has {len(str(abs(value)))} digits")
    if isinstance(value, float) and not math.isfinite(value) and not (nan and math.isnan(value)):
        raise Malformed(f"{value} is not a finite number")
    if isinstance(value, str) and not _is_writable(value):
        raise Malformed(f"the text {ascii(value)[:60]} holds characters that no file can hold")


def _is_writable(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
