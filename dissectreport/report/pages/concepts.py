"""Where each concept lives: concept by layer, and every concept in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from dissectreport.report.common.model import Site, interpretable_labels, rows_of, view_of
from dissectreport.report.common.plotly_figures import Figure, Grid, concept_heatmap
from dissectreport.report.common.wording import Wording
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.frame import Frame, Link
from dissectreport.report.html.numbers import Agreement


@dataclass(frozen=True)
class GridCell:
    """How a layer represents a concept: units labelled with it, and the surest of them."""

    units: int
    href: str
    size: str
    excess: float
    layer: str


@dataclass(frozen=True)
class GridRow:
    """A concept over the layers."""

    concept: str
    category: str
    mark: str
    cells: tuple[GridCell, ...]
    total: int
    surest: Link | None
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


def concept_grid(site: Site, around: Frame, limit: int | None = None) -> ConceptGrid:
    """Which layers hold units of which concept, most units first."""
    layers = site.dissection.layers
    good = pd.concat([interpretable_labels(layer).assign(layer=i) for i, layer in enumerate(layers)], ignore_index=True)
    number = good.groupby(["concept", "layer"])["unit"].count()
    best = good.groupby(["concept", "layer"])["excess"].max()
    largest = int(number.max()) if len(number) else 1
    rows = []
    for concept, category in _concepts_by_units(site, good):
        cells = []
        for i, layer in enumerate(layers):
            n = int(number.get((concept, i), 0))
            href = f"{around.to(site.places.layer(layer.name))}#{view_of(concept)}"
            size = f"{100 * math.sqrt(n / largest):.0f}%"
            cells.append(GridCell(n, href, size, float(best.get((concept, i), math.nan)), layer.name))
        total = sum(cell.units for cell in cells)
        rows.append(
            GridRow(
                concept,
                category,
                mark_of(category),
                tuple(cells),
                total,
                *_surest(site, around, good, concept),
            )
        )
    filled = [row for row in rows if row.total]
    shown = sorted(filled, key=lambda row: -row.total)[:limit]
    heads = tuple(Link(around.to(site.places.layer(layer.name)), layer.name) for layer in layers)
    without = tuple(row.concept for row in rows if not row.total)
    return ConceptGrid(heads, tuple(r for r in filled if r in shown), len(filled) - len(shown), without)


def _surest(site: Site, around: Frame, good: pd.DataFrame, concept: str) -> tuple[Link | None, str]:
    """The unit that agrees most surely with a concept, and its strip."""
    units = good[good["concept"] == concept]
    if not len(units):
        return None, ""
    row = max(rows_of(units), key=lambda r: -1.0 if math.isnan(r.excess_low) else float(r.excess_low))
    layer = site.dissection.layers[int(row.layer)].name
    place = Link(around.to(site.places.unit(layer, row.unit)), f"{layer} unit {row.unit}")
    return place, around.to(site.places.strip(layer, row.unit))


def _concepts_by_units(site: Site, good: pd.DataFrame) -> list[tuple[str, str]]:
    """Concepts that occur, by category and then by falling number of units."""
    total = good["concept"].value_counts()
    order = {category: i for i, category in enumerate(site.categories)}
    listed = [(row.concept, row.category) for row in rows_of(site.dissection.concepts)]
    return sorted(listed, key=lambda c: (order.get(c[1], 99), -int(total.get(c[0], 0)), c[0]))


@dataclass(frozen=True)
class ConceptRow:
    """A concept of the vocabulary that occurs."""

    concept: str
    category: str
    mark: str
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
    """How the best unit agrees with this concept, whatever its overall label."""
    causes: str
    """The page about what causes it; '' where that was not studied."""


@dataclass(frozen=True)
class ConceptsPage:
    """Where each concept lives."""

    frame: Frame
    model: str
    tells: bool
    """Whether there were images enough to tell which units are interpretable."""
    wording: Wording
    scoring: int
    grid: ConceptGrid
    shown: int
    """Concepts that are an interpretable unit's label in their category."""
    leading: int
    """Those that are some interpretable unit's overall label."""
    rows: tuple[ConceptRow, ...]
    figure: Figure
    csv: str
    json: str


def _other(overall: str, concept: str) -> str:
    return "" if overall == concept else overall or "none"


def concepts_page(site: Site) -> ConceptsPage:
    """Every concept: its area, its units by layer, its best unit."""
    found, places = site.dissection, site.places
    title = f"Concepts · {found.title}"
    around = site.frame(
        places.page("concepts"),
        title,
        f"Which layers of {found.title} hold which concepts.",
        current="concepts",
    )
    grid = concept_grid(site, around)
    overall = {(layer.name, int(r.unit)): str(r.concept) for layer in found.layers for r in rows_of(layer.table)}
    good = pd.concat([interpretable_labels(layer).assign(layer=layer.name) for layer in found.layers])
    total = {row.concept: row.total for row in grid.rows}
    rows = []
    for row in rows_of(found.concepts):
        units = good[good["concept"] == row.concept].sort_values("excess_low", ascending=False, kind="stable")
        best = next(iter(rows_of(units)), None)
        rows.append(
            ConceptRow(
                concept=row.concept,
                category=row.category,
                mark=mark_of(row.category),
                area=float(row.area),
                area_low=float(row.area_low),
                area_high=float(row.area_high),
                images=int(row.images),
                tested=bool(row.tested) or not site.wording.untested,
                trained=float(row.trained),
                units=total.get(row.concept, 0),
                best=best and Link(around.to(places.unit(best.layer, best.unit)), f"{best.layer} unit {best.unit}"),
                overall="" if best is None else _other(overall[best.layer, best.unit], row.concept),
                agreement=best and Agreement.of(best),
                causes=around.to(places.concept(row.concept)) if row.concept in places.concepts else "",
            )
        )
    plot = Grid(
        tuple(row.concept for row in grid.rows),
        tuple(layer.name for layer in found.layers),
        tuple(tuple(cell.excess for cell in row.cells) for row in grid.rows),
        tuple(tuple(cell.units for cell in row.cells) for row in grid.rows),
    )
    downloads = (around.to(places.data("concepts", kind)) for kind in ("csv", "json"))
    return ConceptsPage(
        around,
        found.title,
        found.tells,
        site.wording,
        found.provenance.scoring,
        grid,
        int(good["concept"].nunique()),
        int(pd.concat([layer.interpretable["concept"] for layer in found.layers]).nunique()),
        tuple(rows),
        concept_heatmap(plot),
        *downloads,
    )
