"""The charts of a comparison, each with the table of the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dissectreport.report.compare import charts
from dissectreport.report.compare.arrangement import ComparedModels
from dissectreport.report.compare.model_parts import HEAP_HEADS
from dissectreport.report.compare.site_axes import SiteAxes
from dissectreport.report.compare.texts import Texts
from dissectreport.report.html.numbers import DASH
from dissectreport.vocabulary import Concept

MOST_ROWS = 24
"""Concepts of a category in its chart, in addition to those that differ significantly; the table has all."""


@dataclass(frozen=True)
class Table:
    """The same numbers as a chart's, in words."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ChartWithTable:
    """A chart with its table."""

    id: str
    title: str
    words: str
    chart: Markup
    table: Table


def concepts_charts(subject: ComparedModels, axes: SiteAxes) -> tuple[ChartWithTable, ...]:
    """Units per concept, a chart for each category."""
    categories = dict.fromkeys(concept.category for concept in subject.concepts)
    return tuple(_category(subject, at, category, axes) for at, category in enumerate(categories))


def _category(subject: ComparedModels, at: int, category: str, axes: SiteAxes) -> ChartWithTable:
    concepts = [concept for concept in subject.concepts if concept.category == category]
    differences = {concept: [against.concept(concept) for against in subject.against] for concept in concepts}
    significant = {concept: any(each[1] for each in some) for concept, some in differences.items()}
    shown = [concept for i, concept in enumerate(concepts) if i < MOST_ROWS or significant[concept]]
    rows = [charts.ConceptLanes(concept.name, _lanes(subject, concept, differences[concept])) for concept in shown]
    texts, id_ = Texts(), f"concepts-{at}"
    counts = [f"{m.label} {m.layer.categories.get(category, DASH)}" for m in subject.members]
    more = f" {texts.more_concepts}" if len(shown) < len(concepts) else ""
    heads = [head for label in subject.labels for head in (label, texts.chance_head, texts.area_head)]
    cells = [(c.name, *_cells(subject, c), *(words for words, _ in differences[c])) for c in concepts]
    return ChartWithTable(
        id_,
        category,
        f"{'; '.join(counts)}.{more}",
        charts.rows_chart(id_, f"{texts.concepts}: {category}", texts.concepts_chart, rows, axes.units[category]),
        Table((texts.concept_head, *heads, *subject.differences), tuple(cells)),
    )


def _lanes(
    subject: ComparedModels, concept: Concept, differences: Sequence[tuple[str, int]]
) -> tuple[charts.Lane, ...]:
    words = [("", 0), *differences]
    parts = [member.layer.concepts.get(concept) for member in subject.members]
    return tuple(
        charts.Lane(member.place, "" if part is None else part.part, difference, bool(significant))
        for member, part, (difference, significant) in zip(subject.members, parts, words, strict=True)
    )


def _cells(subject: ComparedModels, concept: Concept) -> list[str]:
    cells: list[str] = []
    for member in subject.members:
        part = member.layer.concepts.get(concept)
        area = next(area for each, _, area, _ in member.model.concepts if each == concept)
        cells += [*(("0", "0") if part is None else part.cells), area]
    return cells


def depth_charts(subject: ComparedModels, axes: SiteAxes) -> tuple[ChartWithTable, ...]:
    """Interpretable units and different labels over the layers of each model."""
    texts = Texts()
    homes = [member.sited.home for member in subject.members]
    models = [member for i, member in enumerate(subject.members) if homes.index(member.sited.home) == i]
    shared = {member.model.depth.axis for member in models}
    marks = shared.pop() if len(shared) == 1 else axes.depth
    caption = texts.depth_caption if subject.same_vocabulary else f"{texts.depth_caption} {texts.vocabularies}"
    charts_with_tables = []
    for id_, title, grid in (
        ("depth-units", texts.depth_units, axes.interpretable),
        ("depth-labels", texts.depth_labels, axes.labels),
    ):
        units = id_ == "depth-units"
        parts = [(m, m.model.depth.units if units else m.model.depth.labels) for m in models]
        placed = [charts.Placed(member.place, part, member.model.short) for member, part in parts]
        rows = [
            (member.model.name, *row)
            for member in models
            for row in (member.model.depth.unit_rows if units else member.model.depth.label_rows)
        ]
        chart = charts.lines_chart(id_, title, texts.depth_chart, placed, grid, marks)
        charts_with_tables.append(
            ChartWithTable(
                id_,
                title,
                caption,
                chart,
                Table((texts.model_head, texts.layer_head, title, texts.chance_head), tuple(rows)),
            )
        )
    return tuple(charts_with_tables)


def trend_charts(subject: ComparedModels, axes: SiteAxes) -> tuple[ChartWithTable, ...]:
    """Interpretable units and different labels over a training."""
    checkpoints, texts = subject.checkpoints, Texts()
    if not checkpoints:
        return ()
    marks = Markup("").join(Markup(trend.mark) for _, trend in checkpoints)
    charts_with_tables = []
    for id_, title, grid in (
        ("trend-units", texts.trend_units, axes.interpretable),
        ("trend-labels", texts.trend_labels, axes.labels),
    ):
        points = [(m, t, t.units if id_ == "trend-units" else t.labels) for m, t in checkpoints]
        spots = [(trend.x, point.y, point.chance_level) for _, trend, point in points]
        placed = [(member.place, point.part) for member, _, point in points]
        chart = charts.trend_chart(id_, title, texts.trend_chart, placed, spots, grid, marks)
        rows = tuple((member.label, trend.words, *point.cells) for member, trend, point in points)
        heads = (texts.model_head, checkpoints[0][1].unit, title, texts.chance_head)
        charts_with_tables.append(ChartWithTable(id_, title, texts.trend_caption, chart, Table(heads, rows)))
    return tuple(charts_with_tables)


def heaps_chart(subject: ComparedModels, axes: SiteAxes) -> ChartWithTable:
    """How well the units of each model match their labels."""
    texts = Texts()
    placed = [
        charts.Placed(member.place, member.layer.heap, member.model.short, member.profile.name)
        for member in subject.members
    ]
    gaps = [DASH, *(DASH if a.layers is None else a.layers.mean_corrected_iou for a in subject.against)]
    rows = [(m.label, *m.layer.heap_cells, gap) for m, gap in zip(subject.members, gaps, strict=True)]
    return ChartWithTable(
        "heaps",
        texts.heaps,
        texts.heaps_caption,
        charts.heaps_chart("heaps", texts.heaps, texts.heaps_chart, placed, axes.iou),
        Table(
            (texts.model_head, *HEAP_HEADS, texts.mean_corrected_iou_head.format(first=subject.labels[0])), tuple(rows)
        ),
    )


def causes_chart(subject: ComparedModels, axes: SiteAxes) -> ChartWithTable | None:
    """What ablating a concept's leading units removes, in the models where that was measured."""
    causes = [member.model.causes for member in subject.members]
    concepts = dict.fromkeys(concept for each in causes if each is not None for concept in each.effects)
    if not concepts:
        return None
    texts, rows, table = Texts(), [], []
    for concept in concepts:
        effects = [None if each is None else each.effects.get(concept) for each in causes]
        differences = [against.models.causes.get(concept, (DASH, 0)) for against in subject.against]
        lanes = tuple(
            charts.Lane(member.place, "" if effect is None else effect.part, words, bool(significant))
            for member, effect, (words, significant) in zip(
                subject.members, effects, [("", 0), *differences], strict=True
            )
        )
        rows.append(charts.ConceptLanes(concept.name, lanes))
        cells = [cell for effect in effects for cell in ((DASH,) * 3 if effect is None else effect.cells)]
        table.append((concept.name, *cells, *(words for words, _ in differences)))
    where = [
        f"{m.label}: {texts.not_measured if c is None else c.words}"
        for m, c in zip(subject.members, causes, strict=True)
    ]
    heads = [head for label in subject.labels for head in (label, texts.random_head, texts.ranking_head)]
    return ChartWithTable(
        "causes",
        texts.causes,
        f"{texts.causes_caption} {'; '.join(where)}.",
        charts.rows_chart("causes", texts.causes, texts.causes_chart, rows, axes.removed),
        Table(
            (texts.concept_head, *heads, *(texts.points_head.format(head=h) for h in subject.differences)), tuple(table)
        ),
    )


def quality_table(subject: ComparedModels) -> Table | None:
    """Image quality, where it was measured."""
    measures = [{} if m.model.quality is None else m.model.quality.measures for m in subject.members]
    names = dict.fromkeys(name for of_model in measures for name in of_model)
    if not names:
        return None
    rows = [
        (name, *(m.get(name, DASH) for m in measures), *(a.models.quality.get(name, DASH) for a in subject.against))
        for name in names
    ]
    return Table((Texts().measure_head, *subject.labels, *subject.differences), tuple(rows))
