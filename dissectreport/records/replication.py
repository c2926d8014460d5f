"""The claims of a run, measured again on new latents, and the labels of a second segmenter on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.records.reader import Arrays
from dissectreport.stats.base import Floats, Ints

WORDS = ("claim", "layer", "claim_units", "concept", "category")
FIGURES = ("first", "first_low", "first_high", "again", "again_low", "again_high")


@dataclass(frozen=True)
class ReplicatedClaims:
    """The claims, the results of the second measurement, and how it was made."""

    FILE: ClassVar[str] = "replication"

    words: NDArray[np.str_]
    """(claims, 5) the columns `WORDS`."""
    figures: Floats
    """(claims, 6) the columns `FIGURES`."""
    replicated: Ints
    """(claims,) 1 where the claim was replicated, 0 where not, -1 where it could not be tested."""
    digest: str
    """The SHA-256 of the claims, fixed before they were measured again."""
    seed: int
    samples: int
    segmenter: str
    features: str
    """'' where no images were compared with real ones."""

    def arrays(self) -> Arrays:
        """The claims as arrays."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The claims back from arrays."""
        return cls(
            words=arrays["words"].reshape(-1, len(WORDS)),
            figures=np.asarray(arrays["figures"], np.float64).reshape(-1, len(FIGURES)),
            replicated=np.asarray(arrays["replicated"], np.int64),
            digest=str(arrays["digest"]),
            seed=int(arrays["seed"]),
            samples=int(arrays["samples"]),
            segmenter=str(arrays["segmenter"]),
            features=str(arrays["features"]),
        )


@dataclass(frozen=True)
class SegmenterAgreement:
    """What two segmenters say of the same generated images, by image, of the concepts that both know."""

    FILE: ClassVar[str] = "segmenter_agreement"

    segmenter: str
    """Name of the second one."""
    concepts: NDArray[np.str_]
    """(c, 2) names and categories."""
    first: Ints
    """(n, c) pixels of a grid that the first labels with each concept."""
    second: Ints
    """(n, c) those that the second does."""
    both: Ints
    """(n, c) those that both do."""

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Of consecutive images together."""
        first, second, both = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("first", "second", "both")
        )
        return cls(parts[0].segmenter, parts[0].concepts, first, second, both)

    def arrays(self) -> Arrays:
        """The pixels as arrays."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The pixels back from arrays."""
        concepts = arrays["concepts"].reshape(-1, 2)
        first, second, both = (
            np.asarray(arrays[name], np.int64).reshape(-1, len(concepts)) for name in ("first", "second", "both")
        )
        return cls(str(arrays["segmenter"]), concepts, first, second, both)
