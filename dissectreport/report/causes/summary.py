"""The causal effects on each studied concept, as rows and as sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dissectreport.analysis.results.dissection import Layer
from dissectreport.analysis.results.interventions import COLUMNS, RANKING_METHODS, Interventions
from dissectreport.report.common.model import Site, rows_of
from dissectreport.report.html.charts import Point
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.effect_charts import Curve, ranking_mark, ranking_words
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.numbers import decimal, percent, removed, share, with_interval
from dissectreport.run.rankings import Ranking

MOST = 0.6
"""The share of a concept's area from which on the overview counts a removal as a success."""


@dataclass(frozen=True)
class Removal:
    """What ablating the first units of a ranking removes, compared with as many random units."""

    ranking: str
    words: str
    mark: str
    units: int
    removed: Point
    random: Point
    difference: Point
    random_images: int
    """Images on which the random sets were ablated."""
    random_activation: float
    """Mean activation of the random sets over that of the units."""
    random_rank_distance: float
    """How far their units differ in rank by mean activation, as a share of the layer's units."""
    best: bool

    @property
    def most_removed(self) -> bool:
        """Whether most of the concept's area is removed, and significantly more than by random units."""
        return self.removed.value >= MOST and self.exceeds_random

    @property
    def exceeds_random(self) -> bool:
        """Whether more is removed than one more random set would remove: the prediction interval is above 0."""
        return self.difference.low > 0


def point_of(row: Any, name: str) -> Point:
    """A figure of a row with its interval, from the columns that begin with its name."""
    return Point(*(float(getattr(row, f"{name}{end}")) for end in ("", "_low", "_high")))


def ends_of(row: Any, name: str) -> Point:
    """An interval of a row without a figure of its own; NaN where the table has none."""
    return Point(math.nan, *(float(getattr(row, f"{name}{end}", math.nan)) for end in ("_low", "_high")))


@dataclass(frozen=True)
class OtherEdits:
    """What other changes of the best ranking's units do to a concept, and whether the segmenter stays confident."""

    units: int
    images: int
    zero: Point
    mean: Point
    resampled: Point
    ace: Point
    """The average causal effect: inserted everywhere minus ablated to zero, over the area without edit."""
    ace_label: Point
    """The ends of the effects that the segmenter's error allows; NaN where it is not known."""
    ace_total: Point
    """The ends of the interval with both errors."""
    lost_before: float
    """Confidence where the concept is lost, without edit."""
    lost_after: float
    before: float
    """Confidence over whole images, without edit."""
    after: float
    segmenter_fails: bool

    @classmethod
    def of(cls, row: Any) -> OtherEdits:
        """From a row of the table of variants."""
        return cls(
            units=int(row.units),
            images=int(row.images),
            zero=point_of(row, "removed_zero"),
            mean=point_of(row, "removed_mean"),
            resampled=point_of(row, "removed_resampled"),
            ace=point_of(row, "ace"),
            ace_label=ends_of(row, "ace_label"),
            ace_total=ends_of(row, "ace_total"),
            lost_before=float(row.confidence_lost_before),
            lost_after=float(row.confidence_lost_after),
            before=float(row.confidence_before),
            after=float(row.confidence_after),
            segmenter_fails=bool(row.segmenter_fails),
        )


@dataclass(frozen=True)
class Studied:
    """One concept, by all that the tables say of it."""

    concept: NamedConcept
    area: float
    images: int
    best: str
    removals: tuple[Removal, ...]
    curves: tuple[Curve, ...]
    """One a ranking method, best first, and the random sets last."""
    spearman: Point
    noise_ceiling: Point
    drawn: int
    """Units drawn at random, behind the rank correlation."""
    drawn_images: int
    single: int
    """Units that were ablated one by one."""
    edits: OtherEdits | None
    context_p: float
    """The p-value of gains that do not depend on the context."""
    mask: str
    """How the loss of the learned mask changed, in a sentence; '' without one."""

    @property
    def of_best(self) -> tuple[Removal, ...]:
        """The removals of the best ranking, by rising number of units."""
        return tuple(r for r in self.removals if r.best)

    @property
    def leading(self) -> Removal | None:
        """What the best ranking removes with the most units."""
        return self.of_best[-1] if self.of_best else None

    @property
    def fewest(self) -> Removal | None:
        """What the best ranking removes with the fewest units of the table."""
        return self.of_best[0] if len(self.of_best) > 1 else None


def studied(interventions: Interventions) -> tuple[Studied, ...]:
    """Every concept that was studied, commonest first."""
    return tuple(_studied(interventions, row) for row in rows_of(interventions.concepts))


def rows_for(table: pd.DataFrame, concept: str) -> list[Any]:
    """The rows of a table about one concept."""
    return rows_of(table[table["concept"] == concept])


def _studied(interventions: Interventions, row: Any) -> Studied:
    concept, best = str(row.concept), str(row.best_ranking)
    agreement = next(iter(rows_for(interventions.agreement, concept)), None)
    nothing = Point(math.nan, math.nan, math.nan)
    return Studied(
        concept=NamedConcept.of(row),
        area=float(row.area),
        images=int(row.images),
        best=best,
        removals=_removals(interventions, concept, best),
        curves=_curves(interventions, concept, best),
        spearman=nothing if agreement is None else point_of(agreement, "spearman"),
        noise_ceiling=nothing if agreement is None else point_of(agreement, "noise_ceiling"),
        drawn=0 if agreement is None else int(agreement.units),
        drawn_images=0 if agreement is None else int(agreement.images),
        single=sum(not math.isnan(row.measured_effect) for row in rows_for(interventions.effects, concept)),
        edits=next((OtherEdits.of(row) for row in rows_for(interventions.variants, concept)), None),
        context_p=float(row.context_p),
        mask=_mask_sentence(*(float(getattr(row, f"mask_loss_{end}", math.nan)) for end in ("start", "end"))),
    )


def _mask_sentence(start: float, end: float) -> str:
    """What learning did to the loss of the mask, and that a mask that it did not improve is left out."""
    if math.isnan(end):
        return ""
    losses = f"from {start:.2f} to {end:.2f}"
    if end <= start:
        return f"Learning the mask changed its loss on held-out images {losses}; lower is better."
    return f"The learned mask has not converged and is left out: its loss on held-out images went {losses}."


def _first(best: str, rankings: Sequence[str]) -> list[str]:
    """The best ranking, the others as the methods list them, and random sets last."""
    listed = [best, *RANKING_METHODS, *rankings, Ranking.RANDOM]
    return [ranking for ranking in dict.fromkeys(o for o in listed if o != Ranking.RANDOM) if ranking in rankings] + [
        Ranking.RANDOM
    ]


def _removals(interventions: Interventions, concept: str, best: str) -> tuple[Removal, ...]:
    rows = [row for row in rows_for(interventions.removal, concept) if row.ranking != Ranking.RANDOM]
    rank = {ranking: i for i, ranking in enumerate(_first(best, [str(row.ranking) for row in rows]))}
    removals = [
        Removal(
            ranking=str(row.ranking),
            words=ranking_words(str(row.ranking)),
            mark=ranking_mark(str(row.ranking)),
            units=int(row.units),
            removed=point_of(row, "removed"),
            random=point_of(row, "random"),
            difference=point_of(row, "difference"),
            random_images=int(row.random_images),
            random_activation=float(row.random_activation),
            random_rank_distance=float(row.random_rank_distance),
            best=str(row.ranking) == best,
        )
        for row in rows
    ]
    return tuple(sorted(removals, key=lambda r: (rank[r.ranking], r.units)))


def _curves(interventions: Interventions, concept: str, best: str) -> tuple[Curve, ...]:
    rows: dict[str, list[Any]] = {}
    for row in rows_for(interventions.curves, concept):
        rows.setdefault(str(row.ranking), []).append(row)
    curves = []
    for ranking in _first(best, list(rows)):
        ordered = sorted(rows.get(ranking, []), key=lambda row: int(row.units))
        if ordered:
            units = tuple(int(row.units) for row in ordered)
            curves.append(Curve(ranking, units, tuple(point_of(row, "removed") for row in ordered)))
    return tuple(curves)


def area_removed(point: Point) -> str:
    """The share of an area that is removed, with its interval."""
    return with_interval(point, removed)


def finding(studied: Studied, layer: Layer) -> str:
    """What ablation does to a concept, in two sentences."""
    lead = studied.leading
    if lead is None:
        return f"The removal of {studied.concept.name} was not measured."
    units = f"{lead.units} of the {layer.units} units of {layer.name}"
    verdict = "" if lead.exceeds_random else "; one more random set could remove as much: no significant difference"
    return (
        f"Ablating {units} removes {area_removed(lead.removed)} of all {studied.concept.name} pixels."
        f" Random sets of {lead.units} units with about the same mean activation {_effect_of_random(lead.random)} on"
        f" average{verdict}."
    )


def edits_sentence(edits: OtherEdits | None, concept: str) -> str:
    """Whether removal depends on the value that units are set to, and whether the segmenter fails; '' without edits."""
    if edits is None:
        return ""
    return (
        f"Ablated to their mean activation, the {edits.units} units remove {area_removed(edits.mean)} of {concept}; to"
        f" their activations in another image, {area_removed(edits.resampled)}; to zero, {area_removed(edits.zero)}"
        f" (n = {edits.images:,} images).{_doubt(edits)}"
    )


def _doubt(edits: OtherEdits) -> str:
    """That the segmenter may fail on the ablated images; '' where nothing speaks for it."""
    if not edits.segmenter_fails:
        return ""
    return (
        f" Caution: where the concept is lost, the segmenter's confidence falls from {share(edits.lost_before)} to"
        f" {share(edits.lost_after)}. It may fail on these images rather than the concept be gone."
    )


def match(lead: Removal | None) -> str:
    """How alike random sets are to the units that they are compared with, in a sentence; '' without any."""
    if lead is None:
        return ""
    activation, distance = decimal(lead.random_activation, 2), percent(lead.random_rank_distance)
    return (
        f"The random sets of {lead.units} units have {activation} times the mean activation of the best units, and"
        f" their ranks by mean activation differ by {distance} of the layer's units on average."
    )


def _effect_of_random(point: Point) -> str:
    """What random units do to a concept: they remove some of it, or increase it."""
    return f"increase it by {removed(-point.value)}" if point.value < 0 else f"remove {removed(point.value)}"


def answer(every: Sequence[Studied], layer: Layer) -> str:
    """For how many concepts the best units remove most of the area, in a sentence."""
    leads = [(studied, studied.leading) for studied in every if studied.leading is not None]
    if not leads:
        return "The removal of concepts was not measured."
    most = max(lead.units for _, lead in leads)
    ablating = f"ablating the best {most} of {layer.units} units removes"
    successes = sum(lead.most_removed for _, lead in leads)
    if not successes:
        studied, lead = max(leads, key=lambda pair: pair[1].removed.value)
        return (
            f"The largest effect is on {studied.concept.name}: {ablating} {area_removed(lead.removed)} of its area. No"
            f" effect reaches {removed(MOST)} and exceeds that of random sets (95% prediction interval)."
        )
    return (
        f"For {successes} of {len(every)} studied concepts, {ablating} at least {removed(MOST)} of the concept's area,"
        f" more than random sets do (95% prediction interval).{_fewest_units(every)}"
    )


def _fewest_units(every: Sequence[Studied]) -> str:
    """For how many concepts fewer units are enough; '' where only one number of units was tried."""
    few = [studied.fewest for studied in every if studied.fewest is not None]
    if not few:
        return ""
    enough = sum(removal.most_removed for removal in few)
    return f" For {enough or 'none'} of them, {few[0].units} units are enough."


def layer_of(site: Site, interventions: Interventions) -> Layer:
    """The layer whose units were ablated and inserted."""
    return site.dissection.layer(interventions.layer)


def meaning(ranking: str, interventions: Interventions) -> str:
    """How a ranking method ranks units, in words."""
    if ranking == Ranking.RANDOM:
        return (
            f"{interventions.random_sets} random sets of other units, matched in mean activation unit by unit; band:"
            " their range"
        )
    return RANKING_METHODS.get(ranking, "")


def listed(rankings: Sequence[str]) -> list[str]:
    """The ranking methods once each, best known first and random sets last."""
    return [o for o in dict.fromkeys([*RANKING_METHODS, *rankings]) if o in rankings and o != Ranking.RANDOM] + [
        Ranking.RANDOM
    ] * (Ranking.RANDOM in rankings)


def falling(value: float) -> float:
    """A key that sorts large numbers first, and no number last."""
    return math.inf if math.isnan(value) else -value


TABLES = (
    *("concepts", "effects", "alone", "agreement", "rankings", "curves", "removal", "side_effects", "context"),
    "variants",
)
"""The tables of interventions that can be downloaded."""


def causal_tables(interventions: Interventions) -> dict[str, pd.DataFrame]:
    """Every table of interventions, by the name of its download."""
    return {f"causes-{name}": getattr(interventions, name).reset_index(drop=True) for name in TABLES}


def downloads(site: Site, frame: Frame, layer: Layer) -> tuple[tuple[str, str, str], ...]:
    """Every table of interventions with its two addresses."""

    def place(name: str, kind: str) -> str:
        return frame.to(site.places.data(f"causes-{name}", kind, layer.name))

    return tuple((name, place(name, "csv"), place(name, "json")) for name in TABLES)


def dictionary(site: Site, interventions: Interventions) -> Mapping[str, str]:
    """What every column of the tables of interventions means, in the order in which they first appear."""
    known = {**site.wording.dictionary(), **COLUMNS}
    names = dict.fromkeys(str(name) for table in causal_tables(interventions).values() for name in table.columns)
    return {name: known.get(name, "") for name in names}
