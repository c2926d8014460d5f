"""The processes that a program has started, and two others that end them all where the program itself cannot.

This file is also a program of its own, which needs nothing but Python: `python -I -S processes.py watch …` ends a
program after a signal, and `… guard …` ends one whose call of a plug-in takes too long.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

MARGIN = 0.5
"""Seconds that the watcher waits longer than the program, which ends itself with a status and a line if it can."""
STOPS = (signal.SIGINT, signal.SIGTERM)
"""The signals that stop a program."""
CHECK = 5.0
"""Seconds after which the watcher looks whether the program is still there."""
PAUSE = 0.2
"""Seconds in which the program takes away the numbers of other signals."""
DISMISSED = 0
"""The file descriptor on which a watcher is told that it is needed no more: its standard input."""
CALL = 512
"""Bytes of a noted call: since when it lasts, 0 for none, and who is called."""
SINCE = 8
"""Bytes of its time."""


def descendants(process: int) -> list[int]:
    """The processes that a process has started, and those that these have started; [] where no system says so."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found = list(children.get(process, ()))
    for child in found:
        found += children.get(child, ())
    return found


def _parents() -> Iterator[tuple[int, int]]:
    """Every process of the system with its parent."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = path.read_bytes().rpartition(b")")[2].split()
        except OSError:  # It has just ended.
            continue
        yield int(path.parent.name), int(after_name[1])


def kill_all(processes: list[int]) -> None:
    """End processes at once."""
    for process in processes:
        try:
            os.kill(process, signal.SIGKILL)
        except OSError:  # It has ended, or is another user's.
            continue


def end_with_parent() -> None:
    """Have the system end this process as soon as the one that started it ends, where it can: on Linux."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def start_watcher(signals: int, grace: float, line: str) -> subprocess.Popen[bytes] | None:
    """A process that ends this one with a line, some seconds after the number of a signal has come to a socket.

    Python runs no code of its own while a library computes in C and keeps the interpreter's lock, but the numbers of
    signals are written even then. The watcher takes none away, so that this process notices them too. It ends when
    something is written to its standard input. None where no such process can be started.
    """
    return _started("watch", [signals], str(grace + MARGIN), line)


def start_guard(calls: int, limit: float, words: str) -> subprocess.Popen[bytes] | None:
    """A process that ends this one when the call that is noted in a file takes longer than `limit` seconds.

    It says who is called, followed by `words`. Threads of this process could not, while a library computes and keeps
    the interpreter's lock. None where no such process can be started.
    """
    return _started("guard", [calls], str(limit), words)


def _started(what: str, files: Sequence[int], *words: str) -> subprocess.Popen[bytes] | None:
    """This file as a program, which gets file descriptors and the number of this process."""
    if os.name != "posix" or not sys.executable:
        return None
    command = [sys.executable, "-I", "-S", __file__, what, str(os.getpid()), *map(str, files), *words]
    try:
        return subprocess.Popen(
            command,
            pass_fds=files,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C of a terminal must not reach it.
        )
    except (OSError, ValueError):
        return None


def noted(who: str, since: float) -> bytes:
    """A call as it is noted: of whom, since when on the monotonic clock, which all processes share."""
    return struct.pack("d", since) + who.encode(errors="replace")[: CALL - SINCE].ljust(CALL - SINCE, b"\0")


def overdue(note: bytes, limit: float) -> str:
    """Who has been called for more than `limit` seconds, by what is noted; '' if nobody."""
    (since,) = struct.unpack_from("d", note)
    return note[SINCE:].rstrip(b"\0").decode(errors="replace") if since and time.monotonic() - since > limit else ""


def guard(program: int, calls: int, limit: float, words: str) -> None:
    """End the program, and all that it has started, with a line about the call that takes longer than a limit."""
    while os.getppid() == program:
        if who := overdue(os.pread(calls, CALL, 0), limit):
            _end(program, f"dissectreport: {who}{words}")
            return
        time.sleep(min(1.0, limit / 4))


def watch(program: int, signals: int, grace: float, line: str) -> None:
    """Wait for a signal of the program, or for its end; end it and all that it has started some time after a signal."""
    with socket.socket(fileno=signals) as receiver:
        while not is_stopped(receiver):
            ready, _, _ = select.select([signals, DISMISSED], [], [], CHECK)
            if DISMISSED in ready or os.getppid() != program:
                return
            if not is_stopped(receiver):
                time.sleep(PAUSE)
    ready, _, _ = select.select([DISMISSED], [], [], grace)
    if not ready and os.getppid() == program:
        _end(program, line)


def is_stopped(receiver: socket.socket) -> bool:
    """Whether one of the numbers that have come is that of a signal which stops a program; they stay where they are."""
    try:
        return bool({*receiver.recv(64, socket.MSG_PEEK | socket.MSG_DONTWAIT)} & {*STOPS})
    except BlockingIOError:
        return False


def _end(program: int, line: str) -> None:
    """Say a line, and end a program and all that it has started, but this process."""
    with suppress(OSError):
        os.write(2, f"\n{line}\n".encode())
    kill_all([process for process in descendants(program) if process != os.getpid()] + [program])


if __name__ == "__main__":
    _, what, parent, *rest = sys.argv
    if what == "watch":
        received, seconds, said = rest
        watch(int(parent), int(received), float(seconds), said)
    else:
        file, seconds, words = rest
        guard(int(parent), int(file), float(seconds), words)
