"""The segmenter: its segmentations of example images, and how confident it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dissectreport.analysis.results.dissection import Dissection, TrustSource
from dissectreport.report.common.model import Pairs, Site, cards, core, rows_of
from dissectreport.report.html.concepts import NamedConcept
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.images import leading_labels, tile_width
from dissectreport.report.html.numbers import count


@dataclass(frozen=True)
class ConceptShare:
    """A concept's colour in an overlay, with the share of the image that it covers."""

    concept: str
    colour: str
    share: float


@dataclass(frozen=True)
class Seen:
    """One image as the segmenter sees it."""

    picture: str
    overlay: str
    certainty: str
    """'' where the segmenter has no confidence to show."""
    mean: float
    shades: tuple[ConceptShare, ...]
    alt: str


@dataclass(frozen=True)
class TrustGroup:
    """Images of one kind."""

    source: TrustSource
    words: str
    origin: str
    """Which folder they come from; '' where there is none."""
    mean: float
    width: int
    """Of an image, in pixels."""
    seen: tuple[Seen, ...]
    doubts: bool
    """Whether the segmenter gives a confidence; a rule does not."""


@dataclass(frozen=True)
class Accuracy:
    """How well the segmenter segments a concept where the ground truth is known."""

    concept: NamedConcept
    href: str
    iou: float
    area: float


@dataclass(frozen=True)
class TrustPage:
    """How reliable the segmenter is."""

    frame: Frame
    model: str
    segmenter: str
    card: Pairs
    cards: tuple[tuple[str, Pairs], ...]
    groups: tuple[TrustGroup, ...]
    accuracy: tuple[Accuracy, ...]
    """Concepts by rising held-out IoU."""
    unknown: tuple[str, ...]
    """Concepts without an accuracy in its card."""
    held_out: str
    """The images behind the accuracy, in its card's words."""
    reads: bool
    """Whether the images are read, not generated."""
    real: str
    """Where real and generated images are compared; '' without real images."""


SOURCES = {
    TrustSource.TRAINING_LIKE: "Images like those the generator was trained on",
    TrustSource.REAL: "Real images",
    TrustSource.GENERATED: "Generated images",
    TrustSource.READ: "Images that the network reads",
    TrustSource.ABLATED: "Generated images with the units of a concept ablated",
}
KINDS: Mapping[str, str] = {TrustSource.TRAINING_LIKE: "reference image", TrustSource.READ: "image"}
"""What one of them is called, where that is not its source."""


def origin(folder: Mapping[str, Any], shown: int) -> str:
    """A sentence about the folder from which so many images are shown; '' without one."""
    if not folder:
        return ""
    similar = folder.get("similar", 0)
    left_out = f"; {count(folder['unreadable'])} could not be read" if folder["unreadable"] else ""
    left_out += f"; {count(similar)} near-duplicates were left out" if similar else ""
    return f"{count(shown)} of {count(folder['images'])} images of the folder {folder['folder']}{left_out}."


def trust_page(site: Site, colours: np.ndarray[Any, Any]) -> TrustPage:
    """Segmentations and confidence on every kind of images that there is."""
    dissection, places = site.dissection, site.places
    segmenter = dissection.provenance.segmenter
    frame = site.frame(
        places.page("trust"),
        f"The segmenter · {dissection.title}",
        "Segmentations of example images, and how confident the segmenter is.",
        current="segmenter",
    )
    return TrustPage(
        frame=frame,
        model=dissection.title,
        segmenter=str(segmenter.get("name", "")),
        card=core(segmenter),
        cards=cards("segmenter", segmenter),
        groups=tuple(_group(site, frame, number, colours) for number in range(len(dissection.trust))),
        accuracy=_accuracy(site, frame),
        unknown=tuple(str(row.concept) for row in rows_of(dissection.concepts) if math.isnan(row.segmenter_iou)),
        held_out=str(segmenter.get("card", {}).get("held_out", "")),
        reads=bool(dissection.provenance.reads),
        real=frame.to(places.page("real")) if dissection.reality is not None else "",
    )


def _group(site: Site, frame: Frame, number: int, colours: np.ndarray[Any, Any]) -> TrustGroup:
    """The images of one kind."""
    provenance, trust = site.dissection.provenance, site.dissection.trust[number]
    folder = {TrustSource.REAL: provenance.reference, TrustSource.READ: provenance.reads}.get(trust.source, {})
    return TrustGroup(
        source=trust.source,
        words=SOURCES.get(trust.source, trust.source),
        origin=origin(folder, len(trust.images)),
        mean=_mean(trust.confidence) if len(trust.images) else math.nan,
        width=tile_width(trust.images),
        seen=tuple(_seen(site, frame, number, at, colours) for at in range(len(trust.images))),
        doubts=trust.doubts,
    )


def _seen(site: Site, frame: Frame, number: int, at: int, colours: np.ndarray[Any, Any]) -> Seen:
    """One image of a group."""
    trust = site.dissection.trust[number]
    plain, overlay, certainty = (
        frame.to(site.places.image(f"trust-{number}-{at}-{kind}")) for kind in ("plain", "seen", "sure")
    )
    shades = _shades(site.dissection, trust.labels[at], colours)
    kind = KINDS.get(trust.source, f"{trust.source} image")
    concepts = ", ".join(s.concept for s in shades) or "nothing"
    return Seen(
        picture=plain,
        overlay=overlay,
        certainty=certainty if trust.doubts else "",
        mean=_mean(trust.confidence[at]),
        shades=shades,
        alt=f"{kind} {at + 1} of {len(trust.images)}: {concepts}",
    )


def _mean(confidence: np.ndarray[Any, Any]) -> float:
    return float(confidence.astype(np.float64).mean())


def _accuracy(site: Site, frame: Frame) -> tuple[Accuracy, ...]:
    concepts = site.dissection.concepts
    known = concepts[concepts["segmenter_iou"].notna()].sort_values("segmenter_iou", kind="stable")
    return tuple(
        Accuracy(
            NamedConcept.of(row),
            site.concept_href(frame, str(row.concept)),
            float(row.segmenter_iou),
            float(row.area),
        )
        for row in rows_of(known)
    )


def _shades(
    dissection: Dissection, labels: np.ndarray[Any, Any], colours: np.ndarray[Any, Any]
) -> tuple[ConceptShare, ...]:
    number, pixels = np.unique(leading_labels(labels), return_counts=True)
    order = [i for i in np.argsort(-pixels, kind="stable") if number[i] > 0][:8]
    names = dissection.vocabulary["concept"]
    return tuple(
        ConceptShare(str(names.iloc[number[i]]), "#" + bytes(colours[number[i]]).hex(), float(pixels[i] / pixels.sum()))
        for i in order
    )
