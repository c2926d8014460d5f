"""Connected components of label maps, and the halves of the bounding box of each.

The algorithm has no loop over pixels. A run is a sequence of pixels of equal label in a row. Runs of equal label that
touch in adjacent rows are pairs. Pairs are joined into components by propagating the lowest run number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class PixelRuns:
    """The runs of label maps, numbered along rows, then columns, then images."""

    at: Ints
    """(n, h, w) number of the run of each pixel."""
    row: Ints
    """(runs,) row of each run."""
    first: Ints
    """(runs,) first column of each run."""
    last: Ints
    """(runs,) last column of each run."""

    @classmethod
    def of(cls, labels: NDArray[Any]) -> PixelRuns:
        """The runs of (n, h, w) labels."""
        begins = np.ones(labels.shape, np.bool_)
        begins[:, :, 1:] = labels[:, :, 1:] != labels[:, :, :-1]
        at = begins.ravel().cumsum().reshape(labels.shape) - 1
        begin = np.flatnonzero(begins)
        end = np.append(begin[1:], labels.size) - 1
        height, width = labels.shape[1:]
        return cls(at, begin // width % height, begin % width, end % width)

    def __len__(self) -> int:
        return len(self.row)


def components(labels: NDArray[Any]) -> Ints:
    """(n, h, w) labels -> (n, h, w) number of each pixel's 8-connected component of equal labels."""
    runs = PixelRuns.of(labels)
    return connect(len(runs), *touching(labels, runs))[runs.at]


def halves(labels: NDArray[Any]) -> tuple[Bools, Bools]:
    """(n, h, w) labels -> whether each pixel is in the lower half, and in the right half, of its component's box.

    If the number of rows or columns is odd, the middle one belongs to the lower or right half.
    """
    runs = PixelRuns.of(labels)
    root = connect(len(runs), *touching(labels, runs))
    bottom, left, right = runs.row.copy(), runs.first.copy(), runs.last.copy()
    np.maximum.at(bottom, root, runs.row)
    np.minimum.at(left, root, runs.first)
    np.maximum.at(right, root, runs.last)
    # The number of a component is that of its first run, which is in its topmost row.
    middle_row, middle_column = ((runs.row + bottom + 1) // 2)[root], ((left + right + 1) // 2)[root]
    rows, columns = (np.arange(side) for side in labels.shape[1:])
    return rows[:, None] >= middle_row[runs.at], columns >= middle_column[runs.at]


def touching(labels: NDArray[Any], runs: PixelRuns) -> tuple[Ints, Ints]:
    """Pairs of runs of equal label that touch in adjacent rows, corners included: (pairs,) upper, (pairs,) lower."""
    width = labels.shape[2]
    upper, lower = [], []
    for shift in (-1, 0, 1):
        above = np.s_[:, :-1, max(0, -shift) : width - max(0, shift)]
        below = np.s_[:, 1:, max(0, shift) : width - max(0, -shift)]
        same = labels[above] == labels[below]
        upper.append(runs.at[above][same])
        lower.append(runs.at[below][same])
    over, under = np.concatenate(upper), np.concatenate(lower)
    new = np.ones(len(over), np.bool_)
    new[1:] = (over[1:] != over[:-1]) | (under[1:] != under[:-1])
    return over[new], under[new]


def connect(count: int, first: Ints, second: Ints) -> Ints:
    """(count,) the lowest number that pairs (`first`, `second`) connect each number with, directly or not."""
    root = np.arange(count)
    while True:
        root_1, root_2 = root[first], root[second]
        differs = root_1 != root_2
        if not differs.any():
            return root
        first, second = first[differs], second[differs]
        np.minimum.at(root, np.maximum(root_1, root_2)[differs], np.minimum(root_1, root_2)[differs])
        root = roots(root)


def roots(root: Ints) -> Ints:
    """The last element of each chain of roots."""
    while not np.array_equal(following := root[root], root):
        root = following
    return root
