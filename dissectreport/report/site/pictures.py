"""The pictures of a model as files: its images, the segmentations, and each unit's strip and masks."""

from __future__ import annotations

from dissectreport.analysis.results.dissection import ExampleKind, Layer, Trust
from dissectreport.report.artifacts.page import artifact_images
from dissectreport.report.causes.image_files import causal_images
from dissectreport.report.classes.image_files import class_images
from dissectreport.report.common.model import Site
from dissectreport.report.common.unit_cards import strip_size
from dissectreport.report.html import images
from dissectreport.report.html.places import Files
from dissectreport.report.pages.overview import band_size


def model_pictures(site: Site) -> Files:
    """Every picture of a model but the strips and masks of its units."""
    dissection, places = site.dissection, site.places
    quality = site.settings.detail.picture_quality
    files = {
        places.picture(int(number)): images.webp(pixels, quality)
        for number, pixels in zip(dissection.pictures.numbers, dissection.pictures.pixels, strict=True)
    }
    files[places.image("band")] = images.band(list(dissection.pictures.pixels[: band_size(dissection)]))
    colours = images.concept_colours(dissection.vocabulary)
    for number, trust in enumerate(dissection.trust):
        files |= _segmentations(site, number, trust, colours)
    return files | causal_images(site) | class_images(site) | artifact_images(site)


def _segmentations(site: Site, number: int, trust: Trust, colours: images.Bytes) -> Files:
    """The example images of one kind, with the segmenter's labels and its confidence."""
    files: Files = {}
    for i, pixels in enumerate(trust.images):
        tile, stem = images.tiles(pixels), f"trust-{number}-{i}"
        files[site.places.image(f"{stem}-plain")] = images.webp(tile, quality=84)
        files[site.places.image(f"{stem}-seen")] = images.segmentation(tile, trust.labels[i], colours)
        if trust.doubts:
            files[site.places.image(f"{stem}-sure")] = images.certainty(trust, i)
    return files


def unit_pictures(site: Site, layer: Layer, unit: int, threshold: float) -> Files:
    """A unit's strip, and the masks over all of its examples where the unit has a page."""
    examples, detail = layer.examples, site.settings.detail
    veils = images.veil(examples.maps[unit], threshold, site.edge, site.tile)
    top = [i for i, kind in enumerate(examples.kind.tolist()) if kind == ExampleKind.TOP][: strip_size(layer)]
    pictures = [images.tiles(site.dissection.pictures.of(int(examples.samples[unit, i]))) for i in top]
    strip = {site.places.strip(layer.name, unit): images.strip(pictures, veils[top], detail.quality)}
    return strip | ({site.places.veil(layer.name, unit): images.overlay(veils)} if detail.unit_pages else {})
