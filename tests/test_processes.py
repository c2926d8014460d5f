"""The two programs that end a run from outside, and the worker of a cluster, each run within the test's own process.

What they do to real runs is tested in test_environment.py, test_watchdog.py and test_cluster.py.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissectreport.run import processes
from dissectreport.run.processes import descendants, guard, is_stopped, noted, overdue, watch

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no such processes on this system")

PARENT = os.getppid()


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """The programs that would have been ended, with what would have been said."""
    calls: list[tuple[int, str]] = []
    monkeypatch.setattr(processes, "_end", lambda program, line: calls.append((program, line)))
    monkeypatch.setattr(processes, "PAUSE", 0.0)
    return calls


@pytest.fixture
def dismiss(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], object]]:
    """Tells a watcher that it is needed no more."""
    reader, writer = os.pipe()
    monkeypatch.setattr(processes, "DISMISSED", reader)
    yield lambda: os.write(writer, b"x")
    os.close(reader)
    os.close(writer)


@pytest.fixture
def signals() -> Iterator[tuple[int, socket.socket]]:
    """The end of a pair of sockets that a watcher reads, and the one to which numbers of signals are written."""
    receiver, sender = socket.socketpair()
    yield receiver.detach(), sender
    sender.close()


@given(st.text(max_size=600), st.floats(0.001, 1e9))
def test_a_noted_call_is_read_again(who: str, since: float) -> None:
    note = noted(who, since)
    assert len(note) == processes.CALL
    read = overdue(note, time.monotonic() - since - 1)
    assert who.encode(errors="replace").startswith(read.rstrip("\ufffd").encode()) or "\0" in who
    assert overdue(note, time.monotonic() - since + 1000) == ""


def test_nobody_is_overdue_before_the_first_call() -> None:
    assert overdue(bytes(processes.CALL), 0.0) == ""


def test_a_guard_ends_a_program_whose_call_takes_too_long(ended: list[tuple[int, str]], tmp_path: Path) -> None:
    with (tmp_path / "calls").open("w+b") as file:
        file.write(noted("", 0.0))
        file.flush()

        def call() -> None:
            os.pwrite(file.fileno(), noted("the plug-in", time.monotonic() - 9), 0)

        later = threading.Timer(0.1, call)
        later.start()
        guard(PARENT, file.fileno(), 0.2, " takes too long")
        later.join()
    assert ended == [(PARENT, "dissectreport: the plug-in takes too long")]


def test_a_guard_leaves_with_its_program(ended: list[tuple[int, str]], tmp_path: Path) -> None:
    with (tmp_path / "calls").open("w+b") as file:
        file.write(noted("the plug-in", 1e-9))
        file.flush()
        guard(PARENT + 1, file.fileno(), 0.2, "")
    assert ended == []


def test_a_watcher_ends_a_program_some_time_after_a_signal(
    ended: list[tuple[int, str]], dismiss: Callable[[], object], signals: tuple[int, socket.socket]
) -> None:
    receiver, sender = signals
    sender.send(bytes([signal.SIGHUP]))  # One that stops nothing.
    later = threading.Timer(0.2, lambda: sender.send(bytes([signal.SIGINT])))
    later.start()
    began = time.monotonic()
    watch(PARENT, receiver, 0.3, "stopped")
    later.join()
    assert ended == [(PARENT, "stopped")]
    assert time.monotonic() - began >= 0.4


def test_a_watcher_that_is_dismissed_ends_nothing(
    ended: list[tuple[int, str]], dismiss: Callable[[], object], signals: tuple[int, socket.socket]
) -> None:
    receiver, sender = signals
    later = threading.Timer(0.1, dismiss)
    later.start()
    watch(PARENT, os.dup(receiver), 0.0, "never stopped")
    sender.send(bytes([signal.SIGTERM]))
    watch(PARENT, receiver, 60.0, "ended by itself after the signal")
    later.join()
    assert ended == []


def test_a_watcher_leaves_with_its_program(
    ended: list[tuple[int, str]],
    dismiss: Callable[[], object],
    signals: tuple[int, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "CHECK", 0.05)
    receiver, _ = signals
    watch(PARENT + 1, receiver, 0.0, "stopped")
    assert ended == []


def test_numbers_of_signals_stay_where_they_are() -> None:
    receiver, sender = socket.socketpair()
    with receiver, sender:
        assert not is_stopped(receiver)
        sender.send(bytes([signal.SIGHUP]))
        assert not is_stopped(receiver)
        sender.send(bytes([signal.SIGTERM]))
        assert is_stopped(receiver) and is_stopped(receiver)


def test_a_program_ends_with_all_that_it_has_started(capfd: pytest.CaptureFixture[str]) -> None:
    nested = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    with subprocess.Popen([sys.executable, "-c", nested]) as program:
        late = time.monotonic() + 60
        while not descendants(program.pid) and time.monotonic() < late:
            time.sleep(0.05)
        (child,) = descendants(program.pid)
        assert {program.pid, child} <= {*descendants(os.getpid())}
        processes._end(program.pid, "it took too long")
        assert program.wait(60) == -signal.SIGKILL
    while Path(f"/proc/{child}").exists() and time.monotonic() < late:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()
    assert "\nit took too long\n" in capfd.readouterr().err
