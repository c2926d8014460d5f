"""The classifier of the catalogue on a folder of photographs: EfficientNet-Lite0 with the classes of ImageNet.

    classifier = published_classifier(entry, checkpoint, Path("photos"))
    classifier.classes[281]                             # "tabby"

Sub-folders are classes if they have the names of classes, or ImageNet's numbers for them, such as n02123045.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dissectreport import structured
from dissectreport.checkpoints.catalogue import CatalogueEntry
from dissectreport.checkpoints.state_dicts import channels_last
from dissectreport.checkpoints.weight_files import Checkpoint
from dissectreport.models.classifier import ClassesGiven, ClassifierModel, as_classifier
from dissectreport.models.families import efficientnet_lite
from dissectreport.models.families.base import DEFAULT_SAMPLING, NetworkTensors, untrained
from dissectreport.models.image_folder import open_folder
from dissectreport.models.image_model import FolderImageModel

IMAGENET = Path(__file__).with_name("imagenet_classes.txt")
"""A line for each of ImageNet's 1,000 classes in the order of the scores: WordNet's number and a name."""


def published_classifier(
    entry: CatalogueEntry, checkpoint: Checkpoint, images: Path, validation: Path | None
) -> ClassifierModel:
    """The classifier in a checkpoint, which reads the photographs of a folder, or of one for each purpose."""
    network = efficientnet_lite.from_tensors(NetworkTensors(checkpoint.content), DEFAULT_SAMPLING)
    folder = open_folder(images, (network.resolution, network.resolution))
    name = f"{entry.name} ({folder.name})"
    model = FolderImageModel(
        name=name,
        module=channels_last(network),
        folder=folder,
        layers=network.unit_layers,
        default_layers=network.default_layers,
        mean=network.mean,
        std=network.std,
        reinitialise=lambda seed: untrained(network, seed),
    )
    return as_classifier(model, replace(imagenet_classes(network.classes), validation=validation), name)


def imagenet_classes(number: int) -> ClassesGiven:
    """The classes of a network with so many scores: those of ImageNet, unless there are more or fewer."""
    rows = _rows()
    if number != len(rows):
        return ClassesGiven(guessed=True)
    return ClassesGiven(tuple(name for _, name in rows), guessed=True, folders=tuple(wordnet for wordnet, _ in rows))


def _rows() -> Sequence[tuple[str, str]]:
    lines = structured.read_lines(IMAGENET)
    return [(wordnet, name) for wordnet, _, name in (line.partition(" ") for line in lines)]
