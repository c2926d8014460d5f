"""What surrounds a command: a reporter, downloads on or off, and errors as one line."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from dissectreport.cli import progress
from dissectreport.cli.progress import LogReporter
from dissectreport.errors import DissectReportError

OFFLINE = ("DISSECTREPORT_OFFLINE", "HF_HUB_OFFLINE")
"""Read by our own downloads, and by those of models on the Hugging Face hub."""


@contextmanager
def reporting(offline: bool = False) -> Iterator[LogReporter]:
    """A reporter for a command; errors that a person can act on become one line and exit status 1, Ctrl-C 130."""
    from dissectreport.checkpoints.reporting import reporting_to

    reporter = progress.reporter()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with reporting_to(reporter), _downloads(offline):
            yield reporter
    except DissectReportError as error:
        reporter.close()
        typer.echo(f"dissectreport: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        reporter.close()
        typer.echo("dissectreport: stopped; finished work is kept, the same command continues", err=True)
        raise typer.Exit(130) from None
    finally:
        reporter.close()


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
