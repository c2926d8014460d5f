"""Features that no label has taught: the encoder of an autoencoder of the drawings (Hinton and Salakhutdinov 2006).

    network = load()
    network(images)                                 # (n, 3, h, w) in [-1, 1] -> (n, 112)

It was trained to reconstruct scenes, rooms and churches from 48 numbers, without concepts. Units that are selected in
the features of a segmenter are measured again in these features.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.checkpoints.state_dicts import load_exactly
from dissectreport.checkpoints.weight_files import read_card, read_checkpoint, tensors_of

WEIGHTS = Path(__file__).parent / "weights"
REMEDY = "give another file, or reinstall the package"
SIDE = 64
CHANNELS = (16, 32, 48, 64)
"""Channels at half the size, a quarter, an eighth and a sixteenth."""
CODE = 48
COARSEST = SIDE >> len(CHANNELS)


class DrawingEncoder(nn.Module):
    """From images of 64 x 64 pixels to 48 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(above, below, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(below, below, 3, 1, 1))
            for above, below in pairwise((3, *CHANNELS))
        )
        self.code = nn.Linear(CHANNELS[-1] * COARSEST**2, CODE)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, 64, 64) -> (n, 48) code, and (n, 64) means of the coarsest features."""
        for level in self.levels:
            images = functional.leaky_relu(level(images), 0.2)
        return self.code(images.flatten(1)), images.mean(dim=(2, 3))


class DrawingFeatures:
    """The code of the encoder, and the means of its coarsest features."""

    name = "features of an autoencoder of drawings"
    dimension = CODE + CHANNELS[-1]
    published = False

    def __init__(self, encoder: DrawingEncoder, sha256: str) -> None:
        self.encoder, self.sha256 = encoder.eval().requires_grad_(False), sha256
        self.identity = f"drawings 1 {sha256}"

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) RGB in [-1, 1], of any size -> (n, 112) float32, differentiable."""
        return torch.cat(self.encoder(resized(images)), dim=1)

    def to(self, device: torch.device) -> DrawingFeatures:
        """The same features on `device`; the network itself is moved."""
        return DrawingFeatures(self.encoder.to(device), self.sha256)


def resized(images: Tensor) -> Tensor:
    """The images resized to 64 x 64 and clamped to [-1, 1]."""
    images = images.float().clamp(-1, 1)
    if images.shape[2:] == (SIDE, SIDE):
        return images
    return functional.interpolate(images, size=(SIDE, SIDE), mode="bilinear", antialias=True)


def load(weights: Path | None = None) -> DrawingFeatures:
    """The features with the weights of the package, or with those of a file, whose card is checked if it has one."""
    path = Path(weights or WEIGHTS / "drawings.safetensors")
    card_path = path.with_suffix(".json")
    card = read_card(card_path, REMEDY) if weights is None or card_path.exists() else {}
    checkpoint = read_checkpoint(path, card.get("sha256", ""), REMEDY)
    encoder = DrawingEncoder()
    load_exactly(encoder, tensors_of(checkpoint.content), "the encoder of drawings")
    return DrawingFeatures(encoder, checkpoint.sha256)
