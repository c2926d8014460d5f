"""Units that a person marked: an export of the page for review by eye, or a list of numbers.

    layer, units = read_marks(Path("marks.json"))

The file contains {"model", "layer", "identity", "units", "marks"}, or only {"layer", "units"}, or plain numbers,
separated by spaces, commas or semicolons; these name no layer.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from dissectreport import files, structured
from dissectreport.errors import BadOption, UnknownName

ACCEPTED = 'give {"layer": …, "units": […]}, what the review page exports, or plain numbers'


def read_marks(path: Path, layers: Collection[str] = (), identity: str = "") -> tuple[str, tuple[int, ...]]:
    """The layer ('' where the file names none) and the marked units, rising; a BadOption explains what is wrong.

    Where the model's `layers` and `identity` are given, marks of another layer or another model are refused.
    """
    words = read_text(path)
    if re.fullmatch(r"[\s\d,;]*", words):
        return "", _units(path, [int(number[:12]) for number in re.findall(r"\d+", words)])
    content = parsed(path, words, ACCEPTED)
    if isinstance(content, list):
        return "", _units(path, content)
    if not isinstance(content, dict) or "units" not in content:
        raise BadOption(f"{path} contains no units; {ACCEPTED}")
    layer, of = content.get("layer", ""), content.get("identity", "")
    if not isinstance(layer, str):
        raise BadOption(f"{path}: the layer is {repr(layer)[:60]}, which is not a name; {ACCEPTED}")
    if layer and layers and layer not in layers:
        raise UnknownName.of(f"layer that {path} marks,", layer, layers)
    if of and identity and of != identity:
        raise BadOption(
            f"{path} marks units of another version of the model ({str(of)[:40]}, and this is {identity[:40]}); "
            "mark its own units, or take the line `identity` out of the file"
        )
    return layer, _units(path, content["units"])


def _units(path: Path, units: Any) -> tuple[int, ...]:
    """The units, each once."""
    if not isinstance(units, list):
        raise BadOption(f"{path}: units are {repr(units)[:60]}; {ACCEPTED}")
    if not units:
        raise BadOption(f"{path} marks no unit as an artifact; mark some, or leave the option out")
    wrong = [unit for unit in units if type(unit) is not int or unit < 0]
    if wrong:
        raise BadOption(f"{path}: {repr(wrong[0])[:60]} is not a valid unit index; these are whole numbers from 0")
    return tuple(sorted(set(units)))


def read_text(path: Path) -> str:
    """The text of a file."""
    try:
        return files.read(path, 16 * structured.MEGABYTE, links=True).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise BadOption(f"cannot read {path}: {reason}") from None


def parsed(path: Path, words: str, accepted: str) -> Any:
    """The content of a JSON file."""
    try:
        return structured.parse_json(words)
    except ValueError as error:
        raise BadOption(f"{path} is not JSON ({error}); {accepted}") from None
