"""What a unit does for the classes of a classifier, on its page and on its card; and the classes on the first page."""

from __future__ import annotations

from dataclasses import dataclass

from dissectreport.analysis.results.dissection import Layer
from dissectreport.report.causes.summary import point_of
from dissectreport.report.classes.summary import answer, studied_classes
from dissectreport.report.common.model import Site, rows_of
from dissectreport.report.html.charts import Point
from dissectreport.report.html.frame import Frame


@dataclass(frozen=True)
class UnitClass:
    """A class, and what it loses without a unit."""

    name: str
    href: str
    rank: int
    matters: bool
    lost: float
    held_out: Point


@dataclass(frozen=True)
class UnitClasses:
    """What a unit does for every class that was studied."""

    rows: tuple[UnitClass, ...]
    """Those that lose most first."""
    sentence: str
    href: str
    labelled: bool
    leading: int


def unit_classes(site: Site, frame: Frame, layer: Layer, unit: int) -> UnitClasses | None:
    """What a unit does for the classes; None for another layer than theirs."""
    classes = site.dissection.classes
    if classes is None or classes.layer != layer.name:
        return None
    page = frame.to(site.places.page("classes"))
    numbers = classes.class_numbers()
    table = classes.class_units[classes.class_units["unit"] == unit].rename(columns={"class": "name"})
    table = table.sort_values(["accuracy_lost", "certainty_lost"], ascending=False, kind="stable")
    rows = tuple(
        UnitClass(
            name=str(row.name),
            href=f"{page}#class-{numbers[str(row.name)]}",
            rank=int(row.class_rank),
            matters=bool(row.matters),
            lost=float(row.accuracy_lost),
            held_out=point_of(row, "held_out_lost"),
        )
        for row in rows_of(table)
    )
    named = [row.name for row in rows if row.matters]
    sentence = (
        f"It is among the {classes.leading} units that matter most to {', '.join(named)}."
        if named
        else f"It is not among the {classes.leading} units that matter most to any of the {len(rows)} studied classes."
    )
    return UnitClasses(rows, sentence, page, classes.labelled, classes.leading)


@dataclass(frozen=True)
class ClassTeaser:
    """The classes, for the model's first page."""

    answer: str
    href: str


def class_teaser(site: Site, frame: Frame) -> ClassTeaser | None:
    """What was found of the classes; None for a model without any."""
    classes = site.dissection.classes
    if classes is None:
        return None
    return ClassTeaser(answer(site, classes, studied_classes(classes)), frame.to(site.places.page("classes")))
