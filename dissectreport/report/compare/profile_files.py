"""The file of each model from which comparisons are computed: its profile, and the address of its pages."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dissectreport import structured
from dissectreport.analysis.comparison.profiles import (
    UNKNOWN,
    Best,
    Causes,
    ConceptUnits,
    Effect,
    Estimate,
    LayerProfile,
    Measure,
    Profile,
    Quality,
    Training,
    UnitCount,
    profile_of,
)
from dissectreport.errors import OutputError
from dissectreport.report.common.ledger import read_file
from dissectreport.report.common.model import Site
from dissectreport.report.common.table_formats import without_nan
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.places import CARD_ENDS, COMPARE
from dissectreport.vocabulary import Concept

VERSION = 2
"""Changes whenever a comparison could not read what an earlier render wrote."""
DIGITS = 4

Plain = dict[str, Any]


@dataclass(frozen=True)
class Sited:
    """A profile, and where the pages of its model lie."""

    home: str
    tile: int
    """Width of one image of a strip."""
    profile: Profile
    folders: Mapping[str, str]
    """The folder of each layer."""
    unit_ends: tuple[str, str]
    """The text before and after a unit's number in its address within the layer's folder."""
    digest: str
    """SHA-256 of the file."""

    def card(self, layer: str, unit: int) -> str:
        """The card of a unit on the page of its layer, which a site of any size has."""
        return f"{self.home}/{self.folders[layer]}/{str(unit).join(CARD_ENDS)}"

    def strip(self, layer: str, unit: int) -> str:
        """The strip of a unit."""
        return f"{self.home}/{self.folders[layer]}/img/{unit}.webp"

    def picture(self, number: int) -> str:
        """One generated image."""
        return f"{self.home}/img/{number}.webp"


def profile_file(site: Site) -> bytes:
    """The model's file for comparisons."""
    return f"{json.dumps(without_nan(plain(site)), allow_nan=False, separators=(',', ':'))}\n".encode()


def plain(site: Site) -> Plain:
    """The profile as plain JSON values; concepts by their place in the vocabulary, figures as [value, low, high]."""
    profile = profile_of(site.dissection)
    at = {concept: i for i, concept in enumerate(profile.vocabulary)}
    return {
        "version": VERSION,
        "home": site.places.home,
        "tile": site.tile,
        "unit_ends": list(site.places.unit_ends),
        "model": profile.model,
        "title": profile.title,
        "rule": profile.rule,
        "seed": profile.seed,
        "samples": profile.samples,
        "held_out": profile.held_out,
        "grid": profile.grid,
        "segmenter": [profile.segmenter, profile.segmenter_identity],
        "latents": list(profile.latents),
        "training": [
            profile.training.family,
            profile.training.variant,
            _number(profile.training.images),
            _number(profile.training.steps),
        ],
        "concepts": [
            [
                *concept,
                mark_of(concept.category),
                int(concept in profile.tested),
                *_figure(profile.areas.get(concept, UNKNOWN), 6),
            ]
            for concept in profile.vocabulary
        ],
        "layers": [_layer(layer, site.places.layers[layer.name], at) for layer in profile.layers],
        "causes": profile.causes and _causes(profile.causes, at),
        "quality": profile.quality
        and [
            profile.quality.features,
            [[m.name, *_figure(m.estimate), int(m.less_is_better)] for m in profile.quality.measures],
        ],
        "pictures": list(profile.pictures),
        "notes": list(profile.notes),
    }


def _number(value: float, digits: int = DIGITS) -> float | int | None:
    if math.isnan(value):
        return None
    return int(value) if value == int(value) else round(value, digits)


def _figure(estimate: Estimate, digits: int = DIGITS) -> list[float | int | None]:
    return [_number(end, digits) for end in (estimate.value, estimate.low, estimate.high)]


def _layer(layer: LayerProfile, folder: str, at: Mapping[Concept, int]) -> Plain:
    return {
        "name": layer.name,
        "folder": folder,
        "units": layer.units,
        "size": [layer.height, layer.width],
        "counts": {name: [_figure(one.units), _figure(one.concepts)] for name, one in layer.counts.items()},
        "categories": {
            category: {control: _figure(one) for control, one in counts.items()}
            for category, counts in layer.categories.items()
        },
        "concepts": [
            [at[concept], *_figure(one.measured), *_figure(one.chance_level)] for concept, one in layer.concepts.items()
        ],
        "spread": [[_number(iou, 3), _number(chance_level, 3), int(good)] for iou, chance_level, good in layer.spread],
        "best": [
            [
                at[concept],
                one.unit,
                int(one.interpretable),
                *_figure(one.iou),
                _number(one.chance_level),
                *_figure(one.corrected_iou),
                _number(one.lift),
                list(one.samples),
            ]
            for concept, one in layer.best.items()
        ],
        "labels": [-1 if label is None else at[label] for label in layer.labels],
        "mean_corrected_iou": _figure(layer.mean_corrected_iou),
    }


def _causes(causes: Causes, at: Mapping[Concept, int]) -> Plain:
    return {
        "layer": causes.layer,
        "samples": causes.samples,
        "effects": [
            [
                at[concept],
                one.ranking,
                one.units,
                *_figure(one.removed),
                *_figure(one.random),
                *_figure(one.difference),
            ]
            for concept, one in causes.effects.items()
        ],
    }


def read_sited(out: Path, home: str) -> Sited:
    """The profile in a model's folder of a site; OutputError where there is none that can be read."""
    path = out / home / "data" / f"{COMPARE}.json"
    try:
        content = read_file(out, f"{home}/data/{COMPARE}.json")
        profile = structured.parse_json(content)
        if profile["version"] != VERSION:
            raise ValueError(f"version {profile['version']}")
        return _sited(profile, hashlib.sha256(content).hexdigest())
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise OutputError(
            f"{path} cannot be read ({error}); render {home} again with this version of dissectreport"
        ) from error


def _sited(values: Plain, digest: str) -> Sited:
    names = tuple(Concept(str(row[0]), str(row[1])) for row in values["concepts"])
    causes = values["causes"]
    profile = Profile(
        model=values["model"],
        title=values["title"],
        rule=values["rule"],
        seed=values["seed"],
        samples=values["samples"],
        held_out=values["held_out"],
        grid=values["grid"],
        segmenter=values["segmenter"][0],
        segmenter_identity=values["segmenter"][1],
        latents=tuple(values["latents"]),
        training=Training(values["training"][0], values["training"][1], *map(_float, values["training"][2:])),
        vocabulary=names,
        tested=frozenset(name for name, row in zip(names, values["concepts"], strict=True) if row[3]),
        areas={n: _read(row[4:]) for n, row in zip(names, values["concepts"], strict=True) if row[4] is not None},
        layers=tuple(_read_layer(layer, names) for layer in values["layers"]),
        causes=causes
        and Causes(causes["layer"], causes["samples"], {names[r[0]]: _effect(r) for r in causes["effects"]}),
        quality=values["quality"]
        and Quality(
            values["quality"][0], tuple(Measure(r[0], _read(r[1:4]), bool(r[4])) for r in values["quality"][1])
        ),
        pictures=tuple(values["pictures"]),
        notes=tuple(values["notes"]),
    )
    return Sited(
        values["home"],
        values["tile"],
        profile,
        {layer["name"]: layer["folder"] for layer in values["layers"]},
        tuple(values["unit_ends"]),
        digest,
    )


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _read(ends: Sequence[float | None]) -> Estimate:
    value, low, high = map(_float, ends)
    return Estimate(value, low, high)


def _effect(row: Sequence[Any]) -> Effect:
    return Effect(row[1], row[2], _read(row[3:6]), _read(row[6:9]), _read(row[9:12]))


def _read_layer(values: Plain, names: Sequence[Concept]) -> LayerProfile:
    return LayerProfile(
        name=values["name"],
        units=values["units"],
        height=values["size"][0],
        width=values["size"][1],
        counts={name: UnitCount(_read(units), _read(concepts)) for name, (units, concepts) in values["counts"].items()},
        categories={
            category: {control: _read(ends) for control, ends in counts.items()}
            for category, counts in values["categories"].items()
        },
        concepts={names[r[0]]: ConceptUnits(_read(r[1:4]), _read(r[4:7])) for r in values["concepts"]},
        spread=tuple((iou, chance_level, bool(interpretable)) for iou, chance_level, interpretable in values["spread"]),
        best={
            names[r[0]]: Best(
                r[1], bool(r[2]), _read(r[3:6]), _float(r[6]), _read(r[7:10]), _float(r[10]), tuple(r[11])
            )
            for r in values["best"]
        },
        labels=tuple(None if number < 0 else names[number] for number in values["labels"]),
        mean_corrected_iou=_read(values["mean_corrected_iou"]) if "mean_corrected_iou" in values else UNKNOWN,
    )
