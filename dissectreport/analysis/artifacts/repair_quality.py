"""Image quality by the number of units that a repair ablates, and the number that is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dissectreport.analysis.artifacts.quality import (
    ImageQuality,
    ImageSet,
    Reference,
    kernel_distances,
    measure_quality,
)
from dissectreport.analysis.common.halves import Halved


@dataclass(frozen=True)
class Qualities:
    """The quality of the same images, without and with units ablated."""

    FILE: ClassVar[str] = "quality"

    real: ImageQuality
    """Real images against other real ones."""
    before: ImageQuality
    """Without any edit."""
    ablated: Mapping[int, ImageQuality]
    """By the number of units that are ablated."""

    @classmethod
    def of(cls, reference: Reference, variants: NDArray[Any], sizes: Sequence[int]) -> Qualities:
        """Of features (n, 1 + sizes, d), the first without any edit."""
        real = reference.side(len(variants))
        before, *after = (
            measure_quality(real=real, generated=reference.scaled(variants[:, number]))
            for number in range(1 + len(sizes))
        )
        return cls(reference.against_itself(len(variants)), before, dict(zip(sizes, after, strict=True)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The qualities as arrays."""
        named = {
            "real": self.real,
            "before": self.before,
            **{str(size): quality_ablated for size, quality_ablated in self.ablated.items()},
        }
        arrays: dict[str, NDArray[Any]] = {"sizes": np.array(list(self.ablated), np.int64)}
        for name, quality in named.items():
            arrays[f"{name} images"] = np.array([quality.images, quality.dimension])
            arrays[f"{name} measures"] = np.array(list(quality.measures))
            arrays |= {f"{name} {measure}": packed(halved) for measure, halved in quality.measures.items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Qualities:
        """The qualities back from arrays."""

        def read(name: str) -> ImageQuality:
            images, dimension = arrays[f"{name} images"].tolist()
            measures = arrays[f"{name} measures"].tolist()
            return ImageQuality(
                images, dimension, {measure: Halved.of(arrays[f"{name} {measure}"]) for measure in measures}
            )

        return cls(read("real"), read("before"), {size: read(str(size)) for size in arrays["sizes"].tolist()})


def packed(halved: Halved) -> NDArray[Any]:
    """The figure of all images, then of each half, as one array, from which `Halved.of` makes it again."""
    return np.concatenate([halved.value[None], halved.halves])


def kernel_changes(reference: Reference, variants: NDArray[Any]) -> tuple[Halved, list[Halved]]:
    """The kernel distance without any edit, and its change with each set, of features (n, 1 + sets, d).

    The distance is to all real images of the reference, and changes are paired.
    """
    real = ImageSet(reference.features)
    distances = [
        Halved.of(kernel_distances(real=real, generated=reference.scaled(variants[:, number])))
        for number in range(variants.shape[1])
    ]
    return distances[0], [distance.minus(distances[0]) for distance in distances[1:]]


@dataclass(frozen=True)
class SizeChanges:
    """The change of the kernel distance with every size of the repair, on the latents that select one."""

    FILE: ClassVar[str] = "changes"

    before: Halved
    """The kernel distance without any edit."""
    changes: Mapping[int, Halved]
    """By size."""

    @classmethod
    def of(cls, reference: Reference, variants: NDArray[Any], sizes: Sequence[int]) -> SizeChanges:
        """Of features (n, 1 + sizes, d), the first without any edit."""
        before, changes = kernel_changes(reference, variants)
        return cls(before, dict(zip(sizes, changes, strict=True)))

    @property
    def kernel_distance(self) -> float:
        """The kernel distance without any edit."""
        return float(self.before.value)

    def selected_size(self) -> int:
        """How many units the repair ablates by `artifacts.CHOICE`; 0 where the distance significantly falls with
        none."""
        significant = {size: change for size, change in self.changes.items() if change.interval()[1] < 0}
        if not significant:
            return 0
        best = min(significant.values(), key=lambda change: float(change.value))
        return min(size for size, change in significant.items() if change.value <= best.value + best.error())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The changes as arrays."""
        every = np.stack([packed(halved) for halved in (self.before, *self.changes.values())])
        return {"sizes": np.array(list(self.changes), np.int64), "before": every[0], "changes": every[1:]}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> SizeChanges:
        """The changes back from arrays."""
        sizes = arrays["sizes"].tolist()
        changes = {size: Halved.of(values) for size, values in zip(sizes, arrays["changes"], strict=True)}
        return cls(Halved.of(arrays["before"]), changes)
