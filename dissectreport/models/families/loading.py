"""A checkpoint as a generator: what it is is recognised from its content, and said in one line.

generator = load(Path("ffhq.pkl"), Sampling(psi=0.7))
"""

from __future__ import annotations

from pathlib import Path

from dissectreport.checkpoints import reporting
from dissectreport.checkpoints.model_files import open_model_file
from dissectreport.errors import BadOption
from dissectreport.models.families.base import Sampling
from dissectreport.models.families.recognition import OpenedNetwork, find, open_found
from dissectreport.models.network_generator import NetworkGenerator

SEGMENTER = "colour"
"""The segmenter of a checkpoint for which none is chosen: it needs no weights."""
DEFAULTS = Sampling()


def load(path: Path, sampling: Sampling = DEFAULTS, name: str = "") -> NetworkGenerator:
    """The generator in a checkpoint.

    Raises a WeightsError for a file that cannot be read, or is of no known family, and a BadOption for a `sampling`
    that the network does not allow.
    """
    found = find(open_model_file(path))
    opened = open_found(found, sampling)
    reporting.say(f"{opened.line}; {opened.sampling}")
    return NetworkGenerator(
        name=name or named(path, sampling),
        module=opened.module,
        image_size=(opened.resolution, opened.resolution),
        layers=opened.layers,
        default_layers=opened.default_layers,
        reinitialise=opened.reinitialise,
        facts={**facts_of(opened), "weights": found.file.path.name, "sha256": found.file.sha256},
        inputs=opened.inputs,
        output=opened.output,
    )


def facts_of(opened: OpenedNetwork) -> dict[str, object]:
    """What the report shows about a recognised network."""
    return {
        "family": opened.title,
        "recognised": opened.line,
        "inputs": opened.inputs.describe(),
        "sampling": opened.sampling,
        "segmenter": SEGMENTER,
    }


def named(path: Path, sampling: Sampling) -> str:
    """The model's name on pages: that of its file, and what is not the default.

    >>> named(Path("models/ffhq.pkl"), Sampling(psi=0.7))
    'ffhq (psi 0.7)'
    """
    words = [f"psi {sampling.psi:g}"] if sampling.psi != 1 else []
    words += [f"cutoff {sampling.cutoff}"] if sampling.cutoff is not None else []
    words += [f"label {', '.join(map(str, sampling.labels))}"] if sampling.labels else []
    words += [f"noise {sampling.noise}"] if sampling.noise != DEFAULTS.noise else []
    stem = path.name if path.is_dir() else path.stem
    return f"{stem} ({', '.join(words)})" if words else stem


def sampling_of(settings: str) -> Sampling:
    """The sampling that settings such as psi=0.7,cutoff=8,label=3+5 describe; a BadOption if they do not.

    >>> sampling_of("psi=0.7,label=3+5").labels
    (3, 5)
    """
    values = dict(pair.partition("=")[::2] for pair in settings.split(",") if pair)
    unknown = [name for name in values if name not in ("psi", "cutoff", "label", "noise")]
    if unknown:
        raise BadOption(f"no setting {unknown[0]!r} of a checkpoint; there are psi, cutoff, label and noise")
    try:
        return Sampling(
            psi=float(values.get("psi", DEFAULTS.psi)),
            cutoff=int(values["cutoff"]) if "cutoff" in values else None,
            labels=tuple(int(label) for label in values.get("label", "").split("+") if label),
            noise=values.get("noise", DEFAULTS.noise),
        )
    except ValueError as problem:
        raise BadOption(
            f"{settings!r} are no settings of a checkpoint; write psi=0.7, cutoff=8, label=3 or label=3+5, noise=none"
        ) from problem
