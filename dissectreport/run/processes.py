"""The processes that a program has started, and a watcher that ends them all where the program itself cannot.

This file is also a program of its own, which needs nothing but Python: `python -I -S processes.py …` is the watcher.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MARGIN = 0.7
"""Seconds that the watcher waits longer than the program, which ends itself with a status and a line if it can."""
ENDED = b"\0"
"""What a program sends to its watcher when it needs none any more."""
OTHERS = bytes(number for number in range(1, 256) if number not in (signal.SIGINT, signal.SIGTERM))
"""The numbers of signals that do not stop a program."""
CHECK = 5.0
"""Seconds after which the watcher looks whether the program is still there."""


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


def start_watcher(signals: int, forwarded: int, grace: float) -> subprocess.Popen[bytes] | None:
    """A process that reads the numbers of signals from a file descriptor, passes them on to another, and ends this one.

    Python runs no code of its own while a library computes in C and keeps the interpreter's lock, but the bytes of
    signals are written even then. None where no such process can be started.
    """
    if os.name != "posix" or not sys.executable:
        return None
    words = [str(signals), str(forwarded), str(os.getpid()), str(grace + MARGIN)]
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, *words],
            pass_fds=(signals, forwarded),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError):
        return None


def watch(signals: int, forwarded: int, program: int, grace: float) -> None:
    """Wait for a signal of the program, or for its end; end it and all that it has started some time after a signal."""
    received = b""
    while not received:
        received = _next(signals, CHECK).strip(OTHERS)
        if ENDED in received or os.getppid() != program:
            return
    os.write(forwarded, received[:1])
    deadline = time.monotonic() + grace
    while (left := deadline - time.monotonic()) > 0:
        if ENDED in _next(signals, left) or os.getppid() != program:
            return
    kill_all([process for process in descendants(program) if process != os.getpid()] + [program])


def _next(signals: int, seconds: float) -> bytes:
    """The bytes that arrive within some seconds; `ENDED` where none can arrive any more."""
    ready, _, _ = select.select([signals], [], [], seconds)
    return (os.read(signals, 64) or ENDED) if ready else b""


if __name__ == "__main__":
    _, read, write, parent, seconds = sys.argv
    watch(int(read), int(write), int(parent), float(seconds))
