"""Files of weights that lie elsewhere: brought once, checked, kept.

    path = fetch(Remote("church.pth", ("https://…/church.pth", "http://…/church.pth"), sha256="7e701dd5"), folder())

Every address is tried in order; what comes goes into a file of another name, is checked, and gets its name at the very
end. Two processes that want the same file do not get in each other's way: the second waits, then finds it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from dissectreport import files
from dissectreport.checkpoints import telling
from dissectreport.checkpoints.looks import HEAD, digest_of, look
from dissectreport.checkpoints.transfer import CHUNK, FOLDER, PAGE, Failed, finish, forget, no_room, transfer
from dissectreport.errors import WeightsError

OFFLINE = "DISSECTREPORT_OFFLINE"
DISGUISES = {"page": PAGE, "pointer": "a git-lfs pointer instead of the file"}
TRIES = 3
"""Attempts at an address that may still give the file; those that brought it further do not count."""


@dataclass(frozen=True)
class Remote:
    """A file, and where it is published."""

    name: str
    """What it is called in the folder."""
    urls: tuple[str, ...]
    sha256: str = ""
    """Its SHA-256, or the first digits of it, or '' where nobody published it."""
    size: int = 0
    """Bytes, or 0 where nobody published them."""


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds."""

    timeout: float = 30.0
    """For a connection, and for every further piece."""
    pause: float = 1.0
    """Before the second attempt; twice that before the third."""


def folder() -> Path:
    """Where downloads are kept: DISSECTREPORT_WEIGHTS, or `weights` in the platform's cache folder."""
    named = os.environ.get(FOLDER)
    return Path(named) if named else files.default_folder() / "weights"


def offline() -> bool:
    """Whether downloads are off."""
    return os.environ.get(OFFLINE, "").lower() not in ("", "0", "false", "no")


def fetch(remote: Remote, where: Path, meanwhile: str = "", patience: Patience = Patience()) -> Path:
    """The file in the folder `where`, downloaded if it is not there; `meanwhile` is what a person may do without it.

    What was downloaded is checked. What lay there already is not: it is checked when it is read.
    """
    fetch_any([[remote]], where, meanwhile, patience)
    return where / remote.name


def fetch_any(
    choices: Sequence[Sequence[Remote]],
    where: Path,
    meanwhile: str = "",
    patience: Patience = Patience(),
) -> int:
    """The number of the first choice whose files all lie in `where`; if none does, of the first that could be brought.

    The files of a choice are needed together, and each choice would do.
    """
    for number, choice in enumerate(choices):
        if all((where / file.name).is_file() for file in choice):
            return number
    if offline():
        raise WeightsError(_absent(choices, where, meanwhile))
    tried: list[tuple[str, str]] = []
    for number, choice in enumerate(choices):
        failures = _bring_all(choice, where, patience)
        if not failures:
            return number
        tried += failures
    raise WeightsError(_unavailable(choices, where, tried, meanwhile))


def _bring_all(files: Sequence[Remote], where: Path, patience: Patience) -> list[tuple[str, str]]:
    """Bring files that are needed together; the addresses that failed, and why, if one could not be brought."""
    for file in files:
        failures = _bring(file, where / file.name, patience)
        if failures:
            return failures
    return []


def _bring(remote: Remote, path: Path, patience: Patience) -> list[tuple[str, str]]:
    """Bring a file from the first address that has it; if none has, every address and why it failed."""
    with _alone(path):
        failures: list[tuple[str, str]] = []
        for url in remote.urls:
            if path.is_file():  # It was here before, or another process has brought it.
                return []
            why = _from(url, remote, path, patience)
            if not why:
                return []
            failures.append((url, why))
        return failures


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody else brings the file while this runs."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            telling.say(f"another process is downloading {path.name}; waiting for it")
            lock.acquire()
    except OSError as problem:
        raise no_room(path, problem) from problem
    try:
        yield
    finally:
        lock.release()


def _from(url: str, remote: Remote, path: Path, patience: Patience) -> str:
    """Bring a file from one address; '' or why that failed."""
    part = path.with_name(f"{path.name}.part")
    telling.say(f"downloading {remote.name} from {urlsplit(url).netloc}")
    heard = partial(telling.progress, f"downloading {remote.name}")
    furthest, failures = 0, 0
    while True:
        try:
            resumed = transfer(url, part, patience.timeout, remote.size, heard)
            _check(part, remote, resumed)
            finish(part, path)
            return ""
        except Failed as failed:
            reached = part.stat().st_size if part.exists() else 0
            failures += reached < furthest + CHUNK
            furthest = max(furthest, reached)
            if not failed.again or failures >= TRIES:
                return failed.why
        time.sleep(patience.pause * 2 ** max(0, failures - 1))


def _check(part: Path, remote: Remote, resumed: bool) -> None:
    """Refuse what came if it is not the file; where it was put together from parts, the whole may still be."""
    with part.open("rb") as file:
        seen = look(file.read(HEAD))
    found = digest_of(part)
    if found.startswith(remote.sha256.lower()) and seen not in DISGUISES:
        if not remote.sha256:
            telling.say(f"{remote.name} cannot be verified: nobody published its checksum; its SHA-256 is {found}")
        return
    forget(part)
    why = f"another file (SHA-256 {found[:12]}…, not {remote.sha256[:12]}…)"
    raise Failed(DISGUISES.get(seen, why), again=resumed)


def _unavailable(
    choices: Sequence[Sequence[Remote]], where: Path, tried: Sequence[tuple[str, str]], meanwhile: str
) -> str:
    reasons = ", ".join(f"{url} ({why})" for url, why in tried)
    return f"{_names(choices)} could not be downloaded: {reasons}; {_elsewhere(where, meanwhile)}"


def _absent(choices: Sequence[Sequence[Remote]], where: Path, meanwhile: str) -> str:
    urls = ", ".join(url for files in choices for url in _addresses(files))
    return (
        f"{_names(choices)} {'are' if len(choices[0]) > 1 else 'is'} not in {where}, and downloads are off "
        f"(--offline, {OFFLINE}); published at {urls}; {_elsewhere(where, meanwhile)}"
    )


def _addresses(files: Sequence[Remote]) -> list[str]:
    """Where files are published: a file's addresses, or the folders in which several lie."""
    return [url if len(files) == 1 else f"{url.rpartition('/')[0]}/" for url in files[0].urls]


def _names(choices: Sequence[Sequence[Remote]]) -> str:
    return " or ".join(", ".join(file.name for file in files) for files in choices)


def _elsewhere(where: Path, meanwhile: str) -> str:
    """What a person can do who gets no file."""
    return (
        f"get it on another machine and put it into {where} under the same name{f', {meanwhile}' if meanwhile else ''}"
    )
