"""The file beside each model that a comparison reads: its profile, and where its pages lie.

It is a classic script, so that a page that was opened from a folder can load it; here the same file is read as JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dissectreport.analysis.comparison.profiles import (
    UNKNOWN,
    Best,
    Causes,
    Concept,
    ConceptUnits,
    Count,
    Effect,
    Estimate,
    LayerProfile,
    Measure,
    Profile,
    Quality,
    Training,
    profile_of,
)
from dissectreport.errors import OutputError
from dissectreport.report.common.model import Site
from dissectreport.report.common.tables import without_nan
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.places import CARD_ENDS, COMPARE

VERSION = 1
"""Changes whenever a page of comparison could not read what an earlier render wrote."""
CALL = "dissectreport.profile("
DIGITS = 4

Wire = dict[str, Any]


@dataclass(frozen=True)
class Sited:
    """A profile, and where the pages of its model lie."""

    home: str
    tile: int
    """Width of one image of a strip."""
    profile: Profile
    folders: Mapping[str, str]
    """The folder of each layer."""

    def card(self, layer: str, unit: int) -> str:
        """The card of a unit on the page of its layer, which a site of any size has."""
        return f"{self.home}/{self.folders[layer]}/{str(unit).join(CARD_ENDS)}"

    def strip(self, layer: str, unit: int) -> str:
        """The strip of a unit."""
        return f"{self.home}/{self.folders[layer]}/img/{unit}.webp"

    def picture(self, number: int) -> str:
        """One generated image."""
        return f"{self.home}/img/{number}.webp"


def script(site: Site) -> bytes:
    """The model's file for comparisons."""
    return f"{CALL}{json.dumps(without_nan(wire(site)), allow_nan=False, separators=(',', ':'))});\n".encode()


def wire(site: Site) -> Wire:
    """The profile as plain JSON values; concepts by their place in the vocabulary, figures as [value, low, high]."""
    one = profile_of(site.dissection)
    at = {concept: i for i, concept in enumerate(one.vocabulary)}
    return {
        "version": VERSION,
        "home": site.places.home,
        "tile": site.tile,
        "unit_ends": list(site.places.unit_ends),
        "model": one.model,
        "title": one.title,
        "rule": one.rule,
        "seed": one.seed,
        "samples": one.samples,
        "scoring": one.scoring,
        "grid": one.grid,
        "segmenter": [one.segmenter, one.segmenter_identity],
        "latents": list(one.latents),
        "training": [
            one.training.family,
            one.training.variant,
            _number(one.training.images),
            _number(one.training.steps),
        ],
        "concepts": [
            [*concept, mark_of(concept[1]), int(concept in one.tested), *_figure(one.areas.get(concept, UNKNOWN), 6)]
            for concept in one.vocabulary
        ],
        "layers": [_layer(layer, site.places.layers[layer.name], at) for layer in one.layers],
        "causes": one.causes and _causes(one.causes, at),
        "quality": one.quality
        and [
            one.quality.features,
            [[m.name, *_figure(m.estimate), int(m.less_is_better)] for m in one.quality.measures],
        ],
        "pictures": list(one.pictures),
        "notes": list(one.notes),
    }


def _number(value: float, digits: int = DIGITS) -> float | int | None:
    if math.isnan(value):
        return None
    return int(value) if value == int(value) else round(value, digits)


def _figure(found: Estimate, digits: int = DIGITS) -> list[float | int | None]:
    return [_number(end, digits) for end in (found.value, found.low, found.high)]


def _layer(layer: LayerProfile, folder: str, at: Mapping[Concept, int]) -> Wire:
    return {
        "name": layer.name,
        "folder": folder,
        "units": layer.units,
        "size": [layer.height, layer.width],
        "counts": {name: [_figure(one.units), _figure(one.concepts)] for name, one in layer.counts.items()},
        "categories": {
            category: {control: _figure(one) for control, one in found.items()}
            for category, found in layer.categories.items()
        },
        "concepts": [
            [at[concept], *_figure(one.measured), *_figure(one.null)] for concept, one in layer.concepts.items()
        ],
        "spread": [[_number(iou, 3), _number(null, 3), int(sure)] for iou, null, sure in layer.spread],
        "best": [
            [
                at[concept],
                one.unit,
                int(one.sure),
                *_figure(one.iou),
                _number(one.null),
                *_figure(one.excess),
                _number(one.lift),
                list(one.samples),
            ]
            for concept, one in layer.best.items()
        ],
        "labels": [-1 if label is None else at[label] for label in layer.labels],
        "mean_iou": _figure(layer.mean_iou),
    }


def _causes(found: Causes, at: Mapping[Concept, int]) -> Wire:
    return {
        "layer": found.layer,
        "samples": found.samples,
        "effects": [
            [
                at[concept],
                one.order,
                one.units,
                *_figure(one.removed),
                *_figure(one.random),
                *_figure(one.beyond),
            ]
            for concept, one in found.effects.items()
        ],
    }


def read_sited(out: Path, home: str) -> Sited:
    """The profile in a model's folder of a site; OutputError where there is none that can be read."""
    path = out / home / "data" / f"{COMPARE}.js"
    try:
        held = json.loads(path.read_text("utf-8").removeprefix(CALL).removesuffix(");\n"))
        if held["version"] != VERSION:
            raise ValueError(f"version {held['version']}")
        return _sited(held)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise OutputError(
            f"{path} cannot be read ({error}); draw {home} again with this version of dissectreport"
        ) from error


def _sited(held: Wire) -> Sited:
    names = tuple((str(row[0]), str(row[1])) for row in held["concepts"])
    causes = held["causes"]
    profile = Profile(
        model=held["model"],
        title=held["title"],
        rule=held["rule"],
        seed=held["seed"],
        samples=held["samples"],
        scoring=held["scoring"],
        grid=held["grid"],
        segmenter=held["segmenter"][0],
        segmenter_identity=held["segmenter"][1],
        latents=tuple(held["latents"]),
        training=Training(held["training"][0], held["training"][1], *map(_float, held["training"][2:])),
        vocabulary=names,
        tested=frozenset(name for name, row in zip(names, held["concepts"], strict=True) if row[3]),
        areas={n: _read(row[4:]) for n, row in zip(names, held["concepts"], strict=True) if row[4] is not None},
        layers=tuple(_read_layer(layer, names) for layer in held["layers"]),
        causes=causes
        and Causes(causes["layer"], causes["samples"], {names[r[0]]: _effect(r) for r in causes["effects"]}),
        quality=held["quality"]
        and Quality(held["quality"][0], tuple(Measure(r[0], _read(r[1:4]), bool(r[4])) for r in held["quality"][1])),
        pictures=tuple(held["pictures"]),
        notes=tuple(held["notes"]),
    )
    return Sited(
        held["home"],
        held["tile"],
        profile,
        {layer["name"]: layer["folder"] for layer in held["layers"]},
    )


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _read(ends: Sequence[float | None]) -> Estimate:
    value, low, high = map(_float, ends)
    return Estimate(value, low, high)


def _effect(row: Sequence[Any]) -> Effect:
    return Effect(row[1], row[2], _read(row[3:6]), _read(row[6:9]), _read(row[9:12]))


def _read_layer(held: Wire, names: Sequence[Concept]) -> LayerProfile:
    return LayerProfile(
        name=held["name"],
        units=held["units"],
        height=held["size"][0],
        width=held["size"][1],
        counts={name: Count(_read(units), _read(concepts)) for name, (units, concepts) in held["counts"].items()},
        categories={
            category: {control: _read(ends) for control, ends in found.items()}
            for category, found in held["categories"].items()
        },
        concepts={names[r[0]]: ConceptUnits(_read(r[1:4]), _read(r[4:7])) for r in held["concepts"]},
        spread=tuple((iou, null, bool(sure)) for iou, null, sure in held["spread"]),
        best={
            names[r[0]]: Best(
                r[1], bool(r[2]), _read(r[3:6]), _float(r[6]), _read(r[7:10]), _float(r[10]), tuple(r[11])
            )
            for r in held["best"]
        },
        labels=tuple(None if number < 0 else names[number] for number in held["labels"]),
        mean_iou=_read(held["mean_iou"]) if "mean_iou" in held else UNKNOWN,
    )
