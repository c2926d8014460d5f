"""The example images in which the segmenter sees most of a concept, with its masks as overlays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dissectreport.analysis.results.dissection import Trust, TrustSource
from dissectreport.report.causes.image_files import concept_number
from dissectreport.report.common.model import Site
from dissectreport.report.html import images
from dissectreport.report.html.frame import Frame
from dissectreport.report.html.images import tile_width
from dissectreport.report.html.places import Files
from dissectreport.report.pages.segmenter import SOURCES
from dissectreport.run.rules import Edge

EXAMPLES = 6
"""Example images of each kind."""


@dataclass(frozen=True)
class SeenExample:
    """An image in which the segmenter sees the concept, and the position of its mask in the overlay."""

    picture: str
    left: str
    area: float
    alt: str


@dataclass(frozen=True)
class SeenGroup:
    """The example images of one kind in which the segmenter sees most of the concept."""

    words: str
    mask: str
    """The overlay with the masks of all examples side by side."""
    width: str
    """Of the overlay, relative to an image."""
    tile: int
    examples: tuple[SeenExample, ...]
    images: int
    """Images of this kind with the concept."""
    of: int
    confidence: float
    """Mean confidence of the segmenter where it sees the concept; NaN for one without confidence."""


def seen_groups(site: Site, frame: Frame, name: str) -> tuple[SeenGroup, ...]:
    """The example images of each kind that show most of a concept; a kind may have none."""
    return tuple(_seen(site, frame, number, name) for number in _groups(site))


def _groups(site: Site) -> list[int]:
    """The kinds of example images, but for those with ablated units."""
    return [i for i, trust in enumerate(site.dissection.trust) if trust.source != TrustSource.ABLATED]


def _masks(trust: Trust, number: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """(k, h, w) where the segmenter sees a concept, and the images that show most of it, first the most."""
    masks = (trust.labels == number).any(1) if number else np.zeros((len(trust.images), 1, 1), np.bool_)
    areas = masks.mean((1, 2))
    order = np.argsort(-areas, kind="stable")
    return masks, order[areas[order] > 0][:EXAMPLES]


def _seen(site: Site, frame: Frame, group: int, name: str) -> SeenGroup:
    """The example images of one kind that show most of a concept."""
    trust = site.dissection.trust[group]
    masks, chosen = _masks(trust, concept_number(site, name))
    shown = masks[chosen]
    areas = shown.mean((1, 2)) if len(chosen) else ()
    examples = tuple(
        SeenExample(
            picture=frame.to(site.places.image(f"trust-{group}-{image}-plain")),
            left=f"-{100 * at}%",
            area=float(area),
            alt=f"{SOURCES.get(trust.source, trust.source)}, number {image + 1}, with {name} outlined",
        )
        for at, (image, area) in enumerate(zip(chosen.tolist(), areas, strict=True))
    )
    sure = trust.confidence[masks].astype(np.float64) if trust.doubts and masks.shape == trust.confidence.shape else ()
    return SeenGroup(
        words=SOURCES.get(trust.source, trust.source),
        mask=frame.to(site.places.concept_mask(name, group)),
        width=f"{100 * len(examples)}%",
        tile=tile_width(trust.images),
        examples=examples,
        images=int(masks.any((1, 2)).sum()),
        of=len(trust.images),
        confidence=float(np.mean(sure)) if len(sure) else math.nan,
    )


def concept_masks(site: Site, name: str) -> Files:
    """The overlays of a concept's example images, one for each kind of images that shows it."""
    files: Files = {}
    number = concept_number(site, name)
    for group in _groups(site):
        trust = site.dissection.trust[group]
        masks, chosen = _masks(trust, number)
        if len(chosen):
            veils = images.veil(masks[chosen].astype(np.float32), 0.5, Edge.CLAMP, tile_width(trust.images))
            files[site.places.concept_mask(name, group)] = images.overlay(veils)
    return files
