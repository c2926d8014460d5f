"""The activation levels at which a unit may count as on, chosen from a pilot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Arrays, Floats, Ints
from dissectreport.stats.histogram import Histogram

CELLS = 1024
"""Even cells between the pilot's extremes; levels lie on their edges, so that binning is a table look-up."""

FINE = 1 << 14
"""Even cells between the extremes of all activations, where levels are activations."""

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

    @property
    def span(self) -> Floats:
        """(units,) the activations between the lower end of the first cell and the upper end of the last."""
        return self.width * CELLS

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


@dataclass(frozen=True)
class ExactLevels:
    """Rising levels of every unit as activations; a unit is on where it exceeds the level."""

    low: Floats
    """(units,) a little below the smallest activation."""
    span: Floats
    """(units,) from there to a little above the largest."""
    cuts: NDArray[np.float32]
    """(units, t) rising."""
    own: Ints
    """(units,) column of `cuts` at which the rule calls the unit on."""

    @classmethod
    def of(cls, activations: Histogram, tails: Floats, own: float) -> ExactLevels:
        """Levels with at most the falling `tails` of the activations above them; `own` is the rule's tail."""
        cuts = activations.cuts(tails).astype(np.float32)
        span = activations.width * activations.counts.shape[1]
        return cls(activations.low, span, cuts, np.full(len(cuts), nearest(tails, np.array([own]))[0]))

    def around(self, column: Ints) -> ExactLevels:
        """Of these, the levels nearest to the null's tails, and each unit's own, at `column` (units,)."""
        tails = np.append(SEARCH, 1.0)[::-1]
        own = np.take_along_axis(self.cuts, column[:, None], 1)
        cuts = np.sort(np.concatenate([self.cuts[:, nearest(tails, NULL_TAILS)], own], 1), axis=1)
        return ExactLevels(self.low, self.span, cuts, (cuts < own).sum(1))

    @property
    def null(self) -> Ints:
        """(t,) columns of `cuts` at which chance is counted: all."""
        return np.arange(self.cuts.shape[1])

    def values(self) -> NDArray[np.float32]:
        """(units, t) levels as activations."""
        return self.cuts

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The levels as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The levels back from arrays."""
        return cls(
            np.asarray(arrays["low"], np.float64),
            np.asarray(arrays["span"], np.float64),
            np.asarray(arrays["cuts"], np.float32),
            np.asarray(arrays["own"], np.int64),
        )


AnyLevels = Levels | ExactLevels


@dataclass(frozen=True)
class Cutting:
    """How a rule's levels follow from a histogram of activations."""

    cells: int
    """Even cells of the histogram."""
    of: Callable[[Histogram], AnyLevels]
    """The levels for a histogram."""
    read: Callable[[Arrays], AnyLevels]
    """The levels back from arrays."""


def searched(activations: Histogram) -> ExactLevels:
    """The 100 levels among which the ICLR 2019 rule searches."""
    return ExactLevels.of(activations, np.append(SEARCH, 1.0)[::-1], 1.0)


def hundredth(activations: Histogram) -> ExactLevels:
    """The PNAS 2020 rule's level, which one pixel in a hundred exceeds, among others for curves."""
    return ExactLevels.of(activations, NULL_TAILS, 0.01)


CUTTINGS = {
    "corrected": Cutting(CELLS, Levels.of, Levels.from_arrays),
    "iclr2019": Cutting(FINE, searched, ExactLevels.from_arrays),
    "pnas2020": Cutting(FINE, hundredth, ExactLevels.from_arrays),
}
"""By rule."""


def nearest(tails: Floats, wanted: Floats) -> Ints:
    """(w,) for each wanted tail the number of the nearest of `tails` on a logarithmic scale."""
    return np.asarray(np.abs(np.log(tails)[None] - np.log(wanted)[:, None]).argmin(1), np.int64)


def table(edges: Ints) -> NDArray[np.uint8]:
    """(units, t) rising cell numbers -> (units, CELLS) number of them at or below each cell."""
    cells = np.arange(CELLS)
    return np.stack([np.searchsorted(row, cells, side="right") for row in edges]).astype(np.uint8)
