"""Which claims of a run a second measurement replicates.

Claims are fixed before they are measured again: the labels of interpretable units, the sets of units that remove more
of a concept than one more random set would, artifact units and the repair. Only these are tested, so that no correction
for the choice of what to claim is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np
import pandas as pd

from dissectreport.analysis.results.artifacts import Artifacts, EditedSet, QualityMeasure
from dissectreport.analysis.results.dissection import Dissection, Layer
from dissectreport.analysis.results.interventions import Interventions
from dissectreport.analysis.results.replication import ClaimKind, Replication
from dissectreport.records.replication import FIGURES, WORDS, ReplicatedClaims

Estimate = tuple[float, float, float]
"""A figure with the ends of its interval."""
UNKNOWN: Estimate = (nan, nan, nan)


@dataclass(frozen=True)
class Claim:
    """One claim of a run."""

    kind: ClaimKind
    layer: str
    units: tuple[int, ...]
    concept: str
    category: str
    value: Estimate
    bound: float = 0.0
    """What the interval of the second measurement must exceed."""

    @property
    def words(self) -> tuple[str, ...]:
        """The columns `WORDS`."""
        return (str(self.kind), self.layer, " ".join(map(str, self.units)), self.concept, self.category)


@dataclass(frozen=True)
class Outcome:
    """The result of the second measurement for a claim."""

    value: Estimate
    replicated: bool | None
    """None where it could not be tested."""


def claims_of(dissection: Dissection) -> tuple[Claim, ...]:
    """The claims that a run makes."""
    claims = [claim for layer in dissection.layers for claim in _labels(layer)]
    if dissection.interventions is not None:
        claims += _causal_sets(dissection.interventions)
    if dissection.artifacts is not None:
        claims += _artifact_claims(dissection.artifacts)
    return tuple(claims)


def digest(claims: tuple[Claim, ...]) -> str:
    """The SHA-256 of claims: of what they are about and of what they say, to six digits."""
    lines = ["\t".join((*claim.words, *(f"{value:.6g}" for value in (*claim.value, claim.bound)))) for claim in claims]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _estimate(row: Any, name: str, sign: int = 1) -> Estimate:
    value, low, high = (sign * float(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return (value, low, high) if sign > 0 else (value, high, low)


def _labels(layer: Layer) -> Iterator[Claim]:
    for _, row in layer.interpretable.iterrows():
        value = _estimate(row, "corrected_iou")
        yield Claim(ClaimKind.LABEL, layer.name, (int(row["unit"]),), str(row["concept"]), str(row["category"]), value)


def _causal_sets(causes: Interventions) -> Iterator[Claim]:
    columns = causes.concepts[["concept", "best_ranking", "category"]].itertuples(index=False, name=None)
    best = {str(concept): (str(ranking), str(category)) for concept, ranking, category in columns}
    for concept, rows in causes.removal.groupby("concept", sort=False):
        leading = rows[(rows["ranking"] == best[str(concept)][0]) & (rows["difference_low"] > 0)]
        if not len(leading):
            continue
        row = leading.sort_values("units").iloc[-1]
        ranked = causes.rankings[
            (causes.rankings["concept"] == concept) & (causes.rankings["ranking"] == row["ranking"])
        ]
        units = ranked.sort_values("rank")["unit"].head(int(row["units"])).tolist()
        yield Claim(
            ClaimKind.CAUSAL_SET,
            causes.layer,
            tuple(int(unit) for unit in units),
            str(concept),
            best[str(concept)][1],
            _estimate(row, "removed"),
            float(row["random"] + row["difference"] - row["difference_low"]),
        )


def _artifact_claims(artifacts: Artifacts) -> Iterator[Claim]:
    units = artifacts.units.set_index("unit")
    for unit in artifacts.listed:
        value = _estimate(units.loc[unit], "measured_effect")
        yield Claim(ClaimKind.ARTIFACT_UNIT, artifacts.layer, (unit,), "", "", value)
    if artifacts.repair:
        value = _change(artifacts, EditedSet.WORST, len(artifacts.repair))
        yield Claim(ClaimKind.REPAIR, artifacts.layer, artifacts.repair, "", "", value)


def _change(artifacts: Artifacts, edited: EditedSet, units: int) -> Estimate:
    """The decrease of KID by an edit."""
    table = artifacts.quality
    rows = table[
        (table["set"] == edited) & (table["units"] == units) & (table["measure"] == QualityMeasure.KERNEL_DISTANCE)
    ]
    return _estimate(rows.iloc[0], "change", -1) if len(rows) else UNKNOWN


def replicated(
    claims: tuple[Claim, ...], first: Dissection, again: Dissection, removed: Mapping[Claim, Estimate]
) -> tuple[Outcome, ...]:
    """Whether a second run, and the share that each causal set `removed` there, replicate each claim."""
    counts_as = dict(first.concepts[["concept", "counts_as"]].itertuples(index=False, name=None))
    return tuple(_outcome(claim, counts_as, again, removed) for claim in claims)


def _outcome(
    claim: Claim, counts_as: Mapping[str, str], again: Dissection, removed: Mapping[Claim, Estimate]
) -> Outcome:
    if claim.kind == ClaimKind.LABEL:
        return _label_again(claim, counts_as, again)
    if claim.kind == ClaimKind.CAUSAL_SET:
        return _above(removed.get(claim, UNKNOWN), claim.bound)
    if again.artifacts is None:
        return Outcome(UNKNOWN, None)
    if claim.kind == ClaimKind.REPAIR:
        return _above(_change(again.artifacts, EditedSet.MARKED, len(claim.units)), 0.0)
    return _above(_estimate(again.artifacts.units.set_index("unit").loc[claim.units[0]], "measured_effect"), 0.0)


def _above(value: Estimate, bound: float) -> Outcome:
    """Replicated if the whole interval is above the bound; untested without an interval."""
    return Outcome(value, None if isnan(value[1]) else value[1] > bound)


def _label_again(claim: Claim, counts_as: Mapping[str, str], again: Dissection) -> Outcome:
    tested = again.concepts.loc[again.concepts["tested"].astype(bool)]
    known = tested[(tested["concept"] == claim.concept) & (tested["category"] == claim.category)]
    if not len(known):
        return Outcome(UNKNOWN, None)
    layer = again.layer(claim.layer)
    unit = claim.units[0]
    labels = layer.labels[(layer.labels["unit"] == unit) & (layer.labels["category"] == claim.category)]
    same = any(_same(claim.concept, str(row.concept), counts_as) and row.interpretable for row in labels.itertuples())
    pairs = layer.pairs[(layer.pairs["unit"] == unit) & (layer.pairs["concept"] == claim.concept)]
    named = labels[labels["concept"] == claim.concept]
    rows = pairs if len(pairs) else named
    return Outcome(_estimate(rows.iloc[0], "corrected_iou") if len(rows) else UNKNOWN, bool(same))


def _same(one: str, other: str, counts_as: Mapping[str, str]) -> bool:
    return counts_as.get(one, one) == counts_as.get(other, other)


def stored(claims: tuple[Claim, ...], outcomes: tuple[Outcome, ...], again: Dissection) -> ReplicatedClaims:
    """The claims and their outcomes, as they are stored."""
    known = {None: -1, False: 0, True: 1}
    return ReplicatedClaims(
        words=np.array([claim.words for claim in claims], str).reshape(-1, len(WORDS)),
        figures=np.array([(*claim.value, *o.value) for claim, o in zip(claims, outcomes, strict=True)], np.float64),
        replicated=np.array([known[outcome.replicated] for outcome in outcomes], np.int64),
        digest=digest(claims),
        seed=again.provenance.seed,
        samples=again.provenance.samples,
        segmenter=str(again.provenance.segmenter["name"]),
        features="" if again.artifacts is None else again.artifacts.features,
    )


def replication(kept: ReplicatedClaims, dissection: Dissection) -> Replication:
    """The second measurement of a run that was kept."""
    words = pd.DataFrame(kept.words, columns=list(WORDS))
    figures = pd.DataFrame(kept.figures, columns=list(FIGURES))
    said = np.array(["no", "yes", "untested"])[kept.replicated]
    return Replication(
        claims=pd.concat([words, figures], axis=1).assign(replicated=said),
        digest=kept.digest,
        is_current=digest(claims_of(dissection)) == kept.digest,
        seed=kept.seed,
        samples=kept.samples,
        segmenter=kept.segmenter,
        features=kept.features,
    )
