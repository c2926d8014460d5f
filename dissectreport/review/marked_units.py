"""Units that a person marked: what the page for review by eye exports, or a list of numbers.

    layer, units = read_marks(Path("marks.json"))

The file holds {"model", "layer", "identity", "units", "marks"}, or only {"layer", "units"}, or plain numbers, apart by
spaces, commas or semicolons; these name no layer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from dissectreport.errors import BadOption, UnknownName

WOULD_DO = 'give {"layer": …, "units": […]}, what the review page exports, or plain numbers'


def read_marks(path: Path, layers: Collection[str] = (), identity: str = "") -> tuple[str, tuple[int, ...]]:
    """The layer ('' where the file names none) and the marked units, rising; BadOption says what is wrong.

    Where the model's `layers` and `identity` are given, marks of another layer or another model are refused.
    """
    words = read_words(path)
    if re.fullmatch(r"[\s\d,;]*", words):
        return "", _units(path, [int(number[:12]) for number in re.findall(r"\d+", words)])
    found = parsed(path, words, WOULD_DO)
    if isinstance(found, list):
        return "", _units(path, found)
    if not isinstance(found, dict) or "units" not in found:
        raise BadOption(f"{path} holds no units; {WOULD_DO}")
    layer, of = found.get("layer", ""), found.get("identity", "")
    if not isinstance(layer, str):
        raise BadOption(f"{path}: the layer is {repr(layer)[:60]}, which is no name; {WOULD_DO}")
    if layer and layers and layer not in layers:
        raise UnknownName.of(f"layer that {path} marks,", layer, layers)
    if of and identity and of != identity:
        raise BadOption(
            f"{path} holds marks of another version of the model ({str(of)[:40]}, and this is {identity[:40]}); "
            "mark its own units, or take the line `identity` out of the file"
        )
    return layer, _units(path, found["units"])


def _units(path: Path, found: Any) -> tuple[int, ...]:
    """The units, each once."""
    if not isinstance(found, list):
        raise BadOption(f"{path}: units are {repr(found)[:60]}; {WOULD_DO}")
    if not found:
        raise BadOption(f"{path} marks no unit as an artifact; mark some, or leave the option out")
    wrong = next((unit for unit in found if type(unit) is not int or unit < 0), None)
    if wrong is not None:
        raise BadOption(f"{path}: {repr(wrong)[:60]} is no number of a unit; these are whole numbers from 0")
    return tuple(sorted(set(found)))


def read_words(path: Path) -> str:
    """The text of a file that a person gives."""
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise BadOption(f"cannot read {path}: {reason}") from None


def parsed(path: Path, words: str, would_do: str) -> Any:
    """What the JSON of a file says."""
    try:
        return json.loads(words)
    except (ValueError, RecursionError) as error:
        raise BadOption(f"{path} is no JSON ({error}); {would_do}") from None
