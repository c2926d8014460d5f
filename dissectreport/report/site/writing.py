"""Files appear whole or not at all, are written if they changed, and removed if they were ours."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dissectreport.errors import OutputError

LEDGER = "manifest.json"
"""In a model's folder: the files that the last render wrote there."""


@dataclass(frozen=True)
class Written:
    """What a render left behind."""

    index: Path
    """The first page of the site."""
    files: int
    """Files of this model and of the site's top, whether or not they had to be written."""
    changed: int
    """Files that were written because their bytes changed."""
    bytes: int
    """Size of those files together."""
    left_out: tuple[str, ...] = ()
    """What was left out to stay within the limit, a line a step."""


def write_if_changed(path: Path, content: bytes) -> bool:
    """Whether `path` had to be written to hold `content`."""
    try:
        if path.read_bytes() == content:
            return False
    except FileNotFoundError:
        pass
    except OSError as error:
        raise unwritable(path, error) from error
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise unwritable(path, error) from error
    return True


def unwritable(path: Path, error: OSError) -> OutputError:
    """One clear line about a place that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"the disk is full: {path} was not written; free some space and render again")
    if isinstance(error, NotADirectoryError | FileExistsError | IsADirectoryError):
        return OutputError(f"cannot write {path}: a file stands where a folder is needed, or the reverse; move it away")
    return OutputError(f"cannot write {path}: {error.strerror or error}; choose another folder")


def read_ledger(folder: Path) -> list[str]:
    """The files in `folder` that the last render wrote; none where it never rendered."""
    try:
        listed = json.loads((folder / LEDGER).read_text("utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [name for name in listed if isinstance(name, str) and is_inside(name)]


def is_inside(name: str) -> bool:
    """Whether a relative path stays in its folder."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


def write_ledger(folder: Path, files: set[str]) -> bool:
    """Record `files` as ours."""
    content = json.dumps({"files": sorted(files)}, indent=0, ensure_ascii=True)
    return write_if_changed(folder / LEDGER, content.encode() + b"\n")


def remove_ours(folder: Path, files: set[str]) -> None:
    """Remove files of an earlier render, and the folders that this leaves empty."""
    for name in sorted(files, reverse=True):
        path = folder / name
        if path.resolve().is_relative_to(folder.resolve()):
            with suppress(FileNotFoundError):
                path.unlink()
            for parent in path.relative_to(folder).parents:
                with suppress(OSError):
                    if parent.parts:
                        (folder / parent).rmdir()


def write_model(folder: Path, files: Mapping[str, bytes]) -> int:
    """Write a model's folder; the number of files that changed.

    The ledger first names old and new files together, so that a render that dies in between leaves nothing
    that the next one would not recognise as ours.
    """
    before, now = set(read_ledger(folder)), set(files)
    changed = 0
    if before != now:
        write_ledger(folder, before | now)
    for name in files:
        changed += write_if_changed(folder / name, files[name])
    remove_ours(folder, before - now)
    write_ledger(folder, now)
    return changed
