"""What a comparison shows of one model alone: figures as words, and charts drawn on the axes of the site."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dissectreport.analysis.comparison.pairs import checkpoint_series, corresponding_images, training_progress
from dissectreport.analysis.comparison.profiles import (
    SHOWN,
    Best,
    Estimate,
    LayerProfile,
    Profile,
    UnitCount,
)
from dissectreport.analysis.results.dissection import Control
from dissectreport.report.common.wording import MEASURE_NAMES
from dissectreport.report.compare import charts
from dissectreport.report.compare.scales import Scales
from dissectreport.report.compare.sentences import Sentence, layer_sentence
from dissectreport.report.compare.site_models import SiteModels
from dissectreport.report.compare.wording import Format, format_interval, thousandths
from dissectreport.report.html import numbers
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.charts import short
from dissectreport.report.html.effect_charts import ranking_words
from dissectreport.report.html.numbers import DASH, Agreement, count, percent, removed, share
from dissectreport.vocabulary import Concept

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Depth:
    """Counts over the layers of a model."""

    units: str
    labels: str
    """The lines, drawn."""
    axis: str
    """Names the layers under the chart; models with the same axis can share it."""
    unit_rows: tuple[tuple[str, ...], ...]
    label_rows: tuple[tuple[str, ...], ...]
    """Layer, figure and chance level."""


@dataclass(frozen=True)
class EffectPart:
    """What ablating a concept's leading units removes."""

    part: str
    cells: tuple[str, str, str]
    """Removed, difference from random units, and the ranking method."""


@dataclass(frozen=True)
class CausesPart:
    """Causal effects of a model."""

    words: str
    effects: dict[Concept, EffectPart]


@dataclass(frozen=True)
class QualityPart:
    """Image quality of a model."""

    features: str
    measures: dict[str, str]


@dataclass(frozen=True)
class ModelPart:
    """One model without its layers."""

    name: str
    short: str
    """The name, cut to what a chart has room for."""
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    vocabulary: str
    """The same for models with the same vocabulary."""
    concepts: tuple[tuple[Concept, str, str, int], ...]
    """Concept, mark of its category, area, and 1 if it can be a label, of every concept that a comparison can show."""
    layers: tuple[tuple[str, str], ...]
    """Name and folder."""
    ranking: tuple[str, ...]
    """The names of the layers, those with most different labels first."""
    depth: Depth
    causes: CausesPart | None
    quality: QualityPart | None
    images: str
    """The same for models whose images of the same number come from the same latent of one training."""
    pictures: tuple[int, ...]
    unit_ends: tuple[str, str]
    strip_width: int


@dataclass(frozen=True)
class ConceptPart:
    """A concept in a layer."""

    share: float
    """Of the layer's units, to order concepts by."""
    present: bool
    """Whether the interval of its units reaches above 0."""
    part: str
    cells: tuple[str, str]
    """Units and chance level."""


@dataclass(frozen=True)
class BestPart:
    """The unit that matches a concept best."""

    unit: int
    interpretable: bool
    iou: str
    value: str
    interval: str
    chance_level: str
    lift: str
    gauge: tuple[str, str, str, str]
    """IoU, lower end, width of the interval and chance level, in per cent of the width."""
    samples: tuple[int, ...]


@dataclass(frozen=True)
class TrendPoint:
    """A figure of a checkpoint in a chart over training."""

    part: str
    y: float | None
    chance_level: float | None
    cells: tuple[str, str]


@dataclass(frozen=True)
class TrendPart:
    """A checkpoint of a training that has others on the site."""

    series: str
    progress: float
    words: str
    unit: str
    x: float
    mark: str
    units: TrendPoint
    labels: TrendPoint


@dataclass(frozen=True)
class LayerPart:
    """One layer of a model."""

    fact: str
    sentence: Sentence
    categories: dict[str, str]
    concepts: dict[Concept, ConceptPart]
    best: dict[Concept, BestPart]
    heap: str
    heap_cells: tuple[str, ...]
    trend: TrendPart | None


def model_part(site: SiteModels, home: str) -> ModelPart:
    """What is shown of one model of a site."""
    model, name = site.sited[home], site.names[home]
    profile = model.profile
    return ModelPart(
        name=name,
        short=short(name, 18),
        facts=model_facts(profile),
        notes=profile.notes,
        vocabulary=_digest(sorted(profile.vocabulary)),
        concepts=tuple((c, mark_of(c.category), _area(profile, c), int(c in profile.tested)) for c in site.shown(home)),
        layers=tuple((layer.name, model.folders[layer.name]) for layer in profile.layers),
        ranking=tuple(layer.name for layer in sorted(profile.layers, key=_rank, reverse=True)),
        depth=_depth(profile, site.scales),
        causes=_causes(profile, site.scales),
        quality=_quality(profile),
        images=_digest(corresponding_images(profile)),
        pictures=profile.pictures,
        unit_ends=model.unit_ends,
        strip_width=SHOWN * model.tile,
    )


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:12]


def model_facts(profile: Profile) -> tuple[tuple[str, str], ...]:
    """How a model was measured and trained, in words."""
    training = profile.training
    trained = [
        f"{count(value)} {what}"
        for value, what in ((training.images, "images"), (training.steps, "steps"))
        if not math.isnan(value)
    ]
    return (
        ("model", profile.title if profile.title == profile.model else f"{profile.title} ({profile.model})"),
        ("rule", profile.rule),
        ("images", f"{count(profile.held_out)} scored of {count(profile.samples)} measured, seed {profile.seed}"),
        ("segmenter", profile.segmenter or "unnamed"),
        ("trained on", ", ".join(trained) or DASH),
        *((("trained with", training.variant),) if training.variant else ()),
    )


def _area(profile: Profile, concept: Concept) -> str:
    return percent(profile.areas[concept].value) if concept in profile.areas else DASH


def _rank(layer: LayerProfile) -> tuple[float, float]:
    counts = layer.counts[Control.MEASURED]
    values = (counts.concepts.value, counts.units.value)
    labels, units = (-1.0 if math.isnan(value) else value for value in values)
    return labels, units


def _counts(layer: LayerProfile, control: str) -> UnitCount:
    unknown = Estimate(math.nan, math.nan, math.nan)
    return layer.counts.get(control, UnitCount(unknown, unknown))


def _shares(layer: LayerProfile, control: str) -> Estimate:
    units = _counts(layer, control).units
    return Estimate(*(end / layer.units for end in (units.value, units.low, units.high)))


def _depth(profile: Profile, scales: Scales) -> Depth:
    names = tuple(layer.name for layer in profile.layers)
    axis = scales.depth[names]
    places = [axis.index(name) / max(len(axis) - 1, 1) for name in names]
    units, chance_units = (
        [_shares(la, control) for la in profile.layers] for control in (Control.MEASURED, Control.CHANCE)
    )
    labels, chance_labels = (
        [_counts(la, c).concepts for la in profile.layers] for c in (Control.MEASURED, Control.CHANCE)
    )
    return Depth(
        units=charts.points(places, units, [e.value for e in chance_units], scales.interpretable),
        labels=charts.points(places, labels, [e.value for e in chance_labels], scales.labels),
        axis=Markup("").join(charts.line_mark(i / max(len(axis) - 1, 1), name) for i, name in enumerate(axis)),
        unit_rows=_rows(names, units, chance_units, percent),
        label_rows=_rows(names, labels, chance_labels, count),
    )


def _rows(
    names: Sequence[str], estimates: Sequence[Estimate], chance_level: Sequence[Estimate], words: Format
) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (name, format_interval(estimate, words), words(chance.value))
        for name, estimate, chance in zip(names, estimates, chance_level, strict=True)
    )


def _causes(profile: Profile, scales: Scales) -> CausesPart | None:
    causes = profile.causes
    if causes is None:
        return None
    effects = {
        concept: EffectPart(
            charts.lane(effect.removed, effect.random.value, *scales.removed),
            (
                format_interval(effect.removed, removed),
                format_interval(effect.difference, removed),
                ranking_words(effect.ranking),
            ),
        )
        for concept, effect in causes.effects.items()
    }
    units = sorted({effect.units for effect in causes.effects.values()})
    words = f"{causes.layer}, {' or '.join(map(str, units))} units, {count(causes.samples)} images"
    return CausesPart(words, effects)


def _quality(profile: Profile) -> QualityPart | None:
    quality = profile.quality
    if quality is None:
        return None
    measures = {MEASURE_NAMES.get(m.name, m.name): format_interval(m.estimate, thousandths) for m in quality.measures}
    return QualityPart(quality.features, measures)


def layer_part(site: SiteModels, home: str, layer: LayerProfile) -> LayerPart:
    """What is shown of one layer of a model."""
    profile = site.sited[home].profile
    return LayerPart(
        fact=f"{count(layer.units)} units at {layer.height} × {layer.width}",
        sentence=layer_sentence(site.names[home], layer),
        categories={category: _category(counts) for category, counts in layer.categories.items()},
        concepts={
            concept: _concept(layer, concept, site.scales) for concept in layer.concepts if concept in site.present
        },
        best={concept: best_part(best) for concept, best in layer.best.items() if concept in site.present},
        heap=charts.heap(layer, site.scales),
        heap_cells=_heap_cells(layer),
        trend=_trend(profile, layer, site.scales),
    )


def _category(counts: Mapping[str, Estimate]) -> str:
    chance_level = counts.get(Control.CHANCE)
    chance = f", chance level {count(chance_level.value)}" if chance_level is not None else ""
    return f"{format_interval(counts[Control.MEASURED], count)} units{chance}" if Control.MEASURED in counts else DASH


def _concept(layer: LayerProfile, concept: Concept, scales: Scales) -> ConceptPart:
    units, highest = layer.of(concept), scales.units[concept[1]]
    share_of = Estimate(*(end / layer.units for end in (units.measured.value, units.measured.low, units.measured.high)))
    return ConceptPart(
        share=round(share_of.value, 4),
        present=units.measured.high > 0,
        part=charts.lane(share_of, units.chance_level.value / layer.units, 0.0, highest),
        cells=(format_interval(units.measured, count), count(units.chance_level.value)),
    )


def best_part(best: Best) -> BestPart:
    """The figures of a unit's card."""
    blank = (math.nan, math.nan)
    agreement = Agreement(
        *(best.iou.value, best.iou.low, best.iou.high, best.chance_level, best.lift, *blank),
        *(best.corrected_iou.value, best.corrected_iou.low, best.corrected_iou.high),
    )
    css = agreement.css()
    return BestPart(
        unit=best.unit,
        interpretable=best.interpretable,
        iou=share(best.iou.value),
        value=f"{best.iou.value:.4f}",
        interval=f"[{share(best.iou.low)}, {share(best.iou.high)}]",
        chance_level=share(best.chance_level),
        lift=numbers.times(best.lift),
        gauge=(css["iou"], css["low"], css["span"], css["chance_level"]),
        samples=best.samples,
    )


def _heap_cells(layer: LayerProfile) -> tuple[str, ...]:
    good = [iou for iou, _, interpretable in layer.spread if interpretable]
    return (
        count(len(layer.spread)),
        count(len(good)),
        format_interval(layer.mean_corrected_iou, share),
        *(share(quantile(good, at)) for at in QUANTILES),
        share(charts.median([chance_level for _, chance_level, interpretable in layer.spread if interpretable])),
    )


HEAP_HEADS = ("units", "interpretable", "mean corrected IoU", *(f"{at:.0%}" for at in QUANTILES), "median chance level")


def quantile(values: Sequence[float], at: float) -> float:
    """The value below which a share of them lies, by the nearest rank; NaN of none."""
    return sorted(values)[min(int(at * len(values)), len(values) - 1)] if values else math.nan


def _trend(profile: Profile, layer: LayerProfile, scales: Scales) -> TrendPart | None:
    series, progress = checkpoint_series(profile, layer), training_progress(profile)
    first, last = scales.training.get(series, (0.0, 0.0))
    if progress is None or first == last:
        return None
    x = charts.line_x((progress[0] - first) / (last - first))
    mark = charts.line_mark((progress[0] - first) / (last - first), numbers.compact(progress[0]))
    units, chance_units = _shares(layer, Control.MEASURED), _shares(layer, Control.CHANCE).value
    labels, chance_labels = _counts(layer, Control.MEASURED).concepts, _counts(layer, Control.CHANCE).concepts.value
    return TrendPart(
        series=_digest(series),
        progress=progress[0],
        words=count(progress[0]),
        unit=progress[1],
        x=round(x, 1),
        mark=mark,
        units=_point(x, units, chance_units, scales.interpretable, percent),
        labels=_point(x, labels, chance_labels, scales.labels, count),
    )


def _point(x: float, estimate: Estimate, chance_level: float, highest: float, words: Format) -> TrendPoint:
    heights = [None if math.isnan(v) else round(charts.line_y(v, highest), 1) for v in (estimate.value, chance_level)]
    part = charts.point(x, estimate, highest)
    return TrendPoint(part, heights[0], heights[1], (format_interval(estimate, words), words(chance_level)))
