"""The command that repeats a measurement."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dissectreport.pipeline.options import Options
from dissectreport.run.rules import RuleName

if TYPE_CHECKING:
    from dissectreport.pipeline.prepare import Job


def reproduce(job: Job) -> str:
    """The command that measures the same numbers."""
    options = job.options
    words = ["dissectreport build", shlex.quote(options.model), f"--layers {shlex.quote(comma_joined(job.layers))}"]
    words += [f"--samples {job.samples}", f"--seed {options.seed}"]
    words += [f"--segmenter {shlex.quote(job.source.segmenter)}"]
    words += ["--quick"] if options.quick else []
    words += [f"--rule {options.rule}"] if options.rule != RuleName.CORRECTED else []
    words += [f"--grid {options.grid}"] if options.grid else []
    words += [] if options.controls else ["--no-controls"]
    words += [] if options.interventions else ["--no-interventions"]
    words += [] if options.artifacts else ["--no-artifacts"]
    for name in (
        *("intervention_samples", "intervention_layer", "budget", "constant", "precision"),
        *("artifact_layer", "artifact_samples", "features"),
    ):
        if getattr(options, name) != getattr(Options(""), name):
            words += [f"--{name.replace('_', '-')} {shlex.quote(str(getattr(options, name)))}"]
    words += [f"--weights {shlex.quote(options.weights)}"] if options.weights else []
    words += [f"--concepts {shlex.quote(comma_joined(options.concepts))}"] if options.concepts else []
    if options.artifact_units:
        words += [f"--artifact-units {shlex.quote(publishable(options.artifact_units))}"]
    words += [f"--reference {shlex.quote(publishable(options.reference))}"] if options.reference else []
    return " ".join(words)


def comma_joined(parts: Iterable[str]) -> str:
    """A list as one option takes it: parts with commas stand in double quotes.

    >>> comma_joined(["relu 4,6", "layer6"])
    '"relu 4,6",layer6'
    """
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(parts)
    return line.getvalue()


def publishable(path: Path) -> str:
    """The path as it may be published: of an absolute path only the name."""
    return path.name if path.is_absolute() else str(path)
