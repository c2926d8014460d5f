"""Readers of input, tried with thousands of random contents: what a reader may do, and how many cases there are."""

from __future__ import annotations

import io
import os
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from dissectreport.errors import DissectReportError
from tests.support.mutations import damaged

CASES = int(os.environ.get("DISSECTREPORT_FUZZ", "0"))
"""Cases of each reader; 0 for those of a usual run."""
SECONDS = 60.0
"""In which every case must end, on a busy machine too."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
STARTING = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pty.spawn", "socket.connect")
CHANGING = ("os.remove", "os.rename", "os.rmdir", "shutil.rmtree", "os.truncate", "os.symlink", "os.link", "os.chmod")

_allowed: Path | None = None
"""The only folder in which files may change now; None while nothing is watched."""
_outside: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _allowed is None:
        return
    if event in STARTING:
        _outside.append(event)
    elif event in CHANGING or (event == "open" and _writes(arguments)):
        path = arguments[0]
        if isinstance(path, str | bytes | os.PathLike) and not _is_within(Path(os.fsdecode(path)), _allowed):
            _outside.append(f"{event} {os.fsdecode(path)}")


def _writes(arguments: tuple[Any, ...]) -> bool:
    return isinstance(arguments[2], int) and bool(arguments[2] & WRITING)


def _is_within(path: Path, folder: Path) -> bool:
    return Path(os.path.abspath(path)).is_relative_to(folder)  # noqa: PTH100 - links are not followed


sys.addaudithook(_watch)


@contextmanager
def harmless(folder: Path) -> Iterator[None]:
    """Fails if a file outside `folder` is written or a program started, or if it takes too long."""
    global _allowed
    _outside.clear()
    began, _allowed, problem = time.monotonic(), folder, ""
    try:
        yield
    except DissectReportError as error:
        problem = str(error)
    finally:
        _allowed = None
    assert "\n" not in problem, "an error is one line"
    assert _outside == []
    assert time.monotonic() - began < SECONDS


@dataclass(frozen=True)
class Reader:
    """A reader of one kind of file."""

    name: str
    """Of the file."""
    contents: SearchStrategy[bytes]
    read: Callable[[Path], object]
    """Reads the file; whatever it raises besides our errors is a fault."""


def fuzzed(test: Callable[..., None]) -> Callable[..., None]:
    """With as many cases as are wanted; a usual run repeats the same ones, a long one has new ones every time."""
    more: dict[str, Any] = {"max_examples": CASES, "derandomize": False} if CASES else {}
    health = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    wrapped: Callable[..., None] = settings(suppress_health_check=health, **more)(test)
    return wrapped


def tried(readers: Sequence[Reader]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A test that is run for each of some readers, with as many cases as are wanted."""

    def marked(test: Callable[..., None]) -> Callable[..., None]:
        named = pytest.mark.parametrize("reader", readers, ids=lambda reader: reader.name.replace("/", "-"))
        parametrised: Callable[..., None] = named(fuzzed(test))
        return patient(parametrised)

    return marked


def patient(test: Callable[..., None]) -> Callable[..., None]:
    """The test without a limit of time where thousands of cases are wanted."""
    limited: Callable[..., None] = pytest.mark.timeout(0 if CASES else 600)(test)
    return limited


def try_reader(reader: Reader, folder: Path, content: bytes) -> None:
    """Write the content into the reader's file, and read it."""
    path = folder / reader.name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(content)
    with harmless(folder):
        reader.read(path)


def repacked(archive: bytes) -> SearchStrategy[bytes]:
    """The archive with one of its files damaged under a right checksum; in one of four cases damaged as a whole."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    inner = st.sampled_from(sorted(entries)).flatmap(
        lambda name: damaged(entries[name]).map(lambda content: _zipped({**entries, name: content}))
    )
    return st.one_of(inner, inner, inner, damaged(archive))


def _zipped(entries: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return stream.getvalue()
