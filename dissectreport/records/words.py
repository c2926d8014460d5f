"""Images of a run and the words of a list as vectors of one space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.records.reader import Arrays
from dissectreport.stats.base import Ints


@dataclass(frozen=True)
class WordVectors:
    """What units are described with words from."""

    FILE: ClassVar[str] = "words"

    samples: Ints
    """(n,) rising numbers of the samples."""
    images: NDArray[np.float32]
    """(n, d)"""
    words: tuple[str, ...]
    texts: NDArray[np.float32]
    """(words, d)"""
    network: str
    """The name of the network."""

    def arrays(self) -> Arrays:
        """The vectors as arrays."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The vectors back from arrays."""
        return cls(
            samples=np.asarray(arrays["samples"], np.int64),
            images=np.asarray(arrays["images"], np.float32),
            words=tuple(arrays["words"].tolist()),
            texts=np.asarray(arrays["texts"], np.float32),
            network=str(arrays["network"]),
        )
