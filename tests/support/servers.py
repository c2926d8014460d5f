"""A web server on this machine that behaves as badly as real ones do, and remembers what it was asked."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What lies at an address, and how it is sent."""

    content: bytes = b""
    etag: str = '"first"'
    date: str = ""
    status: int = 200
    kind: str = "application/octet-stream"
    ranges: bool = True
    length: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)
    """Of the first answers, after how many bytes the connection is cut."""
    delay: float = 0.0
    """Seconds before the first byte of the body."""
    stall: float = 0.0
    """Seconds between the halves of the body."""


@dataclass
class Asked:
    """One request and its answer."""

    path: str
    headers: dict[str, str]
    status: int = 0
    sent: int = 0


@dataclass
class Server:
    """The pages by path, and every request."""

    pages: dict[str, Page]
    asked: list[Asked] = field(default_factory=list)
    address: str = ""

    def url(self, path: str) -> str:
        return f"{self.address}{path}"


def answer(handler: BaseHTTPRequestHandler, server: Server) -> None:
    """Answer a request for a file as its page says."""
    asked = Asked(handler.path, {name.lower(): value for name, value in handler.headers.items()})
    server.asked.append(asked)
    page = server.pages.get(handler.path, Page(b"<html>not here</html>", status=404, kind="text/html"))
    body, status, extra = page.content, page.status, dict(page.headers)
    first = re.match(r"bytes=(\d+)-$", asked.headers.get("range", ""))
    same = asked.headers.get("if-range") in (page.etag or None, page.date or None)
    if first and page.ranges and same and status == 200:
        start = int(first[1])
        if start >= len(body):
            status, body, extra = 416, b"", {"Content-Range": f"bytes */{len(body)}"}
        else:
            extra["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            status, body = 206, body[start:]
    asked.status = status
    handler.send_response(status)
    handler.send_header("Content-Type", page.kind)
    for name, value in {"ETag": page.etag, "Last-Modified": page.date, **extra}.items():
        if value:
            handler.send_header(name, value)
    if page.length:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    time.sleep(page.delay)
    end = page.breaks.pop(0) if page.breaks else len(body)
    for piece in (body[: end // 2], body[end // 2 : end]):
        handler.wfile.write(piece)
        asked.sent += len(piece)
        time.sleep(page.stall)
    if end < len(body):
        handler.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(**pages: Page) -> Iterator[Server]:
    """A server of pages, named by their paths without the slash and with _ for a dot."""
    found = Server({f"/{name.replace('_', '.')}": page for name, page in pages.items()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self, found)
            except OSError:
                self.close_connection = True  # The client went away, which is what some tests are about.

        def log_message(self, format: str, *words: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.address = f"http://127.0.0.1:{httpd.server_address[1]}"
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield found
    finally:
        httpd.shutdown()
        httpd.server_close()


def closed_port() -> str:
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"
