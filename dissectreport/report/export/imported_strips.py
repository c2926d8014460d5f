"""The images of imported units: files beside a dissect.json, of which damaged ones are found and told."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from dissectreport import files
from dissectreport.errors import check_machine, counted
from dissectreport.files import Say
from dissectreport.image_files import MOST_BYTES, opened_image
from dissectreport.report.common.unit_cards import STRIP
from dissectreport.report.export.dissect_json import OldDissection, OldLayer, OldUnit
from dissectreport.report.html import images

SHOWN = 3
"""Damaged files that are named in a line; the others are only counted."""


@dataclass(frozen=True)
class Strip:
    """The image of a unit, as the site contains it."""

    content: bytes
    width: int
    shape: tuple[int, int]
    """Of the original, in pixels."""


@dataclass
class Strips:
    """The images of a layer's units."""

    found: dict[int, Strip] = field(default_factory=dict)
    damaged: dict[int, str] = field(default_factory=dict)
    """What is wrong with the file of a unit; the site does not show it."""


def read_strips(results: OldDissection, image_folder: Path, say: Say) -> dict[str, Strips]:
    """The images of all layers, by the layer's name; damaged files and forbidden folders are told."""
    strips = {layer.name: _strips(layer, image_folder, say) for layer in results.layers}
    damaged = [
        f"{layer.folder}/image/{unit}-top.jpg ({problem})"
        for layer in results.layers
        for unit, problem in strips[layer.name].damaged.items()
    ]
    if damaged:
        shown, more = "; ".join(damaged[:SHOWN]), len(damaged) - SHOWN
        rest = f", and {more:,} more" if more > 0 else ""
        say(f"{counted(len(damaged), 'damaged image')} of units left out, which their cards say: {shown}{rest}")
    return strips


def _strips(layer: OldLayer, image_folder: Path, say: Say) -> Strips:
    strips = Strips()
    folder = (image_folder / layer.folder / "image").resolve()
    if not folder.is_relative_to(image_folder.resolve()):
        say(f"the images of {layer.name} are not read: their folder {layer.folder!r} is not beside the file")
        return strips
    for unit in layer.units:
        try:
            strip = _strip(folder / f"{unit.unit}-top.jpg", unit)
        except FileNotFoundError:
            continue
        except Exception as problem:  # Decoders raise many kinds of error for a damaged file.
            check_machine(problem)
            strips.damaged[unit.unit] = str(getattr(problem, "strerror", None) or problem).split("\n")[0][:80]
        else:
            strips.found[unit.unit] = strip
    _leave_out_odd_ones(strips)
    return strips


def _strip(path: Path, unit: OldUnit) -> Strip:
    """The first images of the file's strip, written anew so that nothing but pixels is imported."""
    content = files.read(path, MOST_BYTES, links=True)
    if unit.image_digest and hashlib.sha256(content).hexdigest() != unit.image_digest:
        raise ValueError("not the image that was exported")
    with opened_image(content) as old:
        tall = images.TILE
        width = min(round(old.width * tall / old.height), STRIP * tall)
        used = old.convert("RGB").crop((0, 0, round(width * old.height / tall), old.height))
        pixels = np.asarray(used.resize((max(1, width), tall), Image.Resampling.BICUBIC))
    return Strip(images.webp(pixels), pixels.shape[1], old.size)


def _leave_out_odd_ones(strips: Strips) -> None:
    """The program that wrote them gave all strips of a layer one size: another one is a damaged header."""
    sizes = Counter(strip.shape for strip in strips.found.values())
    if not sizes:
        return
    usual, count = sizes.most_common(1)[0]
    if 2 * count <= len(strips.found):
        return
    for unit, strip in [*strips.found.items()]:
        if strip.shape != usual:
            strips.damaged[unit] = "{} × {} pixels, unlike the others".format(*strip.shape)
            del strips.found[unit]
