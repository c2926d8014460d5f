"""The names of the classes of Unified Perceptual Parsing, and their concept numbers.

The numbers are those of GAN Dissection: objects, the halves of each (top, left, bottom, right), materials, then parts
with new names. A part with the name of an object (the door of a building) is that object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dissectreport.errors import WeightsError
from dissectreport.segmenters.unified_network import CLASSES
from dissectreport.structured import read_json
from dissectreport.vocabulary import NOTHING, Concept, Vocabulary, with_unique_names

RECONSTRUCTED = Path(__file__).with_name("unified_labels.json")
"""Names from the lists with which the network was trained: the same classes in the same order, but not the file that
belongs to the weights."""
REMEDY = "remove the file, so that the names of the package are used"
OWNERS = ("sky", "building", "person")
"""The objects whose parts are concepts by default, as in GAN Dissection."""
HALVES = ("t", "l", "b", "r")
"""Suffixes of the top, left, bottom and right half of an object, in the order of their numbers."""


@dataclass(frozen=True)
class ClassNames:
    """The names of the classes of each head; the first is "-", nothing."""

    objects: tuple[str, ...]
    materials: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]
    """By object, in the order of objects, which is also the order of the slices of the part head's output."""

    @classmethod
    def read(cls, path: Path) -> ClassNames:
        """The names in a labels.json; a WeightsError if they do not match the classes of the network."""
        try:
            content = read_json(path)
            objects, materials = (strings(content[name]) for name in ("object", "material"))
            parts = {
                owner: strings(content["object_part"][owner]) for owner in objects if owner in content["object_part"]
            }
        except OSError as problem:
            raise WeightsError(f"{path} cannot be read: {problem.strerror}") from problem
        except (ValueError, KeyError, TypeError) as problem:
            raise WeightsError(
                f"{path} does not name the classes of upp-resnet50-upernet (lists 'object' and 'material', and "
                f"'object_part' by object): {type(problem).__name__} {problem}; {REMEDY}"
            ) from problem
        labels = cls(objects, materials, parts)
        labels.check(path)
        return labels

    def check(self, path: Path) -> None:
        """Raise a WeightsError if the numbers of names do not match the network."""
        counts = {"object": self.objects, "material": self.materials, "part": sum(self.parts.values(), ())}
        wrong = [category for category, names in counts.items() if len(names) != CLASSES[category]]
        if wrong:
            raise WeightsError(
                f"{path} names {len(counts[wrong[0]])} classes of category {wrong[0]!r} (nothing included), but "
                f"upp-resnet50-upernet has {CLASSES[wrong[0]]}; {REMEDY}"
            )
        if not set(OWNERS) <= set(self.parts):
            raise WeightsError(f"{path} names no parts of {' or '.join(OWNERS)}; {REMEDY}")


def strings(values: Any) -> tuple[str, ...]:
    """The values, all of them strings; TypeError otherwise."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"expected a list of names, not {str(values)[:40]!r}")
    return tuple(values)


@dataclass(frozen=True)
class Half:
    """A half of the connected components of an object."""

    object: int
    """The object's number."""
    direction: int
    """0 for top and bottom, 1 for left and right."""


@dataclass(frozen=True)
class Numbering:
    """The concept number of each class."""

    labels: ClassNames
    owners: tuple[str, ...]
    """The objects whose parts are concepts."""
    halves: bool
    """Whether halves of objects are concepts."""

    @property
    def objects(self) -> int:
        """The number of objects; they are the concepts 1 to this number, as in the network's output."""
        return len(self.labels.objects) - 1

    @property
    def materials(self) -> range:
        """The numbers of the materials."""
        first = self.objects * (1 + len(HALVES) * self.halves) + 1
        return range(first, first + len(self.labels.materials) - 1)

    @cached_property
    def part_numbers(self) -> Mapping[str, int]:
        """The concept number of each part by name: that of the object of this name, or one after the materials."""
        numbers = {name: number for number, name in reversed(list(enumerate(self.labels.objects)))}
        following = self.materials.stop
        for owner in self.owners:
            for name in self.labels.parts[owner]:
                if name not in numbers:
                    numbers[name] = following
                    following += 1
        return numbers

    @cached_property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """For each owner the concept numbers of its parts, in the order of its slice of the part head's output."""
        return tuple(tuple(self.part_numbers[name] for name in self.labels.parts[owner]) for owner in self.owners)

    @cached_property
    def part_channels(self) -> tuple[int, ...]:
        """The output channels of the part head that belong to the owners, in their order."""
        first, channels = 0, {}
        for owner, names in self.labels.parts.items():
            channels[owner] = range(first, first + len(names))
            first += len(names)
        return tuple(channel for owner in self.owners for channel in channels[owner])

    @property
    def owner_numbers(self) -> tuple[int, ...]:
        """The concept numbers of the owners."""
        return tuple(self.labels.objects.index(owner) for owner in self.owners)

    def owned(self, number: int) -> Iterator[tuple[int, int]]:
        """For each owner of a part of this number: the owner's number, and the part's index in `part_channels`."""
        first = 0
        for owner, parts in zip(self.owner_numbers, self.parts, strict=True):
            yield from ((owner, first + local) for local, part in enumerate(parts) if part == number > 0)
            first += len(parts)

    def half_of(self, number: int) -> Half | None:
        """The half of an object with this concept number; None if it is not one."""
        block, index = divmod(number - 1, self.objects)
        return Half(index + 1, (block - 1) % 2) if self.halves and 1 <= block <= len(HALVES) else None

    def heads_of(self, number: int) -> set[str]:
        """The heads of the network that the probability of a concept needs."""
        if number in self.materials:
            return {"material"}
        return {"object", "part"} if any(True for _ in self.owned(number)) else {"object"}

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The concepts by number."""
        return Vocabulary(with_unique_names((NOTHING, *self._concepts())))

    def _concepts(self) -> Iterator[Concept]:
        yield from concepts_of("object", self.labels.objects[1:])
        for suffix in HALVES if self.halves else ():
            yield from concepts_of("part", [f"{name}-{suffix}" for name in self.labels.objects[1:]])
        yield from concepts_of("material", self.labels.materials[1:])
        new = {number: name for name, number in self.part_numbers.items() if number >= self.materials.stop}
        yield from concepts_of("part", [new[number] for number in sorted(new)])


def concepts_of(category: str, names: Sequence[str]) -> Iterator[Concept]:
    """Concepts of one category."""
    return (Concept(name, category) for name in names)
