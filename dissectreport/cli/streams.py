"""Standard streams that never fail: closed ones, and those of a code page that lacks a character."""

from __future__ import annotations

import io
import os
import sys


def prepare_streams() -> None:
    """Print what a stream's encoding lacks as a question mark, and nothing where a stream is closed."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # The lowest free number is taken, so that no file that is opened later becomes a standard stream.
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper) and name != "stdin":
            stream.reconfigure(errors="replace")
