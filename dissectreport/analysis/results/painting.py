"""What a page paints with: the network after a layer, brushes of units, and where inserting these works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dissectreport.records.painting import PaintedNetwork
from dissectreport.stats.base import Floats


@dataclass(frozen=True)
class InsertionGain:
    """What inserting the units of a brush at one patch of a context adds of its concept, in pixels."""

    gain: float
    low: float
    high: float
    insertions: int


@dataclass(frozen=True)
class UnitBrush:
    """The causal set of a concept."""

    concept: str
    number: int
    """The concept's number in the vocabulary."""
    units: tuple[int, ...]
    ranked: tuple[int, ...]
    """The same units, by the ranking that chose them."""
    values: tuple[float, ...]
    """The activation to which each unit is set when it is inserted."""
    contexts: Mapping[int, InsertionGain]
    """By the number of the context; contexts that occur too rarely are missing."""


@dataclass(frozen=True)
class Painting:
    """One layer that can be painted on."""

    layer: str
    network: PaintedNetwork
    brushes: tuple[UnitBrush, ...]
    levels: Floats
    """(units,) the activation to which each unit alone is set: hardly any pixel exceeds it."""
    repair: tuple[int, ...]
    """The units of the recommended repair, where it is of this layer."""
    block: float
    """Pixels of an image's labels under one patch."""
