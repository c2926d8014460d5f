"""Files that are written whole or not at all, and folders: their size, and whether they can be written."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from platformdirs import user_cache_path

from dissectreport.errors import OutputError


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a temporary file beside it, then a rename."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # As any other file that is made: a temporary one is its owner's alone.
        Path(temporary).chmod(0o666 & ~_umask())
        os.replace(temporary, path)  # noqa: PTH105 - tests interrupt exactly this call
    except OSError as error:
        raise OutputError(no_room(path, error)) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _umask() -> int:
    """What this process takes from the rights of new files; it can be read only by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def check_writable(folder: Path) -> None:
    """Refuse a folder in which no file can be made; one that is not there is made for the trial alone."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    probe = folder / ".dissectreport-writable"
    try:
        write(probe, b"")
        probe.unlink(missing_ok=True)
    finally:
        # Whatever goes wrong afterwards leaves no empty folder behind.
        for path in missing:
            with suppress(OSError):
                path.rmdir()


def no_room(path: Path, error: OSError) -> str:
    """One line for a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left to write {path}; free some, or choose another folder; finished work is kept"
    return f"cannot write {path}: {error.strerror or error}; choose another folder"


def size(folder: Path) -> int:
    """Bytes of all files under `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def clear(folder: Path) -> None:
    """Remove a folder of ours and everything in it."""
    shutil.rmtree(folder, ignore_errors=True)


def default_folder() -> Path:
    """The platform's cache folder; XDG_CACHE_HOME is honoured."""
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base) / "dissectreport" if base else user_cache_path("dissectreport")
