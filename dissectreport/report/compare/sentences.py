"""Everything that a comparison says of one model against another, each statement with the interval it rests on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dissectreport.analysis.comparison.differences import Change, is_significant
from dissectreport.analysis.comparison.pairs import (
    ExclusiveConcept,
    LayerPair,
    ModelPair,
    checkpoint_series,
    training_progress,
)
from dissectreport.analysis.comparison.profiles import Estimate, LayerProfile
from dissectreport.analysis.results.dissection import Control
from dissectreport.report.common.wording import MEASURE_NAMES, TOO_FEW
from dissectreport.report.compare.warnings import Names
from dissectreport.report.compare.wording import (
    UnitFormat,
    conjoined,
    format_difference,
    format_interval,
    listed,
    plural,
    tenths,
    thousandths,
)
from dissectreport.report.html.numbers import count

MANY = 20
"""Differences from which on it is said how many would be significant by chance alone."""
INTERVALS = (
    "≠: a significant difference, whose 95% interval excludes 0. ~: no significant difference. Differences are those"
    " from the first model: + means more than in the first. Their intervals follow from those of both figures as if"
    " these were independent (Zou and Donner 2008), rounded outwards. They cover the choice of images; training the"
    " same network again would change the figures more."
)


@dataclass(frozen=True)
class Sentence:
    """A statement, and whether it is about a significant difference, about none, or about neither."""

    words: str
    kind: str
    """'differs', 'same' or 'fact'."""


_ORDER = ("differs", "same", "fact")


def differences_first(sentences: Iterable[Sentence]) -> tuple[Sentence, ...]:
    """What differs, then what does not, then what is said of both; otherwise in their order."""
    return tuple(sorted(sentences, key=lambda sentence: _ORDER.index(sentence.kind)))


def layer_sentence(name: str, layer: LayerProfile) -> Sentence:
    """How many units of a layer are interpretable."""
    counts, chance_level = layer.counts.get(Control.MEASURED), layer.counts.get(Control.CHANCE)
    if counts is None or not counts.units.known:
        return Sentence(f"{name}: {TOO_FEW[0].lower()}{TOO_FEW[1:]}.", "fact")
    chance = (
        f"; the chance level is {count(chance_level.units.value)} units"
        if chance_level is not None and chance_level.units.known
        else ""
    )
    return Sentence(
        f"{name}: {format_interval(counts.units, count)} of the {count(layer.units)} units of {layer.name} are"
        f" interpretable, with {format_interval(counts.concepts, count)} different labels{chance}.",
        "fact",
    )


def model_sentences(pair: ModelPair, names: Names) -> tuple[Sentence, ...]:
    """Differences that do not depend on layers: causal effects and image quality."""
    return (*_effects(pair, names), *_quality(pair, names))


def layer_sentences(pair: LayerPair, names: Names) -> tuple[Sentence, ...]:
    """Differences between two layers, in the order of a summary."""
    return (
        *_totals(pair, names),
        *_concepts(pair, names),
        *_exclusive(pair, names),
        *_mean_corrected_iou(pair, names),
        *_kept_labels(pair, names),
    )


def pairing(pair: ModelPair) -> str:
    """Whether figures of two models come from images that have to do with each other."""
    if pair.one_training:
        return (
            "Images of the same number come from the same latents of one training. A paired comparison would give"
            " narrower intervals, so these are rather too wide than too narrow."
        )
    if pair.same_latents:
        return "The same latents give unrelated images in different trainings, so the measurements are independent."
    return "The models were measured with different latents, so the measurements are independent."


def training_sentence(pair: LayerPair) -> Sentence | None:
    """How interpretable units change from one checkpoint to a later one; None for models of different trainings."""
    one, other = pair.models.one, pair.models.other
    before, after = training_progress(one), training_progress(other)
    series = checkpoint_series(one, pair.layer)
    same = series and series == checkpoint_series(other, pair.other_layer)
    if not same or before is None or after is None or not before[0] < after[0]:
        return None
    form, change = UnitFormat(pair.scale), pair.unit_change
    words = f"From {count(before[0])} to {count(after[0])} training {after[1]}, the number of interpretable units"
    if not is_significant(change):
        return Sentence(f"{words}{form.per} does not change significantly: {form.difference(change)}.", "same")
    verb = "rises" if change.value > 0 else "falls"
    return Sentence(f"{words}{form.per} {verb} significantly: {form.difference(change)}.", "differs")


def _totals(pair: LayerPair, names: Names) -> Iterator[Sentence]:
    if not pair.models.comparable:
        words = f"The units of {names[0]} and {names[1]} cannot be compared: no concept can be a label in both models."
        yield Sentence(words, "same")
        return
    form, same = UnitFormat(pair.scale), pair.models.same_vocabulary
    what, among = ("interpretable units", "") if same else ("labels of units", " among shared concepts")
    yield _number(pair.unit_change, f"{what}{among}{form.per}", names, form.difference(pair.unit_change))
    yield _number(pair.concept_change, f"different labels{among}", names, format_difference(pair.concept_change))


def _number(difference: Estimate, what: str, names: Names, words: str) -> Sentence:
    one, other = names
    if not difference.known:
        return Sentence(f"The number of {what} of {one} and {other} is unknown: too few images.", "same")
    if not is_significant(difference):
        return Sentence(
            f"No significant difference in the number of {what} between {one} and {other}: {words}.", "same"
        )
    verb = "more" if difference.value > 0 else "fewer"
    return Sentence(f"{other} has significantly {verb} {what} than {one}: {words}.", "differs")


def _concepts(pair: LayerPair, names: Names) -> Iterator[Sentence]:
    changes, form = pair.changes, UnitFormat(pair.scale)
    if not changes:
        return
    for verb, sign in (("more", 1), ("fewer", -1)):
        some = [change for change in pair.significant_changes if change.difference.value * sign > 0]
        if some:
            differences = listed([f"{change.concept.name} {form.difference(change.difference)}" for change in some])
            words = f"{names[1]} has significantly {verb} units{form.per} than {names[0]}"
            yield Sentence(f"{words} for {plural(len(some), 'concept')}: {differences}.", "differs")
    rest = len(changes) - len(pair.significant_changes)
    if rest == len(changes):
        words = (
            f"None of {plural(rest, 'concept')} has significantly more or fewer units in {names[1]} than in {names[0]}."
        )
        yield Sentence(words, "same")
    elif rest:
        words = f"For the other {count(rest)} of {plural(len(changes), 'concept')}, there is no significant difference."
        yield Sentence(words, "same")


def _largest(changes: Sequence[Change], sign: int) -> list[Change]:
    """The significant differences of one sign, the largest first."""
    some = [change for change in changes if change.significant and change.difference.value * sign > 0]
    return sorted(some, key=lambda change: -abs(change.difference.value))


def lead_concept(pair: LayerPair) -> Change | None:
    """The comparable concept with the largest significant difference."""
    return next(iter(pair.significant_changes), None)


def _exclusive(pair: LayerPair, names: Names) -> Iterator[Sentence]:
    for of_other, having, lacking in ((True, names[1], names[0]), (False, names[0], names[1])):
        every = pair.exclusive(of_other)
        significant = [change for change in every if change.significant]
        others = [change for change in every if not change.significant]
        if significant:
            concepts = listed([change.concept.name for change in significant])
            yield Sentence(f"{having} has units for {concepts}, where {lacking} has none.", "differs")
        if others:
            words = f"{having} has units for {_units(others)}, where {lacking} has none"
            yield Sentence(f"{words}, but so few that the difference is not significant.", "same")


def _units(exclusive: Sequence[ExclusiveConcept]) -> str:
    return listed([f"{concept.concept.name} {format_interval(concept.units, count)}" for concept in exclusive])


def _mean_corrected_iou(pair: LayerPair, names: Names) -> Iterator[Sentence]:
    change = pair.mean_corrected_iou_change
    if not change.known:
        return
    words = format_difference(change, thousandths)
    if is_significant(change):
        how = "better" if change.value > 0 else "worse"
        yield Sentence(
            f"The units of {names[1]} match their labels significantly {how} than those of {names[0]}, by the mean"
            f" chance-corrected IoU of all units: {words}.",
            "differs",
        )
    else:
        yield Sentence(
            "No significant difference in the mean chance-corrected IoU of all units between"
            f" {names[0]} and {names[1]}: {words}.",
            "same",
        )


def _kept_labels(pair: LayerPair, names: Names) -> Iterator[Sentence]:
    kept = pair.kept_labels()
    if kept is not None:
        yield Sentence(
            f"Of the {count(kept.both)} units that are interpretable in both {names[0]} and {names[1]}, the number with"
            f" the same label is {count(kept.same)}; with shuffled labels it would be {count(kept.low)} to"
            f" {count(kept.high)}.",
            "fact",
        )


def by_chance(pair: LayerPair) -> tuple[Sentence, ...]:
    """How many of the differences would be significant by chance alone, where there are many."""
    models = pair.models
    units = len(models.comparable)
    number = (units and units + 2) + int(pair.mean_corrected_iou_change.known)
    number += len(models.effect_changes) + len(models.quality_changes)
    if number < MANY:
        return ()
    expected = count(math.floor(number / 20 + 0.5))
    words = f"Of {count(number)} differences compared here, about {expected} would be significant by chance alone."
    return (Sentence(words, "fact"),)


def _effects(pair: ModelPair, names: Names) -> Iterator[Sentence]:
    changes = pair.effect_changes
    if not changes or pair.one.causes is None or pair.other.causes is None:
        return
    mine, others = pair.one.causes, pair.other.causes
    units = plural(mine.effects[changes[0].concept].units, "unit")
    where = mine.layer if mine.layer == others.layer else f"{mine.layer} and {others.layer}, respectively,"
    ablating = f"ablating the leading {units} of {where}"
    for word, sign in (("more", 1), ("less", -1)):
        some = _largest(changes, sign)
        if some:
            words = f"{ablating[0].upper()}{ablating[1:]} removes significantly {word} in {names[1]} than in {names[0]}"
            yield Sentence(f"{words}, compared with random units: {_points(some)}.", "differs")
    rest = [change for change in changes if not change.significant]
    if rest:
        words = f"No significant difference between {names[0]} and {names[1]} in what {ablating} removes, compared with"
        yield Sentence(f"{words} random units: {_points(rest)}.", "same")


def _points(changes: Sequence[Change]) -> str:
    return listed([f"{c.concept.name} {format_difference(c.difference, tenths)} points" for c in changes])


def _quality(pair: ModelPair, names: Names) -> Iterator[Sentence]:
    for change in pair.quality_changes:
        measure, words = (
            MEASURE_NAMES.get(change.measure, change.measure),
            format_difference(change.difference, thousandths),
        )
        if not is_significant(change.difference):
            yield Sentence(f"No significant difference in {measure} between {conjoined(names)}: {words}.", "same")
        else:
            better = "better" if (change.difference.value < 0) == change.less_is_better else "worse"
            images = f"The images of {names[1]} are significantly {better} than those of {names[0]}"
            yield Sentence(f"{images} by {measure}: {words}.", "differs")
