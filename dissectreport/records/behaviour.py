"""The results of networks on the first samples: a part of cache keys, because code that a file imports can change too.

Samples of the images, activations, labels and features are kept as they were when first seen. Another run of the same
networks gives the same values up to rounding; where it does not, it is another network, whatever its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.records.reader import Arrays

CLOSE = 2e-3
"""Difference that adding up in another order may make, as a share of the largest value."""
SAME_LABELS = 0.995
"""Share of labels that must be the same: where two concepts are equally probable, rounding decides."""


IMAGES, LABELS, FEATURES, LAYER = "images", "labels", "features", "layer "
"""Names of values; those of a layer end with its name."""


@dataclass(frozen=True)
class Behaviour:
    """Values by name, such as images or labels; the first axis is that of samples."""

    FILE: ClassVar[str] = "behaviour"

    values: Mapping[str, NDArray[Any]]

    def arrays(self) -> Arrays:
        """Plain arrays that `from_arrays` turns back into the same value."""
        return dict(self.values)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The value that `arrays` came from."""
        return cls(dict(arrays))

    def agrees(self, other: Self) -> bool:
        """Whether both can be of the same network: what both hold is the same, up to rounding."""
        return all(_alike(value, other.values[name]) for name, value in self.values.items() if name in other.values)

    def joined(self, other: Self) -> Self:
        """This one, with values of things that only the other holds."""
        return type(self)({**other.values, **self.values})

    @property
    def generator(self) -> Self:
        """What the generator did: images, and activations of layers."""
        return self._where(lambda name: name == IMAGES or name.startswith(LAYER))

    @property
    def segmenter(self) -> Self:
        """What the segmenter did."""
        return self._where(lambda name: name == LABELS)

    @property
    def features(self) -> Self:
        """What the feature network gave; nothing where none was asked."""
        return self._where(lambda name: name == FEATURES)

    def _where(self, holds: Callable[[str], bool]) -> Self:
        return type(self)({name: value for name, value in self.values.items() if holds(name)})

    @property
    def name(self) -> str:
        """16 hexadecimal digits of all values, equal on two machines unless a rounded value differs."""
        total = hashlib.sha256()
        for name in sorted(self.values):
            value = np.asarray(self.values[name][:1])
            rounded = value if value.dtype.kind in "iu" else np.round(value.astype(np.float64), 2) + 0.0
            total.update(f"{name} {rounded.shape}\n".encode() + np.ascontiguousarray(rounded).tobytes())
        return total.hexdigest()[:16]


def _alike(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether values of the samples that both have are the same up to rounding."""
    count = min(len(one), len(other))
    one, other = one[:count], other[:count]
    if one.shape != other.shape:
        return False
    if one.dtype.kind in "iu":
        return bool((one == other).mean() >= SAME_LABELS) if one.size else True
    scale = max(float(np.abs(one).max(initial=0)), float(np.abs(other).max(initial=0)))
    return bool(np.allclose(one, other, rtol=0, atol=CLOSE * scale))
