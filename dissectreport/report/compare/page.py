"""The fixed page that compares chosen models: one file with everything in it, complete without scripts."""

from __future__ import annotations

import base64
import math
import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from markupsafe import Markup

from dissectreport.analysis.comparison.differences import (
    Chosen,
    Scale,
    agreement_change,
    apart_from_zero,
    changes,
    common_pictures,
    comparable,
    corresponding,
    one_training,
    same_vocabulary,
    scaled,
    total,
    trend,
)
from dissectreport.analysis.comparison.profiles import SHOWN, UNKNOWN, Concept, Estimate, LayerProfile
from dissectreport.errors import OutputError
from dissectreport.report.common.sharing import first_card
from dissectreport.report.compare import charts
from dissectreport.report.compare.data import Sited
from dissectreport.report.compare.sentences import (
    Sentence,
    Telling,
    effect_changes,
    ends_of_totals,
    figures,
    interval,
    intervals,
    labels,
    per,
    quality_changes,
    quality_words,
    rows_of_concepts,
    signed_interval,
    summary,
    tenths,
    thousandths,
    titles,
    totals_of,
    warnings,
    whole,
)
from dissectreport.report.html import numbers
from dissectreport.report.html.assets import load_assets, style_alone
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.effect_charts import order_words
from dissectreport.report.html.frame import Frame, frame, published
from dissectreport.report.html.numbers import DASH, Agreement, count, percent, removed, share

SHOWN_CONCEPTS, SHOWN_IMAGES = 8, 8
"""Concepts whose best units the page shows, and images in a row."""
LABELS = "Labels of shared concepts"
MOST_ROWS = 24
"""Concepts of a category in its chart, beside those that surely differ; the table has all."""


@dataclass(frozen=True)
class Table:
    """The same numbers as a chart's, in words."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Drawn:
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
class BestUnit:
    """A model's surest unit for a concept."""

    number: int
    label: str
    words: str
    href: str
    strip: str
    width: int
    """Of the strip, in pixels."""
    agreement: Agreement | None
    sure: bool
    plain: tuple[tuple[str, str], ...] = ()
    """Its images without masks, with alternative texts, where no latents correspond."""


@dataclass(frozen=True)
class BestOf:
    """A concept, and the surest unit for it in each model."""

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
    models: tuple[Model, ...]
    warnings: tuple[str, ...]
    sentences: tuple[Sentence, ...]
    intervals: str
    concepts: tuple[Drawn, ...]
    depth: tuple[Drawn, ...]
    trend: tuple[Drawn, ...]
    heaps: Drawn
    causes: Drawn | None
    quality: Table | None
    quality_words: tuple[str, ...]
    """In what features each model's quality was told."""
    best: tuple[BestOf, ...]
    plainly: bool
    """Whether the best units' images stand below once more, because no latents correspond."""
    left_out: int
    """Concepts whose best units are not shown."""
    latents: tuple[int, ...]
    """Numbers of the images below; none where they come from different latents."""
    images: tuple[Images, ...]
    live: str
    """The address of the same choice in the browser; '' where that is not at hand."""


def plain(value: float) -> str:
    """A number along an axis."""
    return f"{value:g}"


@dataclass(frozen=True)
class Kind:
    """A figure of layers over depth or training."""

    name: str
    told: Callable[[float], str]
    axis: Callable[[float], str]
    """How it is told along an axis."""
    least: float
    """The least top of that."""


@dataclass(frozen=True)
class Subject:
    """What is compared: models by one of their layers, what they are called, and where their pages are."""

    chosen: tuple[Chosen, ...]
    names: tuple[str, ...]
    titles: tuple[str, ...]
    """The names without layers."""
    sited: tuple[Sited, ...]

    @classmethod
    def of(cls, sited: Sequence[Sited], layers: Sequence[str]) -> Subject:
        """Models by a layer each; '' takes the layer that `leading` names."""
        lead = leading(sited)
        chosen = tuple(
            Chosen(one.profile, next(la for la in one.profile.layers if la.name == (layer or lead[i])))
            for i, (one, layer) in enumerate(zip(sited, layers, strict=True))
        )
        homes = [one.home for one in sited]
        return cls(chosen, labels(chosen, homes), titles(chosen, homes), tuple(sited))

    @property
    def scale(self) -> Scale:
        """What units are counted in."""
        return Scale.of(self.chosen)

    @property
    def compares(self) -> bool:
        """Whether units of different models can have the same labels at all."""
        return bool(comparable(self.chosen))

    @property
    def ends(self) -> str:
        """What the ends of the intervals of totals are."""
        return ends_of_totals(self.chosen)

    @property
    def kinds(self) -> tuple[Kind, Kind]:
        """Units, as shares of a layer, and different concepts; labels a unit are no shares, for they can pass 1."""
        same = same_vocabulary(self.chosen)
        units = Kind("units", percent, percent, 0.05) if same else Kind("units", thousandths, plain, 0.05)
        return units, Kind("concepts", whole, plain, 1.0)

    @property
    def telling(self) -> Telling:
        """How units are told."""
        return Telling(self.scale)


def leading(sited: Sequence[Sited]) -> tuple[str, ...]:
    """The layer of each model by which it is compared if none is asked for.

    That of the first model with most different concepts among those that all models have; without such a one, each
    model's own.
    """
    common = set.intersection(*({la.name for la in one.profile.layers} for one in sited))

    def best(one: Sited, among: Callable[[str], bool]) -> str:
        found = [layer for layer in one.profile.layers if among(layer.name)]
        ends = [(layer.counts["measured"].concepts.value, layer.counts["measured"].units.value) for layer in found]
        at = max(range(len(found)), key=lambda i: tuple(-1.0 if math.isnan(v) else v for v in ends[i]))
        return found[at].name

    if common:
        return (best(sited[0], lambda name: name in common),) * len(sited)
    return tuple(best(one, lambda name: True) for one in sited)


Address = Callable[[str], str]
"""From the address of a file in the site to what the page writes for it."""


def comparison_page(
    subject: Subject, here: str, picture: Address, inside: bool, base_url: str = "", card: str = ""
) -> ComparisonPage:
    """The page for a choice of models.

    `here` is its address from the top of the site, `picture` gives an image's address, and only a page `inside` the
    site has links to the models' own pages, and full addresses where `base_url` tells that of the site.
    """
    title = (
        " against ".join([subject.names[0], ", ".join(subject.names[1:])]) if subject.names[1:] else subject.names[0]
    )
    around = _alone(here, title, inside)
    around = published(around, base_url, card) if inside else around
    to = around.to if inside else lambda address: ""
    best, left_out = _best(subject, picture, to)
    numbers, images = _images(subject, picture)
    return ComparisonPage(
        frame=around,
        title=title,
        models=_models(subject, to),
        warnings=warnings(subject.chosen, subject.names),
        sentences=summary(subject.chosen, subject.names),
        intervals=intervals(subject.chosen),
        concepts=_concepts(subject),
        depth=_depth(subject),
        trend=_trend(subject),
        heaps=_heaps(subject),
        causes=_causes(subject),
        quality=_quality(subject),
        quality_words=quality_words(subject.chosen, subject.names),
        best=best,
        plainly=not one_training([one.profile for one in subject.chosen]),
        left_out=left_out,
        latents=numbers,
        images=images,
        live=f"{to('compare.html')}#{address_of(subject)}" if inside else "",
    )


def address_of(subject: Subject) -> str:
    """The choice as the page in the browser keeps it after the #."""
    pairs = zip(subject.sited, subject.chosen, strict=True)
    return "&".join(f"m={one.home}/{one.folders[chosen.layer.name]}" for one, chosen in pairs)


def _alone(here: str, title: str, inside: bool) -> Frame:
    """Surroundings that need no other file."""
    assets, files = load_assets()
    around = frame(here, title, "Image generators compared: what their units mean.", assets)
    return replace(
        around,
        home=around.home if inside else "#main",
        style=data_address("text/css", style_alone()),
        favicon="",
        icon=data_address("image/svg+xml", files[assets.icon]),
        plotly="",
        scripts=(data_address("text/javascript", files[assets.site]),),
    )


def data_address(kind: str, content: bytes) -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _models(subject: Subject, to: Address) -> tuple[Model, ...]:
    made = []
    for i, (one, name, sited) in enumerate(zip(subject.chosen, subject.names, subject.sited, strict=True)):
        facts, layer = one.profile, one.layer
        training = facts.training
        seen = [
            f"{count(value)} {what}"
            for value, what in ((training.images, "images"), (training.steps, "steps"))
            if not math.isnan(value)
        ]
        pairs = (
            ("model", facts.title if facts.title == facts.model else f"{facts.title} ({facts.model})"),
            ("layer", f"{layer.name}, {count(layer.units)} units at {layer.height} × {layer.width}"),
            ("rule", facts.rule),
            ("images", f"{count(facts.scoring)} scored of {count(facts.samples)}, seed {facts.seed}"),
            ("segmenter", facts.segmenter or "unnamed"),
            ("trained on", ", ".join(seen) or DASH),
            *((("trained with", training.variant),) if training.variant else ()),
        )
        made.append(Model(i + 1, name, to(f"{sited.home}/index.html"), pairs))
    return tuple(made)


def _gaps(subject: Subject, concept: Concept) -> list[Estimate | None]:
    """What became of a concept from the first model to each other; None where it cannot be compared."""
    if concept not in comparable(subject.chosen):
        return [None] * (len(subject.chosen) - 1)
    first, others = subject.chosen[0], subject.chosen[1:]
    return [changes(first, other, [concept], subject.scale)[0].difference for other in others]


def _against(subject: Subject) -> tuple[str, ...]:
    return tuple(f"{name} − {subject.names[0]}" for name in subject.names[1:])


def _concepts(subject: Subject) -> tuple[Drawn, ...]:
    """Units per concept, a chart for each category."""
    names = rows_of_concepts(subject.chosen)
    return tuple(
        _category(subject, at, category, [c for c in names if c[1] == category])
        for at, category in enumerate(dict.fromkeys(c for _, c in names))
    )


def _category(subject: Subject, at: int, category: str, names: Sequence[Concept]) -> Drawn:
    rows = [_concept(subject, concept) for concept in names]
    shown = [row for i, (row, _) in enumerate(rows) if i < MOST_ROWS or row.sure]
    more = f" {count(len(rows) - len(shown))} more concepts are in the table." if len(rows) > len(shown) else ""
    id_ = f"concepts-{at}"
    return Drawn(
        id_,
        category,
        _of_category(subject, category, names) + more,
        charts.rows(
            id_,
            f"Units per concept: {category}",
            f"A row for each concept, a lane for each of {', '.join(subject.names)}; the table below has the numbers.",
            shown,
            lambda v: f"{v:g}",
        ),
        Table(
            ("concept", *(h for name in subject.names for h in (name, "null", "area")), *_against(subject)),
            tuple(cells for _, cells in rows),
        ),
    )


def _concept(subject: Subject, concept: Concept) -> tuple[charts.Row, tuple[str, ...]]:
    """A concept as a row of the chart, and as one of the table."""
    scale, telling, chosen = subject.scale, subject.telling, subject.chosen
    units = tuple(scale.units(one.layer.of(concept).measured, one.layer.units) for one in chosen)
    null = tuple(scale.units(one.layer.of(concept).null, one.layer.units).value for one in chosen)
    areas = (percent(one.profile.areas.get(concept, UNKNOWN).value) for one in chosen)
    gaps = _gaps(subject, concept)
    sure = [gap is not None and apart_from_zero(gap) for gap in gaps]
    told = [DASH if gap is None else telling.change(gap) for gap in gaps]
    words = told[0] if len(gaps) == 1 and gaps[0] is not None else ""
    cells = (c for u, n, a in zip(units, null, areas, strict=True) for c in (telling.units(u), telling.one(n), a))
    return charts.Row(concept[0], units, null, words, any(sure)), (concept[0], *cells, *told)


def _of_category(subject: Subject, category: str, names: Sequence[Concept]) -> str:
    """How many units each model has in a category, and by chance; of shared concepts where some are not."""
    same = same_vocabulary(subject.chosen)
    told = []
    for one, name in zip(subject.chosen, subject.names, strict=True):
        own = one.layer.categories.get(category, {})
        units, null = (
            subject.scale.units(
                own.get(control, UNKNOWN) if same else total(one.layer, names, control), one.layer.units
            )
            for control in ("measured", "null")
        )
        told.append(f"{name} {subject.telling.units(units)}, null {subject.telling.one(null.value)}")
    return f"Units{per(subject.scale)}: {'; '.join(told)}."


def _depth(subject: Subject) -> tuple[Drawn, ...]:
    """Interpretable units and different concepts over the layers; nothing where no concept is shared."""
    if not subject.compares:
        return ()
    return tuple(
        _over_depth(subject, id_, title, which)
        for which, (id_, title) in enumerate(
            (("depth-units", "Interpretable units by layer"), ("depth-concepts", "Different concepts by layer"))
        )
    )


def _places(subject: Subject) -> tuple[list[dict[str, float]], list[tuple[float, str]]]:
    """Where each model's layers stand, and the marks of the axis: by name where names are shared, else by order."""
    listed = [[layer.name for layer in one.profile.layers] for one in subject.chosen]
    longest = max(listed, key=len)
    if all(set(names) <= set(longest) for names in listed):
        at = {name: i / max(len(longest) - 1, 1) for i, name in enumerate(longest)}
        return [{name: at[name] for name in names} for names in listed], [(at[name], name) for name in longest]
    return [{name: i / max(len(names) - 1, 1) for i, name in enumerate(names)} for names in listed], [
        (0.0, "first"),
        (1.0, "last"),
    ]


def _measured(subject: Subject, one: Chosen, layer: LayerProfile, which: int) -> tuple[Estimate, Estimate]:
    """A figure of a layer, and what the null gives; of units by each of the layer's."""
    own, chance = (totals_of(one, layer.name, subject.chosen, control)[which] for control in ("measured", "null"))
    return (own, chance) if which else (scaled(own, 1 / layer.units), scaled(chance, 1 / layer.units))


def _over_depth(subject: Subject, id_: str, title: str, which: int) -> Drawn:
    places, marks = _places(subject)
    kind = subject.kinds[which]
    words = "Share of each layer's units" if which == 0 else "Among their labels"
    if which == 0 and not same_vocabulary(subject.chosen):
        # Of shared concepts only labels are known, and a unit can have one in each category.
        title, words = f"{LABELS} by layer", "Labels per unit, which can have one in each category"
    drawn, table = [], []
    for i, (one, name, at) in enumerate(zip(subject.chosen, subject.titles, places, strict=True)):
        if name in subject.titles[:i]:
            continue  # the same model by another of its layers
        points, null = [], []
        for layer in one.profile.layers:
            own, chance = _measured(subject, one, layer, which)
            points.append(own)
            null.append(chance.value)
            table.append((name, layer.name, interval(own, kind.told), kind.told(chance.value)))
        drawn.append(charts.Line(name, i, tuple(at.values()), tuple(points), tuple(null)))
    return Drawn(
        id_,
        title,
        f"{words}; {subject.ends}; dots: what the null labels.",
        charts.lines(
            id_,
            title,
            f"A line for each model over its layers, with {subject.ends}; the table below has the numbers.",
            drawn,
            marks,
            kind.axis,
            kind.least,
        ),
        Table(("model", "layer", kind.name, "null"), tuple(table)),
    )


def _trend(subject: Subject) -> tuple[Drawn, ...]:
    """Interpretable units and different concepts over a training."""
    found = trend(subject.chosen)
    if found is None or not subject.compares:
        return ()
    first, last = found.far[0], found.far[-1]
    at = tuple((far - first) / (last - first) for far in found.far)
    made = []
    units = "Interpretable units" if same_vocabulary(subject.chosen) else LABELS
    for which, (id_, title) in enumerate(
        (("trend-units", f"{units} over training"), ("trend-concepts", "Different concepts over training"))
    ):
        kind = subject.kinds[which]
        points, null, table = [], [], []
        for i, far in zip(found.at, found.far, strict=True):
            own, chance = _measured(subject, subject.chosen[i], subject.chosen[i].layer, which)
            points.append(own)
            null.append(chance.value)
            table.append((subject.names[i], count(far), interval(own, kind.told), kind.told(chance.value)))
        chart = charts.lines(
            id_,
            title,
            f"Over the {found.told} that the training had seen; the table below has the numbers.",
            [charts.Line("", 0, at, tuple(points), tuple(null), found.at)],
            [(a, numbers.compact(far)) for a, far in zip(at, found.far, strict=True)],
            kind.axis,
            kind.least,
        )
        words = (
            f"Checkpoints of one training, by the {found.told} it had seen; {subject.ends}; dots: what the null labels."
        )
        heads = ("model", found.told, kind.name, "null")
        made.append(Drawn(id_, title, words, chart, Table(heads, tuple(table))))
    return tuple(made)


def _heaps(subject: Subject) -> Drawn:
    found = [
        charts.Heap(name, i, one.layer.spread)
        for i, (one, name) in enumerate(zip(subject.chosen, subject.names, strict=True))
    ]
    table = []
    gaps = [UNKNOWN, *(agreement_change(subject.chosen[0], other) for other in subject.chosen[1:])]
    for heap, one, gap in zip(found, subject.chosen, gaps, strict=True):
        good = [iou for iou, _, sure in heap.units if sure]
        table.append(
            (
                heap.name,
                count(len(heap.units)),
                count(len(good)),
                interval(one.layer.mean_iou, share),
                figures(gap) if gap.known else DASH,
                *(share(quantile(good, q)) for q in (0.1, 0.25, 0.5, 0.75, 0.9)),
                share(charts.median([null for _, null, sure in heap.units if sure])),
            )
        )
    return Drawn(
        "heaps",
        "How well units agree",
        "Units by IoU with their label; faint: not interpretable; turned down, in grey: the null of the same units."
        " The line is the median of the interpretable ones.",
        charts.heaps(
            "heaps",
            "Units by IoU with their label",
            "A heap for each model, its null below; the table has quantiles.",
            found,
        ),
        Table(
            (
                "model",
                "units",
                "interpretable",
                "mean",
                f"mean − {subject.names[0]}",
                "10 %",
                "25 %",
                "median",
                "75 %",
                "90 %",
                "median of null",
            ),
            tuple(table),
        ),
    )


def quantile(values: Sequence[float], at: float) -> float:
    """The value below which a share of them lies, by the nearest rank; NaN of none."""
    return sorted(values)[min(int(at * len(values)), len(values) - 1)] if values else math.nan


def gone(found: Estimate) -> str:
    """A removal with its interval."""
    return f"{removed(found.value)} [{removed(found.low)}, {removed(found.high)}]"


def _causes(subject: Subject) -> Drawn | None:
    """What turning a concept's leading units off removes, in the models where that was measured."""
    with_causes = [one.profile.causes for one in subject.chosen]
    names = list(dict.fromkeys(c for found in with_causes if found is not None for c in found.effects))
    if not names:
        return None
    gaps = [{c.concept: c for c in effect_changes(subject.chosen[0], other)} for other in subject.chosen[1:]]
    drawn, table = [], []
    for concept in names:
        effects = [None if found is None else found.effects.get(concept) for found in with_causes]
        changed = [found.get(concept) for found in gaps]
        words = [DASH if c is None else signed_interval(c.difference, tenths) for c in changed]
        pair = changed[0] if len(gaps) == 1 else None
        drawn.append(
            charts.Row(
                concept[0],
                tuple(UNKNOWN if e is None else e.removed for e in effects),
                tuple(math.nan if e is None else e.random.value for e in effects),
                "" if pair is None else words[0],
                pair is not None and pair.sure,
            )
        )
        blank = (DASH,) * 3
        cells = (
            cell
            for e in effects
            for cell in (blank if e is None else (gone(e.removed), gone(e.beyond), order_words(e.order)))
        )
        table.append((concept[0], *cells, *words))
    units = sorted({e.units for found in with_causes if found is not None for e in found.effects.values()})
    where = [
        f"{name}: {found.layer}, {count(found.samples)} images" if found is not None else f"{name}: not measured"
        for name, found in zip(subject.names, with_causes, strict=True)
    ]
    return Drawn(
        "causes",
        "What units cause",
        f"Share of a concept's area that goes when its leading {' or '.join(map(str, units))} units are turned off,"
        " each model's by the order that removed most on other latents;"
        f" tick: random units; differences are of what goes beyond these, in points. {'; '.join(where)}.",
        charts.rows(
            "causes",
            "Area removed per concept",
            "A row for each concept, a lane for each model; the table below has the numbers.",
            drawn,
            removed,
            most=1.0,
        ),
        Table(
            (
                "concept",
                *(head for name in subject.names for head in (name, "beyond random", "order")),
                *(f"{words}, points" for words in _against(subject)),
            ),
            tuple(table),
        ),
    )


def _quality(subject: Subject) -> Table | None:
    """How good the images are, where it was measured."""
    every = [one.profile.quality for one in subject.chosen]
    names = list(dict.fromkeys(m.name for found in every if found is not None for m in found.measures))
    if not names:
        return None
    gaps = [{name: gap for name, _, gap in quality_changes(subject.chosen[0], other)} for other in subject.chosen[1:]]
    rows = []
    for name in names:
        held = [
            next((m.estimate for m in found.measures if m.name == name), UNKNOWN) if found is not None else UNKNOWN
            for found in every
        ]
        cells = (interval(e, thousandths) for e in held)
        rows.append((name.replace("_", " "), *cells, *(figures(g[name]) if name in g else DASH for g in gaps)))
    return Table(("measure", *subject.names, *_against(subject)), tuple(rows))


def _best(subject: Subject, picture: Address, to: Address) -> tuple[tuple[BestOf, ...], int]:
    """The surest unit of every model for the concepts that tell most: those that differ, then those with most units."""
    names = rows_of_concepts(subject.chosen)
    first, others = subject.chosen[0], subject.chosen[1:]
    sure = {
        c.concept
        for other in others
        for c in changes(first, other, comparable(subject.chosen), subject.scale)
        if c.sure
    }
    most = {c: max(one.layer.of(c).measured.value / one.layer.units for one in subject.chosen) for c in names}
    ranked = sorted(names, key=lambda c: (c not in sure, -most[c]))[:SHOWN_CONCEPTS]
    shown = tuple(
        BestOf(*c, mark_of(c[1]), tuple(_best_unit(subject, i, c, picture, to) for i in range(len(subject.chosen))))
        for c in ranked
    )
    return shown, len(names) - len(shown)


def _best_unit(subject: Subject, at: int, concept: Concept, picture: Address, to: Address) -> BestUnit:
    one, sited = subject.chosen[at], subject.sited[at]
    best = one.layer.best.get(concept)
    if best is None:
        return BestUnit(at + 1, subject.names[at], f"no unit comes near in {one.layer.name}", "", "", 0, None, False)
    layer = one.layer.name
    blank = (math.nan, math.nan)
    agreement = Agreement(
        best.iou.value,
        best.iou.low,
        best.iou.high,
        best.null,
        best.lift,
        *blank,
        best.excess.value,
        best.excess.low,
        best.excess.high,
    )
    return BestUnit(
        at + 1,
        subject.names[at],
        f"{layer} unit {best.unit}",
        to(sited.card(layer, best.unit)),
        picture(sited.strip(layer, best.unit)),
        SHOWN * sited.tile,
        agreement,
        best.sure,
        () if one_training([each.profile for each in subject.chosen]) else _plain(subject, at, best.samples, picture),
    )


def _plain(subject: Subject, at: int, samples: Sequence[int], picture: Address) -> tuple[tuple[str, str], ...]:
    known = (n for n in samples if n in subject.chosen[at].profile.pictures)
    return tuple((picture(subject.sited[at].picture(n)), f"{subject.names[at]}, image {n}") for n in known)


def _images(subject: Subject, picture: Address) -> tuple[tuple[int, ...], tuple[Images, ...]]:
    """The same latents' images of the first model and others of its training; nothing where there are none."""
    at = corresponding(subject.chosen)
    if len(at) < 2:
        return (), ()
    numbers = common_pictures([subject.chosen[i].profile for i in at])[:SHOWN_IMAGES]
    rows = tuple(
        Images(
            i + 1,
            subject.names[i],
            tuple((picture(subject.sited[i].picture(n)), f"{subject.names[i]}, image {n}") for n in numbers),
        )
        for i in at
    )
    return numbers, rows if numbers else ()


def read_picture(out: Path, address: str) -> str:
    """A picture of the site as an address that holds it."""
    try:
        return data_address("image/webp", (out / address).read_bytes())
    except OSError as error:
        raise OutputError(f"{out / address} is missing; draw that model again ({error.strerror})") from error


def page_of(out: Path, subject: Subject, file: Path, base_url: str = "") -> ComparisonPage:
    """The page for a choice, to be written to `file`; links lead to the site at `out` where the file lies within."""
    try:
        here = file.resolve().relative_to(out.resolve()).as_posix()
    except ValueError:
        return comparison_page(subject, "page.html", partial(read_picture, out), False)
    card = first_card(out, [one.home for one in subject.sited])
    return comparison_page(subject, posixpath.normpath(here), partial(read_picture, out), True, base_url, card)
