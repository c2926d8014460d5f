"""Commands that pages give: they name the run, so that whoever types them gets the same numbers."""

from __future__ import annotations

import shlex

from dissectreport.analysis.dissection import Dissection

ITS_OWN = ("--artifact-units",)
"""Options of the run that another command takes a value of its own for."""


def build(found: Dissection, *more: str) -> str:
    """The command that made the run, with other options beside its own."""
    return shlex.join([*_without(_words(found), ITS_OWN), *more])


def repair(found: Dissection, *more: str) -> str:
    """The command that makes images of the run's model, of the weights that it had."""
    words = _words(found)
    weights = [*words[words.index("--weights") :][:2]] if "--weights" in words else []
    return shlex.join(["dissectreport", "repair", found.model, *weights, *more])


def _words(found: Dissection) -> list[str]:
    plain = ["dissectreport", "build", found.model]
    try:
        return shlex.split(found.provenance.command) or plain
    except ValueError:  # A command that somebody wrote, with a quote that does not end.
        return plain


def _without(words: list[str], options: tuple[str, ...]) -> list[str]:
    return [word for i, word in enumerate(words) if word not in options and words[max(0, i - 1)] not in options]
