"""The command that repeats a measurement."""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissectreport.pipeline.options import Options
from dissectreport.run.addresses import ModelAddress
from dissectreport.run.rules import RuleName

if TYPE_CHECKING:
    from dissectreport.pipeline.prepare import Job


def reproduce(job: Job) -> str:
    """The command that measures the same numbers."""
    options = job.options
    address = ModelAddress.read(options.model)
    words = [
        "dissectreport build",
        shlex.quote(publishable(address.model)),
        f"--layers {shlex.quote(comma_joined(job.layers))}",
    ]
    words += [f"--samples {job.samples}", f"--seed {options.seed}"]
    words += [f"--segmenter {shlex.quote(publishable(job.source.segmenter))}"]
    words += ["--quick"] if options.quick else []
    words += [f"--rule {options.rule}"] if options.rule != RuleName.CORRECTED else []
    words += [f"--grid {options.grid}"] if options.grid else []
    words += [] if options.controls else ["--no-controls"]
    words += [] if options.interventions else ["--no-interventions"]
    words += [] if options.artifacts else ["--no-artifacts"]
    for name in (
        *("intervention_samples", "intervention_layer", "budget", "constant", "precision"),
        *("class_layer", "artifact_layer", "artifact_samples", "features", "words_network"),
    ):
        if getattr(options, name) != getattr(Options(""), name):
            words += [f"--{name.replace('_', '-')} {shlex.quote(publishable(str(getattr(options, name))))}"]
    directions = [f"{layer}={publishable(file)}" for layer, file in address.directions]
    words += [f"--directions {shlex.quote(comma_joined(directions))}"] if directions else []
    words += [f"--weights {shlex.quote(publishable(options.weights))}"] if options.weights else []
    words += [f"--words {shlex.quote(publishable(options.words))}"] if options.words else []
    words += [f"--concepts {shlex.quote(comma_joined(options.concepts))}"] if options.concepts else []
    words += [f"--classes {shlex.quote(comma_joined(options.classes))}"] if options.classes else []
    if options.artifact_units:
        words += [f"--artifact-units {shlex.quote(publishable(options.artifact_units))}"]
    words += [f"--reference {shlex.quote(publishable(options.reference))}"] if options.reference else []
    return " ".join(words)


def comma_joined(parts: Iterable[str]) -> str:
    """A list as one option takes it: parts with commas are in double quotes.

    >>> comma_joined(["relu 4,6", "layer6"])
    '"relu 4,6",layer6'
    """
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(parts)
    return line.getvalue()


def publishable(path: Path | str) -> str:
    """A path, or what names one or several, as it may be published: of an absolute path only the last part.

    >>> publishable("/home/me/net.py:generator"), publishable("models/net.toml"), publishable("scenes+/home/me/s.py:f")
    ('net.py:generator', 'models/net.toml', 'scenes+s.py:f')
    """
    return "+".join(re.split(r"[\\/]", part)[-1] if _is_absolute(part) else part for part in str(path).split("+"))


def publishable_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What networks say about themselves, with paths as they may be published."""
    return {name: _publishable(value) for name, value in facts.items()}


def _publishable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return publishable_facts(value)
    if isinstance(value, list | tuple):
        return [_publishable(each) for each in value]
    return publishable(value) if isinstance(value, str) else value


def _is_absolute(part: str) -> bool:
    return re.match(r"[A-Za-z]:[\\/]|/[^/\s]|~", part) is not None
