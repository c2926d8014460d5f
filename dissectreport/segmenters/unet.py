"""Segmenters that were trained on drawings: a small U-Net for the concepts of one subject, and the rule for colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dissectreport.checkpoints.state_dicts import channels_last, load_exactly
from dissectreport.checkpoints.weight_files import read_card, read_checkpoint, tensors_of
from dissectreport.segmenters.colour import COLOURS, IDENTITY, name_colours
from dissectreport.vocabulary import Vocabulary

WEIGHTS = Path(__file__).parent / "weights"
REMEDY = "give another file, or reinstall the package"
SIZE = 128
ConceptNames: TypeAlias = Mapping[str, tuple[str, ...]]
"""The names of the learned concepts by category: object, part, material."""
CHANNELS = (40, 64, 96, 128)


def convolution(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """A convolution, batch norm and ReLU; the kernel is 3x3, or 4x4 with stride 2."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 4 if stride == 2 else 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """A U-Net at half resolution and below: it starts with a stride of 2 and ends with a pixel shuffle.

    Its logits (n, classes, h, w) are those of object, part and material, in this order, each beginning with "nothing".
    """

    def __init__(self, words: ConceptNames) -> None:
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
        return self.decode(self.encode(images)[0])

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, h, w) -> the last features (n, 40, h/2, w/2) and the coarsest features (n, 128, h/16, w/16)."""
        levels = [self.enter(images)]
        for down in self.down:
            levels.append(down(levels[-1]))
        features = coarsest = levels.pop()
        for narrow, up in zip(self.narrow, self.up, strict=True):
            features = functional.interpolate(narrow(features), scale_factor=2.0, mode="nearest")
            features = up(features + levels.pop())
        return self.refine(features), coarsest

    def decode(self, features: Tensor) -> Tensor:
        """The last features -> (n, classes, h, w) logits."""
        return functional.pixel_shuffle(self.leave(features), 2)

    def packed_logits(self, features: Tensor, classes: slice = slice(None)) -> Tensor:
        """The last features -> (n, classes, 4, h/2, w/2) logits before the pixel shuffle, for 2 x 2 pixels a cell."""
        n, channels, h, w = features.shape
        pixels = features.permute(0, 2, 3, 1).reshape(n, h * w, channels).transpose(1, 2)
        assert self.leave.bias is not None
        weight, bias = self.leave.weight.view(-1, 4 * channels)[classes], self.leave.bias.view(-1, 4)[classes].flatten()
        weight = weight.reshape(-1, channels).to(pixels.dtype).expand(n, -1, -1)
        logits = torch.baddbmm(bias.to(pixels.dtype)[None, :, None], weight, pixels)
        return logits.view(n, -1, 4, h, w)

    def fold_batch_norm(self) -> UNet:
        """This network, with each batch norm merged into its convolution: for evaluation only, and 10% faster."""
        for block in [module for module in self.modules() if isinstance(module, nn.Sequential)]:
            first, second = block[0], block[1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                block[0], block[1] = fuse_conv_bn_eval(first, second), nn.Identity()
        return self


def images_together(features: Tensor) -> int:
    """How many images are labelled together: on a processor one, whose logits then stay in its cache."""
    return 1 if features.device.type == "cpu" else len(features)


def first_argmax(logits: Tensor) -> Tensor:
    """(n, classes, …) -> (n, …) int16 the first class with the largest logit; fewer than 256 classes."""
    classes = logits.shape[1]
    flat = logits.flatten(2)
    # amax is many times as fast as argmax.
    rank = torch.arange(classes, 0, -1, dtype=torch.uint8, device=logits.device).view(1, -1, 1)
    best = ((flat == flat.amax(1, keepdim=True)).view(torch.uint8) * rank).amax(1)
    return (classes - best.short()).view(len(logits), *logits.shape[2:])


def class_counts(words: ConceptNames) -> list[int]:
    """The number of classes of each learned category, "nothing" included."""
    return [1 + len(names) for names in words.values()]


class UNetSegmenter:
    """Labels every pixel with object, part, material and colour, in drawn or generated images of its subject."""

    def __init__(
        self, name: str, words: ConceptNames, network: UNet, identity: str, facts: Mapping[str, Any] | None = None
    ) -> None:
        self.name = name
        self.words = words
        self.vocabulary = Vocabulary.of(**words, colour=COLOURS)
        self.network = channels_last(network.eval().requires_grad_(False).fold_batch_norm())
        self.identity = identity
        self.facts = facts or {}

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, 4, 128, 128) int64: object, part, material, colour; 0 is nothing."""
        images = resized(images)
        with torch.no_grad():
            features = self.network.encode(images)[0]
            packed = torch.cat([self._packed_labels(part) for part in torch.split(features, images_together(features))])
            # The pixel shuffle is applied to concept numbers, which are fewer than logits.
            learned = functional.pixel_shuffle(packed.flatten(1, 2), 2).long()
        colours = name_colours(images) + sum(map(len, self.words.values()))
        return torch.cat([learned, colours[:, None]], dim=1)

    def _packed_labels(self, features: Tensor) -> Tensor:
        """The last features -> (n, 3, 4, h/2, w/2) numbers of the learned concepts, for 2 x 2 pixels a cell."""
        slots, first = [], 0
        for logits in torch.split(self.network.packed_logits(features), class_counts(self.words), dim=1):
            numbers = first_argmax(logits)
            slots.append(torch.where(numbers > 0, numbers + first, 0))
            first += logits.shape[1] - 1
        return torch.stack(slots, dim=1)

    def exportable_labels(self, images: Tensor) -> Tensor:
        """The labels of a call, computed slower, with operations that have a form in ONNX."""
        smooth = images.shape[2] > SIZE  # Of smaller images, it changes nothing, and ONNX has no form of it.
        images = functional.interpolate(images.clamp(-1, 1), size=(SIZE, SIZE), mode="bilinear", antialias=smooth)
        slots, first = [], 0
        for logits in self.network(images).split(class_counts(self.words), dim=1):
            numbers = logits.argmax(dim=1)
            slots.append(torch.where(numbers > 0, numbers + first, 0))
            first += logits.shape[1] - 1
        return torch.stack([*slots, name_colours(images) + first], dim=1)

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 128, 128) probability of the most probable object."""
        with torch.no_grad():
            return self.logits(images)["object"].softmax(dim=1).amax(dim=1)

    def logits(self, images: Tensor) -> dict[str, Tensor]:
        """(n, 3, h, w) -> by category (n, 1 + concepts, 128, 128) logits, "nothing" first, differentiable."""
        split = self.network(resized(images)).split(class_counts(self.words), dim=1)
        return dict(zip(self.words, split, strict=True))

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, 3, h, w) -> (n, k, 128, 128) probability of each of k concepts in its category, differentiable.

        "Nothing" and the colours, which have no probabilities, are zero and have no gradient.
        """
        features = self.network.encode(resized(images))[0]
        shares = self._packed_shares(features)
        none = 0 * features[:, :1].expand(-1, 4, -1, -1)
        packed = [shares(number) if 0 < number <= sum(map(len, self.words.values())) else none for number in concepts]
        return functional.pixel_shuffle(torch.cat(packed, dim=1), 2)

    def _packed_shares(self, features: Tensor) -> Callable[[int], Tensor]:
        """Gives the probability (n, 4, h/2, w/2) of a learned concept; each category is computed when it is needed."""
        ends = np.cumsum(class_counts(self.words)).tolist()
        likely: dict[int, Tensor] = {}

        def share(number: int) -> Tensor:
            # Each category has one class more than concepts: nothing.
            category = next(at for at, end in enumerate(ends) if number < end - at)
            begin = ends[category - 1] if category else 0
            if category not in likely:
                likely[category] = self.network.packed_logits(features, slice(begin, ends[category])).softmax(dim=1)
            return likely[category][:, number + category - begin]

        return share

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 168) means of the last and of the coarsest features, differentiable."""
        return torch.cat([level.mean(dim=(2, 3)) for level in self.network.encode(resized(images))], dim=1)

    def to(self, device: torch.device) -> UNetSegmenter:
        """The same segmenter on `device`."""
        return UNetSegmenter(self.name, self.words, self.network.to(device), self.identity, self.facts)


def resized(images: Tensor) -> Tensor:
    """The images resized to 128 x 128 and clamped to [-1, 1]."""
    images = images.clamp(-1, 1)
    if images.shape[2:] != (SIZE, SIZE):
        images = functional.interpolate(images, size=(SIZE, SIZE), mode="bilinear", antialias=True)
    return images.contiguous(memory_format=torch.channels_last)


def load_unet(name: str, words: ConceptNames, weights: Path | None = None) -> UNetSegmenter:
    """The segmenter of this name, with the weights of the package or with those of a file.

    A card (.json) next to the weights gives their SHA-256, which is checked.
    """
    path = Path(weights or WEIGHTS / f"{name}.safetensors")
    card_path = path.with_suffix(".json")
    card = read_card(card_path, REMEDY) if weights is None or card_path.exists() else {}
    read = read_checkpoint(path, card.get("sha256", ""), REMEDY)
    facts = {"sha256": read.sha256, **({"card": card} if card else {})}
    network = network_of(words, tensors_of(read.content), name)
    return UNetSegmenter(name, words, network, f"{name} {read.sha256} {IDENTITY}", facts)


def network_of(words: ConceptNames, state_dict: Mapping[str, Tensor], name: str) -> UNet:
    """The network with these weights, which must fit exactly."""
    network = UNet(words)
    load_exactly(network, state_dict, f"the segmenter of {name}")
    return network
