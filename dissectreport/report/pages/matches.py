"""How well the units of a layer match: the number of units by cut-off, and the best unit of every concept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from dissectreport.analysis.common.cutoffs import LEAST_CORRECTED_IOU, Q
from dissectreport.analysis.common.jackknife import benjamini_hochberg
from dissectreport.analysis.results.dissection import Control, Layer
from dissectreport.report.common.model import Site, rows_of, view_of
from dissectreport.report.common.wording import best_units_in_words, own_units_in_words, privileged_in_words
from dissectreport.report.html import charts
from dissectreport.report.html.charts import Point
from dissectreport.report.html.frame import Frame


@dataclass(frozen=True)
class OwnUnit:
    """A concept's best unit against the best of as many random directions."""

    concept: str
    href: str
    unit: int
    unit_href: str
    corrected_iou: float
    direction: Point
    """The mean over random bases, the least and the most."""
    difference: Point
    q: float
    own: bool


def own_units(site: Site, frame: Frame, layer: Layer) -> tuple[OwnUnit, ...]:
    """One for each tested concept, the clearest first."""
    return tuple(_own_unit(site, frame, layer, row) for row in rows_of(layer.own_units))


def _own_unit(site: Site, frame: Frame, layer: Layer, row: Any) -> OwnUnit:
    return OwnUnit(
        concept=str(row.concept),
        href=f"{frame.to(site.places.layer(layer.name))}#{view_of(str(row.concept))}",
        unit=int(row.unit),
        unit_href=frame.to(site.places.unit(layer.name, int(row.unit))),
        corrected_iou=float(row.corrected_iou),
        direction=Point(float(row.best_direction), float(row.best_direction_least), float(row.best_direction_most)),
        difference=Point(float(row.difference), float(row.difference_low), float(row.difference_high)),
        q=float(row.q),
        own=bool(row.own_unit),
    )


def own_units_summary(layer: Layer) -> str:
    """How many concepts have a unit of their own in a layer, and whether its units are privileged; '' where that was
    not measured."""
    together = "" if layer.best_units is None else f" {best_units_in_words(layer.best_units)}"
    return own_units_alone(layer) + together


def own_units_alone(layer: Layer) -> str:
    """How many concepts have a unit of their own in a layer; '' where that was not measured."""
    table = layer.own_units
    own = table.loc[table["own_unit"].astype(bool), "concept"].tolist()
    return own_units_in_words(layer.name, own, len(table)) if len(table) else ""


def privileged_layers(layers: Sequence[Layer]) -> str:
    """In which layers units are privileged, by q over the layers; '' where that was not measured."""
    tested = [(layer.name, layer.best_units.p) for layer in layers if layer.best_units is not None]
    q = benjamini_hochberg(np.array([p for _, p in tested], np.float64))
    return privileged_in_words([name for (name, _), one in zip(tested, q, strict=True) if one < Q], len(tested))


@dataclass(frozen=True)
class MatchChart:
    """The chart of units by how well they match, for all labels or those of a category."""

    name: str
    title: str
    svg: Markup
    curves: tuple[tuple[str, tuple[tuple[float, Point], ...]], ...]
    """By control the units at some cut-offs, for the table below the chart."""


def match_chart(layer: Layer, category: str = "") -> MatchChart | None:
    """Units at or above every chance-corrected IoU, with the controls; None where nothing could be tested."""
    rows = layer.match_curves[layer.match_curves["category"] == category]
    if not len(rows):
        return None
    by_control = {str(control): table for control, table in rows.groupby("control", sort=False)}
    ordered = {name: by_control[name] for name in Control if name in by_control}
    name = f"chart-match-{category or 'all'}"
    title = f"Units of {layer.name} by how well they match {_article(category)}"
    svg = charts.over_cut_offs(
        name,
        title,
        "Share of the layer's units whose chance-corrected IoU is at least the cut-off, with 95% intervals, for units "
        "and controls; the table below has the numbers.",
        [
            charts.MatchCurve(control, tuple(table["cut_off"]), _points(table, layer.units))
            for control, table in ordered.items()
        ],
        LEAST_CORRECTED_IOU,
        "chance-corrected IoU at least",
    )
    return MatchChart(name, title, svg, tuple((name, _some_counts(table)) for name, table in ordered.items()))


def match_charts(layer: Layer) -> tuple[MatchChart, ...]:
    """The charts of all labels, and of objects."""
    return tuple(made for made in (match_chart(layer), match_chart(layer, "object")) if made is not None)


def _article(category: str) -> str:
    return f"their label among {category}s" if category else "their label"


def _points(table: pd.DataFrame, units: int) -> tuple[Point, ...]:
    columns = ["units", "units_low", "units_high"]
    return tuple(Point(*row) for row in (table[columns] / units).itertuples(index=False, name=None))


SOME_CUT_OFFS = (0.04, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Cut-offs in the table below the chart; the download has all."""


def _some_counts(table: pd.DataFrame) -> tuple[tuple[float, Point], ...]:
    some = table[table["cut_off"].isin(SOME_CUT_OFFS)]
    return tuple(
        (float(r.cut_off), Point(float(r.units), float(r.units_low), float(r.units_high))) for r in rows_of(some)
    )
