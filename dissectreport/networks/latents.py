"""Latents as a pure function of (seed, sample number), each drawn once in a process."""

from __future__ import annotations

import math
import threading
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 2**18
"""Numbers that are drawn together: two thousandths of a second, and a megabyte."""
KEPT = 8
"""Blocks of a series that are kept."""
SERIES = 16
"""LatentSeries that are kept, one for each seed that a run draws from."""


def latents(seed: int, first: int, count: int, shape: tuple[int, ...]) -> Tensor:
    """(count, *shape) float32 standard normal latents of samples `first` to `first + count`.

    The rule of the reference implementations (Bau et al. 2019): one `RandomState(seed)` stream, row by row, so a
    sample's latent does not depend on how many samples are drawn.
    """
    rows = series(seed, math.prod(shape)).rows(first, count)
    return torch.from_numpy(rows.reshape(count, *shape))


class LatentSeries:
    """The latents of a seed as rows of numbers.

    numpy's legacy generator cannot jump, so its state is kept at the beginning of every block that was drawn: a row is
    found at once wherever a series has been before, and a run over many samples draws each of them once.
    """

    def __init__(self, seed: int, depth: int) -> None:
        self.depth = depth
        """Numbers of a row."""
        self.height = max(1, BLOCK // max(depth, 1))
        """Rows of a block."""
        self.drawn = 0
        """Blocks that were drawn, those that were drawn again included."""
        self._stream = np.random.RandomState(seed)
        self._states: list[Any] = [self._stream.get_state()]
        self._blocks: dict[int, NDArray[np.float32]] = {}
        self._lock = threading.Lock()

    def rows(self, first: int, count: int) -> NDArray[np.float32]:
        """(count, depth) rows from number `first` on, as a copy."""
        taken = np.empty((count, self.depth), np.float32)
        filled = 0
        with self._lock:
            while filled < count:
                number, row = divmod(first + filled, self.height)
                part = self._block(number)[row : row + count - filled]
                taken[filled : filled + len(part)] = part
                filled += len(part)
        return taken

    def _block(self, number: int) -> NDArray[np.float32]:
        """A block, drawn if it is not kept, with all before it that no state is known of."""
        if number not in self._blocks:
            nearest = min(number, len(self._states) - 1)
            self._stream.set_state(self._states[nearest])
            for drawn in range(nearest, number + 1):
                numbers = self._stream.standard_normal(self.height * self.depth)
                self.drawn += 1
                if drawn + 1 == len(self._states):
                    self._states.append(self._stream.get_state())
            self._blocks[number] = numbers.reshape(self.height, self.depth).astype(np.float32)
            if len(self._blocks) > KEPT:
                del self._blocks[next(iter(self._blocks))]
        return self._blocks[number]


@lru_cache(maxsize=SERIES)
def series(seed: int, depth: int) -> LatentSeries:
    """The series of a seed with so many numbers a row."""
    return LatentSeries(seed, depth)
