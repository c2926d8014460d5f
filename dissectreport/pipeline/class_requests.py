"""Checked requests for the experiments with the classes of a classifier, and the reasons why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dissectreport.analysis.classes.halves import FEWEST, studied_classes
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


def classes_to_study(classifier: ClassifierModel, request: ClassRequest, truth: Ints) -> Ints:
    """The numbers of the classes that the options name, or of those with most images; `truth` is (images,).

    Raises a ModelError if fewer than two classes have enough images, and a BadOption if a named class has too few.
    """
    names = classifier.classes
    enough = studied_classes(truth, len(names)).tolist()
    if len(enough) < 2:
        raise ModelError(
            f"fewer than two classes of {classifier.name} have {FEWEST} of the {len(truth):,} images; give more images "
            "of each class, or read more of them with --samples or a larger --budget"
        )
    for name in request.classes:
        if names.index(name) not in enough:
            raise BadOption(f"class {name!r} has fewer than {FEWEST} of the {len(truth):,} images; choose another")
    named = [names.index(name) for name in request.classes]
    return np.array(named or enough[: request.budget.classes], np.int64)


def is_classifier(generator: Generator) -> bool:
    """Whether a model is a classifier: whether it computes a score for every class."""
    from dissectreport.models.classifier import ClassifierModel

    return isinstance(generator, ClassifierModel)
