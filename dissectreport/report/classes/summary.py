"""A classifier's classes as rows and sentences, for all pages that speak of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from dissectreport.analysis.classes.halves import SOLID
from dissectreport.analysis.results.classes import COLUMNS, AblatedUnits, Classes
from dissectreport.analysis.results.dissection import Layer
from dissectreport.report.causes.summary import point_of
from dissectreport.report.common.model import Site, rows_of
from dissectreport.report.html.charts import Point
from dissectreport.report.html.effect_charts import Curve
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.numbers import percent, share

TABLES = ("classes", "curves", "class_units", "attacks")
"""The tables of a classifier's classes that can be downloaded."""


@dataclass(frozen=True)
class Ablation:
    """The accuracy of a class with some units ablated."""

    ablated: str
    units: int
    accuracy: Point
    change: Point
    random_difference: Point
    """How much more it changes than with random sets; NaN for others than the leading units."""
    recall: float
    false_positives: float


@dataclass(frozen=True)
class StudiedClass:
    """One class, by all that the tables say of it."""

    name: str
    number: int
    """Its position among the scores."""
    images: int
    selection: int
    accuracy: Point
    recall: float
    false_positives: float
    ablations: tuple[Ablation, ...]
    units: tuple[Any, ...]
    """The leading rows of the table of units."""

    def ablation(self, ablated: str, units: int) -> Ablation | None:
        """The accuracy with so many units of a kind ablated; None where there is none."""
        return next((one for one in self.ablations if (one.ablated, one.units) == (ablated, units)), None)

    @property
    def curves(self) -> tuple[Curve, ...]:
        """Balanced accuracy by number of units, for every kind of units."""
        start = Point(self.accuracy.value, self.accuracy.low, self.accuracy.high)
        curves = []
        for kind in AblatedUnits:
            shown = [one for one in self.ablations if one.ablated == kind]
            first = () if kind == AblatedUnits.OTHERS else ((0, start),)
            points = (*first, *((one.units, one.accuracy) for one in shown))
            curves.append(Curve(str(kind), tuple(n for n, _ in points), tuple(point for _, point in points)))
        return tuple(curve for curve in curves if curve.units)

    @property
    def has_few_images(self) -> bool:
        """Whether its ranks and intervals are rough."""
        return min(self.images, self.selection) < SOLID

    @property
    def anchor(self) -> str:
        """The place of its section on the page of classes."""
        return f"class-{self.number}"


def studied_classes(classes: Classes) -> tuple[StudiedClass, ...]:
    """Every class that was studied, in the order of the tables."""
    return tuple(_studied(classes, row) for row in rows_of(classes.classes.rename(columns={"class": "name"})))


def _studied(classes: Classes, row: Any) -> StudiedClass:
    curves = classes.curves[classes.curves["class"] == row.name]
    units = classes.class_units[classes.class_units["class"] == row.name].head(classes.leading)
    return StudiedClass(
        name=str(row.name),
        number=int(row.class_number),
        images=int(row.class_images),
        selection=int(row.selection_images),
        accuracy=point_of(row, "balanced_accuracy"),
        recall=float(row.recall),
        false_positives=float(row.false_positives),
        ablations=tuple(map(_ablation, rows_of(curves))),
        units=tuple(rows_of(units)),
    )


def _ablation(row: Any) -> Ablation:
    return Ablation(
        ablated=str(row.ablated),
        units=int(row.ablated_units),
        accuracy=point_of(row, "balanced_accuracy"),
        change=point_of(row, "accuracy_change"),
        random_difference=point_of(row, "random_difference"),
        recall=float(row.recall),
        false_positives=float(row.false_positives),
    )


def few(classes: Classes) -> int:
    """The number of units with which pages lead: the largest that is no more than the leading units of a class."""
    return max((size for size in classes.sizes if size <= classes.leading), default=min(classes.sizes, default=0))


def strongest(classes: Classes, every: Sequence[StudiedClass]) -> tuple[StudiedClass, int]:
    """The class that loses most accuracy without its leading units, and how many of these: few, or where few do
    nothing, the fewest without which a class loses `NOTABLE`. Classes with few images count only where all have few."""
    solid = [one for one in every if not one.has_few_images] or every

    def change(one: StudiedClass, size: int) -> float:
        ablation = one.ablation(AblatedUnits.LEADING, size)
        return 0.0 if ablation is None else ablation.change.value

    for size in sorted(one for one in classes.sizes if one >= few(classes)):
        found = min(solid, key=partial(change, size=size))
        if change(found, size) <= -NOTABLE:
            return found, size
    return min(solid, key=partial(change, size=few(classes))), few(classes)


NOTABLE = 0.05
"""A change of balanced accuracy with which a page can begin."""


def answer(site: Site, classes: Classes, every: Sequence[StudiedClass]) -> str:
    """What was found, in a few sentences."""
    name, held = site.dissection.title, f"{classes.images:,} images"
    first = (
        f"{name} predicts the correct class of {percent(classes.accuracy)} of {held}."
        if classes.labelled
        else f"The images have no labels, so the predictions of {name} itself are the truth: accuracy here is its "
        f"agreement with itself, which is 100% without any edit."
    )
    one, size = strongest(classes, every)
    gone, kept, random = (
        one.ablation(kind, size) for kind in (AblatedUnits.LEADING, AblatedUnits.OTHERS, AblatedUnits.RANDOM)
    )
    if gone is None:
        return first
    units = f"the {size} units" if size > 1 else "the unit"
    matter = "matter" if size > 1 else "matters"
    images = f" ({one.images} images)" if one.has_few_images else ""
    words = f"Without {units} of {classes.layer} that {matter} most to {one.name}{images}, "
    words += "the balanced accuracy of this class"
    before, after = share(one.accuracy.value), share(gone.accuracy.value)
    words += f" stays {after}" if before == after else f" changes from {before} to {after}"
    words += f"; without as many random units it is {share(random.accuracy.value)}" if random is not None else ""
    words += f", and with all other units ablated {share(kept.accuracy.value)}" if kept is not None else ""
    return f"{first} {words}."


def class_layer(site: Site, classes: Classes) -> Layer:
    """The layer whose units were ablated."""
    return site.dissection.layer(classes.layer)


def class_tables(classes: Classes) -> dict[str, pd.DataFrame]:
    """Every table of classes, by the name of its download."""
    return {f"classes-{name}": getattr(classes, name).reset_index(drop=True) for name in TABLES}


def downloads(site: Site, frame: Frame, classes: Classes) -> tuple[tuple[str, str, str], ...]:
    """Every table with its two addresses."""

    def place(name: str, kind: str) -> str:
        return frame.to(site.places.data(f"classes-{name}", kind, classes.layer))

    return tuple((name.replace("_", " "), place(name, "csv"), place(name, "json")) for name in TABLES)


def dictionary(site: Site, classes: Classes) -> Mapping[str, str]:
    """What every column of the tables of classes means, in the order in which they first appear."""
    known = {**site.wording.dictionary(), **COLUMNS}
    names = dict.fromkeys(str(name) for table in class_tables(classes).values() for name in table.columns)
    return {name: known.get(name, "") for name in names}
