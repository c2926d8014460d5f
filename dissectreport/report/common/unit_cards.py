"""A card of a unit: its strip, its label and its figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dissectreport.analysis.results.dissection import ExampleKind, Layer
from dissectreport.report.common.formulas import UnitFormula
from dissectreport.report.common.model import (
    Site,
    interpretable_labels,
    rows_of,
)
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.frame import Frame, Link
from dissectreport.report.html.numbers import Agreement

STRIP = 6
"""Images in the strip of a unit card."""


Labels = Mapping[int, list[Any]]
"""Rows of the `labels` table by unit."""


@dataclass(frozen=True)
class Card:
    """A unit among others."""

    unit: int
    href: str
    strip: str
    concept: NamedConcept
    """Its label."""
    agreement: Agreement
    on_fraction: float
    threshold: float
    interpretable: bool
    state: str
    flags: tuple[str, ...]
    """What a reader has to know of it: its state, an artifact unit, a match below the position-only baseline."""
    effect: str
    """What ablating it alone removes most of, in words; '' where that is unknown or little."""
    removed: float
    """How much that is; NaN where unknown or little."""
    also: tuple[str, ...]
    """Its interpretable labels in other categories."""
    formula: str
    """The formula that matches it significantly better than its label, in words; '' where there is none."""


def labels_of(layer: Layer) -> Labels:
    """The interpretable labels of each unit."""
    labels: dict[int, list[Any]] = {}
    for row in rows_of(interpretable_labels(layer)):
        labels.setdefault(int(row.unit), []).append(row)
    return labels


def card(site: Site, frame: Frame, layer: Layer, row: Any, labels: Labels | None = None) -> Card:
    """The card of the unit in a row of the layer's table, with its `labels` in other categories."""
    others = (labels or {}).get(int(row.unit), [])
    interventions = site.dissection.interventions
    is_edited = interventions is not None and interventions.layer == layer.name
    effect = site.strongest_effects.get(int(row.unit)) if is_edited else None
    formula = UnitFormula.of(row)
    return Card(
        unit=int(row.unit),
        href=frame.to(site.places.unit(layer.name, int(row.unit))),
        strip=frame.to(site.places.strip(layer.name, int(row.unit))),
        concept=NamedConcept.of(row),
        agreement=Agreement.of(row),
        on_fraction=float(row.on_fraction),
        threshold=float(row.threshold),
        interpretable=bool(row.interpretable),
        state=str(row.unit_state),
        flags=site.flags(layer.name, row),
        effect=site.class_words(layer.name, int(row.unit)) if effect is None else effect.words,
        removed=math.nan if effect is None else effect.removed,
        also=tuple(str(other.concept) for other in others if other.concept != row.concept),
        formula="" if formula is None else formula.words,
    )


def neighbours(frame: Frame, links: list[tuple[str, str]], at: int) -> Frame:
    """`frame` with links to the page before and after."""
    before = Link(frame.to(links[at - 1][0]), links[at - 1][1]) if at > 0 else None
    after = Link(frame.to(links[at + 1][0]), links[at + 1][1]) if at + 1 < len(links) else None
    return replace(frame, before=before, after=after)


def strip_size(layer: Layer) -> int:
    """Images in a strip: the first of the top images."""
    return min(STRIP, int((layer.examples.kind == ExampleKind.TOP).sum()))
