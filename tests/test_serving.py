"""The preview: a real server on the loopback interface, what it shows, to whom, and how it notices changes."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dissectreport.cli.app import app
from dissectreport.errors import OutputError
from dissectreport.publish import serve
from tests.support.processes import accept_ctrl_c

PAGE = b"<!doctype html><html><body><p>one</p></body></html>"
FILES = {
    "index.html": PAGE,
    "a b/index.html": PAGE,
    "assets/site.css": b"p{}",
    "assets/site.js": b"1",
    "assets/font.woff2": b"wOF2",
    "img/1.webp": b"RIFF",
    "data/units.csv": b"unit\n",
    "data/units.json": b"[]",
    "icon.svg": b"<svg/>",
    "favicon.ico": b"\0",
    "sitemap.xml": b"<x/>",
    "nothing/more.txt": b"words",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "secret.txt").write_text("not to be shown")
    return tmp_path / "site"


@contextmanager
def answering(site: Path, changes: serve.Changes | None = None) -> Iterator[serve.Server]:
    with serve.server(site, 0, changes) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(server: serve.Server, path: str, **headers: str) -> tuple[int, str, bytes]:
    """Status, type and content."""
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, answer.headers.get("Content-Type", ""), answer.read()
    assert (answer.headers["Cache-Control"], answer.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    connection.close()
    return found


def test_every_kind_of_file_has_its_type(site: Path) -> None:
    types = {
        "/": "text/html; charset=utf-8",
        "/a%20b/": "text/html; charset=utf-8",
        "/assets/site.css": "text/css; charset=utf-8",
        "/assets/site.js": "text/javascript; charset=utf-8",
        "/assets/font.woff2": "font/woff2",
        "/img/1.webp": "image/webp",
        "/data/units.csv?x=1": "text/csv; charset=utf-8",
        "/data/units.json": "application/json",
        "/icon.svg": "image/svg+xml",
        "/favicon.ico": "image/x-icon",
        "/sitemap.xml": "application/xml",
    }
    with answering(site) as server:
        for path, kind in types.items():
            assert ask(server, path)[:2] == (200, kind), path
        assert ask(server, "/")[2] == PAGE


def test_a_page_is_given_what_notices_changes_and_its_file_is_not(site: Path) -> None:
    with answering(site, serve.Changes()) as server:
        for path in ("/", "/index.html", "/a%20b/"):
            status, _, content = ask(server, path)
            assert status == 200
            assert content.startswith(PAGE.removesuffix(b"</body></html>")) and content.endswith(b"</body></html>")
            assert content.count(b"<script") == 1 and b'<script src="/.changes.js?0"></script>' in content
        assert b"EventSource" in ask(server, serve.SCRIPT + "?0")[2]
        assert ask(server, "/assets/site.js")[2] == b"1"
    assert (site / "index.html").read_bytes() == PAGE


def test_only_this_machine_sees_only_the_site(site: Path) -> None:
    with answering(site, serve.Changes()) as server:
        assert server.server_address[0] == "127.0.0.1"
        assert ask(server, "/", Host="evil.example:80")[0] == 403
        assert ask(server, serve.CHANGES, Host="evil.example")[0] == 403
        assert ask(server, "/", Host="localhost:8000")[0] == 200
        for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/nothing/", "/gone.html"):
            status, _, content = ask(server, path)
            assert status == 404 and b"not to be shown" not in content and b"more.txt" not in content


@pytest.mark.parametrize(
    "path",
    [
        *("/%00", "/a%00b.html", f"/{'a' * 5000}", "/" + "a/" * 5000, "/%ff%fe", "/..%2fsecret.txt", "//secret.txt"),
        *("/.git/config", "/.env", "/nothing/.hidden", "/linked/more.txt", "/link.html", "/pipe.html", "/%", "/?%00"),
    ],
    ids=lambda path: path[:20],
)
def test_an_odd_address_is_a_page_that_is_not_there(
    site: Path, path: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in (".git/config", ".env", "nothing/.hidden"):
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text("secret")
    (site / "linked").symlink_to(site / "nothing")
    (site / "link.html").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(site / "pipe.html")
    with answering(site) as server:
        status, _, content = ask(server, path)
    assert (status, b"secret" in content) == ((200, False) if path == "/?%00" else (404, False))
    assert capfd.readouterr().err == ""


def test_a_folder_without_a_slash_leads_to_its_page(site: Path) -> None:
    with answering(site) as server:
        connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
        connection.request("GET", "/a%20b")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Location"]) == (301, "/a%20b/")


def test_whoever_says_nothing_is_hung_up_on_and_others_are_answered(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "PATIENCE", 0.5)
    monkeypatch.setattr(serve, "MOST", 8)
    with answering(site) as server:
        slow = [socket.create_connection(server.server_address[:2], timeout=10) for _ in range(30)]
        for connection in slow:
            with suppress(OSError):
                connection.sendall(b"GET / HT")
        assert threading.active_count() < 20
        deadline, ended = time.monotonic() + 8, 0
        for connection in slow:
            with suppress(OSError):
                while time.monotonic() < deadline:  # a byte now and then does not help
                    connection.sendall(b"T")
                    connection.settimeout(0.1)
                    try:
                        if connection.recv(1) == b"":
                            break
                    except TimeoutError:
                        continue
            ended += time.monotonic() < deadline
            connection.close()
        assert ended == len(slow)
        assert ask(server, "/")[0] == 200


def test_whoever_leaves_before_the_answer_is_not_complained_of(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (site / "large.webp").write_bytes(bytes(20_000_000))
    with answering(site) as server:
        with socket.create_connection(server.server_address[:2], timeout=10) as page:
            page.sendall(b"GET /large.webp HTTP/1.1\r\nHost: localhost\r\n\r\n")
            page.recv(10)
            page.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(0.2)
        assert ask(server, "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_an_open_page_hears_of_each_change(site: Path) -> None:
    changes = serve.Changes()
    changes.notify()
    with answering(site, changes) as server, socket.create_connection(server.server_address[:2], timeout=10) as page:
        page.sendall(b"GET /.changes?1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        heard = page.makefile("rb")
        while heard.readline() != b"\r\n":
            pass
        for _ in range(2):
            changes.notify()
            assert heard.readline() == b"data: changed\n"
            assert heard.readline() == b"\n"


def test_a_page_that_was_loaded_before_a_change_hears_of_it_when_it_asks(site: Path) -> None:
    changes = serve.Changes()
    with answering(site, changes) as server:
        assert b"/.changes.js?0" in ask(server, "/")[2]
        changes.notify()
        with socket.create_connection(server.server_address[:2], timeout=10) as page:
            page.sendall(b"GET /.changes?0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            heard = page.makefile("rb")
            assert any(line == b"data: changed\n" for line in iter(heard.readline, b""))


@pytest.mark.parametrize("installed", [True, False], ids=["with watchfiles", "without"])
def test_a_changed_file_is_noticed(site: Path, installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not installed:
        monkeypatch.setitem(sys.modules, "watchfiles", None)
    monkeypatch.setattr(serve, "SECONDS", 0.05)
    watch, words = serve.watching()
    assert ("pip install watchfiles" in words) == (not installed)
    changes, stop = serve.Changes(), threading.Event()
    thread = serve.follow(site, changes, watch, stop)
    deadline = time.monotonic() + 30
    number = 0
    while not changes.number and time.monotonic() < deadline:  # until the watch stands, changes may be missed
        number += 1
        (site / "index.html").write_text(f"change {number}")
        changes.after(0, 0.4)
    stop.set()
    thread.join(10)
    assert changes.number and not thread.is_alive()


def test_browsers_are_not_reloaded_while_files_are_being_written(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter([{"a": 1}, {"a": 2}, {"a": 3}, {"a": 3}, {"a": 3}, {"a": 4}, {"a": 4}])
    monkeypatch.setattr(serve, "_state", lambda _: next(states))
    monkeypatch.setattr(serve, "SECONDS", 0)
    told = serve.polling(site, threading.Event())
    assert [next(told), next(told)] == [{"a": 3}, {"a": 4}]


def test_a_port_that_is_taken_is_left_for_the_next_free_one(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with serve.server(site, port, None) as server:
            assert port < server.server_address[1] < port + serve.TRIES
        monkeypatch.setattr(serve, "TRIES", 1)
        with pytest.raises(OutputError, match=f"the ports {port} to {port} are all taken"):
            serve.server(site, port, None)


def test_a_folder_without_a_site_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["serve", str(tmp_path)])
    assert result.exit_code == 1 and result.stderr.count("\n") == 1 and "has no index.html" in result.stderr


def test_the_command_says_where_the_site_is_and_leaves_quietly(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        program = [sys.executable, "-c", "from dissectreport.cli.app import main; main()"]
        process = subprocess.Popen(
            [*program, "serve", str(site), "--port", str(port)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            preexec_fn=accept_ctrl_c,
        )
        assert process.stderr is not None
        first = process.stderr.readline()
        said = process.stderr.readline()
        assert first.startswith(f"port {port} is taken; ")
        assert said.startswith(f"{site} is at http://127.0.0.1:") and "for this machine only" in said
        at = said.split("127.0.0.1:")[1].split("/")[0]
        connection = http.client.HTTPConnection("127.0.0.1", int(at), timeout=10)
        connection.request("GET", "/")
        assert b"<p>one</p>" in connection.getresponse().read()
        connection.close()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=30)[1]
    assert (process.returncode, rest.strip()) == (0, "stopped")
