"""The parts of each IoU: areas, position, the images in which the unit is on, and where it is on within them.

See `stats.neighbours` for the overlaps that are expected. All figures come from the held-out half, at the thresholds
that the selection half chose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissectreport.analysis.common.jackknife import Jackknife
from dissectreport.analysis.dissection.corrected_rule import Scores
from dissectreport.analysis.dissection.counted import UNITS_AT_ONCE, Counted
from dissectreport.analysis.results.dissection import Kind
from dissectreport.records.reader import Portion
from dissectreport.run.shards import HELD_OUT
from dissectreport.stats.base import Floats, Ints, spread
from dissectreport.stats.chance import Chance
from dissectreport.stats.iou import intersection_over_union
from dissectreport.stats.neighbours import ExpectedOverlaps, Neighbours

NAMES = ("observed", "pairs", "position", "overlap", "gap", "crossed", "on", "present")


@dataclass(frozen=True)
class Parts:
    """IoUs (units, c) of the expected overlaps, each with more information about the image, and of the measured one."""

    areas: Jackknife
    position: Jackknife
    image_level: Jackknife
    measured: Jackknife

    def figures(self, rows: Ints, columns: Ints) -> dict[str, NDArray[Any]]:
        """The printed figures of pairs of a unit and a concept column."""
        between = _difference(self.image_level, self.position, rows, columns)
        within = _difference(self.measured, self.image_level, rows, columns)
        position = _difference(self.position, self.areas, rows, columns)
        ends = {
            f"{name}{end}": value
            for name, part in (("between_images", between), ("within_images", within))
            for end, value in zip(("", "_low", "_high"), (part.value, *part.interval()), strict=True)
        }
        return {
            "iou_areas": self.areas.value[rows, columns],
            "iou_image_level": self.image_level.value[rows, columns],
            **ends,
            "kind": kinds(position, between, within),
        }

    @classmethod
    def together(cls, blocks: Sequence[Parts]) -> Parts:
        """The parts of consecutive blocks of units."""
        return cls(*(Jackknife.joined([getattr(block, field.name) for block in blocks]) for field in fields(cls)))


def no_figures(count: int) -> dict[str, NDArray[Any]]:
    """The figures of a layer whose neighbours were not counted: empty."""
    names = ["iou_areas", "iou_image_level"]
    names += [f"{part}_images{end}" for part in ("between", "within") for end in ("", "_low", "_high")]
    return {**{name: np.full(count, np.nan) for name in names}, "kind": np.full(count, "", object)}


def kinds(position: Jackknife, between: Jackknife, within: Jackknife) -> NDArray[np.object_]:
    """The kind of the larger significant part, between or within images; otherwise position, if that is significant."""
    of_image, of_object = (np.where(part.interval()[0] > 0, part.value, 0) for part in (between, within))
    kind = np.where(position.interval()[0] > 0, str(Kind.PLACE), "").astype(object)
    kind[of_image > of_object] = str(Kind.SCENE)
    kind[(of_object > 0) & (of_object >= of_image)] = str(Kind.OBJECT)
    return kind


def _difference(more: Jackknife, less: Jackknife, rows: Ints, columns: Ints) -> Jackknife:
    value, without = more.value - less.value, more.without - less.without
    return Jackknife(value[rows, columns], without[:, rows, columns], more.sizes)


def parts_of_layer(counted: Counted, scores: Scores) -> Parts | None:
    """The parts of every unit's IoU with every concept; None where no held-out group has two images."""
    parts = []
    for start in range(0, counted.shape[0], UNITS_AT_ONCE):
        units = slice(start, start + UNITS_AT_ONCE)
        shards = counted.counted_shards(Portion(units, HELD_OUT))
        part = parts_of(shards, scores.concepts, scores.threshold[units], scores.iou.sizes, counted.pixels)
        parts += [] if part is None else [part]
    return Parts.together(parts) if parts else None


def parts_of(
    shards: Iterable[tuple[int, Chance, Neighbours]], concepts: Ints, threshold: Ints, sizes: Ints, pixels: int
) -> Parts | None:
    """The parts of the IoU of units with concepts at their thresholds (units, c); None where no group has two images.

    `shards` are (group, counts of chance, counts of neighbours); `sizes` are the samples of each held-out group, and
    `pixels` is the number of pixels of the grid.
    """
    groups: dict[int, dict[str, Floats]] = {}
    for group, chance, neighbours in shards:
        if group % 2 == HELD_OUT and chance.samples > 1:
            sums = _sums(chance, neighbours, concepts, threshold)
            known = groups.get(group, dict.fromkeys(sums, np.zeros(())))
            groups[group] = {name: known[name] + value for name, value in sums.items()}
    if not groups:
        return None
    by_group = {name: np.stack([groups[group][name] for group in sorted(groups)]) for name in NAMES}
    total = {name: value.sum(0) for name, value in by_group.items()}
    without = {name: total[name] - value for name, value in by_group.items()}
    pairs = zip(_ious(total, pixels), _ious(without, pixels), strict=True)
    return Parts(*(Jackknife(value, less, sizes) for value, less in pairs))


def _sums(chance: Chance, neighbours: Neighbours, concepts: Ints, threshold: Ints) -> dict[str, Floats]:
    """A shard's sums (units, c) at the chosen thresholds."""

    def at_threshold(counts: NDArray[Any]) -> Floats:
        every = spread(counts.astype(np.float64), chance.concepts, concepts, 1)
        return np.take_along_axis(every, threshold[..., None], 2)[..., 0]

    observed = chance.observed_overlap()
    gap, crossed = neighbours.products()
    present = spread(chance.present.astype(np.float64), chance.concepts, concepts, 0)
    return {
        "observed": at_threshold(observed),
        "pairs": at_threshold(chance.crossed.sum(0) - observed),
        "position": at_threshold(chance.expected()),
        "overlap": at_threshold(neighbours.overlap),
        "gap": at_threshold(gap),
        "crossed": at_threshold(crossed),
        "on": np.take_along_axis(chance.on.astype(np.float64), threshold, 1),
        "present": np.broadcast_to(present, threshold.shape).copy(),
    }


def _ious(sums: dict[str, Floats], pixels: int) -> tuple[Floats, Floats, Floats, Floats]:
    """IoU of areas alone, at the chance level, at the image level, and as measured."""
    steps = ExpectedOverlaps.of(sums["pairs"], sums["position"], sums["overlap"], sums["gap"], sums["crossed"], pixels)
    overlaps = (steps.areas, steps.position, steps.image_level, sums["observed"])
    areas, position, image_level, measured = (
        intersection_over_union(overlap, sums["on"], sums["present"]) for overlap in overlaps
    )
    return areas, position, image_level, measured
