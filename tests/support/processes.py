"""Processes that tests start and stop."""

from __future__ import annotations

import signal


def accept_ctrl_c() -> None:
    """Programs in the background of a shell are started so that Ctrl-C does nothing."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
