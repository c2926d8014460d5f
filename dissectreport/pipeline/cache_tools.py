"""The content of the cache: its runs and size, its damaged files, and the removal of runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dissectreport import files
from dissectreport.cache import records, store
from dissectreport.cache.records import Record
from dissectreport.cache.store import Store
from dissectreport.checkpoints import downloads
from dissectreport.errors import FolderError, UnknownName
from dissectreport.files import Say, silent


@dataclass(frozen=True)
class MeasuredRun:
    """One measured run."""

    record: Record
    newest: bool
    """Whether it is the newest of several runs of the same model and rule."""


@dataclass(frozen=True)
class CacheContent:
    """The content of a cache."""

    folder: Path
    runs: tuple[MeasuredRun, ...]
    """Those of a model and rule together, the newest first."""
    unreadable: tuple[str, ...]
    """A line for each run that cannot be read."""
    measured: int
    """Bytes of all measurements."""
    weights: Path
    downloaded: int
    """Bytes of downloaded weights, which are not cleared."""


def content(cache: Path | None) -> CacheContent:
    """The runs in the cache, and its size."""
    folder, weights = cache or files.default_folder(), downloads.downloads_folder()
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records.every(folder):
        groups.setdefault(record.identifies, []).append(record)
    return CacheContent(
        folder,
        tuple(run for group in groups.values() for run in _newest_first(group)),
        tuple(records.unreadable(folder)),
        files.size(folder / "measurements") + files.size(folder / "records"),
        weights,
        files.size(weights) if weights.exists() else 0,
    )


def _newest_first(group: Iterable[Record]) -> list[MeasuredRun]:
    ordered = sorted(group, key=lambda record: -record.run)
    return [MeasuredRun(record, len(ordered) > 1 and number == 0) for number, record in enumerate(ordered)]


def damaged(cache: Path | None) -> list[Path]:
    """The files of the cache that cannot be read: of measurements, and the records of runs."""
    folder = cache or files.default_folder()
    places = list(store.folders(folder / "measurements"))
    arrays = [place.path(name) for place in places for name in place.names() if not place.is_intact(name)]
    facts = [place.facts_path for place in places if not place.has_facts()]
    return sorted([*arrays, *facts, *records.damaged(folder)])


def adopt(cache: Path, other: Path, say: Say = silent) -> int:
    """Copy the measurements that a cache lacks from another; returns how many files. Damaged ones are reported."""
    places = list(store.folders(other / "measurements"))
    if not places:
        raise FolderError(f"{other} holds no measurements; name a folder that was given to --cache")
    copied = 0
    for theirs in places:
        if not theirs.has_facts():
            say(f"{theirs.facts_path} is damaged; this folder was left out")
            continue
        mine = Store.open(cache / "measurements", theirs.facts(), say)
        for name in theirs.names():
            if mine.has(name):
                continue
            if theirs.is_intact(name):
                files.write(mine.path(name), theirs.path(name).read_bytes())
                copied += 1
            else:
                say(f"{theirs.path(name)} is damaged; it was left out")
    return copied


def clear(cache: Path | None, model: str = "") -> int:
    """Remove the measurements of one model or of all; returns the number of bytes freed."""
    folder = cache or files.default_folder()
    before = files.size(folder)
    if not model:
        files.clear(folder / "measurements")
        files.clear(folder / "records")
        return before - files.size(folder)
    every = list(records.every(folder))
    mine = records.of_model(every, model)
    if not mine:
        raise UnknownName.of("measurement of", model, sorted({record.model for record in every}))
    others = {name for record in every if record not in mine for name in record.folders}
    for record in mine:
        for name in set(record.folders) - others:
            files.clear(folder / "measurements" / name)
    records.remove(folder, model)
    return before - files.size(folder)
