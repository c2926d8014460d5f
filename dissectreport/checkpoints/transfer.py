"""Download one file from one address, and resume where an earlier attempt stopped.

The bytes that have arrived are in NAME.part; NAME.part.json records the address and version of their file. The rest is
requested with Range and If-Range, so a server without ranges, or with another version of the file, sends all of it.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from ipaddress import ip_address
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from dissectreport import files, structured
from dissectreport.errors import OutputError
from dissectreport.run.plain import check_types
from dissectreport.version import __version__

CHUNK = 1 << 18
RETRYABLE = (408, 425, 429)
"""HTTP statuses that may be temporary, besides those from 500 on."""
# A range of a compressed file is not a range of the file.
HEADERS = {"User-Agent": f"dissectreport/{__version__}", "Accept-Encoding": "identity"}
PAGE = "a web page instead of the file"
FOLDER = "DISSECTREPORT_WEIGHTS"
"""The environment variable that names the folder of downloads."""


class TransferFailed(Exception):
    """Why a download failed, in a few words; `retryable` if the same address may work later."""

    def __init__(self, why: str, retryable: bool = False) -> None:
        super().__init__(why)
        self.why, self.retryable = " ".join(why.split()), retryable


@dataclass(frozen=True)
class PartialDownload:
    """Of which file the bytes that have arrived are the beginning."""

    url: str
    validator: str
    """The ETag or date of this version of the file."""
    total: int
    """Size of the whole file in bytes; 0 if unknown."""


def transfer(url: str, part: Path, timeout: float, size: int, on_progress: Callable[[int, int], None]) -> bool:
    """Download the file at `url`, or the rest of it, into `part`. Returns whether it was resumed.

    `size` is the expected size of the whole file, or 0. `on_progress` is called with the bytes that have arrived and
    the size of the file (0 if unknown).
    """
    known, have = resumable(part, url)
    if have and known and have == known.total:
        return True
    resume = {"Range": f"bytes={have}-", "If-Range": known.validator} if known and have else {}
    with _response(Request(url, headers={**HEADERS, **resume}), timeout, part) as answer:
        if answer.status != 206 or not resume:
            have = 0
        elif not re.match(rf"bytes {have}-", answer.headers.get("Content-Range", "")):
            discard(part)
            raise TransferFailed("it sent another range than was requested", retryable=True)
        try:
            _receive(answer, url, part, have, size, on_progress)
        except (HTTPException, OSError) as problem:
            raise TransferFailed(f"interrupted: {describe_error(problem, timeout)}", retryable=True) from problem
    return bool(have)


def resumable(part: Path, url: str) -> tuple[PartialDownload | None, int]:
    """What `part` is the beginning of, and its size; (None, 0) if the download cannot be resumed."""
    try:
        known = PartialDownload(**structured.read_json(_metadata(part)))
        check_types(known)
        have = part.stat().st_size
    except (OSError, ValueError, TypeError):
        return None, 0
    return (known, have) if known.url == url and known.validator else (None, 0)


def discard(part: Path) -> None:
    """Remove an incomplete download."""
    for path in (part, _metadata(part)):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def finish(part: Path, path: Path) -> None:
    """Rename a complete download to its final name."""
    try:
        part.replace(path)
    except OSError as problem:
        raise disk_error(path, problem) from problem
    discard(part)


def _metadata(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _response(request: Request, timeout: float, part: Path) -> HTTPResponse:
    """The server's response, before its body is read; a TransferFailed for an error."""
    try:
        answer = _opener(request.full_url).open(request, timeout=timeout)
    except HTTPError as problem:
        problem.close()
        if problem.code == 416:  # The part here does not belong to the file there.
            discard(part)
        retryable = problem.code in (416, *RETRYABLE) or problem.code >= 500
        raise TransferFailed(f"{problem.code} {problem.reason}", retryable) from problem
    except (HTTPException, OSError) as problem:
        retryable = isinstance(getattr(problem, "reason", problem), ConnectionResetError | HTTPException)
        raise TransferFailed(describe_error(problem, timeout), retryable) from problem
    assert isinstance(answer, HTTPResponse), "only http and https are opened"
    if answer.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        answer.close()
        raise TransferFailed(PAGE)
    return answer


def _receive(
    answer: HTTPResponse, url: str, part: Path, have: int, size: int, on_progress: Callable[[int, int], None]
) -> None:
    """Append the body to the `have` bytes in `part`."""
    total = 0 if answer.length is None else have + answer.length
    if size and total and total != size:
        discard(part)
        raise TransferFailed(f"has {total:,} bytes, not {size:,}")
    with _open(part, "ab" if have else "wb", total - have) as file:
        files.write(_metadata(part), json.dumps(vars(PartialDownload(url, _validator(answer.headers), total))).encode())
        while block := answer.read1(CHUNK):
            _write(file, block, part)
            have += len(block)
            on_progress(have, total)
    if have < total:
        raise TransferFailed(f"interrupted after {have:,} of {total:,} bytes", retryable=True)


def _open(part: Path, mode: str, needed: int) -> IO[bytes]:
    try:
        if shutil.disk_usage(part.parent).free < needed:
            raise OSError(errno.ENOSPC, "")
        return part.open(mode)
    except OSError as problem:
        raise disk_error(part, problem) from problem


def _write(file: IO[bytes], block: bytes, part: Path) -> None:
    try:
        file.write(block)
        file.flush()
    except OSError as problem:
        raise disk_error(part, problem) from problem


def disk_error(path: Path, problem: OSError) -> OutputError:
    """The error for a file that cannot be written to the folder of downloads."""
    return OutputError(f"{files.write_failure(path, problem)} ({FOLDER} names the folder of downloads)")


def _validator(headers: HTTPMessage) -> str:
    """A value for If-Range: a strong ETag, or else the date of the file."""
    tag = headers.get("ETag") or ""
    return tag if tag.startswith('"') else headers.get("Last-Modified") or ""


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to http and https only."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """The request to `newurl`."""
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise TransferFailed(f"it redirects to {newurl}, which is neither http nor https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> OpenerDirector:
    """Opens http and https only; addresses of this machine are reached without a proxy."""
    opener = OpenerDirector()
    proxies = ProxyHandler({}) if _is_local(urlsplit(url).hostname or "") else ProxyHandler()
    for handler in (proxies, HTTPHandler(), HTTPSHandler(), _Redirects(), HTTPDefaultErrorHandler()):
        opener.add_handler(handler)
    opener.add_handler(HTTPErrorProcessor())
    opener.add_handler(UnknownHandler())
    return opener


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def describe_error(problem: Exception, timeout: float) -> str:
    """What went wrong with a connection, in a few words."""
    reason = problem.reason if isinstance(problem, URLError) else problem
    if isinstance(reason, TimeoutError):
        return f"no answer for {timeout:g} s"
    if isinstance(reason, socket.gaierror):
        return "its host cannot be found"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {reason.verify_message}"
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__)
