"""The page of artifact units: whether repair helps, the list, the worst images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dissectreport.analysis.results.artifacts import CHOICE, RULE, Artifacts, Repaired
from dissectreport.analysis.results.dissection import Layer
from dissectreport.report.artifacts.summary import (
    NAMES,
    QualityRow,
    activation,
    curves,
    downloads,
    figure_of,
    listed_sentence,
    quality_rows,
    repair_beside_list,
    reviewed_sentence,
    sentence,
)
from dissectreport.report.causes.summary import point_of
from dissectreport.report.common import commands
from dissectreport.report.common.model import Pairs, Site, flat, rows_of
from dissectreport.report.common.unit_cards import Card, card, strip_size
from dissectreport.report.html import effect_charts as causal_charts
from dissectreport.report.html import images
from dissectreport.report.html.charts import Point
from dissectreport.report.html.frame import Frame

CARDS = 12
"""Units that are shown by their images."""


@dataclass(frozen=True)
class Suspect:
    """A unit that was ablated by itself."""

    card: Card
    place: int
    turn: int
    """Place among those that a repair may ablate; 0 for others."""
    role: str
    artifact: bool
    images: int
    """Testing latents on which it was."""
    exact: Point
    share: float
    q: float
    beyond: Point
    estimate: float
    images_on: float
    ratio: float
    frechet: Point
    """Of the images that excite it most; low and high are the ends of the random subsets."""


@dataclass(frozen=True)
class Shown:
    """An image before and after the edit that is shown."""

    sample: int
    before: str
    after: str
    heat: str
    near: float
    nearer: float
    on: tuple[str, ...]
    """Suspected units that are on in it."""


@dataclass(frozen=True)
class ArtifactsPage:
    """Artifact units and repair."""

    frame: Frame
    command: str
    """The command that makes repaired images."""
    found: Artifacts
    layer: str
    layer_href: str
    units: int
    answer: str
    listed: str
    beside_list: str
    """Where the repair's units are not the listed ones; '' where they are."""
    reviewed: str
    weighed: tuple[Any, ...]
    """By size of the repair what became of the kernel distance on the latents that choose one."""
    activation: str
    """How strong the units of random sets are beside the worst ones."""
    before: Point
    after: Point
    change: Point
    real: Point
    measures: tuple[str, ...]
    rows: tuple[QualityRow, ...]
    chart: Markup
    curves: tuple[causal_charts.Curve, ...]
    counts: tuple[int, ...]
    suspects: tuple[Suspect, ...]
    cards: tuple[Suspect, ...]
    per_strip: int
    agreement: Any
    worst: tuple[Shown, ...]
    random: tuple[Shown, ...]
    rule: str
    choice: str
    settings: Pairs
    downloads: tuple[tuple[str, str, str], ...]
    review: str
    edits: str
    """Where the repair is, as a file; '' where none is recommended."""
    edits_marked: str
    """The same of the units that a person marked; '' where none were."""
    preference: str
    """Where images before and after are compared blindly."""


def artifacts_page(site: Site, found: Artifacts) -> ArtifactsPage:
    """Whether repair helps, which units are suspected, and the worst images."""
    layer = next(one for one in site.dissection.layers if one.name == found.layer)
    around = site.frame(
        site.places.page("artifacts"),
        f"Artifact units · {site.dissection.title}",
        f"Units of {layer.name} that keep images away from real ones, and what turning them off does.",
        current="artifacts",
    )
    measures, rows = quality_rows(found)
    suspects = _suspects(site, found, around, layer)
    listed = tuple(one for one in suspects if one.artifact)
    listed = listed or tuple(one for one in suspects if one.card.unit in found.shown)
    drawn = curves(found)
    before, after = figure_of(found, "before", 0), figure_of(found, *_leading(found))
    return ArtifactsPage(
        frame=around,
        command=commands.repairing(site.dissection, "edits.json"),
        found=found,
        layer=layer.name,
        layer_href=around.to(site.places.layer(layer.name)),
        units=layer.units,
        answer=sentence(found, layer),
        listed=listed_sentence(found),
        beside_list=repair_beside_list(found),
        reviewed=reviewed_sentence(found),
        weighed=tuple(rows_of(found.choice)),
        activation=activation(found.curve[found.curve["set"] == "random"]),
        before=before.value,
        after=after.value,
        change=after.change,
        real=figure_of(found, "real", 0).value,
        measures=tuple(NAMES[name] for name in measures),
        rows=rows,
        chart=Markup()
        if not drawn
        else causal_charts.removal_curves(
            "chart-repair",
            "How much of the kernel distance goes with how many units",
            "Share of the kernel distance to real images that goes, against the number of worst units that are off,"
            " with 95 % bands; grey, random units. The table below has the numbers.",
            [cut_off(curve) for curve in drawn],
        ),
        curves=drawn,
        counts=tuple(sorted({n for curve in drawn for n in curve.units})),
        suspects=suspects,
        cards=listed[:CARDS],
        per_strip=strip_size(layer),
        agreement=rows_of(found.agreement)[0],
        worst=_shown(site, found, around, "worst", found.worst),
        random=_shown(site, found, around, "random", found.random),
        rule=RULE,
        choice=CHOICE,
        settings=flat(found.settings),
        downloads=downloads(site, around, layer),
        review=around.to(site.places.review(layer.name)),
        edits=around.to(site.places.edits) if found.chosen else "",
        edits_marked=around.to(site.places.edits_marked) if found.reviewed else "",
        preference=around.to(site.places.page("preference")),
    )


def cut_off(curve: causal_charts.Curve, least: float = -0.6) -> causal_charts.Curve:
    """The curve as it is drawn: random units can do harm without bound."""
    points = (Point(*(max(value, least) for value in (p.value, p.low, p.high))) for p in curve.points)
    return causal_charts.Curve(curve.order, curve.units, tuple(points))


def _leading(found: Artifacts) -> tuple[str, int]:
    """The set of images that the page's figures are of: the repair's, or as the model makes them."""
    return ("worst", found.chosen) if found.chosen else ("before", 0)


def _suspects(site: Site, found: Artifacts, around: Frame, layer: Layer) -> tuple[Suspect, ...]:
    """Every unit that was tested, worst first."""
    table, rows = rows_of(layer.table), {int(row.unit): row for row in rows_of(found.units)}
    turns = {unit: number for number, unit in enumerate(found.candidates, 1)}
    return tuple(
        Suspect(
            card=card(site, around, layer, table[unit]),
            place=int(row.place),
            turn=turns.get(unit, 0),
            role=str(row.role),
            artifact=bool(row.artifact),
            images=int(row.tested_images),
            exact=point_of(row, "exact"),
            share=float(row.share),
            q=float(row.q),
            beyond=point_of(row, "beyond"),
            estimate=float(row.estimate),
            images_on=float(row.images_on),
            ratio=float(row.frechet_ratio),
            frechet=Point(float(row.frechet), float(row.frechet_random_low), float(row.frechet_random_high)),
        )
        for unit, row in ((unit, rows[unit]) for unit in found.order)
    )


def _shown(site: Site, found: Artifacts, around: Frame, kind: str, held: Repaired) -> tuple[Shown, ...]:
    near = {int(row.sample): row for row in rows_of(found.images) if row.kind == kind}
    return tuple(
        Shown(
            sample,
            around.to(site.places.repaired(kind, i, "before")),
            around.to(site.places.repaired(kind, i, "after")),
            around.to(site.places.repaired(kind, i, "heat", "png")),
            float(near[sample].before),
            float(near[sample].after),
            tuple(str(near[sample].on).split()),
        )
        for i, sample in enumerate(held.samples.tolist())
    )


@dataclass(frozen=True)
class RepairTeaser:
    """What the model's first page tells of artifact units."""

    answer: str
    listed: str
    href: str
    before: str
    after: str
    sample: int


def repair_teaser(site: Site, around: Frame) -> RepairTeaser | None:
    """The worst image before and after; None where nothing was looked for."""
    found = site.dissection.artifacts
    if found is None:
        return None
    layer = next(one for one in site.dissection.layers if one.name == found.layer)
    first = _shown(site, found, around, "worst", found.worst)[0]
    href = around.to(site.places.page("artifacts"))
    return RepairTeaser(sentence(found, layer), listed_sentence(found), href, first.before, first.after, first.sample)


def artifact_images(site: Site) -> dict[str, bytes]:
    """Every picture of the page of artifact units, by its address from the top of the site."""
    found = site.dissection.artifacts
    if found is None:
        return {}
    files: dict[str, bytes] = {}
    limit = float(max(held.heat.max(initial=0) for held in (found.worst, found.random)))
    for kind, held in (("worst", found.worst), ("random", found.random)):
        for i in range(len(held.samples)):
            files[site.places.repaired(kind, i, "before")] = images.webp(images.picture(held.before[i]), quality=84)
            files[site.places.repaired(kind, i, "after")] = images.webp(images.picture(held.after[i]), quality=84)
            files[site.places.repaired(kind, i, "heat", "png")] = images.heat(held.heat[i], limit)
    return files
