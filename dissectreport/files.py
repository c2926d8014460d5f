"""Atomic writing of files, the size of folders, and whether they can be written."""

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
    """Write a file atomically: to a temporary file in the same folder, which is then renamed."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # The permissions of a usual new file; those of a temporary file exclude other users.
        Path(temporary).chmod(0o666 & ~_umask())
        os.replace(temporary, path)  # noqa: PTH105 - tests interrupt exactly this call
    except OSError as error:
        raise OutputError(write_failure(path, error)) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _umask() -> int:
    """The umask of this process; it can be read only by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def check_writable(folder: Path) -> None:
    """Raise an OutputError if no file can be written in a folder; a missing folder is made for the test only."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    probe = folder / ".dissectreport-writable"
    try:
        write(probe, b"")
        probe.unlink(missing_ok=True)
    finally:
        # A later failure must not leave an empty folder behind.
        for path in missing:
            with suppress(OSError):
                path.rmdir()


def write_failure(path: Path, error: OSError) -> str:
    """Why a file could not be written, in one line."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left to write {path}; free some, or choose another folder; finished work is kept"
    return f"cannot write {path}: {error.strerror or error}; choose another folder"


def size(folder: Path) -> int:
    """Total size of all files under `folder`, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def clear(folder: Path) -> None:
    """Remove a folder and everything in it."""
    shutil.rmtree(folder, ignore_errors=True)


def default_folder() -> Path:
    """The cache folder of this package: in XDG_CACHE_HOME if it is set, else where the platform keeps caches.

    A relative XDG_CACHE_HOME counts as not set, as its specification has it; "~" is the home folder.
    """
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME", "")).expanduser()
        return base / "dissectreport" if base.is_absolute() else user_cache_path("dissectreport")
    except RuntimeError as error:
        raise OutputError("there is no home folder to keep a cache in; set XDG_CACHE_HOME, or give --cache") from error
