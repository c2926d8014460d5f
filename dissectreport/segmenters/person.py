"""Person and background: MediaPipe's selfie segmentation, taken as data out of the package mediapipe.

    segmenter = load()                          # downloads the package once, and installs nothing of it
    concepts = segmenter(images)                # (n, 1, h, w) int64, 1 = person, 2 = background

The network is made for one or several persons in front of a camera (Google, 2021, Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.checkpoints.catalogue import read_catalogue
from dissectreport.checkpoints.tflite import read_tflite
from dissectreport.files import sha256
from dissectreport.segmenters.tflite_network import TfliteNetwork
from dissectreport.vocabulary import Vocabulary

CATALOGUE = Path(__file__).with_name("catalogue.toml")
SIDE = 256
"""Height and width of the images that the network takes."""
VERSION = 1
"""Increased whenever the same weights would give other labels."""


class PersonSegmenter:
    """Labels every pixel as person or background."""

    name = "person"
    vocabulary = Vocabulary.of(object=("person", "background"))

    def __init__(self, network: TfliteNetwork, digest: str) -> None:
        self.network = network.eval().requires_grad_(False)
        self.identity = f"person {VERSION} {digest[:16]}"
        self.facts: dict[str, Any] = {
            "architecture": "MediaPipe selfie segmentation, in torch",
            "weights": "selfie_segmentation.tflite of the package mediapipe 0.10.14",
            "licence": "Apache-2.0",
        }

    def _persons(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, h, w) probability of a person."""
        size = images.shape[2:]
        given = functional.interpolate(
            (images.clamp(-1, 1) + 1) / 2, (SIDE, SIDE), mode="bilinear", align_corners=False
        )
        found: Tensor = functional.interpolate(self.network(given), size, mode="bilinear", align_corners=False)
        return found[:, 0]

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, 1, h, w) int64."""
        return torch.where(self._persons(images) > 0.5, 1, 2)[:, None]

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, h, w) probability of the label."""
        persons = self._persons(images)
        return torch.maximum(persons, 1 - persons)

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, k, h, w) probability of each of k concepts, with gradients; 0 for nothing."""
        persons = self._persons(images)
        likely = (0 * persons, persons, 1 - persons)
        return torch.stack([likely[number] for number in concepts], 1)

    def to(self, device: torch.device) -> PersonSegmenter:
        """The same segmenter on a device."""
        self.network.to(device)
        return self


def load() -> PersonSegmenter:
    """The segmenter `person`; a WeightsError where its file is not here and cannot be downloaded."""
    (path,) = read_catalogue(CATALOGUE)["person"].download("or use --segmenter colour, which needs no file").paths()
    return PersonSegmenter(TfliteNetwork(read_tflite(path)), sha256(path))
