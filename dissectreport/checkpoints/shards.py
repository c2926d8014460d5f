"""Weights that lie in several files: NAME-00001-of-00003.safetensors and so on, with or without their index.

parts_of(Path("model.safetensors.index.json"))     # its three files
"""

from __future__ import annotations

import re
from pathlib import Path

from dissectreport.errors import WeightsError
from dissectreport.structured import Malformed, read_json

PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<end>\.(safetensors|bin))")
INDEX = re.compile(r".+\.index(\.\w+)?\.json")
MOST = 1000


def parts_of(path: Path) -> list[Path]:
    """The files that belong to one of them, or to their index; [] for a file that is whole.

    A WeightsError names the first that is missing.
    """
    names = _listed(path) if INDEX.fullmatch(path.name) and path.is_file() else _siblings(path.name)
    missing = [name for name in names if not path.with_name(name).is_file()]
    if missing and missing != names:
        raise WeightsError(f"{path} is one of {len(names)} parts, but {missing[0]} is not beside it; add the file")
    if missing:
        raise WeightsError(f"{path} lists {missing[0]}, which is not beside it; add the file")
    return [path.with_name(name) for name in names]


def _siblings(name: str) -> list[str]:
    """The names of all parts, by the name of one."""
    found = PART.fullmatch(name)
    if not found or not 0 < int(found["count"]) <= MOST:
        return []
    count = found["count"]
    return [f"{found['stem']}-{number + 1:05}-of-{count}{found['end']}" for number in range(int(count))]


def _listed(path: Path) -> list[str]:
    """The names of the files in an index."""
    try:
        content = read_json(path)
    except (OSError, Malformed) as problem:
        raise WeightsError(f"{path} cannot be read: {problem}") from problem
    files = content.get("weight_map") if isinstance(content, dict) else None
    names = list(files.values()) if isinstance(files, dict) else []
    if not names or not all(isinstance(name, str) and name and Path(name).name == name for name in names):
        raise WeightsError(f"{path} is no index of weights: weight_map should give the file of each tensor")
    return sorted(set(names))
