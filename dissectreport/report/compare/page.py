"""The fixed page that compares chosen models: one file with everything in it, complete without scripts."""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from markupsafe import Markup

from dissectreport.errors import OutputError
from dissectreport.report.common.sharing import first_card
from dissectreport.report.compare import charts
from dissectreport.report.compare.arrangement import ComparedModels, Member
from dissectreport.report.compare.model_parts import HEAP_HEADS, BestPart
from dissectreport.report.compare.sentences import Sentence
from dissectreport.report.compare.site_axes import SiteAxes, axes_of
from dissectreport.report.compare.texts import Texts
from dissectreport.report.html.assets import load_assets, style_alone
from dissectreport.report.html.frame import Frame, frame, published
from dissectreport.report.html.numbers import DASH
from dissectreport.report.html.policy import single_policy, theme_script
from dissectreport.vocabulary import Concept

SHOWN_CONCEPTS, SHOWN_IMAGES = 8, 8
"""Concepts whose strongest units the page shows, and images in a row."""
MOST_ROWS = 24
"""Concepts of a category in its chart, in addition to those that differ significantly; the table has all."""

Address = Callable[[str], str]
"""From the address of a file in the site to what the page writes for it."""


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


@dataclass(frozen=True)
class Model:
    """One of the models that are compared."""

    number: int
    """From 1: its colour and sign."""
    label: str
    href: str
    """'' on a page that does not lie in the site."""
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Statements:
    """Sentences under one heading."""

    about: str
    """'' where there is only one pair."""
    sentences: tuple[Sentence, ...]
    pairing: str = ""


@dataclass(frozen=True)
class BestUnit:
    """A model's strongest unit for a concept."""

    number: int
    label: str
    words: str
    href: str
    strip: str
    width: int
    """Of the strip, in pixels."""
    best: BestPart | None
    plain: tuple[tuple[str, str], ...] = ()
    """Its images without masks, with alternative texts, where no latents correspond."""


@dataclass(frozen=True)
class BestOf:
    """A concept, and the strongest unit for it in each model."""

    concept: str
    category: str
    mark: str
    units: tuple[BestUnit, ...]


@dataclass(frozen=True)
class Images:
    """Images of one model, as wide as those of the others."""

    number: int
    label: str
    pictures: tuple[tuple[str, str], ...]
    """Address and alternative text."""


@dataclass(frozen=True)
class ComparisonPage:
    """Models side by side."""

    frame: Frame
    title: str
    texts: Texts
    models: tuple[Model, ...]
    warnings: tuple[str, ...]
    summary: tuple[Statements, ...]
    concepts: tuple[ChartWithTable, ...]
    depth: tuple[ChartWithTable, ...]
    trend: tuple[ChartWithTable, ...]
    heaps: ChartWithTable
    causes: ChartWithTable | None
    quality: Table | None
    quality_words: str
    best: tuple[BestOf, ...]
    plainly: bool
    """Whether the best units' images are shown again below, because no latents correspond."""
    left_out: int
    """Concepts whose best units are not shown."""
    latents: tuple[int, ...]
    """Numbers of the images below; none where they come from different latents."""
    images: tuple[Images, ...]
    live: str
    """The address of the same choice in the browser; '' where that is not at hand."""


def comparison_page(
    subject: ComparedModels, here: str, picture: Address, inside: bool, base_url: str = "", card: str = ""
) -> ComparisonPage:
    """The page for a choice of models.

    `here` is its address from the top of the site, `picture` gives an image's address, and only a page `inside` the
    site has links to the models' own pages, and full addresses where `base_url` is the address of the site.
    """
    title = f"{subject.labels[0]} against {', '.join(subject.labels[1:])}"
    around = _alone(here, title, inside)
    around = published(around, base_url, card) if inside else around
    to = around.to if inside else lambda address: ""
    axes = axes_of(subject.site.scales)
    best, left_out = _best(subject, picture, to)
    latents, images = _images(subject, picture)
    return ComparisonPage(
        frame=around,
        title=title,
        texts=Texts(),
        models=_models(subject, to),
        warnings=_warnings(subject),
        summary=_summary(subject),
        concepts=_concepts(subject, axes),
        depth=_depth(subject, axes),
        trend=_trend(subject, axes),
        heaps=_heaps(subject, axes),
        causes=_causes(subject, axes),
        quality=_quality(subject),
        quality_words=_quality_words(subject),
        best=best,
        plainly=not subject.images_correspond,
        left_out=left_out,
        latents=latents,
        images=images,
        live=f"{to('compare.html')}#{address_of(subject)}" if inside else "",
    )


def address_of(subject: ComparedModels) -> str:
    """The choice as the live page keeps it after the #."""
    return "&".join(f"m={member.sited.home}/{member.folder}" for member in subject.members)


def _alone(here: str, title: str, inside: bool) -> Frame:
    """Surroundings that need no other file."""
    assets, files = load_assets()
    around = frame(here, title, "Image generators compared: what their units mean.", assets)
    style, scripts = style_alone().decode(), (files[assets.site].decode(),)
    return replace(
        around,
        home=around.home if inside else "#main",
        style="",
        favicon="",
        icon=data_address("image/svg+xml", files[assets.icon]),
        plotly="",
        scripts=(),
        policy=single_policy((theme_script(), *scripts), (style,)),
        inline_style=style,
        inline_scripts=scripts,
    )


def data_address(kind: str, content: bytes) -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _models(subject: ComparedModels, to: Address) -> tuple[Model, ...]:
    models = []
    for member in subject.members:
        (model, *rest), layer = member.model.facts, ("layer", f"{member.profile.name}, {member.layer.fact}")
        href = to(f"{member.sited.home}/index.html")
        models.append(Model(member.place + 1, member.label, href, (model, layer, *rest)))
    return tuple(models)


def _warnings(subject: ComparedModels) -> tuple[str, ...]:
    """What makes the models hard to compare, and what their own pages warn of, each once."""
    notes = dict.fromkeys(note for member in subject.members for note in member.model.notes)
    having = {note: [m.label for m in subject.members if note in m.model.notes] for note in notes}
    pairs = dict.fromkeys(words for against in subject.against for words in against.warnings)
    return (*pairs, *(f"{', '.join(labels)}: {note}" for note, labels in having.items()))


def _summary(subject: ComparedModels) -> tuple[Statements, ...]:
    several, texts = len(subject.members) > 2, Texts()
    groups = [Statements("", tuple(member.layer.sentence for member in subject.members))]
    for against in subject.against:
        about = texts.pair_heading.format(other=against.member.label, first=subject.labels[0]) if several else ""
        groups.append(Statements(about, against.sentences, against.models.pairing))
    if subject.training is not None:
        groups.append(Statements(texts.trend, (subject.training,)))
    return tuple(group for group in groups if group.sentences)


def _concepts(subject: ComparedModels, axes: SiteAxes) -> tuple[ChartWithTable, ...]:
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


def _depth(subject: ComparedModels, axes: SiteAxes) -> tuple[ChartWithTable, ...]:
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


def _trend(subject: ComparedModels, axes: SiteAxes) -> tuple[ChartWithTable, ...]:
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


def _heaps(subject: ComparedModels, axes: SiteAxes) -> ChartWithTable:
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


def _causes(subject: ComparedModels, axes: SiteAxes) -> ChartWithTable | None:
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


def _quality(subject: ComparedModels) -> Table | None:
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


def _quality_words(subject: ComparedModels) -> str:
    """By what features, and how many images, the quality of each model was measured; once where all are alike."""
    by: dict[str, list[str]] = {}
    for member in subject.members:
        if member.model.quality is not None:
            by.setdefault(member.model.quality.features, []).append(member.label)
    return " ".join(f"{', '.join(labels)}: {features}." for features, labels in by.items())


def _best(subject: ComparedModels, picture: Address, to: Address) -> tuple[tuple[BestOf, ...], int]:
    """Strongest units for the concepts that differ significantly, then for those with most units."""
    different = {c for c in subject.concepts if any(a.concept(c)[1] for a in subject.against)}
    ranked = sorted(subject.concepts, key=lambda concept: (concept not in different, -subject.share(concept)))
    marks = {concept: mark for concept, mark, *_ in subject.first.model.concepts}
    shown = tuple(
        BestOf(c.name, c.category, marks[c], tuple(_best_unit(subject, m, c, picture, to) for m in subject.members))
        for c in ranked[:SHOWN_CONCEPTS]
    )
    return shown, len(ranked) - len(shown)


def _best_unit(subject: ComparedModels, member: Member, concept: Concept, picture: Address, to: Address) -> BestUnit:
    best, layer, sited = member.layer.best.get(concept), member.profile.name, member.sited
    number, label, texts = member.place + 1, member.label, Texts()
    if best is None:
        return BestUnit(number, label, texts.no_unit_in.format(layer=layer), "", "", 0, None)
    numbers = () if subject.images_correspond else [n for n in best.samples if n in member.model.pictures]
    return BestUnit(
        number=number,
        label=label,
        words=texts.unit_name.format(layer=layer, unit=best.unit),
        href=to(sited.card(layer, best.unit)),
        strip=picture(sited.strip(layer, best.unit)),
        width=member.model.strip_width,
        best=best,
        plain=tuple((picture(sited.picture(n)), texts.image_name.format(label=label, number=n)) for n in numbers),
    )


def _images(subject: ComparedModels, picture: Address) -> tuple[tuple[int, ...], tuple[Images, ...]]:
    """The same latents' images of the first model and others of its training; nothing where there are none."""
    members = subject.with_same_images
    if len(members) < 2:
        return (), ()
    common = [n for n in subject.first.model.pictures if all(n in m.model.pictures for m in members)][:SHOWN_IMAGES]
    rows = tuple(
        Images(
            m.place + 1,
            m.label,
            tuple((picture(m.sited.picture(n)), Texts().image_name.format(label=m.label, number=n)) for n in common),
        )
        for m in members
    )
    return tuple(common), rows if common else ()


def read_picture(out: Path, address: str) -> str:
    """A picture of the site as an address that holds it."""
    try:
        return data_address("image/webp", (out / address).read_bytes())
    except OSError as error:
        raise OutputError(f"{out / address} is missing; render that model again ({error.strerror})") from error


def page_of(out: Path, subject: ComparedModels, file: Path, base_url: str = "") -> ComparisonPage:
    """The page for a choice, to be written to `file`; links lead to the site at `out` where the file lies within."""
    try:
        here = file.resolve().relative_to(out.resolve()).as_posix()
    except ValueError:
        return comparison_page(subject, "page.html", partial(read_picture, out), False)
    card = first_card(out, [member.sited.home for member in subject.members])
    return comparison_page(subject, posixpath.normpath(here), partial(read_picture, out), True, base_url, card)
