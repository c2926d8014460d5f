"""What was measured, remembered run by run, so that a report can be drawn without any network."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from dissectreport.cache.store import fingerprint, read_json
from dissectreport.errors import CacheError, UnknownName
from dissectreport.files import write
from dissectreport.records.artifacts import ArtifactRecord
from dissectreport.records.interventions import InterventionRecord
from dissectreport.run.plan import FORMAT

VERSION = 2
DESCRIPTION = ".toml"
"""The end of the name of a file that describes a model."""


@dataclass(frozen=True)
class LayerRecord:
    """Where the counts of one layer lie: names of store folders, '' where that control was not measured."""

    name: str
    thresholds: str
    counts: str
    random_directions: str
    untrained: str
    shifted: str = ""


@dataclass(frozen=True)
class Record:
    """One run: a model measured under a rule, with some samples and layers."""

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
    interventions: InterventionRecord | None = None
    artifacts: ArtifactRecord | None = None
    drawn: str = ""
    """Where real images as the segmenter sees them lie."""
    reference: Mapping[str, Any] = field(default_factory=dict)
    """The folder of real images that was given: `folder` (its name), `images`, `unreadable`; empty without one."""
    reads: Mapping[str, Any] = field(default_factory=dict)
    """Likewise the folder whose images the network reads; empty for one that makes images."""
    real: Mapping[str, Any] = field(default_factory=dict)
    """Where the areas of concepts in real images lie (`folder`), and of how many `images`; empty without any."""

    source: str = ""
    """The file that describes or makes the model, where one does (`source_of`); two files are two models."""

    run: int = 0
    """Place among the runs of the same model and rule; the newest has the largest."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was asked for: a run with other settings is kept beside this one, one with the same replaces it."""
        return {
            "samples": self.samples,
            "layers": [layer.name for layer in self.layers],
            "seed": self.plan["seed"],
            "grid": self.plan["grid"],
            "segmenter": self.segmenter["name"],
            "controls": any(layer.random_directions or layer.untrained for layer in self.layers),
        }

    @property
    def identifies(self) -> tuple[str, str, str]:
        """What runs of one model under one rule have in common."""
        return self.model, self.source, self.rule

    @property
    def words(self) -> str:
        """The run, for people who choose among several."""
        asked = self.settings
        bare = "" if asked["controls"] else ", no controls"
        return (
            f"{self.samples:,} samples of {', '.join(asked['layers'])}"
            f" (seed {asked['seed']}, segmenter {asked['segmenter']}, grid {asked['grid']}{bare})"
        )

    def to_json(self) -> dict[str, Any]:
        """The record as values of JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The record that `to_json` gave; TypeError, KeyError or ValueError for other values."""
        interventions, artifacts = value["interventions"], value["artifacts"]
        typed = {
            "layers": tuple(LayerRecord(**layer) for layer in value["layers"]),
            "folders": tuple(value["folders"]),
            "vocabulary": tuple((concept, category) for concept, category in value["vocabulary"]),
            "interventions": interventions and InterventionRecord.from_json(interventions),
            "artifacts": artifacts and ArtifactRecord.from_json(artifacts),
        }
        return cls(**{**value, **typed})

    def save(self, cache: Path) -> None:
        """Remember this run as the newest of its model and rule."""
        others = {path: one for path, one in _readable(cache).items() if one.identifies == self.identifies}
        same = {path: one for path, one in others.items() if one.settings == self.settings}
        newest = max((one.run for one in others.values()), default=0)
        run = max((one.run for one in same.values()), default=0)
        # What an earlier run with the same settings measured stays this model's to clear.
        folders = {*self.folders, *(name for one in same.values() for name in one.folders)}
        kept = replace(self, folders=tuple(sorted(folders)), run=run if 0 < run == newest else newest + 1)
        # Those of an earlier run of the same plan hold until new ones are made.
        before = [one for one in same.values() if one.plan == self.plan]
        if kept.interventions is None:
            earlier = (one.interventions for one in before if one.interventions is not None)
            kept = replace(kept, interventions=next(earlier, None))
        if kept.artifacts is None:
            # Not beside other real images than those that the pages show.
            alike = (one.artifacts for one in before if one.artifacts and one.reference == kept.reference)
            kept = replace(kept, artifacts=next(alike, None))
        path = place(cache, self)
        write(path, json.dumps({"version": VERSION, "format": FORMAT, **kept.to_json()}, indent=1).encode())
        for old in set(same) - {path}:
            old.unlink(missing_ok=True)


@dataclass(frozen=True)
class Wanted:
    """Which run of a model: what is left open may be anything, and the newest that fits is taken."""

    samples: int = 0
    layers: tuple[str, ...] = ()
    seed: int | None = None
    segmenter: str = ""
    grid: int = 0

    @property
    def asked(self) -> Mapping[str, Any]:
        """The settings that are not left open."""
        given = {**vars(self), "layers": list(self.layers)}
        return {name: value for name, value in given.items() if value or (name == "seed" and value is not None)}

    def fits(self, record: Record) -> bool:
        """Whether a run has all the settings that are not left open; the order of layers does not matter."""
        found = {**record.settings, "layers": sorted(record.settings["layers"])}
        asked = {name: sorted(value) if name == "layers" else value for name, value in self.asked.items()}
        return all(found[name] == value for name, value in asked.items())


ANY = Wanted()


def source_of(model: str) -> str:
    """The whole path of the file in an address (mine.toml, ./file.py:function), wherever it was typed; '' for names."""
    place, colon, function = model.rpartition(":")
    if colon and place.endswith(".py"):
        return f"{Path(place).resolve()}:{function}"
    return str(Path(model).resolve()) if model.endswith(DESCRIPTION) else ""


def called(cache: Path, name: str, source: str) -> str:
    """What a model of this name and source is called: `name`, unless another file's model is in the cache under it."""
    if not source:
        return name
    others = {record.model for record in every(cache) if record.source != source}
    folder, digits = Path(source).parent.name, fingerprint({"source": source})[:6]
    return next(each for each in (name, f"{name} ({folder})", f"{name} ({digits})") if each not in others)


def is_of(record: Record, model: str) -> bool:
    """Whether a run is of the model that is typed so: by its file where that is an address, else by its name."""
    source = source_of(model)
    return record.source == source if source else record.model == model


def place(cache: Path, record: Record) -> Path:
    """Where the record of a run lies."""
    return cache / "records" / f"{_stem(record.model, record.rule)}--{fingerprint(record.settings)}.json"


def _stem(model: str, rule: str) -> str:
    return f"{quote(model, safe='')}--{rule}"


def runs(cache: Path, model: str, rule: str) -> list[Record]:
    """The runs of a model under a rule that can be read, the newest first."""
    return sorted(_read_all(cache, model, rule), key=lambda record: -record.run)


def load(cache: Path, model: str, rule: str, wanted: Wanted = ANY) -> Record:
    """The newest run of a model that is wanted; UnknownName says what was measured, CacheError what is wrong."""
    found = runs(cache, model, rule)
    if not found:
        for path in _paths(cache, model, rule):
            _read(path)  # says what is wrong with it
        measured = sorted({record.model for record in every(cache) if record.rule == rule})
        raise UnknownName.of(f"measurement under rule {rule} of", model, measured)
    fitting = [record for record in found if wanted.fits(record)]
    if not fitting:
        asked = ", ".join(f"{k} {','.join(v) if isinstance(v, list) else v}" for k, v in wanted.asked.items())
        raise UnknownName(
            f"no run of {model} under rule {rule} with {asked}; there are {'; '.join(record.words for record in found)}"
        )
    return fitting[0]


def remove(cache: Path, model: str) -> None:
    """Forget every run of a model."""
    for path, record in _readable(cache).items():
        if is_of(record, model):
            path.unlink()


def _paths(cache: Path, model: str, rule: str) -> list[Path]:
    """Files that may hold runs of a model and rule; those of the first versions have no settings in their names."""
    folder, stem = cache / "records", _stem(model, rule)
    return [*folder.glob(f"{stem}.json"), *sorted(folder.glob(f"{stem}--*.json"))]


def _read_all(cache: Path, model: str, rule: str) -> list[Record]:
    return [record for record in every(cache) if record.rule == rule and is_of(record, model)]


def _readable(cache: Path) -> dict[Path, Record]:
    found = {}
    for path in sorted((cache / "records").glob("*.json")):
        with suppress(CacheError):
            found[path] = _read(path)
    return found


def every(cache: Path) -> Iterator[Record]:
    """All records under a cache folder that can be read."""
    yield from _readable(cache).values()


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
    value = read_json(path)
    written = value.pop("version", None), value.pop("format", None)
    if written != (VERSION, FORMAT):
        model = shlex.quote(str(value.get("model", "MODEL")))
        raise CacheError(
            f"{path} has format {_dotted(*written)} of another version of dissectreport, and this one reads "
            f"{_dotted(VERSION, FORMAT)}; run `dissectreport measure {model}` again"
        )
    try:
        return Record.from_json(value)
    except (TypeError, KeyError, ValueError) as error:
        raise CacheError(f"{path} is damaged ({error}); run `dissectreport measure` again") from error


def _dotted(version: object, counts: object) -> str:
    return f"{version}.{counts}"
