"""Downloads against a real server on this machine: interrupted, changed, lying, slow, dead, asked twice."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dissectreport.checkpoints import reporting
from dissectreport.checkpoints.downloads import (
    OFFLINE,
    RemoteFile,
    RetryPolicy,
    downloads_folder,
    fetch,
    fetch_any,
    offline,
)
from dissectreport.errors import OutputError, WeightsError
from tests.support.reporters import RecordingReporter
from tests.support.servers import Page, Server, closed_port, serving

SIZE = 1_500_000
CONTENT = np.random.default_rng(0).bytes(SIZE)
OTHER = np.random.default_rng(1).bytes(SIZE)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HASTY = RetryPolicy(timeout=5.0, pause=0.01)
NAME = "net.pth"


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the machine; a proxy that would take every request, were it asked."""
    for name in (OFFLINE, "DISSECTREPORT_WEIGHTS", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, closed_port())


def remote(*servers: Server | str, sha256: str = SHA256[:8], **more: int) -> RemoteFile:
    urls = tuple(server if isinstance(server, str) else server.url(f"/{NAME}") for server in servers)
    return RemoteFile(NAME, urls, sha256, **more)


def left(where: Path) -> set[str]:
    """The files in a folder, locks aside."""
    return {path.name for path in where.iterdir() if path.suffix != ".lock"}


def test_a_file_is_downloaded_once_and_reported(tmp_path: Path) -> None:
    ear = RecordingReporter()
    with serving(net_pth=Page(CONTENT)) as server, reporting.reporting_to(ear):
        for _ in range(2):
            assert fetch(remote(server), tmp_path / "new" / "folder", retry=HASTY).read_bytes() == CONTENT
    assert len(server.asked) == 1
    assert left(tmp_path / "new" / "folder") == {NAME}
    assert ear.lines == [f"downloading {NAME} from {server.address.removeprefix('http://')}"]
    assert [step[1] for step in ear.steps] == sorted(step[1] for step in ear.steps)
    assert ear.steps[-1] == (f"downloading {NAME}", 1, 1, "MB")


def test_without_a_listener_nothing_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(net_pth=Page(CONTENT)) as server:
        fetch(remote(server), tmp_path, retry=HASTY)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("page", [Page(CONTENT), Page(CONTENT, etag="", date="Mon, 01 Jan 2018 00:00:00 GMT")])
def test_after_a_broken_connection_only_the_rest_is_sent(tmp_path: Path, page: Page) -> None:
    page.breaks.append(1_000_000)
    with serving(net_pth=page) as server:
        assert fetch(remote(server), tmp_path, retry=HASTY).read_bytes() == CONTENT
    second = server.asked[1]
    start = int(second.headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= 1_000_000
    assert second.status == 206 and second.sent == SIZE - start
    assert second.headers["if-range"] == (page.etag or page.date)
    assert left(tmp_path) == {NAME}


def test_a_later_run_continues_where_an_earlier_one_stopped(tmp_path: Path) -> None:
    with serving(net_pth=Page(CONTENT, breaks=[600_000, 0, 0, 0])) as server:
        with pytest.raises(WeightsError, match="interrupted"):
            fetch(remote(server), tmp_path, retry=HASTY)
        assert left(tmp_path) == {f"{NAME}.part", f"{NAME}.part.json"}
        have = (tmp_path / f"{NAME}.part").stat().st_size
        assert fetch(remote(server), tmp_path, retry=HASTY).read_bytes() == CONTENT
    assert 0 < have <= 600_000
    assert server.asked[-1].sent == SIZE - have


def test_attempts_that_bring_the_file_further_are_not_counted(tmp_path: Path) -> None:
    with serving(net_pth=Page(CONTENT, breaks=[300_000] * 4)) as server:
        assert fetch(remote(server), tmp_path, retry=HASTY).read_bytes() == CONTENT
    assert len(server.asked) == 5


@pytest.mark.parametrize("change", [{"ranges": False}, {"etag": ""}, {"etag": 'W/"weak"'}, {"length": False}])
def test_a_server_that_cannot_send_a_rest_sends_the_whole_again(tmp_path: Path, change: dict[str, Any]) -> None:
    page = Page(CONTENT, breaks=[700_000], **change)
    with serving(net_pth=page) as server:
        if not page.length:
            page.breaks.clear()
        assert fetch(remote(server), tmp_path, retry=HASTY).read_bytes() == CONTENT
    assert [asked.status for asked in server.asked] == [200] * len(server.asked)
    assert server.asked[-1].sent == SIZE


def test_a_file_that_changed_between_two_attempts_is_brought_whole(tmp_path: Path) -> None:
    with serving(net_pth=Page(OTHER, etag='"old"', breaks=[700_000, 0, 0, 0])) as server:
        with pytest.raises(WeightsError):
            fetch(remote(server), tmp_path, retry=HASTY)
        server.pages[f"/{NAME}"] = Page(CONTENT, etag='"new"')
        assert fetch(remote(server), tmp_path, retry=HASTY).read_bytes() == CONTENT
    assert server.asked[-1].headers["if-range"] == '"old"' and server.asked[-1].status == 200


def test_parts_of_two_files_are_not_put_together(tmp_path: Path) -> None:
    """A server that keeps its ETag though the file is another: the checksum tells, and the whole is brought."""
    with serving(net_pth=Page(OTHER, breaks=[700_000, 0, 0, 0])) as server:
        with pytest.raises(WeightsError):
            fetch(remote(server), tmp_path, retry=HASTY)
        server.pages[f"/{NAME}"] = Page(CONTENT)
        assert fetch(remote(server), tmp_path, retry=HASTY).read_bytes() == CONTENT
    assert [asked.status for asked in server.asked[-2:]] == [206, 200]


def test_a_file_that_became_shorter_is_brought_whole(tmp_path: Path) -> None:
    with serving(net_pth=Page(OTHER + OTHER, breaks=[2_000_000, 0, 0, 0])) as server:
        with pytest.raises(WeightsError):
            fetch(remote(server), tmp_path, retry=HASTY)
        server.pages[f"/{NAME}"] = Page(CONTENT)
        assert fetch(remote(server), tmp_path, retry=HASTY).read_bytes() == CONTENT
    assert [asked.status for asked in server.asked[-2:]] == [416, 200]


def test_a_whole_file_whose_name_is_still_missing_is_not_brought_again(tmp_path: Path) -> None:
    """The program was killed between the last byte and the renaming."""
    with serving(net_pth=Page(CONTENT)) as server:
        (tmp_path / f"{NAME}.part").write_bytes(CONTENT)
        note = {"url": server.url(f"/{NAME}"), "validator": '"first"', "total": SIZE}
        (tmp_path / f"{NAME}.part.json").write_text(json.dumps(note))
        assert fetch(remote(server), tmp_path, retry=HASTY).read_bytes() == CONTENT
        assert not server.asked


@pytest.mark.parametrize("note", ["", "{", "[1]", '{"url": "x"}', '{"url": "x", "validator": "y", "total": 3}'])
def test_a_note_that_says_nothing_is_not_relied_on(tmp_path: Path, note: str) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(OTHER[:1000])
    (tmp_path / f"{NAME}.part.json").write_text(note)
    with serving(net_pth=Page(CONTENT)) as server:
        assert fetch(remote(server), tmp_path, retry=HASTY).read_bytes() == CONTENT
    assert "range" not in server.asked[0].headers


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (Page(b"<html>gone</html>", status=404, kind="text/html"), "404 Not Found"),
        (Page(b"", status=403), "403 Forbidden"),
        (Page(b"<html>sign in first</html>", kind="text/html; charset=utf-8"), "a web page instead of the file"),
        (Page(b"\n<!doctype html><p>sign in first"), "a web page instead of the file"),
        (Page(b"version https://git-lfs.github.com/spec/v1"), "a git-lfs pointer instead of the file"),
        (Page(OTHER), f"another file (SHA-256 {hashlib.sha256(OTHER).hexdigest()[:12]}…, not {SHA256[:8]}…)"),
        (Page(status=302, headers={"Location": "file:///etc/passwd"}), "is not allowed"),
        (Page(status=302, headers={"Location": "ftp://127.0.0.1/net.pth"}), "which is neither http nor https"),
        (Page(status=301, headers={"Location": "/net.pth"}), "infinite loop"),
    ],
)
def test_an_address_without_the_file_gives_way_to_the_next(tmp_path: Path, page: Page, why: str) -> None:
    with serving(net_pth=page) as bad, serving(net_pth=Page(CONTENT)) as good:
        assert fetch(remote(bad, good), tmp_path / "one", retry=HASTY).read_bytes() == CONTENT
        with pytest.raises(WeightsError) as refused:
            fetch(remote(bad), tmp_path / "two", retry=HASTY)
    assert f"{bad.url('/net.pth')} (" in str(refused.value) and why in str(refused.value)
    assert "\n" not in str(refused.value)
    assert left(tmp_path / "one") == {NAME} and not left(tmp_path / "two")


def test_a_redirection_within_the_web_is_followed_with_its_range(tmp_path: Path) -> None:
    moved = Page(status=302, etag="")
    with serving(net_pth=Page(CONTENT, breaks=[700_000])) as far, serving(net_pth=moved) as near:
        moved.headers["Location"] = far.url("/net.pth")
        assert fetch(remote(near), tmp_path, retry=HASTY).read_bytes() == CONTENT
    assert [asked.status for asked in far.asked] == [200, 206]


def test_an_address_at_which_nothing_listens_gives_way_at_once(tmp_path: Path) -> None:
    with serving(net_pth=Page(CONTENT)) as server:
        began = time.monotonic()
        patience = RetryPolicy(timeout=5.0, pause=60.0)
        assert fetch(remote(f"{closed_port()}/{NAME}", server), tmp_path, retry=patience).read_bytes() == CONTENT
    assert time.monotonic() - began < 5


def test_an_answer_that_may_be_another_in_a_moment_is_waited_for(tmp_path: Path) -> None:
    with serving(net_pth=Page(b"busy", status=503)) as server:
        threading.Timer(0.1, lambda: server.pages.update({f"/{NAME}": Page(CONTENT)})).start()
        assert fetch(remote(server), tmp_path, retry=RetryPolicy(5.0, 0.15)).read_bytes() == CONTENT
    assert [asked.status for asked in server.asked] == [503, 200]


def test_a_server_that_does_not_go_on_is_left_after_the_timeout(tmp_path: Path) -> None:
    slow = Page(CONTENT, delay=0.6)
    with serving(net_pth=slow) as stuck, serving(net_pth=Page(CONTENT)) as good:
        hasty = RetryPolicy(timeout=0.2, pause=0.0)
        assert fetch(remote(stuck, good), tmp_path / "one", retry=hasty).read_bytes() == CONTENT
        with pytest.raises(WeightsError, match=r"interrupted: no answer for 0\.2 s"):
            fetch(remote(stuck), tmp_path / "two", retry=hasty)


def test_what_came_before_a_stall_is_kept(tmp_path: Path) -> None:
    with serving(net_pth=Page(CONTENT, stall=0.5)) as server:
        threading.Timer(0.4, lambda: setattr(server.pages[f"/{NAME}"], "stall", 0.0)).start()
        assert fetch(remote(server), tmp_path, retry=RetryPolicy(timeout=0.3, pause=0.2)).read_bytes() == CONTENT
    assert [asked.status for asked in server.asked] == [200, 206]


def test_a_file_of_another_size_is_refused_before_it_is_brought(tmp_path: Path) -> None:
    with serving(net_pth=Page(CONTENT)) as server:
        with pytest.raises(WeightsError, match="has 1,500,000 bytes, not 1,500,001"):
            fetch(remote(server, size=SIZE + 1), tmp_path, retry=HASTY)
        assert fetch(remote(server, size=SIZE), tmp_path, retry=HASTY).exists()


def test_a_file_without_a_published_checksum_is_taken_and_said_to_be_unverified(tmp_path: Path) -> None:
    ear = RecordingReporter()
    with serving(net_pth=Page(OTHER)) as server, reporting.reporting_to(ear):
        assert fetch(remote(server, sha256=""), tmp_path, retry=HASTY).read_bytes() == OTHER
    digest = hashlib.sha256(OTHER).hexdigest()
    assert ear.lines[-1].endswith(f"no checksum was published; its SHA-256 is {digest}")


def test_two_threads_bring_a_file_once(tmp_path: Path) -> None:
    reporters = [RecordingReporter(), RecordingReporter()]

    def bring(ear: RecordingReporter) -> None:
        with reporting.reporting_to(ear):
            fetch(remote(server), tmp_path, retry=HASTY)

    with serving(net_pth=Page(CONTENT, stall=0.2)) as server:
        threads = [threading.Thread(target=bring, args=(ear,)) for ear in reporters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.asked) == 1
    waited = [line for ear in reporters for line in ear.lines if "waiting" in line]
    assert waited == [f"another process is downloading {NAME}; waiting for it"]


@pytest.mark.slow
def test_two_processes_bring_a_file_once(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom dissectreport.checkpoints.downloads import RemoteFile, fetch\n"
        "print(len(fetch(RemoteFile(sys.argv[1], (sys.argv[2],), sys.argv[3]), Path(sys.argv[4])).read_bytes()))"
    )
    with serving(net_pth=Page(CONTENT, stall=0.4)) as server:
        words = [sys.executable, "-c", code, NAME, server.url(f"/{NAME}"), SHA256, str(tmp_path)]
        both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        assert [process.communicate(timeout=60)[0] for process in both] == [f"{SIZE}\n"] * 2
    assert len(server.asked) == 1


@pytest.mark.slow
def test_a_killed_process_does_not_keep_others_waiting(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom dissectreport.checkpoints.downloads import RemoteFile, fetch\n"
        "fetch(RemoteFile(sys.argv[1], (sys.argv[2],)), Path(sys.argv[3]))"
    )
    with serving(net_pth=Page(CONTENT, stall=1.0)) as server:
        words = [sys.executable, "-c", code, NAME, server.url(f"/{NAME}"), str(tmp_path)]
        process = subprocess.Popen(words)
        while not (tmp_path / f"{NAME}.part").exists() and process.poll() is None:
            time.sleep(0.02)
        time.sleep(0.1)
        process.kill()
        process.wait()
        server.pages[f"/{NAME}"].stall = 0.0
        assert fetch(remote(server), tmp_path, retry=HASTY).read_bytes() == CONTENT
    assert server.asked[-1].status == 206


@pytest.mark.parametrize(("value", "off"), [("1", True), ("yes", True), ("0", False), ("", False), ("false", False)])
def test_the_environment_says_whether_downloads_are_off(monkeypatch: pytest.MonkeyPatch, value: str, off: bool) -> None:
    monkeypatch.setenv(OFFLINE, value)
    assert offline() is off


def test_offline_a_file_that_is_there_is_used_and_a_missing_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(net_pth=Page(CONTENT)) as server:
        monkeypatch.setenv(OFFLINE, "1")
        with pytest.raises(WeightsError) as refused:
            fetch(remote(server), tmp_path, alternative="`dissectreport build scenes_pgan` needs none")
        assert not server.asked
        (tmp_path / NAME).write_bytes(CONTENT)
        assert fetch(remote(server), tmp_path) == tmp_path / NAME
    line = str(refused.value)
    assert f"{NAME} is not in {tmp_path}, and downloads are off (--offline, {OFFLINE})" in line
    assert server.url(f"/{NAME}") in line and line.endswith("`dissectreport build scenes_pgan` needs none")


def test_when_no_address_answers_one_line_says_all_that_a_person_needs(tmp_path: Path) -> None:
    dead, missing = f"{closed_port()}/{NAME}", "http://no-such-host.invalid/net.pth"
    with serving() as server:
        choices = [[remote(dead, server)], [RemoteFile("old.pth", (f"{closed_port()}/old.pth",))]]
        with pytest.raises(WeightsError) as refused:
            fetch_any(choices, tmp_path, "`dissectreport build scenes_pgan` needs none", HASTY)
    line = str(refused.value)
    assert line.startswith(f"{NAME} or old.pth could not be downloaded: {dead} (Connection refused), ")
    assert f"{server.url('/net.pth')} (404 Not Found), " in line
    assert f"put it into {tmp_path} under the same name, `dissectreport build scenes_pgan` needs none" in line
    assert "\n" not in line
    with pytest.raises(WeightsError, match=r"its host cannot be found|Connection refused"):
        fetch(remote(missing), tmp_path, retry=HASTY)


def test_of_several_choices_one_that_is_there_is_taken_and_else_the_first_that_can_be_brought(tmp_path: Path) -> None:
    with serving(net_pth=Page(CONTENT), old_pth=Page(OTHER)) as server:
        dead = RemoteFile("dead.pth", (f"{closed_port()}/dead.pth",))
        old = RemoteFile("old.pth", (server.url("/old.pth"),))
        assert fetch_any([[remote(server), dead], [old]], tmp_path, retry=HASTY) == 1
        assert fetch_any([[remote(server)], [old]], tmp_path, retry=HASTY) == 0
        (tmp_path / NAME).unlink()
        assert fetch_any([[remote(server)], [old]], tmp_path, retry=HASTY) == 1


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        serving(net_pth=Page(CONTENT)) as server,
        pytest.raises(OutputError, match="DISSECTREPORT_WEIGHTS names") as refused,
    ):
        fetch(remote(server), tmp_path / "file" / "folder", retry=HASTY)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").symlink_to("/dev/full")
    with (
        serving(net_pth=Page(CONTENT)) as server,
        pytest.raises(OutputError, match="no space left to write") as refused,
    ):
        fetch(remote(server), tmp_path, retry=HASTY)
    assert "\n" not in str(refused.value)


def test_a_file_for_which_there_is_no_room_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Room(SIZE - 1))
    with serving(net_pth=Page(CONTENT)) as server, pytest.raises(OutputError, match="no space left to write"):
        fetch(remote(server), tmp_path, retry=HASTY)
    assert not left(tmp_path)


def test_what_came_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "replace", stopped)
    with serving(net_pth=Page(CONTENT)) as server:
        with pytest.raises(KeyboardInterrupt):
            fetch(remote(server), tmp_path, retry=HASTY)
        assert not (tmp_path / NAME).exists()
        monkeypatch.undo()
        assert fetch(remote(server), tmp_path, retry=HASTY).read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_downloads_lie_in_the_cache_folder_unless_the_environment_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert downloads_folder() == tmp_path / "dissectreport" / "weights"
    monkeypatch.setenv("DISSECTREPORT_WEIGHTS", str(tmp_path / "mine"))
    assert downloads_folder() == tmp_path / "mine"


class Room:
    """A disk with so many bytes free."""

    def __init__(self, free: int) -> None:
        self.free = free


def stopped(self: Path, target: Path) -> Path:
    """The user's Ctrl-C, at the worst moment."""
    raise KeyboardInterrupt
