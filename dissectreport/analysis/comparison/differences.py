"""What differs between models that were measured on their own: differences with intervals.

    apart(one, other)           # other - one, an Estimate
    Chosen(profile, layer)      # a model, by one of its layers
    gains(one, other, shared)   # which concepts have more or fewer units

Two intervals make that of the difference as by Zou and Donner (2008): the distances from the figures to the ends that
matter are added as squares. It needs the printed intervals alone, and keeps their skew. It takes the two
measurements for independent; where images of both come from the same latents of one training, which most often move
both the same way, it is too wide rather than too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dissectreport.analysis.comparison.profiles import UNKNOWN, Concept, ConceptUnits, Estimate, LayerProfile, Profile


@dataclass(frozen=True)
class Chosen:
    """A model by one of its layers."""

    profile: Profile
    layer: LayerProfile


@dataclass(frozen=True)
class Change:
    """What became of a concept from one model to another."""

    concept: Concept
    difference: Estimate

    @property
    def sure(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        return apart_from_zero(self.difference)


def apart_from_zero(difference: Estimate) -> bool:
    """Whether an interval leaves out 0; a difference that does not is said to be none."""
    return difference.low > 0 or difference.high < 0


def difference(one: Estimate, other: Estimate) -> Estimate:
    """`other` minus `one`, with the interval of a difference of independent figures; no number without one."""
    if math.isnan(sum((one.value, one.low, one.high, other.value, other.low, other.high))):
        return UNKNOWN
    value = other.value - one.value
    down = _beside(other.value - other.low, one.high - one.value)
    up = _beside(other.high - other.value, one.value - one.low)
    return Estimate(value, value - down, value + up)


def _beside(a: float, b: float) -> float:
    # Not math.hypot: the browser has to come to the same last bit.
    return math.sqrt(a * a + b * b)


def outwards(found: Estimate, step: float = 1.0) -> Estimate:
    """The same with ends on multiples of a step, never nearer."""
    return Estimate(found.value, _down(found.low, step), -_down(-found.high, step))


def _down(value: float, step: float) -> float:
    return value if math.isnan(value) else math.floor(value / step) * step


def scaled(found: Estimate, by: float) -> Estimate:
    """The same, multiplied."""
    return Estimate(found.value * by, found.low * by, found.high * by)


@dataclass(frozen=True)
class Scale:
    """What units are counted in: as they are in layers of one size, else of each hundred."""

    per_hundred: bool

    @classmethod
    def of(cls, chosen: Sequence[Chosen]) -> Scale:
        """One scale for all that are compared."""
        return cls(len({one.layer.units for one in chosen}) > 1)

    def units(self, found: Estimate, of: int) -> Estimate:
        """A count of `of` units on the scale."""
        return scaled(found, 100 / of) if self.per_hundred else found

    @property
    def step(self) -> float:
        """What ends of intervals are rounded to, outwards."""
        return 0.1 if self.per_hundred else 1.0


def shared_concepts(profiles: Sequence[Profile]) -> tuple[Concept, ...]:
    """The concepts that are in every vocabulary, in the first's order."""
    others = [set(one.vocabulary) for one in profiles[1:]]
    return tuple(concept for concept in profiles[0].vocabulary if all(concept in other for other in others))


def own_concepts(profiles: Sequence[Profile]) -> tuple[tuple[Concept, ...], ...]:
    """By model, the concepts of its vocabulary that not all others have."""
    shared = set(shared_concepts(profiles))
    return tuple(tuple(concept for concept in one.vocabulary if concept not in shared) for one in profiles)


def untested(chosen: Sequence[Chosen]) -> tuple[Concept, ...]:
    """Shared concepts that are too rare in some model's images to be a unit's label there, and are not in all."""
    shared = shared_concepts([one.profile for one in chosen])
    told = [[concept in one.profile.tested for one in chosen] for concept in shared]
    return tuple(concept for concept, tests in zip(shared, told, strict=True) if any(tests) and not all(tests))


def comparable(chosen: Sequence[Chosen]) -> tuple[Concept, ...]:
    """Shared concepts that could be a unit's label in every model."""
    shared = shared_concepts([one.profile for one in chosen])
    return tuple(concept for concept in shared if all(concept in one.profile.tested for one in chosen))


def counted(chosen: Sequence[Chosen]) -> tuple[Concept, ...]:
    """Shared concepts that have units in some model."""
    shared = shared_concepts([one.profile for one in chosen])
    return tuple(c for c in shared if any(one.layer.of(c).measured.high > 0 for one in chosen))


def changes(one: Chosen, other: Chosen, concepts: Sequence[Concept], scale: Scale) -> tuple[Change, ...]:
    """What became of the number of units of each concept, from one model to another."""

    def units(chosen: Chosen, concept: Concept) -> Estimate:
        return scale.units(chosen.layer.of(concept).measured, chosen.layer.units)

    return tuple(
        Change(concept, outwards(difference(units(one, concept), units(other, concept)), scale.step))
        for concept in concepts
    )


def agreement_change(one: Chosen, other: Chosen) -> Estimate:
    """What became of the mean IoU of interpretable units; no number where their vocabularies differ."""
    return difference(one.layer.mean_iou, other.layer.mean_iou) if same_vocabulary([one, other]) else UNKNOWN


@dataclass(frozen=True)
class Only:
    """A concept that one model alone has units for."""

    concept: Concept
    units: Estimate
    sure: bool
    """Whether the difference to every other model leaves out 0."""


def only(chosen: Sequence[Chosen], at: int) -> tuple[Only, ...]:
    """The concepts that have units in one model and none in the others, most units first."""
    mine, others = chosen[at], [one for i, one in enumerate(chosen) if i != at]
    found = []
    for concept in comparable(chosen):
        units = mine.layer.of(concept).measured
        if units.value > 0 and all(other.layer.of(concept).measured.value == 0 for other in others):
            gaps = [outwards(difference(other.layer.of(concept).measured, units)) for other in others]
            found.append(Only(concept, units, all(apart_from_zero(gap) for gap in gaps)))
    return tuple(sorted(found, key=lambda one: -one.units.value))


def total(layer: LayerProfile, concepts: Sequence[Concept], control: str = "measured") -> Estimate:
    """Units with a label among some concepts, a unit once for each category: the widest that the intervals allow.

    Of no concept at all nothing is known, which is not the same as none.
    """
    if not concepts:
        return UNKNOWN
    parts = [_of(layer.of(concept), control) for concept in concepts]
    return Estimate(*(sum(getattr(part, end) for part in parts) for end in ("value", "low", "high")))


def distinct(layer: LayerProfile, concepts: Sequence[Concept], control: str = "measured") -> Estimate:
    """How many of some concepts have units; surely, and at most, by each one's interval; nothing is known of none."""
    if not concepts:
        return UNKNOWN
    parts = [_of(layer.of(concept), control) for concept in concepts]
    return Estimate(*(float(sum(getattr(part, end) > 0 for part in parts)) for end in ("value", "low", "high")))


def _of(units: ConceptUnits, control: str) -> Estimate:
    return units.measured if control == "measured" else units.null


def same_vocabulary(chosen: Sequence[Chosen]) -> bool:
    """Whether all models were measured with the same concepts."""
    return all(set(one.profile.vocabulary) == set(chosen[0].profile.vocabulary) for one in chosen)


def same_latents(profiles: Sequence[Profile]) -> bool:
    """Whether an image of one model and the image of the same number of another come from the same latent."""
    return len({(one.seed, one.latents) for one in profiles}) == 1


def one_training(profiles: Sequence[Profile]) -> bool:
    """Whether images of the same number correspond: by the models' cards of one training, or of one model."""
    families = {one.training.family or one.model for one in profiles}
    return len(families) == 1 and same_latents(profiles)


def corresponding(chosen: Sequence[Chosen]) -> tuple[int, ...]:
    """Which of some models make images that correspond to the first's, the first among them."""
    first = chosen[0].profile
    return tuple(i for i, one in enumerate(chosen) if i == 0 or one_training([first, one.profile]))


@dataclass(frozen=True)
class Kept:
    """Whether units mean the same in two models whose units correspond."""

    both: int
    """Units that are interpretable in both."""
    same: int
    """Those with the same overall label."""
    low: int
    high: int
    """So many would have it, within two standard deviations, if one model's labels were dealt out at random."""


def kept(one: Chosen, other: Chosen) -> Kept | None:
    """Which units keep their meaning, between checkpoints of one training, by one layer; else None."""
    layers = {(each.layer.name, each.layer.units) for each in (one, other)}
    alike = len(layers) == 1 and _measured_as(one) == _measured_as(other) and one.profile.training.family
    if not alike or not one_training([one.profile, other.profile]) or one.profile == other.profile:
        return None
    pairs = [
        (a, b) for a, b in zip(one.layer.labels, other.layer.labels, strict=True) if a is not None and b is not None
    ]
    if len(pairs) < 2:
        return None
    mean, deviation = _matches(pairs, one.profile.vocabulary)
    low, high = math.floor(mean - 2 * deviation), -math.floor(-mean - 2 * deviation)
    return Kept(len(pairs), sum(a == b for a, b in pairs), max(low, 0), min(high, len(pairs)))


def _matches(pairs: Sequence[tuple[Concept, Concept]], vocabulary: Sequence[Concept]) -> tuple[float, float]:
    """Mean and standard deviation of the matches of two lists of labels over all orders of one (Hoeffding 1951)."""
    n = len(pairs)
    ours, theirs = ([sum(pair[side] == c for pair in pairs) for c in vocabulary] for side in (0, 1))
    mean = sum(a * b for a, b in zip(ours, theirs, strict=True)) / n
    total = 0.0
    for c, a in enumerate(ours):
        for d, b in enumerate(theirs):
            if a and b:
                gap = (c == d) - theirs[c] / n - ours[d] / n + mean / n
                total += a * b * gap * gap
    return mean, math.sqrt(total / (n - 1))


def _measured_as(one: Chosen) -> tuple[str, str, str]:
    """What two checkpoints must have in common for their labels to be of the same kind."""
    return one.profile.training.variant, one.profile.rule, one.profile.segmenter_identity


@dataclass(frozen=True)
class Trend:
    """Checkpoints of one training, by how far it had come."""

    told: str
    """What that is told in: 'images' that the training had seen, or 'steps'."""
    at: tuple[int, ...]
    """Which of the models."""
    far: tuple[float, ...]


def trend(chosen: Sequence[Chosen]) -> Trend | None:
    """The largest set of checkpoints, by one layer, rule and segmenter; None where no two are of one training."""
    runs: dict[tuple[str, ...], list[int]] = {}
    for i, one in enumerate(chosen):
        family = one.profile.training.family
        if family:
            runs.setdefault((family, one.layer.name, *_measured_as(one)), []).append(i)
    found = [trend for at in runs.values() if (trend := _trend(chosen, at)) is not None]
    return max(found, key=lambda each: len(each.at), default=None)


def _trend(chosen: Sequence[Chosen], at: Sequence[int]) -> Trend | None:
    for told in ("images", "steps"):
        far = [float(getattr(chosen[i].profile.training, told)) for i in at]
        # A checkpoint that was chosen twice is one point.
        once = dict(zip(reversed(far), reversed(at), strict=True))
        if not any(map(math.isnan, far)) and len(once) > 1:
            return Trend(told, tuple(once[position] for position in sorted(once)), tuple(sorted(once)))
    return None


def common_pictures(profiles: Sequence[Profile]) -> tuple[int, ...]:
    """Numbers of images that every model's pages show."""
    return tuple(n for n in profiles[0].pictures if all(n in one.pictures for one in profiles[1:]))
