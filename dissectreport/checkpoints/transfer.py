"""Bring one file from one address, going on where an earlier attempt stopped.

What has come lies in NAME.part; beside it NAME.part.json says of which file at which address it is the beginning. The
rest is asked for with Range and If-Range, so that a server that does not know ranges, or has another file by now, sends
the whole again.
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

from dissectreport import files
from dissectreport.errors import OutputError
from dissectreport.version import __version__

CHUNK = 1 << 18
AGAIN = (408, 425, 429)
"""Answers that may be others in a moment, beside those from 500 on."""
# Compressed on the way, a part of a file would be the part of something else.
HEADERS = {"User-Agent": f"dissectreport/{__version__}", "Accept-Encoding": "identity"}
PAGE = "a web page instead of the file"
FOLDER = "DISSECTREPORT_WEIGHTS"
"""The environment variable that names the folder of downloads."""


class Failed(Exception):
    """Why an attempt brought no file, in a few words; `again` where the same address may still give it."""

    def __init__(self, why: str, again: bool = False) -> None:
        super().__init__(why)
        self.why, self.again = " ".join(why.split()), again


@dataclass(frozen=True)
class Note:
    """What is known of a file whose beginning has come."""

    url: str
    validator: str
    """The ETag, or the date, that tells this file from a later one at the same address."""
    total: int
    """Bytes of the whole, 0 where the server did not say."""


def transfer(url: str, part: Path, timeout: float, size: int, heard: Callable[[int, int], None]) -> bool:
    """Bring the rest of the file at `url` into `part`; whether it was only a rest.

    `size` is what the whole should have, or 0; `heard` is told how many bytes have come, and of how many.
    """
    note, have = kept(part, url)
    if have and note and have == note.total:
        return True
    resuming = {"Range": f"bytes={have}-", "If-Range": note.validator} if note and have else {}
    with _asked(Request(url, headers={**HEADERS, **resuming}), timeout, part) as answer:
        if answer.status != 206 or not resuming:
            have = 0
        elif not re.match(rf"bytes {have}-", answer.headers.get("Content-Range", "")):
            forget(part)
            raise Failed("it sent another part than was asked for", again=True)
        try:
            _receive(answer, url, part, have, size, heard)
        except (HTTPException, OSError) as problem:
            raise Failed(f"broke off: {words(problem, timeout)}", again=True) from problem
    return bool(have)


def kept(part: Path, url: str) -> tuple[Note | None, int]:
    """What is known of the beginning that lies in `part`, and its bytes; 0 where it cannot be gone on with."""
    try:
        note = Note(**json.loads(_beside(part).read_bytes()))
        have = part.stat().st_size
    except (OSError, ValueError, TypeError):
        return None, 0
    return (note, have) if note.url == url and note.validator else (None, 0)


def forget(part: Path) -> None:
    """Remove what has come of a file."""
    for path in (part, _beside(part)):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def finish(part: Path, path: Path) -> None:
    """Give a file that has come whole its name."""
    try:
        part.replace(path)
    except OSError as problem:
        raise no_room(path, problem) from problem
    forget(part)


def _beside(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _asked(request: Request, timeout: float, part: Path) -> HTTPResponse:
    """The server's answer, its body still to be read."""
    try:
        answer = _opener(request.full_url).open(request, timeout=timeout)
    except HTTPError as problem:
        problem.close()
        if problem.code == 416:  # The beginning that is here does not belong to the file that is there.
            forget(part)
        again = problem.code in (416, *AGAIN) or problem.code >= 500
        raise Failed(f"{problem.code} {problem.reason}", again) from problem
    except (HTTPException, OSError) as problem:
        again = isinstance(getattr(problem, "reason", problem), ConnectionResetError | HTTPException)
        raise Failed(words(problem, timeout), again) from problem
    assert isinstance(answer, HTTPResponse), "http and https are all that is opened"
    if answer.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        answer.close()
        raise Failed(PAGE)
    return answer


def _receive(
    answer: HTTPResponse, url: str, part: Path, have: int, size: int, heard: Callable[[int, int], None]
) -> None:
    """Write the body behind the `have` bytes that are there."""
    total = 0 if answer.length is None else have + answer.length
    if size and total and total != size:
        forget(part)
        raise Failed(f"has {total:,} bytes, not {size:,}")
    with _opened(part, "ab" if have else "wb", total - have) as file:
        files.write(_beside(part), json.dumps(vars(Note(url, _validator(answer.headers), total))).encode())
        while block := answer.read1(CHUNK):
            _write(file, block, part)
            have += len(block)
            heard(have, total)
    if have < total:
        raise Failed(f"broke off after {have:,} of {total:,} bytes", again=True)


def _opened(part: Path, mode: str, needed: int) -> IO[bytes]:
    try:
        if shutil.disk_usage(part.parent).free < needed:
            raise OSError(errno.ENOSPC, "")
        return part.open(mode)
    except OSError as problem:
        raise no_room(part, problem) from problem


def _write(file: IO[bytes], block: bytes, part: Path) -> None:
    try:
        file.write(block)
        file.flush()
    except OSError as problem:
        raise no_room(part, problem) from problem


def no_room(path: Path, problem: OSError) -> OutputError:
    """The error for a file that cannot be written among the downloads."""
    return OutputError(f"{files.no_room(path, problem)} ({FOLDER} names the folder of downloads)")


def _validator(headers: HTTPMessage) -> str:
    """What If-Range may name: a strong ETag, else the date of the file."""
    tag = headers.get("ETag") or ""
    return tag if tag.startswith('"') else headers.get("Last-Modified") or ""


class _Redirects(HTTPRedirectHandler):
    """Follows to another address of the web, and nowhere else."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """The request to `newurl`."""
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise Failed(f"it redirects to {newurl}, which is no address of the web")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> OpenerDirector:
    """What opens http and https, and nothing else; this machine itself is reached without a proxy."""
    opener = OpenerDirector()
    proxies = ProxyHandler({}) if _is_here(urlsplit(url).hostname or "") else ProxyHandler()
    for handler in (proxies, HTTPHandler(), HTTPSHandler(), _Redirects(), HTTPDefaultErrorHandler()):
        opener.add_handler(handler)
    opener.add_handler(HTTPErrorProcessor())
    opener.add_handler(UnknownHandler())
    return opener


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def words(problem: Exception, timeout: float) -> str:
    """What went wrong with a connection, in a few words."""
    reason = problem.reason if isinstance(problem, URLError) else problem
    if isinstance(reason, TimeoutError):
        return f"no answer for {timeout:g} s"
    if isinstance(reason, socket.gaierror):
        return "its host cannot be found"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {reason.verify_message}"
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__)
