"""The same dissection, changed in one way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from dissectreport.analysis.results.dissection import Dissection, Layer
from dissectreport.run.rules import RULES, rule_named


def of_training(made: Dissection, family: str, images: int, variant: str = "") -> Dissection:
    """The same, said to be a checkpoint of a training."""
    card = {"family_of_training": family, "images": images, "variant": variant}
    facts = made.provenance
    return replace(made, provenance=replace(facts, seed=1, generator={**facts.generator, "card": card}))


def under_rule(dissection: Dissection, rule: str) -> Dissection:
    """The same numbers, said to be those of another rule."""
    facts = replace(dissection.provenance, rule=rule, thresholds=dict(rule_named(rule).interpretable))
    return replace(dissection, provenance=facts)


def widened(dissection: Dissection) -> Dissection:
    """The same with all images twice as wide."""
    pixels = dissection.pictures.pixels.repeat(2, axis=2)
    trust = tuple(replace(each, images=each.images.repeat(2, axis=2)) for each in dissection.trust)
    return replace(dissection, pictures=replace(dissection.pictures, pixels=pixels), trust=trust)


HOSTILE = "<b>x</b>/..\"'&\u2028 ünï"


def with_hostile_names(dissection: Dissection) -> Dissection:
    """The same with names that try to break out of pages and folders."""

    def renamed(name: str) -> str:
        return HOSTILE if name == "tree" else name

    layers = []
    for number, layer in enumerate(dissection.layers):
        tables = {
            name: getattr(layer, name).assign(concept=getattr(layer, name)["concept"].map(renamed))
            for name in ("table", "labels", "pairs", "by_concept")
        }
        tables["table"]["runner_up"] = tables["table"]["runner_up"].map(renamed)
        layers.append(replace(layer, name=f"{HOSTILE}{'/' * number}", **tables))
    return replace(
        dissection,
        model=f"../{HOSTILE}",
        layers=tuple(layers),
        concepts=dissection.concepts.assign(concept=dissection.concepts["concept"].map(renamed)),
        vocabulary=dissection.vocabulary.assign(concept=dissection.vocabulary["concept"].map(renamed)),
        notes=(HOSTILE,),
        provenance=replace(dissection.provenance, command=HOSTILE, generator={HOSTILE: HOSTILE}),
    )


def as_published_run(rule: str, dissection: Dissection) -> Dissection:
    """The same, as a published rule's run would say it."""
    facts = replace(
        dissection.provenance, rule=rule, selection=10_000, held_out=10_000, thresholds=dict(RULES[rule].interpretable)
    )
    layers = []
    for layer in dissection.layers:
        table = layer.table.assign(beats_chance=layer.table["interpretable"] & (layer.table["corrected_iou"] > 0.3))
        table = table.drop(columns=[name for name in table.columns if name.startswith("formula")])
        layers.append(replace(layer, table=table, formulas=None, curves=replace(layer.curves, low=None, high=None)))
    concepts = dissection.concepts.assign(tested=dissection.concepts["concept"] != "sun")
    return replace(dissection, provenance=facts, layers=tuple(layers), concepts=concepts)


def with_concept_renamed(made: Dissection, before: str, after: str) -> Dissection:
    """The same with another name for a concept: another vocabulary."""

    def table(found: pd.DataFrame) -> pd.DataFrame:
        return found.assign(concept=found["concept"].replace(before, after))

    def layer(before_renaming: Layer) -> Layer:
        names = ("table", "labels", "pairs", "by_concept")
        tables: dict[str, Any] = {name: table(getattr(before_renaming, name)) for name in names}
        return replace(before_renaming, **tables)

    layers = tuple(map(layer, made.layers))
    causes = made.interventions
    if causes is not None:
        tables: dict[str, Any] = {
            n: table(t) for n, t in vars(causes).items() if isinstance(t, pd.DataFrame) and "concept" in t
        }
        shown = {after if concept == before else concept: each for concept, each in causes.pictures.items()}
        strips = {
            unit: replace(strip, concept=after) if strip.concept == before else strip
            for unit, strip in causes.strips.items()
        }
        causes = replace(causes, pictures=shown, strips=strips, **tables)
    return replace(
        made, layers=layers, vocabulary=table(made.vocabulary), concepts=table(made.concepts), interventions=causes
    )


@dataclass(frozen=True)
class Measured:
    """What another part may find about the quality of images."""

    features: str
    figures: pd.DataFrame


def with_quality(made: Dissection, distance: float) -> Dissection:
    """The same with a figure of quality, in the field that a dissection may have."""
    row = {"measure": "kernel_distance", "value": distance, "low": distance - 0.01, "high": distance + 0.01}
    changed = replace(made)
    object.__setattr__(changed, "quality", Measured("inception", pd.DataFrame([row | {"less_is_better": True}])))
    return changed
