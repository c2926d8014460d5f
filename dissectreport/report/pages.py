"""The pages about a model as a whole: a frozen dataclass for each template, built from a Dissection."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from dissectreport.analysis.dissection import COLUMNS, Dissection, Layer
from dissectreport.report.charts import CONTROLS, Point, Series, over_layers
from dissectreport.report.figures import Agreement
from dissectreport.report.frame import Assets, Frame, Link, frame, model_frame
from dissectreport.report.marks import mark_of
from dissectreport.report.places import Places
from dissectreport.report.plots import Figure, Grid, concept_heatmap


@dataclass(frozen=True)
class Count:
    """How many units, and different concepts, a rule calls interpretable, with intervals."""

    units: float
    units_low: float
    units_high: float
    of: float
    concepts: float
    concepts_low: float
    concepts_high: float

    @classmethod
    def of_row(cls, row: Any) -> Count:
        """From a row of a `controls` table."""
        return cls(*(float(getattr(row, name)) for name in cls.__dataclass_fields__))

    def as_share(self) -> Point:
        """Share of the layer's units."""
        return Point(self.units / self.of, self.units_low / self.of, self.units_high / self.of)

    def as_concepts(self) -> Point:
        """Number of different concepts."""
        return Point(self.concepts, self.concepts_low, self.concepts_high)


def counts(layer: Layer, category: str = "") -> dict[str, Count]:
    """The counts of a layer by control, in the order in which readers meet them."""
    rows = layer.controls[layer.controls["category"] == category]
    found = {row.control: Count.of_row(row) for row in rows.itertuples()}
    return {name: found[name] for name in (*CONTROLS, *found) if name in found}


@dataclass(frozen=True)
class Site:
    """What builds the pages of one model: what was found, where it goes, what it looks like."""

    dissection: Dissection
    places: Places
    assets: Assets

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories of the vocabulary, in its order."""
        return tuple(c for c in dict.fromkeys(self.dissection.vocabulary["category"]) if c != "-")

    def frame(self, here: str, title: str, description: str, *scripts: str, current: str = "") -> Frame:
        """The surroundings of one of the model's pages."""
        return model_frame(here, title, description, self.assets, self.dissection, self.places, scripts, current)


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
    band: str
    layers: tuple[Mapping[str, Any], ...]


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
        band=site.places.image("band"),
        layers=tuple(
            {"layer": layer.name, "units": layer.units, **{k: asdict(c) for k, c in counts(layer).items()}}
            for layer in layers
        ),
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
    leading = max(one.layers, key=lambda layer: layer["measured"]["units"] / layer["measured"]["of"])
    rotated = leading.get("rotation")
    return Entry(
        summary=one,
        href=around.to(f"{one.home}/index.html"),
        band=around.to(one.band),
        leading=leading,
        rotated=Count(**rotated) if rotated else None,
        count=Count(**leading["measured"]),
    )


@dataclass(frozen=True)
class Slice:
    """A category's part of a layer's interpretable units."""

    category: str
    mark: str
    units: int
    width: str


@dataclass(frozen=True)
class LayerRow:
    """A layer on the overview."""

    name: str
    href: str
    units: int
    size: str
    counts: Mapping[str, Count]
    slices: tuple[Slice, ...]
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
    scoring: int
    samples: int
    groups: int
    leading: LayerRow
    band: str
    band_size: int
    rows: tuple[LayerRow, ...]
    chart_units: Markup
    chart_concepts: Markup
    highlights: tuple[LayerRow, ...]
    lookup: str
    grid: ConceptGrid
    more: Mapping[str, str]


def overview_page(site: Site) -> OverviewPage:
    """The model as a whole: layers against controls, and where concepts live."""
    found, places = site.dissection, site.places
    around = site.frame(
        places.page("index"), found.model, f"What the units of {found.model} mean, layer by layer.", current="overview"
    )
    rows = tuple(_layer_row(site, around, layer) for layer in found.layers)
    named = pd.concat([layer.interpretable["concept"] for layer in found.layers])
    return OverviewPage(
        frame=around,
        model=found.model,
        interpretable=len(named),
        units=sum(layer.units for layer in found.layers),
        concepts=int(named.nunique()),
        scoring=found.provenance.scoring,
        samples=found.provenance.samples,
        groups=found.provenance.groups,
        leading=max(rows, key=lambda r: r.counts["measured"].as_share().value),
        band=around.to(places.image("band")),
        band_size=band_size(found),
        rows=rows,
        chart_units=_layer_chart(found, True),
        chart_concepts=_layer_chart(found, False),
        highlights=_highlights(site, around),
        lookup=around.to(places.page("lookup")),
        grid=concept_grid(site, around, limit=18),
        more={name: around.to(places.page(name)) for name in ("concepts", "trust", "methods", "lookup")},
    )


def band_size(found: Dissection) -> int:
    """Images in the row at the head of the overview."""
    return min(8, len(found.pictures.numbers))


def leading_units(layer: Layer) -> pd.DataFrame:
    """The layer's table with the surest agreement first: interpretable units, then by the lower end of the excess."""
    order = layer.table.assign(set_aside=~layer.table["interpretable"])
    return order.sort_values(["set_aside", "excess_low", "unit"], ascending=[True, False, True], kind="stable")


def _layer_row(site: Site, around: Frame, layer: Layer, row: Any = None) -> LayerRow:
    best = row if row is not None else next(leading_units(layer).itertuples())
    good = layer.interpretable["category"].value_counts()
    total = max(layer.units, 1)
    return LayerRow(
        name=layer.name,
        href=around.to(site.places.layer(layer.name)),
        units=layer.units,
        size=f"{layer.height} × {layer.width}",
        counts=counts(layer),
        slices=tuple(
            Slice(c, mark_of(c), int(good[c]), f"{100 * good[c] / total:.2f}%") for c in site.categories if c in good
        ),
        strip=around.to(site.places.strip(layer.name, int(best.unit))),
        unit=int(best.unit),
        concept=str(best.concept),
        mark=mark_of(str(best.category)),
        unit_href=around.to(site.places.unit(layer.name, int(best.unit))),
        agreement=Agreement.of(best) if not math.isnan(best.iou) else None,
    )


def _highlights(site: Site, around: Frame, most: int = 6) -> tuple[LayerRow, ...]:
    """The surest unit of each of the concepts that are found most surely."""
    tables = [leading_units(layer).assign(at=i) for i, layer in enumerate(site.dissection.layers)]
    ranked = pd.concat(tables)
    ranked = ranked[ranked["interpretable"]].sort_values(["excess_low", "unit"], ascending=[False, True], kind="stable")
    first = ranked.drop_duplicates("concept").head(most)
    return tuple(_layer_row(site, around, site.dissection.layers[row.at], row) for row in first.itertuples())


def _layer_chart(found: Dissection, units: bool) -> Markup:
    per_layer = [counts(layer) for layer in found.layers]
    controls = [c for c in dict.fromkeys(c for one in per_layer for c in one)]
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
        f"{what}, for the layer itself and its controls, with 95 % intervals; the table below has the numbers.",
        [layer.name for layer in found.layers],
        series,
        as_share=units,
    )


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
    good = pd.concat([layer.interpretable.assign(layer=i) for i, layer in enumerate(layers)], ignore_index=True)
    number = good.groupby(["concept", "layer"])["unit"].count()
    best = good.groupby(["concept", "layer"])["excess"].max()
    largest = int(number.max()) if len(number) else 1
    rows = []
    for concept, category in _concepts_by_units(site, good):
        cells = []
        for i, layer in enumerate(layers):
            n = int(number.get((concept, i), 0))
            href = f"{around.to(site.places.layer(layer.name))}#c={_quoted(concept)}"
            size = f"{100 * math.sqrt(n / largest):.0f}%"
            cells.append(GridCell(n, href, size, float(best.get((concept, i), math.nan)), layer.name))
        total = sum(cell.units for cell in cells)
        rows.append(GridRow(concept, category, mark_of(category), tuple(cells), total, *_surest(site, around, good, concept)))
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
    row = units.loc[units["excess_low"].fillna(-1).idxmax()]
    layer, unit = site.dissection.layers[int(row["layer"])].name, int(row["unit"])
    return Link(around.to(site.places.unit(layer, unit)), f"{layer} unit {unit}"), around.to(site.places.strip(layer, unit))


def _quoted(words: str) -> str:
    from urllib.parse import quote

    return quote(words, safe="")


def _concepts_by_units(site: Site, good: pd.DataFrame) -> list[tuple[str, str]]:
    """Concepts that occur, by category and then by falling number of units."""
    total = good["concept"].value_counts()
    order = {category: i for i, category in enumerate(site.categories)}
    listed = [(row.concept, row.category) for row in site.dissection.concepts.itertuples()]
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
    agreement: Agreement | None


@dataclass(frozen=True)
class ConceptsPage:
    """Where each concept lives."""

    frame: Frame
    model: str
    scoring: int
    grid: ConceptGrid
    rows: tuple[ConceptRow, ...]
    figure: Figure
    csv: str
    json: str


def concepts_page(site: Site) -> ConceptsPage:
    """Every concept: its area, its units by layer, its best unit."""
    found, places = site.dissection, site.places
    title = f"Concepts · {found.model}"
    around = site.frame(
        places.page("concepts"), title, f"Which layers of {found.model} hold which concepts.", current="concepts"
    )
    grid = concept_grid(site, around)
    good = pd.concat([layer.interpretable.assign(layer=layer.name) for layer in found.layers])
    total = {row.concept: row.total for row in grid.rows}
    rows = []
    for row in found.concepts.itertuples():
        units = good[good["concept"] == row.concept].sort_values("excess_low", ascending=False, kind="stable")
        best = next(units.itertuples(), None)
        rows.append(
            ConceptRow(
                *(row.concept, row.category, mark_of(row.category)),
                *(float(row.area), float(row.area_low), float(row.area_high)),
                *(int(row.images), bool(row.tested), float(row.trained), total.get(row.concept, 0)),
                Link(around.to(places.unit(best.layer, best.unit)), f"{best.layer} unit {best.unit}") if best else None,
                Agreement.of(best) if best else None,
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
        around, found.model, found.provenance.scoring, grid, tuple(rows), concept_heatmap(plot), *downloads
    )


@dataclass(frozen=True)
class Fired:
    """A unit that fires over much of an image."""

    unit: int
    href: str
    concept: str
    mark: str
    where: str


@dataclass(frozen=True)
class LookedUp:
    """An image, and the units of each layer that fire in it."""

    sample: int
    picture: str
    layers: tuple[tuple[str, tuple[Fired, ...]], ...]


@dataclass(frozen=True)
class LookupPage:
    """Choose an image, click a point, see the units."""

    frame: Frame
    model: str
    images: tuple[LookedUp, ...]
    layers: tuple[Link, ...]
    data: Mapping[str, Any]


def lookup_page(site: Site) -> LookupPage:
    """The reverse look-up with its list for those without scripts."""
    found, places = site.dissection, site.places
    around = site.frame(
        places.page("lookup"),
        f"Look up · {found.model}",
        "Which units fire at a point of an image.",
        site.assets.lookup,
        current="look up",
    )
    samples = [int(s) for s in found.layers[0].lookup.samples]
    images = tuple(
        LookedUp(
            sample,
            around.to(places.picture(sample)),
            tuple((layer.name, _strongest(site, around, layer, sample)) for layer in found.layers),
        )
        for sample in samples
    )
    layers = tuple(Link(around.to(places.layer(layer.name)), layer.name) for layer in found.layers)
    data = {"layers": [_lookup_layer(site, around, layer) for layer in found.layers]}
    return LookupPage(around, found.model, images, layers, data)


def _lookup_layer(site: Site, around: Frame, layer: Layer) -> Mapping[str, Any]:
    _, units, height, width = layer.lookup.maps.shape
    return {
        "name": layer.name,
        "folder": around.to(site.places.layer(layer.name)).removesuffix("index.html"),
        "scripts": {int(s): around.to(site.places.lookup(layer.name, int(s))) for s in layer.lookup.samples},
        "shape": [units, height, width],
        "concepts": [str(c) for c in layer.table["concept"]],
        "marks": [mark_of(str(c)) for c in layer.table["category"]],
        "sure": [bool(i) for i in layer.table["interpretable"]],
    }


def _strongest(site: Site, around: Frame, layer: Layer, sample: int, most: int = 5) -> tuple[Fired, ...]:
    at = list(layer.lookup.samples).index(sample)
    maps = layer.lookup.maps[at]
    mean = maps.reshape(len(maps), -1).mean(1)
    table = layer.table.set_index("unit")
    usable = np.array([bool(table.at[u, "interpretable"]) for u in range(len(maps))])
    order = np.argsort(-(mean + 1000 * usable), kind="stable")[:most]
    return tuple(
        Fired(
            unit=int(u),
            href=around.to(site.places.unit(layer.name, int(u))),
            concept=str(table.at[u, "concept"]),
            mark=mark_of(str(table.at[u, "category"])),
            where=_where(maps[u]),
        )
        for u in order
    )


def _where(map_: np.ndarray[Any, Any]) -> str:
    """The part of the image in which a map is highest, in words."""
    row, column = np.unravel_index(int(map_.argmax()), map_.shape)
    down = ("top", "middle", "bottom")[int(3 * row / map_.shape[0])]
    across = ("left", "centre", "right")[int(3 * column / map_.shape[1])]
    return f"{down} {across}"


@dataclass(frozen=True)
class Shade:
    """A concept's colour in an overlay, with the share of the image that it covers."""

    concept: str
    colour: str
    share: float


@dataclass(frozen=True)
class Seen:
    """One image as the segmenter sees it."""

    picture: str
    overlay: str
    certainty: str
    mean: float
    shades: tuple[Shade, ...]
    alt: str


@dataclass(frozen=True)
class TrustGroup:
    """Images of one kind."""

    source: str
    words: str
    mean: float
    seen: tuple[Seen, ...]


@dataclass(frozen=True)
class TrustPage:
    """How far the segmenter can be trusted."""

    frame: Frame
    model: str
    segmenter: str
    card: tuple[tuple[str, str], ...]
    groups: tuple[TrustGroup, ...]


SOURCES = {"drawn": "Drawn images, like those the generator was trained on", "generated": "Generated images"}


def trust_page(site: Site, colours: np.ndarray[Any, Any]) -> TrustPage:
    """Overlays and confidence on every kind of images that there is."""
    found, places = site.dissection, site.places
    around = site.frame(
        places.page("trust"),
        f"The segmenter · {found.model}",
        "What the segmenter sees, and how sure it is.",
        current="segmenter",
    )
    groups = []
    for number, trust in enumerate(found.trust):
        seen = []
        for i in range(len(trust.images)):
            stem = f"trust-{number}-{i}"
            pictures = (around.to(places.image(f"{stem}-{kind}")) for kind in ("plain", "seen", "sure"))
            mean = float(trust.confidence[i].astype(np.float64).mean())
            shades = _shades(found, trust.labels[i], colours)
            words = ", ".join(s.concept for s in shades) or "nothing"
            seen.append(Seen(*pictures, mean, shades, f"{trust.source} image {i + 1} of {len(trust.images)}: {words}"))
        mean = float(trust.confidence.astype(np.float64).mean()) if len(trust.images) else math.nan
        groups.append(TrustGroup(trust.source, SOURCES.get(trust.source, trust.source), mean, tuple(seen)))
    segmenter = found.provenance.segmenter
    return TrustPage(
        around, found.model, str(segmenter.get("name", "the segmenter")), flat(segmenter), tuple(groups)
    )


def _shades(found: Dissection, labels: np.ndarray[Any, Any], colours: np.ndarray[Any, Any]) -> tuple[Shade, ...]:
    from dissectreport.report.images import leading_labels

    number, pixels = np.unique(leading_labels(labels), return_counts=True)
    order = [i for i in np.argsort(-pixels, kind="stable") if number[i] > 0][:8]
    names = found.vocabulary["concept"]
    return tuple(
        Shade(str(names.iloc[number[i]]), "#" + bytes(colours[number[i]]).hex(), float(pixels[i] / pixels.sum()))
        for i in order
    )


def flat(facts: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Nested facts as pairs of words."""
    pairs: list[tuple[str, str]] = []
    for name, value in facts.items():
        words = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            pairs += flat(value, f"{words}, ")
        else:
            pairs.append((words, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return tuple(pairs)


@dataclass(frozen=True)
class Download:
    """A table to take away, of one layer or of the whole model."""

    rows: int
    csv: str
    json: str
    words: str


@dataclass(frozen=True)
class MethodsPage:
    """How it was done, what the words mean, and where the numbers are."""

    frame: Frame
    model: str
    facts: Any
    layers: tuple[str, ...]
    units: int
    tested: int
    untested: tuple[str, ...]
    generator: tuple[tuple[str, str], ...]
    segmenter: tuple[tuple[str, str], ...]
    thresholds: Mapping[str, float]
    downloads: Mapping[str, Mapping[str, Download]]
    """By table and then by layer, '' for the whole model."""
    columns: Mapping[str, str]
    set_aside: Mapping[str, int]


def methods_page(site: Site, rows: Mapping[tuple[str, str], int]) -> MethodsPage:
    """`rows` gives the number of rows of each (table, layer) that can be downloaded."""
    found, places = site.dissection, site.places
    facts = found.provenance
    around = site.frame(
        places.page("methods"),
        f"Methods & data · {found.model}",
        f"How {found.model} was dissected, with downloads.",
        current="methods & data",
    )
    downloads: dict[str, dict[str, Download]] = {}
    for (name, layer), n in rows.items():
        files = (around.to(places.data(name, kind, layer or None)) for kind in ("csv", "json"))
        downloads.setdefault(name, {})[layer] = Download(n, *files, f"{name} of {layer or 'the model'}")
    states = pd.concat([layer.table["state"] for layer in found.layers]).str.replace(r"\d+", "another", regex=True)
    return MethodsPage(
        frame=around,
        model=found.model,
        facts=facts,
        layers=tuple(layer.name for layer in found.layers),
        units=sum(layer.units for layer in found.layers),
        tested=int(found.concepts["tested"].sum()),
        untested=tuple(found.concepts.loc[~found.concepts["tested"].astype(bool), "concept"]),
        generator=flat(facts.generator),
        segmenter=flat(facts.segmenter),
        thresholds=facts.thresholds,
        downloads=downloads,
        columns=COLUMNS,
        set_aside={str(k): int(v) for k, v in states[states != ""].value_counts().items()},
    )
