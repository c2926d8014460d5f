"""Results of interventions on one layer: folders of measurements, ablated sets of units, and images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.records.reader import Arrays
from dissectreport.run.budgets import InterventionBudget
from dissectreport.run.plan import InterventionKey
from dissectreport.run.rankings import Ranking
from dissectreport.stats.base import Floats, Ints

Units = tuple[int, ...]


@dataclass(frozen=True)
class InterventionRecord:
    """The key and budget of interventions, and the folders of their results."""

    key: InterventionKey
    budget: InterventionBudget
    agreement: float
    """Share of pixels whose labels bfloat16 keeps; 1 where it is not used."""
    gradients: str
    """`FirstOrder` sums of the selection latents."""
    plan: str
    """The `AblationPlan`."""
    ablations: str
    """`Paired` counts, `Areas` and `AblatedAreas` of the held-out latents."""
    random: str
    """`RandomAblation` of every concept and number of units."""
    sampled: str
    """`Areas` and `AblatedAreas` of units drawn at random; '' where none were."""
    variants: str
    """`CausalVariants` of every concept; '' where none were measured."""
    insertions: str
    """`Insertions` on the held-out latents; '' where no context occurs often enough."""
    inserted: int
    """How many insertions there are."""
    pictures: str
    """`EditedPictures` of every concept and of every unit that was ablated alone."""
    strips: str
    """`UnitStrips` of all units of the layer; '' where none were made."""
    strip_groups: tuple[str, ...]
    """The names of the groups of units in that folder."""

    def to_json(self) -> dict[str, Any]:
        """The record as values of JSON."""
        return {**vars(self), "key": self.key.to_json(), "budget": self.budget.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The record that `to_json` gave; KeyError or TypeError for other values."""
        key, budget = InterventionKey.from_json(value["key"]), InterventionBudget.from_json(value["budget"])
        groups = tuple(map(str, value["strip_groups"]))
        return cls(**{**value, "key": key, "budget": budget, "strip_groups": groups})


@dataclass(frozen=True)
class LearnedMask:
    """The continuous mask of Bau et al. 2019 for one concept."""

    weights: Floats
    """(units,) between 0 and 1."""
    penalty: float
    """The penalty under which it was learned; NaN where images were too few."""
    start_loss: float
    """Its loss on held-out images before learning, when it follows the IoU; NaN where images were too few."""
    end_loss: float
    """The same after learning."""

    @property
    def is_usable(self) -> bool:
        """Whether it was learned, and the loss on held-out images is not worse than before."""
        return self.end_loss <= self.start_loss


@dataclass(frozen=True)
class LearnedRanking:
    """The learned rankings of units for one concept."""

    FILE: ClassVar[str] = "ranking"

    mask: LearnedMask
    greedy: Ints
    """(units,) units, each the one that removes most together with those before it."""

    def arrays(self) -> Arrays:
        """The ranking as arrays."""
        return {**{name: np.asarray(value) for name, value in vars(self.mask).items()}, "greedy": self.greedy}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The ranking back from arrays."""
        values = (float(arrays[name]) for name in ("penalty", "start_loss", "end_loss"))
        mask = LearnedMask(np.asarray(arrays["weights"], np.float64), *values)
        return cls(mask, np.asarray(arrays["greedy"], np.int64))


@dataclass(frozen=True)
class RemainingArea:
    """The area of a concept that remains under each ranking."""

    FILE: ClassVar[str] = "remaining"

    pixels: Ints
    """(rankings,) pixels of the concept that are left without the leading units."""

    def arrays(self) -> Arrays:
        """The pixels as an array."""
        return {"pixels": self.pixels}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The pixels back from an array."""
        return cls(arrays["pixels"].astype(np.int64))


@dataclass(frozen=True)
class AblationPlan:
    """Which sets of units are ablated and inserted, decided on selection latents alone."""

    FILE: ClassVar[str] = "plan"
    FLOATS: ClassVar = ("mean_activation", "level", "concept_means", "upper", "corrected_iou")

    rankings: Mapping[str, Ints]
    """By ranking method, (concepts, units) units in order."""
    sizes: Mapping[str, Units]
    """By ranking method, how many leading units are ablated together."""
    best_sizes: Units
    """The same, more, for the best ranking of each concept."""
    best: tuple[str, ...]
    """By concept the ranking whose leading units remove most on selection latents."""
    causal_size: int
    """Units of a causal set: those that are shown, and inserted."""
    singles: Units
    """Units that are ablated one by one."""
    sampled: Units
    """Units drawn at random from all, which are ablated one by one on fewer latents."""
    random: Mapping[int, tuple[tuple[Units, ...], ...]]
    """By size and concept, random sets with the mean activations of the best ranking's leading units."""
    masks: tuple[LearnedMask, ...]
    """The learned mask of each concept; none where none was learned."""
    mean_activation: Floats
    """(units,) mean absolute activation."""
    level: Floats
    """(units,) mean activation, with its sign."""
    concept_means: Floats
    """(concepts, units) mean activation where each concept is."""
    upper: Floats
    """(units,) activation that hardly any pixel exceeds."""
    corrected_iou: Floats
    """(concepts, units) chance-corrected IoU on the selection half."""

    @property
    def concepts(self) -> int:
        """How many concepts are studied."""
        return len(self.best)

    def methods(self, concept: int) -> list[str]:
        """The ranking methods for one of the concepts: a learned mask only where it is no worse than its start."""
        learned = not self.masks or self.masks[concept].is_usable
        return [method for method in self.rankings if learned or method != Ranking.LEARNED_MASK]

    def leading(self, method: str, concept: int, size: int) -> Units:
        """The leading units of a ranking for one of the concepts, as a set."""
        return as_set(self.rankings[method][concept][:size])

    def causal_set(self, concept: int) -> Units:
        """The leading units of the best ranking of one of the concepts."""
        return self.leading(self.best[concept], concept, self.causal_size)

    def tried_sizes(self, method: str, concept: int) -> list[int]:
        """How many units of a ranking are ablated together for one of the concepts, rising."""
        return sorted({*self.sizes[method], *(self.best_sizes if self.best[concept] == method else ())})

    def sets(self) -> list[Units]:
        """Every set of units that is ablated, each once, in a fixed order; random sets are ablated apart."""
        sets_of_units: dict[Units, None] = {(unit,): None for unit in self.singles}
        for concept in range(self.concepts):
            for method in self.methods(concept):
                sizes = self.tried_sizes(method, concept)
                sets_of_units |= {self.leading(method, concept, size): None for size in sizes}
        sets_of_units |= {self.causal_set(concept): None for concept in range(self.concepts)}
        return list(sets_of_units)

    def arrays(self) -> Arrays:
        """The plan as arrays."""
        arrays: Arrays = {f"ranking {method}": order for method, order in self.rankings.items()}
        arrays |= {f"sizes {method}": np.array(sizes, np.int64) for method, sizes in self.sizes.items()}
        arrays |= {f"random {size}": np.array(sets, np.int64) for size, sets in self.random.items()}
        return arrays | {
            "methods": np.array(list(self.rankings)),
            "random": np.array(list(self.random), np.int64),
            "best_sizes": np.array(self.best_sizes, np.int64),
            "best": np.array(self.best),
            "causal_size": np.array(self.causal_size),
            "singles": np.array(self.singles, np.int64),
            "sampled": np.array(self.sampled, np.int64),
            "masks": np.array([mask.weights for mask in self.masks]),
            "mask_losses": np.array([(mask.penalty, mask.start_loss, mask.end_loss) for mask in self.masks]),
            **{name: getattr(self, name) for name in self.FLOATS},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The plan back from arrays."""
        methods, random_sizes = arrays["methods"].tolist(), arrays["random"].tolist()
        return cls(
            rankings={method: arrays[f"ranking {method}"].astype(np.int64) for method in methods},
            sizes={method: tuple(arrays[f"sizes {method}"].tolist()) for method in methods},
            best_sizes=tuple(arrays["best_sizes"].tolist()),
            best=tuple(arrays["best"].tolist()),
            causal_size=int(arrays["causal_size"]),
            singles=tuple(arrays["singles"].tolist()),
            sampled=tuple(arrays["sampled"].tolist()),
            random={size: _sets_by_concept(arrays[f"random {size}"]) for size in random_sizes},
            masks=tuple(
                LearnedMask(weights, *losses.tolist())
                for weights, losses in zip(arrays["masks"], arrays["mask_losses"], strict=True)
            ),
            **{name: np.asarray(arrays[name], np.float64) for name in cls.FLOATS},
        )


def _sets_by_concept(units: NDArray[Any]) -> tuple[tuple[Units, ...], ...]:
    """(concepts, sets, size) units as sets."""
    return tuple(tuple(tuple(one) for one in sets) for sets in units.tolist())


@dataclass(frozen=True)
class RandomAblation:
    """The area of a concept in some images when each of its random sets is ablated."""

    FILE: ClassVar[str] = "random"

    samples: Ints
    """(m,) numbers of the held-out latents."""
    pixels: Ints
    """(m, sets) pixels of the concept that are left."""

    def arrays(self) -> Arrays:
        """The pixels as arrays."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The pixels back from arrays."""
        return cls(*(arrays[name].astype(np.int64) for name in ("samples", "pixels")))


@dataclass(frozen=True)
class CausalVariants:
    """The area of a concept with its causal set changed in other ways than ablation to 0, and the confidence.

    Confidence is summed in thousandths, over pixels of the labels.
    """

    FILE: ClassVar[str] = "variants"
    MODES: ClassVar = ("mean", "resampled", "inserted")
    """Ablation to the mean activation; to the activations of the next latent; insertion everywhere."""

    samples: Ints
    """(m,) numbers of the held-out latents."""
    pixels: Ints
    """(m, modes) pixels of the concept."""
    lost: Ints
    """(k,) pixels that show the concept, and no longer when its causal set is ablated to 0, of the first k latents."""
    grid: int
    """Pixels of an image's labels."""
    confidence: Ints
    """(k, 4) confidence in the lost pixels, without and with the ablation, and in all pixels, without and with it."""

    def arrays(self) -> Arrays:
        """The counts as arrays."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The counts back from arrays."""
        rows = {name: arrays[name].astype(np.int64) for name in ("samples", "pixels", "lost", "confidence")}
        return cls(**rows, grid=int(arrays["grid"]))


def random_file(concept: int, size: int) -> str:
    """The name of the file about the random sets of some units for one of the studied concepts."""
    return f"{concept_file(concept)}-units-{size:04d}"


def concept_file(number: int) -> str:
    """The name of the file about one of the studied concepts."""
    return f"concept-{number:04d}"


def unit_file(unit: int) -> str:
    """The name of the file about a unit that was ablated alone."""
    return f"unit-{unit:05d}"


def as_set(units: Iterable[int]) -> Units:
    """A set of units as it is kept: rising numbers."""
    return tuple(sorted(int(unit) for unit in units))


@dataclass(frozen=True)
class EditedPictures:
    """Images of held-out latents with and without some units ablated, and with these inserted at patches."""

    FILE: ClassVar[str] = "pictures"

    units: Units
    samples: Ints
    """(k,) numbers of the held-out latents."""
    before: NDArray[np.uint8]
    """(k, height, width, 3)"""
    after: NDArray[np.uint8]
    """(k, height, width, 3) with the units ablated."""
    labels_before: NDArray[np.int16]
    """(k, slots, h, w) concept numbers."""
    labels_after: NDArray[np.int16]
    """(k, slots, h, w)"""
    confidence_after: NDArray[np.float16]
    """(k, h, w) the segmenter's confidence with the units ablated."""
    heat: NDArray[np.float32]
    """(k, h, w) pixels of the concept gained by inserting the units in a cell; (0, 0, 0) for no concept."""
    inserted: Ints
    """(m, 2) sample and patch of each insertion that is shown."""
    inserted_before: NDArray[np.uint8]
    """(m, height, width, 3)"""
    inserted_after: NDArray[np.uint8]
    """(m, height, width, 3)"""
    random_units: Units
    """A random set of as many units; () for none."""
    random_after: NDArray[np.uint8]
    """(k, height, width, 3) with these ablated instead; (0, height, width, 3) for none."""
    mapped_unit: int
    """The unit whose activations are kept; -1 for none."""
    activations: NDArray[np.float32]
    """(k, h, w) activations of that unit without edit; (0, 0, 0) for none."""

    def arrays(self) -> Arrays:
        """The pictures as arrays."""
        units = {name: np.array(getattr(self, name), np.int64) for name in ("units", "random_units")}
        return {**vars(self), **units, "mapped_unit": np.array(self.mapped_unit)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The pictures back from arrays."""
        values: dict[str, Any] = {field.name: arrays[field.name] for field in fields(cls)}
        values |= {name: arrays[name].astype(np.int64) for name in ("samples", "inserted")}
        values |= {name: tuple(arrays[name].tolist()) for name in ("units", "random_units")}
        return cls(**{**values, "mapped_unit": int(arrays["mapped_unit"])})


@dataclass(frozen=True)
class UnitStrips:
    """Small images of some held-out latents with each of several units ablated alone, and the area of one concept."""

    FILE: ClassVar[str] = "strips"

    concept: int
    """The number of the concept whose area is counted."""
    units: Units
    samples: Ints
    """(k,) numbers of the held-out latents."""
    pixels_before: Ints
    """(k,) pixels of the concept."""
    pixels_after: Ints
    """(units, k) pixels of the concept with the unit ablated."""
    before: NDArray[np.uint8]
    """(k, height, width, 3)"""
    after: NDArray[np.uint8]
    """(units, k, height, width, 3)"""

    def arrays(self) -> Arrays:
        """The strips as arrays."""
        return {**vars(self), "concept": np.array(self.concept), "units": np.array(self.units, np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The strips back from arrays."""
        counts = {name: arrays[name].astype(np.int64) for name in ("samples", "pixels_before", "pixels_after")}
        return cls(
            concept=int(arrays["concept"]),
            units=tuple(arrays["units"].tolist()),
            before=arrays["before"],
            after=arrays["after"],
            **counts,
        )
