"""A generator with known answers: which unit paints which concept, and which units only seem to.

    generator = load()
    images = generator(latents(1, 0, 8, generator.latent_shape))     # (8, 3, 64, 64)
    generator.truth.mirrors                                          # {10: 9}: unit 10 only copies unit 9

A scene has a sky, grass of varying height, perhaps a house with a roof and perhaps a window, a tree, a ball, and
sometimes a blotch, which is an artifact. Every unit of the layer `features` has one planted role (`TRUTH`). The layer
`mixed` has the same information in a rotated basis, so that none of its units means anything.

Everything is exact. The signs of the latents choose one of 64 maps for each of seven factors. Maps are multiples of
1/64. A paint is visible where its map, upsampled bilinearly to the image, exceeds `LEVEL`, and no value ever equals it.
So a unit that paints a concept alone has IoU 1 with it at that threshold where nothing covers it, on any device and in
any batch. The gradient of the hard threshold is that of a sigmoid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.errors import BadOption
from dissectreport.models.network_generator import NetworkGenerator
from dissectreport.networks.latents import latents
from dissectreport.segmenters.planted import PAINTS

UNITS = (
    *("grass", "wall", "window", "roof1", "roof2", "roof3", "roof4", "crown", "trunk", "ball", "ball_mirror"),
    *("position_only", "blotch1", "blotch2", "dead", "always_on", "crown_duplicate"),
    *("noise1", "noise2", "noise3", "noise4", "noise5", "noise6", "noise7"),
)
UNIT = {name: number for number, name in enumerate(UNITS)}
ROOF = ("roof1", "roof2", "roof3", "roof4")
NOISE = tuple(name for name in UNITS if name.startswith("noise"))

FACTORS = ("grass", "house", "tree", "ball", "blotch", "clutter", "more clutter")
CHOICES = 64
BITS = 6
SIDE = 8
"""Height and width of the maps of `features`."""

LEVEL = 0.5 + 2**-17
"""A paint is visible above this; upsampled values are multiples of 2**-16, so none equals it."""
ROOF_LEVEL = 0.5625
"""The roof is visible above this sum of the four roof units: two of them are enough, one is not."""
ROOF_SHARE = 0.375
CLEAN_SEED = 1_000_003
"""Seed of the latents of scenes without blotches."""
SHARPNESS = 4.0
"""Slope of the sigmoid that replaces the threshold in gradients."""

MIXED = 16
"""Number of units of the layer `mixed`."""
INPUTS = (*(paint.name for paint in PAINTS[1:]), "ball_mirror", "position_only", "always_on", *NOISE[:5])


@dataclass(frozen=True)
class Truth:
    """The planted answers for the units of a layer."""

    layer: str
    level: float
    """The threshold at which a unit that paints a concept alone matches its pixels, where nothing covers them."""
    names: tuple[str, ...]
    """The name of each unit."""
    paints: Mapping[int, str]
    """Units that paint a concept alone: ablating one removes the concept."""
    distributed: Mapping[str, tuple[int, ...]]
    """Concepts that several units paint together: nothing changes while two are left, then the concept is gone."""
    needs: Mapping[str, str]
    """Concepts that are visible only on another: a window can be inserted only on a wall."""
    mirrors: Mapping[int, int]
    """Units that are a multiple of another unit and have no effect on the image."""
    duplicates: Mapping[int, int]
    """Units that equal another unit exactly, and have no effect on the image."""
    position_only: tuple[int, ...]
    """Units that are on at the same position in every image, without effect."""
    artifacts: tuple[int, ...]
    """Units that paint a blotch over the image: ablating them restores the image behind it."""
    dead: tuple[int, ...]
    """Units that are always zero."""
    always_on: tuple[int, ...]
    """Units that are on everywhere in every image, without effect."""
    noise: tuple[int, ...]
    """Units that are independent of the image."""


TRUTH = Truth(
    layer="features",
    level=LEVEL,
    names=UNITS,
    paints={UNIT[name]: name for name in ("grass", "wall", "window", "crown", "trunk", "ball")},
    distributed={"roof": tuple(UNIT[name] for name in ROOF)},
    needs={"window": "wall"},
    mirrors={UNIT["ball_mirror"]: UNIT["ball"]},
    duplicates={UNIT["crown_duplicate"]: UNIT["crown"]},
    position_only=(UNIT["position_only"],),
    artifacts=(UNIT["blotch1"], UNIT["blotch2"]),
    dead=(UNIT["dead"],),
    always_on=(UNIT["always_on"],),
    noise=tuple(UNIT[name] for name in NOISE),
)


@dataclass(frozen=True, eq=False)
class PlantedGenerator(NetworkGenerator):
    """The planted network as a generator, with its planted answers."""

    truth: ClassVar[Truth] = TRUTH


def load(seed: int = 0, image_size: int = 64) -> PlantedGenerator:
    """The planted generator; `seed` determines the positions of balls, blotches and clutter."""
    if image_size not in (16, 32, 64, 128, 256):
        raise BadOption(f"image size {image_size} of the planted generator; choose 16, 32, 64, 128 or 256")
    network = PlantedNetwork(torch.tensor(planted_maps(seed)), image_size)
    return PlantedGenerator(
        name="planted",
        module=network,
        latent_shape=(len(FACTORS) * BITS,),
        image_size=(image_size, image_size),
        layers=("features", "mixed"),
        default_layers=("features", "mixed"),
        reinitialise=lambda random_seed: untrained(network, random_seed),
        training_like=network.clean,
        facts={"family": "planted", "segmenter": "planted", "units": list(UNITS)},
    )


class PlantedNetwork(nn.Module):
    """(n, 42) latents -> `features` (n, 24, 8, 8) -> `mixed` (n, 16, 16, 16) -> (n, 3, size, size) images."""

    def __init__(self, codebook: Tensor, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size
        self.features = FeatureLayer(codebook)
        self.mixed = RotatedLayer()
        self.canvas = Canvas(image_size)

    def forward(self, z: Tensor) -> Tensor:
        """(n, 42) -> (n, 3, size, size)."""
        images: Tensor = self.canvas(self.mixed(self.features(z)))
        return images

    def clean(self, count: int) -> Tensor:
        """(count, 3, size, size) scenes without blotches, used as real images."""
        z = latents(CLEAN_SEED, 0, count, (len(FACTORS) * BITS,))
        features = self.features(z.to(self.features.codebook.device))
        features[:, list(TRUTH.artifacts)] = 0
        images: Tensor = self.canvas(self.mixed(features))
        return images


class FeatureLayer(nn.Module):
    """The sum of one map of the codebook per factor, chosen by the signs of the factor's six latents."""

    def __init__(self, codebook: Tensor) -> None:
        super().__init__()
        self.codebook = nn.Parameter(codebook)
        """(factors, choices, units, 8, 8)"""

    def forward(self, z: Tensor) -> Tensor:
        """(n, 42) -> (n, units, 8, 8)."""
        bits = z.view(len(z), len(FACTORS), BITS) > 0
        choices = (bits * 2 ** torch.arange(BITS, device=z.device)).sum(dim=2)
        maps = [self.codebook[factor, choices[:, factor]] for factor in range(len(FACTORS))]
        return torch.stack(maps).sum(dim=0)


class RotatedLayer(nn.Module):
    """Sums the units of each paint, and rotates paints and some other units into another basis."""

    def __init__(self) -> None:
        super().__init__()
        self.collect = nn.Parameter(input_weights())
        self.rotate = nn.Parameter(hadamard(MIXED))

    def forward(self, features: Tensor) -> Tensor:
        """(n, units, 8, 8) -> (n, 16, 16, 16)."""
        inputs = torch.einsum("nuyx,iu->niyx", features, self.collect)
        roof = INPUTS.index("roof")
        gated = step(inputs[:, roof : roof + 1], ROOF_LEVEL)
        inputs = torch.cat([inputs[:, :roof], gated, inputs[:, roof + 1 :]], dim=1)
        wide = functional.interpolate(inputs, scale_factor=2.0, mode="nearest")
        return torch.einsum("niyx,mi->nmyx", wide, self.rotate)


class Canvas(nn.Module):
    """Rotates back, upsamples each paint to the image, and paints them from back to front."""

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size
        # The matrix is orthogonal up to a factor, a power of two, so dividing by it is exact.
        self.rotate_back = nn.Parameter(hadamard(MIXED).T[: len(PAINTS) - 1] / MIXED)
        self.register_buffer("colours", torch.tensor([paint.colour for paint in PAINTS])[:, :, None, None])
        self.colours: Tensor

    def forward(self, mixed: Tensor) -> Tensor:
        """(n, 16, 16, 16) -> (n, 3, size, size)."""
        maps = torch.einsum("nmyx,im->niyx", functional.avg_pool2d(mixed, 2), self.rotate_back)
        size = (self.image_size, self.image_size)
        on = step(functional.interpolate(maps, size, mode="bilinear", align_corners=False), LEVEL)
        return self.layered(only_where_needed(on))

    def layered(self, on: Tensor) -> Tensor:
        """(n, paints - 1, size, size) of 0 and 1 -> (n, 3, size, size) image, sky where no paint is visible."""
        if not torch.is_grad_enabled():
            return self._topmost(on)
        image = self.colours[0].expand(len(on), 3, *on.shape[2:])
        for paint, colour in enumerate(self.colours[1:]):
            alpha = on[:, paint : paint + 1]
            image = alpha * colour + (1 - alpha) * image
        return image

    def _topmost(self, on: Tensor) -> Tensor:
        """The same image without gradients, in a quarter of the time: the colour of the last paint that is visible."""
        numbers = torch.arange(1, on.shape[1] + 1, device=on.device, dtype=on.dtype)[:, None, None]
        last = (on * numbers).amax(1).long()
        return self.colours[:, :, 0, 0][last].permute(0, 3, 1, 2).contiguous()


def only_where_needed(on: Tensor) -> Tensor:
    """(n, paints - 1, h, w) of 0 and 1, with each paint removed where the paint that it needs is missing."""
    maps = dict(zip(INPUTS, on.unbind(dim=1), strict=False))
    for paint, context in TRUTH.needs.items():
        maps[paint] = maps[paint] * maps[context]
    return torch.stack(list(maps.values()), dim=1)


def step(values: Tensor, level: float) -> Tensor:
    """1 where `values` exceed `level`, else 0; the gradient is that of a sigmoid."""
    on = (values > level).to(values.dtype)
    if not torch.is_grad_enabled():
        return on
    soft = torch.sigmoid((values - level) * SHARPNESS)
    return on + (soft - soft.detach())


def input_weights() -> Tensor:
    """(inputs, units) of 0 and 1: the units that are summed for each input of the rotation."""
    sources: dict[str, tuple[str, ...]] = {name: (name,) for name in INPUTS}
    sources["roof"] = ROOF
    sources["blotch"] = ("blotch1", "blotch2")
    weights = torch.zeros(len(INPUTS), len(UNITS))
    for row, name in enumerate(INPUTS):
        weights[row, [UNIT[source] for source in sources[name]]] = 1
    return weights


def hadamard(size: int) -> Tensor:
    """(size, size) of 1 and -1 with orthogonal rows; `size` is a power of two."""
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix


def untrained(network: PlantedNetwork, seed: int) -> nn.Module:
    """The same network with random weights of the same mean and spread."""
    random = torch.Generator().manual_seed(seed)
    network_copy = PlantedNetwork(network.features.codebook.detach().cpu().clone(), network.image_size)
    with torch.no_grad():
        for parameter in network_copy.parameters():
            noise = torch.randn(parameter.shape, generator=random)
            parameter.copy_(parameter.mean() + parameter.std() * noise)
    return network_copy


# --- the codebook ---


Maps = NDArray[np.float32]
"""(units, 8, 8) activations that one choice of a factor adds."""


@dataclass(frozen=True)
class Sketch:
    """The maps of a choice, under construction."""

    maps: Maps = field(default_factory=lambda: np.zeros((len(UNITS), SIDE, SIDE), np.float32))

    def add(self, unit: str, rows: slice | int, columns: slice | int, value: float = 1.0) -> None:
        """Increase the activation of a unit in some cells."""
        self.maps[UNIT[unit], rows, columns] += value


@lru_cache(maxsize=4)
def planted_maps(seed: int) -> Maps:
    """(factors, choices, units, 8, 8) the maps of every choice of every factor."""
    random = np.random.default_rng(seed)
    codebook = np.zeros((len(FACTORS), CHOICES, len(UNITS), SIDE, SIDE), np.float32)
    for choice in range(CHOICES):
        codebook[0, choice] = grass(choice)
        codebook[1, choice] = house(choice)
        codebook[2, choice] = tree(choice)
        codebook[3, choice] = ball(choice, random)
        codebook[4, choice] = blotch(choice, random)
        codebook[5, choice] = clutter(random)
        codebook[6, choice] = clutter(random)
    codebook[:, :, UNIT["ball_mirror"]] = 2 * codebook[:, :, UNIT["ball"]]
    codebook[:, :, UNIT["crown_duplicate"]] = codebook[:, :, UNIT["crown"]]
    codebook.flags.writeable = False
    return codebook


def grass(choice: int) -> Maps:
    """One, two or three rows of grass; always two rows for the position-only unit."""
    sketch = Sketch()
    sketch.add("grass", slice(SIDE - 1 - choice % 3, SIDE), slice(None))
    sketch.add("position_only", slice(SIDE - 2, SIDE), slice(None))
    sketch.add("always_on", slice(None), slice(None))
    return sketch.maps


def house(choice: int) -> Maps:
    """In 52 of 64 choices a house at one of six positions, every second one with a window.

    The four roof units are on in the roof. Each is also on, alone, in its own part of the sky, so that none of them
    matches the roof well.
    """
    sketch = Sketch()
    if choice >= 52:
        return sketch.maps
    left = choice // 2 % 6
    sketch.add("wall", slice(3, 6), slice(left, left + 3))
    if choice % 2:
        sketch.add("window", 4, left + 1, 1.25)
    for number, unit in enumerate(ROOF):
        sketch.add(unit, slice(1, 3), slice(left, left + 3), ROOF_SHARE)
        sketch.add(unit, 0, slice(2 * number, 2 * number + 2), ROOF_SHARE)
    return sketch.maps


def tree(choice: int) -> Maps:
    """In 40 of 64 choices a tree in one of eight columns."""
    sketch = Sketch()
    if choice < 40:
        column = choice % SIDE
        sketch.add("crown", slice(2, 5), slice(max(0, column - 1), column + 2))
        sketch.add("trunk", slice(5, 7), column)
    return sketch.maps


def ball(choice: int, random: np.random.Generator) -> Maps:
    """In 32 of 64 choices a ball at a random position."""
    sketch = Sketch()
    row, column = random.integers(SIDE - 1, size=2)
    if choice < 32:
        sketch.add("ball", slice(row, row + 2), slice(column, column + 2))
    return sketch.maps


def blotch(choice: int, random: np.random.Generator) -> Maps:
    """In 8 of 64 choices the first blotch, in 8 the second, in 2 of these both."""
    sketch = Sketch()
    for unit, choices in (("blotch1", range(8)), ("blotch2", range(6, 14))):
        row, column = random.integers(SIDE - 2, size=2)
        if choice in choices:
            sketch.add(unit, slice(row, row + 2), slice(column, column + 3))
    return sketch.maps


def clutter(random: np.random.Generator) -> Maps:
    """Small random activations: the sum of two of them stays below every threshold, except in the noise units."""
    maps = (random.integers(4, size=(len(UNITS), SIDE, SIDE)) / 32).astype(np.float32)
    for unit in ("blotch1", "blotch2"):
        maps[UNIT[unit]] /= 2
    for unit in ROOF:
        maps[UNIT[unit]] = random.integers(2, size=(SIDE, SIDE)) / 64
    for unit in NOISE:
        maps[UNIT[unit]] = random.integers(32, size=(SIDE, SIDE)) / 32
    maps[UNIT["dead"]] = 0
    return maps
