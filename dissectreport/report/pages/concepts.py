"""Where the units of each concept are: concept by layer, and every concept in numbers."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dissectreport.report.causes.summary import studied
from dissectreport.report.common.model import (
    Site,
    different,
    interpretable_labels,
    rows_of,
    twins_in_words,
    view_of,
)
from dissectreport.report.common.plotly_figures import Figure, Grid, concept_heatmap
from dissectreport.report.common.wording import Wording
from dissectreport.report.html.charts import Point
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.frame import Frame, Link
from dissectreport.report.html.numbers import Agreement

UNKNOWN = Point(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class GridCell:
    """A concept in a layer: how many units have it as a label, and the strongest of them."""

    units: int
    href: str
    size: str
    corrected_iou: float
    layer: str


@dataclass(frozen=True)
class GridRow:
    """A concept over the layers."""

    concept: NamedConcept
    href: str
    """The page of the concept."""
    cells: tuple[GridCell, ...]
    total: int
    strongest: Link | None
    """The unit that matches the concept best."""
    strip: str


@dataclass(frozen=True)
class ConceptGrid:
    """Concept by layer."""

    layers: tuple[Link, ...]
    rows: tuple[GridRow, ...]
    left_out: int
    """Concepts that have units but no row."""
    without: tuple[str, ...]
    """Concepts without a unit."""


def concept_grid(site: Site, frame: Frame, limit: int | None = None) -> ConceptGrid:
    """How many units of each layer have each concept as a label, for the `limit` concepts with most units."""
    layers = site.dissection.layers
    labels = labels_by_layer(site)
    rows = [_grid_row(site, frame, labels, concept) for concept in concepts_by_units(site, labels)]
    filled = [row for row in rows if row.total]
    shown = sorted(filled, key=lambda row: -row.total)[:limit]
    heads = tuple(Link(frame.to(site.places.layer(layer.name)), layer.name) for layer in layers)
    without = tuple(row.concept.name for row in rows if not row.total)
    return ConceptGrid(heads, tuple(r for r in filled if r in shown), len(filled) - len(shown), without)


def labels_by_layer(site: Site) -> pd.DataFrame:
    """The interpretable labels of all layers; `layer` is the layer's number."""
    tables = [interpretable_labels(layer).assign(layer=i) for i, layer in enumerate(site.dissection.layers)]
    return pd.concat(tables, ignore_index=True)


def _grid_row(site: Site, frame: Frame, labels: pd.DataFrame, concept: NamedConcept) -> GridRow:
    largest = int(labels.groupby(["concept", "layer"]).size().max()) if len(labels) else 1
    units = labels[labels["concept"] == concept.name]
    cells = []
    for i, layer in enumerate(site.dissection.layers):
        corrected_iou = units.loc[units["layer"] == i, "corrected_iou"]
        href = f"{frame.to(site.places.layer(layer.name))}#{view_of(concept.name)}"
        size = f"{100 * math.sqrt(len(corrected_iou) / largest):.0f}%"
        cells.append(
            GridCell(
                len(corrected_iou),
                href,
                size,
                float(corrected_iou.max()) if len(corrected_iou) else math.nan,
                layer.name,
            )
        )
    href = site.concept_href(frame, concept.name)
    return GridRow(concept, href, tuple(cells), len(units), *_strongest(site, frame, units))


def _strongest(site: Site, frame: Frame, units: pd.DataFrame) -> tuple[Link | None, str]:
    """The unit of the largest selection score, and its strip."""
    if not len(units):
        return None, ""
    row = max(rows_of(units), key=lambda row: float(row.selection_score))
    layer = site.dissection.layers[int(row.layer)].name
    link = Link(frame.to(site.places.unit(layer, row.unit)), f"{layer} unit {row.unit}")
    return link, frame.to(site.places.strip(layer, row.unit))


def concepts_by_units(site: Site, labels: pd.DataFrame) -> list[NamedConcept]:
    """Concepts that occur, by category and then by falling number of units."""
    total = labels["concept"].value_counts()
    order = {category: i for i, category in enumerate(site.categories)}
    concepts = [NamedConcept.of(row) for row in rows_of(site.dissection.concepts)]
    return sorted(concepts, key=lambda c: (order.get(c.category, 99), -int(total.get(c.name, 0)), c.name))


@dataclass(frozen=True)
class ConceptRow:
    """A concept of the vocabulary that occurs."""

    concept: NamedConcept
    area: float
    area_low: float
    area_high: float
    images: int
    tested: bool
    trained: float
    units: int
    best: Link | None
    overall: str
    """The best unit's overall label, where it is another concept."""
    agreement: Agreement | None
    """The best unit's IoU with this concept, whatever its overall label."""
    href: str
    """Its page."""
    removed: Point
    """The share of its area that the leading units remove; NaN where that was not measured."""


@dataclass(frozen=True)
class ConceptsPage:
    """Where the units of each concept are."""

    frame: Frame
    model: str
    has_enough_images: bool
    """Whether there were enough images to test which units are interpretable."""
    wording: Wording
    held_out: int
    grid: ConceptGrid
    shown: int
    """Concepts that are an interpretable unit's label in their category."""
    leading: int
    """Those that are some interpretable unit's overall label."""
    twins: str
    """Concepts that count as one, in words; '' where there are none."""
    rows: tuple[ConceptRow, ...]
    figure: Figure
    csv: str
    json: str


def concepts_page(site: Site) -> ConceptsPage:
    """Every concept: its area, its units by layer, its best unit."""
    dissection, places = site.dissection, site.places
    title, description = f"Concepts · {dissection.title}", f"Which concepts the units of {dissection.title} match."
    frame = site.frame(places.page("concepts"), title, description, current="concepts")
    grid = concept_grid(site, frame)
    overall = pd.concat([layer.interpretable["concept"] for layer in dissection.layers])
    return ConceptsPage(
        frame=frame,
        model=dissection.title,
        has_enough_images=dissection.has_enough_images,
        wording=site.wording,
        held_out=dissection.provenance.held_out,
        grid=grid,
        shown=different(dissection, [row.concept.name for row in grid.rows if row.total]),
        leading=different(dissection, overall),
        twins=twins_in_words(dissection),
        rows=_concept_rows(site, frame),
        figure=concept_heatmap(_heatmap(grid)),
        csv=frame.to(places.data("concepts", "csv")),
        json=frame.to(places.data("concepts", "json")),
    )


def _concept_rows(site: Site, frame: Frame) -> tuple[ConceptRow, ...]:
    interventions = site.dissection.interventions
    leads = {} if interventions is None else {one.concept.name: one.leading for one in studied(interventions)}
    removed = {name: lead.removed for name, lead in leads.items() if lead is not None}
    labels = labels_by_layer(site).sort_values("selection_score", ascending=False, kind="stable")
    units = {str(name): rows_of(rows) for name, rows in labels.groupby("concept", sort=False)}
    overall = [layer.table.set_index("unit")["concept"].to_dict() for layer in site.dissection.layers]
    return tuple(
        _concept_row(site, frame, row, units.get(str(row.concept), []), overall, removed.get(str(row.concept), UNKNOWN))
        for row in rows_of(site.dissection.concepts)
    )


def _concept_row(
    site: Site, frame: Frame, row: Any, units: list[Any], overall: list[dict[Hashable, Any]], removed: Point
) -> ConceptRow:
    """`units` are the rows of its labels, strongest first; `overall` is each layer's overall label by unit."""
    best = units[0] if units else None
    return ConceptRow(
        concept=NamedConcept.of(row),
        area=float(row.area),
        area_low=float(row.area_low),
        area_high=float(row.area_high),
        images=int(row.images),
        tested=bool(row.tested) or not site.wording.untested,
        trained=float(row.segmenter_iou),
        units=len(units),
        best=None if best is None else _link(site, frame, best),
        overall="" if best is None else _other(str(overall[best.layer][best.unit]), str(row.concept)),
        agreement=None if best is None else Agreement.of(best),
        href=site.concept_href(frame, str(row.concept)),
        removed=removed,
    )


def _link(site: Site, frame: Frame, label: Any) -> Link:
    layer = site.dissection.layers[label.layer].name
    return Link(frame.to(site.places.unit(layer, label.unit)), f"{layer} unit {label.unit}")


def _other(overall: str, concept: str) -> str:
    return "" if overall == concept else overall or "none"


def _heatmap(grid: ConceptGrid) -> Grid:
    return Grid(
        tuple(row.concept.name for row in grid.rows),
        tuple(layer.words for layer in grid.layers),
        tuple(tuple(cell.corrected_iou for cell in row.cells) for row in grid.rows),
        tuple(tuple(cell.units for cell in row.cells) for row in grid.rows),
    )
