"""Results of the search for artifact units in one layer: folders of measurements, tested units, and images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.records.reader import Arrays
from dissectreport.run.budgets import ArtifactBudget
from dissectreport.run.plan import ArtifactKey
from dissectreport.stats.base import Floats, Ints

Units = tuple[int, ...]


@dataclass(frozen=True)
class FeatureFolder:
    """The folder with the features of some images."""

    folder: str
    images: int
    """Number of images requested."""
    shard: int
    """Images in each file."""


@dataclass(frozen=True)
class ArtifactRecord:
    """The key and budget of a search for artifact units, and the folders of its results."""

    key: ArtifactKey
    budget: ArtifactBudget
    features: str
    """The name of the network in whose features images are compared."""
    is_published: bool
    """Whether distances in these features are published as they are, and not scaled."""
    reference: str
    """Description of the real images."""
    drift: float
    """How far bfloat16 moves features, in units of how far images differ; 0 where it is not used."""
    real_images: int
    selection_images: int
    """Number of real images with which units and the size of the repair are selected."""
    left_out: int
    """Real images that could not be read."""
    marked: Units
    """Units that a person marked as artifacts."""
    real: FeatureFolder
    generated: FeatureFolder
    """Generated images with which the realism score compares."""
    dissected: FeatureFolder
    """Images of the dissection."""
    scored: FeatureFolder
    """Held-out images with every size of the repair."""
    marked_scored: FeatureFolder | None
    """The same without the marked units; None where none were marked."""
    random_scored: FeatureFolder
    """The first of them without random sets of units."""
    plan: str
    """The `ArtifactPlan`."""
    tests: str
    """The effects of single units."""
    size_changes: str
    """The effect of every size of the repair on the latents that select one."""
    random_sets: str
    """The `RandomSets`."""
    quality: str
    """How near images are to real ones, without any edit and with every size of the repair."""
    marked_quality: str
    """The same with the marked units; '' where none were marked."""
    pictures: str
    """`RepairPictures`, and the `ShownUnits`."""
    command: str
    """The command that repeats the search."""
    dimension: int = 0
    """Length of the features; those of real images are followed by those of the second network."""
    second: str = ""
    """The name of the second network in whose features artifact units are scored; '' without one."""
    second_effects: str = ""
    """The effects of artifact units in its features; '' where there is none of either."""

    def to_json(self) -> dict[str, Any]:
        """The record as values of JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The record that `to_json` gave; KeyError or TypeError for other values."""
        names = ("real", "generated", "dissected", "scored", "marked_scored", "random_scored")
        nested: dict[str, Any] = {name: value[name] and FeatureFolder(**value[name]) for name in names}
        nested |= {"key": ArtifactKey.from_json(value["key"]), "budget": ArtifactBudget.from_json(value["budget"])}
        return cls(**{**value, **nested, "marked": tuple(value["marked"])})


@dataclass(frozen=True)
class ArtifactPlan:
    """Which units are ablated one by one, decided on selection latents alone."""

    FILE: ClassVar[str] = "plan"

    estimate: Floats
    """(units,) fall of the kernel distance by gradient × activation, for an image."""
    mean_activation: Floats
    """(units,) mean absolute activation."""
    leading: Units
    """Units of largest estimate above 0: among them artifact units are searched for."""
    control: Units
    """Units of similar mean activation."""
    bottom: Units
    """Units of smallest estimate."""
    marked: Units = ()
    """Units marked by a person that are none of the others."""

    def arrays(self) -> Arrays:
        """The plan as arrays."""
        units = {name: np.array(getattr(self, name), np.int64) for name in ("leading", "control", "bottom", "marked")}
        return {"estimate": self.estimate, "mean_activation": self.mean_activation, **units}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The plan back from arrays."""
        estimate, mean_activation = (np.asarray(arrays[name], np.float64) for name in ("estimate", "mean_activation"))
        units = (tuple(arrays[name].tolist()) for name in ("leading", "control", "bottom", "marked"))
        return cls(estimate, mean_activation, *units)


@dataclass(frozen=True)
class RandomSets:
    """The random sets that are compared with the sizes of a repair, and with the marked units."""

    FILE: ClassVar[str] = "random"

    sizes: Ints
    """(sets,) units in each."""
    beside_marked: NDArray[np.bool_]
    """(sets,) whether it is compared with the marked units."""
    activation: Floats
    """(sets,) its mean activation divided by that of the units it is compared with."""

    def arrays(self) -> Arrays:
        """The sets as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The sets back from arrays."""
        sizes, beside = arrays["sizes"].astype(np.int64), arrays["beside_marked"].astype(bool)
        return cls(sizes, beside, np.asarray(arrays["activation"], np.float64))


@dataclass(frozen=True)
class ShownUnits:
    """The units behind the pictures of a repair."""

    FILE: ClassVar[str] = "shown"

    ablated: Units
    heat: Units
    """Units whose activations the heat maps show."""

    def arrays(self) -> Arrays:
        """The units as arrays."""
        return {"ablated": np.array(self.ablated, np.int64), "heat": np.array(self.heat, np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The units back from arrays."""
        return cls(tuple(arrays["ablated"].tolist()), tuple(arrays["heat"].tolist()))


@dataclass(frozen=True)
class RepairPictures:
    """Images before and after a repair."""

    FILE: ClassVar[str] = "pictures"
    WORST: ClassVar[str] = "worst"
    RANDOM: ClassVar[str] = "random"
    PAIRS: ClassVar[str] = "pairs"
    GAINED: ClassVar[str] = "gained"
    """Names of the files: the worst images, random ones, pairs for a blind comparison, and those that gain most."""

    samples: Ints
    """(k,) numbers of the held-out latents."""
    before: NDArray[np.uint8]
    """(k, height, width, 3)"""
    after: NDArray[np.uint8]
    """(k, height, width, 3)"""
    features: NDArray[np.float32]
    """(k, 2, d) features before and after."""
    heat: NDArray[np.float32]
    """(k, h, w) activation of the strongest shown unit, each over its own mean; (0, 0, 0) without any."""
    peaks: NDArray[np.float32]
    """(k, units) largest activation of each shown unit; (k, 0) without any."""

    def arrays(self) -> Arrays:
        """The pictures as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The pictures back from arrays."""
        rest = {name: arrays[name] for name in ("before", "after", "features", "heat", "peaks")}
        return cls(arrays["samples"].astype(np.int64), **rest)
