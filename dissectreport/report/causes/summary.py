"""What the tables of interventions say of each concept that was studied, in rows and in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dissectreport.analysis.results.dissection import Layer
from dissectreport.analysis.results.interventions import COLUMNS, ORDERS, Interventions
from dissectreport.report.common.model import Site, rows_of
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.charts import Point
from dissectreport.report.html.effect_charts import RANDOM, Curve, order_mark, order_words
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.numbers import removed

ENOUGH = 0.6
"""The share of a concept's area whose removal the overview counts as a success."""


@dataclass(frozen=True)
class Removal:
    """What goes when the first units of an order are turned off together, beside as many random units."""

    order: str
    words: str
    mark: str
    units: int
    removed: Point
    random: Point
    beyond: Point
    best: bool

    @property
    def enough(self) -> bool:
        """Whether most of the concept goes, and surely more than with random units."""
        return self.removed.value >= ENOUGH and self.beyond.low > 0

    @property
    def beats(self) -> bool:
        """Whether surely more goes than with random units."""
        return self.beyond.low > 0


def point_of(row: Any, name: str) -> Point:
    """A figure of a row with its interval, from the columns that begin with its name."""
    return Point(*(float(getattr(row, f"{name}{end}")) for end in ("", "_low", "_high")))


@dataclass(frozen=True)
class Studied:
    """One concept, by all that the tables say of it."""

    concept: str
    category: str
    mark: str
    area: float
    images: int
    best: str
    removals: tuple[Removal, ...]
    curves: tuple[Curve, ...]
    """One an order, best first, and the random sets last."""
    spearman: Point
    ceiling: float
    single: int
    """Units that were turned off one by one."""

    @property
    def of_best(self) -> tuple[Removal, ...]:
        """The removals of the best order, by rising number of units."""
        return tuple(r for r in self.removals if r.best)

    @property
    def leading(self) -> Removal | None:
        """What the best order removes with the most units."""
        return self.of_best[-1] if self.of_best else None

    @property
    def fewest(self) -> Removal | None:
        """What the best order removes with the fewest units of the table."""
        return self.of_best[0] if len(self.of_best) > 1 else None


def studied(found: Interventions) -> tuple[Studied, ...]:
    """Every concept that was studied, commonest first."""
    return tuple(_studied(found, row) for row in rows_of(found.concepts))


def rows_for(table: pd.DataFrame, concept: str) -> list[Any]:
    """The rows of a table about one concept."""
    return rows_of(table[table["concept"] == concept])


def _studied(found: Interventions, row: Any) -> Studied:
    concept, best = str(row.concept), str(row.best)
    agreement = next(iter(rows_for(found.agreement, concept)), None)
    nothing = Point(math.nan, math.nan, math.nan)
    return Studied(
        concept=concept,
        category=str(row.category),
        mark=mark_of(str(row.category)),
        area=float(row.area),
        images=int(row.images),
        best=best,
        removals=_removals(found, concept, best),
        curves=_curves(found, concept, best),
        spearman=nothing if agreement is None else point_of(agreement, "spearman"),
        ceiling=math.nan if agreement is None else float(agreement.ceiling),
        single=0 if agreement is None else int(agreement.units),
    )


def _first(best: str, orders: Sequence[str]) -> list[str]:
    """The best order, the others as the methods list them, and random sets last."""
    listed = [best, *ORDERS, *orders, RANDOM]
    return [order for order in dict.fromkeys(o for o in listed if o != RANDOM) if order in orders] + [RANDOM]


def _removals(found: Interventions, concept: str, best: str) -> tuple[Removal, ...]:
    rows = [row for row in rows_for(found.removal, concept) if row.order != RANDOM]
    rank = {order: i for i, order in enumerate(_first(best, [str(row.order) for row in rows]))}
    made = [
        Removal(
            order=str(row.order),
            words=order_words(str(row.order)),
            mark=order_mark(str(row.order)),
            units=int(row.units),
            removed=point_of(row, "removed"),
            random=point_of(row, "random"),
            beyond=point_of(row, "beyond"),
            best=str(row.order) == best,
        )
        for row in rows
    ]
    return tuple(sorted(made, key=lambda r: (rank[r.order], r.units)))


def _curves(found: Interventions, concept: str, best: str) -> tuple[Curve, ...]:
    rows: dict[str, list[Any]] = {}
    for row in rows_for(found.curves, concept):
        rows.setdefault(str(row.order), []).append(row)
    made = []
    for order in _first(best, list(rows)):
        ordered = sorted(rows.get(order, []), key=lambda row: int(row.units))
        if ordered:
            units = tuple(int(row.units) for row in ordered)
            made.append(Curve(order, units, tuple(point_of(row, "removed") for row in ordered)))
    return tuple(made)


def told(point: Point) -> str:
    """A removal with its interval."""
    return f"{removed(point.value)} [{removed(point.low)}, {removed(point.high)}]"


def finding(one: Studied, layer: Layer) -> str:
    """What was found of a concept, in a sentence."""
    lead = one.leading
    if lead is None:
        return f"Nothing was measured of what removes {one.concept}."
    of = f"{lead.units} of the {layer.units} units of {layer.name}"
    rivals = f"{lead.units} random units of about the same mean activation {_does(lead.random)}"
    joined = "; " if lead.beats else ". That is not surely more than by chance: "
    return f"Turning off {of} removes {told(lead.removed)} of all {one.concept} pixels{joined}{rivals}."


def _does(point: Point) -> str:
    """What units do to a concept: they remove some, or let it grow."""
    if point.value < 0:
        return f"let it grow by {removed(-point.value)} [{removed(-point.high)}, {removed(-point.low)}]"
    return f"remove {told(point)}"


def answer(every: Sequence[Studied], layer: Layer) -> str:
    """For how many concepts the best units remove most of the area, in a sentence."""
    leads = [one.leading for one in every if one.leading is not None]
    if not leads:
        return "Nothing was measured of what removes concepts."
    most = max(lead.units for lead in leads)
    good = [lead for lead in leads if lead.enough]
    few = [one.fewest for one in every if one.fewest is not None]
    off = f"turning off the best {most} of {layer.units} units"
    if not good:
        one, lead = max(
            ((one, one.leading) for one in every if one.leading is not None), key=lambda pair: pair[1].removed.value
        )
        return (
            f"For none of {len(every)} concepts does {off} remove {removed(ENOUGH)} of the concept's area, and surely"
            f" more than random units do. Most goes of {one.concept}: {told(lead.removed)}."
        )
    sentence = (
        f"For {len(good)} of {len(every)} concepts, {off} removes at least {removed(ENOUGH)} of the concept's area, and"
        " surely more than random units of about the same mean activation do."
    )
    if few:
        enough = sum(f.enough for f in few)
        sentence += f" For {enough if enough else 'none of them'}, {few[0].units} units are enough."
    return sentence


def layer_of(site: Site, found: Interventions) -> Layer:
    """The layer whose units were turned off and on."""
    return next(layer for layer in site.dissection.layers if layer.name == found.layer)


def meaning(order: str, found: Interventions) -> str:
    """What a way to put units in order is, in words."""
    if order == RANDOM:
        return f"{found.random_sets} sets of units of about the same mean activation; band: least and most"
    return ORDERS.get(order, "")


def listed(orders: Sequence[str]) -> list[str]:
    """The orders once each, best known first and random sets last."""
    return [o for o in dict.fromkeys([*ORDERS, *orders]) if o in orders and o != RANDOM] + [RANDOM] * (RANDOM in orders)


def falling(value: float) -> float:
    """A key that sorts large numbers first, and no number last."""
    return math.inf if math.isnan(value) else -value


TABLES = ("concepts", "effects", "agreement", "orders", "curves", "removal", "side", "context")
"""The tables of interventions that can be downloaded."""


def causal_tables(found: Interventions) -> dict[str, pd.DataFrame]:
    """Every table of interventions, by the name of its download."""
    return {f"causes-{name}": getattr(found, name).reset_index(drop=True) for name in TABLES}


def downloads(site: Site, around: Frame, layer: Layer) -> tuple[tuple[str, str, str], ...]:
    """Every table of interventions with its two addresses."""

    def place(name: str, kind: str) -> str:
        return around.to(site.places.data(f"causes-{name}", kind, layer.name))

    return tuple((name, place(name, "csv"), place(name, "json")) for name in TABLES)


def dictionary(site: Site, found: Interventions) -> Mapping[str, str]:
    """What every column of the tables of interventions means, in the order in which they first appear."""
    known = {**site.wording.dictionary(), **COLUMNS}
    names = dict.fromkeys(str(name) for table in causal_tables(found).values() for name in table.columns)
    return {name: known.get(name, "") for name in names}
