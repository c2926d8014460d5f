"""Ctrl-C and SIGTERM end the program in time, whatever the code of a plug-in does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import InvalidStateError
from contextlib import contextmanager, suppress
from typing import Any

from dissectreport.run.engine import end_now
from dissectreport.run.processes import STOPS, descendants, kill_all, start_watcher

GRACE = 2.0
"""Seconds in which a stopped command can end by itself."""
NOTICING = 0.2
"""Seconds between two checks whether signals are still on."""
SIGACTION = 512
"""Bytes that are enough for what a system stores of a signal."""
STOPPED = 130
STOPPED_LINE = "dissectreport: stopped; finished work is kept, the same command continues"
_is_program = False
"""Whether this process ends after its command."""


def _forget_handlers() -> None:
    """Make a copy of this process, which a plug-in makes by fork, end as others do, without a signal to this one."""
    if signal.getsignal(signal.SIGTERM) is signal.default_int_handler:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_handlers)


@contextmanager
def stopping() -> Iterator[None]:
    """While a command runs, a signal raises KeyboardInterrupt; a command that does not end then is ended.

    Python runs its own handlers only between two of its instructions. The thread that waits here runs even while a
    library computes, and where the code of a plug-in catches every exception. Where a library keeps even threads
    waiting, a process that watches this one ends it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    watcher = start_watcher(receiver.fileno(), GRACE, STOPPED_LINE)
    handlers = {number: signal.signal(number, signal.default_int_handler) for number in STOPS}
    before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    others, ended = {*descendants(os.getpid())}, threading.Event()
    threading.Thread(target=_end_in_time, args=(receiver, ended), daemon=True).start()
    threading.Thread(target=_keep_noticing, args=(ended,), daemon=True).start()
    hook, sys.unraisablehook = sys.unraisablehook, _without_races(sys.unraisablehook)
    thread_hook, threading.excepthook = threading.excepthook, _without_cancelled(threading.excepthook)
    leaving = False
    try:
        yield
    except KeyboardInterrupt:
        leaving = _is_program
        kill_all([process for process in descendants(os.getpid()) if process not in others])
        raise
    finally:
        ended.set()
        sys.unraisablehook = hook
        if not leaving:
            threading.excepthook = thread_hook
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if not leaving:
            _dismiss(sender, watcher)


def run_program(command: Callable[[], object]) -> None:
    """Run a command as this process's last. After a stop, the process ends without taking down what it has loaded.

    On a busy machine that alone may take ten seconds. Its watcher stays, and ends the process if it is too slow.
    """
    global _is_program
    _is_program = True
    try:
        command()
    except SystemExit as end:
        if end.code != STOPPED:
            raise
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):
                stream.flush()
        os._exit(STOPPED)


def _dismiss(sender: socket.socket, watcher: subprocess.Popen[bytes] | None) -> None:
    """Let the watcher end, if there is one."""
    sender.close()
    if watcher is not None:
        watcher.communicate(b"\0")


def _end_in_time(receiver: socket.socket, ended: threading.Event) -> None:
    """End the program if it has not ended some time after the first signal."""
    with receiver:
        # What stops the program stays in the socket, where the watcher sees it too.
        while (received := receiver.recv(64, socket.MSG_PEEK)) and not {*received} & {*STOPS}:
            receiver.recv(len(received))
    if received and not ended.wait(GRACE):
        end_now(STOPPED_LINE, STOPPED)


def _without_races(hook: Callable[[Any], object]) -> Callable[[Any], None]:
    """The hook, but for what Python says of a signal that arrives although a plug-in has turned it off."""

    def said(unraisable: Any) -> None:
        if "ignored due to race condition" not in str(unraisable.exc_value):
            hook(unraisable)

    return said


def _without_cancelled(hook: Callable[[Any], object]) -> Callable[[Any], None]:
    """The hook, but for what the pool of Python 3.11 says if its workers are ended after their work was cancelled."""

    def said(failed: Any) -> None:
        if not issubclass(failed.exc_type, InvalidStateError):
            hook(failed)

    return said


def _keep_noticing(ended: threading.Event) -> None:
    """Turn on signals again that a plug-in has turned off; Python itself can do this only in the main thread."""
    if os.name != "posix":
        return
    import ctypes

    library = ctypes.CDLL(None)
    before = {number: ctypes.create_string_buffer(SIGACTION) for number in STOPS}
    for number, action in before.items():
        library.sigaction(number, None, action)
    while not ended.wait(NOTICING):
        for number, action in before.items():
            if signal.getsignal(number) in (signal.SIG_IGN, signal.SIG_DFL) and not ended.is_set():
                library.sigaction(number, action, None)
