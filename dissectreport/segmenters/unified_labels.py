"""What the classes of Unified Perceptual Parsing are called, and which concept number each becomes.

The numbers are those of GAN Dissection: objects, the halves of each (top, left, bottom, right), materials, then parts
that have a name of their own. A part that is called like an object (the door of a building) is that object.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dissectreport.errors import WeightsError
from dissectreport.segmenters.base import Concept, Vocabulary
from dissectreport.segmenters.unified_network import CLASSES

RECONSTRUCTED = Path(__file__).with_name("unified_labels.json")
"""Names from the lists that the network's authors trained it with: the same order and numbers of classes, but not the
file that comes with the weights."""
CURE = "remove the file, and packaged names are used"
OWNERS = ("sky", "building", "person")
"""The objects whose parts are named unless all are asked for: those whose parts GAN Dissection names."""
HALVES = ("t", "l", "b", "r")
"""Suffixes of the top, left, bottom and right half of an object, in the order of their numbers."""


@dataclass(frozen=True)
class Labels:
    """The names of the classes of each head, "-" (nothing) the first."""

    objects: tuple[str, ...]
    materials: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]
    """By the object that has them, in the order of the objects: that of the slices of the part head's output."""

    @classmethod
    def read(cls, path: Path) -> Labels:
        """The names in a labels.json, checked against the classes that the network has."""
        try:
            held = json.loads(path.read_text("utf-8"))
            objects, materials = (strings(held[name]) for name in ("object", "material"))
            parts = {owner: strings(held["object_part"][owner]) for owner in objects if owner in held["object_part"]}
        except OSError as problem:
            raise WeightsError(f"{path} cannot be read: {problem.strerror}") from problem
        except (ValueError, KeyError, TypeError) as problem:
            raise WeightsError(
                f"{path} does not name the classes of upp-resnet50-upernet (lists 'object' and 'material', and "
                f"'object_part' by object): {type(problem).__name__} {problem}; {CURE}"
            ) from problem
        labels = cls(objects, materials, parts)
        labels.check(path)
        return labels

    def check(self, path: Path) -> None:
        """Refuse names of other classes than the network has."""
        counts = {"object": self.objects, "material": self.materials, "part": sum(self.parts.values(), ())}
        wrong = [category for category, names in counts.items() if len(names) != CLASSES[category]]
        if wrong:
            raise WeightsError(
                f"{path} names {len(counts[wrong[0]])} classes of category {wrong[0]!r}, nothing counted in, and "
                f"upp-resnet50-upernet has {CLASSES[wrong[0]]}; {CURE}"
            )
        if not set(OWNERS) <= set(self.parts):
            raise WeightsError(f"{path} names no parts of {' or '.join(OWNERS)}; {CURE}")


def strings(values: Any) -> tuple[str, ...]:
    """The values, all of them strings; TypeError otherwise."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"a list of names is wanted, not {str(values)[:40]!r}")
    return tuple(values)


@dataclass(frozen=True)
class Half:
    """Half of an object's connected component."""

    object: int
    """The object's number."""
    direction: int
    """0 for top and bottom, 1 for left and right."""


@dataclass(frozen=True)
class Numbering:
    """Which concept number every class becomes."""

    labels: Labels
    owners: tuple[str, ...]
    """The objects whose parts are named."""
    halves: bool
    """Whether the halves of objects are concepts too."""

    @property
    def objects(self) -> int:
        """How many objects there are; their numbers are 1 to this, as in the network's output."""
        return len(self.labels.objects) - 1

    @property
    def materials(self) -> range:
        """The numbers of the materials."""
        first = self.objects * (1 + len(HALVES) * self.halves) + 1
        return range(first, first + len(self.labels.materials) - 1)

    @cached_property
    def part_numbers(self) -> Mapping[str, int]:
        """The number of each part by name: that of the object called so, or one after the materials."""
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
        """For each owner the numbers of its parts, in the order of its slice of the part head's output."""
        return tuple(tuple(self.part_numbers[name] for name in self.labels.parts[owner]) for owner in self.owners)

    @cached_property
    def part_channels(self) -> tuple[int, ...]:
        """The outputs of the part head that belong to the owners, in their order."""
        first, found = 0, {}
        for owner, names in self.labels.parts.items():
            found[owner] = range(first, first + len(names))
            first += len(names)
        return tuple(channel for owner in self.owners for channel in found[owner])

    @property
    def owner_numbers(self) -> tuple[int, ...]:
        """The numbers of the owners."""
        return tuple(self.labels.objects.index(owner) for owner in self.owners)

    def owned(self, number: int) -> Iterator[tuple[int, int]]:
        """For every owner with a part of this number, the owner's number and the part's place in `part_channels`."""
        place = 0
        for owner, parts in zip(self.owner_numbers, self.parts, strict=True):
            yield from ((owner, place + local) for local, part in enumerate(parts) if part == number > 0)
            place += len(parts)

    def half_of(self, number: int) -> Half | None:
        """The half of an object that a number stands for, or None for other numbers."""
        place, thing = divmod(number - 1, self.objects)
        return Half(thing + 1, (place - 1) % 2) if self.halves and 1 <= place <= len(HALVES) else None

    def heads_of(self, number: int) -> set[str]:
        """The heads of the network that tell of a number."""
        if number in self.materials:
            return {"material"}
        return {"object", "part"} if any(True for _ in self.owned(number)) else {"object"}

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The concepts by number."""
        return Vocabulary((Concept("-", "-"), *self._concepts()))

    def _concepts(self) -> Iterator[Concept]:
        yield from named("object", self.labels.objects[1:])
        for suffix in HALVES if self.halves else ():
            yield from named("part", [f"{name}-{suffix}" for name in self.labels.objects[1:]])
        yield from named("material", self.labels.materials[1:])
        new = {number: name for name, number in self.part_numbers.items() if number >= self.materials.stop}
        yield from named("part", [new[number] for number in sorted(new)])


def named(category: str, names: Sequence[str]) -> Iterator[Concept]:
    """Concepts of one category."""
    return (Concept(name, category) for name in names)
