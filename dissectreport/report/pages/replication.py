"""The page of a second measurement: which claims of the run replicate on new latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dissectreport.analysis.results.replication import MEASURES, RULES, ClaimKind, Replication
from dissectreport.report.common.model import Site, rows_of
from dissectreport.report.html.charts import Point
from dissectreport.report.html.frame import Frame
from dissectreport.stats.shares import wilson

SHOWN = 200
"""Claims of a kind that the page lists, those that were not replicated first; the download has all."""


@dataclass(frozen=True)
class ClaimRow:
    """One claim and what the second measurement found."""

    layer: str
    units: str
    concept: str
    first: Point
    again: Point
    replicated: str


@dataclass(frozen=True)
class ClaimGroup:
    """The claims of one kind."""

    kind: str
    measure: str
    rule: str
    claims: int
    tested: int
    replicated: int
    share: Point
    rows: tuple[ClaimRow, ...]


@dataclass(frozen=True)
class ReplicationPage:
    """The claims of a run, measured again."""

    frame: Frame
    model: str
    replication: Replication
    seed: int
    segmenter: str
    """That of the run itself."""
    groups: tuple[ClaimGroup, ...]
    csv: str
    json: str


def replication_page(site: Site, replication: Replication) -> ReplicationPage:
    """The page of a model."""
    dissection, places = site.dissection, site.places
    title = f"Replication · {dissection.title}"
    frame = site.frame(
        places.page("replication"), title, f"Which claims about {dissection.title} replicate on new latents."
    )
    claims = replication.claims
    kinds = [kind for kind in ClaimKind if (claims["claim"] == kind).any()]
    return ReplicationPage(
        frame=frame,
        model=dissection.title,
        replication=replication,
        seed=dissection.provenance.seed,
        segmenter=str(dissection.provenance.segmenter["name"]),
        groups=tuple(_group(kind, claims[claims["claim"] == kind]) for kind in kinds),
        csv=frame.to(places.data("replication", "csv")),
        json=frame.to(places.data("replication", "json")),
    )


def _group(kind: ClaimKind, claims: Any) -> ClaimGroup:
    held, tested = int((claims["replicated"] == "yes").sum()), int((claims["replicated"] != "untested").sum())
    share = Point(held / tested if tested else float("nan"), *wilson(held, tested))
    order = claims["replicated"].map({"no": 0, "untested": 1, "yes": 2}).sort_values(kind="stable").index
    rows = tuple(map(_row, rows_of(claims.loc[order].head(SHOWN))))
    return ClaimGroup(f"{kind}s", MEASURES[kind], RULES[kind], len(claims), tested, held, share, rows)


def _row(row: Any) -> ClaimRow:
    return ClaimRow(
        layer=str(row.layer),
        units=str(row.claim_units).replace(" ", ", "),
        concept=str(row.concept),
        first=Point(row.first, row.first_low, row.first_high),
        again=Point(row.again, row.again_low, row.again_high),
        replicated=str(row.replicated),
    )
