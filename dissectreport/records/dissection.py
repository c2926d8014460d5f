"""Results of the passes of a dissection: the thresholds at which units are counted, and what pages show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.records.reader import Arrays
from dissectreport.stats.base import Floats, Ints
from dissectreport.stats.thresholds import AnyThresholds, ExactThresholds, thresholds_from_arrays

Shape = tuple[int, int, int]
"""Units, height and width of a layer."""


@dataclass(frozen=True)
class StoredThresholds:
    """The thresholds of one reading of a layer."""

    FILE: ClassVar[str] = "thresholds"

    thresholds: AnyThresholds
    shape: Shape
    search_ratios: Floats | None = None
    """(units, vocabulary) what labels are ordered by under a rule that searches for them; None under others."""

    @property
    def exact(self) -> ExactThresholds:
        """The thresholds of a published rule."""
        assert isinstance(self.thresholds, ExactThresholds), "only published rules have exact thresholds"
        return self.thresholds

    def arrays(self) -> Arrays:
        """The thresholds as arrays."""
        searched = {} if self.search_ratios is None else {"search_ratios": self.search_ratios}
        return {**self.thresholds.arrays(), "shape": np.array(self.shape, np.int64), **searched}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The thresholds back from arrays."""
        units, height, width = (int(side) for side in arrays["shape"])
        return cls(thresholds_from_arrays(arrays), (units, height, width), arrays.get("search_ratios"))


@dataclass(frozen=True)
class UnitScales:
    """The standard deviation of every unit of a layer, to three digits, so that machines agree."""

    FILE: ClassVar[str] = "scales"

    scales: Floats
    """(units,)"""

    @classmethod
    def of(cls, activations: NDArray[np.float32]) -> Self:
        """The scales of units with these activations (units, k)."""
        return cls(np.array([float(f"{scale:.3g}") for scale in activations.std(1, dtype=np.float64)]))

    def arrays(self) -> Arrays:
        """The scales as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The scales back from arrays."""
        return cls(np.asarray(arrays["scales"], np.float64))


@dataclass(frozen=True)
class SegmentedImages:
    """Images with what the segmenter makes of them; none of them where there are no such images."""

    FILE: ClassVar[str] = "segmented"

    images: NDArray[np.uint8]
    """(n, height, width, 3)"""
    labels: NDArray[np.int16]
    """(n, slots, h, w) concept numbers."""
    confidence: NDArray[np.float16]
    """(n, h, w)"""

    @classmethod
    def none(cls) -> Self:
        """No image."""
        return cls(
            images=np.zeros((0, 0, 0, 3), np.uint8),
            labels=np.zeros((0, 0, 0, 0), np.int16),
            confidence=np.zeros((0, 0, 0), np.float16),
        )

    @classmethod
    def joined(cls, parts: Sequence[SegmentedImages]) -> Self:
        """The images of all parts, in their order."""
        return cls(**_joined(parts))

    def arrays(self) -> Arrays:
        """The images as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The images back from arrays."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class ShownMaps:
    """The activation maps of a layer that pages show."""

    at: Ints
    """(m, 2) unit and column of `Examples` of each map."""
    maps: NDArray[np.float32]
    """(m, h, w)"""
    lookup: NDArray[np.float32]
    """(l, units, h', w') small maps of every unit in the images in which readers can look up units."""

    @classmethod
    def joined(cls, parts: Sequence[ShownMaps]) -> Self:
        """The maps of all parts, in their order."""
        return cls(**_joined(parts))


@dataclass(frozen=True)
class ShownPictures:
    """The images, maps and segmentations of some samples that pages show."""

    FILE: ClassVar[str] = "pictures"

    numbers: Ints
    """(m,) numbers of the samples."""
    pixels: NDArray[np.uint8]
    """(m, height, width, 3)"""
    lookup: Ints
    """(l,) numbers of the samples in which readers can look up units."""
    maps: Mapping[str, ShownMaps]
    """By layer."""
    segmented: SegmentedImages

    @classmethod
    def joined(cls, parts: Sequence[ShownPictures]) -> Self:
        """The pictures of all parts, in their order."""
        return cls(
            numbers=np.concatenate([part.numbers for part in parts]),
            pixels=np.concatenate([part.pixels for part in parts]),
            lookup=np.concatenate([part.lookup for part in parts]),
            maps={layer: ShownMaps.joined([part.maps[layer] for part in parts]) for layer in parts[0].maps},
            segmented=SegmentedImages.joined([part.segmented for part in parts]),
        )

    def arrays(self) -> Arrays:
        """The pictures as arrays."""
        arrays: Arrays = {"numbers": self.numbers, "pixels": self.pixels, "lookup": self.lookup}
        arrays |= {f"{layer}|{name}": value for layer, maps in self.maps.items() for name, value in vars(maps).items()}
        arrays |= {f"segmented|{name}": value for name, value in vars(self.segmented).items()}
        return {**arrays, "layers": np.array(list(self.maps))}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The pictures back from arrays."""

        def maps(layer: str) -> ShownMaps:
            at, *rest = (arrays[f"{layer}|{field.name}"] for field in fields(ShownMaps))
            return ShownMaps(at.astype(np.int64), *rest)

        return cls(
            numbers=arrays["numbers"].astype(np.int64),
            pixels=arrays["pixels"],
            lookup=arrays["lookup"].astype(np.int64),
            maps={layer: maps(layer) for layer in arrays["layers"].tolist()},
            segmented=SegmentedImages(**{f.name: arrays[f"segmented|{f.name}"] for f in fields(SegmentedImages)}),
        )


def _joined(parts: Sequence[Any]) -> dict[str, NDArray[Any]]:
    """By field the arrays of all parts; those without any row may lack the shape of the others."""
    values = {field.name: [getattr(part, field.name) for part in parts] for field in fields(parts[0])}
    return {name: np.concatenate([one for one in each if len(one)] or each[:1]) for name, each in values.items()}
