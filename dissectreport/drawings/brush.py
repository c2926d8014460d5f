"""What all drawings share: words for strokes, a brush that paints image and labels at once, textures, subjects."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, TypeVar

import numpy
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float]
Bytes: TypeAlias = NDArray[numpy.uint8]
Floats: TypeAlias = NDArray[numpy.float32]
Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Drawing:
    """A drawing as an image (h, w, 3) uint8 and as labels (3, h, w) uint8: object, part and material; 0 = none."""

    image: Bytes
    labels: Bytes


@dataclass(frozen=True)
class Piece:
    """What one stroke of the brush shows, in words of the three vocabularies."""

    object: str
    material: str = ""
    part: str = ""


@dataclass(frozen=True, eq=False)
class Subject:
    """What a series of drawings shows: its words by category, its pieces, the first the ground, and how it is painted.

    `paint` covers a brush and returns the textured image, (size, size, 3).
    """

    name: str
    words: Mapping[str, tuple[str, ...]]
    pieces: tuple[Piece, ...]
    paint: Callable[[Brush], Bytes]

    @cached_property
    def numbers(self) -> Bytes:
        """(pieces, 3) the numbers of object, part and material; 0 for none."""
        return numbers_of(self.words, self.pieces)


def numbers_of(words: Mapping[str, tuple[str, ...]], pieces: Iterable[Piece]) -> Bytes:
    """(pieces, 3) the numbers of object, part and material; 0 for none."""
    names = [(piece.object, piece.part, piece.material) for piece in pieces]
    rows = [
        [known.index(name) + 1 if name else 0 for known, name in zip(words.values(), row, strict=True)] for row in names
    ]
    return numpy.array(rows, dtype=numpy.uint8)


def colour(hue: float, saturation: float, value: float) -> Colour:
    """A colour from hue (any real number, whole turns ignored), saturation and value (clipped to [0, 1])."""
    saturation, value = min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0)
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return int(255 * red), int(255 * green), int(255 * blue)


class Brush:
    """Draws the same shapes into the image and into the map of pieces, with one stream of chance."""

    def __init__(self, random: numpy.random.Generator, size: int, pieces: Sequence[Piece]) -> None:
        self.random = random
        self.size = size
        self.numbers = {piece: number for number, piece in enumerate(pieces)}
        self.image = Image.new("RGB", (size, size))
        self.pieces = Image.new("L", (size, size))
        self.pen, self.stencil = ImageDraw.Draw(self.image), ImageDraw.Draw(self.pieces)

    def between(self, low: float, high: float) -> float:
        """A number drawn evenly between two."""
        return float(self.random.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.random.random() < probability)

    def one_of(self, choices: Sequence[Choice]) -> Choice:
        """One of these, each as likely."""
        return choices[int(self.random.integers(len(choices)))]

    def rectangle(self, piece: Piece, fill: Colour, left: float, top: float, right: float, bottom: float) -> None:
        """A rectangle of one piece."""
        for draw, value in self._both(piece, fill):
            draw.rectangle((left, top, right, bottom), fill=value)

    def polygon(self, piece: Piece, fill: Colour, corners: Sequence[Point]) -> None:
        """A polygon of one piece."""
        for draw, value in self._both(piece, fill):
            draw.polygon(corners, fill=value)

    def ellipse(self, piece: Piece, fill: Colour, x: float, y: float, across: float, up: float) -> None:
        """An ellipse around (x, y) with these half axes."""
        for draw, value in self._both(piece, fill):
            draw.ellipse((x - across, y - up, x + across, y + up), fill=value)

    def half_disc(self, piece: Piece, fill: Colour, x: float, y: float, radius: float) -> None:
        """The upper half of a disc around (x, y)."""
        for draw, value in self._both(piece, fill):
            draw.pieslice((x - radius, y - radius, x + radius, y + radius), 180, 360, fill=value)

    def line(self, fill: Colour, start: Point, end: Point, width: float = 0) -> None:
        """A line in the image alone: it decorates a piece and is none itself."""
        self.pen.line([start, end], fill=fill, width=max(1, round(width * self.size)))

    def _both(self, piece: Piece, fill: Colour) -> tuple[tuple[ImageDraw.ImageDraw, Colour | int], ...]:
        return (self.pen, fill), (self.stencil, self.numbers[piece])


# --- textures -----------------------------------------------------------------------------------------------


def courses(size: int, height: float, length: float, depth: float) -> Floats:
    """(size, size) brightness: rows of blocks, every second one shifted by half a block, with dark joints."""
    y, x = numpy.mgrid[:size, :size] / size
    row = numpy.floor(y / height)
    along = x / length + 0.5 * (row % 2)
    joint = (y / height % 1 < 0.22) | (along % 1 < 0.22 * height / length)
    tint = numpy.sin(12.9898 * row + 78.233 * numpy.floor(along)) * 43758.5453
    blocks = 1 + 0.3 * depth * (tint % 1 - 0.5)
    brightness: Floats = numpy.where(joint, 1 - depth, blocks).astype(numpy.float32)
    return brightness


def stripes(size: int, across: float, along: float, depth: float) -> Floats:
    """(size, size) brightness: waves with these numbers of periods to the right and down."""
    y, x = numpy.mgrid[:size, :size] / size
    brightness: Floats = (1 + depth * numpy.sin(2 * numpy.pi * (across * x + along * y))).astype(numpy.float32)
    return brightness


def speckle(size: int, grain: float, depth: float) -> Floats:
    """(size, size) brightness: smooth noise with this many grains to a side."""
    cells = max(2, round(grain))
    noise = numpy.random.default_rng(cells).uniform(-1, 1, (cells, cells)).astype(numpy.float32)
    smooth = Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)
    return (1 + depth * numpy.asarray(smooth)).astype(numpy.float32)


def laid_out(textures: Mapping[str, Callable[[int], Floats]], materials: Iterable[str], size: int) -> Floats:
    """(materials + 1, 2 size, 2 size) brightness by material, first that of none, each texture laid two by two."""
    plain = numpy.ones((size, size), numpy.float32)
    tiles = [plain, *(textures[material](size) for material in materials)]
    return numpy.stack([numpy.tile(tile, (2, 2)) for tile in tiles])


def window_of(laid: Floats, materials: Bytes, brush: Brush) -> Floats:
    """(size, size) the brightness of every pixel's material, in a window of the textures chosen by chance."""
    size = brush.size
    down, right = brush.random.integers(size, size=2)
    rows, columns = numpy.arange(size)[:, None] + down, numpy.arange(size)[None] + right
    tile = laid.shape[1] * laid.shape[2]
    # One number for each pixel: three of them take longer to follow.
    brightness: Floats = laid.reshape(-1).take(materials.astype(numpy.int64) * tile + (rows * laid.shape[2] + columns))
    return brightness


def textured(brush: Brush, brightness: Floats) -> Bytes:
    """(size, size, 3) the painted image with brightness laid over it, (size, size, 1 or 3)."""
    pixels: Bytes = numpy.empty((brush.size, brush.size, 3), numpy.uint8)
    # One channel after the other: numpy is slow on rows of three numbers.
    for number, channel in enumerate(brush.image.split()):
        plane = numpy.asarray(channel, numpy.float32) * brightness[..., number % brightness.shape[2]]
        pixels[..., number] = plane.clip(0, 255, out=plane)
    return pixels
