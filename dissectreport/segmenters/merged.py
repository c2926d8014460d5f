"""Several segmenters as one: their slots side by side, over one vocabulary.

    segmenter = merged([scenes.load(), colour.load()])          # scenes+colour

Number 0 of every part stays 0. A concept that two parts have, by name and category, is one concept: a pixel shows it
where either says so, and counts once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dissectreport.errors import BadOption
from dissectreport.segmenters.base import Concept, Segmenter, Vocabulary


class MergedSegmenter:
    """Names what each pixel shows by all of its parts, the first of which leads."""

    def __init__(self, parts: Sequence[Segmenter]) -> None:
        self.parts = tuple(parts)
        self.name = "+".join(part.name for part in parts)
        self.identity = " + ".join(part.identity for part in parts)
        self.vocabulary, self.numbers = united([part.vocabulary for part in parts])
        self.facts = facts_of(self.parts, self.vocabulary, self.numbers)

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, slots, h', w') int64, at the finest resolution of the parts."""
        slots = []
        for part, numbers in zip(self.parts, self.numbers, strict=True):
            labels = part(images)
            slots.append(torch.tensor(numbers, device=labels.device)[labels])
        return torch.cat(alike(slots), dim=1)

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, h', w') confidence of the least sure part."""
        sure = alike([part.confidence(images)[:, None] for part in self.parts])
        return torch.cat(sure, dim=1).amin(dim=1)

    def to(self, device: torch.device) -> MergedSegmenter:
        """The same segmenter on `device`."""
        return merged([part.to(device) for part in self.parts])


class Described(MergedSegmenter):
    """One with a part that describes whole images."""

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, d) the features of all parts that have some, one after the other."""
        having: list[Any] = [part for part in self.parts if hasattr(part, "features")]
        return torch.cat([part.features(images) for part in having], dim=1)


class Differentiable(MergedSegmenter):
    """One with a part that tells probabilities with gradients."""

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, 3, h, w) -> (n, k, h', w') probability that any part finds each of k concepts, differentiable.

        Parts without probabilities leave their concepts at zero and without gradient.
        """
        asked = [
            (part, self._own(at, concepts)) for at, part in enumerate(self.parts) if hasattr(part, "probabilities")
        ]
        told: list[Any] = [(part, own) for part, own in asked if any(own)]
        shares = alike([part.probabilities(images, own) for part, own in told])
        if not shares:
            return images.new_zeros(()).expand(len(images), len(concepts), *images.shape[2:])
        absent = torch.ones_like(shares[0])
        for (_, own), share in zip(told, shares, strict=True):
            there = torch.tensor([number > 0 for number in own], device=share.device)[:, None, None]
            absent = absent * (1 - torch.where(there, share, 0.0))
        return 1 - absent

    def _own(self, at: int, concepts: Sequence[int]) -> tuple[int, ...]:
        """What a part calls some concepts; 0 for those that it does not have, and for nothing."""
        own = {number: place for place, number in enumerate(self.numbers[at]) if number}
        return tuple(own.get(concept, 0) for concept in concepts)


class DescribedDifferentiable(Described, Differentiable):
    """One with both."""


def merged(parts: Sequence[Segmenter]) -> MergedSegmenter:
    """The parts as one segmenter, which can do what any of them can; BadOption for fewer than two, or one twice."""
    names = [part.name for part in parts]
    if len(parts) < 2 or len(set(names)) < len(names):
        raise BadOption(f"segmenters are merged as one+another, each once; not {'+'.join(names) or 'none'}")
    described, differentiable = (any(hasattr(part, can) for part in parts) for can in ("features", "probabilities"))
    if described:
        return (DescribedDifferentiable if differentiable else Described)(parts)
    return (Differentiable if differentiable else MergedSegmenter)(parts)


def united(vocabularies: Sequence[Vocabulary]) -> tuple[Vocabulary, tuple[tuple[int, ...], ...]]:
    """One vocabulary for several, and for each of them the new number of each of its numbers; 0 stays 0."""
    plain = [[bare(concept) for concept in vocabulary.concepts[1:]] for vocabulary in vocabularies]
    known = tuple(dict.fromkeys(concept for part in plain for concept in part))
    number = {concept: place for place, concept in enumerate(known, 1)}
    numbers = tuple((0, *(number[concept] for concept in part)) for part in plain)
    return Vocabulary((vocabularies[0].concepts[0], *known)), numbers


def bare(concept: Concept) -> Concept:
    """A concept without the category that a vocabulary adds to a name which two of its categories share."""
    return Concept(concept.name.removesuffix(f" ({concept.category})"), concept.category)


def alike(maps: Sequence[Tensor]) -> list[Tensor]:
    """Maps (n, k, h, w) at the finest of their resolutions: each cell is what stands at its centre in the original."""
    if not maps:
        return []
    height, width = (max(found.shape[axis] for found in maps) for axis in (2, 3))
    return [found[:, :, nearest(found, 2, height)][:, :, :, nearest(found, 3, width)] for found in maps]


def nearest(found: Tensor, axis: int, length: int) -> Tensor:
    """(length,) int64 places along an axis that lie nearest to the centres of `length` even cells."""
    centres = (torch.arange(length, device=found.device) * 2 + 1) * found.shape[axis]
    return centres // (2 * length)


def facts_of(parts: Sequence[Segmenter], vocabulary: Vocabulary, numbers: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The facts of every part under its name, and one card with the held-out IoU of all, where the report looks."""
    every = [dict(getattr(part, "facts", {})) for part in parts]
    cards = [dict(facts.pop("card", {})) for facts in every]
    held: dict[str, dict[str, float]] = {}
    for part, card, own in zip(parts, cards, numbers, strict=True):
        for number, value in found_by(part.vocabulary, card.pop("iou", {})):
            concept = vocabulary.concepts[own[number]]
            group = held.setdefault(concept.category, {})
            group[concept.name] = min(value, group.get(concept.name, value))
    images = "; ".join(str(card.pop("held_out")) for card in cards if "held_out" in card)
    told = {part.name: facts | card for part, facts, card in zip(parts, every, cards, strict=True) if facts | card}
    return told | ({"card": {"held_out": images, "iou": held}} if held else {})


def found_by(vocabulary: Vocabulary, held: Mapping[str, Any]) -> list[tuple[int, float]]:
    """The held-out IoU of the concepts that a card gives one for, by number."""
    known = {number: _told(concept, held) for number, concept in enumerate(vocabulary.concepts) if number}
    return [(number, float(value)) for number, value in known.items() if isinstance(value, (int, float))]


def _told(concept: Concept, held: Mapping[str, Any]) -> Any:
    """What a card says of a concept, by name or by category and name; None where it says nothing."""
    group = held.get(concept.category)
    of = group if isinstance(group, Mapping) else held
    return of.get(concept.name, of.get(bare(concept).name) if of is group else None)
