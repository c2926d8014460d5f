"""Connected components of label maps, and the halves of the box around each.

Exact and without a loop over pixels: pixels become runs (the same label side by side in a row), runs that touch across
rows become pairs, and pairs become components by letting every component take the lowest number that it touches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Runs:
    """The runs of label maps, numbered along rows, then down, then from image to image."""

    at: Ints
    """(n, h, w) the run of each pixel."""
    row: Ints
    """(runs,) its row."""
    first: Ints
    """(runs,) its first column."""
    last: Ints
    """(runs,) its last column."""

    @classmethod
    def of(cls, labels: NDArray[Any]) -> Runs:
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
    runs = Runs.of(labels)
    return joined(len(runs), *touching(labels, runs))[runs.at]


def halves(labels: NDArray[Any]) -> tuple[Bools, Bools]:
    """(n, h, w) labels -> whether each pixel lies in the lower, and in the right half of its component's box.

    Of an odd number of rows or columns, the middle one belongs to the lower or right half.
    """
    runs = Runs.of(labels)
    root = joined(len(runs), *touching(labels, runs))
    bottom, left, right = runs.row.copy(), runs.first.copy(), runs.last.copy()
    np.maximum.at(bottom, root, runs.row)
    np.minimum.at(left, root, runs.first)
    np.maximum.at(right, root, runs.last)
    # A component's number is its first run's, which is in its topmost row.
    middle_row, middle_column = ((runs.row + bottom + 1) // 2)[root], ((left + right + 1) // 2)[root]
    rows, columns = (np.arange(side) for side in labels.shape[1:])
    return rows[:, None] >= middle_row[runs.at], columns >= middle_column[runs.at]


def touching(labels: NDArray[Any], runs: Runs) -> tuple[Ints, Ints]:
    """The runs of equal labels that touch across rows, corners included: the upper ones, and for each a lower one."""
    width = labels.shape[2]
    upper, lower = [], []
    for move in (-1, 0, 1):
        above = np.s_[:, :-1, max(0, -move) : width - max(0, move)]
        below = np.s_[:, 1:, max(0, move) : width - max(0, -move)]
        same = labels[above] == labels[below]
        upper.append(runs.at[above][same])
        lower.append(runs.at[below][same])
    over, under = np.concatenate(upper), np.concatenate(lower)
    new = np.ones(len(over), np.bool_)
    new[1:] = (over[1:] != over[:-1]) | (under[1:] != under[:-1])
    return over[new], under[new]


def joined(count: int, first: Ints, second: Ints) -> Ints:
    """(count,) for each thing the lowest that pairs (`first`, `second`) connect it with."""
    root = np.arange(count)
    while True:
        one, other = root[first], root[second]
        apart = one != other
        if not apart.any():
            return root
        first, second = first[apart], second[apart]
        np.minimum.at(root, np.maximum(one, other)[apart], np.minimum(one, other)[apart])
        root = settled(root)


def settled(root: Ints) -> Ints:
    """The end of each chain of roots."""
    while not np.array_equal(further := root[root], root):
        root = further
    return root
