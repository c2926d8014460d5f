"""What lies in the cache: its runs and size, damaged files, and removing what is no longer wanted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dissectreport import files
from dissectreport.cache import records, store
from dissectreport.cache.records import Record
from dissectreport.checkpoints import downloads
from dissectreport.errors import UnknownName


@dataclass(frozen=True)
class Run:
    """One measured run."""

    record: Record
    newest: bool
    """Whether it is the newest of several of the same model and rule."""


@dataclass(frozen=True)
class CacheContent:
    """What a cache holds."""

    folder: Path
    runs: tuple[Run, ...]
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


def _newest_first(group: Iterable[Record]) -> list[Run]:
    ordered = sorted(group, key=lambda record: -record.run)
    return [Run(record, len(ordered) > 1 and number == 0) for number, record in enumerate(ordered)]


def damaged(cache: Path | None) -> list[Path]:
    """The files of the cache that cannot be read."""
    folder = (cache or files.default_folder()) / "measurements"
    return [place.path(name) for place in store.folders(folder) for name in place.names() if not place.is_intact(name)]


def clear(cache: Path | None, model: str = "") -> int:
    """Remove what was measured, of one model or of all; returns the bytes that were freed."""
    folder = cache or files.default_folder()
    before = files.size(folder)
    if not model:
        files.clear(folder / "measurements")
        files.clear(folder / "records")
        return before - files.size(folder)
    mine = [record for record in records.every(folder) if records.is_of(record, model)]
    if not mine:
        raise UnknownName.of("measurement of", model, sorted({record.model for record in records.every(folder)}))
    others = {name for record in records.every(folder) if not records.is_of(record, model) for name in record.folders}
    for record in mine:
        for name in set(record.folders) - others:
            files.clear(folder / "measurements" / name)
    records.remove(folder, model)
    return before - files.size(folder)
