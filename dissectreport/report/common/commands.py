"""Commands that pages give: they name the run, so that whoever types them gets the same numbers."""

from __future__ import annotations

import shlex

from dissectreport.analysis.results.dissection import Dissection

OTHERS = ("--artifact-units", "--artifact-layer", "--no-artifacts")
"""Options of a run that do not go with units marked in one of its layers."""
SWITCHES = ("--no-artifacts",)
"""Those without a value."""


def trying(found: Dissection, file: str) -> str:
    """The command that measures the run again, with the units that a file marks switched off."""
    words, kept = _words(found), []
    while words:
        word = words.pop(0)
        if word not in OTHERS:
            kept.append(word)
        elif word not in SWITCHES:
            del words[:1]
    return shlex.join([*kept, "--artifact-units", file])


def repairing(found: Dissection, file: str) -> str:
    """The command that makes images of the run's model, of the weights that it had, with the edits of a file."""
    words = _words(found)
    weights = words[words.index("--weights") :][:2] if "--weights" in words else []
    return shlex.join(["dissectreport", "repair", words[2], *weights, "--edits", file])


def _words(found: Dissection) -> list[str]:
    """The words of the command that made the run, its artifact units where they were looked for later."""
    plain = ["dissectreport", "build", found.model]
    command = found.provenance.command if found.artifacts is None else found.artifacts.command
    try:
        words = shlex.split(command)
    except ValueError:  # A command that somebody wrote, with a quote that does not end.
        return plain
    return words if words[:2] == plain[:2] and len(words) > 2 else plain
