"""One model against another: what they share, and every difference between them with its interval.

ModelPair(one, other)                    # two profiles
LayerPair(pair, layer, other_layer)      # the same by one layer each
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dissectreport.analysis.comparison.differences import (
    Change,
    UnitScale,
    difference,
    distinct,
    is_significant,
    rounded_outwards,
    scaled,
    total,
)
from dissectreport.analysis.comparison.profiles import NONE, UNKNOWN, Estimate, LayerProfile, Profile
from dissectreport.analysis.results.dissection import Control
from dissectreport.vocabulary import Concept


@dataclass(frozen=True)
class QualityChange:
    """The difference in one measure of image quality."""

    measure: str
    less_is_better: bool
    difference: Estimate


@dataclass(frozen=True)
class ModelPair:
    """`other` against `one`: what does not depend on layers."""

    one: Profile
    other: Profile

    @cached_property
    def shared(self) -> tuple[Concept, ...]:
        """The concepts that are in both vocabularies, in the first one's order."""
        others = set(self.other.vocabulary)
        return tuple(concept for concept in self.one.vocabulary if concept in others)

    @cached_property
    def comparable(self) -> tuple[Concept, ...]:
        """Shared concepts that are frequent enough to be a unit's label in both models."""
        return tuple(c for c in self.shared if c in self.one.tested and c in self.other.tested)

    @property
    def too_rare(self) -> tuple[Concept, ...]:
        """Shared concepts that are too rare to be a label in the images of one of the two models."""
        return tuple(c for c in self.shared if (c in self.one.tested) != (c in self.other.tested))

    @cached_property
    def same_vocabulary(self) -> bool:
        """Whether both models were measured with the same concepts."""
        return len(self.shared) == len(set(self.one.vocabulary)) == len(set(self.other.vocabulary))

    @property
    def same_latents(self) -> bool:
        """Whether images of the same number come from the same latent."""
        return (self.one.seed, self.one.latents) == (self.other.seed, self.other.latents)

    @property
    def one_training(self) -> bool:
        """Whether images of the same number correspond: both models are of one training, or they are one model."""
        return corresponding_images(self.one) == corresponding_images(self.other)

    @cached_property
    def effect_changes(self) -> tuple[Change, ...]:
        """Differences in what ablation removes compared with random units, in points.

        Only concepts that were studied in both models with the same number of units.
        """
        if self.one.causes is None or self.other.causes is None:
            return ()
        mine, others = self.one.causes.effects, self.other.causes.effects
        studied = [c for c, effect in mine.items() if c in others and others[c].units == effect.units]
        gaps = ((c, scaled(difference(mine[c].difference, others[c].difference), 100)) for c in studied)
        return tuple(Change(c, rounded_outwards(gap, 0.1)) for c, gap in gaps if gap.known)

    @cached_property
    def quality_changes(self) -> tuple[QualityChange, ...]:
        """Differences in every measure of quality that both models have, in the same features."""
        mine, others = self.one.quality, self.other.quality
        if mine is None or others is None or mine.features != others.features:
            return ()
        by_name = {measure.name: measure.estimate for measure in others.measures}
        return tuple(
            QualityChange(m.name, m.less_is_better, difference(m.estimate, by_name[m.name]))
            for m in mine.measures
            if m.name in by_name
        )


def corresponding_images(profile: Profile) -> tuple[str, int, tuple[int, ...]]:
    """What models have in common whose images of the same number correspond."""
    return profile.training.family or profile.model, profile.seed, profile.latents


def checkpoint_series(profile: Profile, layer: LayerProfile) -> tuple[str, ...]:
    """What checkpoints have in common whose counts can be followed over one training; () for any other model."""
    training, progress = profile.training, training_progress(profile)
    if not training.family or progress is None:
        return ()
    return training.family, progress[1], training.variant, layer.name, profile.rule, profile.segmenter_identity


def training_progress(profile: Profile) -> tuple[float, str] | None:
    """How far the training had come, and the unit of that: ('images' or 'steps'); None if the card does not say."""
    training = profile.training
    progress = ((training.images, "images"), (training.steps, "steps"))
    return next(((value, unit) for value, unit in progress if not math.isnan(value)), None)


@dataclass(frozen=True)
class ExclusiveConcept:
    """A concept that one of two models alone has units for."""

    concept: Concept
    units: Estimate
    significant: bool
    """Whether the difference from the other model is significant."""


@dataclass(frozen=True)
class KeptLabels:
    """How many units have the same label in two models whose units correspond."""

    both: int
    """Units that are interpretable in both."""
    same: int
    """Those with the same label."""
    low: int
    high: int
    """So many would have the same label, within two standard deviations, if one model's labels were shuffled."""


@dataclass(frozen=True)
class LayerPair:
    """`other_layer` of the second model against `layer` of the first."""

    models: ModelPair
    layer: LayerProfile
    other_layer: LayerProfile

    @property
    def scale(self) -> UnitScale:
        """What units are counted in."""
        return UnitScale(self.layer.units != self.other_layer.units)

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """The difference in the number of units of each comparable concept."""
        return tuple(Change(concept, self._change(concept)) for concept in self.models.comparable)

    @cached_property
    def significant_changes(self) -> tuple[Change, ...]:
        """Those that are significant, the largest first."""
        changes = [change for change in self.changes if change.significant]
        return tuple(sorted(changes, key=lambda change: -abs(change.difference.value)))

    def _change(self, concept: Concept) -> Estimate:
        if concept not in self.layer.concepts and concept not in self.other_layer.concepts:
            return NONE
        one, other = (self.scale.units(layer.of(concept).measured, layer) for layer in (self.layer, self.other_layer))
        return rounded_outwards(difference(one, other), self.scale.step)

    @cached_property
    def unit_change(self) -> Estimate:
        """The difference in interpretable units, or in labels among comparable concepts if vocabularies differ."""
        one, other = (self.scale.units(self.totals(la)[0], la) for la in (self.layer, self.other_layer))
        return rounded_outwards(difference(one, other), self.scale.step)

    @cached_property
    def concept_change(self) -> Estimate:
        """The difference in the number of different labels."""
        one, other = (self.totals(layer)[1] for layer in (self.layer, self.other_layer))
        return rounded_outwards(difference(one, other))

    def totals(self, layer: LayerProfile) -> tuple[Estimate, Estimate]:
        """Interpretable units and different labels; among comparable concepts where vocabularies differ."""
        if not self.models.same_vocabulary:
            return total(layer, self.models.comparable), distinct(layer, self.models.comparable)
        count = layer.counts.get(Control.MEASURED)
        return (UNKNOWN, UNKNOWN) if count is None else (count.units, count.concepts)

    @property
    def mean_corrected_iou_change(self) -> Estimate:
        """The difference in the mean chance-corrected IoU of all units; UNKNOWN where vocabularies differ."""
        if not self.models.same_vocabulary:
            return UNKNOWN
        return difference(self.layer.mean_corrected_iou, self.other_layer.mean_corrected_iou)

    def exclusive(self, of_other: bool) -> tuple[ExclusiveConcept, ...]:
        """The comparable concepts that one of the two layers alone has units for, those with most units first."""
        mine, others = (self.other_layer, self.layer) if of_other else (self.layer, self.other_layer)
        candidates = (concept for concept in self.models.comparable if concept in mine.concepts)
        counts = ((c, mine.of(c).measured, others.of(c).measured) for c in candidates)
        exclusive = [
            ExclusiveConcept(c, units, is_significant(rounded_outwards(difference(absent, units))))
            for c, units, absent in counts
            if units.value > 0 and absent.value == 0
        ]
        return tuple(sorted(exclusive, key=lambda concept_units: -concept_units.units.value))

    def kept_labels(self) -> KeptLabels | None:
        """How many units keep their label between checkpoints of one training; None where units do not correspond."""
        if not self._units_correspond:
            return None
        labels = zip(self.layer.labels, self.other_layer.labels, strict=True)
        pairs = [(a, b) for a, b in labels if a is not None and b is not None]
        if len(pairs) < 2:
            return None
        mean, deviation = _matches_if_shuffled(pairs)
        low, high = math.floor(mean - 2 * deviation), math.ceil(mean + 2 * deviation)
        return KeptLabels(len(pairs), sum(a == b for a, b in pairs), max(low, 0), min(high, len(pairs)))

    @property
    def _units_correspond(self) -> bool:
        one, other = self.models.one, self.models.other
        series = checkpoint_identity(one, self.layer), checkpoint_identity(other, self.other_layer)
        return bool(series[0][0]) and series[0] == series[1] and self.models.one_training and one != other


def checkpoint_identity(profile: Profile, layer: LayerProfile) -> tuple[str | int, ...]:
    """What two checkpoints must have in common for unit `i` of one to correspond to unit `i` of the other."""
    training = profile.training
    return training.family, training.variant, layer.name, layer.units, profile.rule, profile.segmenter_identity


def _matches_if_shuffled(pairs: Sequence[tuple[Concept, Concept]]) -> tuple[float, float]:
    """Mean and standard deviation of the matches of two lists of labels over all orders of one (Hoeffding 1951)."""
    n = len(pairs)
    ours, theirs = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    mean = sum(number * theirs[concept] for concept, number in ours.items()) / n
    squares = 0.0
    for c, a in ours.items():
        for d, b in theirs.items():
            gap = (c == d) - theirs[c] / n - ours[d] / n + mean / n
            squares += a * b * gap * gap
    return mean, math.sqrt(squares / (n - 1))
