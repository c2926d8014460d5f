"""What a page needs to run a part of a network: the network in files, and a gallery of latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.records.reader import Arrays
from dissectreport.run.plain import Plain
from dissectreport.stats.base import Ints


@dataclass(frozen=True)
class PaintRecord(Plain):
    """Which layer can be painted on, and the folder of the `PaintedNetwork`."""

    layer: str
    folder: str
    """'' where the network could not be exported."""
    missing: str = ""
    """Why it could not be; '' where it was."""


@dataclass(frozen=True)
class PaintedNetwork:
    """A network after a layer as an ONNX file, with what it is run on."""

    FILE: ClassVar[str] = "painting"

    tail: bytes
    """From activations of the layer to images."""
    head: bytes
    """From latents to activations of the layer; empty where it is large, or has no form in ONNX."""
    labels: bytes
    """From images to the labels of the segmenter; empty where there is no such file."""
    seed: int
    """The seed of the latents."""
    samples: Ints
    """(k,) numbers of the latents of the gallery; -1, -2 and so on for photos, which come last."""
    latents: NDArray[np.float32]
    """(k, *latent_shape); (k, 0) where no file takes them."""
    activations: NDArray[np.float16]
    """(m, units, h, w) with the layer's margin, of the last m of the gallery: of the photos alone where the head
    computes those of latents, else of all."""
    others: Mapping[str, NDArray[np.float16]]
    """Further inputs of the tail by their names, each (m, ...); the head returns them after the activations."""
    margin: int
    """Cells on every side of a map that lie outside the image."""
    reach: int
    """Cells around a cell on which its pixels depend; 0 where the tail takes whole maps only."""
    images: NDArray[np.uint8]
    """(k, height, width, 3)"""
    contexts: Ints
    """(k, patches) number of the concept at the middle of every patch; 0 for none."""
    areas: Ints
    """(k, concepts) pixels of each concept of the vocabulary."""
    pixels: int
    """Pixels of an image's labels."""
    notes: tuple[str, ...]
    """What could not be exported, a sentence each."""
    photos: tuple[str, ...]
    """Names of the inverted photos."""
    originals: NDArray[np.uint8]
    """(photos, height, width, 3) the photos themselves."""

    def arrays(self) -> Arrays:
        """The files and the gallery as arrays."""
        files = {name: np.frombuffer(getattr(self, name), np.uint8) for name in ("tail", "head", "labels")}
        names = ("samples", "latents", "activations", "images", "contexts", "originals")
        gallery = {name: getattr(self, name) for name in names}
        numbers = {name: np.array(getattr(self, name)) for name in ("seed", "margin", "reach", "pixels")}
        others = {f"other {name}": values for name, values in self.others.items()}
        words = {name: np.array(getattr(self, name), np.str_) for name in ("notes", "photos")}
        return {**files, **gallery, **numbers, **others, **words, "areas": self.areas}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The network back from arrays."""
        values: dict[str, Any] = {name: arrays[name].tobytes() for name in ("tail", "head", "labels")}
        values |= {name: int(arrays[name]) for name in ("seed", "margin", "reach", "pixels")}
        values |= {name: arrays[name].astype(np.int64) for name in ("samples", "contexts", "areas")}
        values |= {name: arrays[name] for name in ("latents", "activations", "images", "originals")}
        return cls(
            **values,
            others={name.removeprefix("other "): value for name, value in arrays.items() if name.startswith("other ")},
            notes=tuple(arrays["notes"].tolist()),
            photos=tuple(arrays["photos"].tolist()),
        )
