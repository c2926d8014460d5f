"""What a segmenter is, and the vocabulary that its numbers refer to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Concept:
    """A word for what a pixel shows, in its category (object, part, material, colour …)."""

    name: str
    category: str


@dataclass(frozen=True)
class Vocabulary:
    """The concepts by number; number 0 is "nothing" and never a concept.

    Reports go by names. So where two categories share one (the hair of a person, and hair the material), the later
    concept is called by its category too: "hair" and "hair (material)".
    """

    concepts: tuple[Concept, ...]

    def __post_init__(self) -> None:
        assert self.concepts and self.concepts[0].name == "-", "concept 0 is '-', nothing"
        object.__setattr__(self, "concepts", told_apart(self.concepts))

    @classmethod
    def of(cls, **names: tuple[str, ...]) -> Vocabulary:
        """A vocabulary from names by category, numbered from 1 in the order given."""
        listed = [Concept(name, category) for category, group in names.items() for name in group]
        return cls((Concept("-", "-"), *listed))

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories in order of first appearance, without that of "nothing"."""
        return tuple(dict.fromkeys(c.category for c in self.concepts[1:]))

    def __len__(self) -> int:
        return len(self.concepts)


def told_apart(concepts: Iterable[Concept]) -> tuple[Concept, ...]:
    """The same concepts, every one with a name of its own."""
    found: dict[str, Concept] = {}
    for concept in concepts:
        name, count = concept.name, 1
        while name in found:
            name = f"{concept.name} ({concept.category}{f' {count}' if count > 1 else ''})"
            count += 1
        found[name] = Concept(name, concept.category)
    return tuple(found.values())


class Segmenter(Protocol):
    """A network that names what each pixel shows, several slots a pixel.

    One that can also tell probabilities with gradients, `probabilities(images, concepts)`, (n, 3, h, w) and k concept
    numbers -> (n, k, h', w'), lets interventions estimate what every unit causes; where a concept's are constant, it is
    measured without.
    """

    name: str
    """What the user called it."""
    identity: str
    """A word that changes whenever the weights or the arithmetic do."""
    vocabulary: Vocabulary
    """What the numbers mean. A segmenter may also have `facts`, plain JSON values for the report; the report looks in
    facts["card"]["iou"] for the held-out IoU of each concept, by name or by category and name."""

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, slots, h', w') int64 concept numbers; 0 is nothing."""

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, h', w') probability of the leading label, in [0, 1]."""

    def to(self, device: torch.device) -> Segmenter:
        """The same segmenter on `device`."""
