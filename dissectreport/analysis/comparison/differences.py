"""Differences between figures that were measured independently, with intervals.

    difference(one, other)      # other - one, an Estimate
    is_significant(estimate)    # whether its interval excludes 0

The interval of a difference follows from two intervals as by Zou and Donner (2008): the distances from the figures to
the ends that matter are added as squares. It needs the printed intervals alone, and keeps their skew. It assumes that
the two measurements are independent; where images of both come from the same latents of one training, which most often
moves both the same way, it is too wide rather than too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dissectreport.analysis.comparison.profiles import UNKNOWN, ConceptUnits, Estimate, LayerProfile
from dissectreport.analysis.results.dissection import Control
from dissectreport.vocabulary import Concept


@dataclass(frozen=True)
class Change:
    """The difference between two models for one concept."""

    concept: Concept
    difference: Estimate

    @property
    def significant(self) -> bool:
        """Whether the interval of the difference excludes 0."""
        return is_significant(self.difference)


def is_significant(difference: Estimate) -> bool:
    """Whether an interval excludes 0; False where nothing is known."""
    return difference.low > 0 or difference.high < 0


def difference(one: Estimate, other: Estimate) -> Estimate:
    """`other` minus `one`, with the interval of a difference of independent figures; UNKNOWN if an end is missing."""
    if math.isnan(sum((one.value, one.low, one.high, other.value, other.low, other.high))):
        return UNKNOWN
    value = other.value - one.value
    below = math.sqrt((other.value - other.low) ** 2 + (one.high - one.value) ** 2)
    above = math.sqrt((other.high - other.value) ** 2 + (one.value - one.low) ** 2)
    return Estimate(value, value - below, value + above)


def rounded_outwards(estimate: Estimate, step: float = 1.0) -> Estimate:
    """The same with its ends on multiples of a step; the interval never gets narrower."""
    return Estimate(estimate.value, _floor(estimate.low, step), -_floor(-estimate.high, step))


def _floor(value: float, step: float) -> float:
    return value if math.isnan(value) else math.floor(value / step) * step


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """The same, multiplied."""
    return Estimate(estimate.value * factor, estimate.low * factor, estimate.high * factor)


@dataclass(frozen=True)
class UnitScale:
    """What units are counted in: as they are where layers have the same size, else per 100 units of the layer."""

    per_hundred: bool

    def units(self, estimate: Estimate, layer: LayerProfile) -> Estimate:
        """A count of units of `layer` on this scale."""
        return scaled(estimate, 100 / layer.units) if self.per_hundred else estimate

    @property
    def step(self) -> float:
        """What ends of intervals are rounded to, outwards."""
        return 0.1 if self.per_hundred else 1.0


def total(layer: LayerProfile, concepts: Sequence[Concept], control: str = Control.MEASURED) -> Estimate:
    """Units with a label among some concepts, a unit once for each category: the widest that the intervals allow.

    UNKNOWN without any concept, which is not the same as none.
    """
    if not concepts:
        return UNKNOWN
    parts = [_control(layer.of(concept), control) for concept in concepts]
    return Estimate(*(sum(getattr(part, end) for part in parts) for end in ("value", "low", "high")))


def distinct(layer: LayerProfile, concepts: Sequence[Concept], control: str = Control.MEASURED) -> Estimate:
    """How many of some concepts have units, with the ends that each one's interval allows; UNKNOWN without any."""
    if not concepts:
        return UNKNOWN
    parts = [_control(layer.of(concept), control) for concept in concepts]
    return Estimate(*(float(sum(getattr(part, end) > 0 for part in parts)) for end in ("value", "low", "high")))


def _control(units: ConceptUnits, control: str) -> Estimate:
    return units.measured if control == Control.MEASURED else units.chance_level
