"""The segmenter: what it sees, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dissectreport.analysis.results.dissection import Dissection
from dissectreport.report.common.model import Pairs, Site, cards, core, rows_of
from dissectreport.report.html.category_marks import mark_of
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.images import leading_labels, tile_width
from dissectreport.report.html.numbers import count


@dataclass(frozen=True)
class Shade:
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
    """'' where there are no doubts to show."""
    mean: float
    shades: tuple[Shade, ...]
    alt: str


@dataclass(frozen=True)
class TrustGroup:
    """Images of one kind."""

    source: str
    words: str
    origin: str
    """Which folder they come from; '' where there is none."""
    mean: float
    width: int
    """Of an image, in pixels."""
    seen: tuple[Seen, ...]
    doubts: bool
    """Whether the segmenter is anywhere less than certain; a rule is not."""


@dataclass(frozen=True)
class Found:
    """How well the segmenter finds a concept where the truth is known."""

    concept: str
    category: str
    mark: str
    iou: float
    area: float


@dataclass(frozen=True)
class TrustPage:
    """How far the segmenter can be trusted."""

    frame: Frame
    model: str
    segmenter: str
    card: Pairs
    cards: tuple[tuple[str, Pairs], ...]
    groups: tuple[TrustGroup, ...]
    found: tuple[Found, ...]
    """Concepts by rising held-out IoU."""
    unknown: tuple[str, ...]
    """Concepts of which its card says nothing."""
    held_out: str
    """The images on which it was judged, in its card's words."""
    reads: bool
    """Whether the images are read, not generated."""
    real: str
    """Where real and generated images are compared; '' without real images."""


SOURCES = {
    "drawn": "Images like those the generator was trained on",
    "real": "Real images",
    "generated": "Generated images",
    "read": "Images that the network reads",
}
KINDS = {"drawn": "reference image", "read": "image"}
"""What one of them is called, where that is not its source."""


def origin(folder: Mapping[str, Any], shown: int) -> str:
    """A sentence about the folder from which so many images are shown; '' without one."""
    if not folder:
        return ""
    left_out = f"; {count(folder['unreadable'])} could not be read" if folder["unreadable"] else ""
    return f"{count(shown)} of {count(folder['images'])} images of the folder {folder['folder']}{left_out}."


def trust_page(site: Site, colours: np.ndarray[Any, Any]) -> TrustPage:
    """Overlays and confidence on every kind of images that there is."""
    found, places = site.dissection, site.places
    around = site.frame(
        places.page("trust"),
        f"The segmenter · {found.title}",
        "What the segmenter sees, and how sure it is.",
        current="segmenter",
    )
    folders = {"real": found.provenance.reference, "read": found.provenance.reads}
    groups = []
    for number, trust in enumerate(found.trust):
        seen = []
        for i in range(len(trust.images)):
            stem = f"trust-{number}-{i}"
            plain, overlay, sure = (around.to(places.image(f"{stem}-{k}")) for k in ("plain", "seen", "sure"))
            sure = sure if trust.doubts else ""
            mean = float(trust.confidence[i].astype(np.float64).mean())
            shades = _shades(found, trust.labels[i], colours)
            words = ", ".join(s.concept for s in shades) or "nothing"
            seen.append(
                Seen(
                    plain,
                    overlay,
                    sure,
                    mean,
                    shades,
                    f"{KINDS.get(trust.source, f'{trust.source} image')} {i + 1} of {len(trust.images)}: {words}",
                )
            )
        mean = float(trust.confidence.astype(np.float64).mean()) if len(trust.images) else math.nan
        groups.append(
            TrustGroup(
                trust.source,
                SOURCES.get(trust.source, trust.source),
                origin(folders.get(trust.source, {}), len(trust.images)),
                mean,
                tile_width(trust.images),
                tuple(seen),
                trust.doubts,
            )
        )
    segmenter = found.provenance.segmenter
    return TrustPage(
        around,
        found.title,
        str(segmenter.get("name", "")),
        core(segmenter),
        cards("its", segmenter),
        tuple(groups),
        _found(found),
        tuple(str(row.concept) for row in rows_of(found.concepts) if math.isnan(row.trained)),
        str(segmenter.get("card", {}).get("held_out", "")),
        bool(found.provenance.reads),
        around.to(places.page("real")) if found.reality is not None else "",
    )


def _found(found: Dissection) -> tuple[Found, ...]:
    known = found.concepts[found.concepts["trained"].notna()].sort_values("trained", kind="stable")
    return tuple(
        Found(str(r.concept), str(r.category), mark_of(str(r.category)), float(r.trained), float(r.area))
        for r in rows_of(known)
    )


def _shades(found: Dissection, labels: np.ndarray[Any, Any], colours: np.ndarray[Any, Any]) -> tuple[Shade, ...]:
    number, pixels = np.unique(leading_labels(labels), return_counts=True)
    order = [i for i in np.argsort(-pixels, kind="stable") if number[i] > 0][:8]
    names = found.vocabulary["concept"]
    return tuple(
        Shade(str(names.iloc[number[i]]), "#" + bytes(colours[number[i]]).hex(), float(pixels[i] / pixels.sum()))
        for i in order
    )
