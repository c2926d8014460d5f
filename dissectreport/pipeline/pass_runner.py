"""The runner of all passes: find what a store lacks, run it, save each result as it comes, and report progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dissectreport.cache.reader import is_intact, packed_stats, read, read_stats, save, shard_name
from dissectreport.cache.store import Store, digest
from dissectreport.pipeline.reporter import Reporter
from dissectreport.records.reader import S, Stored, V
from dissectreport.run.engine import Make, Workers
from dissectreport.run.shards import Shard
from dissectreport.stats.base import Stat, merge_all

T = TypeVar("T")
R = TypeVar("R")


class PassRunner:
    """Runs the passes of one job. Every result is saved separately, so that a stopped run can continue."""

    def __init__(self, cache: Path, device: str, workers: Workers, reporter: Reporter) -> None:
        self.cache = cache / "measurements"
        self.device, self.workers, self.reporter = device, workers, reporter
        self.folders: set[str] = set()
        """The names of all stores that were opened."""

    def open(self, kind: str, facts: Mapping[str, Any]) -> Store:
        """The store of a kind of results that depend on these facts."""
        store = Store.open(self.cache, {"kind": kind, **facts}, self.reporter.say)
        self.folders.add(store.folder.name)
        return store

    def keep(self, kind: str, facts: Mapping[str, Any], value: Stored) -> str:
        """Save a value that was computed here; the name of its folder, which depends on the value too."""
        arrays = value.arrays()
        store = self.open(kind, {**facts, "value": digest(arrays)})
        store.save(value.FILE, arrays)
        return store.folder.name

    def is_intact(self, store: Store, name: str) -> bool:
        """Whether arrays are there and undamaged; damaged ones are reported and dropped."""
        return is_intact(store, name, self.reporter.say)

    def missing(self, store: Store, items: Iterable[T], name: Callable[[T], str]) -> list[T]:
        """The items whose results the store lacks."""
        return [item for item in items if not self.is_intact(store, name(item))]

    def results(
        self, make: Make[T, R], missing: Sequence[T], items: Sequence[T], task: str, unit: str = "samples"
    ) -> Iterator[tuple[T, R]]:
        """Each missing item with its result, as they finish; progress counts all items, those of shards in samples."""
        from dissectreport.worker.finite_images import finite_work

        total = sum(map(size_of, items))
        done = total - sum(map(size_of, missing))
        if not missing:
            return
        self.reporter.progress(task, done, total, unit)
        for item, result in self.workers.run(partial(finite_work, make), missing, task):
            yield item, result
            done += size_of(item)
            self.reporter.progress(task, done, total, unit)

    def count(self, store: Store, make: Make[Shard, Any], parts: Sequence[Shard], task: str) -> None:
        """Run a pass of one or several statistics over the shards that the store lacks."""
        for shard, result in self.results(make, self.missing(store, parts, shard_name), parts, task):
            self.save_shard(store, shard, result if isinstance(result, tuple) else (result,))

    def save_shard(self, store: Store, shard: Shard, stats: Iterable[Stat]) -> None:
        """Save the statistics of a shard, and the device on which they were measured."""
        store.save(shard_name(shard), {**packed_stats(*stats), "device": np.array(self.device)})

    def total(self, store: Store, parts: Sequence[Shard], kind: type[S]) -> S:
        """One of the statistics of all shards, merged."""
        return merge_all(stat for _, stat in read_stats(store, parts, kind))

    def save_values(
        self, store: Store, make: Make[T, V], items: Sequence[T], name: Callable[[T], str], task: str, unit: str
    ) -> None:
        """Run a pass over the items that the store lacks, each of which gives a value under a name."""
        for item, value in self.results(make, self.missing(store, items, name), items, task, unit):
            save(store, value, name(item))

    def once(self, store: Store, kind: type[V], compute: Callable[[], V]) -> V:
        """The value of a kind in a store, computed if it is missing."""
        if not self.is_intact(store, kind.FILE):
            save(store, compute())
        return read(store, kind)


def size_of(item: object) -> int:
    """How much an item counts in progress: a shard its samples, anything else one."""
    return item.count if isinstance(item, Shard) else 1
