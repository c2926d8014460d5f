"""The embedded classifier of drawn scenes: what light, and by clear day what kind of church.

    classifier = load()
    classifier.logits(images)                       # (n, 8) scores of images (n, 3, 64, 64) in [-1, 1]

Its images are drawn by program, held out from training, so that it is dissected without any file but its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dissectreport.checkpoints.state_dicts import channels_last
from dissectreport.checkpoints.weight_files import read_card, read_tensors
from dissectreport.models.classifier import ClassifierModel
from dissectreport.models.drawn_images import DrawnImages, name_of

WEIGHTS = Path(__file__).parent / "weights"
NAME = "scenes_classifier"
REINSTALL = "reinstall the package"
SIZE = 64
"""Height and width of an image."""
CHANNELS = (3, 24, 48, 64, 96)
"""Of the image, then of each layer; every layer but the first halves the image."""


class SceneClassifier(nn.Module):
    """(n, 3, 64, 64) in [-1, 1] -> layer1 (24, 64, 64) -> … -> layer4 (96, 8, 8) -> means -> (n, classes) scores."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        for number, (before, after) in enumerate(pairwise(CHANNELS), 1):
            self.add_module(f"layer{number}", block(before, after, 1 if number == 1 else 2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()
        self.scores = nn.Linear(CHANNELS[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, classes)."""
        for part in self.children():
            images = part(images)
        return images


def block(before: int, after: int, stride: int) -> nn.Sequential:
    """Convolution, batch norm and ReLU."""
    convolution = nn.Conv2d(before, after, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())


def untrained(classes: int, seed: int) -> SceneClassifier:
    """The network with the random weights with which training starts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SceneClassifier(classes)


def load(folder: Path = WEIGHTS) -> ClassifierModel:
    """The classifier of `folder`, checked against its card, on the images that the card gives the classes of."""
    card = read_card(folder / f"{NAME}.json", REINSTALL)
    classes, numbers = tuple(card["classes"]), list(map(int, card["held_out_classes"]))
    network = SceneClassifier(len(classes))
    network.load_state_dict(read_tensors(folder / f"{NAME}.safetensors", card["sha256"], REINSTALL))
    layers = tuple(f"layer{number}" for number in range(1, len(CHANNELS)))
    shown = {key: value for key, value in card.items() if key != "held_out_classes"}
    return ClassifierModel(
        name=NAME,
        module=channels_last(network),
        folder=DrawnImages("drawn scenes", (SIZE, SIZE), len(numbers), drawn, "scenes-1"),
        layers=layers,
        default_layers=layers[1:],
        reinitialise=lambda seed: channels_last(untrained(len(classes), seed)),
        facts={"family": "classifier", "segmenter": "scenes", "sha256": card["sha256"], "card": shown},
        classes=classes,
        labels={name_of(number): label for number, label in enumerate(numbers)},
    )


def drawn(numbers: Sequence[int]) -> Tensor:
    """(n, 3, 64, 64) in [-1, 1]: drawings that no network was trained on."""
    from dissectreport.drawings.dataset import HELD_OUT_SEED, draw_many  # Pillow is needed only here

    pixels = torch.from_numpy(np.array(draw_many(HELD_OUT_SEED, numbers, SIZE).image))
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
