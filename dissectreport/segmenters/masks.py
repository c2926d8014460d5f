"""Labels from files instead of a network: masks that somebody drew for the images of a folder.

    segmenter = load("annotations/validation")                      # masks:annotations/validation
    segmenter = load("masks,images=samples,names=names.txt")        # masks:masks,images=samples,names=names.txt
    concepts = segmenter(images)                                    # (n, slots, h, w) int64, 0 = nothing

An image is recognised by what it shows, at a coarse resolution: so the same masks serve photographs that a network
reads, and samples of a generator that were saved and labelled by hand. An image that was not labelled is an error.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from dissectreport.errors import SegmenterError, check_machine
from dissectreport.files import sha256
from dissectreport.image_files import fitted
from dissectreport.segmenters.mask_files import Layout, check_sizes, concepts_in, files_of, find_layout, image_size

SIDE = 16
"""Rows and columns of the coarse images by which images are recognised."""
TOLERANCE = 4.0
"""How much a cell of a coarse image may differ, of 255: what rounding and JPEG change."""
KEPT = 512
"""Masks that are kept in memory at their last size."""


class MaskSegmenter:
    """The labels that files give to the images of a folder."""

    def __init__(self, name: str, layout: Layout) -> None:
        self.name, self.layout = name, layout
        self.vocabulary = layout.names.vocabulary
        digest = hashlib.sha256(repr((sorted(layout.names.concept_of.items()), self.vocabulary.concepts)).encode())
        for file in files_of(layout):
            digest.update(f"{file.name} {sha256(file, links=True)}\n".encode("utf-8", "surrogatepass"))
        self.identity = f"masks {digest.hexdigest()}"
        self.facts: Mapping[str, Any] = {"labelled images": len(layout.entries)}
        self._coarse: dict[tuple[int, int], Tensor] = {}
        self._masks: OrderedDict[tuple[int, tuple[int, int]], Tensor] = OrderedDict()

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, slots, h, w) int64; a SegmenterError for an image that was not labelled."""
        size = (int(images.shape[2]), int(images.shape[3]))
        labels = [self._labels(number, size) for number in self._recognised(images, size)]
        return torch.stack(labels).to(images.device)

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, h, w) ones, because masks have no probabilities."""
        return torch.ones(len(images), *images.shape[2:], device=images.device)

    def to(self, device: torch.device) -> MaskSegmenter:
        """The same segmenter, whose labels go to the device of the images."""
        return self

    def _recognised(self, images: Tensor, size: tuple[int, int]) -> list[int]:
        """The number of each image among those that were labelled."""
        if size not in self._coarse:
            self._coarse[size] = torch.stack([_coarse_file(entry.image, size) for entry in self.layout.entries])
        known = self._coarse[size]
        distances = torch.stack([(known - image).abs().amax((1, 2, 3)) for image in _coarse(images)])
        nearest = distances.min(dim=1)
        if float(nearest.values.max()) > TOLERANCE:
            raise SegmenterError(
                f"an image is none of the {len(known):,} that {self.name} has masks for (the nearest differs by "
                f"{float(nearest.values.max()):.0f} of 255); measure the labelled images alone, with --samples at most "
                f"{len(known):,}"
            )
        return [int(number) for number in nearest.indices]

    def _labels(self, number: int, size: tuple[int, int]) -> Tensor:
        """(slots, h, w) the labels of an image at a size."""
        key = (number, size)
        if key not in self._masks:
            entry = self.layout.entries[number]
            whole = image_size(entry.image)
            slots = [_fitted_labels(concepts_in(self.layout, mask, whole), size) for mask in entry.masks]
            self._masks[key] = torch.stack(slots)
            if len(self._masks) > KEPT:
                self._masks.popitem(last=False)
        return self._masks[key]


def _fitted_labels(concepts: np.ndarray[Any, np.dtype[np.int64]], size: tuple[int, int]) -> Tensor:
    """(h, w) labels, scaled and cropped as their image is, each pixel with one of the labels."""
    image = Image.fromarray(concepts.astype(np.int32))
    return torch.from_numpy(np.array(ImageOps.fit(image, size[::-1], Image.Resampling.NEAREST))).long()


def _coarse(images: Tensor) -> Tensor:
    """(n, 3, h, w) in [-1, 1] -> (n, 3, SIDE, SIDE) in [0, 255], on the CPU."""
    bounded = (images.detach().float().cpu().clamp(-1, 1) + 1) * 127.5
    return adaptive_avg_pool2d(bounded, SIDE)


def _coarse_file(path: Path, size: tuple[int, int]) -> Tensor:
    """(3, SIDE, SIDE) the coarse image of a file."""
    try:
        pixels = torch.from_numpy(fitted(path, size)).permute(2, 0, 1).float()
    except Exception as problem:  # Decoders raise many kinds of error for a damaged file.
        check_machine(problem)
        raise SegmenterError(f"the image {path.name} cannot be opened: {problem}; replace the file") from problem
    return adaptive_avg_pool2d(pixels, SIDE)


def load(argument: str) -> MaskSegmenter:
    """The segmenter of a folder of masks, with the settings images=FOLDER and names=FILE after it.

    A SegmenterError says what is missing, or which mask does not fit its image.
    """
    folder, *settings = argument.split(",")
    values = dict(setting.partition("=")[::2] for setting in settings)
    unknown = [name for name in values if name not in ("images", "names")]
    if unknown or not folder:
        raise SegmenterError(f"masks:{argument} is not understood; write masks:FOLDER,images=FOLDER,names=FILE")
    paths = {name: Path(unquote(value)).expanduser() for name, value in values.items()}
    layout = find_layout(Path(unquote(folder)).expanduser(), paths.get("images"), paths.get("names"))
    check_sizes(layout)
    return MaskSegmenter(f"masks:{Path(unquote(folder)).name}", layout)
