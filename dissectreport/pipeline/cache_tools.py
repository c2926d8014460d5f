"""The content of the cache: its runs and size, its damaged files, and the removal of runs."""

from __future__ import annotations

import math
import time
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
from dissectreport.pipeline import journal
from dissectreport.pipeline.journal import News
from dissectreport.run.addresses import source_of


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
    by_model: tuple[tuple[str, int], ...]
    """By model the bytes of all its runs; what several models share counts for each."""
    unfinished: int
    """Bytes of measurements that belong to no finished run."""
    weights: Path
    downloaded: int
    """Bytes of downloaded weights, which are not cleared."""


def content(cache: Path | None) -> CacheContent:
    """The runs in the cache, and its size."""
    folder, weights = cache or files.default_folder(), downloads.downloads_folder()
    groups: dict[tuple[str, str, str], list[Record]] = {}
    owned: dict[str, set[str]] = {}
    for record in records.every(folder):
        groups.setdefault(record.identifies, []).append(record)
        owned.setdefault(record.model, set()).update(record.folders)
    sizes = {place.folder.name: files.size(place.folder) for place in store.folders(folder / "measurements")}
    unowned = sizes.keys() - set().union(*owned.values())
    return CacheContent(
        folder,
        tuple(run for group in groups.values() for run in _newest_first(group)),
        tuple(records.unreadable(folder)),
        files.size(folder / "measurements") + files.size(folder / "records"),
        tuple((model, sum(sizes.get(name, 0) for name in names)) for model, names in sorted(owned.items())),
        sum(sizes[name] for name in unowned),
        weights,
        files.size(weights) if weights.exists() else 0,
    )


def _newest_first(group: Iterable[Record]) -> list[MeasuredRun]:
    ordered = sorted(group, key=lambda record: -record.run)
    return [MeasuredRun(record, len(ordered) > 1 and number == 0) for number, record in enumerate(ordered)]


@dataclass(frozen=True)
class RunStatus:
    """How far runs are."""

    news: tuple[News, ...]
    """Of runs that are under way or were stopped, and of parts that are not merged."""
    measured: tuple[Record, ...]
    now: float
    """Seconds since 1970."""


def status(cache: Path | None, model: str = "") -> RunStatus:
    """How far the runs of a model are, or all; UnknownName where there are none of that model."""
    folder = cache or files.default_folder()
    news, measured = list(journal.every(folder)), list(records.every(folder))
    if model:
        source = source_of(model)
        of_model = [one for one in news if (one.source == source if source else one.model == model)]
        mine = records.of_model(measured, model)
        if not of_model and not mine:
            known = sorted({*(one.model for one in news), *(record.model for record in measured)})
            raise UnknownName.of("run of", model, known)
        news, measured = of_model, mine
    return RunStatus(tuple(news), tuple(measured), time.time())


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
                files.write(mine.path(name), store.content_of(theirs.path(name)))
                copied += 1
            else:
                say(f"{theirs.path(name)} is damaged; it was left out")
    return copied


@dataclass(frozen=True)
class Holding:
    """What is removed from a cache together: a run, or the folder of one that was not finished."""

    used: float
    """When it was last measured, in seconds since 1970."""
    folders: frozenset[str]
    record: Path | None


def clear(cache: Path | None, model: str = "", age: float | None = None, limit: int | None = None) -> int:
    """Remove the measurements of one model or of all; returns the number of bytes freed.

    With an `age` in seconds, only those that were last measured before; with a `limit` in bytes, the oldest until no
    more than that is left.
    """
    folder = cache or files.default_folder()
    before = files.size(folder)
    if not model and age is None and limit is None:
        for name in ("measurements", "records", journal.FOLDER):
            files.clear(folder / name)
        return before - files.size(folder)
    oldest = -math.inf if age is None else time.time() - age
    for holding in holdings(folder, model):
        chosen = age is None and limit is None
        if chosen or holding.used < oldest or (limit is not None and files.size(folder) > limit):
            _remove(folder, holding)
    return before - files.size(folder)


def holdings(folder: Path, model: str = "") -> list[Holding]:
    """What a cache contains of a model, or of all, the oldest first; UnknownName if there is nothing of that model."""
    runs = records.by_file(folder)
    mine = records.of_model(runs.values(), model) if model else list(runs.values())
    if model and not mine:
        raise UnknownName.of("measurement of", model, sorted({record.model for record in runs.values()}))
    held = [
        Holding(path.stat().st_mtime, frozenset(record.folders), path)
        for path, record in runs.items()
        if record in mine
    ]
    if not model:
        owned = {name for record in runs.values() for name in record.folders}
        places = [place.folder for place in store.folders(folder / "measurements") if place.folder.name not in owned]
        held += [
            Holding(max(path.stat().st_mtime for path in place.iterdir()), frozenset({place.name}), None)
            for place in places
        ]
    return sorted(held, key=lambda holding: holding.used)


def _remove(folder: Path, holding: Holding) -> None:
    """Remove a holding, without what other runs need."""
    kept = {
        name for path, record in records.by_file(folder).items() if path != holding.record for name in record.folders
    }
    for name in holding.folders - kept:
        files.clear(folder / "measurements" / name)
    if holding.record is not None:
        holding.record.unlink()
