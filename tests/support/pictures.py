"""Drawn pictures of scenes and the concepts in each of their pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

NAMES = {
    "object": ("sky", "grass", "tree", "house", "sun", "hill"),
    "part": ("roof", "door", "crown"),
    "material": ("brick", "leaves"),
    "colour": ("blue", "green", "red", "yellow"),
}
LISTED = [("-", "-")] + [(name, category) for category, names in NAMES.items() for name in names]
NUMBER = {name: number for number, (name, _) in enumerate(LISTED)}
PARTS = {"roof": "house", "door": "house", "crown": "tree"}
MATERIALS = {"house": "brick", "crown": "leaves"}
COLOURS = {"sky": "blue", "grass": "green", "tree": "green", "crown": "green", "roof": "red", "sun": "yellow"}
GRID, SHOWN = 32, 48


def draw(
    rng: np.random.Generator, size: int, without: tuple[str, ...] = (), more: tuple[str, float, float] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """One picture (size, size, 3) and its concepts (slots, size, size), `without` some or with `more` of one."""
    image, kinds = Image.new("RGB", (size, size)), Image.new("L", (size, size))
    pens = ImageDraw.Draw(image), ImageDraw.Draw(kinds)

    def shape(name: str, how: str, points: list[float], colour: tuple[int, int, int]) -> None:
        if name in without:
            return
        getattr(pens[0], how)([p * size for p in points], fill=colour)
        getattr(pens[1], how)([p * size for p in points], fill=NUMBER[name])

    horizon, light = rng.uniform(0.55, 0.75), rng.uniform(0.7, 1.0)

    def shade(red: int, green: int, blue: int) -> tuple[int, int, int]:
        return int(red * light), int(green * light), int(blue * light)

    shape("sky", "rectangle", [0, 0, 1, 1], shade(*rng.integers((120, 170, 215), (175, 205, 250))))
    if rng.random() < 0.5:
        x, y, r = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.25), rng.uniform(0.05, 0.1)
        shape("sun", "ellipse", [x - r, y - r, x + r, y + r], (250, 225, 120))
    if rng.random() < 0.6:
        x, w, h = rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.6), rng.uniform(0.1, 0.25)
        shape("hill", "polygon", [x - w, horizon, x, horizon - h, x + w, horizon], shade(120, 135, 160))
    shape("grass", "rectangle", [0, horizon, 1, 1], shade(*rng.integers((90, 130, 60), (130, 175, 90))))
    for _ in range(int(rng.integers(0, 4))):
        x, h, base = rng.uniform(0.05, 0.95), rng.uniform(0.2, 0.4), horizon + rng.uniform(0, 0.12)
        shape("tree", "rectangle", [x - h * 0.06, base - h * 0.4, x + h * 0.06, base], shade(95, 70, 50))
        shape("crown", "ellipse", [x - h * 0.32, base - h, x + h * 0.32, base - h * 0.3], shade(45, 105, 55))
    if rng.random() < 0.75:
        x, w, h, base = rng.uniform(0.3, 0.7), rng.uniform(0.12, 0.22), rng.uniform(0.15, 0.28), horizon + 0.1
        shape("house", "rectangle", [x - w, base - h, x + w, base], shade(190, 150, 130))
        roof = [x - w - 0.03, base - h, x, base - h - 0.17, x + w + 0.03, base - h]
        shape("roof", "polygon", roof, shade(165, 60, 50))
        shape("door", "rectangle", [x - 0.04, base - h * 0.55, x + 0.04, base], shade(80, 55, 45))
    if more is not None:
        name, x, y = more
        shape(name, "ellipse", [x - 0.12, y - 0.12, x + 0.12, y + 0.12], shade(70, 110, 60))
    return np.asarray(image), slots(np.asarray(kinds))


def slots(kinds: NDArray[np.uint8]) -> NDArray[np.int16]:
    """(h, w) leading concepts -> (4, h, w) with one slot a category."""
    found = np.zeros((4, *kinds.shape), np.int16)
    for name, number in NUMBER.items():
        here = kinds == number
        whole = PARTS.get(name)
        found[0][here] = NUMBER[whole] if whole else number
        found[1][here] = number if whole else 0
        found[2][here] = NUMBER.get(MATERIALS.get(name, MATERIALS.get(whole or "", "-")), 0)
        found[3][here] = NUMBER.get(COLOURS.get(name, "-"), 0)
    return found


def pooled(mask: NDArray[np.bool_], side: int) -> NDArray[np.float32]:
    """(n, s, s) -> (n, side, side) means."""
    n, s, _ = mask.shape
    return np.asarray(mask.reshape(n, side, s // side, side, s // side).mean((2, 4), dtype=np.float32))


def ranks(maps: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(k, units, h, w) -> the same, as ranks 0 to 255 within each unit."""
    k, units, h, w = maps.shape
    flat = maps.transpose(1, 0, 2, 3).reshape(units, -1)
    order = flat.argsort(1).argsort(1) / flat.shape[1]
    return np.asarray((order * 255.99).astype(np.uint8).reshape(units, k, h, w).transpose(1, 0, 2, 3))


def random_pixels(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Pixels that no format makes small."""
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)
