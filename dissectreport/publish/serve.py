"""Shows a site on this machine alone, and reloads its pages when files change.

The files stay as they are: the script that notices changes is added while a page is served.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import IO

from dissectreport.errors import OutputError

LOOPBACK = "127.0.0.1"
TRIES = 20
"""Ports that are tried, from the given one on."""
CHANGES = "/.changes"
"""Where a page listens for changes."""
SCRIPT = '<script>new EventSource("{address}?{number}").onmessage=function(){{location.reload()}}</script>\n'
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
"""Between two looks at the files, where no library reports their changes."""
HEARTBEAT = 15.0
"""Seconds after which a page that is gone is noticed."""

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
        """The number as soon as it is another one, or the same after some seconds."""
        with self.happened:
            self.happened.wait_for(lambda: self.number != number, seconds)
            return self.number


class Handler(SimpleHTTPRequestHandler):
    """Files of the site, never cached by the browser; requests under another host name are refused."""

    def __init__(self, *words: object, changes: Changes | None, **more: object) -> None:
        self.changes = changes
        super().__init__(*words, **more)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """A file, or the changes as they happen."""
        path, _, number = self.path.partition("?")
        if self.changes is not None and path == CHANGES and self._is_meant():
            self._send_changes(self.changes, int(number) if number.isdecimal() else self.changes.number)
        else:
            super().do_GET()

    def send_head(self) -> BytesIO | IO[bytes] | None:  # type: ignore[override]
        """The head of an answer; a page gets the script that listens for changes."""
        if not self._is_meant():
            self.send_error(HTTPStatus.FORBIDDEN, "this address is for this machine only")
            return None
        path = Path(self.translate_path(self.path))
        if path.is_dir() and self.path.split("?")[0].endswith("/"):
            path /= "index.html"
        if self.changes is None or path.suffix != ".html" or not path.is_file():
            return super().send_head()
        script = SCRIPT.format(address=CHANGES, number=self.changes.number).encode()
        page = path.read_bytes().replace(b"</body>", script + b"</body>")
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", TYPES[".html"])
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        return BytesIO(page)

    def guess_type(self, path: str | os.PathLike[str]) -> str:
        """The type of a file by its ending."""
        return TYPES.get(Path(path).suffix) or super().guess_type(path)

    def list_directory(self, path: str | os.PathLike[str]) -> None:
        """Nothing: the site has no lists of files."""
        self.send_error(HTTPStatus.NOT_FOUND, "no such page")

    def end_headers(self) -> None:
        """Forbid caching."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *words: object) -> None:
        """Nothing."""

    def _is_meant(self) -> bool:
        """Whether the address in the browser is this machine's: a foreign page may have its name lead here."""
        name = self.headers.get("Host", "").rsplit(":", 1)[0]
        return name in (LOOPBACK, "localhost")

    def _send_changes(self, changes: Changes, seen: int) -> None:
        """Notify a page that shows the files after `seen` changes of those that follow, as long as it is open."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        with suppress(OSError):  # the page was left
            while True:
                now = changes.after(seen, HEARTBEAT)
                self.wfile.write(b": still here\n\n" if now == seen else b"data: changed\n\n")
                seen = now


class Server(ThreadingHTTPServer):
    """Answers on the loopback interface; pages that are still open do not keep it."""

    daemon_threads = True
    allow_reuse_address = False
    """Lest a port is taken that another server listens on."""


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
    """A value each time the files have changed, and are the same again at the next look: writing takes a while."""
    shown = seen = _state(site)
    while not stop.wait(SECONDS):
        now = _state(site)
        if now == seen and now != shown:
            shown = now
            yield now
        seen = now


def _state(site: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file."""
    state = {}
    for folder, _, names in os.walk(site):
        for name in names:
            with suppress(OSError):  # it was there a moment ago
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
