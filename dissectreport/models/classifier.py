"""An image classifier: a network that reads images, with classes and labels.

    classifier = as_classifier(model, ClassesGiven(names=("house", "tree")))
    classifier.logits(images)                       # (n, 2), before a softmax
    classifier.truth(seed=1, first=0, count=48)     # (48,) numbers of classes, -1 where unknown

It is dissected like any network that reads images. What its units do to its predictions is a further pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dissectreport.checkpoints import reporting
from dissectreport.errors import BadOption, ModelError, answered, counted
from dissectreport.models.base import Generator
from dissectreport.models.class_labels import (
    checked_names,
    folder_classes,
    read_labels,
    read_names,
    table_classes,
    why_no_classes,
)
from dissectreport.models.image_folder import ImageFolder, open_folder
from dissectreport.models.image_model import FolderImageModel, ImageCollection
from dissectreport.models.outputs import part_of
from dissectreport.models.two_folders import TRAINING, VALIDATION, TrainingAndValidation
from dissectreport.stats.base import Ints

NAMED = "a TOML file can name classes and labels"
"""What a user of a checkpoint without one can do."""
UNKNOWN = -1
"""The number of the class of an image without a label."""


@dataclass(frozen=True, eq=False)
class ClassifierModel(FolderImageModel):
    """A `FolderImageModel` whose output is a score for every class."""

    classes: tuple[str, ...] = ()
    """The names of the classes, in the order of the scores."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """The number of the class of each image, by its name; {} where its own predictions are the truth."""
    take: str | int | None = None
    """Index, key or attribute of the scores in what the network returns; None if it returns them, or `.logits`."""

    def logits(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, classes) scores, with gradients; a ModelError for another shape."""
        scores = scores_of(self.module(self.normalised(images)), self.take)
        if tuple(scores.shape) != (len(images), len(self.classes)):
            raise ModelError(
                f"{self.name!r} returns scores of shape {tuple(scores.shape)} for {counted(len(images), 'image')}, but "
                f"has {len(self.classes)} classes; the scores must be ({len(images)}, {len(self.classes)})"
            )
        return scores.float()

    def truth(self, seed: int, first: int, count: int) -> Ints:
        """(count,) the number of the class of samples `first` to `first + count - 1`; `UNKNOWN` without labels."""
        names = self.folder.order(seed)[first : first + count]
        return np.array([self.labels.get(name, UNKNOWN) for name in names], np.int64)

    @property
    def validation(self) -> str:
        """The name of the folder of validation images; '' where there is none."""
        return self.folder.validation.name if isinstance(self.folder, TrainingAndValidation) else ""

    @property
    def truth_digest(self) -> str:
        """Changes whenever a class or a label does."""
        digest = hashlib.sha256(repr(self.classes).encode())
        digest.update(repr(sorted(self.labels.items())).encode())
        return digest.hexdigest()

    @property
    def scorer(self) -> ScoringNetwork:
        """The network as one that makes scores instead of images, so that its layers can be edited."""
        return ScoringNetwork(self)


@dataclass(frozen=True)
class ScoringNetwork:
    """An `ImageNetwork` that returns the scores of the classes."""

    classifier: ClassifierModel

    @property
    def module(self) -> nn.Module:
        """The network, for hooks."""
        return self.classifier.module

    def __call__(self, z: Tensor) -> Tensor:
        """(n, 3, h, w) images in [-1, 1] -> (n, classes) scores."""
        return self.classifier.logits(z)


def classifier_of(model: Generator) -> ClassifierModel:
    """The model as a classifier; a ModelError for any other."""
    if not isinstance(model, ClassifierModel):
        raise ModelError(f"{model.name} gives no scores of classes; only a classifier has classes")
    return model


def scores_of(returned: object, take: str | int | None = None) -> Tensor:
    """The scores in what a network returned; a ModelError if there are none."""
    part = returned if take is None else part_of(returned, take)
    if not isinstance(part, Tensor):
        part = getattr(part, "logits", part)
    if not isinstance(part, Tensor) or part.ndim < 2:
        shape = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
        raise ModelError(
            f"the network returns {shape} instead of (n, classes) scores; name the part that has the scores: "
            "output = { take = … }"
        )
    return part.flatten(1) if part.shape[2:] == (1, 1) else part


@dataclass(frozen=True)
class ClassesGiven:
    """What a user says about the classes of a network."""

    names: tuple[str, ...] = ()
    """() for those of the folder or of the table, or 'class 0' and so on where these name none."""
    table: Path | None = None
    """A CSV file of file and class; None for the sub-folders of the images."""
    take: str | int | None = None
    guessed: bool = False
    """Whether the user did not say that sub-folders are classes. Then images have no labels if the number of
    sub-folders is not that of the classes, or they have other names."""
    folders: tuple[str, ...] = ()
    """Other names of the classes, in the same order, that sub-folders may have."""
    validation: Path | None = None
    """A folder of validation images, on which units are scored; None for one half of the images."""
    validation_table: Path | None = None
    """A CSV file of file and class of the validation images; None for their sub-folders."""

    def names_of_folders(self, folder: ImageFolder) -> tuple[str, ...]:
        """The names by which the sub-folders of a folder call the classes."""
        found = set(folder_classes(folder))
        return self.folders if len(found & set(self.folders)) > len(found & set(self.names)) else self.names


def given_names(value: object, folder: Path, who: str) -> tuple[str, ...]:
    """The names that `classes = …` gives: a list, or a file with one name per line; a BadOption for anything else."""
    if isinstance(value, str):
        return read_names(folder / Path(value).expanduser())
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise BadOption(f"{who}: classes must be a list of names, or a file with one name per line, not {value!r}")
    return checked_names(value, who)


def as_classifier(model: FolderImageModel, given: ClassesGiven, who: str) -> ClassifierModel:
    """The classifier of a network that reads a folder; an error that begins with `who` if classes do not fit scores."""
    folder = model.folder
    assert isinstance(folder, ImageFolder), "drawn images have labels of their own"
    images = folder.first(2)
    with torch.no_grad():
        scores = answered(
            ModelError,
            f"{who}: the network failed on images of {folder.size[0]} x {folder.size[1]}",
            lambda: scores_of(model.module(model.normalised(images)), given.take),
        )
    number = _number_of_classes(scores, len(images), who)
    if given.guessed and not _has_classes(folder, number, given.names_of_folders(folder)):
        return _with_classes(model, given.names or _numbered(number), {}, given)
    found = table_classes(folder, given.table) if given.table is not None else folder_classes(folder)
    names = given.names or (found if len(found) == number else ())
    if found and not names:
        source = given.table.name if given.table is not None else folder.name
        raise BadOption(
            f"{who}: the network has {number} scores, but {source} has {len(found)} classes; name all "
            "classes in the order of the scores: classes = […], or a file with one name per line"
        )
    if names and len(names) != number:
        raise BadOption(
            f"{who}: the network has {number} scores, but {len(names)} classes are named; name one for each score"
        )
    names = names or _numbered(number)
    return _with_classes(model, names, read_labels(folder, given.names_of_folders(folder) or names, given.table), given)


def _numbered(number: int) -> tuple[str, ...]:
    """Names of classes for which none are given."""
    return tuple(f"class {at}" for at in range(number))


def _with_classes(
    model: FolderImageModel, names: tuple[str, ...], labels: Mapping[str, int], given: ClassesGiven
) -> ClassifierModel:
    values: dict[str, Any] = {one.name: getattr(model, one.name) for one in fields(model)}
    if given.validation is not None:
        values |= {"folder": _both(model.folder, given.validation), "identity": ""}
        labels = _labels_of_both(values["folder"], names, labels, given)
    return ClassifierModel(**values, classes=names, labels=labels, take=given.take)


def _both(training: ImageCollection, validation: Path) -> TrainingAndValidation:
    """The images of both folders."""
    assert isinstance(training, ImageFolder), "drawn images have labels of their own"
    return TrainingAndValidation.of(training, open_folder(validation, training.size))


def _labels_of_both(
    images: TrainingAndValidation, names: tuple[str, ...], labels: Mapping[str, int], given: ClassesGiven
) -> Mapping[str, int]:
    """The labels of training and of validation images by the names of both; {} where neither has labels."""
    folder = images.validation
    if given.table is not None and given.validation_table is None:
        raise BadOption(f"labels name the classes of training images; name those of {folder.name}: validation_labels")
    known = given.names_of_folders(folder) or names
    others = read_labels(folder, known, given.validation_table) if labels else {}
    if labels and not others:
        raise BadOption(
            f"the training images have classes, but {folder.name} has no sub-folders; put its images into folders of "
            "the same names"
        )
    pairs = ((TRAINING, labels), (VALIDATION, others))
    return {begin + name: label for begin, table in pairs for name, label in table.items()}


def _has_classes(folder: ImageFolder, number: int, names: Sequence[str]) -> bool:
    """Whether the sub-folders of a folder can be the classes of a network; if not, warns why.

    They may if most have `names` of classes, or without names, if they are as many.
    """
    found = folder_classes(folder)
    if not found:
        return False
    counts = f"{counted(len(found), 'sub-folder')}, which are not the network's {number:,} classes"
    fits = 2 * len(set(found) & set(names)) > len(found) if names else len(found) == number
    problem = why_no_classes(folder) if fits else f"it has {counts}"
    if problem:
        reporting.say(f"{folder.name} gives no labels, so the network's predictions are the truth: {problem} ({NAMED})")
    return not problem


def _number_of_classes(scores: Tensor, images: int, who: str) -> int:
    if scores.ndim != 2 or len(scores) != images or scores.shape[1] < 2:
        raise ModelError(
            f"{who}: the network returns shape {tuple(scores.shape)} for {counted(images, 'image')}; a classifier "
            f"returns ({images}, classes) scores, with at least two classes; for one score s, return -s and s"
        )
    return int(scores.shape[1])
