"""What a pilot has counted so far, saved from time to time, so that a stopped one need not begin again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissectreport import files
from dissectreport.cache.store import Store, fingerprint
from dissectreport.errors import CacheError
from dissectreport.pipeline.pass_runner import PassRunner
from dissectreport.run.plan import Reading
from dissectreport.run.shards import Shard
from dissectreport.stats.histogram import Histogram

FILE, DONE = "so-far", "done"
EVERY = 20.0
"""Seconds of counting after which it is kept."""


class PilotProgress:
    """The histograms of a pilot's readings, and the shards that they hold."""

    def __init__(self, runner: PassRunner, facts: Mapping[str, Any], readings: Sequence[Reading]) -> None:
        self.runner, self.keys = runner, [reading.key for reading in readings]
        self.facts = {"kind": "pilot", **facts}
        self.store = Store(runner.cache / fingerprint(self.facts))
        self.sums: dict[str, Histogram] = {}
        self.done: set[int] = set()
        self._saved = time.monotonic()
        self._read()

    def missing(self, parts: Sequence[Shard]) -> list[Shard]:
        """The shards that were not counted yet."""
        return [shard for shard in parts if shard.first not in self.done]

    def add(self, shard: Shard, counts: Mapping[str, Histogram]) -> None:
        """Add a shard's counts, and keep the sums if it is time."""
        for key, histogram in counts.items():
            self.sums[key] = self.sums[key].merge(histogram) if key in self.sums else histogram
        self.done.add(shard.first)
        if time.monotonic() - self._saved >= EVERY:
            self._save()

    def finish(self) -> None:
        """Forget what was kept, because the thresholds that follow from it are; no record names its folder."""
        self.runner.folders.discard(self.store.folder.name)
        if self.store.folder.is_dir():
            files.clear(self.store.folder)

    def _save(self) -> None:
        store = self.runner.open(self.facts["kind"], self.facts)
        store.save(FILE, {DONE: np.array(sorted(self.done), np.int64), **dict(self._arrays())})
        self._saved = time.monotonic()

    def _arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        for number, key in enumerate(self.keys):
            for name, array in self.sums[key].arrays().items():
                yield f"{number}.{name}", array

    def _read(self) -> None:
        """Take up what was kept, unless it is damaged."""
        if not self.store.has(FILE):
            return
        try:
            arrays = self.store.load(FILE)
            sums = {key: _histogram(arrays, number) for number, key in enumerate(self.keys)}
        except (CacheError, KeyError):
            return
        self.sums, self.done = sums, set(arrays[DONE].tolist())


def _histogram(arrays: Mapping[str, NDArray[Any]], number: int) -> Histogram:
    prefix = f"{number}."
    return Histogram.from_arrays({k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)})
