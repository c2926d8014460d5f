"""A unit's images side by side with their masks, from a dissection."""

from __future__ import annotations

from dissectreport.analysis.results.dissection import Dissection, ExampleKind, Layer
from dissectreport.report.html import images
from dissectreport.run.rules import rule_named


def strip_of(dissection: Dissection, layer: Layer, unit: int, most: int) -> images.Bytes:
    """(height, width, 3) at most `most` of the images with the unit's highest activations, bright where it is on."""
    shown = layer.examples
    top = [i for i, kind in enumerate(shown.kind.tolist()) if kind == ExampleKind.TOP][:most]
    width = images.tile_width(dissection.pictures.pixels)
    threshold = float(layer.table["threshold"].iloc[unit])
    veils = images.veil(shown.maps[unit, top], threshold, rule_named(dissection.provenance.rule).edge, width)
    return images.veiled([images.tiles(dissection.pictures.of(int(shown.samples[unit, i]))) for i in top], veils)
