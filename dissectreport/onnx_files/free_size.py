"""ONNX files that take maps of any height and width, so that a part of an image can be computed from a part of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dissectreport.errors import ExportError

NEARLY = 1e-4
"""The largest difference of pixels in [-1, 1] that are computed from a window: much less than one of 255 levels."""


def with_free_size(content: bytes) -> bytes:
    """An ONNX file whose inputs and outputs of four dimensions may have any height and width."""
    from onnx import ModelProto

    model = ModelProto.FromString(content)
    for value in [*model.graph.input, *model.graph.output]:
        sides = value.type.tensor_type.shape.dim[2:]
        for side, name in zip(sides, ("height", "width"), strict=False):
            side.dim_param = f"{name} of {value.name}"
    return bytes(model.SerializeToString(deterministic=True))


def measured_reach(
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]], maps: NDArray[np.float32], image: NDArray[np.float32]
) -> int:
    """How many cells around a cell its pixels depend on; 0 where no window is smaller than the map, or none suffices.

    `run` computes a (1, 3, height, width) image from (1, units, rows, columns) maps; `image` is that of `maps`.
    """
    rows, columns = maps.shape[2:]
    if image.shape[2] % rows or image.shape[3] % columns:
        return 0
    cells = [(row, column) for row in (0, rows // 2, rows - 1) for column in (0, columns // 2, columns - 1)]
    for reach in range(1, (min(rows, columns) - 1) // 4 + 1):
        try:
            if all(_suffices(run, maps, image, cell, reach) for cell in cells):
                return reach
        except ExportError:
            return 0
    return 0


def _suffices(
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    maps: NDArray[np.float32],
    image: NDArray[np.float32],
    cell: tuple[int, int],
    reach: int,
) -> bool:
    """Whether the pixels of a cell are the same if they are computed from the cells around it alone."""
    top, left = (max(0, at - reach) for at in cell)
    window = maps[:, :, top : cell[0] + reach + 1, left : cell[1] + reach + 1]
    found = run(np.ascontiguousarray(window))
    high, wide = image.shape[2] // maps.shape[2], image.shape[3] // maps.shape[3]
    if found.shape[2:] != (window.shape[2] * high, window.shape[3] * wide):
        return False
    expected = _pixels(image, cell, high, wide)
    return bool(np.abs(_pixels(found, (cell[0] - top, cell[1] - left), high, wide) - expected).max() <= NEARLY)


def _pixels(image: NDArray[np.float32], cell: tuple[int, int], high: int, wide: int) -> NDArray[np.float32]:
    """The pixels of a cell."""
    return image[:, :, cell[0] * high : (cell[0] + 1) * high, cell[1] * wide : (cell[1] + 1) * wide]
