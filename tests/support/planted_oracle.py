"""Slow and obvious: what the planted generator's units and images say, in plain numpy loops."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dissectreport.models.planted import SIDE, UNIT, PlantedGenerator
from dissectreport.segmenters.planted import PAINTS, number_of

LAYER = "features"


def features(generator: PlantedGenerator, z: Tensor) -> NDArray[np.float64]:
    """(n, units, 8, 8) what the layer `features` gives."""
    read: list[Tensor] = []
    hook = generator.module.get_submodule(LAYER).register_forward_hook(lambda *call: read.append(call[2]))
    with torch.no_grad():
        generator(z)
    hook.remove()
    return read[0].double().numpy()


def edited(generator: PlantedGenerator, z: Tensor, units: tuple[str, ...], value: float = 0.0) -> Tensor:
    """(n, 3, h, w) images with all cells of these units set to a value."""

    def edit(module: object, inputs: object, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, [UNIT[unit] for unit in units]] = value
        return output

    hook = generator.module.get_submodule(LAYER).register_forward_hook(edit)
    with torch.no_grad():
        images = generator(z)
    hook.remove()
    return images


def inserted(generator: PlantedGenerator, z: Tensor, unit: str, row: int, column: int, value: float) -> Tensor:
    """(n, 3, h, w) images with one cell of a unit set to a value."""

    def edit(module: object, inputs: object, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, UNIT[unit], row, column] = value
        return output

    hook = generator.module.get_submodule(LAYER).register_forward_hook(edit)
    with torch.no_grad():
        images = generator(z)
    hook.remove()
    return images


def upsampled(cells: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """(8, 8) -> (size, size), bilinear between the centres of cells, the border continued."""
    out = np.zeros((size, size))
    for y in range(size):
        for x in range(size):
            top, down = neighbours(y, size)
            left, right = neighbours(x, size)
            out[y, x] = sum(
                weight_y * weight_x * cells[row, column]
                for row, weight_y in (top, down)
                for column, weight_x in (left, right)
            )
    return out


def neighbours(pixel: int, size: int) -> tuple[tuple[int, float], tuple[int, float]]:
    """The two cells around a pixel's centre, with their weights."""
    place = (pixel + 0.5) * SIDE / size - 0.5
    before = int(np.floor(place))
    share = place - before
    return (max(before, 0), 1 - share), (min(before + 1, SIDE - 1), share)


def painted(images: Tensor, concept: str) -> NDArray[np.bool_]:
    """(n, h, w) where the colour is exactly that of a paint that shows the concept."""
    pixels = images.permute(0, 2, 3, 1).numpy()
    shown = np.zeros(pixels.shape[:3], bool)
    for paint in PAINTS:
        if concept in paint.shows:
            shown |= (pixels == np.array(paint.colour, np.float32)).all(axis=-1)
    return shown


def has(labels: Tensor, concept: str) -> NDArray[np.bool_]:
    """(n, h, w) where any slot of a segmentation names the concept."""
    found: NDArray[np.bool_] = (labels == number_of(concept)).any(dim=1).numpy()
    return found


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks."""
    return float((one & other).sum() / (one | other).sum())
