"""A record of every measured run, from which a report can be made without any network."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from dissectreport.cache.store import (
    DIGEST,
    check_sealed,
    fingerprint,
    is_store_name,
    read_json,
    sealed_json,
)
from dissectreport.errors import BadOption, CacheError, UnknownName
from dissectreport.files import Say, silent, write
from dissectreport.records.artifacts import ArtifactRecord
from dissectreport.records.classes import ClassRecord
from dissectreport.records.interventions import InterventionRecord
from dissectreport.records.painting import PaintRecord
from dissectreport.run.addresses import CODE, source_of
from dissectreport.run.plain import check_types
from dissectreport.run.plan import FORMAT, Plan
from dissectreport.vocabulary import Concept, Vocabulary

VERSION = 3
MAX_NAME = 120
"""Characters of a model's name in the name of a file."""
OWN_KEYS = ("version", "format", DIGEST)
"""Keys of the file of a record that are no fields of the record."""


@dataclass(frozen=True)
class LayerRecord:
    """The store folders with the counts of one layer. '' or none means that this control was not measured."""

    name: str
    thresholds: str
    counts: str
    random_directions: tuple[str, ...]
    """One folder for each rotation."""
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
    vocabulary: Vocabulary
    generator: Mapping[str, Any]
    segmenter: Mapping[str, Any]
    versions: Mapping[str, str]
    command: str
    folders: tuple[str, ...]
    """Every store folder that the measurement made or used."""
    mixed_devices: bool = False
    interventions: InterventionRecord | None = None
    classes: ClassRecord | None = None
    no_classes: str = ""
    """Why the classes of a classifier were not measured; '' if they were (see `classes`), and for other models."""
    artifacts: ArtifactRecord | None = None
    painting: PaintRecord | None = None
    segmented: str = ""
    """The store folder with segmented real images."""
    reference: Mapping[str, Any] = field(default_factory=dict)
    """The folder of real images that was given: `folder` (its name), `images`, `unreadable`; empty without one."""
    reads: Mapping[str, Any] = field(default_factory=dict)
    """The same for the folder whose images the network reads; empty for a network that makes images."""
    real: Mapping[str, Any] = field(default_factory=dict)
    """The store `folder` with the areas of concepts in real images, and the number of `images`; empty without any."""

    replication: str = ""
    """The store folder with the results of a second measurement of the run's claims; '' if there was none."""
    word_vectors: str = ""
    """The store folder with vectors of images and words; '' where units were not described with words."""
    source: str = ""
    """The file that describes or makes the model, where one does (`source_of`); two files are two models."""

    run: int = 0
    """Number of the run among those of the same model and rule; the newest has the largest."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the run. A later run with the same settings replaces it; others are kept."""
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
        """What identifies a model under a rule."""
        return self.model, self.source, self.rule

    @property
    def words(self) -> str:
        """The run in words, to distinguish several."""
        settings = self.settings
        bare = "" if settings["controls"] else ", no controls"
        return (
            f"{self.samples:,} samples of {', '.join(settings['layers'])}"
            f" (seed {settings['seed']}, segmenter {settings['segmenter']}, grid {settings['grid']}{bare})"
        )

    def to_json(self) -> dict[str, Any]:
        """The record as values of JSON."""
        return {**asdict(self), "vocabulary": self.vocabulary.concepts}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The record that `to_json` gave; TypeError, KeyError or ValueError for other values."""
        interventions, artifacts, painting = value["interventions"], value["artifacts"], value.get("painting")
        classes = value.get("classes")
        typed = {
            "layers": tuple(
                LayerRecord(**{**layer, "random_directions": tuple(layer["random_directions"])})
                for layer in value["layers"]
            ),
            "folders": tuple(value["folders"]),
            "vocabulary": Vocabulary(tuple(Concept(*concept) for concept in value["vocabulary"])),
            "interventions": interventions and InterventionRecord.from_json(interventions),
            "classes": classes and ClassRecord.from_json(classes),
            "artifacts": artifacts and ArtifactRecord.from_json(artifacts),
            "painting": painting and PaintRecord.from_json(painting),
        }
        record = cls(**{**value, **typed})
        check_types(record)
        plan = Plan(**record.plan)
        check_types(plan)
        if record.plan != asdict(plan):
            raise KeyError("a plan without all of its settings")
        if not all(isinstance(network["name"], str) for network in (record.generator, record.segmenter)):
            raise TypeError("a network without a name")
        strange = [name for name in record.folders if not is_store_name(name)]
        if strange:
            raise ValueError(f"{strange[0]!r} is not a folder of measurements")
        return record

    def save(self, cache: Path, say: Say = silent) -> None:
        """Remember this run as the newest of its model and rule; a damaged record that it replaces is reported."""
        path, (readable, unreadable_ones) = record_path(cache, self), _scan(cache)
        if path in unreadable_ones:
            say(f"{path} was damaged or of another version; it is written again")
        others = {at: record for at, record in readable.items() if record.identifies == self.identifies}
        same = {path: record for path, record in others.items() if record.settings == self.settings}
        newest = max((record.run for record in others.values()), default=0)
        run = max((record.run for record in same.values()), default=0)
        # The folders of an earlier run with the same settings are cleared together with this run's.
        folders = {*self.folders, *(name for record in same.values() for name in record.folders)}
        saved = replace(self, folders=tuple(sorted(folders)), run=run if 0 < run == newest else newest + 1)
        # Results of an earlier run of the same plan are valid until new ones are made.
        before = [record for record in same.values() if record.plan == self.plan]
        if saved.interventions is None:
            earlier = (record.interventions for record in before if record.interventions is not None)
            saved = replace(saved, interventions=next(earlier, None))
        if saved.classes is None:
            known = (record.classes for record in before if record.classes is not None)
            saved = replace(saved, classes=next(known, None))
        if saved.artifacts is None:
            # They are valid only for the real images that the pages show.
            alike = (record.artifacts for record in before if record.artifacts and record.reference == saved.reference)
            saved = replace(saved, artifacts=next(alike, None))
        if saved.painting is None:
            exported = (record.painting for record in before if record.painting is not None)
            saved = replace(saved, painting=next(exported, None))
        saved = replace(
            saved,
            replication=saved.replication or next((record.replication for record in before if record.replication), ""),
            word_vectors=saved.word_vectors or next((one.word_vectors for one in before if one.word_vectors), ""),
        )
        write(path, sealed_json({"version": VERSION, "format": FORMAT, **saved.to_json()}, path.name))
        for old in set(same) - {path}:
            old.unlink(missing_ok=True)


@dataclass(frozen=True)
class Wanted:
    """Which run of a model is wanted. Settings with their default may be anything; the newest run that fits is used."""

    samples: int = 0
    layers: tuple[str, ...] = ()
    seed: int | None = None
    segmenter: str = ""
    grid: int = 0

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings that are specified."""
        values = {**vars(self), "layers": list(self.layers)}
        return {name: value for name, value in values.items() if value or (name == "seed" and value is not None)}

    def fits(self, record: Record) -> bool:
        """Whether a run has all specified settings; the order of layers does not matter."""
        measured = {**record.settings, "layers": sorted(record.settings["layers"])}
        settings = {name: sorted(value) if name == "layers" else value for name, value in self.settings.items()}
        return all(measured[name] == value for name, value in settings.items())


ANY = Wanted()


def is_named_by_content(source: str) -> bool:
    """Whether a model of this source has a name of its own: one that is described, or recognised in a checkpoint."""
    return bool(source) and not source.rpartition(":")[0].endswith(CODE)


def unique_name(cache: Path, name: str, source: str) -> str:
    """What a model of this name and source is called: `name`, unless another file's model is in the cache under it."""
    if not source:
        return name
    others = {record.model for record in every(cache) if record.source != source}
    folder = Path(source).parent.name.encode("utf-8", "replace").decode()
    digits = fingerprint({"source": source})[:6]
    return next(
        candidate for candidate in (name, f"{name} ({folder})", f"{name} ({digits})") if candidate not in others
    )


def of_model(runs_of_all: Iterable[Record], model: str) -> list[Record]:
    """The runs of a model: by its file if `model` is an address, else by its name.

    A name of the catalogue comes before a model of a file that has the same name.
    """
    source, every_run = source_of(model), list(runs_of_all)
    if source:
        return [record for record in every_run if record.source == source]
    named = [record for record in every_run if record.model == model]
    return [record for record in named if not record.source] or named


def record_path(cache: Path, record: Record) -> Path:
    """The file of a run's record."""
    facts = {**record.settings, "source": record.source} if record.source else record.settings
    return cache / "records" / f"{_stem(record.model, record.rule)}--{fingerprint(facts)}.json"


def _stem(model: str, rule: str) -> str:
    """The beginning of the names of a model's records; file systems take no more than 255 bytes in all."""
    name = quote(os.fsencode(model), safe="")
    if len(name) > MAX_NAME:
        name = f"{name[:MAX_NAME]}-{fingerprint({'model': model})}"
    return f"{name}--{rule}"


def runs(cache: Path, model: str, rule: str) -> list[Record]:
    """The runs of a model under a rule that can be read, the newest first."""
    return sorted(_read_all(cache, model, rule), key=lambda record: -record.run)


def load(cache: Path, model: str, rule: str, wanted: Wanted = ANY) -> Record:
    """The newest run that fits; an UnknownName names the measured ones, a CacheError a damaged or outdated file."""
    candidates = runs(cache, model, rule)
    if not candidates:
        for path in _paths(cache, model, rule):
            _read(path)  # Raises an error that explains what is wrong.
        measured = sorted({record.model for record in every(cache) if record.rule == rule})
        raise UnknownName.of(f"measurement under rule {rule} of", model, measured)
    fitting = [record for record in candidates if wanted.fits(record)]
    if not fitting:
        settings = ", ".join(f"{k} {','.join(v) if isinstance(v, list) else v}" for k, v in wanted.settings.items())
        others = "; ".join(record.words for record in candidates)
        raise UnknownName(f"no run of {model} under rule {rule} with {settings}; there are {others}")
    return fitting[0]


def _paths(cache: Path, model: str, rule: str) -> list[Path]:
    """Files that may hold runs of a model and rule; those of the first versions have no settings in their names."""
    folder, stem = cache / "records", _stem(model, rule)
    return [*folder.glob(f"{stem}.json"), *sorted(folder.glob(f"{stem}--*.json"))]


def _read_all(cache: Path, model: str, rule: str) -> list[Record]:
    return of_model((record for record in every(cache) if record.rule == rule), model)


def _scan(cache: Path) -> tuple[dict[Path, Record], dict[Path, str]]:
    """The records under a cache folder by their files, and of each file that holds none that can be read, why."""
    readable, unreadable_ones = {}, {}
    for path in sorted((cache / "records").glob("*.json")):
        try:
            readable[path] = _read(path)
        except CacheError as error:
            unreadable_ones[path] = str(error)
    return readable, unreadable_ones


def by_file(cache: Path) -> dict[Path, Record]:
    """The records under a cache folder that can be read, by their files."""
    return _scan(cache)[0]


def every(cache: Path) -> Iterator[Record]:
    """All records under a cache folder that can be read."""
    yield from _scan(cache)[0].values()


def unreadable(cache: Path) -> list[str]:
    """Why records cannot be read, one line for each."""
    return list(_scan(cache)[1].values())


def damaged(cache: Path) -> list[Path]:
    """The files of records that cannot be read."""
    return list(_scan(cache)[1])


def _read(path: Path) -> Record:
    value = read_json(path)
    written = value.get("version"), value.get("format")
    if written != (VERSION, FORMAT):
        model = shlex.quote(str(value.get("model", "MODEL")))
        raise CacheError(
            f"{path} has format {_dotted(*written)} of another version of dissectreport, and this one reads "
            f"{_dotted(VERSION, FORMAT)}; run `dissectreport measure {model}` again"
        )
    check_sealed(value, path)
    try:
        return Record.from_json({name: item for name, item in value.items() if name not in OWN_KEYS})
    except (TypeError, KeyError, ValueError, AttributeError, BadOption, UnknownName) as error:
        raise CacheError(f"{path} is damaged ({error}); run `dissectreport measure` again") from error


def _dotted(version: object, counts: object) -> str:
    return f"{version}.{counts}"
