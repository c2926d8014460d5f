"""Checked requests for the experiments with the classes of a classifier, and the reasons why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dissectreport.analysis.classes.halves import (
    FEWEST,
    FEWEST_OF_HALF,
    Bools,
    classified_samples,
    selection_of,
    studied_classes,
)
from dissectreport.errors import BadOption, ModelError, UnknownName
from dissectreport.pipeline.options import Options
from dissectreport.run.budgets import CLASS_BUDGETS, ClassBudget
from dissectreport.stats.base import Ints

if TYPE_CHECKING:
    from dissectreport.models.base import Generator
    from dissectreport.models.classifier import ClassifierModel


@dataclass(frozen=True)
class ClassRequest:
    """A checked request for the experiments with classes."""

    layer: str
    classes: tuple[str, ...]
    """The classes to study; () for those with most images."""
    budget: ClassBudget


def resolve_classes(
    options: Options, layers: tuple[str, ...], generator: Generator, budget: str
) -> ClassRequest | None:
    """The experiments to make, by the name of a budget; None where the model is no classifier, or none are wanted."""
    if not is_classifier(generator):
        if classes_required(options):
            option = "--classes" if options.classes else "--class-layer"
            raise BadOption(f"{option} belongs to a classifier, and {generator.name} gives no scores of classes")
        return None
    from dissectreport.models.classifier import classifier_of

    layer, names = options.class_layer or layers[-1], classifier_of(generator).classes
    if layer not in layers:
        raise UnknownName.of("measured layer", layer, layers)
    for name in options.classes:
        if name not in names:
            raise UnknownName.of(f"class of {generator.name}", name, names)
    return ClassRequest(layer, options.classes, CLASS_BUDGETS[budget]) if options.interventions else None


def classes_required(options: Options) -> bool:
    """Whether an option asks for classes explicitly, so that they must not be left out."""
    return bool(options.classes or options.class_layer)


@dataclass(frozen=True)
class ClassifiedImages:
    """The images of a run whose predictions are compared, as far as labels tell them."""

    samples: Ints
    """(n,) rising sample numbers."""
    balanced: bool
    """Whether they were chosen so that every studied class has enough images."""


def classified_images(classifier: ClassifierModel, request: ClassRequest, seed: int, images: int) -> ClassifiedImages:
    """So many images: the first of the seed's order, or where classes are many, images of those to study and others.

    Raises the errors of `classes_to_study` where the labels show that too few images have a class.
    """
    first = np.arange(images)
    if not classifier.labels:
        return ClassifiedImages(first, False)
    truth = classifier.truth(seed, 0, classifier.max_samples)
    selected = selection_of(np.arange(len(truth)), truth, bool(classifier.validation))
    studied = classes_to_study(classifier, request, truth, selected)
    samples = classified_samples(truth, selected, images, studied)
    own = truth[samples]
    classes_to_study(classifier, request, own, selection_of(samples, own, bool(classifier.validation)))
    return ClassifiedImages(samples, not np.array_equal(samples, first))


def classes_to_study(classifier: ClassifierModel, request: ClassRequest, truth: Ints, selected: Bools) -> Ints:
    """The numbers of the classes that the options name, or of those with most images.

    `truth` and `selected` are (images,): the class of each, and whether it ranks units.

    Raises a ModelError if fewer than two classes have enough images, and a BadOption if a named class has too few.
    """
    names = classifier.classes
    enough = studied_classes(truth, selected, len(names)).tolist()
    images = f"of the {len(truth):,} images"
    if classifier.validation:
        images += f", {FEWEST_OF_HALF} for training and {FEWEST_OF_HALF} for validation"
    if len(enough) < 2:
        raise ModelError(
            f"fewer than two classes of {classifier.name} have {FEWEST} {images}; give more images of each class, or "
            "read more of them with --samples or a larger --budget"
        )
    for name in request.classes:
        if names.index(name) not in enough:
            raise BadOption(f"class {name!r} has fewer than {FEWEST} {images}; choose another")
    named = [names.index(name) for name in request.classes]
    return np.array(named or enough[: request.budget.classes], np.int64)


def is_classifier(generator: Generator) -> bool:
    """Whether a model is a classifier: whether it computes a score for every class."""
    from dissectreport.models.classifier import ClassifierModel

    return isinstance(generator, ClassifierModel)
