"""A checkpoint as a generator: what it is is recognised from its content, and said in one line.

generator = load(Path("ffhq.pkl"), Sampling(psi=0.7))
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dissectreport.checkpoints import reporting
from dissectreport.checkpoints.model_files import ModelFile, open_model_file
from dissectreport.errors import BadOption
from dissectreport.models.classifier import ClassesGiven, ClassifierModel, as_classifier
from dissectreport.models.families.base import DEFAULT_SAMPLING, Sampling
from dissectreport.models.families.opening import OpenedNetwork, open_found
from dissectreport.models.families.recognition import find
from dissectreport.models.image_folder import ImageFolder, open_folder, printable
from dissectreport.models.image_model import FolderImageModel, RedrawingModel
from dissectreport.models.network_generator import NetworkGenerator
from dissectreport.run.addresses import unquoted_path
from dissectreport.segmenters import ade20k, words
from dissectreport.segmenters.hub import is_downloaded

SEGMENTER = "colour"
"""The segmenter of a checkpoint for which none is chosen: it needs no weights."""
OF_FACES = "words:hair,face,eye,mouth,glasses,hat,hand"
"""The segmenter of a checkpoint of faces, if its network was downloaded."""
FACES = re.compile(r"(?<![a-z])(ffhq|celeba|metfaces?|faces?|portraits?|humans?|lfw|digiface)(?![a-z])", re.IGNORECASE)
"""Data sets of faces, by their names in files."""


def segmenter_for(file: ModelFile) -> str:
    """The segmenter that suits what a checkpoint says it was trained on; nothing is downloaded for it.

    Names of faces' parts need CLIPSeg, and those of objects the network of ade20k; without them it is colour.
    """
    faces = FACES.search(f"{file.path.stem} {data_set_of(file)}".replace("_", " "))
    name, network = (OF_FACES, words.DEFAULT) if faces else ("ade20k", ade20k.DEFAULT)
    return name if is_downloaded(network) else SEGMENTER


def data_set_of(file: ModelFile) -> str:
    """The name of the data set that a checkpoint was trained on; '' if it does not say it."""
    settings = file.content.get("training_set_kwargs")
    path = settings.get("path") if isinstance(settings, Mapping) else None
    return Path(path).stem if isinstance(path, str) else ""


def load(
    path: Path,
    sampling: Sampling = DEFAULT_SAMPLING,
    name: str = "",
    images: Path | None = None,
    validation: Path | None = None,
) -> NetworkGenerator | FolderImageModel:
    """The generator in a checkpoint, or the autoencoder or classifier, with the folder of photographs that it reads.

    Raises a WeightsError for a file that cannot be read, or is of no known family, and a BadOption for a `sampling`
    that the network does not allow.
    """
    found = find(open_model_file(path))
    opened = open_found(found, sampling)
    reporting.say(f"{opened.line}; {opened.sampling}")
    name = name or named(path, sampling, images)
    facts = {
        **facts_of(opened, segmenter_for(found.file)),
        "weights": found.file.path.name,
        "sha256": found.file.sha256,
    }
    if opened.classifies:
        return classifying(opened, photographs_of(path, opened, images), name, facts, validation)
    if validation is not None:
        raise BadOption(f"{path} is not a classifier ({opened.title}); leave out --validation {validation}")
    if opened.inputs is None:
        return redrawing(opened, photographs_of(path, opened, images), name, facts)
    if images is not None:
        raise BadOption(f"{path} generates images of its own ({opened.title}); leave out --images {images}")
    return NetworkGenerator(
        name=name,
        module=opened.module,
        image_size=(opened.resolution, opened.resolution),
        layers=opened.layers,
        default_layers=opened.default_layers,
        reinitialise=opened.reinitialise,
        facts=facts,
        inputs=opened.inputs,
        output=opened.output,
    )


def photographs_of(path: Path, opened: OpenedNetwork, images: Path | None) -> ImageFolder:
    """The folder of photographs, at the size that the network takes; a BadOption if none was given."""
    if images is None:
        does = "classifies" if opened.classifies else "redraws"
        raise BadOption(f"{path} {does} photographs ({opened.title}); name a folder of them with --images FOLDER")
    return open_folder(images, (opened.resolution, opened.resolution))


def redrawing(opened: OpenedNetwork, folder: ImageFolder, name: str, facts: Mapping[str, object]) -> RedrawingModel:
    """The model of an autoencoder and a folder."""
    return RedrawingModel(
        name=name,
        module=opened.module,
        folder=folder,
        layers=opened.layers,
        default_layers=opened.default_layers,
        reinitialise=opened.reinitialise,
        facts=facts,
        output=opened.output,
    )


def classifying(
    opened: OpenedNetwork,
    folder: ImageFolder,
    name: str,
    facts: Mapping[str, object],
    validation: Path | None = None,
) -> ClassifierModel:
    """The model of a classifier and a folder, whose sub-folders are its classes if there are as many."""
    model = FolderImageModel(
        name=name,
        module=opened.module,
        folder=folder,
        layers=opened.layers,
        default_layers=opened.default_layers,
        mean=opened.mean,
        std=opened.std,
        reinitialise=opened.reinitialise,
        facts=facts,
    )
    return as_classifier(model, ClassesGiven(guessed=True, validation=validation), name)


def facts_of(opened: OpenedNetwork, segmenter: str) -> dict[str, object]:
    """What the report shows about a recognised network, and the segmenter that suits it."""
    return {
        "family": opened.title,
        "recognised": opened.line,
        "inputs": "photographs" if opened.inputs is None else opened.inputs.describe(),
        "sampling": opened.sampling,
        "segmenter": segmenter,
    }


def named(path: Path, sampling: Sampling, images: Path | None = None) -> str:
    """The model's name on pages: that of its file, and what is not the default.

    >>> named(Path("models/ffhq.pkl"), Sampling(psi=0.7)), named(Path("vae.pt"), Sampling(), Path("my/photos"))
    ('ffhq (psi 0.7)', 'vae (photos)')
    """
    words = [f"psi {sampling.psi:g}"] if sampling.psi != 1 else []
    words += [f"cutoff {sampling.cutoff}"] if sampling.cutoff is not None else []
    words += [f"label {', '.join(map(str, sampling.labels))}"] if sampling.labels else []
    words += [f"noise {sampling.noise}"] if sampling.noise != DEFAULT_SAMPLING.noise else []
    words += [printable(images.expanduser().resolve().name)] if images is not None else []
    stem = path.name if path.is_dir() else path.stem
    return f"{stem} ({', '.join(words)})" if words else stem


HOW_TO_WRITE = "write psi=0.7, cutoff=8, label=3 or label=3+5, noise=none"
KNOWN_SETTINGS = ("psi", "cutoff", "label", "noise", "images", "validation")


class Settings(NamedTuple):
    """What settings behind the name of a checkpoint say."""

    sampling: Sampling
    images: Path | None
    """The folder of photographs that an autoencoder reconstructs, a CycleGAN redraws or a classifier classifies."""
    validation: Path | None = None
    """The folder of photographs on which the units of a classifier are scored."""


def settings_of(settings: str) -> Settings:
    """What settings such as psi=0.7,cutoff=8,label=3+5 say; a BadOption if they cannot be understood.

    >>> settings_of("psi=0.7,label=3+5").sampling.labels, settings_of("images=my%2Fphotos").images.name
    ((3, 5), 'photos')
    """
    values = dict(pair.partition("=")[::2] for pair in settings.split(",") if pair)
    unknown = [name for name in values if name not in KNOWN_SETTINGS]
    if unknown:
        known = f"{', '.join(KNOWN_SETTINGS[:-1])} and {KNOWN_SETTINGS[-1]}"
        raise BadOption(f"no setting {unknown[0]!r} of a checkpoint; there are {known}")
    try:
        sampling = Sampling(
            psi=float(values.get("psi", DEFAULT_SAMPLING.psi)),
            cutoff=int(values["cutoff"]) if "cutoff" in values else None,
            labels=tuple(int(label) for label in values.get("label", "").split("+") if label),
            noise=values.get("noise", DEFAULT_SAMPLING.noise),
        )
    except ValueError as problem:
        raise BadOption(f"{settings!r} are no settings of a checkpoint; {HOW_TO_WRITE}") from problem
    images, validation = (unquoted_path(values[key]) if values.get(key) else None for key in ("images", "validation"))
    return Settings(sampling, images, validation)
