"""The generator and the segmentations of the reference fixture, as models that a run can name.

A run names them as `tests.support.reference_models:generator` and `tests.support.reference_models:segmenter`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dissectreport.models import proggan
from dissectreport.models.network_generator import NetworkGenerator
from dissectreport.networks.latents import latents
from dissectreport.segmenters.base import Concept, Vocabulary

SAMPLES = 100
LAYER = "layer4"
GRID = 16


@lru_cache
def fixture() -> dict[str, np.ndarray]:
    """The arrays that the reference implementation gave."""
    with np.load(Path(__file__).parents[1] / "fixtures" / "reference_dissection_32px.npz", allow_pickle=False) as file:
        return dict(file)


@lru_cache
def network() -> proggan.ProgressiveGenerator:
    weights = {key.removeprefix("weights/"): v for key, v in fixture().items() if key.startswith("weights/")}
    return proggan.from_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})


def generator() -> NetworkGenerator:
    return NetworkGenerator(
        name="reference",
        module=network(),
        latent_shape=(32,),
        image_size=(32, 32),
        layers=network().layers,
        default_layers=(LAYER,),
        reinitialise=lambda seed: network(),
    )


def vocabulary() -> Vocabulary:
    """The reference's labels; ours calls the category of number 0 "-"."""
    words = [(str(name), str(kind)) for name, kind in zip(fixture()["labels"], fixture()["categories"], strict=True)]
    return Vocabulary((Concept("-", "-"), *(Concept(*word) for word in words[1:])))


@dataclass(frozen=True, eq=False)
class Remembered:
    """Gives the stored segmentation of the image that looks most like the one given."""

    images: Tensor
    """(m, pixels)"""
    labels: Tensor
    """(m, slots, 16, 16)"""
    vocabulary: Vocabulary
    name: str = "remembered"
    identity: str = "remembered-1"

    def __call__(self, images: Tensor) -> Tensor:
        return self.labels[torch.cdist(images.flatten(1), self.images).argmin(1)]

    def confidence(self, images: Tensor) -> Tensor:
        return torch.ones(len(images), GRID, GRID)

    def to(self, device: torch.device) -> Remembered:
        return self


def segmenter() -> Remembered:
    with torch.no_grad():
        images = [network()(latents(seed, 0, SAMPLES, (32,))) for seed in (1, 2)]
    names = ("segmentation", "segmentation_threshold_set")
    stored = np.concatenate([fixture()[name] for name in names]).astype(np.int64)
    return Remembered(torch.cat(images).flatten(1), torch.from_numpy(stored), vocabulary())
