"""The profile of a model, with which others are compared: figures with intervals, without pictures.

profile_of(dissection)     # everything that a comparison prints; small enough to be published with every model
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dissectreport.analysis.results.dissection import Control, Dissection, ExampleKind, Layer
from dissectreport.run.rules import rule_named
from dissectreport.vocabulary import NOTHING, Concept

"""A concept's name and category: vocabularies that say the same word of different things do not share it."""

SHOWN = 6
"""Images of a concept's best unit whose numbers are kept."""
FAMILY, VARIANT = "family_of_training", "variant"
"""In a model's card: the same words for all checkpoints and variants of one training, whose latents correspond; and
what sets a variant apart, which checkpoints have in common."""


@dataclass(frozen=True)
class Estimate:
    """A figure and the ends of its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is a number at all."""
        return not math.isnan(self.value)


NONE = Estimate(0.0, 0.0, 0.0)
UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class UnitCount:
    """Interpretable units, and the different concepts among their labels."""

    units: Estimate
    concepts: Estimate


@dataclass(frozen=True)
class ConceptUnits:
    """Units with a concept as their label within its category, in the layer itself and by chance."""

    measured: Estimate
    chance_level: Estimate


@dataclass(frozen=True)
class Best:
    """The unit of a layer that matches a concept best on the selection images."""

    unit: int
    interpretable: bool
    """Whether the rule calls it interpretable for the concept."""
    iou: Estimate
    chance_level: float
    corrected_iou: Estimate
    lift: float
    samples: tuple[int, ...]
    """Numbers of the images with its highest activations."""


@dataclass(frozen=True)
class LayerProfile:
    """One layer."""

    name: str
    units: int
    height: int
    width: int
    counts: Mapping[str, UnitCount]
    """By control, by overall label: 'measured', 'random_directions', 'untrained', 'chance'."""
    categories: Mapping[str, Mapping[str, Estimate]]
    """Category -> control -> units, by the label within the category."""
    concepts: Mapping[Concept, ConceptUnits]
    """Concepts that are not listed have none."""
    spread: tuple[tuple[float, float, bool], ...]
    """IoU, chance level and whether it is interpretable, of every unit with an overall label."""
    best: Mapping[Concept, Best]
    labels: tuple[Concept | None, ...]
    """The overall label of every unit that is interpretable, None of the others."""
    mean_corrected_iou: Estimate
    """Of all units with their overall labels."""

    def of(self, concept: Concept) -> ConceptUnits:
        """The units of a concept."""
        return self.concepts.get(concept, ConceptUnits(NONE, NONE))


@dataclass(frozen=True)
class Effect:
    """What ablating a concept's leading units removes of it, as shares of its area."""

    ranking: str
    units: int
    removed: Estimate
    random: Estimate
    """Random units of similar mean activation: mean, smallest and largest of the sets."""
    difference: Estimate
    """Removed minus random."""


@dataclass(frozen=True)
class Causes:
    """Causal effects of the units of one layer."""

    layer: str
    samples: int
    effects: Mapping[Concept, Effect]


@dataclass(frozen=True)
class Training:
    """How long a model was trained; NaN where its card does not say."""

    family: str
    variant: str
    images: float
    steps: float


@dataclass(frozen=True)
class Measure:
    """A measure of image quality."""

    name: str
    estimate: Estimate
    less_is_better: bool


@dataclass(frozen=True)
class Quality:
    """Image quality; values by different features do not compare."""

    features: str
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Profile:
    """One model under one rule."""

    model: str
    title: str
    rule: str
    seed: int
    samples: int
    held_out: int
    grid: int
    segmenter: str
    segmenter_identity: str
    latents: tuple[int, ...]
    training: Training
    vocabulary: tuple[Concept, ...]
    tested: frozenset[Concept]
    """Concepts that could be a unit's label."""
    areas: Mapping[Concept, Estimate]
    """Share of all pixels, of the concepts that occur."""
    layers: tuple[LayerProfile, ...]
    causes: Causes | None
    quality: Quality | None
    pictures: tuple[int, ...]
    """Numbers of the images that the model's pages show."""
    notes: tuple[str, ...]
    """Sentences that the model's pages show."""


def _rows(table: pd.DataFrame) -> list[Any]:
    return list(table.itertuples())


def concept_of(row: Any) -> Concept:
    """The concept in the columns `concept` and `category` of a row."""
    return Concept(str(row.concept), str(row.category))


def estimate(row: Any, name: str) -> Estimate:
    """A figure of a row with its interval, from the columns that begin with its name."""
    return Estimate(*(float(getattr(row, f"{name}{end}")) for end in ("", "_low", "_high")))


def profile_of(dissection: Dissection) -> Profile:
    """What is kept of a model for comparisons."""
    facts = dissection.provenance
    rows = _rows(dissection.concepts)
    by_rule = rule_named(facts.rule).is_published  # such a rule tests every concept
    return Profile(
        model=dissection.model,
        title=dissection.title,
        rule=facts.rule,
        seed=facts.seed,
        samples=facts.samples,
        held_out=facts.held_out,
        grid=facts.grid,
        segmenter=str(facts.segmenter.get("name", "")),
        segmenter_identity=str(facts.segmenter.get("identity", "")),
        latents=tuple(int(n) for n in facts.generator.get("latent_shape", ())),
        training=training_of(facts.generator),
        vocabulary=_vocabulary(dissection.vocabulary),
        tested=frozenset(concept_of(r) for r in rows if r.tested or by_rule),
        areas={concept_of(r): estimate(r, "area") for r in rows},
        layers=tuple(_layer(layer) for layer in dissection.layers),
        causes=_causes(dissection),
        quality=quality_of(dissection),
        pictures=tuple(int(n) for n in dissection.pictures.numbers),
        notes=dissection.notes,
    )


def _vocabulary(table: pd.DataFrame) -> tuple[Concept, ...]:
    return tuple(concept for concept in map(concept_of, _rows(table)) if concept != NOTHING)


def training_of(generator: Mapping[str, Any]) -> Training:
    """What a generator's card says about its training."""
    card = generator.get("card")
    facts = card if isinstance(card, Mapping) else {}

    def number(name: str) -> float:
        value = facts.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan

    return Training(str(facts.get(FAMILY, "")), str(facts.get(VARIANT, "")), number("images"), number("steps"))


def _layer(layer: Layer) -> LayerProfile:
    controls = _rows(layer.controls)
    categories: dict[str, dict[str, Estimate]] = {}
    for row in controls:
        if row.category:
            categories.setdefault(str(row.category), {})[str(row.control)] = estimate(row, "units")
    return LayerProfile(
        name=layer.name,
        units=layer.units,
        height=layer.height,
        width=layer.width,
        counts={
            str(row.control): UnitCount(estimate(row, "units"), estimate(row, "concepts"))
            for row in controls
            if not row.category
        },
        categories=categories,
        concepts=_by_concept(layer.by_concept),
        spread=tuple(
            (float(row.iou), float(row.chance_level), bool(row.interpretable))
            for row in _rows(layer.table)
            if row.concept and not math.isnan(row.iou)
        ),
        best=_best(layer),
        labels=tuple(concept_of(row) if row.interpretable and row.concept else None for row in _rows(layer.table)),
        mean_corrected_iou=next(
            estimate(row, "mean_corrected_iou")
            for row in controls
            if row.control == Control.MEASURED and not row.category
        ),
    )


def _by_concept(table: pd.DataFrame) -> dict[Concept, ConceptUnits]:
    counts = {(row.control, concept_of(row)): estimate(row, "units") for row in _rows(table)}
    concepts = dict.fromkeys(c for control, c in counts if control in (Control.MEASURED, Control.CHANCE))
    return {
        c: ConceptUnits(counts.get((Control.MEASURED, c), NONE), counts.get((Control.CHANCE, c), NONE))
        for c in concepts
    }


def _best(layer: Layer) -> dict[Concept, Best]:
    """The strongest unit of every concept: an interpretable one where there is any, else one of the leading pairs."""
    labelled = layer.labels[layer.labels["interpretable"].astype(bool)]
    top = layer.examples.kind == ExampleKind.TOP
    best: dict[Concept, Best] = {}
    for table, interpretable in ((labelled, True), (layer.pairs, False)):
        ranked = table[table["corrected_iou_low"].notna()].sort_values(
            ["selection_score", "unit"], ascending=[False, True]
        )
        for row in _rows(ranked):
            concept = concept_of(row)
            if concept not in best:
                unit = int(row.unit)
                samples = tuple(int(n) for n in layer.examples.samples[unit][top][:SHOWN])
                best[concept] = Best(
                    unit,
                    interpretable,
                    estimate(row, "iou"),
                    float(row.chance_level),
                    estimate(row, "corrected_iou"),
                    float(row.lift),
                    samples,
                )
    return best


def _causes(dissection: Dissection) -> Causes | None:
    interventions = dissection.interventions
    if interventions is None:
        return None
    best = dict(interventions.concepts[["concept", "best_ranking"]].itertuples(index=False, name=None))
    categories = dict(interventions.concepts[["concept", "category"]].itertuples(index=False, name=None))
    rows = [row for row in _rows(interventions.removal) if row.ranking == best.get(row.concept)]
    most = max((int(row.units) for row in rows), default=0)
    effects = {
        Concept(str(row.concept), str(categories[row.concept])): Effect(
            str(row.ranking),
            int(row.units),
            estimate(row, "removed"),
            estimate(row, "random"),
            estimate(row, "difference"),
        )
        for row in rows
        if int(row.units) == most
    }
    return Causes(interventions.layer, interventions.samples, effects)


def quality_of(dissection: Dissection) -> Quality | None:
    """The figures of the optional field `quality`: a table `figures` of measure, value, low, high and less_is_better,
    and the name of the `features`; None where that was not measured."""
    quality = getattr(dissection, "quality", None)
    if quality is None or not len(quality.figures):
        return None
    measures = tuple(
        Measure(str(row.measure), Estimate(float(row.value), float(row.low), float(row.high)), bool(row.less_is_better))
        for row in _rows(quality.figures)
    )
    return Quality(str(quality.features), measures)
