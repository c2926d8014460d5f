"""Pages from a dissect.json of the reference program: its units, the images next to it, and what it lacks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dissectreport.analysis.results.dissection import Control
from dissectreport.errors import OutputError
from dissectreport.files import Say, locked, silent
from dissectreport.report.common.model import Pairs, core
from dissectreport.report.common.rendering import render
from dissectreport.report.common.summary import Summary
from dissectreport.report.common.table_formats import as_csv, as_json, as_json_file
from dissectreport.report.export.dissect_json import OldDissection, OldLayer, OldUnit
from dissectreport.report.export.imported_strips import Strip, Strips, read_strips
from dissectreport.report.html import images
from dissectreport.report.html.assets import load_assets
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.frame import Assets, Frame, Link, frame, published
from dissectreport.report.html.names import safe_name, safe_names
from dissectreport.report.html.places import FIRST_OF_SITE, OLD, TAKEN, Files, Places
from dissectreport.report.site.build import write_home
from dissectreport.report.site.existing_files import check_folder
from dissectreport.report.site.summaries import address_of_site, read_summaries
from dissectreport.report.site.writing import SiteFolder, Written

SETTINGS = ("model", "segmenter", "layers", "size", "examples", "quantile_threshold", "imgsize", "seed", "rule")
"""Settings that pages show; others are private folders of the person who ran it."""
WARNING = (
    "These numbers are imported from a dissect.json of the reference implementation. It contains each unit's IoU with "
    "its label, but no chance level and no interval. An IoU on these pages may be no larger than the chance level."
)


@dataclass(frozen=True)
class OldCard:
    """An imported unit."""

    unit: OldUnit
    concept: NamedConcept
    strip: str
    """'' where there is no image."""
    damaged: bool
    """Whether there is a file for it, which is damaged."""
    width: int
    """Of the image, in pixels, at the height of a strip."""


@dataclass(frozen=True)
class OldLayerPage:
    """A layer's units."""

    frame: Frame
    model: str
    layer: str
    cards: tuple[OldCard, ...]
    interpretable: int
    labels: tuple[tuple[NamedConcept, int], ...]
    """The labels of interpretable units, each with its number of units."""
    csv: str
    json: str


@dataclass(frozen=True)
class OldOverview:
    """What was imported."""

    frame: Frame
    model: str
    layers: tuple[tuple[Link, int, int, int], ...]
    """Link, units, interpretable units, and units with an image."""
    settings: Pairs
    iou_threshold: float


@dataclass(frozen=True)
class _Import:
    """Imported results, and what all their pages need."""

    results: OldDissection
    model: str
    places: Places
    assets: Assets
    strips: Mapping[str, Strips]
    """By layer."""
    address: str
    """Where the site is published; '' if unknown."""

    def frame(self, here: str, title: str, current: str) -> Frame:
        """The surroundings of a page; `current` names its entry in the menu."""
        words = f"Results of {self.model}, imported from a dissect.json."
        page = published(frame(here, title, words, self.assets), self.address)
        layers = {one.name: self.places.layer(one.name) for one in self.results.layers}
        entries = {"overview": self.places.page("index"), **layers}
        return replace(
            page,
            menu=tuple(Link(page.to(there), words, words == current) for words, there in entries.items()),
            notes=(WARNING,),
            foot=f"{self.model} · imported from a dissect.json",
        )


def write_imported(
    results: OldDissection, image_folder: Path, out: Path, name: str = "", again: bool = False, say: Say = silent
) -> Written:
    """Write pages of imported results into the site at `out`; their images lie below `image_folder`.

    Other results that were imported under the same name, and files of others, are refused, unless `again` allows them
    to be replaced.
    """
    model = name or results.name
    check_folder(out, again)
    with locked(out, say):
        return _write(results, image_folder, SiteFolder(out, again, say), model)


def _write(results: OldDissection, image_folder: Path, target: SiteFolder, model: str) -> Written:
    out = target.out
    summaries = read_summaries(out)
    earlier = [summary for summary in summaries if (summary.model, summary.rule) == (model, OLD)]
    if not target.replace and any(summary.digest not in ("", results.digest) for summary in earlier):
        raise OutputError(
            f"{out} holds other results imported as {model!r}; give these another --name, or say --replace"
        )
    assets, _ = load_assets()
    others = [summary.home for summary in summaries if summary not in earlier]
    home = safe_name(model, [*FIRST_OF_SITE, *others])
    places = Places(home, safe_names([layer.name for layer in results.layers], TAKEN))
    strips = read_strips(results, image_folder, target.say)
    address = address_of_site(summaries)
    return write_home(target, home, _files(_Import(results, model, places, assets, strips, address)), address)


def _files(old: _Import) -> Files:
    places, strips = old.places, old.strips
    files: Files = {}
    for layer in old.results.layers:
        files |= {places.strip(layer.name, unit): one.content for unit, one in strips[layer.name].found.items()}
        table, counts = _table(layer), _controls(layer)
        for kind, write in (("csv", as_csv), ("json", as_json)):
            files[places.data("units", kind, layer.name)] = write(table)
            files[places.data("controls", kind, layer.name)] = write(counts)
        files[places.layer(layer.name)] = render("old_layer.html", _layer_page(old, layer))
    files[places.image("band")] = _band([one for of_layer in strips.values() for one in of_layer.found.values()])
    files[places.page("index")] = render("old.html", _overview(old))
    files[f"{places.home}/summary.json"] = as_json_file(asdict(_summary(old)))
    return files


def _band(strips: list[Strip]) -> bytes:
    """What stands for the model on the first page of the site: the first strip, or a quiet bar."""
    return strips[0].content if strips else images.webp(np.full((32, 256, 3), 128, np.uint8))


def _layer_page(old: _Import, layer: OldLayer) -> OldLayerPage:
    places, strips = old.places, old.strips[layer.name]
    page = old.frame(places.layer(layer.name), f"{layer.name} · {old.model}", layer.name)
    ordered = sorted(layer.units, key=lambda unit: (not unit.interpretable, -(0 if math.isnan(unit.iou) else unit.iou)))
    named = Counter((unit.concept, unit.category) for unit in layer.units if unit.interpretable)

    def card(unit: OldUnit) -> OldCard:
        strip = strips.found.get(unit.unit)
        place = page.to(places.strip(layer.name, unit.unit)) if strip else ""
        concept = NamedConcept(unit.concept, unit.category)
        return OldCard(unit, concept, place, unit.unit in strips.damaged, strip.width if strip else 0)

    return OldLayerPage(
        page,
        old.model,
        layer.name,
        tuple(card(unit) for unit in ordered),
        sum(unit.interpretable for unit in layer.units),
        tuple((NamedConcept(*names), units) for names, units in named.most_common()),
        *(page.to(places.data("units", kind, layer.name)) for kind in ("csv", "json")),
    )


def _overview(old: _Import) -> OldOverview:
    results, places = old.results, old.places
    page = old.frame(places.page("index"), old.model, "overview")
    rows = tuple(
        (
            Link(page.to(places.layer(layer.name)), layer.name),
            len(layer.units),
            sum(unit.interpretable for unit in layer.units),
            len(old.strips[layer.name].found),
        )
        for layer in results.layers
    )
    settings = {name: results.settings[name] for name in SETTINGS if results.settings.get(name) is not None}
    return OldOverview(page, old.model, rows, core(settings), results.iou_threshold)


def _table(layer: OldLayer) -> pd.DataFrame:
    """The table `units` as far as the file has its columns; the others are empty."""
    known = pd.DataFrame(
        {
            "unit": [unit.unit for unit in layer.units],
            "concept": [unit.concept for unit in layer.units],
            "category": [unit.category for unit in layer.units],
            "threshold": [unit.threshold for unit in layer.units],
            "on_fraction": math.nan,
            "kind": "",
            "selection_score": [unit.iou for unit in layer.units],
            "iou": [unit.iou for unit in layer.units],
        }
    )
    empty = (
        "iou_low",
        "iou_high",
        "chance_level",
        "corrected_iou",
        "corrected_iou_low",
        "corrected_iou_high",
        "lift",
        "lift_low",
        "lift_high",
        "iou_areas",
        "iou_image_level",
        *(f"{part}_images{end}" for part in ("between", "within") for end in ("", "_low", "_high")),
    )
    return known.assign(**dict.fromkeys(empty, math.nan), interpretable=[unit.interpretable for unit in layer.units])


def _counts(layer: OldLayer) -> dict[str, float]:
    interpretable = [unit for unit in layer.units if unit.interpretable]
    unknown = dict.fromkeys(("units_low", "units_high", "concepts_low", "concepts_high"), math.nan)
    concepts = len({unit.concept for unit in interpretable})
    return {"units": len(interpretable), "layer_units": len(layer.units), "concepts": concepts, **unknown}


def _controls(layer: OldLayer) -> pd.DataFrame:
    return pd.DataFrame([{"control": Control.MEASURED, "category": "", **_counts(layer)}])


def _summary(old: _Import) -> Summary:
    results, places = old.results, old.places
    size = results.settings.get("size")
    samples = size if isinstance(size, int) else 0
    named = {one.concept for layer in results.layers for one in layer.units if one.interpretable}
    return Summary(
        model=old.model,
        home=places.home,
        assets=old.assets.files,
        rule=OLD,
        samples=samples,
        held_out=samples,
        segmenter=str(results.settings.get("segmenter", "")),
        concepts=len(named),
        units=sum(len(layer.units) for layer in results.layers),
        interpretable=sum(one.interpretable for layer in results.layers for one in layer.units),
        above_chance_note="Imported: no chance level, no interval.",
        images=f"{samples:,} images" if samples else "an unknown number of images",
        band=places.image("band"),
        layers=tuple(
            {"layer": layer.name, "units": len(layer.units), "measured": _counts(layer)} for layer in results.layers
        ),
        title=old.model,
        base_url=old.address,
        digest=results.digest,
    )
