"""The program, as `dissectreport` and as `python -m dissectreport`: a signal ends it quietly even while it starts."""

from __future__ import annotations

import os
import sys

STOPPED = 130
"""The exit status of a command that was stopped."""


def main() -> None:
    """Run the program.

    What it needs takes half a second to be imported, and more on a busy machine. A command handles signals itself
    while it runs.
    """
    try:
        import signal

        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _end)
    except KeyboardInterrupt:
        _end()
    from dissectreport.cli.app import main as run

    run()


def _end(*_: object) -> None:
    """End at once, with one line: nothing has begun, or all is done."""
    if sys.stderr is not None:
        try:  # noqa: SIM105 - contextlib would have to be imported
            os.write(sys.stderr.fileno(), b"dissectreport: stopped\n")
        except (OSError, ValueError):  # It is closed.
            pass
    os._exit(STOPPED)


if __name__ == "__main__":
    main()
