"""How statistics are stored: one file for each shard, with every statistic under its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dissectreport.cache.store import Store, is_store_name
from dissectreport.errors import CacheError
from dissectreport.records.reader import S, Stored, V
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
from dissectreport.stats.joint import Joint
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
"""By kind of statistic its name in the file of a shard, which holds at most one of each kind."""


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
    """The arrays of several statistics under names like 'joint.total'."""
    return {f"{NAMES[type(stat)]}.{key}": value for stat in stats for key, value in stat.arrays().items()}


def read_stats(store: Store, parts: Sequence[Shard], kind: type[S]) -> Iterator[tuple[Shard, S]]:
    """Each shard with one of its statistics, in order of shards."""
    for shard in parts:
        stat = stat_of(store, shard, kind)
        if stat is None:
            path = store.path(shard_name(shard))
            raise CacheError(f"{path} holds no {NAMES[kind]}; `dissectreport measure` measures it again")
        yield shard, stat


def stat_of(store: Store, shard: Shard, kind: type[S]) -> S | None:
    """One of the statistics of a shard; None where the shard has none of this kind."""
    prefix = f"{NAMES[kind]}."
    arrays = store.load(shard_name(shard), prefix=prefix)
    return kind.from_arrays({key.removeprefix(prefix): value for key, value in arrays.items()}) if arrays else None


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
    names = sorted({str(store.load(shard_name(s), prefix="device")["device"]) for s in parts})
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

    def stats(self, folder: str, samples: int, shard: int, kind: type[S]) -> Iterator[tuple[Shard, S]]:
        """Each shard with one of its statistics, in order; nothing where `folder` is ''."""
        if folder:
            yield from read_stats(self._store(folder), shards(samples, shard), kind)

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
