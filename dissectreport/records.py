"""What was measured, remembered by model and rule, so that a report can be drawn without any network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dissectreport.errors import CacheError, UnknownName
from dissectreport.plan import FORMAT
from dissectreport.store import read_json, write

VERSION = 1


@dataclass(frozen=True)
class LayerRecord:
    """Where the counts of one layer lie: names of store folders, '' where that control was not measured."""

    name: str
    levels: str
    counts: str
    rotated: str
    untrained: str
    shifted: str = ""


@dataclass(frozen=True)
class Record:
    """One measured model under one rule."""

    model: str
    rule: str
    plan: Mapping[str, Any]
    samples: int
    layers: tuple[LayerRecord, ...]
    pictures: str
    vocabulary: tuple[tuple[str, str], ...]
    """(concept, category) by concept number."""
    generator: Mapping[str, Any]
    segmenter: Mapping[str, Any]
    versions: Mapping[str, str]
    command: str
    folders: tuple[str, ...]
    """Every store folder that the measurement made or used."""
    mixed_devices: bool = False
    interventions: Mapping[str, Any] = field(default_factory=dict)
    """What the interventions were and where they lie; empty where none were made."""

    def save(self, cache: Path) -> None:
        """Remember this record under its model and rule."""
        path = place(cache, self.model, self.rule)
        folders = set(self.folders)
        if path.exists():
            # What an earlier run with other settings measured stays this model's to clear.
            with suppress(CacheError):
                folders |= set(_read(path).folders)
        kept = replace(self, folders=tuple(sorted(folders)))
        write(path, json.dumps({"version": VERSION, "format": FORMAT, **asdict(kept)}, indent=1).encode())


def place(cache: Path, model: str, rule: str) -> Path:
    """Where the record of a model and rule lies."""
    return cache / "records" / f"{quote(model, safe='')}--{rule}.json"


def load(cache: Path, model: str, rule: str) -> Record:
    """The record of a model and rule; UnknownName says what was measured, CacheError what is wrong with it."""
    path = place(cache, model, rule)
    if not path.exists():
        measured = sorted({record.model for record in every(cache) if record.rule == rule})
        raise UnknownName.of(f"measurement under rule {rule} of", model, measured)
    return _read(path)


def every(cache: Path) -> Iterator[Record]:
    """All records under a cache folder that can be read."""
    for path in sorted((cache / "records").glob("*.json")):
        with suppress(CacheError):
            yield _read(path)


def unreadable(cache: Path) -> list[str]:
    """What is wrong with the records that cannot be read, a line each."""
    lines = []
    for path in sorted((cache / "records").glob("*.json")):
        try:
            _read(path)
        except CacheError as error:
            lines.append(str(error))
    return lines


def _read(path: Path) -> Record:
    held = read_json(path)
    if (held.pop("version", None), held.pop("format", None)) != (VERSION, FORMAT):
        raise CacheError(f"{path} was written by another version of dissectreport; run `dissectreport measure` again")
    try:
        held["layers"] = tuple(LayerRecord(**layer) for layer in held["layers"])
        held["folders"] = tuple(held["folders"])
        held["vocabulary"] = tuple((concept, category) for concept, category in held["vocabulary"])
        return Record(**held)
    except (TypeError, KeyError, ValueError) as error:
        raise CacheError(f"{path} is damaged ({error}); run `dissectreport measure` again") from error
