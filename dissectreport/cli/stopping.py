"""Ctrl-C and SIGTERM end the program in time, whatever the code of a plug-in does."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dissectreport.run.engine import end_now

GRACE = 4.0
"""Seconds in which a stopped command can end by itself."""
STOPPED = 130
STOPPED_LINE = "dissectreport: stopped; finished work is kept, the same command continues"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping() -> Iterator[None]:
    """While a command runs, a signal raises KeyboardInterrupt; a command that does not end then is ended.

    Python runs its own handlers only between two of its instructions. The thread that waits here runs even while a
    library computes, and where the code of a plug-in catches every exception.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    handlers = {number: signal.signal(number, signal.default_int_handler) for number in _SIGNALS}
    before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    ended = threading.Event()
    threading.Thread(target=_end_in_time, args=(receiver, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sender.close()


def _end_in_time(receiver: socket.socket, ended: threading.Event) -> None:
    """End the program if it has not ended some time after the first signal."""
    with receiver:
        while (received := receiver.recv(1)) and received[0] not in _SIGNALS:
            pass
    if not received or ended.wait(GRACE):
        return
    end_now(STOPPED_LINE, STOPPED)
