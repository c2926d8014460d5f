"""Several segmenters merged into one: the slots of all, and one vocabulary.

    segmenter = merged([scenes.load(), colour.load()])          # scenes+colour

A concept that two segmenters share (name and category) is one concept. A pixel shows it if either segmenter finds it,
and is counted once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dissectreport.errors import BadOption
from dissectreport.segmenters.base import Segmenter
from dissectreport.vocabulary import Concept, Vocabulary


class MergedSegmenter:
    """Labels each pixel with the concepts of all parts; the slots of the first part come first."""

    def __init__(self, parts: Sequence[Segmenter]) -> None:
        self.parts = tuple(parts)
        self.name = "+".join(part.name for part in parts)
        self.identity = " + ".join(part.identity for part in parts)
        self.vocabulary, self.numbers = merge_vocabularies([part.vocabulary for part in parts])
        self.facts = facts_of(self.parts, self.vocabulary, self.numbers)

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, slots, h', w') int64, at the finest resolution of the parts."""
        slots = []
        for part, numbers in zip(self.parts, self.numbers, strict=True):
            labels = part(images)
            slots.append(torch.tensor(numbers, device=labels.device)[labels])
        return torch.cat(at_finest_resolution(slots), dim=1)

    def confidence(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, h', w') confidence of the least confident part."""
        confidences = at_finest_resolution([part.confidence(images)[:, None] for part in self.parts])
        return torch.cat(confidences, dim=1).amin(dim=1)

    def to(self, device: torch.device) -> MergedSegmenter:
        """The same segmenter on `device`."""
        return merged([part.to(device) for part in self.parts])


class MergedWithFeatures(MergedSegmenter):
    """A merged segmenter with a part that has `features`."""

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, d) the concatenated features of all parts that have some."""
        parts: list[Any] = [part for part in self.parts if hasattr(part, "features")]
        return torch.cat([part.features(images) for part in parts], dim=1)


class MergedWithProbabilities(MergedSegmenter):
    """A merged segmenter with a part that has `probabilities`, and is not `studied_alone`."""

    def probabilities(self, images: Tensor, concepts: Sequence[int]) -> Tensor:
        """(n, 3, h, w) -> (n, k, h', w') probability that at least one part finds each of k concepts, differentiable.

        Concepts of parts without probabilities are zero and have no gradient.
        """
        numbers = [(part, self._own_numbers(i, concepts)) for i, part in enumerate(self.parts)]
        parts: list[Any] = [(part, own) for part, own in numbers if any(own) and has_probabilities(part)]
        probabilities = at_finest_resolution([part.probabilities(images, own) for part, own in parts])
        if not probabilities:
            return images.new_zeros(()).expand(len(images), len(concepts), *images.shape[2:])
        absent = torch.ones_like(probabilities[0])
        for (_, own), present in zip(parts, probabilities, strict=True):
            known = torch.tensor([number > 0 for number in own], device=present.device)[:, None, None]
            absent = absent * (1 - torch.where(known, present, 0.0))
        return 1 - absent

    def _own_numbers(self, part: int, concepts: Sequence[int]) -> tuple[int, ...]:
        """The numbers of concepts in the vocabulary of a part; 0 for nothing and for concepts that it lacks."""
        own = {number: index for index, number in enumerate(self.numbers[part]) if number}
        return tuple(own.get(concept, 0) for concept in concepts)


class MergedWithBoth(MergedWithFeatures, MergedWithProbabilities):
    """A merged segmenter with `features` and `probabilities`."""


def merged(parts: Sequence[Segmenter]) -> MergedSegmenter:
    """One segmenter with every optional member of its parts; a BadOption for fewer than two or repeated names."""
    names = [part.name for part in parts]
    if len(parts) < 2 or len(set(names)) < len(names):
        raise BadOption(f"cannot merge {'+'.join(names) or 'no segmenters'}; join two or more different names by +")
    features, probabilities = any(hasattr(part, "features") for part in parts), any(map(has_probabilities, parts))
    if features:
        return (MergedWithBoth if probabilities else MergedWithFeatures)(parts)
    return (MergedWithProbabilities if probabilities else MergedSegmenter)(parts)


def has_probabilities(part: Segmenter) -> bool:
    """Whether interventions study the concepts of a segmenter that is merged with others."""
    return hasattr(part, "probabilities") and not getattr(part, "studied_alone", False)


def merge_vocabularies(vocabularies: Sequence[Vocabulary]) -> tuple[Vocabulary, tuple[tuple[int, ...], ...]]:
    """The merged vocabulary, and for each of the given ones the new number of each of its concepts; 0 stays 0."""
    original = [[without_category(concept) for concept in vocabulary.concepts[1:]] for vocabulary in vocabularies]
    united = tuple(dict.fromkeys(concept for part in original for concept in part))
    number = {concept: index for index, concept in enumerate(united, 1)}
    numbers = tuple((0, *(number[concept] for concept in part)) for part in original)
    return Vocabulary((vocabularies[0].concepts[0], *united)), numbers


def without_category(concept: Concept) -> Concept:
    """The concept with the name that it had before its vocabulary appended the category."""
    return Concept(concept.name.removesuffix(f" ({concept.category})"), concept.category)


def at_finest_resolution(maps: Sequence[Tensor]) -> list[Tensor]:
    """(n, k, h, w) maps at the largest height and width of any, by nearest neighbour."""
    if not maps:
        return []
    height, width = (max(labels.shape[axis] for labels in maps) for axis in (2, 3))
    return [
        labels[:, :, nearest_indices(labels, 2, height)][:, :, :, nearest_indices(labels, 3, width)] for labels in maps
    ]


def nearest_indices(maps: Tensor, axis: int, length: int) -> Tensor:
    """(length,) int64 indices along an axis that are nearest to the centres of `length` equal cells."""
    centres = (torch.arange(length, device=maps.device) * 2 + 1) * maps.shape[axis]
    return centres // (2 * length)


def facts_of(parts: Sequence[Segmenter], vocabulary: Vocabulary, numbers: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The facts of each part under its name, and one card with the held-out IoU of all concepts.

    If two parts give one concept an IoU, the smaller one counts.
    """
    all_facts = [dict(getattr(part, "facts", {})) for part in parts]
    cards = [dict(facts.pop("card", {})) for facts in all_facts]
    iou: dict[str, dict[str, float]] = {}
    for part, card, own in zip(parts, cards, numbers, strict=True):
        for number, value in held_out_iou(part.vocabulary, card.pop("iou", {})):
            concept = vocabulary.concepts[own[number]]
            group = iou.setdefault(concept.category, {})
            group[concept.name] = min(value, group.get(concept.name, value))
    images = "; ".join(str(card.pop("held_out")) for card in cards if "held_out" in card)
    merged_facts = zip(parts, all_facts, cards, strict=True)
    by_part = {part.name: facts | card for part, facts, card in merged_facts if facts | card}
    return by_part | ({"card": {"held_out": images, "iou": iou}} if iou else {})


def held_out_iou(vocabulary: Vocabulary, card: Mapping[str, Any]) -> list[tuple[int, float]]:
    """(number, IoU) of each concept for which the card's `iou` has a value."""
    values = {number: _card_value(concept, card) for number, concept in enumerate(vocabulary.concepts) if number}
    return [(number, float(value)) for number, value in values.items() if isinstance(value, (int, float))]


def _card_value(concept: Concept, card: Mapping[str, Any]) -> Any:
    """The value of a concept, by name or by category and name; None if there is none."""
    group = card.get(concept.category)
    if not isinstance(group, Mapping):
        return card.get(concept.name)
    return group.get(concept.name, group.get(without_category(concept).name))
