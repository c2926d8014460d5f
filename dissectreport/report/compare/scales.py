"""The axes of comparison charts: one for all models of a site, so that the parts of all models fit together.

Axes end at round numbers, so another model rarely changes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dissectreport.analysis.comparison.pairs import checkpoint_series, training_progress
from dissectreport.analysis.comparison.profiles import Estimate, LayerProfile, Profile
from dissectreport.analysis.results.dissection import Control

BINS = 32
"""Columns of a histogram."""
STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


@dataclass(frozen=True)
class Scales:
    """Where the axes of a site end."""

    units: dict[str, float]
    """Category -> the largest share of a layer's units that one of its concepts has."""
    interpretable: float
    """The largest share of a layer's units."""
    labels: float
    """The most different labels of a layer."""
    removed: tuple[float, float]
    """The least and the most that ablation removes, as a share of a concept's area, within -1 and 1."""
    iou: float
    heights: tuple[float, float]
    """The largest share of a layer's units in one column of its histogram of IoU, and of its chance levels."""
    training: dict[tuple[str, ...], tuple[float, float]]
    """Series of checkpoints -> the first and the last."""
    depth: dict[tuple[str, ...], tuple[str, ...]]
    """The layers of a model -> the longest list of layers on the site that has them all."""

    def of(self, profile: Profile) -> Scales:
        """Only what one model needs, which other models rarely change."""
        names = tuple(layer.name for layer in profile.layers)
        series = {checkpoint_series(profile, layer) for layer in profile.layers}
        categories = {concept.category for layer in profile.layers for concept in layer.concepts}
        return replace(
            self,
            units={category: top for category, top in self.units.items() if category in categories},
            training={each: ends for each, ends in self.training.items() if each in series},
            depth={names: self.depth[names]},
        )


def scales_of(profiles: Sequence[Profile]) -> Scales:
    """The axes on which all models of a site fit."""
    layers = [layer for profile in profiles for layer in profile.layers]
    iou = round_up(_most((value for layer in layers for unit in layer.spread for value in unit[:2]), 0.05))
    columns = [histogram(layer, iou) for layer in layers]
    return Scales(
        units=_units(layers),
        interpretable=round_up(_most((share for layer in layers for share in _shares(layer)), 0.05)),
        labels=round_up(
            _most((end for layer in layers for end in _ends(layer.counts[Control.MEASURED].concepts)), 1.0)
        ),
        removed=_removed(profiles),
        iou=iou,
        heights=(
            round_up(
                _most(
                    (a + b for interpretable, others, _ in columns for a, b in zip(interpretable, others, strict=True)),
                    0.01,
                )
            ),
            round_up(_most((value for _, _, chance_level in columns for value in chance_level), 0.01)),
        ),
        training=_training(profiles),
        depth=_depth([tuple(layer.name for layer in profile.layers) for profile in profiles]),
    )


def round_up(value: float) -> float:
    """The next round number."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(round(step * power, 6) for step in STEPS if step * power >= value * 0.9999)


def _most(values: Iterable[float], least: float) -> float:
    return max([value for value in values if not math.isnan(value)] + [least])


def _ends(estimate: Estimate) -> tuple[float, float]:
    return estimate.value, estimate.high


def _shares(layer: LayerProfile) -> list[float]:
    return [end / layer.units for end in _ends(layer.counts[Control.MEASURED].units)]


def _units(layers: Sequence[LayerProfile]) -> dict[str, float]:
    most: dict[str, float] = {}
    for layer in layers:
        for concept, units in layer.concepts.items():
            shares = [end / layer.units for end in (*_ends(units.measured), units.chance_level.value)]
            most[concept.category] = _most([*shares, most.get(concept.category, 0.0)], 0.005)
    return {category: round_up(share) for category, share in sorted(most.items())}


def _removed(profiles: Sequence[Profile]) -> tuple[float, float]:
    effects = [
        effect for profile in profiles if profile.causes is not None for effect in profile.causes.effects.values()
    ]
    ends = [end for e in effects for end in (e.removed.low, e.removed.value, e.removed.high, e.random.value)]
    low, high = -_most([-end for end in ends], 0.0), _most(ends, 0.2)
    return max(math.floor(low * 5) / 5, -1.0), min(math.ceil(high * 5) / 5, 1.0)


def histogram(layer: LayerProfile, highest: float) -> tuple[list[float], list[float], list[float]]:
    """Shares of the units by IoU: of those that are interpretable, of the others; and of all by chance level."""
    interpretable, others, chance_level = ([0.0] * BINS for _ in range(3))
    share = 1 / max(len(layer.spread), 1)
    for iou, chance, good in layer.spread:
        (interpretable if good else others)[_bin(iou, highest)] += share
        chance_level[_bin(chance, highest)] += share
    return interpretable, others, chance_level


def _bin(value: float, highest: float) -> int:
    return min(max(int(value / highest * BINS), 0), BINS - 1)


def _training(profiles: Sequence[Profile]) -> dict[tuple[str, ...], tuple[float, float]]:
    seen: dict[tuple[str, ...], list[float]] = {}
    for profile in profiles:
        progress = training_progress(profile)
        for series in {checkpoint_series(profile, layer) for layer in profile.layers} - {()}:
            if progress is not None:
                seen.setdefault(series, []).append(progress[0])
    return {series: (min(values), max(values)) for series, values in sorted(seen.items())}


def _depth(layers: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """For each model's list of layers the longest one that has all of them; the first of equally long ones by name."""
    longest = sorted(set(layers), key=lambda names: (-len(names), names))
    return {
        names: next(layer_order for layer_order in longest if set(names) <= set(layer_order))
        for names in sorted(set(layers))
    }
