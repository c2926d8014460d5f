"""The page of artifact units: whether repair helps, the list, the worst images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dissectreport.analysis.results.artifacts import CHOICE, RULE, Artifacts, EditedSet, Repaired
from dissectreport.analysis.results.dissection import Layer
from dissectreport.report.artifacts.summary import (
    QualityRow,
    activation,
    curves,
    downloads,
    figure_of,
    listed_sentence,
    quality_rows,
    repair_and_listed,
    reviewed_sentence,
    second_sentence,
    sentence,
)
from dissectreport.report.causes.summary import point_of
from dissectreport.report.common import commands
from dissectreport.report.common.model import Pairs, Site, flat, rows_of
from dissectreport.report.common.unit_cards import Card, card, strip_size
from dissectreport.report.common.wording import MEASURE_NAMES
from dissectreport.report.html import images
from dissectreport.report.html.charts import Point
from dissectreport.report.html.effect_charts import Curve, removal_curves
from dissectreport.report.html.frame import Frame

CARDS = 12
"""Units that are shown by their images."""
LARGE = 3
"""Images of each kind that are shown large, with what the repair changes in them."""


@dataclass(frozen=True)
class TestedUnit:
    """A unit that was ablated by itself."""

    card: Card
    effect_rank: int
    turn: int
    """Place among those that a repair may ablate; 0 for others."""
    role: str
    artifact: bool
    images: int
    """Testing latents on which it was."""
    measured_effect: Point
    share: float
    q: float
    difference: Point
    second: Point
    """The decrease of KID in the second feature network; NaN for those that are not scored there."""
    second_q: float
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
    difference: str
    """What the edit changes; '' for images that are shown small."""
    near: float
    nearer: float
    on: tuple[str, ...]
    """Artifact units (or candidates) that are on in it."""


@dataclass(frozen=True)
class RepairSize:
    """The effect of ablating one number of units, on the images that choose a number."""

    units: int
    change: Point
    """Of KID."""
    chosen: bool


@dataclass(frozen=True)
class ArtifactsPage:
    """Artifact units and repair."""

    frame: Frame
    command: str
    """The command that makes repaired images."""
    artifacts: Artifacts
    layer: str
    layer_href: str
    units: int
    answer: str
    listed: str
    second: str
    """What the second feature network says of the artifact units; '' without one."""
    repair_and_listed_note: str
    """Where the repair's units are not the listed ones; '' where they are."""
    reviewed: str
    sizes: tuple[RepairSize, ...]
    """The change of KID by size of the repair, on the latents that choose a size."""
    activation: str
    """The mean activation of random sets relative to the highest-ranked units."""
    before: Point
    after: Point
    change: Point
    real: Point
    measures: tuple[str, ...]
    rows: tuple[QualityRow, ...]
    chart: Markup
    curves: tuple[Curve, ...]
    counts: tuple[int, ...]
    tested_units: tuple[TestedUnit, ...]
    cards: tuple[TestedUnit, ...]
    per_strip: int
    agreement: Any
    worst: tuple[Shown, ...]
    gained: tuple[Shown, ...]
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


def artifacts_page(site: Site, artifacts: Artifacts) -> ArtifactsPage:
    """Whether repair helps, which units are artifact units, and the worst images."""
    layer = site.dissection.layer(artifacts.layer)
    frame = site.frame(
        site.places.page("artifacts"),
        f"Artifact units · {site.dissection.title}",
        f"Units of {layer.name} that cause artifacts, and the effect of ablating them.",
        current="artifact units",
    )
    measures, rows = quality_rows(artifacts)
    tested_units = _tested_units(site, artifacts, frame, layer)
    shares = curves(artifacts)
    before, after = figure_of(artifacts, EditedSet.BEFORE, 0), figure_of(artifacts, *_leading(artifacts))
    return ArtifactsPage(
        frame=frame,
        command=commands.repair_with(site.dissection, "edits.json"),
        artifacts=artifacts,
        layer=layer.name,
        layer_href=frame.to(site.places.layer(layer.name)),
        units=layer.units,
        answer=sentence(artifacts, layer),
        listed=listed_sentence(artifacts),
        second=second_sentence(artifacts),
        repair_and_listed_note=repair_and_listed(artifacts),
        reviewed=reviewed_sentence(artifacts),
        sizes=_sizes(artifacts),
        activation=activation(artifacts.curve[artifacts.curve["set"] == EditedSet.RANDOM]),
        before=before.value,
        after=after.value,
        change=after.change,
        real=figure_of(artifacts, EditedSet.REAL, 0).value,
        measures=tuple(MEASURE_NAMES[name] for name in measures),
        rows=rows,
        chart=_removal_chart(shares),
        curves=shares,
        counts=tuple(sorted({n for curve in shares for n in curve.units})),
        tested_units=tested_units,
        cards=_units_with_images(tested_units, artifacts),
        per_strip=strip_size(layer),
        agreement=rows_of(artifacts.agreement)[0],
        worst=_shown(site, artifacts, frame, EditedSet.WORST, artifacts.worst),
        gained=_shown(site, artifacts, frame, EditedSet.GAINED, artifacts.gained),
        random=_shown(site, artifacts, frame, EditedSet.RANDOM, artifacts.random),
        rule=RULE,
        choice=CHOICE,
        settings=flat(artifacts.settings),
        downloads=downloads(site, frame, layer),
        review=frame.to(site.places.review(layer.name)),
        edits=frame.to(site.places.edits) if artifacts.chosen else "",
        edits_marked=frame.to(site.places.edits_marked) if artifacts.reviewed else "",
        preference=frame.to(site.places.page("preference")),
    )


def _units_with_images(tested: tuple[TestedUnit, ...], artifacts: Artifacts) -> tuple[TestedUnit, ...]:
    """The artifact units; without any, those that the repair's images show."""
    listed = tuple(unit for unit in tested if unit.artifact)
    return (listed or tuple(unit for unit in tested if unit.card.unit in artifacts.shown))[:CARDS]


def _sizes(artifacts: Artifacts) -> tuple[RepairSize, ...]:
    return tuple(
        RepairSize(int(row.units), point_of(row, "change"), bool(row.chosen)) for row in rows_of(artifacts.choice)
    )


def _removal_chart(shares: tuple[Curve, ...]) -> Markup:
    """Nothing where the distance is not above zero."""
    if not shares:
        return Markup()
    return removal_curves(
        "chart-repair",
        "KID by number of ablated units",
        "Share of KID that is removed, against the number of highest-ranked units that are ablated, with 95% bands;"
        " random units in grey. The table below has the numbers.",
        [cut_off(curve) for curve in shares],
    )


def cut_off(curve: Curve, least: float = -0.6) -> Curve:
    """The curve within the range of the chart: random units can increase KID without bound."""
    points = (Point(*(max(value, least) for value in (p.value, p.low, p.high))) for p in curve.points)
    return Curve(curve.ranking, curve.units, tuple(points))


def _leading(artifacts: Artifacts) -> tuple[str, int]:
    """The set of images behind the page's figures: after the repair, or without any edit."""
    return (EditedSet.WORST, artifacts.chosen) if artifacts.chosen else (EditedSet.BEFORE, 0)


def _tested_units(site: Site, artifacts: Artifacts, frame: Frame, layer: Layer) -> tuple[TestedUnit, ...]:
    """Every unit that was tested, worst first."""
    table, rows = rows_of(layer.table), {int(row.unit): row for row in rows_of(artifacts.units)}
    turns = {unit: number for number, unit in enumerate(artifacts.repairable, 1)}
    return tuple(
        TestedUnit(
            card=card(site, frame, layer, table[unit]),
            effect_rank=int(row.effect_rank),
            turn=turns.get(unit, 0),
            role=str(row.role),
            artifact=bool(row.artifact),
            images=int(row.tested_images),
            measured_effect=point_of(row, "measured_effect"),
            share=float(row.share),
            q=float(row.q),
            difference=point_of(row, "difference"),
            second=point_of(row, "second_effect"),
            second_q=float(row.second_q),
            estimate=float(row.estimate),
            images_on=float(row.images_on),
            ratio=float(row.frechet_ratio),
            frechet=Point(float(row.frechet), float(row.frechet_random_low), float(row.frechet_random_high)),
        )
        for unit, row in ((unit, rows[unit]) for unit in artifacts.order)
    )


def _shown(site: Site, artifacts: Artifacts, frame: Frame, kind: str, repaired: Repaired) -> tuple[Shown, ...]:
    near = {int(row.sample): row for row in rows_of(artifacts.images) if row.kind == kind}
    return tuple(
        Shown(
            sample,
            frame.to(site.places.repaired(kind, i, "before")),
            frame.to(site.places.repaired(kind, i, "after")),
            frame.to(site.places.repaired(kind, i, "heat", "png")),
            frame.to(site.places.repaired(kind, i, "difference")) if i < LARGE else "",
            float(near[sample].before),
            float(near[sample].after),
            tuple(str(near[sample].on).split()),
        )
        for i, sample in enumerate(repaired.samples.tolist())
    )


@dataclass(frozen=True)
class RepairTeaser:
    """Artifact units on the model's first page."""

    answer: str
    listed: str
    href: str
    before: str
    after: str
    sample: int


def repair_teaser(site: Site, frame: Frame) -> RepairTeaser | None:
    """The worst image before and after; None where artifact units were not identified."""
    artifacts = site.dissection.artifacts
    if artifacts is None:
        return None
    layer = site.dissection.layer(artifacts.layer)
    first = _shown(site, artifacts, frame, EditedSet.WORST, artifacts.worst)[0]
    href = frame.to(site.places.page("artifacts"))
    return RepairTeaser(
        sentence(artifacts, layer), listed_sentence(artifacts), href, first.before, first.after, first.sample
    )


def artifact_images(site: Site) -> dict[str, bytes]:
    """Every picture of the page of artifact units, by its address from the top of the site."""
    artifacts = site.dissection.artifacts
    if artifacts is None:
        return {}
    files: dict[str, bytes] = {}
    shown = {
        EditedSet.WORST: artifacts.worst,
        EditedSet.GAINED: artifacts.gained,
        EditedSet.RANDOM: artifacts.random,
    }
    limit = float(max(repaired.heat.max(initial=0) for repaired in shown.values()))
    for kind, repaired in shown.items():
        for i in range(len(repaired.samples)):
            files[site.places.repaired(kind, i, "before")] = images.webp(images.picture(repaired.before[i]), quality=84)
            files[site.places.repaired(kind, i, "after")] = images.webp(images.picture(repaired.after[i]), quality=84)
            files[site.places.repaired(kind, i, "heat", "png")] = images.heat(repaired.heat[i], limit)
            if i < LARGE:
                before, after = images.picture(repaired.before[i]), images.picture(repaired.after[i])
                files[site.places.repaired(kind, i, "difference")] = images.difference(before, after)
    return files
