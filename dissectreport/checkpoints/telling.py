"""Who is told how a download goes: nobody, until somebody listens.

    with heard_by(listener):
        plugins.generator("church_pgan")    # listener.say(…), listener.progress(…)

A loader is called with a name alone, by whoever; so the listener is the context's, and nobody has to hand it on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol


class Listener(Protocol):
    """What `dissectreport.pipeline.prepare.Listener` is, too."""

    def say(self, line: str) -> None:
        """One line that the user should read."""

    def progress(self, task: str, done: int, total: int, unit: str) -> None:
        """`done` of `total` units of a task are finished."""


@dataclass(frozen=True)
class Ear:
    """A listener, and what it was told: a model is loaded for every pass, and nobody wants to read a line ten times."""

    listener: Listener
    told: set[str] = field(default_factory=set)


_EAR: ContextVar[Ear | None] = ContextVar("dissectreport_ear", default=None)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Everything that is told in this context goes to `listener`."""
    token = _EAR.set(Ear(listener))
    try:
        yield
    finally:
        _EAR.reset(token)


def say(line: str) -> None:
    """Tell the listener a line, if it was not told it before."""
    ear = _EAR.get()
    if ear is not None and line not in ear.told:
        ear.told.add(line)
        ear.listener.say(line)


def progress(task: str, done: int, total: int) -> None:
    """Tell the listener of bytes that have come; `total` is 0 where nobody knows it."""
    ear = _EAR.get()
    if ear is not None:
        ear.listener.progress(task, done // MEGABYTE, max(total, done, MEGABYTE) // MEGABYTE, "MB")


MEGABYTE = 1_000_000
