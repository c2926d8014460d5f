"""The page of a classifier's classes: their accuracy with and without units, the units of each, and attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from dissectreport.analysis.classes.halves import SOLID
from dissectreport.analysis.results.classes import AblatedUnits, Classes
from dissectreport.report.causes.summary import point_of
from dissectreport.report.classes.summary import (
    Ablation,
    StudiedClass,
    answer,
    class_layer,
    dictionary,
    downloads,
    few,
    studied_classes,
)
from dissectreport.report.common.model import Pairs, Site, flat, rows_of
from dissectreport.report.common.unit_cards import Card, card, strip_size
from dissectreport.report.html.charts import Point
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.effect_charts import accuracy_curves, ranking_mark, ranking_words, small_accuracy
from dissectreport.report.html.frame import Frame


@dataclass(frozen=True)
class ClassImage:
    """A held-out image of a class."""

    source: str
    alt: str
    predicted: str
    """What the network predicts, where that is another class; else ''."""


@dataclass(frozen=True)
class ClassUnit:
    """A unit that matters to a class."""

    rank: int
    card: Card
    lost: float
    """Balanced accuracy that the class loses without it, on selection images."""
    held_out: Point
    """The same on held-out images."""
    others: tuple[str, ...]
    """Other classes that it matters to."""


@dataclass(frozen=True)
class ClassRow:
    """A class on the page."""

    one: StudiedClass
    images: tuple[ClassImage, ...]
    leading: Ablation | None
    """With the few leading units ablated."""
    random: Ablation | None
    least: Ablation | None
    others: Ablation | None
    units: tuple[ClassUnit, ...]
    small: Markup
    chart: Markup


@dataclass(frozen=True)
class AttackPair:
    """An image before and after a targeted attack."""

    before: str
    after: str
    sample: int
    source: str
    target: str
    predicted: str


@dataclass(frozen=True)
class AttackRow:
    """How much one kind of change moves a group of units."""

    attack: str
    group: str
    images: int
    succeeded: float
    norm: float
    peak: Point


@dataclass(frozen=True)
class MatteringUnit:
    """A unit that matters to some classes."""

    unit: int
    href: str
    concept: NamedConcept
    interpretable: bool
    classes: tuple[tuple[str, str, float], ...]
    """Name, address and lost accuracy of each class, those that lose most first."""


@dataclass(frozen=True)
class EstimateCheck:
    """How well gradients estimate what a class loses without each unit."""

    name: str
    correlation: float
    """Rank correlation with what was measured."""
    found: int
    """Of the leading units, how many are among four times as many by the estimate."""


@dataclass(frozen=True)
class SharedUnits:
    """Units by the number of classes that they matter to."""

    classes: int
    units: int
    corrected_iou: float
    """Mean chance-corrected IoU of these units with their labels; NaN for no units."""


@dataclass(frozen=True)
class ClassesPage:
    """All classes that were studied."""

    frame: Frame
    model: str
    layer: str
    layer_href: str
    units: int
    answer: str
    few: int
    leading: int
    rows: tuple[ClassRow, ...]
    classes: int
    """Classes of the network."""
    most_images: bool
    """Whether those with most images were studied."""
    solid: int
    """Images of a class in each half below which its figures are rough."""
    labelled: bool
    closed_form: bool
    validation: str
    balanced: bool
    tested: int
    checked: int
    estimates: tuple[EstimateCheck, ...]
    """() where ablations have a closed form, which tests every unit at no cost."""
    images: int
    held_out: int
    random_sets: int
    kinds: tuple[tuple[str, str, str], ...]
    """Sign, words and meaning of each kind of ablated units."""
    attacks: tuple[AttackRow, ...]
    pairs: tuple[AttackPair, ...]
    norm: float
    """Length of an attack's change, at most."""
    steps: int
    matter: tuple[MatteringUnit, ...]
    """The units that matter to a studied class, those that matter to most classes first."""
    shared: tuple[SharedUnits, ...]
    per_strip: int
    settings: Pairs
    downloads: tuple[tuple[str, str, str], ...]
    columns: Mapping[str, str]


MEANINGS: Mapping[str, str] = {
    AblatedUnits.LEADING: "the units that matter most to the class",
    AblatedUnits.RANDOM: "random sets of as many other units, each close in mean activation to one of those that "
    "matter most; the mean, and the range of the sets",
    AblatedUnits.LEAST: "as many units that matter least to the class",
    AblatedUnits.OTHERS: "all units but those that matter most",
}


def classes_page(site: Site, classes: Classes) -> ClassesPage:
    """The classes of a classifier."""
    frame = site.frame(
        site.places.page("classes"),
        f"Classes · {site.dissection.title}",
        f"Which units of {classes.layer} matter to the classes of {site.dissection.title}.",
        current="classes",
    )
    every = studied_classes(classes)
    layer = class_layer(site, classes)
    return ClassesPage(
        frame=frame,
        model=site.dissection.title,
        layer=classes.layer,
        layer_href=frame.to(site.places.layer(classes.layer)),
        units=classes.units,
        answer=answer(site, classes, every),
        few=few(classes),
        leading=classes.leading,
        rows=tuple(_row(site, frame, classes, one) for one in every),
        classes=len(classes.names),
        most_images=classes.most_images,
        solid=SOLID,
        labelled=classes.labelled,
        closed_form=classes.closed_form,
        validation=classes.validation,
        balanced=classes.balanced,
        tested=classes.tested,
        checked=classes.checked,
        estimates=estimate_checks(classes),
        images=classes.images,
        held_out=classes.held_out,
        random_sets=classes.random_sets,
        kinds=tuple((ranking_mark(kind), ranking_words(kind), meaning) for kind, meaning in MEANINGS.items()),
        attacks=tuple(map(_attack_row, rows_of(classes.attacks))),
        pairs=_pairs(site, frame, classes),
        norm=classes.largest_norm,
        steps=classes.steps,
        matter=mattering_units(site, frame, classes),
        shared=shared_units(classes, layer.table),
        per_strip=strip_size(layer),
        settings=flat(classes.settings),
        downloads=downloads(site, frame, classes),
        columns=dictionary(site, classes),
    )


def _row(site: Site, frame: Frame, classes: Classes, one: StudiedClass) -> ClassRow:
    kinds = {kind: one.ablation(kind, few(classes)) for kind in AblatedUnits}
    words = f"Balanced accuracy of {one.name} by number of units"
    return ClassRow(
        one=one,
        images=tuple(
            ClassImage(
                frame.to(site.places.class_image(shown.sample)),
                f"Image {shown.sample}, of class {shown.label}",
                shown.predicted if shown.predicted != shown.label else "",
            )
            for shown in classes.shown.get(one.name, ())
        ),
        leading=kinds[AblatedUnits.LEADING],
        random=kinds[AblatedUnits.RANDOM],
        least=kinds[AblatedUnits.LEAST],
        others=kinds[AblatedUnits.OTHERS],
        units=_units(site, frame, classes, one),
        small=small_accuracy(f"small-{one.number}", words, "The table in its section has the numbers.", one.curves),
        chart=accuracy_curves(
            f"curve-{one.number}",
            words,
            "Without the units that matter most, random units and those that matter least, and with only those that "
            "matter most; 0.5 is chance.",
            one.curves,
        ),
    )


def _units(site: Site, frame: Frame, classes: Classes, one: StudiedClass) -> tuple[ClassUnit, ...]:
    layer = class_layer(site, classes)
    table = rows_of(layer.table)
    return tuple(
        ClassUnit(
            rank=int(row.class_rank),
            card=card(site, frame, layer, table[int(row.unit)]),
            lost=float(row.accuracy_lost),
            held_out=point_of(row, "held_out_lost"),
            others=tuple(name for name in classes.matters_to(int(row.unit))["class"] if name != one.name),
        )
        for row in one.units
        if bool(row.matters)
    )


def _attack_row(row: Any) -> AttackRow:
    return AttackRow(
        attack=str(row.attack),
        group=str(row.unit_group),
        images=int(row.attacked_images),
        succeeded=float(row.succeeded),
        norm=float(row.change_norm),
        peak=point_of(row, "peak_change"),
    )


def _pairs(site: Site, frame: Frame, classes: Classes) -> tuple[AttackPair, ...]:
    return tuple(
        AttackPair(
            before=frame.to(site.places.class_image(shown.sample)),
            after=frame.to(site.places.attacked(shown.sample)),
            sample=shown.sample,
            source=shown.source,
            target=shown.target,
            predicted=shown.predicted,
        )
        for shown in classes.shown_attacks
    )


def estimate_checks(classes: Classes) -> tuple[EstimateCheck, ...]:
    """The estimate of each studied class beside what was measured."""
    checks = []
    for row in rows_of(classes.classes.rename(columns={"class": "name"})):
        units = classes.class_units[classes.class_units["class"] == row.name]
        estimated = units["estimated_loss"].to_numpy(float)
        if np.isnan(estimated).any():
            continue
        first = np.argsort(-estimated, kind="stable")[: 4 * classes.leading]
        checks.append(
            EstimateCheck(str(row.name), float(row.estimate_correlation), int((first < classes.leading).sum()))
        )
    return tuple(checks)


def mattering_units(site: Site, frame: Frame, classes: Classes) -> tuple[MatteringUnit, ...]:
    """Every unit that matters to a class, with its label and its classes."""
    layer, numbers = class_layer(site, classes), classes.class_numbers()
    rows = []
    for row in rows_of(layer.table):
        names = rows_of(classes.matters_to(int(row.unit)).rename(columns={"class": "name"}))
        found = tuple((str(one.name), f"#class-{numbers[str(one.name)]}", float(one.accuracy_lost)) for one in names)
        shown = card(site, frame, layer, row)
        if found:
            rows.append(MatteringUnit(shown.unit, shown.href, shown.concept, shown.interpretable, found))
    return tuple(sorted(rows, key=lambda one: (-len(one.classes), -one.classes[0][2])))


def shared_units(classes: Classes, table: pd.DataFrame) -> tuple[SharedUnits, ...]:
    """The units of a layer by the number of studied classes that they matter to, and how well they match a concept."""
    matters = classes.class_units[classes.class_units["matters"]]
    number = matters.groupby("unit").size().reindex(table["unit"], fill_value=0).to_numpy()
    matched = table["corrected_iou"].to_numpy()
    return tuple(
        SharedUnits(int(count), int((number == count).sum()), float(_mean(matched[number == count].tolist())))
        for count in sorted(set(number.tolist()))
    )


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")
