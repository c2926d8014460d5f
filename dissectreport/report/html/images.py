"""Pictures: strips with a yellow outline, see-through overlays, and the segmenter's colours."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from dissectreport.analysis.results.dissection import Trust
from dissectreport.run.rules import Edge

TILE = 128
"""Height of one image of a strip, in pixels; its width is proportional."""
DARK, YELLOW = (12, 12, 16), (255, 222, 58)
_STEPS = 5
"""Shades of an edge: a pixel is covered by 0 to 4 of its quarters."""
QUALITY, _EFFORT = 74, 2
HEAD = 8
"""Images in the row at the head of a model's pages."""

Bytes = NDArray[np.uint8]


@lru_cache(maxsize=64)
def upsampling(source: int, target: int, edge: Edge) -> NDArray[np.float32]:
    """(target, source) weights of bilinear upsampling, by the rule's edge: the same as where pixels are counted.

    Beyond the outermost centres 'clamp' repeats them (align_corners=False), and 'zero' fades towards 0.
    """
    at = (np.arange(target) + 0.5) * source / target - 0.5
    if edge == Edge.CLAMP:
        at = at.clip(0, source - 1)
    low = np.floor(at).astype(int)
    weights = np.zeros((target, source), np.float32)
    for column, weight in ((low, 1 - (at - low)), (low + 1, at - low)):
        inside = (column >= 0) & (column < source)
        np.add.at(weights, (np.arange(target)[inside], column[inside]), weight[inside])
    return weights


def upsample(maps: NDArray[np.floating], height: int, width: int, edge: Edge) -> NDArray[np.float32]:
    """(k, h, w) -> (k, height, width) float32, bilinear."""
    down, across = upsampling(maps.shape[1], height, edge), upsampling(maps.shape[2], width, edge)
    return np.asarray(down @ maps.astype(np.float32) @ across.T)


def outline(on: NDArray[np.bool_], reach: int = 2) -> NDArray[np.bool_]:
    """(k, h, w) -> pixels within `reach` of the border between on and off; the image's edge is not a border."""
    edge = np.zeros_like(on)
    across, down = on[:, :, 1:] != on[:, :, :-1], on[:, 1:] != on[:, :-1]
    edge[:, :, 1:] |= across
    edge[:, :, :-1] |= across
    edge[:, 1:] |= down
    edge[:, :-1] |= down
    for _ in range(reach - 1):
        grown = edge.copy()
        grown[:, :, 1:] |= edge[:, :, :-1]
        grown[:, :, :-1] |= edge[:, :, 1:]
        grown[:, 1:] |= edge[:, :-1]
        grown[:, :-1] |= edge[:, 1:]
        edge = grown
    return edge


def tile_width(pixels: Bytes) -> int:
    """The width of a tile that shows images (..., height, width, 3)."""
    height, width = pixels.shape[-3:-1]
    return max(1, round(TILE * int(width) / int(height)))


def veil(maps: NDArray[np.floating], threshold: float, edge: Edge, width: int = TILE) -> Bytes:
    """(k, h, w) activations -> (k, TILE, width) palette numbers: how much of a pixel is outline, and dark."""
    on = upsample(maps, 2 * TILE, 2 * width, edge) > threshold  # never, where the level is NaN
    line = outline(on)
    dark = ~on & ~line
    return np.asarray(_quarters(line) * _STEPS + _quarters(dark), np.uint8)


def _quarters(mask: NDArray[np.bool_]) -> Bytes:
    rows = mask[:, 0::2].view(np.uint8) + mask[:, 1::2].view(np.uint8)
    return np.asarray(rows[:, :, 0::2] + rows[:, :, 1::2])


@lru_cache(maxsize=1)
def palette() -> NDArray[np.float32]:
    """(25, 4) red, green, blue in 0 to 255 and opacity in 0 to 1, for the numbers that `veil` gives."""
    colours = np.zeros((_STEPS * _STEPS, 4), np.float32)
    for line in range(_STEPS):
        for dark in range(_STEPS - line):
            yellow, black = line / 4, 0.7 * dark / 4
            alpha = yellow + black
            if alpha:
                mixed = (np.array(YELLOW) * yellow + np.array(DARK) * black) / alpha
                colours[line * _STEPS + dark] = (*mixed, alpha)
    return colours


def tiles(pixels: Bytes) -> Bytes:
    """(height, width, 3) -> (TILE, width, 3) of the same proportions."""
    width = tile_width(pixels)
    if pixels.shape[:2] == (TILE, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, TILE), Image.Resampling.BICUBIC))


def strip(pictures: Sequence[Bytes], veils: Bytes, quality: int = QUALITY) -> bytes:
    """A WebP of tiles side by side, bright where the unit is on, with a yellow outline, dark elsewhere."""
    return webp(veiled(pictures, veils), quality)


def veiled(pictures: Sequence[Bytes], veils: Bytes) -> Bytes:
    """(height, width, 3) tiles side by side under their veils."""
    colours = palette()
    kept = np.asarray((1 - colours[:, 3]) * 256, np.uint16)[:, None]
    added = np.asarray(colours[:, :3] * colours[:, 3:] * 256, np.uint16)
    mixed = (np.stack(pictures) * np.take(kept, veils, 0) + np.take(added, veils, 0)) >> 8
    return side_by_side(mixed.astype(np.uint8))


def overlay(veils: Bytes) -> bytes:
    """A see-through PNG of the veils side by side, to lay over plain images."""
    image = Image.fromarray(side_by_side(veils[..., None])[..., 0], "P")
    colours = palette()
    image.putpalette(colours[:, :3].round().astype(np.uint8).tobytes())
    out = io.BytesIO()
    opacity = (colours[:, 3] * 255).round().astype(np.uint8).tobytes()
    image.save(out, "PNG", transparency=opacity, compress_level=6)
    return out.getvalue()


def side_by_side(images: NDArray[np.uint8]) -> Bytes:
    """(k, h, w, c) -> (h, k * w, c)."""
    k, h, w, c = images.shape
    return np.ascontiguousarray(images.transpose(1, 0, 2, 3).reshape(h, k * w, c))


def webp(pixels: Bytes, quality: int = QUALITY, method: int = _EFFORT) -> bytes:
    """(h, w, 3) -> the bytes of a WebP file."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", quality=quality, method=method)
    return out.getvalue()


def band(pictures: Sequence[Bytes]) -> bytes:
    """A row of plain images, the head of a page."""
    return webp(side_by_side(np.stack([tiles(p) for p in pictures])), quality=82, method=4)


TERMS = {
    "black": 0x1C1C1C,
    "blue": 0x4F8FE0,
    "brown": 0x7B4A21,
    "gray": 0x909090,
    "green": 0x4E9A3A,
    "grey": 0x909090,
    "orange": 0xF08A24,
    "pink": 0xF4A8C0,
    "purple": 0x7A4FB0,
    "red": 0xC23B2E,
    "white": 0xF4F2EC,
    "yellow": 0xE8C820,
}
"""The basic colour terms, as they are shown where a concept is a colour."""


def concept_colours(vocabulary: pd.DataFrame) -> NDArray[np.uint8]:
    """(concepts, 3) colours of the vocabulary: a colour has its own colour; the others are distinct.

    Those have hues by the golden angle and three lightnesses in turn.
    """
    count = len(vocabulary)
    hue = np.arange(count) * 0.61803398875 % 1
    value = np.array([0.62, 0.86, 0.74])[np.arange(count) % 3]
    turn = (hue[:, None] * 6 + np.array([0, 4, 2])) % 6
    channel = np.clip(np.abs(turn - 3) - 1, 0, 1)
    colours = value[:, None] * (1 - 0.62 * (1 - channel))
    colours[:1] = 0.2
    table = np.asarray((colours * 255).round(), np.uint8)
    for number, (name, category) in enumerate(zip(vocabulary["concept"], vocabulary["category"], strict=True)):
        if category in ("colour", "color") and name in TERMS:
            table[number] = list(TERMS[name].to_bytes(3, "big"))
    return table


def segmentation(image: Bytes, labels: NDArray[np.int16], colours: Bytes, concept: int = 0) -> bytes:
    """An image with the leading concept of each pixel laid over it in colour, `concept` first and outlined.

    (height, width, 3) and (slots, h, w) concept numbers -> WebP.
    """
    height, width = image.shape[:2]
    leading = leading_labels(labels, concept)
    mixed = image * 0.35 + _enlarged(colours[leading], height, width) * 0.65
    if concept:
        here = _enlarged((leading == concept).astype(np.uint8) * 255, height, width) > 0
        mixed[outline(here[None], reach=max(1, height // 128))[0]] = YELLOW
    return webp(np.asarray(mixed, np.uint8), quality=84)


def leading_labels(labels: NDArray[np.int16], concept: int = 0) -> NDArray[np.int16]:
    """(slots, h, w) concept numbers -> (h, w): `concept` wherever a slot names it, else the first slot that names any.

    With `concept` 0, nothing goes first.
    """
    named = (labels > 0).argmax(0)
    first = np.asarray(np.take_along_axis(labels, named[None], 0)[0])
    return np.where((labels == concept).any(0), np.int16(concept), first) if concept else first


def certainty(trust: Trust, at: int) -> bytes:
    """The segmenter's confidence as a grey picture, white for certain."""
    grey = np.asarray(trust.confidence[at].astype(np.float32).clip(0, 1) * 255, np.uint8)
    return webp(_enlarged(np.repeat(grey[..., None], 3, 2), TILE, tile_width(trust.images)), quality=84)


def png(pixels: Bytes) -> bytes:
    """(height, width, 3) as a PNG, without loss."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def sheet(rows: Sequence[Bytes]) -> bytes:
    """(k, height, width, 3) images a row -> a WebP of all rows, one under the other."""
    return webp(np.concatenate([np.concatenate(list(row), axis=1) for row in rows]), quality=90)


def difference(before: Bytes, after: Bytes, quality: int = 84) -> bytes:
    """How much each pixel changed, dark for nothing, white for half the range of a channel or more.

    The largest change of a channel, a little brighter where small, on one scale always, so that pictures compare.
    """
    change = np.abs(after.astype(np.int16) - before.astype(np.int16)).max(2).clip(max=128)
    at = (change / np.float32(128))[..., None] ** 0.8
    return webp(np.asarray(NOTHING + (PAPER - NOTHING) * at, np.uint8), quality)


NOTHING, PAPER = np.array((16, 16, 19), np.float32), np.array((251, 250, 247), np.float32)
GAIN, LOSS = (214, 72, 24), (46, 84, 196)


def heat(map_: NDArray[np.float32], limit: float) -> bytes:
    """A see-through PNG, a pixel a cell: orange where the number is positive, blue where negative, full at `limit`."""
    codes = np.round(np.clip(map_ / (limit or 1.0), -1, 1) * 127 + 127).astype(np.uint8)
    colours = np.array([LOSS] * 127 + [GAIN] * 128, np.uint8)
    opacity = np.round(np.abs(np.arange(255) - 127) / 127 * 0.88 * 255).astype(np.uint8)
    image = Image.fromarray(codes, "P")
    image.putpalette(colours.tobytes())
    out = io.BytesIO()
    image.save(out, "PNG", transparency=opacity.tobytes(), compress_level=9)
    return out.getvalue()


def picture(pixels: Bytes, most: int = 256) -> Bytes:
    """An image as a page shows it: its own size, or smaller where a side is longer than `most`."""
    height, width = pixels.shape[:2]
    if max(height, width) <= most:
        return pixels
    size = round(width * most / max(height, width)), round(height * most / max(height, width))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def _enlarged(pixels: Bytes, height: int, width: int) -> Bytes:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST))
