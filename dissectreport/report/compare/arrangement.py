"""Chosen models put together: which rows a chart has and what each column says, from what was computed for each.

Nothing is computed here but order. templates/static/compare-sections.js does the same on the live page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from dissectreport.analysis.comparison.pairs import LayerPair, ModelPair
from dissectreport.analysis.comparison.profiles import LayerProfile
from dissectreport.report.compare.model_parts import LayerPart, ModelPart, TrendPart, layer_part, model_part
from dissectreport.report.compare.pair_parts import Difference, LayerPairPart, PairPart, named, pair_part
from dissectreport.report.compare.profile_files import Sited
from dissectreport.report.compare.sentences import Sentence, differences_first, training_sentence
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.compare.texts import Texts
from dissectreport.report.html.numbers import DASH
from dissectreport.vocabulary import Concept

NO_DIFFERENCE: Difference = (DASH, 0)


@dataclass(frozen=True)
class Member:
    """One of the models that are compared, by one of its layers."""

    place: int
    """From 0: its colour and sign."""
    sited: Sited
    profile: LayerProfile
    label: str
    """Its name, with the layer where layers differ."""
    model: ModelPart
    layer: LayerPart

    @property
    def folder(self) -> str:
        """The folder of its layer."""
        return self.sited.folders[self.profile.name]

    def can_have(self, concept: Concept) -> bool:
        """Whether a concept can be a label of its units."""
        return any(own == concept and tested for own, _, _, tested in self.model.concepts)


@dataclass(frozen=True)
class Against:
    """A member against the first."""

    member: Member
    models: PairPart
    layers: LayerPairPart | None
    """None where both are the same layer of one model."""

    first: Member

    def concept(self, concept: Concept) -> Difference:
        """The difference in units of a concept; none where one of the two cannot have it as a label."""
        if self.layers is None or not (self.first.can_have(concept) and self.member.can_have(concept)):
            return NO_DIFFERENCE
        return self._differences.get(concept, (self.layers.none, 0))

    @cached_property
    def _differences(self) -> dict[Concept, Difference]:
        groups = () if self.layers is None else self.layers.concepts
        return {self.models.compared[i]: (words, significant) for words, significant, at in groups for i in at}

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """All that is said: what differs, then what does not."""
        models = tuple(self._of_models(sentence) for sentence in self.models.sentences)
        if self.layers is None:
            return differences_first(models)
        layers = (replace(sentence, words=self._of_layers(sentence.words)) for sentence in self.layers.sentences)
        return differences_first((*layers, *models, *self.layers.by_chance))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the two hard to compare."""
        if self.layers is None:
            return (Texts().twice,)
        models = (named(words, self.first.model.name, self.member.model.name) for words in self.models.warnings)
        return (*models, *map(self._of_layers, self.layers.warnings))

    def _of_models(self, sentence: Sentence) -> Sentence:
        return replace(sentence, words=named(sentence.words, self.first.model.name, self.member.model.name))

    def _of_layers(self, words: str) -> str:
        return named(words, self.first.label, self.member.label)


@dataclass(frozen=True)
class ComparedModels:
    """What is compared: the first member against each other one."""

    site: SiteModels
    members: tuple[Member, ...]

    @classmethod
    def of(cls, site: SiteModels, homes: Sequence[str], layers: Sequence[str]) -> ComparedModels:
        """Models of a site by a layer each; '' takes the layer that the first model leads with."""
        parts = [model_part(site, home) for home in homes]
        names = leading(parts) if not any(layers) else layers
        members = [
            _member(site, i, home, part, name, len(set(names)) > 1)
            for i, (home, part, name) in enumerate(zip(homes, parts, names, strict=True))
        ]
        return cls(site, tuple(members))

    @property
    def first(self) -> Member:
        """The model that the others are compared with."""
        return self.members[0]

    @cached_property
    def against(self) -> tuple[Against, ...]:
        """Every other member against the first."""
        return tuple(self._against(member) for member in self.members[1:])

    def _against(self, other: Member) -> Against:
        first = self.first
        part = pair_part(self.site, first.sited.home, other.sited.home)
        return Against(other, part, part.layers.get(f"{first.folder} {other.folder}"), first)

    @property
    def labels(self) -> tuple[str, ...]:
        """What the members are called."""
        return tuple(member.label for member in self.members)

    @property
    def differences(self) -> tuple[str, ...]:
        """The headings of columns of differences."""
        return tuple(Texts().difference_head.format(other=label, first=self.labels[0]) for label in self.labels[1:])

    @property
    def same_vocabulary(self) -> bool:
        """Whether all were measured with the same concepts."""
        return len({member.model.vocabulary for member in self.members}) == 1

    @property
    def images_correspond(self) -> bool:
        """Whether images of the same number come from the same latent of one training."""
        return len({member.model.images for member in self.members}) == 1

    @cached_property
    def concepts(self) -> tuple[Concept, ...]:
        """The shared concepts that have units: by category, those with most units first."""
        first, *others = [[concept for concept, *_ in member.model.concepts] for member in self.members]
        shared = set(first).intersection(*others)
        categories = list(dict.fromkeys(concept.category for concept in first))
        present = [concept for concept in first if concept in shared and self._present(concept)]
        return tuple(sorted(present, key=lambda concept: (categories.index(concept.category), -self.share(concept))))

    def _present(self, concept: Concept) -> bool:
        parts = [member.layer.concepts.get(concept) for member in self.members]
        return any(part is not None and part.present for part in parts)

    def share(self, concept: Concept) -> float:
        """The largest share of units that a member has for a concept."""
        parts = [member.layer.concepts.get(concept) for member in self.members]
        return max((part.share for part in parts if part is not None), default=0.0)

    @property
    def checkpoints(self) -> tuple[tuple[Member, TrendPart], ...]:
        """The members that are checkpoints of one training, in its order; () where there are not two."""
        series: dict[str, dict[float, tuple[Member, TrendPart]]] = {}
        for member in self.members:
            trend = member.layer.trend
            if trend is not None:
                series.setdefault(trend.series, {}).setdefault(trend.progress, (member, trend))
        longest = max(series.values(), key=len, default={})
        return tuple(longest[at] for at in sorted(longest)) if len(longest) > 1 else ()

    @property
    def training(self) -> Sentence | None:
        """How units change over three checkpoints or more of one training."""
        if len(self.checkpoints) < 3:
            return None
        first, last = self.checkpoints[0][0], self.checkpoints[-1][0]
        pair = ModelPair(first.sited.profile, last.sited.profile)
        return training_sentence(LayerPair(pair, first.profile, last.profile))

    @property
    def with_same_images(self) -> tuple[Member, ...]:
        """The members whose images correspond to those of the first, which is among them."""
        return tuple(member for member in self.members if member.model.images == self.first.model.images)


def _member(site: SiteModels, place: int, home: str, part: ModelPart, layer: str, several: bool) -> Member:
    sited = site.sited[home]
    profile = next(layer_profile for layer_profile in sited.profile.layers if layer_profile.name == layer)
    label = f"{part.name} {layer}" if several else part.name
    return Member(place, sited, profile, label, part, layer_part(site, home, profile))


def leading(parts: Sequence[ModelPart]) -> tuple[str, ...]:
    """The layer of each model that is compared by default.

    Of the layers that all models have, the one in which the first model has most different labels; without such a
    layer, each model's own.
    """
    common = set.intersection(*({name for name, _ in part.layers} for part in parts))
    if common:
        return (next(name for name in parts[0].ranking if name in common),) * len(parts)
    return tuple(part.ranking[0] for part in parts)
