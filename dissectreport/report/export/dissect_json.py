"""The reference's dissect.json (Bau et al. 2019), written from a dissection and read from old results."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from dissectreport import files, structured
from dissectreport.analysis.results.dissection import Dissection, ExampleKind, Layer
from dissectreport.errors import BadOption
from dissectreport.report.common.model import rows_of
from dissectreport.report.common.unit_cards import STRIP
from dissectreport.report.html import images
from dissectreport.report.html.names import safe_names
from dissectreport.report.html.strips import strip_of
from dissectreport.version import __version__

Json = dict[str, Any]
NO_LABEL = "-"
"""The concept of a unit without one, in the reference's words."""
IMAGE_DIGEST = "image_sha256"
"""What this program adds to a unit; the reference's page does not read it."""


def dissect_json(dissection: Dissection, pictures: Mapping[str, bytes]) -> bytes:
    """A dissection in the reference's format; that cannot contain chance levels, intervals, controls and effects.

    A ranking has the IoU of each unit's leading concepts; that of others is written as 0. The `pictures` are those of
    `old_pictures`: the file contains their digests, so that damage to them is noticed.
    """
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in pictures.items()}
    facts = dissection.provenance
    numbers = {str(name): number for number, name in enumerate(dissection.vocabulary["concept"])}
    folders = safe_names([layer.name for layer in dissection.layers])
    named = Counter(str(c) for layer in dissection.layers for c in layer.interpretable["concept"])
    ranked = sorted(named, key=lambda concept: (-named[concept], numbers[concept]))
    content = {
        "netname": dissection.title,
        "meta": {"dissectreport": __version__, "command": facts.command},
        "default_ranking": "label",
        "quantile_threshold": facts.rule,
        "settings": {
            "model": dissection.model,
            "segmenter": facts.segmenter.get("name", ""),
            "layers": [layer.name for layer in dissection.layers],
            "size": facts.samples,
            "seed": facts.seed,
            "rule": facts.rule,
            "thresholds": dict(facts.thresholds),
        },
        "iou_threshold": float(facts.thresholds.get("iou", 0.0)),
        "segcolors": _colours(dissection),
        "layers": [_layer(layer, folders[layer.name], numbers, ranked, digests) for layer in dissection.layers],
    }
    return (json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _colours(dissection: Dissection) -> dict[str, str]:
    colours = images.concept_colours(dissection.vocabulary).tolist()
    names: dict[str, list[str]] = {}
    for colour, name in zip(colours, dissection.vocabulary["concept"], strict=True):
        names.setdefault(",".join(map(str, colour)), []).append(str(name))
    return {colour: "/".join(concepts) for colour, concepts in names.items()}


def _layer(
    layer: Layer, folder: str, numbers: Mapping[str, int], ranked: Sequence[str], digests: Mapping[str, str]
) -> Json:
    table = layer.table
    labels = _labels(layer, numbers)
    return {
        "layer": layer.name,
        "units": [_unit(layer, row, numbers, digests[_picture(folder, int(row.unit))]) for row in rows_of(table)],
        "rankings": [
            {"name": "unit", "score": list(range(layer.units))},
            {"name": "label", "score": _by_label(table, numbers)},
            {"name": "max iou", "metric": "iou", "score": (-table["iou"].fillna(0.0)).tolist()},
            *(_ranking(layer, concept) for concept in ranked),
        ],
        "labels": labels,
        "interpretable": len(layer.interpretable),
        "dirname": folder,
    }


def _unit(layer: Layer, row: Any, numbers: Mapping[str, int], digest: str) -> Json:
    shown, unit = layer.examples, int(row.unit)
    top = [
        {"imgnum": int(sample), "maxact": float(peak)}
        for kind, sample, peak in zip(shown.kind.tolist(), shown.samples[unit], shown.peaks[unit], strict=True)
        if kind == ExampleKind.TOP
    ]
    concept = str(row.concept) or NO_LABEL
    known = {"level": float(row.threshold), "iou": float(row.iou)}
    return {
        "unit": unit,
        "interp": bool(row.interpretable),
        **{name: value for name, value in known.items() if not math.isnan(value)},
        "top": top,
        "iou_labelnum": numbers.get(concept, 0),
        "iou_label": concept,
        "iou_cat": str(row.category) or NO_LABEL,
        IMAGE_DIGEST: digest,
    }


def _by_label(table: pd.DataFrame, numbers: Mapping[str, int]) -> list[int]:
    """The place of each unit: interpretable ones first, then by how common and how good their label is."""
    common = table["concept"].map(table["concept"].value_counts())
    best = table["concept"].map(table.groupby("concept")["iou"].max())
    number = table["concept"].map(lambda concept: numbers.get(str(concept), 0))
    keys = zip(~table["interpretable"], -common, -best.fillna(0), number, -table["iou"].fillna(0), strict=True)
    order = [at for _, at in sorted((key, at) for at, key in enumerate(keys))]
    places = [0] * len(table)
    for place, at in enumerate(order):
        places[at] = place
    return places


def _ranking(layer: Layer, concept: str) -> Json:
    score = [0.0] * layer.units
    for row in rows_of(layer.pairs[layer.pairs["concept"] == concept]):
        score[int(row.unit)] = 0.0 if math.isnan(row.iou) else -float(row.iou)
    return {"name": f"{concept}-iou", "concept": concept, "metric": "iou", "score": score}


def _labels(layer: Layer, numbers: Mapping[str, int]) -> list[Json]:
    """The concepts of interpretable units, within each category the commonest first."""
    groups = layer.interpretable.groupby(["category", "concept"], sort=False)
    labels = [
        {"label": str(concept), "labelnum": numbers[str(concept)], "units": rows["unit"].tolist(), "cat": str(category)}
        for (category, concept), rows in groups
    ]
    best = layer.interpretable.groupby("concept")["iou"].max()
    order = list(dict.fromkeys(layer.interpretable["category"].sort_values()))
    return sorted(
        labels, key=lambda label: (order.index(label["cat"]), -len(label["units"]), -float(best[label["label"]]))
    )


def old_pictures(dissection: Dissection) -> dict[str, bytes]:
    """The strips of all units under the names under which the reference's page expects them, next to its file."""
    folders = safe_names([layer.name for layer in dissection.layers])
    return {
        _picture(folders[layer.name], unit): _jpeg(strip_of(dissection, layer, unit, STRIP))
        for layer in dissection.layers
        for unit in range(layer.units)
    }


def _picture(folder: str, unit: int) -> str:
    """The name of a unit's strip."""
    return f"{folder}/image/{unit}-top.jpg"


def _jpeg(pixels: images.Bytes) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=85)
    return out.getvalue()


@dataclass(frozen=True)
class OldUnit:
    """A unit in an imported file."""

    unit: int
    concept: str
    """'' where it has none."""
    category: str
    iou: float
    threshold: float
    interpretable: bool
    top: tuple[tuple[int, float], ...]
    """Number and largest activation of the images with its highest activations."""
    image_digest: str
    """SHA-256 of the file of its images; '' where the file was not written by this program."""


@dataclass(frozen=True)
class OldLayer:
    """A layer in an imported file."""

    name: str
    units: tuple[OldUnit, ...]
    folder: str
    """The folder of its images, next to the file."""


@dataclass(frozen=True)
class OldDissection:
    """The content of an imported file."""

    name: str
    layers: tuple[OldLayer, ...]
    iou_threshold: float
    settings: Mapping[str, Any]
    digest: str = ""
    """SHA-256 of the file."""


def read_dissect_json(path: Path) -> OldDissection:
    """The content of a dissect.json; BadOption where the file is not one."""
    try:
        content = files.read(path, 512 * structured.MEGABYTE, links=True)
        parsed = structured.parse_json(content, nan=True)
    except FileNotFoundError as error:
        raise BadOption(f"there is no file {path}") from error
    except (OSError, ValueError) as error:
        raise BadOption(f"{path} cannot be read as JSON: {error}") from error
    try:
        imported = _dissection(parsed, path.resolve().parent.name)
        return replace(imported, digest=hashlib.sha256(content).hexdigest())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise BadOption(f"{path} is not a dissect.json of the reference implementation: {reason}") from error


def _dissection(entry: Mapping[str, Any], folder: str) -> OldDissection:
    layers = tuple(_old_layer(layer) for layer in entry["layers"])
    names = [layer.name for layer in layers]
    if not layers or len(set(names)) < len(names):
        raise ValueError("it needs layers with different names")
    settings = entry.get("settings") or {}
    return OldDissection(folder or "imported", layers, _number(_first(entry.get("iou_threshold"))), dict(settings))


def _first(value: Any) -> Any:
    """The reference writes a number as a list of one in some places."""
    return value[0] if isinstance(value, list) and value else value


def _old_layer(entry: Mapping[str, Any]) -> OldLayer:
    name = str(entry["layer"])
    units = tuple(_old_unit(unit) for unit in entry["units"])
    if not units or len({unit.unit for unit in units}) < len(units):
        raise ValueError(f"layer {name} needs units with different numbers")
    return OldLayer(name, units, str(entry.get("dirname") or name))


def _old_unit(entry: Mapping[str, Any]) -> OldUnit:
    concept = str(entry.get("iou_label") or "")
    named = concept not in ("", NO_LABEL)
    top = tuple((int(image["imgnum"]), _number(image.get("maxact"))) for image in entry.get("top") or ())
    return OldUnit(
        unit=_whole(entry["unit"]),
        concept=concept if named else "",
        category=str(entry.get("iou_cat") or "") if named else "",
        iou=_share(entry.get("iou")),
        threshold=_number(entry.get("level")),
        interpretable=bool(entry.get("interp", False)),
        top=top,
        image_digest=str(entry.get(IMAGE_DIGEST) or ""),
    )


def _whole(value: Any) -> int:
    """The number of a unit."""
    number = int(value)
    if number != value or number < 0 or isinstance(value, bool):
        raise ValueError(f"{value!r} is no number of a unit")
    return number


def _share(value: Any) -> float:
    """An IoU."""
    number = _number(value)
    if not (math.isnan(number) or 0 <= number <= 1):
        raise ValueError(f"an IoU is between 0 and 1, not {number:g}")
    return number


def _number(value: Any) -> float:
    """NaN where there is none, or one that is not finite."""
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else math.nan
