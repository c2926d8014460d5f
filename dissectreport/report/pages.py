"""The first page of the site, and the first page of a model: a frozen dataclass for each template."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from dissectreport.analysis.dissection import Dissection, Layer
from dissectreport.report.causal_overview import Teaser, teaser
from dissectreport.report.charts import Point, Series, over_layers
from dissectreport.report.concept_pages import ConceptGrid, concept_grid
from dissectreport.report.figures import Agreement
from dissectreport.report.frame import Assets, Frame, frame
from dissectreport.report.marks import mark_of
from dissectreport.report.model import Count, Site, beyond_chance, counts, counts_by_category, leading_units, rows_of
from dissectreport.report.wording import Wording


@dataclass(frozen=True)
class Summary:
    """What the first page of the site says about a model; also its summary.json."""

    model: str
    home: str
    assets: tuple[str, ...]
    rule: str
    samples: int
    scoring: int
    segmenter: str
    concepts: int
    units: int
    interpretable: int
    beside: str
    """How many of those also beat chance, in words, where the rule does not ask for it."""
    images: str
    band: str
    layers: tuple[Mapping[str, Any], ...]
    tells: bool = True
    """Whether there were images enough to tell which units are interpretable."""


def summary(site: Site) -> Summary:
    """The model in a few numbers."""
    facts, layers = site.dissection.provenance, site.dissection.layers
    named = pd.concat([layer.interpretable["concept"] for layer in layers])
    return Summary(
        model=site.dissection.model,
        home=site.places.home,
        assets=site.assets.files,
        rule=facts.rule,
        samples=facts.samples,
        scoring=facts.scoring,
        segmenter=str(facts.segmenter.get("name", "")),
        concepts=int(named.nunique()),
        units=sum(layer.units for layer in layers),
        interpretable=len(named),
        beside=site.wording.also(len(named), sum(map(beyond_chance, layers))),
        images=site.wording.images,
        band=site.places.image("band"),
        layers=tuple(
            {"layer": layer.name, "units": layer.units, **{k: asdict(c) for k, c in counts(layer).items()}}
            for layer in layers
        ),
        tells=site.dissection.tells,
    )


@dataclass(frozen=True)
class Entry:
    """A model on the first page of the site."""

    summary: Summary
    href: str
    band: str
    leading: Mapping[str, Any]
    rotated: Count | None
    count: Count


@dataclass(frozen=True)
class IndexPage:
    """The first page of the site."""

    frame: Frame
    models: tuple[Entry, ...]


def index_page(summaries: list[Summary], assets: Assets) -> IndexPage:
    """All models of the site."""
    around = frame("index.html", "Models", "Image generators dissected: what their units mean.", assets)
    return IndexPage(around, tuple(_entry(around, s) for s in summaries))


def _entry(around: Frame, one: Summary) -> Entry:
    leading = max(one.layers, key=lambda layer: (layer["measured"]["concepts"] or 0, layer["measured"]["units"] or 0))
    rotated = leading.get("rotation")
    return Entry(
        summary=one,
        href=around.to(f"{one.home}/index.html"),
        band=around.to(one.band),
        leading=leading,
        rotated=Count.of_json(rotated) if rotated else None,
        count=Count.of_json(leading["measured"]),
    )


@dataclass(frozen=True)
class Within:
    """A layer's units by their label within one category, beside the controls."""

    category: str
    mark: str
    counts: Mapping[str, Count]
    css: Mapping[str, str]
    """Where bar, interval and the rotated layer stand, in per cent of the layer."""

    @classmethod
    def of(cls, category: str, mark: str, found: Mapping[str, Count]) -> Within:
        """From the counts by control."""
        own = found["measured"].as_share()
        fit = {"units": own.value, "low": own.low, "span": own.high - own.low}
        if "rotation" in found:
            fit["rotated"] = found["rotation"].as_share().value
        css = {name: f"{100 * (0 if math.isnan(value) else value):.1f}%" for name, value in fit.items()}
        return cls(category, mark, found, css)


@dataclass(frozen=True)
class LayerRow:
    """A layer on the overview."""

    name: str
    href: str
    units: int
    size: str
    counts: Mapping[str, Count]
    within: tuple[Within, ...]
    strip: str
    unit: int
    concept: str
    mark: str
    unit_href: str
    agreement: Agreement | None


@dataclass(frozen=True)
class OverviewPage:
    """A model's first page."""

    frame: Frame
    model: str
    interpretable: int
    units: int
    concepts: int
    tells: bool
    """Whether there were images enough to tell which units are interpretable."""
    wording: Wording
    beside: str
    """How many interpretable units also beat chance, in words, where the rule does not ask for it."""
    scoring: int
    leading: LayerRow
    rotated: float | None
    """Directions that are interpretable when every layer is rotated at random."""
    band: str
    band_size: int
    rows: tuple[LayerRow, ...]
    chart_units: Markup
    chart_concepts: Markup
    highlights: tuple[LayerRow, ...]
    lookup: str
    grid: ConceptGrid
    causes: Teaser | None
    more: Mapping[str, str]


def overview_page(site: Site) -> OverviewPage:
    """The model as a whole: layers against controls, and where concepts live."""
    found, places = site.dissection, site.places
    around = site.frame(
        places.page("index"),
        found.model,
        f"What the units of {found.model} mean, layer by layer.",
        current="overview",
    )
    rows = tuple(_layer_row(site, around, layer) for layer in found.layers)
    named = pd.concat([layer.interpretable["concept"] for layer in found.layers])
    return OverviewPage(
        frame=around,
        model=found.model,
        interpretable=len(named),
        units=sum(layer.units for layer in found.layers),
        concepts=int(named.nunique()),
        tells=found.tells,
        wording=site.wording,
        beside=site.wording.also(len(named), sum(map(beyond_chance, found.layers))),
        scoring=found.provenance.scoring,
        leading=max(rows, key=lambda r: (r.counts["measured"].concepts, r.counts["measured"].units)),
        rotated=_rotated(rows),
        band=around.to(places.image("band")),
        band_size=band_size(found),
        rows=rows,
        chart_units=_layer_chart(found, True),
        chart_concepts=_layer_chart(found, False),
        highlights=_highlights(site, around),
        lookup=around.to(places.page("lookup")),
        grid=concept_grid(site, around, limit=18),
        causes=teaser(site, around),
        more={name: around.to(places.page(name)) for name in ("concepts", "trust", "methods", "lookup")},
    )


def _rotated(rows: tuple[LayerRow, ...]) -> float | None:
    """Interpretable directions of all layers, if every layer was rotated."""
    found = [row.counts["rotation"].units for row in rows if "rotation" in row.counts]
    return sum(found) if len(found) == len(rows) else None


def band_size(found: Dissection) -> int:
    """Images in the row at the head of the overview."""
    return min(8, len(found.pictures.numbers))


def _layer_row(site: Site, around: Frame, layer: Layer, row: Any = None) -> LayerRow:
    best = row if row is not None else next(iter(rows_of(leading_units(layer))))
    return LayerRow(
        name=layer.name,
        href=around.to(site.places.layer(layer.name)),
        units=layer.units,
        size=f"{layer.height} × {layer.width}",
        counts=counts(layer),
        within=tuple(Within.of(*found) for found in counts_by_category(site, layer)),
        strip=around.to(site.places.strip(layer.name, int(best.unit))),
        unit=int(best.unit),
        concept=str(best.concept),
        mark=mark_of(str(best.category)),
        unit_href=around.to(site.places.unit(layer.name, int(best.unit))),
        agreement=Agreement.of(best) if not math.isnan(best.iou) else None,
    )


def _highlights(site: Site, around: Frame, most: int = 6) -> tuple[LayerRow, ...]:
    """The surest unit of each concept, the categories taking turns."""
    tables = [leading_units(layer).assign(at=i) for i, layer in enumerate(site.dissection.layers)]
    ranked = pd.concat(tables, ignore_index=True)
    ranked = ranked[ranked["interpretable"]].sort_values("excess_low", ascending=False, kind="stable")
    first = ranked.drop_duplicates("concept")
    turns = first.assign(turn=first.groupby("category").cumcount())
    chosen = turns.sort_values(["turn", "excess_low"], ascending=[True, False], kind="stable").head(most)
    layers = site.dissection.layers
    return tuple(_layer_row(site, around, layers[row.at], row) for row in rows_of(chosen))


def _layer_chart(found: Dissection, units: bool) -> Markup:
    per_layer = [counts(layer) for layer in found.layers]
    controls = list(dict.fromkeys(c for one in per_layer for c in one))
    gap = Point(math.nan, math.nan, math.nan)

    def point(one: dict[str, Count], control: str) -> Point:
        if control not in one:
            return gap
        return one[control].as_share() if units else one[control].as_concepts()

    series = [Series(c, tuple(point(one, c) for one in per_layer)) for c in controls]
    what = "Share of units that are interpretable" if units else "Different concepts among interpretable units"
    return over_layers(
        "chart-units" if units else "chart-concepts",
        f"{what}, by layer",
        f"{what}, for the layer and its controls, with 95 % intervals; the table below has the numbers.",
        [layer.name for layer in found.layers],
        series,
        as_share=units,
    )
