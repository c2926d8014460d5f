"""The model whose pages are built: its results, the places of its files, and the counts that every page shows."""

from __future__ import annotations

import json
import math
from collections import namedtuple
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import quote

import pandas as pd

from dissectreport.analysis.results.dissection import Control, Dissection, Kind, Layer
from dissectreport.report.common.site_options import PLAIN, SiteSettings
from dissectreport.report.common.wording import Wording, wording
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.charts import Point
from dissectreport.report.html.frame import Assets, Frame, model_frame, published
from dissectreport.report.html.images import tile_width
from dissectreport.report.html.numbers import count, listing, removed
from dissectreport.report.html.places import Places
from dissectreport.run.rules import Edge, rule_named

BELOW_BASELINE = "below the position-only baseline"
"""What is said of a unit whose IoU with its label is less than that of the best mask that ignores the image."""
NAMED_CLASSES = 3
"""Classes that a card names, at most."""
LEAST_EFFECT = 0.01
"""The least share of a concept's area that a unit must remove for its card to say so."""


def rows_of(table: pd.DataFrame) -> list[Any]:
    """The rows of a table, each with its columns as attributes."""
    row = _row_type(tuple(map(str, table.columns)))
    return list(map(row._make, zip(table.index, *(column for _, column in table.items()), strict=True)))


@lru_cache(maxsize=256)
def _row_type(columns: tuple[str, ...]) -> type[Any]:
    """The type of the rows of tables of these columns, made once: pandas makes one a table, for a third of the time."""
    return namedtuple("Row", ("Index", *columns), rename=True)


def view_of(concept: str) -> str:
    """The part of an address, after its #, that shows a layer's units of one concept."""
    return f"c={quote(concept, safe='')}"


@dataclass(frozen=True)
class InterpretableCount:
    """How many units, and different concepts, a rule calls interpretable, with intervals."""

    units: float
    units_low: float
    units_high: float
    layer_units: float
    concepts: float
    concepts_low: float
    concepts_high: float

    @classmethod
    def of_row(cls, row: Any) -> InterpretableCount:
        """From a row of a `controls` table."""
        return cls(*(float(getattr(row, name)) for name in cls.__dataclass_fields__))

    @classmethod
    def of_json(cls, facts: Mapping[str, float | None]) -> InterpretableCount:
        """From a summary.json, where null stands for no number."""
        return cls(**{name: math.nan if value is None else value for name, value in facts.items()})

    @property
    def known(self) -> bool:
        """Whether units could be counted; if no concept can be tested, the number is unknown rather than 0."""
        return not math.isnan(self.units)

    def as_share(self) -> Point:
        """Share of the layer's units."""
        return Point(
            self.units / self.layer_units, self.units_low / self.layer_units, self.units_high / self.layer_units
        )

    def as_concepts(self) -> Point:
        """Number of different concepts."""
        return Point(self.concepts, self.concepts_low, self.concepts_high)


def interpretable_labels(layer: Layer) -> pd.DataFrame:
    """The labels that the rule calls interpretable, one a unit and category: sky and blue are not rivals."""
    return layer.labels[layer.labels["interpretable"].astype(bool)]


def counts(layer: Layer, category: str = "") -> dict[str, InterpretableCount]:
    """The counts of a layer by control, in the order in which readers meet them."""
    rows = layer.controls[layer.controls["category"] == category]
    by_control = {row.control: InterpretableCount.of_row(row) for row in rows_of(rows)}
    return {name: by_control[name] for name in (*Control, *by_control) if name in by_control}


def different(dissection: Dissection, concepts: Iterable[str]) -> int:
    """How many different concepts these are; twins count once."""
    counts_as = dict(dissection.concepts[["concept", "counts_as"]].itertuples(index=False, name=None))
    return len({counts_as[concept] for concept in concepts})


def twins_in_words(dissection: Dissection) -> str:
    """The concepts that count as one: 'grass and turf; path and earth'; '' where there are none."""
    groups = dissection.concepts.groupby("counts_as", sort=False)["concept"]
    return "; ".join(listing(names.tolist()) for _, names in groups if len(names) > 1)


def units_by_kind(units: pd.DataFrame) -> tuple[tuple[str, int], ...]:
    """How many rows of a table of units are of each kind, of the kinds that occur."""
    number = units["kind"].value_counts()
    order = (Kind.OBJECT, Kind.SCENE, Kind.PLACE)
    return tuple((str(kind), int(number[kind])) for kind in order if number.get(kind, 0))


def above_chance(layer: Layer) -> int:
    """Units that the rule calls interpretable and that also match better than chance."""
    return int((layer.table["interpretable"].astype(bool) & layer.table["beats_chance"].astype(bool)).sum())


def counts_by_category(site: Site, layer: Layer) -> tuple[tuple[str, str, dict[str, InterpretableCount]], ...]:
    """The counts of the labels within each category, with its mark."""
    rows = ((category, mark_of(category), counts(layer, category)) for category in site.categories)
    return tuple((category, mark, by_control) for category, mark, by_control in rows if by_control)


@dataclass(frozen=True)
class StrongestEffect:
    """The concept of which ablating one unit alone removes most."""

    concept: str
    removed: float
    measured: bool
    """Whether it was measured; otherwise it is the first-order estimate."""

    @property
    def words(self) -> str:
        """What a card says of it: 'removes 12% of tree'."""
        return f"removes {removed(self.removed)} of {self.concept}{'' if self.measured else ' (estimate)'}"


@dataclass(frozen=True)
class Site:
    """What the pages of one model are built from: its results, its places, its assets and the options."""

    dissection: Dissection
    places: Places
    assets: Assets
    settings: SiteSettings = PLAIN

    @property
    def wording(self) -> Wording:
        """What may be said under the rule."""
        return wording(self.dissection.provenance)

    @property
    def edge(self) -> Edge:
        """How a map is continued at its border under the rule."""
        return rule_named(self.dissection.provenance.rule).edge

    @property
    def tile(self) -> int:
        """The width of an image in a strip, whose height is always the same."""
        return tile_width(self.dissection.pictures.pixels)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories of the vocabulary, in its order."""
        return tuple(c for c in dict.fromkeys(self.dissection.vocabulary["category"]) if c != "-")

    @cached_property
    def strongest_effects(self) -> Mapping[int, StrongestEffect]:
        """What ablating each unit of the layer of interventions removes most of; not of units that remove nothing.

        A unit that was ablated alone has its measured effects, and only those above 0 by their intervals.
        """
        interventions = self.dissection.interventions
        if interventions is None:
            return {}
        effects: dict[int, StrongestEffect] = {}
        measured = {int(unit) for unit in interventions.effects.dropna(subset="measured_effect")["unit"]}
        for row in rows_of(interventions.effects):
            unit, known = int(row.unit), int(row.unit) in measured
            share = float(row.measured_effect if known else row.estimate)
            counts = share >= LEAST_EFFECT and (not known or row.measured_effect_low > 0)
            if counts and (unit not in effects or share > effects[unit].removed):
                effects[unit] = StrongestEffect(str(row.concept), share, known)
        return effects

    @cached_property
    def _classes_by_unit(self) -> Mapping[int, tuple[str, ...]]:
        """The classes that units matter to, those that lose most first."""
        classes = self.dissection.classes
        if classes is None:
            return {}
        rows = classes.class_units[classes.class_units["matters"]].sort_values(
            "accuracy_lost", ascending=False, kind="stable"
        )
        return {int(str(unit)): tuple(part["class"]) for unit, part in rows.groupby("unit")}

    def class_words(self, layer: str, unit: int) -> str:
        """What a card says of the classes that a unit matters to: 'matters to tree, ball'; '' for none."""
        classes = self.dissection.classes
        names = self._classes_by_unit.get(unit, ()) if classes is not None and classes.layer == layer else ()
        more = f" and {len(names) - NAMED_CLASSES} more" if len(names) > NAMED_CLASSES else ""
        return f"matters to {', '.join(names[:NAMED_CLASSES])}{more}" if names else ""

    def flags(self, layer: str, row: Any) -> tuple[str, ...]:
        """What a reader has to know of the unit in a row of a layer's table before trusting its label."""
        artifacts = self.dissection.artifacts
        is_artifact = artifacts is not None and artifacts.layer == layer and int(row.unit) in artifacts.listed
        known = {
            str(row.unit_state): bool(row.unit_state),
            BELOW_BASELINE: bool(row.concept) and float(row.iou) < float(row.position_only),
            "artifact unit": is_artifact,
        }
        return tuple(words for words, holds in known.items() if holds)

    def concept_href(self, frame: Frame, concept: str) -> str:
        """The page of a concept, seen from the page of `frame`; '' for one that does not occur."""
        return frame.to(self.places.concept(concept)) if concept in self.places.concepts else ""

    def frame(self, here: str, title: str, description: str, *scripts: str, current: str = "") -> Frame:
        """The surroundings of one of the model's pages."""
        frame = model_frame(here, title, description, self.assets, self.dissection, self.places, scripts, current)
        return published(frame, self.settings.base_url, self.places.card)


def leading_units(layer: Layer) -> pd.DataFrame:
    """The layer's table with the strongest units first: interpretable, then by their selection score.

    The images that score a unit do not choose it.
    """
    order = layer.table.assign(set_aside=~layer.table["interpretable"])
    return order.sort_values(["set_aside", "selection_score", "unit"], ascending=[True, False, True], kind="stable")


def flat(facts: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Nested facts as pairs of words."""
    pairs: list[tuple[str, str]] = []
    for name, value in facts.items():
        words = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            pairs += flat(value, f"{words}, ")
        else:
            pairs.append((words, _as_words(value)))
    return tuple(pairs)


def _as_words(value: Any) -> str:
    """A plain value as a page shows it; the data files have every digit of a number."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_as_words, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return count(value) if abs(value) >= 1000 else f"{float(f'{value:.3g}'):g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


Pairs = tuple[tuple[str, str], ...]


def core(facts: Mapping[str, Any]) -> Pairs:
    """The facts that are single values."""
    return flat({name: value for name, value in facts.items() if not isinstance(value, Mapping)})


def cards(kind: str, facts: Mapping[str, Any]) -> tuple[tuple[str, Pairs], ...]:
    """The facts that are collections, each under its own heading."""
    nested = ((name, value) for name, value in facts.items() if isinstance(value, Mapping) and value)
    return tuple((f"{kind} {name}".replace("_", " "), flat(value)) for name, value in nested)
