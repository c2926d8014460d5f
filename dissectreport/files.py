"""Files, written whole or not at all, and read with care: paths that cannot lead out, no links, no pipes, locks."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from io import BufferedReader
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from dissectreport.errors import OutputError

LOCK = ".dissectreport.lock"
"""The file that is locked while a folder is written."""
DAY = 24 * 60 * 60
_PART = re.compile(r"\.dissectreport\.(?P<machine>[0-9a-f]{8})\.(?P<process>\d{1,10})\..*\.part")
_NO_CHMOD = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

Say = Callable[[str], None]


def silent(line: str) -> None:
    """Say nothing."""


# --- writing --------------------------------------------------------------------------------------------------


def write(path: Path, content: bytes) -> None:
    """Write a file atomically: to a temporary file in the same folder, which is then renamed."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_part_beginning(), suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        _make_readable(Path(temporary))
        os.replace(temporary, path)  # noqa: PTH105 - tests interrupt exactly this call
    except OSError as error:
        raise OutputError(write_failure(path, error)) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _make_readable(path: Path) -> None:
    """Give a temporary file, which excludes other users, the permissions of a new file, where there are permissions."""
    try:
        path.chmod(0o666 & ~_umask())
    except OSError as error:
        if error.errno not in _NO_CHMOD:
            raise


@lru_cache(maxsize=1)
def _umask() -> int:
    """The umask of this process; it can be read only by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def part_of(path: Path) -> Path:
    """Where this process writes a file before it is renamed to `path`."""
    return path.with_name(f"{_part_beginning()}{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]}.part")


def _part_beginning() -> str:
    return f".dissectreport.{_machine()}.{os.getpid()}."


@lru_cache(maxsize=1)
def _machine() -> str:
    """Eight hexadecimal digits that stand for this machine."""
    import platform

    return hashlib.sha256(platform.node().encode("utf-8", "surrogateescape")).hexdigest()[:8]


def remove_parts(folder: Path) -> int:
    """Remove files that killed runs left half written anywhere in a folder; how many.

    A file belongs to a killed run if its process on this machine has ended, or if it is a day old.
    """
    parts = [Path(place) / name for place, _, names in os.walk(folder) for name in names if _PART.fullmatch(name)]
    left = [path for path in parts if _is_left_over(path)]
    for path in left:
        with suppress(OSError):
            path.unlink()
    return len(left)


def _is_left_over(path: Path) -> bool:
    match = _PART.fullmatch(path.name)
    assert match is not None, "only such files are asked about"
    with suppress(OSError):
        if time.time() - path.lstat().st_mtime > DAY:
            return True
    return match["machine"] == _machine() and not _is_running(int(match["process"]))


def _is_running(process: int) -> bool:
    if os.name == "nt":  # where signal 0 would not only ask
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


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


# --- paths that files name ------------------------------------------------------------------------------------


def is_inside(name: object) -> bool:
    """Whether a name in a file is a relative path that cannot leave its folder: `a/b.html`.

    >>> is_inside("a/b.html"), is_inside("../b"), is_inside("/b"), is_inside("a//b"), is_inside("C:b")
    (True, False, False, False, False)
    """
    if not isinstance(name, str) or not name or not name.isprintable() or set(name) & set('\\:*?"<>|'):
        return False
    parts = name.split("/")
    return not any(part in ("", ".", "..") for part in parts) and not PurePosixPath(name).is_absolute()


def place(root: Path, name: str) -> Path:
    """The path of `name` in the folder `root`; OutputError if it leads out of it, or through a link."""
    if not is_inside(name):
        raise OutputError(f"{name!r} is not a path within {root}; nothing is read or written there")
    path = root
    for part in name.split("/"):
        path /= part
        if path.is_symlink():
            raise OutputError(f"{path} is a link, and nothing is read or written through one; remove it")
    return path


# --- reading --------------------------------------------------------------------------------------------------


@contextmanager
def opened(path: Path, links: bool = True) -> Iterator[BufferedReader]:
    """A regular file, open for reading; OSError for anything else, such as a pipe, which might never end.

    Without `links`, the path must not be a link itself.
    """
    handle = os.open(path, os.O_RDONLY | _NO_WAIT | (0 if links else _NO_LINK))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        file = os.fdopen(handle, "rb")
    except OSError:
        os.close(handle)
        raise
    with file:
        yield file


def read(path: Path, limit: int, links: bool = False) -> bytes:
    """The content of a regular file of at most `limit` bytes; OSError for anything else."""
    with opened(path, links) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit:,} bytes", str(path))
    return content


def sha256(path: Path, links: bool = False) -> str:
    """The SHA-256 of a regular file in hexadecimal digits, of a link's only with `links`; OSError for anything else."""
    with opened(path, links) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- folders --------------------------------------------------------------------------------------------------


def acquired(path: Path, waiting: Callable[[], None]) -> FileLock:
    """The lock on a file, which the caller has to release; `waiting` is called if another process has it.

    OSError or NotImplementedError where files cannot be locked.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    return lock


@contextmanager
def locked(folder: Path, say: Say = silent) -> Iterator[None]:
    """While this lasts, no other process has the lock of `folder`, which is made if it is missing.

    Waiting is said, and so is a file system without locks, on which nothing is locked.
    """
    lock = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = acquired(folder / LOCK, lambda: say(f"another process writes into {folder}; waiting for it"))
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise OutputError(write_failure(folder, error)) from error
        say(f"files in {folder} cannot be locked; write into it from one process at a time")
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


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
