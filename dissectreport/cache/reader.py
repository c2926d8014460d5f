"""How statistics are stored: one file for each shard, with every statistic under its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dissectreport.cache.shared_counts import COLUMNS, ROWS, restored, sources_of, without_shared
from dissectreport.cache.store import Store, is_store_name
from dissectreport.cache.unit_blocks import in_blocks, joined, needed
from dissectreport.errors import CacheError
from dissectreport.records.reader import EVERYTHING, Portion, S, Stored, V
from dissectreport.run.shards import Shard, shards
from dissectreport.stats.ablated_areas import AblatedAreas
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Stat, merge_all
from dissectreport.stats.categories import Categories
from dissectreport.stats.chance import Chance
from dissectreport.stats.concept_patches import ConceptPatches
from dissectreport.stats.cross import Cross
from dissectreport.stats.effects import FirstOrder, Presence, RealismGain
from dissectreport.stats.ends import Ends
from dissectreport.stats.features import Features
from dissectreport.stats.insertions import Insertions
from dissectreport.stats.joint import Joint, JointTotals
from dissectreport.stats.label_sets import LabelSets
from dissectreport.stats.neighbours import Neighbours
from dissectreport.stats.overlaps import Overlaps
from dissectreport.stats.paired import Paired
from dissectreport.stats.patch_contexts import PatchContexts
from dissectreport.stats.peaks import Peaks
from dissectreport.stats.predictions import Attacks, ClassEstimates, ClassScores, Predictions
from dissectreport.stats.replaced import Replaced
from dissectreport.stats.spikes import Spikes

NAMES: Mapping[type[Stat], str] = {
    Joint: "joint",
    JointTotals: "joint",
    Chance: "chance",
    Peaks: "peaks",
    Features: "features",
    Cross: "cross",
    Areas: "areas",
    Neighbours: "neighbours",
    LabelSets: "label_sets",
    Overlaps: "overlaps",
    Spikes: "spikes",
    Categories: "categories",
    Ends: "ends",
    Presence: "presence",
    ConceptPatches: "patches",
    FirstOrder: "first",
    RealismGain: "nearing",
    Paired: "paired",
    AblatedAreas: "ablated",
    PatchContexts: "contexts",
    Insertions: "insertions",
    ClassScores: "scores",
    Predictions: "predictions",
    Attacks: "attacks",
    ClassEstimates: "class_estimates",
    Replaced: "replaced",
}
"""By kind of statistic its name in the file of a shard, which holds at most one of each kind.

Those of the same name are the same counts, of which the one reads fewer.
"""

KINDS: Mapping[str, type[Stat]] = {name: kind for kind, name in reversed(list(NAMES.items()))}
"""The kind of statistic of each name, of several the one that reads most."""

FIELDS: Mapping[type[Stat], tuple[str, ...]] = {JointTotals: tuple(field.name for field in fields(JointTotals))}
"""The arrays that are read of a kind, where the file has more of that name."""


def shard_name(shard: Shard) -> str:
    """The name of a shard's file: its first sample and how many follow."""
    return f"samples-{shard.first:07d}-{shard.count:04d}"


def is_intact(store: Store, name: str, say: Callable[[str], None]) -> bool:
    """Whether arrays are there and undamaged; damaged ones are reported and dropped, so that they are made again."""
    if store.has(name) and not store.is_intact(name):
        say(f"{store.path(name)} was damaged; it is measured again")
        store.drop(name)
    return store.has(name)


def packed_stats(*stats: Stat) -> dict[str, NDArray[Any]]:
    """The arrays of several statistics under names like 'joint.total'; those by unit in blocks.

    Counts that follow from others are not kept twice.
    """
    kinds = {NAMES[type(stat)]: type(stat) for stat in stats}
    whole = {f"{NAMES[type(stat)]}.{name}": value for stat in stats for name, value in stat.arrays().items()}
    packed: dict[str, NDArray[Any]] = {}
    for name, arrays in by_statistic(without_shared(whole)).items():
        packed |= {f"{name}.{key}": value for key, value in in_blocks(kinds[name], arrays).items()}
    return packed


def by_statistic(arrays: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, NDArray[Any]]]:
    """Arrays under names like 'joint.total' by the names of their statistics: 'joint'."""
    found: dict[str, dict[str, NDArray[Any]]] = {}
    for key, value in arrays.items():
        name, _, field = key.partition(".")
        found.setdefault(name, {})[field] = value
    return found


def read_stats(
    store: Store, parts: Sequence[Shard], kind: type[S], portion: Portion = EVERYTHING
) -> Iterator[tuple[Shard, S]]:
    """Each shard, or those of a portion, with one of its statistics, in order of shards."""
    for shard in filter(portion.has, parts):
        stat = stat_of(store, shard, kind, portion.units)
        if stat is None:
            path = store.path(shard_name(shard))
            raise CacheError(f"{path} holds no {NAMES[kind]}; `dissectreport measure` measures it again")
        yield shard, stat


def stat_of(store: Store, shard: Shard, kind: type[S], units: slice = EVERYTHING.units) -> S | None:
    """One of the statistics of a shard, of some units or of all; None where the shard has none of this kind."""
    blocks = store.load(shard_name(shard), partial(_blocks_of, kind, units))
    if not blocks:
        return None
    kept = {
        f"{name}.{field}": value
        for name, arrays in by_statistic(blocks).items()
        for field, value in joined(KINDS[name], arrays, units).items()
    }
    prefix = f"{NAMES[kind]}."
    own = [key for key in kept if key.startswith(prefix) and not key.endswith((ROWS, COLUMNS))]
    return kind.from_arrays({key.removeprefix(prefix): restored(key, kept) for key in own})


def _blocks_of(kind: type[Stat], units: slice, keys: list[str]) -> list[str]:
    """Those of the keys of a shard's file that the fields of a statistic of some units are made of."""
    blocks, prefix = needed(keys, units), f"{NAMES[kind]}."
    wanted = {f"{prefix}{name}" for name in FIELDS[kind]} if kind in FIELDS else blocks
    names = [name for name in blocks if name in wanted and name.startswith(prefix)]
    every = dict.fromkeys(one for name in names for one in sources_of(name, blocks))
    return [f"{name}@{start}" if blocks[name] else name for name in every for start in blocks[name] or [0]]


def save(store: Store, value: Stored, name: str = "") -> None:
    """Write a value under its usual name, or another."""
    store.save(name or value.FILE, value.arrays())


def read(store: Store, kind: type[V], name: str = "") -> V:
    """The value of a kind in a store, under its usual name or another; CacheError where it is not there."""
    name = name or kind.FILE
    try:
        return kind.from_arrays(store.load(name))
    except KeyError as error:
        raise CacheError(
            f"{store.path(name)} was written by another version of dissectreport and lacks {error}; "
            "`dissectreport measure` makes it again"
        ) from error


def devices(store: Store, parts: Sequence[Shard], mixed: bool) -> tuple[str, ...]:
    """The devices on which the shards were measured. More than one is refused unless `mixed`."""
    names = sorted({str(store.load(shard_name(s), lambda keys: ["device"])["device"]) for s in parts})
    if len(names) > 1 and not mixed:
        raise CacheError(
            f"{store.folder} holds shards of different devices ({', '.join(names)}), which differ in the last bits; "
            "merge them with --mixed-devices, or measure again with --device and another --cache"
        )
    return tuple(names)


@dataclass(frozen=True)
class CacheReader:
    """Reads the stores under a folder by their names; see `records.reader.Reader`."""

    folder: Path

    def stats(
        self, folder: str, samples: int, shard: int, kind: type[S], portion: Portion = EVERYTHING
    ) -> Iterator[tuple[Shard, S]]:
        """Each shard, or those of a portion, with one of its statistics, in order; nothing where `folder` is ''."""
        if folder:
            yield from read_stats(self._store(folder), shards(samples, shard), kind, portion)

    def total(self, folder: str, samples: int, shard: int, kind: type[S]) -> S:
        """The same statistic of all shards, merged."""
        return merge_all(stat for _, stat in self.stats(folder, samples, shard, kind))

    def read(self, folder: str, kind: type[V], name: str = "") -> V:
        """The value of a kind in a folder, under its usual name or another; CacheError where it is not there."""
        return read(self._store(folder), kind, name)

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted."""
        return self._store(folder).names()

    def devices(self, folder: str, samples: int, shard: int, mixed: bool) -> tuple[str, ...]:
        """The devices on which a folder's shards were measured."""
        return devices(self._store(folder), shards(samples, shard), mixed)

    def _store(self, folder: str) -> Store:
        if not is_store_name(folder):
            raise CacheError(f"{folder!r} is not a folder of measurements; run `dissectreport measure` again")
        return Store(self.folder / folder)
