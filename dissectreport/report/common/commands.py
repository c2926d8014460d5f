"""Commands that pages show: they name the run, so that they reproduce its numbers."""

from __future__ import annotations

import shlex

from dissectreport.analysis.results.dissection import Dissection

OTHERS = ("--artifact-units", "--artifact-layer", "--no-artifacts")
"""Options of a run that do not go with units marked in one of its layers."""
SWITCHES = ("--no-artifacts",)
"""Those without a value."""


def measure_again_with(dissection: Dissection, file: str) -> str:
    """The command that measures the run again, with the units that a file marks ablated."""
    words, kept = _words(dissection), []
    while words:
        word = words.pop(0)
        if word not in OTHERS:
            kept.append(word)
        elif word not in SWITCHES:
            del words[:1]
    return shlex.join([*kept, "--artifact-units", file])


def repair_with(dissection: Dissection, file: str) -> str:
    """The command that generates images with the run's model and weights, and the edits of a file."""
    words = _words(dissection)
    weights = words[words.index("--weights") :][:2] if "--weights" in words else []
    return shlex.join(["dissectreport", "repair", words[2], *weights, "--edits", file])


def _words(dissection: Dissection) -> list[str]:
    """The words of the command that made the run, or that identified its artifact units later."""
    plain = ["dissectreport", "build", dissection.model]
    command = dissection.provenance.command if dissection.artifacts is None else dissection.artifacts.command
    try:
        words = shlex.split(command)
    except ValueError:  # A command with an unclosed quote.
        return plain
    return words if words[:2] == plain[:2] and len(words) > 2 else plain
