"""Where numbers come from: the identity of networks, versions, and the command that measures the same again."""

from __future__ import annotations

import platform
import shlex
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from dissectreport.pipeline.options import Options
from dissectreport.version import __version__

if TYPE_CHECKING:
    from dissectreport.models.base import Generator
    from dissectreport.pipeline.prepare import Job
    from dissectreport.segmenters.base import Segmenter


def identity(network: Generator | Segmenter, name: str) -> str:
    """What a network's numbers depend on: its own identity, and the file that it comes from."""
    from dissectreport import plugins

    return " ".join(filter(None, (network.identity, plugins.source_digest(name))))


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    numbers = {"dissectreport": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy"):
        try:
            numbers[name] = version(name)
        except PackageNotFoundError:
            numbers[name] = "not installed"
    return numbers


def reproduce(job: Job) -> str:
    """The command that measures the same numbers."""
    options = job.options
    words = ["dissectreport build", shlex.quote(options.model), f"--layers {','.join(job.layers)}"]
    words += [f"--samples {job.samples}", f"--seed {options.seed}"]
    words += [f"--segmenter {shlex.quote(job.source.segmenter)}"]
    words += ["--quick"] if options.quick else []
    words += [f"--rule {options.rule}"] if options.rule != "corrected" else []
    words += [f"--grid {options.grid}"] if options.grid else []
    words += [] if options.controls else ["--no-controls"]
    words += [] if options.interventions else ["--no-interventions"]
    words += [] if options.artifacts else ["--no-artifacts"]
    for name in (
        *("intervention_samples", "intervention_layer", "budget", "constant", "precision"),
        *("artifact_layer", "artifact_samples", "features"),
    ):
        if getattr(options, name) != getattr(Options(""), name):
            words += [f"--{name.replace('_', '-')} {getattr(options, name)}"]
    words += [f"--weights {shlex.quote(options.weights)}"] if options.weights else []
    words += [f"--concepts {shlex.quote(','.join(options.concepts))}"] if options.concepts else []
    if options.artifact_units:
        words += [f"--artifact-units {shlex.quote(publishable(options.artifact_units))}"]
    words += [f"--reference {shlex.quote(publishable(options.reference))}"] if options.reference else []
    return " ".join(words)


def publishable(path: Path) -> str:
    """A path as it may be published: as it was given, unless it shows where on this machine it lies."""
    return path.name if path.is_absolute() else str(path)
