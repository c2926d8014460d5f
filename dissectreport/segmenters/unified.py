"""The segmenter of GAN Dissection: Unified Perceptual Parsing, with 335 objects, their halves, materials and parts.

    segmenter = load()                          # the published weights, downloaded once
    segmenter = load("weights=upp,parts=all")   # other weights, and the parts of all 77 objects
    concepts = segmenter(images)                # (n, 5, h/2, w/2) int64: object, material, part, two halves

Xiao, Liu, Zhou, Jiang, Sun (2018), Unified Perceptual Parsing for Scene Understanding. Concept numbers are those of
Bau et al. (2019).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.checkpoints import downloads
from dissectreport.checkpoints.catalogue import read_catalogue
from dissectreport.checkpoints.state_dicts import select_tensors
from dissectreport.checkpoints.weight_files import read_checkpoint
from dissectreport.errors import BadOption, UnknownName, WeightsError
from dissectreport.segmenters.components import halves
from dissectreport.segmenters.unified_labels import OWNERS, RECONSTRUCTED, ClassNames, Numbering
from dissectreport.segmenters.unified_network import PARTS, PIXELWISE, UnifiedNetwork, network_of

CATALOGUE = Path(__file__).with_name("catalogue.toml")
PUBLISHED = "upp-resnet50-upernet"
"""The name of the published weights, and of their folder in the folder of downloads."""
FILES: Mapping[str, str] = {
    "encoder": "encoder_epoch_40.pth",
    "decoder": "decoder_epoch_40.pth",
    "labels": "labels.json",  # Optional: the package has a replacement.
}
ALTERNATIVE = (
    "or give another folder that contains them: unified:weights=FOLDER; meanwhile --segmenter colour needs no download"
)
MEANS = (102.9801, 115.9465, 122.7717)
"""Means of blue, green and red, in [0, 255]."""
LABELS_VERSION = 1
"""Increased whenever the same weights would give other labels."""
CHUNK = 4
"""Images that are segmented together: larger batches are no faster on a CPU, and need 150 MB an image."""


# --- options --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class UnifiedOptions:
    """How images are segmented; docs/own-segmenter.md explains the options."""

    sizes: tuple[int, ...] = (256,)
    """Sides to which images are resized; probabilities are averaged over them."""
    downsample: int = 2
    """Side of the image divided by that of the labels."""
    parts: str = "owners"
    """Objects whose parts are concepts: 'owners' (`OWNERS`) or 'all'."""
    halves: str = "yes"
    """Whether the halves of each connected object are concepts: 'yes' or 'no'."""

    def __post_init__(self) -> None:
        if not self.sizes or any(size < 32 or size % 32 for size in self.sizes):
            raise BadOption(f"sizes of unified must be multiples of 32, such as 256 or 192/256; not {self.sizes}")
        if self.downsample < 1:
            raise BadOption(f"downsample of unified must be a whole number from 1; not {self.downsample}")
        for name, known in (("parts", ("owners", "all")), ("halves", ("yes", "no"))):
            if getattr(self, name) not in known:
                raise BadOption(f"{name} of unified is {' or '.join(known)}; not {getattr(self, name)!r}")

    def numbering(self, labels: ClassNames) -> Numbering:
        """The concept number of each class."""
        return Numbering(labels, tuple(labels.parts) if self.parts == "all" else OWNERS, self.halves == "yes")


def parse_options(argument: str) -> tuple[UnifiedOptions, Path | None]:
    """The options in "sizes=192/256,weights=folder", and the folder of weights; None for the published ones."""
    values = dict(_option(text) for text in argument.split(",") if text.strip())
    folder = values.pop("weights", "")
    return replace(UnifiedOptions(), **values), Path(folder).expanduser() if folder else None


def _option(text: str) -> tuple[str, Any]:
    """The name and the value of one option."""
    name, _, value = (each.strip() for each in text.partition("="))
    known = [*asdict(UnifiedOptions()), "weights"]
    if name not in known or not value:
        raise UnknownName.of("option of unified, written name=value,", name, known)
    if name == "sizes":
        return name, tuple(_whole(size, name) for size in value.split("/"))
    return name, _whole(value, name) if name == "downsample" else value


def _whole(text: str, name: str) -> int:
    if not text.strip().isdecimal():
        raise BadOption(f"{name} of unified takes whole numbers; not {text!r}")
    return int(text)


# --- weights --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class UnifiedWeights:
    """The content of a folder of weights."""

    tensors: Mapping[str, Mapping[str, Tensor]]
    """By part (encoder, decoder), the tensors by name."""
    sha256: Mapping[str, str]
    """By part, the SHA-256 of its file."""
    labels: ClassNames
    reconstructed: bool
    """Whether the labels are those of the package, because none came with the weights."""


def published() -> Path:
    """The folder of the published weights, which are downloaded if necessary."""
    folder = downloads.downloads_folder() / PUBLISHED
    if not all((folder / FILES[part]).is_file() for part in PARTS):
        read_catalogue(CATALOGUE)["unified"].download(ALTERNATIVE)
    return folder


def parts_from(folder: Path) -> UnifiedWeights:
    """The weights and labels in a folder, whose files have their published names."""
    paths = {part: folder / FILES[part] for part in PARTS}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise WeightsError(
            f"there is no {' and no '.join(missing)} in {folder}; name the folder that contains them, "
            "or leave out weights= to download the published ones"
        )
    read = {part: read_checkpoint(path) for part, path in paths.items()}
    labels = folder / FILES["labels"]
    return UnifiedWeights(
        {part: select_tensors(checkpoint.content) for part, checkpoint in read.items()},
        {part: checkpoint.sha256 for part, checkpoint in read.items()},
        ClassNames.read(labels if labels.is_file() else RECONSTRUCTED),
        not labels.is_file(),
    )


# --- the segmenter --------------------------------------------------------------------------------------------


class UnifiedSegmenter:
    """Labels every pixel with object, material, part, and the vertical and horizontal half of its object."""

    name = "unified"

    def __init__(
        self,
        network: UnifiedNetwork,
        numbering: Numbering,
        options: UnifiedOptions,
        identity: str,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.network, self.numbering, self.options = network, numbering, options
        self.vocabulary = numbering.vocabulary
        self.identity = identity
        self.facts = facts or {}

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, slots, h', w') int64: object, material, part, vertical and horizontal half."""
        with torch.no_grad():
            return torch.cat([self._labels(self.class_probabilities(some)) for some in torch.split(images, CHUNK)])

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, h', w') probability of the most probable object."""
        with torch.no_grad():
            return torch.cat(
                [self.class_probabilities(some, ("object",))["object"].amax(1) for some in torch.split(images, CHUNK)]
            )

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, 3, h, w) -> (n, len(concepts), h', w') probability that a pixel shows each concept, differentiable.

        The probability of a part is that of its owner times that of the part within the owner. (GAN Dissection leaves
        out the owner; but outside of it, parts are noise.) The probability of a half is that of its object
        inside the half, and 0 outside; the borders of halves have no gradient. "Nothing" (0) is zero, without gradient.
        """
        probabilities = self.class_probabilities(images, set().union(*map(self.numbering.heads_of, concepts)))
        halved = self._halves(probabilities["object"].argmax(1)) if any(map(self.numbering.half_of, concepts)) else ()
        return torch.stack([self._probability(number, probabilities, halved) for number in concepts], dim=1)

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 2048) means of the encoder's coarsest features, differentiable."""
        coarsest = self.network.encoder(resized(bgr(images), self.options.sizes[0]))[-1]
        pooled: Tensor = coarsest.mean(dim=(2, 3))
        return pooled

    def to(self, device: torch.device) -> UnifiedSegmenter:
        """The same segmenter on `device`."""
        return UnifiedSegmenter(self.network.to(device), self.numbering, self.options, self.identity, self.facts)

    def class_probabilities(self, images: Tensor, categories: Collection[str] = PIXELWISE) -> dict[str, Tensor]:
        """(n, 3, h, w) -> by category (n, classes, h', w') probabilities, "nothing" first, averaged over all sizes.

        Those of parts are for each owner in turn, and sum to one for each.
        """
        pixels, shape = bgr(images), [side // self.options.downsample for side in images.shape[2:]]
        by_size = [self._probabilities_at(resized(pixels, size), shape, categories) for size in self.options.sizes]
        return {category: torch.stack([each[category] for each in by_size]).mean(0) for category in categories}

    def _probabilities_at(self, pixels: Tensor, shape: list[int], categories: Collection[str]) -> dict[str, Tensor]:
        """The same for images of one size."""
        return {
            category: self._normalised(
                category, functional.interpolate(few, shape, mode="bilinear", align_corners=False)
            )
            for category, few in self.network(pixels, categories).items()
        }

    def _normalised(self, category: str, logits: Tensor) -> Tensor:
        """(n, classes, h, w) logits -> probabilities within the category, or within the parts of each owner."""
        if category != "part":
            return logits.softmax(dim=1)
        owned, counts = logits[:, list(self.numbering.part_channels)], [len(parts) for parts in self.numbering.parts]
        return torch.cat([each.softmax(dim=1) for each in torch.split(owned, counts, dim=1)], dim=1)

    def _labels(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        """(n, slots, h, w) numbers of the most probable concepts."""
        objects, materials = (probabilities[category].argmax(dim=1) for category in ("object", "material"))
        materials = torch.where(materials > 0, materials + self.numbering.materials.start - 1, 0)
        slots = [objects, materials, self._parts(objects, probabilities["part"])]
        return torch.stack([*slots, *self._halves(objects)], dim=1)

    def _parts(self, objects: Tensor, probabilities: Tensor) -> Tensor:
        """(n, h, w) number of each pixel's part; 0 unless its object is an owner."""
        parts, first = torch.zeros_like(objects), 0
        for owner, numbers in zip(self.numbering.owner_numbers, self.numbering.parts, strict=True):
            best = probabilities[:, first : first + len(numbers)].argmax(dim=1)
            parts = torch.where(objects == owner, best.new_tensor(numbers)[best], parts)
            first += len(numbers)
        return parts

    def _halves(self, objects: Tensor) -> tuple[Tensor, ...]:
        """Two (n, h, w) maps: numbers of the top or bottom half, and of the left or right half; () without halves."""
        if not self.numbering.halves:
            return ()
        second_half = (torch.from_numpy(half).to(objects.device) for half in halves(objects.cpu().numpy()))
        return tuple(
            torch.where(objects > 0, objects + self.numbering.objects * (first + 2 * half), 0)
            for first, half in enumerate(second_half, start=1)
        )

    def _probability(self, number: int, probabilities: Mapping[str, Tensor], halved: tuple[Tensor, ...]) -> Tensor:
        """(n, h, w) probability of one concept."""
        if number in self.numbering.materials:
            return probabilities["material"][:, 1 + self.numbering.materials.index(number)]
        objects = probabilities["object"]
        if half := self.numbering.half_of(number):
            return objects[:, half.object] * (halved[half.direction] == number)
        wholes = [objects[:, number]] if 1 <= number <= self.numbering.objects else []
        parts = [objects[:, owner] * probabilities["part"][:, place] for owner, place in self.numbering.owned(number)]
        return sum([*wholes, *parts], start=objects.new_zeros(()).expand(objects[:, 0].shape))


def bgr(images: Tensor) -> Tensor:
    """(n, 3, h, w) RGB in [-1, 1] -> BGR in [0, 255], minus MEANS."""
    return ((images + 1) * 127.5).flip(1) - images.new_tensor(MEANS)[:, None, None]


def resized(pixels: Tensor, size: int) -> Tensor:
    """(n, 3, h, w) -> (n, 3, size, size), averaged over even boxes, as processors like it."""
    if pixels.shape[2:] != (size, size):
        pixels = functional.adaptive_avg_pool2d(pixels, size)
    return pixels.contiguous(memory_format=torch.channels_last)


def load(argument: str = "") -> UnifiedSegmenter:
    """The segmenter with the weights of a folder; see `Options` for what `argument` may say."""
    options, folder = parse_options(argument)
    parts = parts_from(folder or published())
    numbering = options.numbering(parts.labels)
    facts = {**FACTS, **facts_of(options, parts)}
    return UnifiedSegmenter(network_of(parts.tensors), numbering, options, identity_of(options, parts), facts)


def identity_of(options: UnifiedOptions, parts: UnifiedWeights) -> str:
    """A word that changes with the weights, the names, the options and the arithmetic."""
    described = [LABELS_VERSION, parts.sha256, asdict(options), asdict(parts.labels)]
    digest = hashlib.sha256(json.dumps(described).encode()).hexdigest()
    return f"unified {digest}"


FACTS = {
    "family": "Unified Perceptual Parsing: UPerNet over ResNet-50, upp-resnet50-upernet",
    "paper": "Xiao, Liu, Zhou, Jiang, Sun (2018), Unified Perceptual Parsing for Scene Understanding, arXiv:1807.10221",
    "trained on": "Broden+: ADE20K, Pascal-Context, Pascal-Part and OpenSurfaces",
    "licence": "none is stated for the weights; their authors' code is BSD-3-Clause",
}
"""Facts for the report about the published weights."""


def facts_of(options: UnifiedOptions, parts: UnifiedWeights) -> dict[str, Any]:
    """Facts for the report about these weights and options."""
    names = "reconstructed from the lists that it was trained with" if parts.reconstructed else "came with the weights"
    return {
        "names of classes": names,
        "sizes": ", ".join(f"{size} px" for size in options.sizes),
        "labels": f"one for {options.downsample} x {options.downsample} pixels of an image",
        "parts": f"of {', '.join(OWNERS)}" if options.parts == "owners" else "of all objects that have any",
        "halves": "of each connected object" if options.halves == "yes" else "none",
        **{f"sha256 of the {part}": digest for part, digest in parts.sha256.items()},
    }
