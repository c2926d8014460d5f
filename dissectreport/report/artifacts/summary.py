"""What the tables of artifact units say, in rows and in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dissectreport.analysis.artifacts.quality import MEASURES
from dissectreport.analysis.artifacts.selection import SURE
from dissectreport.analysis.results.artifacts import CHOICE, COLUMNS, MARKED, RULE, Artifacts
from dissectreport.analysis.results.dissection import Layer
from dissectreport.report.common.model import Pairs, Site, flat, rows_of
from dissectreport.report.html.charts import Point
from dissectreport.report.html.effect_charts import RANDOM, Curve
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.numbers import count, plain, removed

TABLES = ("units", "quality", "curve", "choice", "agreement", "images")
"""The tables of artifact units that can be downloaded."""
NAMES = {
    "kernel_distance": "kernel distance (KID)",
    "frechet_distance": "Fréchet distance",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
}
"""Measures as the page calls them, in its order."""
DISTANCES = ("kernel_distance", "frechet_distance")
BESIDE = {"worst": "random", "review": "random_review"}
"""The random sets that stand beside a set of units."""
NOTHING = Point(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Cell:
    """A measure of one set of images, with its interval."""

    value: Point
    change: Point
    """Against the same latents without any edit; NaN where nothing was edited."""
    better: bool
    """Whether it is surely better than without any edit."""
    worse: bool


@dataclass(frozen=True)
class QualityRow:
    """One set of images, by every measure."""

    words: str
    chosen: bool
    cells: tuple[Cell | None, ...]
    images: int


def quality_rows(found: Artifacts) -> tuple[tuple[str, ...], tuple[QualityRow, ...]]:
    """The measures that there are, and a row for each set of images: before, after every repair, real ones last."""
    measures = tuple(name for name in NAMES if (found.quality["measure"] == name).any())
    sets = list(dict.fromkeys((str(row.set), int(row.units)) for row in rows_of(found.quality)))
    sets = [one for one in sets if one[0] != "real"] + [one for one in sets if one[0] == "real"]
    return measures, tuple(_quality_row(found, one, units, measures) for one, units in sets)


def _quality_row(found: Artifacts, name: str, units: int, measures: tuple[str, ...]) -> QualityRow:
    held = found.quality[(found.quality["set"] == name) & (found.quality["units"] == units)]
    rows = {str(row.measure): row for row in rows_of(held)}
    return QualityRow(
        _set_words(name, units),
        name == "worst" and units == found.chosen,
        tuple(_cell(measure, rows[measure]) if measure in rows else None for measure in measures),
        int(held["images"].iloc[0]),
    )


def _set_words(name: str, units: int) -> str:
    words = {
        "before": "as the model makes them",
        "worst": f"without the {units} worst units",
        "review": f"without the {units} units marked by hand",
    }
    return words.get(name, "real images, against other real ones")


def _cell(measure: str, row: Any) -> Cell:
    change = Point(float(row.change), float(row.change_low), float(row.change_high))
    falls, rises = change.high < 0, change.low > 0
    better, worse = (falls, rises) if measure in DISTANCES else (rises, falls)
    return Cell(Point(float(row.value), float(row.low), float(row.high)), change, better, worse)


def figure_of(found: Artifacts, name: str, units: int, measure: str = "kernel_distance") -> Cell:
    """A measure of one set of images."""
    table = found.quality
    held = table[(table["set"] == name) & (table["units"] == units) & (table["measure"] == measure)]
    return _cell(measure, rows_of(held)[0])


def told(point: Point) -> str:
    """A figure with its interval."""
    return f"{plain(point.value)} [{plain(point.low)}, {plain(point.high)}]"


def sentence(found: Artifacts, layer: Layer) -> str:
    """Whether repair helps, by how much, beside random units and beside real images."""
    before, real = figure_of(found, "before", 0), figure_of(found, "real", 0)
    beside = f" Real images are {told(real.value)} from other real ones."
    if not found.candidates:
        return (
            f"No repair was tried: no suspected unit of {layer.name} brings images nearer to real ones when it alone is"
            f" off. Their kernel distance is {told(before.value)}.{beside}"
        )
    if not found.chosen:
        sizes = [f"{int(size)}" for size in found.choice["units"]]
        tried = f"{', '.join(sizes[:-1])} or {sizes[-1]}" if len(sizes) > 1 else sizes[0]
        return (
            f"No repair is recommended: on the {count(found.weighed)} images that choose a size, turning off the worst"
            f" {tried} units of {layer.name} does not surely bring images nearer to real ones. The kernel distance of"
            f" those that score is {told(before.value)}.{beside}"
        )
    after = figure_of(found, "worst", found.chosen)
    what = (
        f"{count(found.chosen)} of {layer.units} units of {layer.name}, the worst of {found.suspected} suspected ones"
    )
    outcome = {
        (True, False): "brings images nearer to real ones",
        (False, True): "was chosen as a repair, but takes the images that score it farther from real ones",
    }.get(
        (after.better, after.worse),
        "was chosen as a repair, but the images that score it do not tell whether it brings them nearer to real ones",
    )
    return (
        f"Turning off {what}, {outcome}: the kernel distance changes by {told(after.change)}, from"
        f" {told(before.value)} to {told(after.value)}. {beside_random(found, 'worst', found.chosen)}{beside}"
    )


def beside_random(found: Artifacts, name: str, units: int) -> str:
    """What the worst units, or ('review') turning off the marked units, does beside random units on the same images."""
    same = found.curve[found.curve["units"] == units]
    random = same[same["set"] == BESIDE[name]]
    if random.empty:
        return "The layer has too few other units for random sets of as many."
    own, least, most = (
        float(value)
        for value in (
            same.loc[same["set"] == name, "change"].iloc[0],
            random["change"].min(),
            random["change"].max(),
        )
    )
    no_better = " So this is no better than turning off random units." if own >= least else ""
    return (
        f"On the first {count(found.random_scored)} of these images the kernel distance changes by {plain(own)}, and"
        f" without as many random units{activation(random)} by {plain(least)} to {plain(most)}, in {len(random)} sets."
        f"{no_better}"
    )


def activation(random: pd.DataFrame) -> str:
    """How strong the units of random sets are beside those that they stand for, in words."""
    ratios = random["activation"]
    if not ratios.notna().all() or ratios.empty:
        return ""
    return f" ({plain(float(ratios.min()))} to {plain(float(ratios.max()))} times their mean activation)"


def reviewed_sentence(found: Artifacts) -> str:
    """What turning off the units marked by hand does; '' where none were."""
    if not found.reviewed:
        return ""
    units = len(found.reviewed)
    cell = figure_of(found, "review", units)
    return (
        f"Without the {count(units)} unit{'s' * (units != 1)} marked by hand the kernel distance changes by"
        f" {told(cell.change)}. {beside_random(found, 'review', units)}"
    )


def listed_sentence(found: Artifacts) -> str:
    """How many artifact units there are."""
    many = len(found.listed)
    if many:
        words = ", ".join(map(str, found.listed))
        one = "is an artifact unit" if many == 1 else "are artifact units"
        more = f" There may be more: the {many} that do most good were tested further, and no others."
        return (
            f"{count(many)} of the {found.suspected} suspected units that were tested {one} by the rule: {words}."
            f"{more if many == found.finalists else ''}"
        )
    further = found.units["tested_images"] == found.retested
    sure = int((further & (found.units["q"] < SURE)).sum())
    why = (
        "the kernel distance itself is not above 0."
        if found.units["share"].isna().all()
        else "none alone surely brings images nearer to real ones."
        if not sure
        else f"{count(sure)} alone surely bring{'s' * (sure == 1)} images nearer to real ones, but by less than one per"
        " cent of the distance or not surely by more than the control units do."
    )
    return f"None of the {found.suspected} suspected units that were tested is an artifact unit by the rule: {why}"


def repair_beside_list(found: Artifacts) -> str:
    """Where the repair's units are not the listed ones; '' where they are, or where there is no repair."""
    if not found.chosen:
        return ""
    more, fewer = (
        [str(unit) for unit in one if unit not in other]
        for one, other in ((found.repair, found.listed), (found.listed, found.repair))
    )
    told_of = []
    if more:
        those = "which is no artifact unit" if len(more) == 1 else "which are no artifact units"
        told_of.append(f"turns off {', '.join(more)} too, {those} by the rule")
    if fewer:
        told_of.append(f"leaves {', '.join(fewer)} on")
    return f"The repair {', and '.join(told_of)}." if told_of else ""


def curves(found: Artifacts) -> tuple[Curve, ...]:
    """The share of the kernel distance that goes with the worst units and with random ones, of the same latents.

    None where the distance is not surely above 0: shares of it could not be told.
    """
    before = figure_of(found, "before", 0).value
    if not before.low > 0 or not (found.curve["distance"] > 0).all():
        return ()
    worst = [row for row in rows_of(found.curve) if row.set == "worst"]
    zero = Point(0.0, 0.0, 0.0)
    points = [Point(*(-float(v) / float(r.distance) for v in (r.change, r.change_high, r.change_low))) for r in worst]
    random = found.curve[found.curve["set"] == "random"]
    shares = -random["change"] / random["distance"]
    by_size = {int(size): shares[random["units"] == size] for size in sorted(set(random["units"].tolist()))}
    bands = [Point(float(held.mean()), float(held.min()), float(held.max())) for held in by_size.values()]
    return (
        Curve("worst", (0, *(int(row.units) for row in worst)), (zero, *points)),
        Curve(RANDOM, (0, *by_size), (zero, *bands)),
    )


def edits_files(site: Site) -> dict[str, dict[str, Any]]:
    """By address what `dissectreport repair --edits` takes: the repair, and the units that a person marked."""
    found, places = site.dissection.artifacts, site.places
    if found is None:
        return {}
    identity = str(site.dissection.provenance.generator.get("identity", ""))
    every = {places.edits: (found.repair, CHOICE), places.edits_marked: (found.reviewed, MARKED)}
    return {
        address: {
            "edits": 1,
            "model": site.dissection.model,
            "identity": identity,
            "layer": found.layer,
            "units": list(units),
            "values": [0.0] * len(units),
            "rule": rule,
        }
        for address, (units, rule) in every.items()
        if units
    }


def artifact_tables(found: Artifacts) -> dict[str, pd.DataFrame]:
    """Every table of artifact units, by the name of its download."""
    return {f"artifacts-{name}": getattr(found, name).reset_index(drop=True) for name in TABLES}


def downloads(site: Site, around: Frame, layer: Layer) -> tuple[tuple[str, str, str], ...]:
    """Every table of artifact units with its two addresses."""

    def place(name: str, kind: str) -> str:
        return around.to(site.places.data(f"artifacts-{name}", kind, layer.name))

    return tuple((name, place(name, "csv"), place(name, "json")) for name in TABLES)


@dataclass(frozen=True)
class ArtifactMethods:
    """How artifact units were found and the repair was scored, for the page of methods."""

    href: str
    layer: str
    found: Artifacts
    command: str
    """What looked for them where that is not what made the run; '' otherwise."""
    rule: str
    choice: str
    measures: Mapping[str, str]
    settings: Pairs
    columns: Mapping[str, str]


def artifact_methods(site: Site, around: Frame) -> ArtifactMethods | None:
    """How artifact units were found; None where they were not looked for."""
    found = site.dissection.artifacts
    if found is None:
        return None
    known = {**site.wording.dictionary(), **COLUMNS}
    names = dict.fromkeys(str(name) for table in artifact_tables(found).values() for name in table.columns)
    return ArtifactMethods(
        around.to(site.places.page("artifacts")),
        found.layer,
        found,
        "" if found.command == site.dissection.provenance.command else found.command,
        RULE,
        CHOICE,
        {NAMES[name]: words for name, words in MEASURES.items()},
        flat(found.settings),
        {name: known[name] for name in names},
    )


@dataclass(frozen=True)
class UnitArtifact:
    """What a unit's page tells of it as an artifact unit."""

    sentence: str
    href: str


def unit_artifact(site: Site, around: Frame, layer: Layer, unit: int) -> UnitArtifact | None:
    """What is told of a listed unit; None of others."""
    found = site.dissection.artifacts
    if found is None or found.layer != layer.name or unit not in found.listed:
        return None
    row = rows_of(found.units[found.units["unit"] == unit])[0]
    return UnitArtifact(
        f"An artifact unit: turning it off alone takes {removed(float(row.share))} of the kernel distance to real"
        " images away.",
        around.to(site.places.page("artifacts")),
    )
