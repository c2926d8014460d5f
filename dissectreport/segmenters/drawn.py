"""Segmenters trained on drawings: a small U-Net for the words of one subject, with a rule for colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dissectreport.checkpoints.files import read_card, read_checkpoint, tensors_of
from dissectreport.checkpoints.fitting import fit
from dissectreport.segmenters.base import Vocabulary
from dissectreport.segmenters.colour import COLOURS, IDENTITY, name_colours

WEIGHTS = Path(__file__).parent / "weights"
CURE = "give another file, or reinstall the package"
SIZE = 128
Words: TypeAlias = Mapping[str, tuple[str, ...]]
"""The names of the concepts by learned category: object, part, material."""
Network = TypeVar("Network", bound=nn.Module)
CHANNELS = (40, 64, 96, 128)


def convolution(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """A convolution with batch norm and rectifier, 3x3, or 4x4 where it halves the resolution."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 4 if stride == 2 else 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class DrawnNetwork(nn.Module):
    """A U-Net that works at half resolution and below: four pixels enter as one, and leave as four.

    Its logits are (n, classes, h, w), those of object, part and material in turn, "nothing" first in each.
    """

    def __init__(self, words: Words) -> None:
        super().__init__()
        half = CHANNELS[0]
        self.enter = nn.Sequential(convolution(3, half, 2), convolution(half, half))
        self.down = nn.ModuleList(
            nn.Sequential(convolution(above, below, 2), convolution(below, below))
            for above, below in pairwise(CHANNELS)
        )
        self.narrow = nn.ModuleList(nn.Conv2d(below, above, 1) for above, below in reversed(list(pairwise(CHANNELS))))
        self.up = nn.ModuleList(convolution(channels, channels) for channels in reversed(CHANNELS[:-1]))
        self.refine = convolution(half, half)
        self.leave = nn.Conv2d(half, 4 * sum(class_counts(words)), 1)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1], h and w multiples of 16 -> (n, classes, h, w) logits."""
        return self.decide(self.describe(images)[0])

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, h, w) -> the last features (n, 40, h/2, w/2) and the lowest (n, 128, h/16, w/16)."""
        levels = [self.enter(images)]
        for down in self.down:
            levels.append(down(levels[-1]))
        features = lowest = levels.pop()
        for narrow, up in zip(self.narrow, self.up, strict=True):
            features = functional.interpolate(narrow(features), scale_factor=2.0, mode="nearest")
            features = up(features + levels.pop())
        return self.refine(features), lowest

    def decide(self, features: Tensor) -> Tensor:
        """The last features -> (n, classes, h, w) logits."""
        return functional.pixel_shuffle(self.leave(features), 2)

    def four(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, classes, 4, h/2, w/2) the logits of every four pixels that leave as one."""
        features = self.describe(images)[0]
        n, channels, h, w = features.shape
        pixels = features.permute(0, 2, 3, 1).reshape(n, h * w, channels).transpose(1, 2)
        weight = self.leave.weight.flatten(1).to(pixels.dtype).expand(n, -1, -1)
        assert self.leave.bias is not None
        logits = torch.baddbmm(self.leave.bias.to(pixels.dtype)[None, :, None], weight, pixels)
        return logits.view(n, -1, 4, h, w)

    def folded(self) -> DrawnNetwork:
        """Itself, each batch norm made part of the convolution before it: for evaluation alone, and a tenth faster."""
        for block in [module for module in self.modules() if isinstance(module, nn.Sequential)]:
            first, second = block[0], block[1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                block[0], block[1] = fuse_conv_bn_eval(first, second), nn.Identity()
        return self


def leading(logits: Tensor) -> Tensor:
    """(n, classes, …) -> (n, …) int64 the first of the classes with the largest logit; fewer than 256 classes."""
    classes = logits.shape[1]
    flat = logits.flatten(2)
    # The largest value is found many times as fast as where it is.
    rank = torch.arange(classes, 0, -1, dtype=torch.uint8, device=logits.device).view(1, -1, 1)
    found = ((flat == flat.amax(1, keepdim=True)).view(torch.uint8) * rank).amax(1)
    return (classes - found.long()).view(len(logits), *logits.shape[2:])


def class_counts(words: Words) -> list[int]:
    """How many classes each learned category has, "nothing" counted in."""
    return [1 + len(names) for names in words.values()]


def channels_last(network: Network) -> Network:
    """The same network with its weights laid out as the processor likes them."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


class DrawnSegmenter:
    """Names the object, part, material and colour of every pixel of a drawn or generated image of its subject."""

    def __init__(
        self, name: str, words: Words, network: DrawnNetwork, identity: str, facts: Mapping[str, Any] | None = None
    ) -> None:
        self.name = name
        self.words = words
        self.vocabulary = Vocabulary.of(**words, colour=COLOURS)
        self.network = channels_last(network.eval().requires_grad_(False).folded())
        self.identity = identity
        self.facts = facts or {}

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, 4, 128, 128) int64: object, part, material, colour; 0 is nothing."""
        images = fitted(images)
        slots, first = [], 0
        with torch.no_grad():
            # Four pixels at a time, which only then go to their places: logits are many, and numbers few.
            for logits in torch.split(self.network.four(images), class_counts(self.words), dim=1):
                numbers = leading(logits)
                named = torch.where(numbers > 0, numbers + first, 0)
                slots.append(functional.pixel_shuffle(named, 2)[:, 0])
                first += logits.shape[1] - 1
        slots.append(name_colours(images) + first)
        return torch.stack(slots, dim=1)

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 128, 128) probability of the likeliest object."""
        with torch.no_grad():
            return self.logits(images)["object"].softmax(dim=1).amax(dim=1)

    def logits(self, images: Tensor) -> dict[str, Tensor]:
        """(n, 3, h, w) -> by category (n, 1 + concepts, 128, 128), "nothing" first; it has gradients."""
        split = self.network(fitted(images)).split(class_counts(self.words), dim=1)
        return dict(zip(self.words, split, strict=True))

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, 3, h, w) -> (n, k, 128, 128) probability of each of k concepts in its category, differentiable.

        Nothing, and the colours, which a rule names, are zero and without gradient.
        """
        shares = [logits.softmax(dim=1)[:, 1:] for logits in self.logits(images).values()]
        nothing = shares[0].new_zeros(()).expand(len(images), 1, *shares[0].shape[2:])
        ruled = nothing.expand(-1, len(COLOURS), -1, -1)
        return torch.cat([nothing, *shares, ruled], dim=1)[:, list(concepts)]

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 168) what the network sees in a whole image, for distances; it has gradients."""
        return torch.cat([level.mean(dim=(2, 3)) for level in self.network.describe(fitted(images))], dim=1)

    def to(self, device: torch.device) -> DrawnSegmenter:
        """The same segmenter on `device`."""
        return DrawnSegmenter(self.name, self.words, self.network.to(device), self.identity, self.facts)


def fitted(images: Tensor) -> Tensor:
    """The images at 128 x 128, within [-1, 1]."""
    images = images.clamp(-1, 1)
    if images.shape[2:] != (SIZE, SIZE):
        images = functional.interpolate(images, size=(SIZE, SIZE), mode="bilinear", antialias=True)
    return images.contiguous(memory_format=torch.channels_last)


def load_drawn(name: str, words: Words, weights: Path | None = None) -> DrawnSegmenter:
    """The segmenter of this name with the weights of the package, or with others; a card beside them is checked."""
    path = Path(weights or WEIGHTS / f"{name}.safetensors")
    beside = path.with_suffix(".json")
    card = read_card(beside, CURE) if weights is None or beside.exists() else {}
    read = read_checkpoint(path, card.get("sha256", ""), CURE)
    facts = {"sha256": read.sha256, **({"card": card} if card else {})}
    network = network_of(words, tensors_of(read.content), name)
    return DrawnSegmenter(name, words, network, f"{name} {read.sha256} {IDENTITY}", facts)


def network_of(words: Words, state_dict: Mapping[str, Tensor], name: str) -> DrawnNetwork:
    """The network with these weights; every tensor must be there and fit."""
    network = DrawnNetwork(words)
    fit(network, state_dict, f"the segmenter of {name}")
    return network
