"""A folder of training images and one of validation images, read as one collection.

images = TrainingAndValidation.of(open_folder("train", size), open_folder("val", size))
images.order(1)[:2]                             # ('training/cat/3.png', 'training/dog/8.png')

Shards of the one and of the other come in turn. So what is selected on even shards is selected on training images, and
what is scored on odd shards is scored on validation images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from dissectreport.errors import FolderError
from dissectreport.models.image_folder import ImageFolder, Unreadable
from dissectreport.models.similar_images import near_duplicates
from dissectreport.run.shards import SHARD

TRAINING, VALIDATION = "training/", "validation/"
"""With what the names of images begin."""


@dataclass(frozen=True, eq=False)
class TrainingAndValidation:
    """An `ImageCollection` of two folders; make it with `of`."""

    training: ImageFolder
    validation: ImageFolder
    _orders: dict[int, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, training: ImageFolder, validation: ImageFolder) -> TrainingAndValidation:
        """Both folders, without validation images that look like training images.

        Raises a FolderError if one has too few images for a shard.
        """
        made = cls(*_without_copies(training, validation))
        for folder in (made.training, made.validation):
            if len(folder.order(0)) < SHARD:
                raise FolderError(
                    f"{folder.name} has {len(folder.order(0)):,} different images; training and validation images are "
                    f"read {SHARD} at a time, so give at least {SHARD} of each"
                )
        return made

    @property
    def name(self) -> str:
        """The names of both folders, without their paths."""
        return f"{self.training.name} and {self.validation.name}"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of an image."""
        return self.training.size

    @property
    def identity(self) -> str:
        """Changes whenever an image of either does."""
        return f"{self.training.identity} {self.validation.identity}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the images that are read, sorted."""
        return tuple(sorted(self.order(0)))

    @property
    def undecodable(self) -> tuple[Unreadable, ...]:
        """Images that are known to fail when they are decoded."""
        return tuple(
            Unreadable(begin + file.name, file.reason) for begin, folder in self._folders for file in folder.undecodable
        )

    @property
    def _folders(self) -> tuple[tuple[str, ImageFolder], ...]:
        return ((TRAINING, self.training), (VALIDATION, self.validation))

    def left_out(self) -> tuple[str, ...]:
        """Names of the images that are left out."""
        return tuple(begin + name for begin, folder in self._folders for name in folder.left_out())

    def __len__(self) -> int:
        return len(self.order(0))

    def order(self, seed: int) -> tuple[str, ...]:
        """The names in a random order that depends on `seed`: training images in even shards, others in odd ones."""
        if seed not in self._orders:
            sides = [[begin + name for name in folder.order(seed)] for begin, folder in self._folders]
            pairs = min(map(len, sides)) // SHARD
            self._orders[seed] = tuple(
                name for at in range(pairs) for side in sides for name in side[at * SHARD : (at + 1) * SHARD]
            )
        return self._orders[seed]

    def read(self, names: Sequence[str]) -> Tensor:
        """(n, 3, height, width) in [-1, 1]: the images of these names."""
        if not names:
            return self.training.read(names)
        images: dict[str, Tensor] = {}
        for begin, folder in self._folders:
            own = [name for name in names if name.startswith(begin)]
            images |= zip(own, folder.read([name.removeprefix(begin) for name in own]), strict=True)
        return torch.stack([images[name] for name in names])

    def validated(self, prefixes: Iterable[tuple[int, int]]) -> TrainingAndValidation:
        """The same without images that cannot be decoded; see `ImageFolder.validated`."""
        halves = [(seed, -(-count // (2 * SHARD)) * SHARD) for seed, count in prefixes]
        return replace(self, training=self.training.validated(halves), validation=self.validation.validated(halves))

    def without(self, names: Iterable[str]) -> TrainingAndValidation:
        """The same without the images of these names."""
        gone = tuple(names)
        training, validation = (
            folder.without(name.removeprefix(begin) for name in gone if name.startswith(begin))
            for begin, folder in self._folders
        )
        return replace(self, training=training, validation=validation)

    def description(self) -> Mapping[str, Any]:
        """For the report: `folder`, `images`, and how many files are left out: `unreadable`, `similar`."""
        one, other = self.training.description(), self.validation.description()
        return {name: one[name] + other[name] for name in one if name != "folder"} | {
            "folder": self.name,
            "images": len(self),
        }

    def notes(self) -> tuple[str, ...]:
        """What a user should know, one line each."""
        used = f"{len(self) // 2:,} of each"
        halves = "units are chosen on training images and scored on validation images"
        return (*self.training.notes(), *self.validation.notes(), f"{self.name}: {used} are read; {halves}")


def _without_copies(training: ImageFolder, validation: ImageFolder) -> tuple[ImageFolder, ImageFolder]:
    """Both folders without near-duplicates of earlier images, those of training images first."""
    looks = training.looks()
    both = [*looks, *validation.looks()]
    alike = near_duplicates(look for _, look in both)
    of_training = tuple(both[at][0] for at in alike if at < len(looks))
    of_validation = tuple(both[at][0] for at in alike if at >= len(looks))
    return replace(training, known_similar=of_training), replace(validation, known_similar=of_validation)
