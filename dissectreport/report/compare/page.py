"""The fixed page that compares chosen models: one file with everything in it, complete without scripts."""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dissectreport.errors import OutputError
from dissectreport.report.common.sharing import first_card
from dissectreport.report.compare.arrangement import ComparedModels, Member
from dissectreport.report.compare.chart_tables import (
    ChartWithTable,
    Table,
    causes_chart,
    concepts_charts,
    depth_charts,
    heaps_chart,
    quality_table,
    trend_charts,
)
from dissectreport.report.compare.model_parts import BestPart
from dissectreport.report.compare.sentences import Sentence
from dissectreport.report.compare.site_axes import axes_of
from dissectreport.report.compare.texts import Texts
from dissectreport.report.html.assets import load_assets, style_alone
from dissectreport.report.html.frame import Frame, frame, published
from dissectreport.report.html.policy import single_policy, theme_script
from dissectreport.vocabulary import Concept

SHOWN_CONCEPTS, SHOWN_IMAGES = 8, 8
"""Concepts whose strongest units the page shows, and images in a row."""

Address = Callable[[str], str]
"""From the address of a file in the site to what the page writes for it."""


@dataclass(frozen=True)
class Model:
    """One of the models that are compared."""

    number: int
    """From 1: its colour and sign."""
    label: str
    href: str
    """'' on a page that does not lie in the site."""
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Statements:
    """Sentences under one heading."""

    about: str
    """'' where there is only one pair."""
    sentences: tuple[Sentence, ...]
    pairing: str = ""


@dataclass(frozen=True)
class BestUnit:
    """A model's strongest unit for a concept."""

    number: int
    label: str
    words: str
    href: str
    strip: str
    width: int
    """Of the strip, in pixels."""
    best: BestPart | None
    plain: tuple[tuple[str, str], ...] = ()
    """Its images without masks, with alternative texts, where no latents correspond."""


@dataclass(frozen=True)
class BestOf:
    """A concept, and the strongest unit for it in each model."""

    concept: str
    category: str
    mark: str
    units: tuple[BestUnit, ...]


@dataclass(frozen=True)
class Images:
    """Images of one model, as wide as those of the others."""

    number: int
    label: str
    pictures: tuple[tuple[str, str], ...]
    """Address and alternative text."""


@dataclass(frozen=True)
class ComparisonPage:
    """Models side by side."""

    frame: Frame
    title: str
    texts: Texts
    models: tuple[Model, ...]
    warnings: tuple[str, ...]
    summary: tuple[Statements, ...]
    concepts: tuple[ChartWithTable, ...]
    depth: tuple[ChartWithTable, ...]
    trend: tuple[ChartWithTable, ...]
    heaps: ChartWithTable
    causes: ChartWithTable | None
    quality: Table | None
    quality_words: str
    best: tuple[BestOf, ...]
    plainly: bool
    """Whether the best units' images are shown again below, because no latents correspond."""
    left_out: int
    """Concepts whose best units are not shown."""
    latents: tuple[int, ...]
    """Numbers of the images below; none where they come from different latents."""
    images: tuple[Images, ...]
    live: str
    """The address of the same choice in the browser; '' where that is not at hand."""


def comparison_page(
    subject: ComparedModels, here: str, picture: Address, inside: bool, base_url: str = "", card: str = ""
) -> ComparisonPage:
    """The page for a choice of models.

    `here` is its address from the top of the site, `picture` gives an image's address, and only a page `inside` the
    site has links to the models' own pages, and full addresses where `base_url` is the address of the site.
    """
    title = f"{subject.labels[0]} against {', '.join(subject.labels[1:])}"
    around = _alone(here, title, inside)
    around = published(around, base_url, card) if inside else around
    to = around.to if inside else lambda address: ""
    axes = axes_of(subject.site.scales)
    best, left_out = _best(subject, picture, to)
    latents, images = _images(subject, picture)
    return ComparisonPage(
        frame=around,
        title=title,
        texts=Texts(),
        models=_models(subject, to),
        warnings=_warnings(subject),
        summary=_summary(subject),
        concepts=concepts_charts(subject, axes),
        depth=depth_charts(subject, axes),
        trend=trend_charts(subject, axes),
        heaps=heaps_chart(subject, axes),
        causes=causes_chart(subject, axes),
        quality=quality_table(subject),
        quality_words=_quality_words(subject),
        best=best,
        plainly=not subject.images_correspond,
        left_out=left_out,
        latents=latents,
        images=images,
        live=f"{to('compare.html')}#{address_of(subject)}" if inside else "",
    )


def address_of(subject: ComparedModels) -> str:
    """The choice as the live page keeps it after the #."""
    return "&".join(f"m={member.sited.home}/{member.folder}" for member in subject.members)


def _alone(here: str, title: str, inside: bool) -> Frame:
    """Surroundings that need no other file."""
    assets, files = load_assets()
    around = frame(here, title, "Image generators compared: what their units mean.", assets)
    style, scripts = style_alone().decode(), (files[assets.site].decode(),)
    return replace(
        around,
        home=around.home if inside else "#main",
        style="",
        favicon="",
        icon=data_address("image/svg+xml", files[assets.icon]),
        plotly="",
        scripts=(),
        policy=single_policy((theme_script(), *scripts), (style,)),
        inline_style=style,
        inline_scripts=scripts,
    )


def data_address(kind: str, content: bytes) -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _models(subject: ComparedModels, to: Address) -> tuple[Model, ...]:
    models = []
    for member in subject.members:
        (model, *rest), layer = member.model.facts, ("layer", f"{member.profile.name}, {member.layer.fact}")
        href = to(f"{member.sited.home}/index.html")
        models.append(Model(member.place + 1, member.label, href, (model, layer, *rest)))
    return tuple(models)


def _warnings(subject: ComparedModels) -> tuple[str, ...]:
    """What makes the models hard to compare, and what their own pages warn of, each once."""
    notes = dict.fromkeys(note for member in subject.members for note in member.model.notes)
    having = {note: [m.label for m in subject.members if note in m.model.notes] for note in notes}
    pairs = dict.fromkeys(words for against in subject.against for words in against.warnings)
    return (*pairs, *(f"{', '.join(labels)}: {note}" for note, labels in having.items()))


def _summary(subject: ComparedModels) -> tuple[Statements, ...]:
    several, texts = len(subject.members) > 2, Texts()
    groups = [Statements("", tuple(member.layer.sentence for member in subject.members))]
    for against in subject.against:
        about = texts.pair_heading.format(other=against.member.label, first=subject.labels[0]) if several else ""
        groups.append(Statements(about, against.sentences, against.models.pairing))
    if subject.training is not None:
        groups.append(Statements(texts.trend, (subject.training,)))
    return tuple(group for group in groups if group.sentences)


def _quality_words(subject: ComparedModels) -> str:
    """By what features, and how many images, the quality of each model was measured; once where all are alike."""
    by: dict[str, list[str]] = {}
    for member in subject.members:
        if member.model.quality is not None:
            by.setdefault(member.model.quality.features, []).append(member.label)
    return " ".join(f"{', '.join(labels)}: {features}." for features, labels in by.items())


def _best(subject: ComparedModels, picture: Address, to: Address) -> tuple[tuple[BestOf, ...], int]:
    """Strongest units for the concepts that differ significantly, then for those with most units."""
    different = {c for c in subject.concepts if any(a.concept(c)[1] for a in subject.against)}
    ranked = sorted(subject.concepts, key=lambda concept: (concept not in different, -subject.share(concept)))
    marks = {concept: mark for concept, mark, *_ in subject.first.model.concepts}
    shown = tuple(
        BestOf(c.name, c.category, marks[c], tuple(_best_unit(subject, m, c, picture, to) for m in subject.members))
        for c in ranked[:SHOWN_CONCEPTS]
    )
    return shown, len(ranked) - len(shown)


def _best_unit(subject: ComparedModels, member: Member, concept: Concept, picture: Address, to: Address) -> BestUnit:
    best, layer, sited = member.layer.best.get(concept), member.profile.name, member.sited
    number, label, texts = member.place + 1, member.label, Texts()
    if best is None:
        return BestUnit(number, label, texts.no_unit_in.format(layer=layer), "", "", 0, None)
    numbers = () if subject.images_correspond else [n for n in best.samples if n in member.model.pictures]
    return BestUnit(
        number=number,
        label=label,
        words=texts.unit_name.format(layer=layer, unit=best.unit),
        href=to(sited.card(layer, best.unit)),
        strip=picture(sited.strip(layer, best.unit)),
        width=member.model.strip_width,
        best=best,
        plain=tuple((picture(sited.picture(n)), texts.image_name.format(label=label, number=n)) for n in numbers),
    )


def _images(subject: ComparedModels, picture: Address) -> tuple[tuple[int, ...], tuple[Images, ...]]:
    """The same latents' images of the first model and others of its training; nothing where there are none."""
    members = subject.with_same_images
    if len(members) < 2:
        return (), ()
    common = [n for n in subject.first.model.pictures if all(n in m.model.pictures for m in members)][:SHOWN_IMAGES]
    rows = tuple(
        Images(
            m.place + 1,
            m.label,
            tuple((picture(m.sited.picture(n)), Texts().image_name.format(label=m.label, number=n)) for n in common),
        )
        for m in members
    )
    return tuple(common), rows if common else ()


def read_picture(out: Path, address: str) -> str:
    """A picture of the site as an address that holds it."""
    try:
        return data_address("image/webp", (out / address).read_bytes())
    except OSError as error:
        raise OutputError(f"{out / address} is missing; render that model again ({error.strerror})") from error


def page_of(out: Path, subject: ComparedModels, file: Path, base_url: str = "") -> ComparisonPage:
    """The page for a choice, to be written to `file`; links lead to the site at `out` where the file lies within."""
    try:
        here = file.resolve().relative_to(out.resolve()).as_posix()
    except ValueError:
        return comparison_page(subject, "page.html", partial(read_picture, out), False)
    card = first_card(out, [member.sited.home for member in subject.members])
    return comparison_page(subject, posixpath.normpath(here), partial(read_picture, out), True, base_url, card)
