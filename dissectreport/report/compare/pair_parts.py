"""What a comparison shows of one model against another: sentences, warnings and differences, as words.

The sentences have `FIRST` and `OTHER` where the names of the models go, which depend on what else is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dissectreport.analysis.comparison.differences import Change
from dissectreport.analysis.comparison.pairs import LayerPair, ModelPair
from dissectreport.analysis.comparison.profiles import NONE
from dissectreport.report.common.wording import MEASURE_NAMES
from dissectreport.report.compare.sentences import (
    Sentence,
    by_chance,
    layer_sentences,
    lead_concept,
    model_sentences,
    pairing,
    training_sentence,
)
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.compare.warnings import layer_warnings, model_warnings
from dissectreport.report.compare.wording import UnitFormat, format_difference, tenths, thousandths
from dissectreport.report.html.numbers import DASH
from dissectreport.vocabulary import Concept

FIRST, OTHER = NAMES = ("\ue000", "\ue001")
"""Two characters of Unicode's private use, which no name has."""
Difference = tuple[str, int]
"""A difference in words, and 1 if it is significant."""


@dataclass(frozen=True)
class LayerPairPart:
    """One layer of a model against one layer of another."""

    sentences: tuple[Sentence, ...]
    by_chance: tuple[Sentence, ...]
    """What is said last."""
    warnings: tuple[str, ...]
    training: Sentence | None
    """How units change from the one checkpoint to the other, if both are of one training."""
    concepts: tuple[tuple[str, int, tuple[int, ...]], ...]
    """Each difference with the concepts that have it, by their place in `compared`."""
    none: str
    """The difference of every other concept that is compared."""
    mean_corrected_iou: str
    lead: Concept | None
    """The concept that differs most; None if none does significantly."""


@dataclass(frozen=True)
class PairPart:
    """One model against another."""

    sentences: tuple[Sentence, ...]
    """Those that do not depend on layers."""
    warnings: tuple[str, ...]
    pairing: str
    compared: tuple[Concept, ...]
    """The concepts that are compared and have units in some layer of one of the two."""
    causes: dict[Concept, Difference]
    quality: dict[str, str]
    layers: dict[str, LayerPairPart]
    """By the folders of the first and the other layer, with a space between them."""


def pair_part(site: SiteModels, first: str, other: str) -> PairPart:
    """The model in folder `other` against that in folder `first`, by every layer of each."""
    one, another = site.sited[first], site.sited[other]
    pair = ModelPair(one.profile, another.profile)
    compared = _compared(pair)
    layers = {
        f"{one.folders[a.name]} {another.folders[b.name]}": layer_pair_part(LayerPair(pair, a, b), compared)
        for a in one.profile.layers
        for b in another.profile.layers
        if first != other or a.name != b.name
    }
    return PairPart(
        sentences=model_sentences(pair, NAMES) if first != other else (),
        warnings=model_warnings(pair, NAMES),
        pairing=pairing(pair),
        compared=tuple(compared),
        causes={c.concept: _words(c, format_difference(c.difference, tenths)) for c in pair.effect_changes},
        quality={
            MEASURE_NAMES.get(change.measure, change.measure): format_difference(change.difference, thousandths)
            for change in pair.quality_changes
        },
        layers=layers,
    )


def _compared(pair: ModelPair) -> list[Concept]:
    layers = (*pair.one.layers, *pair.other.layers)
    present = {c for layer in layers for c, units in layer.concepts.items() if units.measured.high > 0}
    return [concept for concept in pair.comparable if concept in present]


def layer_pair_part(layers: LayerPair, compared: Sequence[Concept]) -> LayerPairPart:
    """One layer of each of two models."""
    form, mean, lead = UnitFormat(layers.scale), layers.mean_corrected_iou_change, lead_concept(layers)
    return LayerPairPart(
        sentences=layer_sentences(layers, NAMES),
        by_chance=by_chance(layers),
        warnings=layer_warnings(layers, NAMES),
        training=training_sentence(layers),
        concepts=_grouped(layers, compared, form),
        none=form.difference(NONE),
        mean_corrected_iou=format_difference(mean, thousandths) if mean.known else DASH,
        lead=None if lead is None else lead.concept,
    )


def _grouped(
    layers: LayerPair, compared: Sequence[Concept], form: UnitFormat
) -> tuple[tuple[str, int, tuple[int, ...]], ...]:
    """The differences other than that of concepts without units, each with the places of its concepts."""
    changes = {change.concept: change for change in layers.changes}
    places: dict[Difference, list[int]] = {}
    for i, concept in enumerate(compared):
        change = changes[concept]
        places.setdefault(_words(change, form.difference(change.difference)), []).append(i)
    none = form.difference(NONE)
    return tuple((words, significant, tuple(at)) for (words, significant), at in places.items() if words != none)


def _words(change: Change, words: str) -> Difference:
    return words, int(change.significant)


def named(words: str, first: str, other: str) -> str:
    """A sentence with the names of its models."""
    return words.translate({ord(FIRST): first, ord(OTHER): other})
