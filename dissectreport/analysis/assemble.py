"""A dissection from what was measured: every table, every picture, and where they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from dissectreport.analysis.chance import EXCESS, Q
from dissectreport.analysis.concepts import concept_table
from dissectreport.analysis.dissection import Dissection, Examples, Layer, Lookup, Pictures, Provenance, Trust
from dissectreport.analysis.units import Counted, Units, examine
from dissectreport.plan import NULL_GRID, Plan, Shard
from dissectreport.stats.base import merge_all
from dissectreport.stats.levels import CELLS, Levels

if TYPE_CHECKING:
    from dissectreport.records import LayerRecord, Record

Arrays = dict[str, Any]


class Reader(Protocol):
    """Where counts come from, by the names under which a record remembers them."""

    def stats(self, folder: str, samples: int, shard: int, name: str) -> Iterator[tuple[Shard, Any]]:
        """Each shard with one of its statistics, in order; nothing where `folder` is ''."""

    def arrays(self, folder: str, name: str, prefix: str = "") -> Arrays:
        """The arrays called `name` in a folder."""

    def names(self, folder: str) -> list[str]:
        """The names in a folder."""

    def devices(self, folder: str, samples: int, shard: int, mixed: bool) -> tuple[str, ...]:
        """The devices on which a folder's shards were measured."""


def assemble(record: Record, reader: Reader) -> Dissection:
    """All that was found about a measured model."""
    plan = Plan(**record.plan)
    vocabulary = pd.DataFrame(record.vocabulary, columns=["concept", "category"])
    source = _Source(record, plan, reader)
    first = record.layers[0].counts
    areas = merge_all(stat for _, stat in source.stats(first, "areas"))
    concepts = concept_table(areas, source.chances(first), vocabulary, trained(record.segmenter))
    units = [examine(source.counted(layer), vocabulary, concepts["position_only"]) for layer in record.layers]
    pictures = source.pictures()
    devices = source.devices()
    return Dissection(
        record.model,
        _provenance(record, plan, source, devices),
        vocabulary,
        concepts,
        tuple(_layer(found, pictures) for found in units),
        Pictures(pictures["numbers"], pictures["pixels"]),
        source.trust(pictures),
        _notes(record, devices),
    )


def trained(segmenter: Mapping[str, Any]) -> dict[str, float]:
    """Held-out IoU by concept name, from the segmenter's card where it has one."""
    held = segmenter.get("card", segmenter).get("iou", {})
    return {str(name): float(value) for name, value in held.items()} if isinstance(held, Mapping) else {}


class _Source:
    """One record's counts and pictures."""

    def __init__(self, record: Record, plan: Plan, reader: Reader) -> None:
        self.record, self.plan, self.reader = record, plan, reader

    def stats(self, folder: str, name: str) -> Iterator[tuple[Shard, Any]]:
        return self.reader.stats(folder, self.record.samples, self.plan.shard, name)

    def chances(self, folder: str) -> Iterator[tuple[int, Any]]:
        return ((shard.group, stat) for shard, stat in self.stats(folder, "chance"))

    def counted(self, layer: LayerRecord) -> Counted:
        arrays = self.reader.arrays(layer.levels, "levels")
        by_half: list[list[Any]] = [[], []]
        for shard, stat in self.stats(layer.counts, "joint"):
            held = by_half[shard.group % 2]
            held[:] = [held[0].merge(stat)] if held else [stat]
        halves = [held[0] for held in by_half if held]
        units, height, width = (int(v) for v in arrays["shape"])
        return Counted(
            layer.name,
            (units, height, width),
            Levels.from_arrays(arrays),
            lambda: self.chances(layer.counts),
            merge_all(halves),
            halves[-1],
            merge_all(stat for _, stat in self.stats(layer.counts, "cross")),
            merge_all(stat for _, stat in self.stats(layer.counts, "peaks")),
            lambda: self.chances(layer.rotated),
            lambda: self.chances(layer.untrained),
            min(self.plan.grid, NULL_GRID) ** 2,
        )

    def devices(self) -> tuple[str, ...]:
        folders = [layer.counts for layer in self.record.layers]
        found = [
            self.reader.devices(f, self.record.samples, self.plan.shard, self.record.mixed_devices) for f in folders
        ]
        return tuple(sorted({device for part in found for device in part}))

    def pictures(self) -> Arrays:
        """Everything that the picture pass kept, its parts joined in order of samples."""
        parts = [
            self.reader.arrays(self.record.pictures, name)
            for name in self.reader.names(self.record.pictures)
            if name.startswith("samples-")
        ]
        keys = dict.fromkeys(key for part in parts for key in part)
        return {key: np.concatenate([part[key] for part in parts if key in part]) for key in keys}

    def trust(self, pictures: Arrays) -> tuple[Trust, ...]:
        drawn = self.reader.arrays(self.record.pictures, "drawn")
        made = {key.removeprefix("trust|"): value for key, value in pictures.items() if key.startswith("trust|")}
        found = [("drawn", drawn), ("generated", made)]
        return tuple(
            Trust(source, held["images"], held["labels"], held["confidence"]) for source, held in found if held
        )


def _layer(units: Units, pictures: Arrays) -> Layer:
    counted = units.counted
    name, (count, height, width) = counted.name, counted.shape
    low, cell = counted.levels.low[:, None], counted.levels.width[:, None]
    edges = np.concatenate([low, counted.levels.values(), low + CELLS * cell], 1).astype(np.float32)
    order = np.empty((count, units.examples.shape[1], height, width), np.float16)
    at = pictures[f"{name}|at"]
    order[at[:, 0], at[:, 1]] = pictures[f"{name}|maps"]
    histogram = counted.joint.total
    return Layer(
        name,
        count,
        height,
        width,
        units.table,
        units.labels,
        units.pairs,
        units.controls,
        units.curves,
        histogram,
        edges,
        units.correlated,
        Examples(units.kind, units.examples, counted.peaks.of(units.examples), order),
        Lookup(pictures["lookup"], ranked(pictures[f"{name}|lookup"], histogram, edges)),
    )


def ranked(maps: Any, histogram: Any, edges: Any) -> Any:
    """(k, units, h, w) activations -> uint8 share of the unit's activations that are lower, in 255ths."""
    below = np.concatenate([np.zeros((len(histogram), 1)), np.cumsum(histogram, 1)], 1)
    below = below / np.maximum(below[:, -1:], 1)
    found = np.empty(maps.shape, np.uint8)
    for unit in range(maps.shape[1]):
        found[:, unit] = np.interp(maps[:, unit], edges[unit], below[unit]) * 255
    return found


def _provenance(record: Record, plan: Plan, source: _Source, devices: tuple[str, ...]) -> Provenance:
    groups = [shard.group for shard, _ in source.stats(record.layers[0].counts, "peaks")]
    counts = [shard.count for shard, _ in source.stats(record.layers[0].counts, "peaks")]
    scoring = sum(count for group, count in zip(groups, counts, strict=True) if group % 2)
    return Provenance(
        record.model,
        record.rule,
        plan.seed,
        record.samples,
        record.samples - scoring,
        scoring,
        plan.pilot,
        plan.grid,
        len({group for group in groups if group % 2}),
        record.generator,
        record.segmenter,
        record.versions,
        devices,
        record.command,
        {"excess": EXCESS, "q": Q},
    )


def _notes(record: Record, devices: tuple[str, ...]) -> tuple[str, ...]:
    notes = []
    if len(devices) > 1:
        notes.append(f"Samples measured on {' and '.join(devices)} were merged; such counts differ in the last bits.")
    if record.samples < 1000:
        notes.append(f"Only {record.samples:,} samples: intervals are wide and rare concepts are not tested.")
    return tuple(notes)
