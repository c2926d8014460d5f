"""The activation levels at which a unit may count as on, chosen from a pilot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Arrays, Floats, Ints
from dissectreport.stats.histogram import Histogram

CELLS = 1024
"""Even cells between the pilot's extremes; levels lie on their edges, so that binning is a table look-up."""

SEARCH = np.logspace(-3, 0, 100)[:-1]
"""Tails of the reference's threshold search (method: 100 points, of which the last is everything)."""

TAILS = np.sort(np.concatenate([SEARCH, [0.005, 0.01], np.linspace(1, 0, 28)[1:-1]]))[::-1]
"""(127,) falling: the search's, the two fixed ones, and 26 even ones for concepts that fill the frame."""

NULL_TAILS = np.concatenate([[0.95], np.linspace(0.9, 0.1, 17), [
    0.08, 0.065, 0.05, 0.04, 0.03, 0.02, 0.015, 0.01, 0.0075, 0.005, 0.003, 0.002, 0.0015, 0.001]])  # fmt: skip
"""(32,) falling: the tails at which chance is counted."""


@dataclass(frozen=True)
class Levels:
    """Rising levels of every unit. A level is the lower edge of a cell; a unit is on where its cell is not below."""

    low: Floats
    """(units,) smallest activation of the pilot's range."""
    width: Floats
    """(units,) width of a cell."""
    edges: Ints
    """(units, 127) rising cell numbers."""
    null: Ints
    """(32,) columns of `edges` at which chance is counted."""

    @classmethod
    def of(cls, pilot: Histogram) -> Levels:
        """The levels for a pilot's histogram."""
        return cls(pilot.low, pilot.width, pilot.edge_cells(TAILS), nearest(TAILS, NULL_TAILS))

    def values(self) -> NDArray[np.float32]:
        """(units, 127) levels as activations."""
        return (self.low[:, None] + self.edges * self.width[:, None]).astype(np.float32)

    def bin_table(self) -> NDArray[np.uint8]:
        """(units, cells) number of edges at or below each cell, 0 to 127: the bin that the cell belongs to."""
        return table(self.edges)

    def null_table(self) -> NDArray[np.uint8]:
        """(units, cells) the same with the null's edges alone, 0 to 32."""
        return table(self.edges[:, self.null])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The levels as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The levels back from arrays."""
        return cls(
            np.asarray(arrays["low"], np.float64),
            np.asarray(arrays["width"], np.float64),
            np.asarray(arrays["edges"], np.int64),
            np.asarray(arrays["null"], np.int64),
        )


def nearest(tails: Floats, wanted: Floats) -> Ints:
    """(w,) for each wanted tail the number of the nearest of `tails` on a logarithmic scale."""
    return np.abs(np.log(tails)[None] - np.log(wanted)[:, None]).argmin(1).astype(np.int64)


def table(edges: Ints) -> NDArray[np.uint8]:
    """(units, t) rising cell numbers -> (units, CELLS) number of them at or below each cell."""
    cells = np.arange(CELLS)
    return np.stack([np.searchsorted(row, cells, side="right") for row in edges]).astype(np.uint8)
