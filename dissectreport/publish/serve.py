"""Shows a site on this machine alone, and reloads its pages when files change.

The files stay as they are: the script that notices changes is added while a page is served.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from socket import SHUT_RDWR, socket
from typing import Any
from urllib.parse import unquote

from dissectreport.errors import OutputError
from dissectreport.files import place, read
from dissectreport.report.html.policy import LISTENING

LOOPBACK = "127.0.0.1"
TRIES = 20
"""Ports that are tried, from the given one on."""
CHANGES = "/.changes"
"""Where a page listens for changes."""
SCRIPT = "/.changes.js"
"""The script of a page that listens."""
LISTEN = (
    b'new EventSource("/.changes" + new URL(document.currentScript.src).search).onmessage = () => location.reload();\n'
)
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}
"""Types of the files of a site, whatever this machine's own tables say."""
SECONDS = 1.0
"""Seconds between two checks of the files, if no library reports their changes."""
LARGEST = 1 << 30
"""Most bytes of a file that is served."""
HEARTBEAT = 15.0
"""Seconds after which a closed page is noticed."""
PATIENCE = 10.0
"""Seconds within which a browser has to say what it wants, and take each part of an answer."""
MOST = 64
"""Connections that are answered at a time; others are closed."""

Watch = Callable[[Path, threading.Event], Iterator[object]]


class Changes:
    """How often the files have changed; pages wait for the next time."""

    def __init__(self) -> None:
        self.number = 0
        self.happened = threading.Condition()

    def notify(self) -> None:
        """Report that they changed."""
        with self.happened:
            self.number += 1
            self.happened.notify_all()

    def after(self, number: int, seconds: float) -> int:
        """The number when it has changed, or the same number after some seconds."""
        with self.happened:
            self.happened.wait_for(lambda: self.number != number, seconds)
            return self.number


class Handler(SimpleHTTPRequestHandler):
    """Files of the site, never cached by the browser; requests under another host name are refused."""

    timeout = PATIENCE

    def __init__(self, *words: object, changes: Changes | None, **more: object) -> None:
        self.changes = changes
        super().__init__(*words, **more)  # type: ignore[arg-type]

    def parse_request(self) -> bool:
        """Whether the browser said what it wants; it is not hurried any more."""
        if isinstance(self.server, Server):
            self.server.has_asked(self.request)
        return super().parse_request()

    def do_GET(self) -> None:
        """A file, or the changes as they happen."""
        path, _, number = self.path.partition("?")
        if self.changes is not None and path == CHANGES and self._is_meant():
            is_number = number.isascii() and number.isdecimal() and len(number) < 10
            self._send_changes(self.changes, int(number) if is_number else self.changes.number)
        else:
            super().do_GET()

    def send_head(self) -> BytesIO | None:
        """The head of an answer; a page gets the script that listens for changes."""
        if not self._is_meant():
            self.send_error(HTTPStatus.FORBIDDEN, "this address is for this machine only")
            return None
        path = self.path.partition("?")[0].partition("#")[0]
        if self.changes is not None and path == SCRIPT:
            return self._answer(LISTEN, TYPES[".js"])
        file = _file_of_site(Path(self.directory), path)
        if file is None:
            self.send_error(HTTPStatus.NOT_FOUND, "no such page")
            return None
        if file.is_dir():
            self.send_response(HTTPStatus.MOVED_PERMANENTLY)
            self.send_header("Location", f"/{path.lstrip('/')}/")
            self.end_headers()
            return None
        try:
            content = read(file, LARGEST)
        except OSError:
            self.send_error(HTTPStatus.NOT_FOUND, "no such page")
            return None
        if self.changes is not None and file.suffix == ".html":
            content = _listening(content, self.changes.number)
        return self._answer(content, self.guess_type(file))

    def _answer(self, content: bytes, kind: str) -> BytesIO:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return BytesIO(content)

    def guess_type(self, path: str | os.PathLike[str]) -> str:
        """The type of a file by its ending."""
        return TYPES.get(Path(path).suffix) or super().guess_type(path)

    def end_headers(self) -> None:
        """Forbid caching, and guessing of types."""
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *words: object) -> None:
        """Nothing."""

    def _is_meant(self) -> bool:
        """Whether the address in the browser is this machine's: a foreign page may have its name lead here."""
        name = self.headers.get("Host", "").rsplit(":", 1)[0]
        return name in (LOOPBACK, "localhost")

    def _send_changes(self, changes: Changes, shown: int) -> None:
        """Notify an open page, which shows the files after `shown` changes, of every further change."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        with suppress(OSError):  # The page was closed.
            while True:
                now = changes.after(shown, HEARTBEAT)
                self.wfile.write(b": still here\n\n" if now == shown else b"data: changed\n\n")
                shown = now


def _file_of_site(site: Path, address: str) -> Path | None:
    """The file or folder at an address; None for what is hidden, behind a link, or not there."""
    name = unquote(address, errors="replace").lstrip("/")
    if name.endswith("/") or not name:
        name += "index.html"
    if any(part.startswith(".") for part in name.split("/")):
        return None
    try:
        path = place(site, name)
        return path if path.exists() else None
    except (OutputError, OSError, ValueError):
        return None


def _listening(page: bytes, number: int) -> bytes:
    """A page with the script that listens for changes, which its policy then allows to connect to this server."""
    script = f'<script src="{SCRIPT}?{number}"></script>\n'.encode()
    for strict, listening in LISTENING:
        page = page.replace(strict, listening, 1)
    return page.replace(b"</body>", script + b"</body>")


class Server(ThreadingHTTPServer):
    """Answers on the loopback interface; open pages do not prevent it from ending."""

    daemon_threads = True
    allow_reuse_address = False
    """False, so that a port on which another server listens is not reused."""

    def __init__(self, *words: Any, **more: Any) -> None:
        self._free = threading.Semaphore(MOST)
        self._asking: dict[socket, float] = {}
        super().__init__(*words, **more)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own, unless there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._asking[request] = time.monotonic()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.has_asked(request)
            self._free.release()

    def has_asked(self, request: Any) -> None:
        """Note that a browser has said what it wants."""
        self._asking.pop(request, None)

    def service_actions(self) -> None:
        """End connections of those who take too long to say what they want, whatever they send meanwhile."""
        now = time.monotonic()
        for request, since in list(self._asking.items()):
            if now - since > PATIENCE:
                with suppress(OSError):
                    request.shutdown(SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing where somebody left before the answer."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def server(site: Path, port: int, changes: Changes | None) -> Server:
    """A server on the first free port from `port` on, or on any free one where that is 0."""
    if not (site / "index.html").is_file():
        raise OutputError(f"{site} has no index.html; give the folder that `dissectreport build` wrote")
    handler = partial(Handler, directory=str(site), changes=changes)
    last = min(port + TRIES, 65536) if port else 1
    for tried in range(port, last):
        try:
            return Server((LOOPBACK, tried), handler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise OutputError(f"cannot listen on {LOOPBACK}:{tried}: {error.strerror}") from error
    raise OutputError(f"the ports {port} to {last - 1} are all taken; choose another with --port, or 0 for any")


def watching() -> tuple[Watch, str]:
    """How changes are noticed, and a line about it for the user."""
    try:
        from watchfiles import watch
    except ImportError:
        return (
            polling,
            f"checking for changes every {SECONDS:g} s; `pip install watchfiles` notices them at once",
        )
    return lambda site, stop: watch(site, stop_event=stop, raise_interrupt=False), ""


def polling(site: Path, stop: threading.Event) -> Iterator[object]:
    """A value after each change of the files, once they have stayed the same between two checks."""
    reported = last = _state(site)
    while not stop.wait(SECONDS):
        now = _state(site)
        if now == last and now != reported:
            reported = now
            yield now
        last = now


def _state(site: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file."""
    state = {}
    for folder, _, names in os.walk(site):
        for name in names:
            with suppress(OSError):  # It was deleted meanwhile.
                facts = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 - thousands of files, every second
                state[f"{folder}/{name}"] = (facts.st_size, facts.st_mtime_ns)
    return state


def follow(site: Path, changes: Changes, watch: Watch, stop: threading.Event) -> threading.Thread:
    """Notify `changes` of every change of the files, in a thread of its own, until `stop`."""

    def run() -> None:
        for _ in watch(site, stop):
            changes.notify()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def serve(site: Path, port: int, reload: bool, say: Callable[[str], None]) -> None:
    """Show a site until interrupted."""
    changes, stop = (Changes() if reload else None), threading.Event()
    with server(site, port, changes) as answering:
        at = answering.server_address[1]
        if port and at != port:
            say(f"port {port} is taken; {at} is free")
        if changes is not None:
            watch, words = watching()
            follow(site, changes, watch, stop)
            if words:
                say(words)
        say(f"{site} is at http://{LOOPBACK}:{at}/ for this machine only; Ctrl-C stops")
        try:
            answering.serve_forever()
        except KeyboardInterrupt:
            say("stopped")
        finally:
            stop.set()
