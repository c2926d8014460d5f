"""The tables of artifact units, as rows and as sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dissectreport.analysis.artifacts.quality import MEASURES
from dissectreport.analysis.artifacts.selection import SIGNIFICANT
from dissectreport.analysis.results.artifacts import (
    CHOICE,
    COLUMNS,
    DISTANCES,
    MARKED,
    RULE,
    Artifacts,
    EditedSet,
    QualityMeasure,
)
from dissectreport.analysis.results.dissection import Layer
from dissectreport.report.common.model import Pairs, Site, flat, rows_of
from dissectreport.report.common.wording import MEASURE_NAMES
from dissectreport.report.html import numbers
from dissectreport.report.html.charts import Point
from dissectreport.report.html.effect_charts import Curve
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.numbers import count, decimal, figure, form_of, listing, plural, removed, with_interval
from dissectreport.run.rankings import Ranking

TABLES = ("units", "quality", "curve", "choice", "agreement", "images")
"""The tables of artifact units that can be downloaded."""
RANDOM_COUNTERPARTS: Mapping[str, EditedSet] = {
    EditedSet.WORST: EditedSet.RANDOM,
    EditedSet.MARKED: EditedSet.RANDOM_MARKED,
}
"""The random sets with which a set of units is compared."""
NOTHING = Point(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Cell:
    """A measure of one set of images, with its interval."""

    value: Point
    change: Point
    """Against the same latents without any edit; NaN where nothing was edited."""
    better: bool
    """Whether it is significantly better than without any edit."""
    worse: bool


@dataclass(frozen=True)
class QualityRow:
    """One set of images, by every measure."""

    words: str
    chosen: bool
    cells: tuple[Cell | None, ...]
    images: int


def quality_rows(artifacts: Artifacts) -> tuple[tuple[str, ...], tuple[QualityRow, ...]]:
    """The measures that there are, and a row for each set of images: before, after every repair, real ones last."""
    measures = tuple(name for name in MEASURE_NAMES if (artifacts.quality["measure"] == name).any())
    sets = list(dict.fromkeys((str(row.set), int(row.units)) for row in rows_of(artifacts.quality)))
    sets = [pair for pair in sets if pair[0] != EditedSet.REAL] + [pair for pair in sets if pair[0] == EditedSet.REAL]
    return measures, tuple(_quality_row(artifacts, set_name, units, measures) for set_name, units in sets)


def _quality_row(artifacts: Artifacts, name: str, units: int, measures: tuple[str, ...]) -> QualityRow:
    quality = artifacts.quality[(artifacts.quality["set"] == name) & (artifacts.quality["units"] == units)]
    rows = {str(row.measure): row for row in rows_of(quality)}
    return QualityRow(
        _set_words(name, units),
        artifacts.is_repair(name, units),
        tuple(_cell(measure, rows[measure]) if measure in rows else None for measure in measures),
        int(quality["images"].iloc[0]),
    )


def _set_words(name: str, units: int) -> str:
    words: Mapping[str, str] = {
        EditedSet.BEFORE: "generated, without edit",
        EditedSet.WORST: f"{units} highest-ranked units ablated",
        EditedSet.MARKED: f"{plural(units, 'unit')} marked by hand ablated",
    }
    return words.get(name, "real images, against other real images")


def _cell(measure: str, row: Any) -> Cell:
    change = Point(float(row.change), float(row.change_low), float(row.change_high))
    falls, rises = change.high < 0, change.low > 0
    better, worse = (falls, rises) if measure in DISTANCES else (rises, falls)
    return Cell(Point(float(row.value), float(row.low), float(row.high)), change, better, worse)


def figure_of(artifacts: Artifacts, name: str, units: int, measure: str = QualityMeasure.KERNEL_DISTANCE) -> Cell:
    """A measure of one set of images."""
    table = artifacts.quality
    rows = table[(table["set"] == name) & (table["units"] == units) & (table["measure"] == measure)]
    return _cell(measure, rows_of(rows)[0])


def figure_of_repair(artifacts: Artifacts) -> Cell:
    """The KID with the recommended repair."""
    return figure_of(artifacts, EditedSet.WORST, artifacts.chosen)


def distance(point: Point) -> str:
    """A KID with its interval."""
    return with_interval(point, form_of(point))


def sentence(artifacts: Artifacts, layer: Layer) -> str:
    """Whether the repair helps, and whether as many random units do as well."""
    if not artifacts.repairable:
        return f"No repair was tried: no candidate of {layer.name} lowers KID when it is ablated alone."
    if not artifacts.chosen:
        return _no_repair(artifacts, layer)
    before, after = figure_of(artifacts, EditedSet.BEFORE, 0).value, figure_of_repair(artifacts)
    repair = (
        f"The repair, ablating {artifacts.chosen} of the {layer.units} units of {layer.name}, {_outcome(before, after)}"
    )
    random = effect_against_random(artifacts, "worst", artifacts.chosen)
    return f"{repair}, from {figure(before)} to {figure(after.value)}. {random}"


def _no_repair(artifacts: Artifacts, layer: Layer) -> str:
    sizes = listing([int(size) for size in artifacts.choice["units"]], "or")
    return (
        f"No repair is recommended: ablating the {sizes} highest-ranked units of {layer.name} does not significantly"
        f" lower KID on the {count(artifacts.size_selection)} images used to choose a size."
    )


def _outcome(before: Point, after: Cell) -> str:
    change = after.change
    if after.better:
        fall = Point(-change.value, -change.high, -change.low)
        return f"lowers KID by {_relative(before, fall, removed)}"
    if after.worse:
        rise = _relative(before, change, removed)
        return f"raises KID by {rise} although it lowered KID on the images used to choose it"
    return f"does not change KID significantly: {_relative(before, change, numbers.change)}"


def _relative(before: Point, change: Point, form: Callable[[float], str]) -> str:
    """A change of KID as a share of the KID before where that is significantly above 0, else as a difference."""
    if not before.low > 0:
        return distance(change)
    shares = Point(*(value / before.value for value in (change.value, change.low, change.high)))
    return with_interval(shares, form)


def effect_against_random(artifacts: Artifacts, name: str, units: int) -> str:
    """What ablating the highest-ranked units, or the marked units, does compared with random units."""
    same = artifacts.curve[artifacts.curve["units"] == units]
    random = same[same["set"] == RANDOM_COUNTERPARTS[name]]
    if random.empty:
        return "The layer has too few other units for random sets of the same size."
    own = float(same.loc[same["set"] == name, "change"].iloc[0])
    least, most = float(random["change"].min()), float(random["change"].max())
    form = form_of(Point(own, min(own, least), max(own, most)))
    verdict = " At least one random set lowers KID as much or more." if own >= least else ""
    return (
        f"On the first {count(artifacts.random_scored)} images it changes KID by {form(own)}; random sets of as many"
        f" units change it by {form(least)} to {form(most)}.{verdict}"
    )


def repair_against_random(artifacts: Artifacts) -> str:
    """What the recommended repair does compared with ablating random units."""
    return effect_against_random(artifacts, EditedSet.WORST, artifacts.chosen)


def activation(random: pd.DataFrame) -> str:
    """How strong the units of random sets are relative to the units with which they are compared; '' if unknown."""
    ratios = random["activation"]
    if not ratios.notna().all() or ratios.empty:
        return ""
    return f"{decimal(float(ratios.min()), 2)} to {decimal(float(ratios.max()), 2)} times their mean activation"


def reviewed_sentence(artifacts: Artifacts) -> str:
    """What ablating the units marked by hand does; '' where none were."""
    if not artifacts.reviewed:
        return ""
    cell = figure_of(artifacts, EditedSet.MARKED, len(artifacts.reviewed))
    return (
        f"Ablating the {plural(len(artifacts.reviewed), 'unit')} marked by hand changes KID by {distance(cell.change)}."
        f" {effect_against_random(artifacts, EditedSet.MARKED, len(artifacts.reviewed))}"
    )


def listed_sentence(artifacts: Artifacts) -> str:
    """How many artifact units there are."""
    many = len(artifacts.listed)
    if not many:
        none = f"None of the {artifacts.candidate_count} candidates is an artifact unit in these features:"
        return f"{none} {_why_none(artifacts)}{_detectable(artifacts)}"
    names = ", ".join(map(str, artifacts.listed))
    verb = "is an artifact unit" if many == 1 else "are artifact units"
    limit = (
        f" There may be more: only the {many} best candidates were tested on further images."
        if many == artifacts.finalists
        else ""
    )
    of = f"{count(many)} of the {artifacts.candidate_count} candidates {verb} in these features"
    return f"{of}: {names}.{limit}{_detectable(artifacts)}"


def second_sentence(artifacts: Artifacts) -> str:
    """How many artifact units the second feature network confirms; '' where none were scored in one."""
    if not artifacts.second or not artifacts.second_images:
        return ""
    confirmed = [unit for unit in artifacts.listed if bool(artifacts.units["confirmed"].iloc[unit])]
    named = f" ({', '.join(map(str, confirmed))})" if 0 < len(confirmed) < len(artifacts.listed) else ""
    detectable = artifacts.second_detectable
    least = (
        ""
        if math.isnan(detectable)
        else f" There, an artifact unit that lowers KID by {removed(detectable)} or more would be confirmed in at least"
        " 80% of cases."
    )
    return (
        f"In a second network ({artifacts.second}), on images that were not used for any choice, "
        f"{count(len(confirmed))} of the {plural(len(artifacts.listed), 'artifact unit')} significantly lower KID "
        f"too{named}.{least}"
    )


def _detectable(artifacts: Artifacts) -> str:
    """From which effect on a candidate would probably have been found; '' where that is not known."""
    if math.isnan(artifacts.detectable):
        return ""
    share = removed(artifacts.detectable)
    return f" A candidate that lowers KID by {share} or more would have been found in at least 80% of cases."


def _why_none(artifacts: Artifacts) -> str:
    if artifacts.units["share"].isna().all():
        return "KID itself is not above 0."
    further = artifacts.units["tested_images"] == artifacts.retested
    significant = int((further & (artifacts.units["q"] < SIGNIFICANT)).sum())
    if not significant:
        return "ablating one alone never lowers KID significantly."
    verb = "lowers" if significant == 1 else "lower"
    return (
        f"ablated alone, {count(significant)} significantly {verb} KID, but by less than 1%, or not significantly more"
        " than the control units do."
    )


def repair_and_listed(artifacts: Artifacts) -> str:
    """Where the units of the repair differ from the artifact units; '' where they do not, or without a repair."""
    if not artifacts.chosen:
        return ""
    more = [str(unit) for unit in artifacts.repair if unit not in artifacts.listed]
    fewer = [str(unit) for unit in artifacts.listed if unit not in artifacts.repair]
    differences = []
    if more:
        kind = "not an artifact unit" if len(more) == 1 else "not artifact units"
        differences.append(f"also ablates {', '.join(more)} ({kind})")
    if fewer:
        differences.append(f"does not ablate {', '.join(fewer)}")
    return f"The repair {' and '.join(differences)}." if differences else ""


def curves(artifacts: Artifacts) -> tuple[Curve, ...]:
    """The share of KID that ablating the highest-ranked and random units removes, on the same latents.

    None where KID is not significantly above 0: shares of it would mean nothing.
    """
    before = figure_of(artifacts, EditedSet.BEFORE, 0).value
    if not before.low > 0 or not (artifacts.curve["distance"] > 0).all():
        return ()
    worst = [row for row in rows_of(artifacts.curve) if row.set == EditedSet.WORST]
    zero = Point(0.0, 0.0, 0.0)
    points = [Point(*(-float(v) / float(r.distance) for v in (r.change, r.change_high, r.change_low))) for r in worst]
    random = artifacts.curve[artifacts.curve["set"] == EditedSet.RANDOM]
    shares = -random["change"] / random["distance"]
    by_size = {int(size): shares[random["units"] == size] for size in sorted(set(random["units"].tolist()))}
    bands = [Point(float(share.mean()), float(share.min()), float(share.max())) for share in by_size.values()]
    return (
        Curve(EditedSet.WORST, (0, *(int(row.units) for row in worst)), (zero, *points)),
        Curve(Ranking.RANDOM, (0, *by_size), (zero, *bands)),
    )


def edits_files(site: Site) -> dict[str, dict[str, Any]]:
    """By address what `dissectreport repair --edits` takes: the repair, and the units that a person marked."""
    artifacts, places = site.dissection.artifacts, site.places
    if artifacts is None:
        return {}
    identity = str(site.dissection.provenance.generator.get("identity", ""))
    every = {places.edits: (artifacts.repair, CHOICE), places.edits_marked: (artifacts.reviewed, MARKED)}
    return {
        address: {
            "edits": 1,
            "model": site.dissection.model,
            "identity": identity,
            "layer": artifacts.layer,
            "units": list(units),
            "values": [0.0] * len(units),
            "rule": rule,
        }
        for address, (units, rule) in every.items()
        if units
    }


def artifact_tables(artifacts: Artifacts) -> dict[str, pd.DataFrame]:
    """Every table of artifact units, by the name of its download."""
    return {f"artifacts-{name}": getattr(artifacts, name).reset_index(drop=True) for name in TABLES}


def downloads(site: Site, frame: Frame, layer: Layer) -> tuple[tuple[str, str, str], ...]:
    """Every table of artifact units with its two addresses."""

    def place(name: str, kind: str) -> str:
        return frame.to(site.places.data(f"artifacts-{name}", kind, layer.name))

    return tuple((name, place(name, "csv"), place(name, "json")) for name in TABLES)


@dataclass(frozen=True)
class ArtifactMethods:
    """How artifact units were identified and the repair was scored, for the methods page."""

    href: str
    layer: str
    artifacts: Artifacts
    command: str
    """What identified them where that is not what made the run; '' otherwise."""
    rule: str
    choice: str
    measures: Mapping[str, str]
    settings: Pairs
    columns: Mapping[str, str]


def artifact_methods(site: Site, frame: Frame) -> ArtifactMethods | None:
    """How artifact units were identified; None where this was not requested."""
    artifacts = site.dissection.artifacts
    if artifacts is None:
        return None
    known = {**site.wording.dictionary(), **COLUMNS}
    names = dict.fromkeys(str(name) for table in artifact_tables(artifacts).values() for name in table.columns)
    return ArtifactMethods(
        href=frame.to(site.places.page("artifacts")),
        layer=artifacts.layer,
        artifacts=artifacts,
        command="" if artifacts.command == site.dissection.provenance.command else artifacts.command,
        rule=RULE,
        choice=CHOICE,
        measures={MEASURE_NAMES[name]: words for name, words in MEASURES.items()},
        settings=flat(artifacts.settings),
        columns={name: known[name] for name in names},
    )


@dataclass(frozen=True)
class UnitArtifact:
    """A unit as an artifact unit, on its own page."""

    sentence: str
    href: str


def unit_artifact(site: Site, frame: Frame, layer: Layer, unit: int) -> UnitArtifact | None:
    """A sentence about an artifact unit; None for other units."""
    artifacts = site.dissection.artifacts
    if artifacts is None or artifacts.layer != layer.name or unit not in artifacts.listed:
        return None
    row = rows_of(artifacts.units[artifacts.units["unit"] == unit])[0]
    return UnitArtifact(
        f"This is an artifact unit: ablating it alone lowers KID by {removed(float(row.share))}.",
        frame.to(site.places.page("artifacts")),
    )
