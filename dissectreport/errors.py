"""Errors that a person can act on: what was wrong, what was given, what would do.

DissectReportError
├── UnknownName      a model, layer, segmenter or rule that does not exist (similar names are offered)
├── BadOption        an option whose value cannot work
├── WeightsError     weights that are broken, truncated, or of another architecture
├── ModelError       a generator that does not do what a generator does
├── FolderError      a folder of images that cannot be read, or is empty
├── SegmenterError   a segmenter whose output does not fit its vocabulary
├── FeaturesError    a feature network that gives no features, or is not installed
├── ExportError      a network that cannot be written as an ONNX file
├── CacheError       a cache that cannot be used or trusted
├── TimeLimit        a run that stops because its time is up
├── MergeError       counts that were not measured the same way
└── OutputError      a file or folder that cannot be written
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TypeVar

Answer = TypeVar("Answer")
MOST_NAMES = 20
"""Names that a message lists, at most."""


class DissectReportError(Exception):
    """The base of all errors that are shown to the user as one line."""


class UnknownName(DissectReportError):
    """A name that does not exist."""

    @classmethod
    def of(cls, kind: str, given: str, known: Iterable[str]) -> UnknownName:
        """The error for `given`, offering the most similar of the `known` names."""
        names = list(known)
        near = get_close_matches(given, names, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}?" if near else f"there are {_listed(names) or 'none'}"
        return cls(f"no {kind} {given!r}; {hint}")


def _listed(names: list[str]) -> str:
    """Names in a line that can be read."""
    shown = ", ".join(names[:MOST_NAMES])
    return f"{shown} and {len(names) - MOST_NAMES:,} others" if len(names) > MOST_NAMES else shown


class BadOption(DissectReportError):
    """An option whose value cannot work."""


class WeightsError(DissectReportError):
    """Weights that are broken, truncated, tampered with, or of another architecture."""


class ModelError(DissectReportError):
    """A generator that does not do what a generator does."""


class FolderError(DissectReportError):
    """A folder of images that cannot be read, or has too few images."""


class SegmenterError(DissectReportError):
    """A segmenter whose output does not fit its vocabulary or its images."""


class FeaturesError(DissectReportError):
    """A feature network that gives no features, or is not installed."""


class ExportError(DissectReportError):
    """A network that cannot be written as an ONNX file, or computes something else there."""


class CacheError(DissectReportError):
    """A cache that cannot be used or trusted."""


class MergeError(DissectReportError):
    """Counts that were not measured the same way."""


class TimeLimit(DissectReportError):
    """A run stops because its time is up; what is finished is kept."""


class OutputError(DissectReportError):
    """A file or folder that cannot be written."""


LONG = 500
"""Signs of a foreign error that are said."""


def answered(error: type[DissectReportError], who: str, ask: Callable[[], Answer]) -> Answer:
    """The result of code that may be anybody's; whatever it raises becomes one line that begins with `who`.

    Errors need not be an `Exception`, and need not even have a text.
    """
    try:
        return ask()
    except (DissectReportError, KeyboardInterrupt):
        raise
    except SystemExit as problem:
        raise error(f"{who}: it ends the program ({problem.code}); it may want options of its own") from problem
    except BaseException as problem:
        raise error(f"{who}: {_words_of(problem)}") from problem


def _words_of(problem: BaseException) -> str:
    """The kind of an error, and what it says, as one line without the signs that control a terminal."""
    try:
        words = " ".join("".join(sign if sign.isprintable() else " " for sign in str(problem)).split())
    except Exception:
        words = ""
    return f"{type(problem).__name__}: {words if len(words) <= LONG else f'{words[:LONG]} …'}".rstrip(": ")


OF_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT)
"""What the system says if it has no file handles or memory left, or if a file server does not answer."""


def check_machine(problem: BaseException) -> None:
    """Raise a problem again for which the file that is read is not to blame, but this machine."""
    if isinstance(problem, MemoryError) or (isinstance(problem, OSError) and problem.errno in OF_MACHINE):
        raise problem


def counted(number: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "image"), counted(1204, "file")
    ('1 image', '1,204 files')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
