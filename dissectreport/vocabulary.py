"""Concepts and vocabularies: what a segmenter can name, from its labels to the pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Concept(NamedTuple):
    """Something that a pixel may show, such as Concept("tree", "object")."""

    name: str
    category: str
    """object, part, material, colour, or any other word."""


NOTHING = Concept("-", "-")
"""Concept number 0 of every vocabulary: the pixel is not labelled."""


@dataclass(frozen=True)
class Vocabulary:
    """The concepts of a segmenter by number. Number 0 is always `NOTHING`.

    Names are unique. If two concepts share a name (the hair of a person, and hair as a material), the category is
    appended to the name of the later one: "hair" and "hair (material)". A ValueError names concepts that have no name,
    or the name and the category of another.
    """

    concepts: tuple[Concept, ...]

    def __post_init__(self) -> None:
        if not self.concepts or self.concepts[0].name != NOTHING.name:
            raise ValueError("concept 0 of a vocabulary must be '-', nothing")
        check_names(self.concepts)
        object.__setattr__(self, "concepts", with_unique_names(self.concepts))

    @classmethod
    def of(cls, **names: tuple[str, ...]) -> Vocabulary:
        """The vocabulary with these names by category, numbered from 1 in the order given."""
        concepts = [Concept(name, category) for category, group in names.items() for name in group]
        return cls((NOTHING, *concepts))

    @property
    def names(self) -> list[str]:
        """The names by concept number."""
        return [concept.name for concept in self.concepts]

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories in the order of their first concepts, without that of `NOTHING`."""
        return tuple(dict.fromkeys(concept.category for concept in self.concepts[1:]))

    @property
    def category_of_each(self) -> list[str]:
        """The category of each concept, by concept number."""
        return [concept.category for concept in self.concepts]

    def __getitem__(self, number: int) -> Concept:
        """The concept with a number."""
        return self.concepts[number]

    def __len__(self) -> int:
        """The number of concepts, `NOTHING` included."""
        return len(self.concepts)


def check_names(concepts: Sequence[Concept]) -> None:
    """Raise a ValueError for concepts that occur twice, or whose name is empty or no text."""
    unnamed = [number for number, concept in enumerate(concepts) if not str(concept.name).strip()]
    if unnamed:
        numbers = ", ".join(map(str, unnamed[:5]))
        raise ValueError(f"these concepts of a vocabulary have no name: number {numbers}; give each a name")
    other = next((concept.name for concept in concepts if not isinstance(concept.name, str)), None)
    if other is not None:
        raise ValueError(f"the name of a concept must be text, not {other!r}")
    for text in {text for concept in concepts for text in (concept.name, concept.category)}:
        try:
            str(text).encode()
        except UnicodeEncodeError:
            raise ValueError(f"{text!a} cannot be written into a file: it has half a character; name it anew") from None
    repeated = [concept for concept, count in Counter(concepts).items() if count > 1]
    if repeated:
        names = ", ".join(f"{concept.name!r} ({concept.category})" for concept in repeated[:5])
        raise ValueError(f"a vocabulary has these concepts twice: {names}; give each a name of its own")


def with_unique_names(concepts: Iterable[Concept]) -> tuple[Concept, ...]:
    """The concepts, with the category appended to names that an earlier concept has."""
    by_name: dict[str, Concept] = {}
    for concept in concepts:
        name, count = concept.name, 1
        while name in by_name:
            name = f"{concept.name} ({concept.category}{f' {count}' if count > 1 else ''})"
            count += 1
        by_name[name] = Concept(name, concept.category)
    return tuple(by_name.values())
