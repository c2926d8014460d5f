"""The segmenter of GAN Dissection: Unified Perceptual Parsing, with 335 objects, their halves, materials and parts.

    segmenter = load()                          # the published weights, in the platform's cache folder
    segmenter = load("weights=upp,parts=all")   # others, and the parts of all 77 objects that have any
    concepts = segmenter(images)                # (n, 5, h/2, w/2) int64: object, material, part, two halves; 0 nothing

Xiao, Liu, Zhou, Jiang, Sun (2018), Unified Perceptual Parsing for Scene Understanding; numbers as in Bau et al. (2019).
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
from dissectreport.checkpoints.catalogue import entries
from dissectreport.checkpoints.files import read_checkpoint
from dissectreport.checkpoints.fitting import tensors_at
from dissectreport.errors import BadOption, UnknownName, WeightsError
from dissectreport.segmenters.components import halves
from dissectreport.segmenters.unified_labels import OWNERS, RECONSTRUCTED, Labels, Numbering
from dissectreport.segmenters.unified_network import PARTS, PIXELWISE, UnifiedNetwork, network_of

CATALOGUE = Path(__file__).with_name("zoo.toml")
PUBLISHED = "upp-resnet50-upernet"
"""What the published weights are called: their folder among the downloads, and where they are offered."""
FILES: Mapping[str, str] = {
    "encoder": "encoder_epoch_40.pth",
    "decoder": "decoder_epoch_40.pth",
    "labels": "labels.json",  # Packaged names stand in for it.
}
MEANWHILE = (
    "or name another folder that holds them: unified:weights=FOLDER; meanwhile --segmenter colour needs no download"
)
MEANS = (102.9801, 115.9465, 122.7717)
"""Of blue, green and red in 0 to 255."""
ARITHMETIC = 1
"""Changes whenever the same weights would give other labels."""
CHUNK = 4
"""Images that are segmented at a time: larger batches are no faster on a processor, and take 150 MB an image."""


# --- options --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Options:
    """How images are segmented."""

    sizes: tuple[int, ...] = (256,)
    """Sides to which images are brought; probabilities are averaged over them."""
    downsample: int = 2
    """The image's side over the labels'."""
    parts: str = "owners"
    """Whose parts are named: 'owners' (`OWNERS`), or 'all' objects that have any."""
    halves: str = "yes"
    """Whether the halves of each connected object are concepts too: 'yes' or 'no'."""

    def __post_init__(self) -> None:
        if not self.sizes or any(size < 32 or size % 32 for size in self.sizes):
            raise BadOption(f"sizes of unified must be multiples of 32, such as 256 or 192/256; not {self.sizes}")
        if self.downsample < 1:
            raise BadOption(f"downsample of unified must be a whole number from 1; not {self.downsample}")
        for name, known in (("parts", ("owners", "all")), ("halves", ("yes", "no"))):
            if getattr(self, name) not in known:
                raise BadOption(f"{name} of unified is {' or '.join(known)}; not {getattr(self, name)!r}")

    def numbering(self, labels: Labels) -> Numbering:
        """Which concept number every class becomes."""
        return Numbering(labels, tuple(labels.parts) if self.parts == "all" else OWNERS, self.halves == "yes")


def parsed(argument: str) -> tuple[Options, Path | None]:
    """Options and the folder of weights, None for the published, from words like "sizes=192/256,weights=folder"."""
    given = dict(_word(word) for word in argument.split(",") if word.strip())
    place = given.pop("weights", "")
    return replace(Options(), **given), Path(place).expanduser() if place else None


def _word(word: str) -> tuple[str, Any]:
    """One option: its name, and its value."""
    name, _, value = (each.strip() for each in word.partition("="))
    known = [*asdict(Options()), "weights"]
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
class Parts:
    """What a folder of weights holds."""

    tensors: Mapping[str, Mapping[str, Tensor]]
    """Of encoder and decoder."""
    sha256: Mapping[str, str]
    """Of their files."""
    labels: Labels
    reconstructed: bool
    """Whether the labels are the packaged ones, since none came with the weights."""


def published() -> Path:
    """The folder of the published weights, downloaded where they are not here."""
    place = downloads.folder() / PUBLISHED
    if not all((place / FILES[part]).is_file() for part in PARTS):
        entries(CATALOGUE)["unified"].bring(MEANWHILE)
    return place


def parts_from(folder: Path) -> Parts:
    """The weights and labels in a folder, under their published names."""
    paths = {part: folder / FILES[part] for part in PARTS}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise WeightsError(
            f"there is no {' and no '.join(missing)} in {folder}; name the folder that holds them, "
            "or leave weights= out to have the published ones downloaded"
        )
    read = {part: read_checkpoint(path) for part, path in paths.items()}
    beside = folder / FILES["labels"]
    return Parts(
        {part: tensors_at(checkpoint.content) for part, checkpoint in read.items()},
        {part: checkpoint.sha256 for part, checkpoint in read.items()},
        Labels.read(beside if beside.is_file() else RECONSTRUCTED),
        not beside.is_file(),
    )


# --- the segmenter --------------------------------------------------------------------------------------------


class UnifiedSegmenter:
    """Names the object, material and part of every pixel, and which halves of its object it lies in."""

    name = "unified"

    def __init__(
        self,
        network: UnifiedNetwork,
        numbering: Numbering,
        options: Options,
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
            return torch.cat([self._labels(self.shares(some)) for some in torch.split(images, CHUNK)])

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, h', w') probability of the likeliest object."""
        with torch.no_grad():
            return torch.cat([self.shares(some, ("object",))["object"].amax(1) for some in torch.split(images, CHUNK)])

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, 3, h, w) -> (n, len(concepts), h', w') probability that a pixel shows each concept, differentiable.

        A part's is its owner's times its own among the owner's parts. (GAN Dissection leaves the owner out; but where
        there is none its parts are noise.) A half's is its object's, within the halves as they are now: their borders
        have no gradient. Nothing (0) is zero and without gradient.
        """
        shares = self.shares(images, set().union(*map(self.numbering.heads_of, concepts)))
        halved = self._halves(shares["object"].argmax(1)) if any(map(self.numbering.half_of, concepts)) else ()
        return torch.stack([self._probability(number, shares, halved) for number in concepts], dim=1)

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 2048) what the encoder sees in a whole image, for distances between sets."""
        coarsest = self.network.encoder(sized(blue_first(images), self.options.sizes[0]))[-1]
        pooled: Tensor = coarsest.mean(dim=(2, 3))
        return pooled

    def to(self, device: torch.device) -> UnifiedSegmenter:
        """The same segmenter on `device`."""
        return UnifiedSegmenter(self.network.to(device), self.numbering, self.options, self.identity, self.facts)

    def shares(self, images: Tensor, categories: Collection[str] = PIXELWISE) -> dict[str, Tensor]:
        """(n, 3, h, w) -> by category (n, classes, h', w') probability, nothing first, the mean over all sizes.

        Those of parts are for each owner in turn, and add up to one in each.
        """
        pixels, shape = blue_first(images), [side // self.options.downsample for side in images.shape[2:]]
        found = [self._shares_at(sized(pixels, size), shape, categories) for size in self.options.sizes]
        return {category: torch.stack([each[category] for each in found]).mean(0) for category in categories}

    def _shares_at(self, pixels: Tensor, shape: list[int], categories: Collection[str]) -> dict[str, Tensor]:
        """The same at one size."""
        return {
            category: self._share(category, functional.interpolate(few, shape, mode="bilinear", align_corners=False))
            for category, few in self.network(pixels, categories).items()
        }

    def _share(self, category: str, logits: Tensor) -> Tensor:
        """(n, classes, h, w) probability in the category, or in each owner's parts."""
        if category != "part":
            return logits.softmax(dim=1)
        owned, counts = logits[:, list(self.numbering.part_channels)], [len(parts) for parts in self.numbering.parts]
        return torch.cat([each.softmax(dim=1) for each in torch.split(owned, counts, dim=1)], dim=1)

    def _labels(self, shares: Mapping[str, Tensor]) -> Tensor:
        """(n, slots, h, w) numbers of what is likeliest."""
        objects, materials = (shares[category].argmax(dim=1) for category in ("object", "material"))
        materials = torch.where(materials > 0, materials + self.numbering.materials.start - 1, 0)
        slots = [objects, materials, self._parts(objects, shares["part"])]
        return torch.stack([*slots, *self._halves(objects)], dim=1)

    def _parts(self, objects: Tensor, shares: Tensor) -> Tensor:
        """(n, h, w) number of each pixel's part, where its object is one whose parts are named."""
        found, first = torch.zeros_like(objects), 0
        for owner, numbers in zip(self.numbering.owner_numbers, self.numbering.parts, strict=True):
            likeliest = shares[:, first : first + len(numbers)].argmax(dim=1)
            found = torch.where(objects == owner, likeliest.new_tensor(numbers)[likeliest], found)
            first += len(numbers)
        return found

    def _halves(self, objects: Tensor) -> tuple[Tensor, ...]:
        """Twice (n, h, w): the number of the upper or lower, and of the left or right half; nothing without halves."""
        if not self.numbering.halves:
            return ()
        further = (torch.from_numpy(half).to(objects.device) for half in halves(objects.cpu().numpy()))
        return tuple(
            torch.where(objects > 0, objects + self.numbering.objects * (first + 2 * half), 0)
            for first, half in enumerate(further, start=1)
        )

    def _probability(self, number: int, shares: Mapping[str, Tensor], halved: tuple[Tensor, ...]) -> Tensor:
        """(n, h, w) probability of one concept."""
        if number in self.numbering.materials:
            return shares["material"][:, 1 + self.numbering.materials.index(number)]
        objects = shares["object"]
        if half := self.numbering.half_of(number):
            return objects[:, half.object] * (halved[half.direction] == number)
        wholes = [objects[:, number]] if 1 <= number <= self.numbering.objects else []
        parts = [objects[:, owner] * shares["part"][:, place] for owner, place in self.numbering.owned(number)]
        return sum([*wholes, *parts], start=objects.new_zeros(()).expand(objects[:, 0].shape))


def blue_first(images: Tensor) -> Tensor:
    """(n, 3, h, w) red, green, blue in [-1, 1] -> blue, green, red in 0 to 255, less their means."""
    return ((images + 1) * 127.5).flip(1) - images.new_tensor(MEANS)[:, None, None]


def sized(pixels: Tensor, size: int) -> Tensor:
    """(n, 3, h, w) -> (n, 3, size, size), averaged over even boxes, as processors like it."""
    if pixels.shape[2:] != (size, size):
        pixels = functional.adaptive_avg_pool2d(pixels, size)
    return pixels.contiguous(memory_format=torch.channels_last)


def load(argument: str = "") -> UnifiedSegmenter:
    """The segmenter with the weights of a folder; see `Options` for what `argument` may say."""
    options, folder = parsed(argument)
    parts = parts_from(folder or published())
    numbering = options.numbering(parts.labels)
    facts = {**FACTS, **facts_of(options, parts)}
    return UnifiedSegmenter(network_of(parts.tensors), numbering, options, identity_of(options, parts), facts)


def identity_of(options: Options, parts: Parts) -> str:
    """A word that changes with the weights, the names, the options and the arithmetic."""
    described = [ARITHMETIC, parts.sha256, asdict(options), asdict(parts.labels)]
    digest = hashlib.sha256(json.dumps(described).encode()).hexdigest()
    return f"unified {digest}"


FACTS = {
    "family": "Unified Perceptual Parsing: UPerNet over ResNet-50, upp-resnet50-upernet",
    "paper": "Xiao, Liu, Zhou, Jiang, Sun (2018), Unified Perceptual Parsing for Scene Understanding, arXiv:1807.10221",
    "trained on": "Broden+: ADE20K, Pascal-Context, Pascal-Part and OpenSurfaces",
    "licence": "none is stated for the weights; their authors' code is BSD-3-Clause",
}
"""What the report tells of the published weights."""


def facts_of(options: Options, parts: Parts) -> dict[str, Any]:
    """What the report tells of these weights, and of how images are segmented."""
    names = "reconstructed from the lists that it was trained with" if parts.reconstructed else "came with the weights"
    return {
        "names of classes": names,
        "sizes": ", ".join(f"{size} px" for size in options.sizes),
        "labels": f"one for {options.downsample} x {options.downsample} pixels of an image",
        "parts": f"of {', '.join(OWNERS)}" if options.parts == "owners" else "of all objects that have any",
        "halves": "of each connected object" if options.halves == "yes" else "none",
        **{f"sha256 of the {part}": digest for part, digest in parts.sha256.items()},
    }
