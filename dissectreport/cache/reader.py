"""How statistics lie in stores: a file a shard, every statistic under its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dissectreport.cache.store import Store
from dissectreport.errors import CacheError
from dissectreport.run.plan import Shard, shards
from dissectreport.stats.areas import Areas
from dissectreport.stats.base import Stat
from dissectreport.stats.categories import Categories
from dissectreport.stats.chance import Chance
from dissectreport.stats.cross import Cross
from dissectreport.stats.effects import FirstOrder, Nearing, Presence
from dissectreport.stats.ends import Ends
from dissectreport.stats.features import Features
from dissectreport.stats.insertions import Insertions
from dissectreport.stats.joint import Joint
from dissectreport.stats.paired import Paired
from dissectreport.stats.peaks import Peaks

STATS: Mapping[str, type[Stat]] = {
    "joint": Joint,
    "chance": Chance,
    "peaks": Peaks,
    "features": Features,
    "cross": Cross,
    "areas": Areas,
    "categories": Categories,
    "ends": Ends,
    "presence": Presence,
    "first": FirstOrder,
    "nearing": Nearing,
    "paired": Paired,
    "insertions": Insertions,
}


def shard_name(shard: Shard) -> str:
    """The name of a shard's file: its first sample and how many follow."""
    return f"samples-{shard.first:07d}-{shard.count:04d}"


def sound(place: Store, name: str, say: Callable[[str], None]) -> bool:
    """Whether arrays are there and undamaged; damaged ones are told of, dropped, and so made again."""
    if place.has(name) and not place.sound(name):
        say(f"{place.path(name)} was damaged; it is measured again")
        place.drop(name)
    return place.has(name)


def flat(stats: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of several statistics under names like 'joint.total'."""
    return {f"{name}.{key}": value for name, stat in stats.items() for key, value in stat.arrays().items()}


def read_stat(place: Store, wanted: Sequence[Shard], name: str) -> Iterator[tuple[Shard, Any]]:
    """Each shard with one of its statistics, in order of shards."""
    for shard in wanted:
        arrays = place.load(shard_name(shard), prefix=f"{name}.")
        if not arrays:
            raise CacheError(
                f"{place.path(shard_name(shard))} holds no {name}; `dissectreport measure` measures it again"
            )
        yield (
            shard,
            STATS[name].from_arrays({key.removeprefix(f"{name}."): value for key, value in arrays.items()}),
        )


def devices(place: Store, wanted: Sequence[Shard], mixed: bool) -> tuple[str, ...]:
    """The devices on which the shards were measured; more than one is refused unless it was asked for."""
    found = sorted({str(place.load(shard_name(s), prefix="device")["device"]) for s in wanted})
    if len(found) > 1 and not mixed:
        raise CacheError(
            f"{place.folder} holds shards of different devices ({', '.join(found)}), which differ in the last bits; "
            "merge them with --mixed-devices, or measure again with --device and another --cache"
        )
    return tuple(found)


@dataclass(frozen=True)
class Reader:
    """Counts by the names under which a record remembers them."""

    folder: Path

    def stats(self, folder: str, samples: int, shard: int, name: str) -> Iterator[tuple[Shard, Any]]:
        """Each shard with one of its statistics, in order; nothing where `folder` is ''."""
        if folder:
            yield from read_stat(Store(self.folder / folder), shards(samples, shard), name)

    def arrays(self, folder: str, name: str, prefix: str = "") -> dict[str, Any]:
        """The arrays called `name` in a folder."""
        return Store(self.folder / folder).load(name, prefix=prefix)

    def names(self, folder: str) -> list[str]:
        """The names in a folder."""
        return Store(self.folder / folder).names()

    def devices(self, folder: str, samples: int, shard: int, mixed: bool) -> tuple[str, ...]:
        """The devices on which a folder's shards were measured."""
        return devices(Store(self.folder / folder), shards(samples, shard), mixed)
