"""What surrounds a command: a reporter, downloads on or off, and errors as one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from dissectreport.cli import progress
from dissectreport.cli.progress import LogReporter
from dissectreport.cli.stopping import STOPPED, STOPPED_LINE, stopping
from dissectreport.errors import DissectReportError, OutputError, TimeLimit

OFFLINE = ("DISSECTREPORT_OFFLINE", "HF_HUB_OFFLINE")
"""Read by our own downloads, and by those of models on the Hugging Face hub."""
TIME_LIMIT = 75
"""The exit status of a command that stopped at its --time-limit, so that a script can submit it again."""
OUT_OF_MEMORY = "not enough memory; use fewer --workers, a smaller --grid or fewer --layers; finished work is kept"


@contextmanager
def reporting(offline: bool = False) -> Iterator[LogReporter]:
    """A reporter for a command; errors that a person can act on become one line and exit status 1, Ctrl-C 130."""
    from dissectreport.checkpoints.reporting import reporting_to

    reporter = progress.reporter()
    try:
        _check_folder()
        with stopping(), reporting_to(reporter), _downloads(offline):
            yield reporter
    except DissectReportError as error:
        reporter.close()
        typer.echo(f"dissectreport: {error}", err=True)
        raise typer.Exit(TIME_LIMIT if isinstance(error, TimeLimit) else 1) from None
    except (MemoryError, RuntimeError, OSError) as error:
        line = _line_about_the_machine(error)
        if not line:
            raise
        reporter.close()
        typer.echo(f"dissectreport: {line}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        reporter.close()
        typer.echo(STOPPED_LINE, err=True)
        raise typer.Exit(STOPPED) from None
    finally:
        reporter.close()


def _check_folder() -> None:
    """Refuse a current folder that was deleted: relative paths mean nothing there."""
    try:
        os.getcwd()  # noqa: PTH109 - only whether there is one
    except OSError as error:
        raise OutputError(f"the current folder was deleted ({error.strerror}); go to another one") from error


def _line_about_the_machine(error: Exception) -> str:
    """What a user can do about an error of the machine, not of the program; '' for another error."""
    if _is_lack_of_memory(error):
        return OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno not in (None, errno.EPIPE):
        names = [os.fsdecode(name) for name in (error.filename,) if isinstance(name, str | bytes)]
        # A name that the system refuses may be longer than a screen.
        where = f" ({names[0][:200]!a})" if names else ""
        return f"{error.strerror}{where}; give another path, or change what is there; finished work is kept"
    if "home directory" in str(error):
        return "a path begins with '~', but there is no such home folder; write the path without '~'"
    return ""


def _is_lack_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(
        words in str(error).lower() for words in ("allocate memory", "out of memory")
    )


@contextmanager
def _downloads(offline: bool) -> Iterator[None]:
    """Downloads are off while a command runs with `offline`, in this process and in those that it starts."""
    before = {name: os.environ[name] for name in OFFLINE if name in os.environ}
    if offline:
        os.environ.update(dict.fromkeys(OFFLINE, "1"))
    try:
        yield
    finally:
        for name in OFFLINE:
            os.environ.pop(name, None)
        os.environ.update(before)
