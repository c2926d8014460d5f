"""The pictures of interventions as files: with and without units, what changed, and what the segmenter sees in both."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dissectreport.analysis.results.dissection import Dissection
from dissectreport.analysis.results.interventions import (
    Ablated,
    ConceptPictures,
    Heat,
    Interventions,
    RandomControl,
)
from dissectreport.report.common.model import Site
from dissectreport.report.html import images
from dissectreport.report.html.places import Files

QUALITY, STRIP_QUALITY = 84, 78


def causal_images(site: Site) -> Files:
    """Every picture of the pages of causal effects, by its address from the top of the site."""
    interventions = site.dissection.interventions
    if interventions is None:
        return {}
    colours = images.concept_colours(site.dissection.vocabulary)
    files = _originals(site, interventions)
    for concept, pictures in interventions.pictures.items():
        if concept in site.places.studied:
            files |= _concept(site, concept, pictures, colours)
    for unit, ablated in interventions.unit_pictures.items():
        for i in range(len(ablated.samples)):
            place = site.places.unit_changed(interventions.layer, unit, i, "off")
            files[place] = _webp(ablated.after[i])
            place = site.places.unit_changed(interventions.layer, unit, i, "difference")
            files[place] = images.difference(_shown(ablated.before[i]), _shown(ablated.after[i]))
    return files | _strips(site, interventions)


def _strips(site: Site, interventions: Interventions) -> Files:
    """For every unit of the layer, small images with it ablated alone and what that changes, side by side."""
    files: Files = {}
    for unit, strip in interventions.strips.items():
        before, after = images.side_by_side(strip.before), images.side_by_side(strip.after)
        files[site.places.alone_before(strip.concept)] = images.webp(before, STRIP_QUALITY, method=4)
        files[site.places.alone(interventions.layer, unit, "off")] = images.webp(after, STRIP_QUALITY, method=4)
        difference = images.difference(before, after, STRIP_QUALITY)
        files[site.places.alone(interventions.layer, unit, "difference")] = difference
    return files


def _originals(site: Site, interventions: Interventions) -> Files:
    """Each image without any intervention, once, even if several edits of it are shown."""
    files: Files = {}
    for samples, before in _untouched(interventions):
        for sample, pixels in zip(samples.tolist(), before, strict=True):
            place = site.places.original(int(sample))
            if place not in files:
                files[place] = _webp(pixels)
    return files


def _untouched(interventions: Interventions) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for pictures in interventions.pictures.values():
        yield pictures.ablated.samples, pictures.ablated.before
        yield pictures.inserted.samples, pictures.inserted.before
    for ablated in interventions.unit_pictures.values():
        yield ablated.samples, ablated.before


def _concept(site: Site, concept: str, pictures: ConceptPictures, colours: images.Bytes) -> Files:
    places, number = site.places, concept_number(site, concept)
    files = _ablated(site, concept, number, pictures.ablated, colours) | _control(site, concept, pictures.control)
    for i, pixels in enumerate(pictures.inserted.after):
        files[places.changed(concept, i, "on")] = _webp(pixels)
    limit = heat_limit(pictures.heat)
    for i, map_ in enumerate(pictures.heat.maps):
        files[places.changed(concept, i, "heat", "png")] = images.heat(map_, limit)
    return files


def _control(site: Site, concept: str, control: RandomControl) -> Files:
    """The images with random units ablated instead, and where one of the concept's units is active."""
    places, interventions = site.places, site.dissection.interventions
    files: Files = {places.changed(concept, i, "random"): _webp(pixels) for i, pixels in enumerate(control.after)}
    if control.unit < 0 or interventions is None:
        return files
    threshold = float(site.dissection.layer(interventions.layer).table["threshold"].iloc[control.unit])
    veils = images.veil(control.activations, threshold, site.edge, site.tile)
    return files | {
        places.changed(concept, i, "active", "png"): images.overlay(veils[i : i + 1]) for i in range(len(veils))
    }


def _ablated(site: Site, concept: str, number: int, ablated: Ablated, colours: images.Bytes) -> Files:
    files: Files = {}
    for i in range(len(ablated.samples)):
        before, after = _shown(ablated.before[i]), _shown(ablated.after[i])
        pictures = {
            "off": _webp(after),
            "difference": images.difference(before, after),
            "seen": images.segmentation(before, ablated.labels_before[i], colours, number),
            "unseen": images.segmentation(after, ablated.labels_after[i], colours, number),
        }
        files |= {site.places.changed(concept, i, kind): content for kind, content in pictures.items()}
    return files


def concept_number(site: Site, concept: str) -> int:
    """The number of a concept in the vocabulary."""
    return concept_number_of(site.dissection, concept)


def concept_number_of(dissection: Dissection, concept: str) -> int:
    """The number of a concept in the vocabulary of a dissection; 0 for one that is not in it."""
    names = dissection.vocabulary["concept"].tolist()
    return names.index(concept) if concept in names else 0


def heat_limit(heat: Heat) -> float:
    """The number at which the colours of a concept's heat maps are full: all but one cell in a hundred lie below."""
    return float(np.quantile(np.abs(heat.maps), 0.99)) if heat.maps.size else 0.0


def _shown(pixels: images.Bytes) -> images.Bytes:
    return images.picture(pixels)


def _webp(pixels: images.Bytes) -> bytes:
    return images.webp(_shown(pixels), quality=QUALITY, method=4)
