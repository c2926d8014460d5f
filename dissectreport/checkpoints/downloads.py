"""Download weight files once, check them, and keep them.

    church = RemoteFile("church.pth", ("https://…/church.pth", "http://…/church.pth"), sha256="7e701dd5")
    path = fetch(church, downloads_folder())

Addresses are tried in order. A download goes into a file of another name, which is checked and then renamed. If two
processes need the same file, the second waits for the first.
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

from dissectreport import files
from dissectreport.checkpoints import reporting
from dissectreport.checkpoints.file_type import HEAD, file_type
from dissectreport.checkpoints.packages import is_package, transfer_from_package
from dissectreport.checkpoints.transfer import (
    CHUNK,
    FOLDER,
    PAGE,
    TransferFailed,
    discard,
    disk_error,
    finish,
    transfer,
)
from dissectreport.errors import WeightsError

OFFLINE = "DISSECTREPORT_OFFLINE"
WRONG_TYPES = {"page": PAGE, "pointer": "a git-lfs pointer instead of the file"}
ATTEMPTS = 3
"""Attempts at one address; attempts that downloaded more of the file are not counted."""


@dataclass(frozen=True)
class RemoteFile:
    """A file, and the addresses at which it is published."""

    name: str
    """Its name in the folder of downloads."""
    urls: tuple[str, ...]
    sha256: str = ""
    """Its SHA-256, or the first digits of it; '' if none was published."""
    size: int = 0
    """Its size in bytes; 0 if none was published."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait, in seconds."""

    timeout: float = 30.0
    """For a connection, and for each further part of the file."""
    pause: float = 1.0
    """Before the second attempt; doubled before the third."""


def downloads_folder() -> Path:
    """The folder of downloads: DISSECTREPORT_WEIGHTS, or `weights` in the platform's cache folder."""
    named = os.environ.get(FOLDER)
    return Path(named) if named else files.default_folder() / "weights"


def offline() -> bool:
    """Whether DISSECTREPORT_OFFLINE forbids downloads."""
    return os.environ.get(OFFLINE, "").lower() not in ("", "0", "false", "no")


def fetch(remote: RemoteFile, folder: Path, alternative: str = "", retry: RetryPolicy = RetryPolicy()) -> Path:
    """The path of the file in `folder`, downloaded if it is not there.

    A download is checked. A file that is there already is not: it is checked when it is read.
    """
    fetch_any([[remote]], folder, alternative, retry)
    return folder / remote.name


def fetch_any(
    choices: Sequence[Sequence[RemoteFile]],
    folder: Path,
    alternative: str = "",
    retry: RetryPolicy = RetryPolicy(),
) -> int:
    """The index of the first choice whose files are all in `folder`; if none, of the first that can be downloaded.

    The files of a choice are needed together; one choice is enough. A WeightsError names every address that was tried,
    and ends with `alternative`, what the user can do without the files.
    """
    for number, choice in enumerate(choices):
        if all((folder / file.name).is_file() for file in choice):
            return number
    if offline():
        raise WeightsError(_offline_message(choices, folder, alternative))
    failed: list[tuple[str, str]] = []
    for number, choice in enumerate(choices):
        failures = _download_all(choice, folder, retry)
        if not failures:
            return number
        failed += failures
    raise WeightsError(_failure_message(choices, folder, failed, alternative))


def _download_all(files: Sequence[RemoteFile], folder: Path, retry: RetryPolicy) -> list[tuple[str, str]]:
    """Download files that are needed together; if one fails, return its addresses and why each failed."""
    for file in files:
        failures = _download(file, folder / file.name, retry)
        if failures:
            return failures
    return []


def _download(remote: RemoteFile, path: Path, retry: RetryPolicy) -> list[tuple[str, str]]:
    """Download a file from the first address that works; if none does, return all addresses and why each failed."""
    with _locked(path):
        failures: list[tuple[str, str]] = []
        for url in remote.urls:
            if path.is_file():  # It was here before, or another process has downloaded it.
                return []
            why = _download_from(url, remote, path, retry)
            if not why:
                return []
            failures.append((url, why))
        return failures


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """No other process downloads the file while the block runs."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"another process is downloading {path.name}; waiting for it"
        lock = files.acquired(path.with_name(f".{path.name}.lock"), lambda: reporting.say(waiting))
    except OSError as problem:
        raise disk_error(path, problem) from problem
    try:
        yield
    finally:
        lock.release()


def _download_from(url: str, remote: RemoteFile, path: Path, retry: RetryPolicy) -> str:
    """Download a file from one address; return '', or why it failed."""
    part = path.with_name(f"{path.name}.part")
    if is_package(url):
        return _take_from_package(url, remote, path, part)
    reporting.say(f"downloading {remote.name} from {urlsplit(url).netloc}")
    on_progress = partial(reporting.progress, f"downloading {remote.name}")
    largest, failures = 0, 0
    while True:
        try:
            resumed = transfer(url, part, retry.timeout, remote.size, on_progress)
            _check(part, remote, resumed)
            finish(part, path)
            return ""
        except TransferFailed as failed:
            size = part.stat().st_size if part.exists() else 0
            failures += size < largest + CHUNK
            largest = max(largest, size)
            if not failed.retryable or failures >= ATTEMPTS:
                return failed.why
        time.sleep(retry.pause * 2 ** max(0, failures - 1))


def _take_from_package(url: str, remote: RemoteFile, path: Path, part: Path) -> str:
    """Take a file out of a package that pip downloads; return '', or why it failed."""
    reporting.say(f"downloading the package {url.removeprefix('pypi:').partition('/')[0]}, for {remote.name} in it")
    try:
        transfer_from_package(url, part)
        _check(part, remote, resumed=False)
        finish(part, path)
    except TransferFailed as failed:
        return failed.why
    return ""


def _check(part: Path, remote: RemoteFile, resumed: bool) -> None:
    """Raise a TransferFailed if the download is not the file; it is worth a retry if it was resumed."""
    with part.open("rb") as file:
        kind = file_type(file.read(HEAD))
    digest = files.sha256(part, links=True)
    if digest.startswith(remote.sha256.lower()) and kind not in WRONG_TYPES:
        if not remote.sha256:
            reporting.say(f"{remote.name} cannot be verified: no checksum was published; its SHA-256 is {digest}")
        return
    discard(part)
    why = f"another file (SHA-256 {digest[:12]}…, not {remote.sha256[:12]}…)"
    raise TransferFailed(WRONG_TYPES.get(kind, why), retryable=resumed)


def _failure_message(
    choices: Sequence[Sequence[RemoteFile]], folder: Path, failed: Sequence[tuple[str, str]], alternative: str
) -> str:
    reasons = ", ".join(f"{url} ({why})" for url, why in failed)
    return f"{_names(choices)} could not be downloaded: {reasons}; {_by_hand(folder, alternative)}"


def _offline_message(choices: Sequence[Sequence[RemoteFile]], folder: Path, alternative: str) -> str:
    urls = ", ".join(url for files in choices for url in _addresses(files))
    return (
        f"{_names(choices)} {'are' if len(choices[0]) > 1 else 'is'} not in {folder}, and downloads are off "
        f"(--offline, {OFFLINE}); published at {urls}; {_by_hand(folder, alternative)}"
    )


def _addresses(files: Sequence[RemoteFile]) -> list[str]:
    """The addresses of one file, or the addresses of the folders of several."""
    return [url if len(files) == 1 else f"{url.rpartition('/')[0]}/" for url in files[0].urls]


def _names(choices: Sequence[Sequence[RemoteFile]]) -> str:
    return " or ".join(", ".join(file.name for file in files) for files in choices)


def _by_hand(folder: Path, alternative: str) -> str:
    """What a user can do without the download."""
    rest = f", {alternative}" if alternative else ""
    return f"download it on another machine and put it into {folder} under the same name{rest}"
