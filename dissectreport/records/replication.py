"""The claims of a run, measured once more on fresh latents."""

from __future__ import annotations

from collections.abc import Mapping
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
    """What was claimed, what the second measurement found, and how it was made."""

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
