"""Results of the experiments with a classifier's classes: folders of measurements, sets of units, images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.records.interventions import Units, as_set
from dissectreport.records.reader import Arrays
from dissectreport.run.budgets import ClassBudget
from dissectreport.run.plan import ClassKey
from dissectreport.stats.base import Floats, Ints


@dataclass(frozen=True)
class ClassRecord:
    """The key and budget of the experiments, and the folders of their results."""

    key: ClassKey
    budget: ClassBudget
    classes: tuple[str, ...]
    """The names of all classes, in the order of the scores."""
    labelled: bool
    """Whether the images have labels; otherwise the network's own predictions are the truth."""
    closed_form: bool
    """Whether ablations follow from the means of units and the weights of the last layer."""
    validation: str
    """The name of the folder of validation images, which score units; '' where one half of the images does."""
    balanced: bool
    """Whether images were chosen so that every studied class has enough of them."""
    scores: str
    """`ClassScores` of all images."""
    singles: str
    """`Predictions` of the selection images with every single unit ablated."""
    plan: str
    """The `ClassPlan`."""
    sets: str
    """`Predictions` of the held-out images with every set of the plan ablated."""
    attacks: str
    """`Attacks` on some of the held-out images; '' where none was attacked."""
    attacked: int
    """How many of them were."""
    examples: str
    """`ClassExamples`."""

    def to_json(self) -> dict[str, Any]:
        """The record as values of JSON."""
        return {**vars(self), "key": self.key.to_json(), "budget": self.budget.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The record that `to_json` gave; KeyError or TypeError for other values."""
        typed = {
            "key": ClassKey.from_json(value["key"]),
            "budget": ClassBudget.from_json(value["budget"]),
            "classes": tuple(value["classes"]),
        }
        return cls(**{**value, **typed})


@dataclass(frozen=True)
class LinearHead:
    """The last layer of a classifier that takes the mean of every unit; without weights where there is none."""

    FILE: ClassVar[str] = "head"

    weights: NDArray[np.float32]
    """(classes, units); (0, 0) for a classifier whose scores are no weighted sum of means of this layer."""

    @property
    def is_known(self) -> bool:
        """Whether ablations have a closed form: scores without a unit are the scores - weight * mean."""
        return bool(self.weights.size)

    def without(self, logits: NDArray[np.float32], means: NDArray[np.float32], off: NDArray[np.float32]) -> Floats:
        """(n, sets, classes) scores without sets of units, which are 1 in the rows of `off` (sets, units)."""
        if (off.sum(1) == 1).all():
            alone = off.argmax(1)
            missing = means.astype(np.float64)[:, alone, None] * self.weights.T[alone]
        else:
            missing = np.einsum("nu,su,cu->nsc", means.astype(np.float64), off, self.weights, optimize=True)
        return np.asarray(logits[:, None].astype(np.float64) - missing)

    def arrays(self) -> Arrays:
        """The weights as an array."""
        return {"weights": self.weights}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The weights back from an array."""
        return cls(np.asarray(arrays["weights"], np.float32))


INTEGERS = ("tested", "checked", "order", "selection", "held_out")
FLOATS = ("importance", "certainty", "estimate")
"""The arrays of a plan."""


@dataclass(frozen=True)
class ClassPlan:
    """Which sets of units are ablated, decided on selection images alone.

    Units that were not ablated alone count as ones without which no prediction changes, and stand by their estimates.
    """

    FILE: ClassVar[str] = "plan"

    studied: Ints
    """(k,) numbers of the classes that are studied, those with most images first."""
    importance: Floats
    """(classes, units) balanced accuracy that a class loses without the unit, on selection images; NaN for classes
    without images, and for units that were not ablated alone."""
    certainty: Floats
    """(classes, units) mean logarithm of the probability of the class that its images lose without the unit."""
    estimate: Floats
    """(classes, units) first-order estimate of `certainty` by gradient × activation; NaN where there is none."""
    tested: Ints
    """Units that were ablated alone, rising."""
    checked: Ints
    """Those of them that the estimate did not choose, rising: all units, or random ones."""
    order: Ints
    """(classes, units) units of every class, the most important first; ties by `certainty`."""
    sizes: Units
    """Numbers of units that are ablated together."""
    named: int
    """Leading units of each class that are ablated one by one on held-out images."""
    random: Mapping[int, tuple[tuple[Units, ...], ...]]
    """By size and studied class, random sets with the mean activations of the leading units."""
    selection: Ints
    """Sample numbers of the selection images."""
    held_out: Ints
    """Sample numbers of the held-out images."""

    def leading(self, number: int, size: int) -> Units:
        """The units that matter most to a class."""
        return as_set(self.order[number][:size])

    def least(self, number: int, size: int) -> Units:
        """The units that matter least to a class."""
        return as_set(self.order[number][-size:])

    def others(self, number: int, size: int) -> Units:
        """All units but those that matter most to a class."""
        return as_set(self.order[number][size:])

    def sets(self) -> list[Units]:
        """Every set of units that is ablated on held-out images, each once, in a fixed order."""
        return list(dict.fromkeys(self._sets()))

    def _sets(self) -> Iterator[Units]:
        for place, number in enumerate(self.studied.tolist()):
            for unit in self.order[number][: self.named].tolist():
                yield (unit,)
            for size in self.sizes:
                yield from (self.leading(number, size), self.least(number, size), self.others(number, size))
                yield from self.random[size][place]

    def arrays(self) -> Arrays:
        """The plan as arrays."""
        names = (*INTEGERS, *FLOATS, "studied")
        arrays: Arrays = {name: getattr(self, name) for name in names}
        for size, by_class in self.random.items():
            for place, sets in enumerate(by_class):
                arrays[f"random {size} {place}"] = np.array(sets, np.int64).reshape(len(sets), size)
        return {**arrays, "sizes": np.array(self.sizes, np.int64), "named": np.array(self.named)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The plan back from arrays."""
        studied = arrays["studied"].astype(np.int64)
        sizes = tuple(arrays["sizes"].tolist())
        random = {
            size: tuple(tuple(map(tuple, arrays[f"random {size} {place}"].tolist())) for place in range(len(studied)))
            for size in sizes
        }
        rows: dict[str, Any] = {name: arrays[name].astype(np.int64) for name in INTEGERS}
        rows |= {name: np.asarray(arrays[name], np.float64) for name in FLOATS}
        return cls(studied=studied, sizes=sizes, named=int(arrays["named"]), random=random, **rows)


@dataclass(frozen=True)
class ClassExamples:
    """Images of every studied class, and images before and after an attack."""

    FILE: ClassVar[str] = "examples"

    samples: Ints
    """(m,) numbers of the images."""
    images: NDArray[np.uint8]
    """(m, height, width, 3)"""
    attacked: Ints
    """(k,) numbers of the images that are shown attacked."""
    before: NDArray[np.uint8]
    """(k, height, width, 3)"""
    after: NDArray[np.uint8]
    """(k, height, width, 3) after the targeted attack."""

    def arrays(self) -> Arrays:
        """The images as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The images back from arrays."""
        values: dict[str, Any] = {name: arrays[name] for name in ("images", "before", "after")}
        values |= {name: arrays[name].astype(np.int64) for name in ("samples", "attacked")}
        return cls(**values)
