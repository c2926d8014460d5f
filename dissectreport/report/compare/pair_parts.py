"""What a comparison shows of one model against another: sentences, warnings and differences, as words."""

from __future__ import annotations

from dataclasses import dataclass

from dissectreport.analysis.comparison.differences import Change
from dissectreport.analysis.comparison.pairs import LayerPair, ModelPair
from dissectreport.analysis.comparison.profiles import NONE, LayerProfile
from dissectreport.report.compare.model_parts import key_of
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
from dissectreport.report.compare.warnings import Names, layer_warnings, model_warnings
from dissectreport.report.compare.wording import UnitFormat, format_difference, tenths, thousandths
from dissectreport.report.html.numbers import DASH

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
    concepts: tuple[tuple[int, str, int], ...]
    """Differences of the concepts that have units in one of the two, by place among those that are compared."""
    none: str
    """The difference of every other concept that is compared."""
    mean_iou: str
    lead: str
    """The concept that differs most; '' if none does significantly."""


@dataclass(frozen=True)
class PairPart:
    """One model against another."""

    sentences: tuple[Sentence, ...]
    """Those that do not depend on layers."""
    warnings: tuple[str, ...]
    pairing: str
    compared: tuple[str, ...]
    """The concepts that are compared."""
    causes: dict[str, Difference]
    quality: dict[str, str]
    layers: dict[str, LayerPairPart]
    """By the folders of the first and the other layer, with a space between them."""


def pair_part(site: SiteModels, first: str, other: str) -> PairPart:
    """The model in folder `other` against that in folder `first`, by every layer of each."""
    one, another = site.sited[first], site.sited[other]
    pair, names = ModelPair(one.profile, another.profile), (site.names[first], site.names[other])
    layers = {
        f"{one.folders[a.name]} {another.folders[b.name]}": layer_pair_part(pair, a, b, names)
        for a in one.profile.layers
        for b in another.profile.layers
        if first != other or a.name != b.name
    }
    return PairPart(
        sentences=model_sentences(pair, names),
        warnings=model_warnings(pair, names),
        pairing=pairing(pair),
        compared=tuple(map(key_of, pair.comparable)),
        causes={key_of(c.concept): _words(c, format_difference(c.difference, tenths)) for c in pair.effect_changes},
        quality={
            change.measure.replace("_", " "): format_difference(change.difference, thousandths)
            for change in pair.quality_changes
        },
        layers=layers,
    )


def layer_pair_part(pair: ModelPair, one: LayerProfile, other: LayerProfile, names: Names) -> LayerPairPart:
    """`other` against `one`."""
    layers = LayerPair(pair, one, other)
    if one.name != other.name:
        names = (f"{names[0]} {one.name}", f"{names[1]} {other.name}")
    form, mean, lead = UnitFormat(layers.scale), layers.mean_iou_change, lead_concept(layers)
    shown = {c for layer in (one, other) for c, units in layer.concepts.items() if units.measured.high > 0}
    return LayerPairPart(
        sentences=layer_sentences(layers, names),
        by_chance=by_chance(layers),
        warnings=layer_warnings(layers, names),
        training=training_sentence(layers, names),
        concepts=tuple(
            (i, *_words(change, form.difference(change.difference)))
            for i, change in enumerate(layers.changes)
            if change.concept in shown
        ),
        none=form.difference(NONE),
        mean_iou=format_difference(mean, thousandths) if mean.known else DASH,
        lead="" if lead is None else key_of(lead.concept),
    )


def _words(change: Change, words: str) -> Difference:
    return words, int(change.significant)
