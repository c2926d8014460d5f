"""What a comparison says: names, warnings, and sentences with the intervals that they rest on.

The page that compares in the browser says the same (templates/static/compare.js); a test holds both to the same words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dissectreport.analysis.comparison.differences import (
    Change,
    Chosen,
    Only,
    Scale,
    agreement_change,
    apart_from_zero,
    changes,
    comparable,
    corresponding,
    counted,
    difference,
    distinct,
    kept,
    only,
    outwards,
    own_concepts,
    same_latents,
    same_vocabulary,
    scaled,
    shared_concepts,
    total,
    trend,
    untested,
)
from dissectreport.analysis.comparison.profiles import Concept, Estimate
from dissectreport.report.common.wording import TOO_FEW
from dissectreport.report.html.numbers import DASH, count

LISTED = 12
"""Names in a sentence; of more, only their number is told."""


@dataclass(frozen=True)
class Sentence:
    """A statement, and whether it is of a difference, of none, or of neither."""

    words: str
    kind: str
    """'differs', 'same' or 'told'."""
    about: str = ""
    """The two models that are compared, where there are more."""


def titles(chosen: Sequence[Chosen], homes: Sequence[str]) -> tuple[str, ...]:
    """What each model is called: its title, with its rule or its folder where two have the same."""
    names = [one.profile.title for one in chosen]
    models = dict(zip(homes, chosen, strict=True))
    for home, one in models.items():
        rules = [other.profile.rule for other in models.values() if other.profile.title == one.profile.title]
        if len(rules) > 1:
            more = one.profile.rule if len(set(rules)) == len(rules) else home
            names = [f"{name} ({more})" if at == home else name for name, at in zip(names, homes, strict=True)]
    return tuple(names)


def labels(chosen: Sequence[Chosen], homes: Sequence[str]) -> tuple[str, ...]:
    """The same with the layer where layers differ; no two are alike."""
    names = list(titles(chosen, homes))
    if len({one.layer.name for one in chosen}) > 1:
        names = [f"{name} {one.layer.name}" for name, one in zip(names, chosen, strict=True)]
    return tuple(name if names.index(name) == i else f"{name} ({i + 1})" for i, name in enumerate(names))


def listed(words: Sequence[str], most: int = LISTED) -> str:
    """Words with commas between them, and how many were left out."""
    shown = ", ".join(words[:most])
    return shown if len(words) <= most else f"{shown} and {count(len(words) - most)} more"


def both(words: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def tenths(value: float) -> str:
    """A number with one decimal; halves go up, as they do in the browser."""
    return DASH if math.isnan(value) else f"{math.floor(value * 10 + 0.5) / 10:.1f}".replace("-", "−")


def whole(value: float) -> str:
    """A count."""
    return count(value)


def more(told: Callable[[float], str], value: float) -> str:
    """A number with its sign; nothing before 0."""
    words = told(abs(value))
    return words if words in ("0", "0.0", DASH) else f"{'+' if value > 0 else '−'}{words}"


@dataclass(frozen=True)
class Telling:
    """How units are told: counts, or so many of each hundred."""

    scale: Scale

    def one(self, value: float) -> str:
        """A number of units."""
        return tenths(value) if self.scale.per_hundred else whole(value)

    def units(self, found: Estimate) -> str:
        """A number of units with its interval."""
        return interval(found, self.one)

    def change(self, found: Estimate) -> str:
        """A difference with its interval."""
        return signed_interval(found, self.one)


def interval(found: Estimate, told: Callable[[float], str]) -> str:
    """'5 [2, 8]'."""
    return f"{told(found.value)} [{told(found.low)}, {told(found.high)}]" if found.known else DASH


def capital(words: str) -> str:
    """The words as a sentence begins with them."""
    return f"{words[0].upper()}{words[1:]}"


def variant_parts(variant: str) -> tuple[str, ...]:
    """What a training variant has, as its card lists it between commas."""
    return tuple(filter(None, (part.strip() for part in variant.split(","))))


def signed_interval(found: Estimate, told: Callable[[float], str] = whole) -> str:
    """'+5 [+2, +8]'."""
    if not found.known:
        return DASH
    return f"{more(told, found.value)} [{more(told, found.low)}, {more(told, found.high)}]"


def warnings(chosen: Sequence[Chosen], names: Sequence[str]) -> tuple[str, ...]:
    """What stands in the way of comparing these, in sentences."""
    profiles = [one.profile for one in chosen]
    found = []

    def differ(values: Sequence[object], words: Sequence[str], before: str, after: str) -> None:
        if len(set(values)) > 1:
            told = [f"{word} for {name}" for word, name in zip(words, names, strict=True)]
            found.append(f"{before}: {both(told)}. {after}")

    rules = [one.rule for one in profiles]
    differ(rules, rules, "Judged by different rules", "What is called interpretable is not the same thing.")
    scoring = [one.scoring for one in profiles]
    differ(
        scoring,
        [f"{count(n)} images" for n in scoring],
        "Scored on different numbers of images",
        "More images find weaker agreement, so that counts of units are not quite alike.",
    )
    differ(
        [one.segmenter_identity for one in profiles],
        [one.segmenter or "unnamed" for one in profiles],
        "Seen by different segmenters",
        "A concept of the same name may be drawn differently.",
    )
    grids = [one.grid for one in profiles]
    differ(
        grids,
        [str(n) for n in grids],
        "Compared on grids of different sides",
        "Small things count for more on finer grids.",
    )
    sizes = [one.layer.units for one in chosen]
    differ(
        sizes,
        [f"{count(n)} units" for n in sizes],
        "Layers of different size",
        "Units are told per 100.",
    )
    seen = [one.quality.features if one.quality else "" for one in profiles]
    if len(set(filter(None, seen))) > 1:
        told = [words or "nothing" for words in seen]
        differ(seen, told, "Quality told by different features or images", "Its figures do not compare.")
    off = [one.causes.layer if one.causes else "" for one in profiles]
    if len(set(filter(None, off))) > 1:
        told = [words or "none" for words in off]
        differ(off, told, "Units turned off in different layers", "What they remove is not that of one layer.")
    return (*found, *_variants(chosen, names), *_vocabularies(chosen, names), *_rare(chosen), *_notes(chosen, names))


def _variants(chosen: Sequence[Chosen], names: Sequence[str]) -> list[str]:
    """In what training variants differ from the first model, and whether it can be told apart."""
    first = chosen[0].profile.training
    told = []
    for one, name in zip(chosen[1:], names[1:], strict=True):
        training = one.profile.training
        parts = variant_parts(first.variant), variant_parts(training.variant)
        gained, lost = ([part for part in parts[i] if part not in parts[1 - i]] for i in (1, 0))
        if first.family and first.family == training.family and (gained or lost):
            told.append(_variant(names[0], name, gained, lost))
    return told


def _variant(first: str, other: str, gained: Sequence[str], lost: Sequence[str]) -> str:
    having = [f"{how} {both(parts)}" for how, parts in (("with", gained), ("without", lost)) if parts]
    before = f"Variants of one training: {other} was trained {' and '.join(having)}, unlike {first}."
    if len(gained) + len(lost) == 1:
        return f"{before} Each was trained once, so that chance in training is part of every difference."
    return f"{before} These are confounded: which of them makes a difference cannot be told from this pair."


def _notes(chosen: Sequence[Chosen], names: Sequence[str]) -> list[str]:
    """What the models' own pages warn of, each once, and of which it holds."""
    notes = dict.fromkeys(note for one in chosen for note in one.profile.notes)
    told = []
    for note in notes:
        having = [name for name, one in zip(names, chosen, strict=True) if note in one.profile.notes]
        told.append(f"{'All' if len(having) == len(names) else both(having)}: {note}")
    return told


def _vocabularies(chosen: Sequence[Chosen], names: Sequence[str]) -> list[str]:
    if same_vocabulary(chosen):
        return []
    profiles = [one.profile for one in chosen]
    shared = shared_concepts(profiles)
    own = zip(names, own_concepts(profiles), strict=True)
    rest = " ".join(f"Not in all: {listed([c for c, _ in mine])} ({name})." for name, mine in own if mine)
    if not shared:
        return [f"The vocabularies have no concept in common. {rest}"]
    return [f"The vocabularies differ; compared on the {count(len(shared))} concepts that all share. {rest}"]


def _rare(chosen: Sequence[Chosen]) -> list[str]:
    rare = untested(chosen)
    if not rare:
        return []
    return [f"Not compared, because too rare in the images of some: {listed([concept for concept, _ in rare])}."]


def intervals(chosen: Sequence[Chosen]) -> str:
    """How the intervals of differences were made, and what they leave out."""
    return (
        "A difference has the interval that follows from the intervals of both figures as if they were independent"
        f" (Zou and Donner 2008), rounded outwards; where it includes 0, the two are not told apart. {_pairing(chosen)}"
        " The intervals are over images: another training of the same network would differ by more."
    )


def _pairing(chosen: Sequence[Chosen]) -> str:
    """Whether figures of different models come from images that have to do with each other."""
    odd = (
        "what an odd latent does to both alike would cancel in a paired comparison, so that these intervals are mostly"
        " too wide rather than too narrow."
    )
    together = len(corresponding(chosen))
    if together == len(chosen):
        return f"Images of the same number come from the same latents of one training. {capital(odd)}"
    if together > 1:
        return f"Where images come from the same latents of one training: {odd} Others are independent."
    if same_latents([one.profile for one in chosen]):
        return "The same latents make unrelated images in other trainings, so that the measurements are independent."
    return "They used different latents, so that the measurements are independent."


def summary(chosen: Sequence[Chosen], names: Sequence[str]) -> tuple[Sentence, ...]:
    """What was found, in sentences; every other model is compared with the first."""
    told = [_counts(one, name) for one, name in zip(chosen, names, strict=True)]
    for other, name in list(zip(chosen, names, strict=True))[1:]:
        about = f"{name} against {names[0]}" if len(chosen) > 2 else ""
        told += [replace(one, about=about) for one in _against(chosen[0], other, (names[0], name), chosen)]
    rest = [*_onlies(chosen, names), *_over_training(chosen)]
    told_apart = sum(_compared(chosen[0], other, chosen) for other in chosen[1:])
    if told_apart >= 20:
        odd = count(math.floor(told_apart / 20 + 0.5))
        words = (
            f"Of {count(told_apart)} differences with 95 % intervals, about {odd} would leave out 0 by chance alone if"
            " nothing differed."
        )
        rest.append(Sentence(words, "told"))
    return (*told, *(replace(one, about="Among all") if len(chosen) > 2 else one for one in rest))


def _compared(one: Chosen, other: Chosen, chosen: Sequence[Chosen]) -> int:
    """How many differences are told between two models."""
    units = len(comparable(chosen))
    agree = int(agreement_change(one, other).known)
    return (units and units + 2) + agree + len(effect_changes(one, other)) + len(quality_changes(one, other))


def _counts(one: Chosen, name: str) -> Sentence:
    own = one.layer.counts.get("measured")
    layer = one.layer
    if own is None or not own.units.known:
        return Sentence(f"{name}: {TOO_FEW[0].lower()}{TOO_FEW[1:]}.", "told")
    telling = Telling(Scale(False))
    null = layer.counts.get("null")
    chance = f"; by chance alone {whole(null.units.value)}" if null is not None and null.units.known else ""
    return Sentence(
        f"{name}: {telling.units(own.units)} of the {count(layer.units)} units of {layer.name} are interpretable, with"
        f" {telling.units(own.concepts)} different concepts{chance}.",
        "told",
    )


def _against(one: Chosen, other: Chosen, names: tuple[str, str], chosen: Sequence[Chosen]) -> list[Sentence]:
    telling = Telling(Scale.of(chosen))
    rows = comparable(chosen)
    return [
        *_totals(one, other, names, chosen, telling),
        *_gained(changes(one, other, rows, telling.scale), names, telling),
        *_agreement(one, other, names),
        *_kept(one, other, names),
        *_causes(one, other, names),
        *_quality(one, other, names),
    ]


def _totals(
    one: Chosen, other: Chosen, names: tuple[str, str], chosen: Sequence[Chosen], telling: Telling
) -> list[Sentence]:
    """Interpretable units and different concepts, of the one against the other."""
    if not comparable(chosen):
        words = f"The units of {names[0]} and {names[1]} do not compare: no concept can be a label in all models."
        return [Sentence(words, "same")]
    units, concepts = totals(one, chosen), totals(other, chosen)
    same = same_vocabulary(chosen)
    words, what = ("", "interpretable units") if same else (" for shared concepts", "labels of units")
    scale = telling.scale
    of_units = outwards(
        difference(scale.units(units[0], one.layer.units), scale.units(concepts[0], other.layer.units)), scale.step
    )
    of_concepts = outwards(difference(units[1], concepts[1]))
    return [
        _difference(of_units, f"{what}{words}{per(scale)}", names, telling.change),
        _difference(of_concepts, f"different concepts{words}", names, signed_interval),
    ]


def per(scale: Scale) -> str:
    """What units are counted in, after their name."""
    return " per 100" if scale.per_hundred else ""


def totals(one: Chosen, chosen: Sequence[Chosen]) -> tuple[Estimate, Estimate]:
    """Interpretable units and different concepts: by overall label, or among shared concepts where some are not."""
    return totals_of(one, one.layer.name, chosen)


def totals_of(
    one: Chosen, layer: str, chosen: Sequence[Chosen], control: str = "measured"
) -> tuple[Estimate, Estimate]:
    """The same of any of the model's layers, and of a control."""
    found = next(each for each in one.profile.layers if each.name == layer)
    if same_vocabulary(chosen):
        own = found.counts.get(control)
        blank = Estimate(math.nan, math.nan, math.nan)
        return (own.units, own.concepts) if own is not None else (blank, blank)
    shared = comparable(chosen)
    return total(found, shared, control), distinct(found, shared, control)


def ends_of_totals(chosen: Sequence[Chosen]) -> str:
    """What the ends of the intervals of totals are: of labels of shared concepts they are sums over the concepts."""
    return "95 % intervals" if same_vocabulary(chosen) else "the widest that the concepts' 95 % intervals allow"


def _difference(found: Estimate, what: str, names: tuple[str, str], told: Callable[[Estimate], str]) -> Sentence:
    one, other = names
    if not found.known:
        return Sentence(f"Nothing can be said of the number of {what} between {one} and {other}.", "same")
    if not apart_from_zero(found):
        return Sentence(f"{one} and {other} are not told apart by the number of {what}: {told(found)}.", "same")
    verb = "more" if found.value > 0 else "fewer"
    return Sentence(f"{other} has {verb} {what} than {one}: {told(found)}.", "differs")


def _gained(found: Sequence[Change], names: tuple[str, str], telling: Telling) -> list[Sentence]:
    one, other = names
    if not found:
        return []
    told = []
    rest = [change for change in found if not change.sure]
    for verb, sign in (("gain", 1), ("lose", -1)):
        some = [change for change in found if change.sure and change.difference.value * sign > 0]
        if some:
            ranked = sorted(some, key=lambda change: -abs(change.difference.value))
            each = listed([f"{change.concept[0]} {telling.change(change.difference)}" for change in ranked])
            subject = "one concept" if len(some) == 1 else f"{count(len(some))} concepts"
            verbs = f"{verb}s" if len(some) == 1 else verb
            words = f"From {one} to {other}, {subject} {verbs} units{per(telling.scale)}: {each}."
            told.append(Sentence(words, "differs"))
    if not told:
        words = (
            f"From {one} to {other}, no concept surely gains or loses units: for all {count(len(found))}, the interval"
            " of the difference includes 0."
        )
        return [Sentence(words, "same")]
    if rest:
        words = (
            f"For the other {count(len(rest))} of {count(len(found))} concepts, the interval of the difference includes"
            " 0."
        )
        told.append(Sentence(words, "same"))
    return told


def _agreement(one: Chosen, other: Chosen, names: tuple[str, str]) -> list[Sentence]:
    found = agreement_change(one, other)
    if not found.known:
        return []
    if not apart_from_zero(found):
        words = f"{names[0]} and {names[1]} are not told apart by the mean IoU of their interpretable units"
        return [Sentence(f"{words}: {figures(found)}.", "same")]
    better = "better" if found.value > 0 else "worse"
    words = f"Interpretable units of {names[1]} agree {better} with their labels than those of {names[0]}"
    return [Sentence(f"{words}, by mean IoU: {figures(found)}.", "differs")]


def _kept(one: Chosen, other: Chosen, names: tuple[str, str]) -> list[Sentence]:
    found = kept(one, other)
    if found is None:
        return []
    words = (
        f"Of the {count(found.both)} units that are interpretable in both, {count(found.same)} keep their concept from"
        f" {names[0]} to {names[1]}; dealt out at random, {count(found.low)} to {count(found.high)} would."
    )
    return [Sentence(words, "told")]


def effect_changes(one: Chosen, other: Chosen) -> tuple[Change, ...]:
    """What became of removal beyond random units, of concepts that were studied in both with as many units."""
    mine, others = one.profile.causes, other.profile.causes
    if mine is None or others is None:
        return ()
    shared = [c for c, e in mine.effects.items() if c in others.effects and others.effects[c].units == e.units]
    gaps = ((c, scaled(difference(mine.effects[c].beyond, others.effects[c].beyond), 100)) for c in shared)
    return tuple(Change(c, outwards(gap, 0.1)) for c, gap in gaps if gap.known)


def _causes(one: Chosen, other: Chosen, names: tuple[str, str]) -> list[Sentence]:
    found = effect_changes(one, other)
    if not found:
        return []
    mine, others = one.profile.causes, other.profile.causes
    assert mine is not None and others is not None, "there are effects of both"
    units = next(mine.effects[change.concept].units for change in found)
    where = mine.layer if mine.layer == others.layer else f"{mine.layer} in {names[0]} and {others.layer} in {names[1]}"
    turning = f"turning off a concept's leading {count(units)} units of {where}, each model's by its best order,"
    told = []
    for word, sign in (("more", 1), ("less", -1)):
        some = [change for change in found if change.sure and change.difference.value * sign > 0]
        if some:
            ranked = sorted(some, key=lambda change: -abs(change.difference.value))
            words = f"{capital(turning)} removes {word} of it in {names[1]} than in {names[0]}, beyond random units"
            told.append(Sentence(f"{words}: {_points(ranked)}.", "differs"))
    rest = [change for change in found if not change.sure]
    if rest:
        words = f"{names[0]} and {names[1]} are not told apart by what {turning} removes of it, beyond random units"
        told.append(Sentence(f"{words}: {_points(rest)}.", "same"))
    return told


def _points(found: Sequence[Change]) -> str:
    return listed([f"{c.concept[0]} {signed_interval(c.difference, tenths)} points" for c in found])


def quality_changes(one: Chosen, other: Chosen) -> tuple[tuple[str, bool, Estimate], ...]:
    """What became of every measure of quality that both have, of the same features: name, whether less is better."""
    mine, others = one.profile.quality, other.profile.quality
    if mine is None or others is None or mine.features != others.features:
        return ()
    by_name = {measure.name: measure for measure in others.measures}
    return tuple(
        (m.name, m.less_is_better, difference(m.estimate, by_name[m.name].estimate))
        for m in mine.measures
        if m.name in by_name
    )


def _quality(one: Chosen, other: Chosen, names: tuple[str, str]) -> list[Sentence]:
    told = []
    for name, less, found in quality_changes(one, other):
        spoken = name.replace("_", " ")
        if not apart_from_zero(found):
            told.append(
                Sentence(f"{names[0]} and {names[1]} are not told apart by {spoken}: {figures(found)}.", "same")
            )
        else:
            better = "better" if (found.value < 0) == less else "worse"
            words = f"The images of {names[1]} are {better} than those of {names[0]} by {spoken}: {figures(found)}."
            told.append(Sentence(words, "differs"))
    return told


def quality_words(chosen: Sequence[Chosen], names: Sequence[str]) -> tuple[str, ...]:
    """In what features, and of how many images, the quality of each model was told; once where all are alike."""
    qualities = [(name, one.profile.quality) for one, name in zip(chosen, names, strict=True)]
    told = [(name, held.features) for name, held in qualities if held is not None]
    every = dict.fromkeys(features for _, features in told)
    if len(told) == len(chosen) and len(every) == 1:
        return (f"All by {told[0][1]}.",)
    return tuple(f"{both([name for name, by in told if by == features])}: by {features}." for features in every)


def thousandths(value: float) -> str:
    """A number with three decimals; halves go up, as they do in the browser."""
    return DASH if math.isnan(value) else f"{math.floor(value * 1000 + 0.5) / 1000:.3f}"


def figures(found: Estimate) -> str:
    """A difference of a measure, with its interval."""
    told = (more(thousandths, v) for v in (found.value, found.low, found.high))
    return "{} [{}, {}]".format(*told)


def _onlies(chosen: Sequence[Chosen], names: Sequence[str]) -> list[Sentence]:
    told = []
    for i, name in enumerate(names):
        found = only(chosen, i) if len(chosen) > 1 else ()
        sure, unsure = [one for one in found if one.sure], [one for one in found if not one.sure]
        if sure:
            told.append(Sentence(f"Only {name} has units for {_named(sure)}.", "differs"))
        if unsure:
            words = f"Only {name} has units for {_named(unsure)}, but so few that their intervals include 0."
            told.append(Sentence(words, "same"))
    return told


def _named(found: Sequence[Only]) -> str:
    telling = Telling(Scale(False))
    return listed([f"{one.concept[0]} {telling.units(one.units)}" for one in found])


def _over_training(chosen: Sequence[Chosen]) -> list[Sentence]:
    """What became of interpretable units from the first to the last of three checkpoints or more."""
    found = trend(chosen)
    if found is None or len(found.at) < 3:
        return []
    first, last = chosen[found.at[0]], chosen[found.at[-1]]
    telling = Telling(Scale.of(chosen))
    one, other = (telling.scale.units(totals(each, chosen)[0], each.layer.units) for each in (first, last))
    gap = outwards(difference(one, other), telling.scale.step)
    before = (
        f"Over {count(len(found.at))} checkpoints of one training, from {count(found.far[0])} to"
        f" {count(found.far[-1])} {found.told}, interpretable units{per(telling.scale)}"
    )
    if not gap.known or not apart_from_zero(gap):
        return [Sentence(f"{before} do not change surely: {telling.change(gap)}.", "same")]
    return [Sentence(f"{before} {'rise' if gap.value > 0 else 'fall'}: {telling.change(gap)}.", "differs")]


def rows_of_concepts(chosen: Sequence[Chosen]) -> tuple[Concept, ...]:
    """The shared concepts that have units anywhere, by category and then by the most units."""
    shared = counted(chosen)
    order = {category: i for i, category in enumerate(dict.fromkeys(c for _, c in chosen[0].profile.vocabulary))}
    place = {concept: i for i, concept in enumerate(chosen[0].profile.vocabulary)}

    def key(concept: Concept) -> tuple[int, float, int]:
        most = max(one.layer.of(concept).measured.value / one.layer.units for one in chosen)
        return order[concept[1]], -most, place[concept]

    return tuple(sorted(shared, key=key))
