"""The pictures of interventions as a page shows them: addresses, areas and what each image is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dissectreport.analysis.results.interventions import Ablated, ConceptPictures, Interventions
from dissectreport.report.causes.image_files import concept_number
from dissectreport.report.causes.summary import Studied
from dissectreport.report.common.model import Site
from dissectreport.report.html import images
from dissectreport.report.html.frame import Frame


@dataclass(frozen=True)
class ConceptChange:
    """A concept's colour in the segmentation, and its share of an image before and after."""

    concept: str
    colour: str
    before: float
    after: float


@dataclass(frozen=True)
class AblatedImage:
    """One image with and without units."""

    sample: int
    before: str
    after: str
    difference: str
    seen: str
    unseen: str
    area_before: float
    area_after: float
    shades: tuple[ConceptChange, ...]


@dataclass(frozen=True)
class Insertion:
    """One image with and without units inserted at one patch."""

    sample: int
    before: str
    after: str
    box: str
    """The position of the patch, as CSS."""
    context: str
    gain: int


@dataclass(frozen=True)
class HeatMap:
    """One image, and the predicted effect of inserting units into each of its cells."""

    sample: int
    picture: str
    overlay: str


def area_of(labels: np.ndarray[Any, Any], number: int) -> float:
    """Share of an image's pixels that show a concept: (slots, h, w) concept numbers; NaN for a concept without one."""
    return float((labels == number).any(0).mean()) if number else math.nan


def areas_lost(ablated: Ablated, number: int) -> list[float]:
    """For each image the share of its pixels that show a concept without the edit, minus that with it."""
    pairs = zip(ablated.labels_before, ablated.labels_after, strict=True)
    return [area_of(before, number) - area_of(after, number) for before, after in pairs]


def with_and_without(site: Site, frame: Frame, concept: str, ablated: Ablated) -> tuple[AblatedImage, ...]:
    """The images of a concept with and without the ablated units."""
    places, number = site.places, concept_number(site, concept)
    colours = images.concept_colours(site.dissection.vocabulary)
    rows = []
    for i, sample in enumerate(ablated.samples.tolist()):
        seen, unseen = ablated.labels_before[i], ablated.labels_after[i]
        off, difference, shown, gone = (
            frame.to(places.changed(concept, i, kind)) for kind in ("off", "difference", "seen", "unseen")
        )
        rows.append(
            AblatedImage(
                sample=int(sample),
                before=frame.to(places.original(int(sample))),
                after=off,
                difference=difference,
                seen=shown,
                unseen=gone,
                area_before=area_of(seen, number),
                area_after=area_of(unseen, number),
                shades=_shades(site, number, seen, unseen, colours),
            )
        )
    return tuple(rows)


def most_changed(rows: Sequence[AblatedImage]) -> int:
    """Which image loses most of the concept's area; the first without any."""
    lost = [row.area_before - row.area_after for row in rows]
    return int(np.argmax(np.nan_to_num(lost))) if lost else 0


def _shades(
    site: Site,
    number: int,
    seen: np.ndarray[Any, Any],
    unseen: np.ndarray[Any, Any],
    colours: images.Bytes,
    most: int = 6,
) -> tuple[ConceptChange, ...]:
    """The concept and the most others that cover an image, before or after, in the colours of the picture."""
    names = site.dissection.vocabulary["concept"].tolist()
    before, after = (
        np.bincount(images.leading_labels(labels, number).reshape(-1), minlength=len(names)) / labels[0].size
        for labels in (seen, unseen)
    )
    covered = np.maximum(before, after)
    covered[0] = 0.0
    ranking = [i for i in np.argsort(-covered, kind="stable").tolist() if covered[i] > 0.005 and i != number]
    chosen = ([number] if number else []) + ranking[: most - 1]
    return tuple(
        ConceptChange(names[i], "#" + bytes(colours[i]).hex(), float(before[i]), float(after[i])) for i in chosen
    )


def insertions(site: Site, frame: Frame, concept: str, pictures: ConceptPictures) -> tuple[Insertion, ...]:
    """The images of a concept with and without units inserted at one patch."""
    inserted = pictures.inserted
    rows = []
    for i, sample in enumerate(inserted.samples.tolist()):
        top, left, height, width = (100 * float(v) for v in inserted.patches[i])
        rows.append(
            Insertion(
                sample=int(sample),
                before=frame.to(site.places.original(int(sample))),
                after=frame.to(site.places.changed(concept, i, "on")),
                box=f"top:{top:.2f}%;left:{left:.2f}%;height:{height:.2f}%;width:{width:.2f}%",
                context=str(inserted.contexts[i]) or "nothing",
                gain=int(inserted.gains[i]),
            )
        )
    return tuple(rows)


def heat_maps(site: Site, frame: Frame, concept: str, pictures: ConceptPictures) -> tuple[HeatMap, ...]:
    """The images of a concept, and the predicted effect of inserting its units."""
    return tuple(
        HeatMap(
            int(sample),
            frame.to(site.places.original(int(sample))),
            frame.to(site.places.changed(concept, i, "heat", "png")),
        )
        for i, sample in enumerate(pictures.heat.samples.tolist())
    )


def strongest_pair(site: Site, interventions: Interventions, frame: Frame, studied: Studied) -> tuple[str, str, int]:
    """The image of a concept that loses most of it: before, after, and its number; ('', '', 0) without images."""
    pictures, number = interventions.pictures.get(studied.concept.name), concept_number(site, studied.concept.name)
    if pictures is None or not len(pictures.ablated.samples):
        return "", "", 0
    ablated = pictures.ablated
    lost = [
        area_of(b, number) - area_of(a, number)
        for b, a in zip(ablated.labels_before, ablated.labels_after, strict=True)
    ]
    i = int(np.argmax(np.nan_to_num(lost)))
    sample = int(ablated.samples[i])
    off = frame.to(site.places.changed(studied.concept.name, i, "off"))
    return frame.to(site.places.original(sample)), off, sample
