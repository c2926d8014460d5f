"""The activation thresholds above which a unit can count as on, computed from a pilot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dissectreport.run.rules import RuleName
from dissectreport.stats.base import Arrays, Floats, Ints
from dissectreport.stats.histogram import Histogram

CELLS = 1024
"""Even cells between the pilot's extremes; thresholds lie on their edges, so that binning is a table look-up."""

FINE = 1 << 14
"""Even cells between the extremes of all activations, where thresholds are activations."""

SEARCH_ON_FRACTIONS = np.logspace(-3, 0, 100)[:-1]
"""On-fractions of the reference's threshold search (method: 100 points, of which the last is everything)."""

ON_FRACTIONS = np.sort(np.concatenate([SEARCH_ON_FRACTIONS, [0.005, 0.01], np.linspace(1, 0, 28)[1:-1]]))[::-1]
"""(127,) falling: the search's, the two fixed ones, and 26 even ones for concepts that fill the frame."""

CHANCE_ON_FRACTIONS = np.concatenate([[0.95], np.linspace(0.9, 0.1, 17), [
    0.08, 0.065, 0.05, 0.04, 0.03, 0.02, 0.015, 0.01, 0.0075, 0.005, 0.003, 0.002, 0.0015, 0.001]])  # fmt: skip
"""(32,) falling: the on-fractions at which chance is counted."""


@dataclass(frozen=True)
class Thresholds:
    """Rising thresholds of every unit, each the lower edge of a cell.

    A unit is on where the cell of its activation is not below.
    """

    low: Floats
    """(units,) smallest activation of the pilot's range."""
    width: Floats
    """(units,) width of a cell."""
    edges: Ints
    """(units, 127) rising cell numbers."""
    chance_columns: Ints
    """(32,) columns of `edges` at which chance is counted."""

    @classmethod
    def of(cls, pilot: Histogram) -> Thresholds:
        """The thresholds for a pilot's histogram."""
        return cls(pilot.low, pilot.width, pilot.edge_cells(ON_FRACTIONS), nearest(ON_FRACTIONS, CHANCE_ON_FRACTIONS))

    @property
    def span(self) -> Floats:
        """(units,) the activations between the lower end of the first cell and the upper end of the last."""
        return self.width * CELLS

    def values(self) -> NDArray[np.float32]:
        """(units, 127) thresholds as activations."""
        return (self.low[:, None] + self.edges * self.width[:, None]).astype(np.float32)

    def bin_table(self) -> NDArray[np.uint8]:
        """(units, cells) number of edges at or below each cell, 0 to 127: the bin that the cell belongs to."""
        return table(self.edges)

    def chance_table(self) -> NDArray[np.uint8]:
        """(units, cells) the same with the edges at which chance is counted, 0 to 32."""
        return table(self.edges[:, self.chance_columns])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The thresholds as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The thresholds back from arrays."""
        return cls(
            np.asarray(arrays["low"], np.float64),
            np.asarray(arrays["width"], np.float64),
            np.asarray(arrays["edges"], np.int64),
            np.asarray(arrays["chance_columns"], np.int64),
        )


@dataclass(frozen=True)
class ExactThresholds:
    """Rising thresholds of every unit as activations; a unit is on where it exceeds the threshold."""

    low: Floats
    """(units,) a little below the smallest activation."""
    span: Floats
    """(units,) from there to a little above the largest."""
    cuts: NDArray[np.float32]
    """(units, t) rising."""
    own: Ints
    """(units,) column of `cuts` that is the rule's threshold."""

    @classmethod
    def of(cls, activations: Histogram, on_fractions: Floats, own: float) -> ExactThresholds:
        """Thresholds with at most the falling `on_fractions` (t,) of activations above; `own` is the rule's."""
        cuts = activations.cuts(on_fractions).astype(np.float32)
        span = activations.width * activations.counts.shape[1]
        return cls(activations.low, span, cuts, np.full(len(cuts), nearest(on_fractions, np.array([own]))[0]))

    def around(self, column: Ints) -> ExactThresholds:
        """The thresholds nearest to `CHANCE_ON_FRACTIONS`, with each unit's own, which is in `column` (units,)."""
        on_fractions = np.append(SEARCH_ON_FRACTIONS, 1.0)[::-1]
        own = np.take_along_axis(self.cuts, column[:, None], 1)
        cuts = np.sort(np.concatenate([self.cuts[:, nearest(on_fractions, CHANCE_ON_FRACTIONS)], own], 1), axis=1)
        return ExactThresholds(self.low, self.span, cuts, (cuts < own).sum(1))

    @property
    def chance_columns(self) -> Ints:
        """(t,) columns of `cuts` at which chance is counted: all."""
        return np.arange(self.cuts.shape[1])

    def values(self) -> NDArray[np.float32]:
        """(units, t) thresholds as activations."""
        return self.cuts

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The thresholds as arrays."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The thresholds back from arrays."""
        return cls(
            np.asarray(arrays["low"], np.float64),
            np.asarray(arrays["span"], np.float64),
            np.asarray(arrays["cuts"], np.float32),
            np.asarray(arrays["own"], np.int64),
        )


AnyThresholds = Thresholds | ExactThresholds


def thresholds_from_arrays(arrays: Arrays) -> AnyThresholds:
    """The thresholds that these arrays came from, of either kind."""
    return ExactThresholds.from_arrays(arrays) if "cuts" in arrays else Thresholds.from_arrays(arrays)


@dataclass(frozen=True)
class RuleThresholds:
    """How a rule's thresholds follow from a histogram of activations."""

    cells: int
    """Even cells of the histogram."""
    of: Callable[[Histogram], AnyThresholds]
    """The thresholds for a histogram."""


def search_thresholds(activations: Histogram) -> ExactThresholds:
    """The 100 thresholds among which the ICLR 2019 rule searches."""
    return ExactThresholds.of(activations, np.append(SEARCH_ON_FRACTIONS, 1.0)[::-1], 1.0)


def one_percent_thresholds(activations: Histogram) -> ExactThresholds:
    """The PNAS 2020 rule's threshold, exceeded by one pixel in a hundred, and further ones for curves."""
    return ExactThresholds.of(activations, CHANCE_ON_FRACTIONS, 0.01)


RULE_THRESHOLDS: Mapping[str, RuleThresholds] = {
    RuleName.CORRECTED: RuleThresholds(CELLS, Thresholds.of),
    RuleName.ICLR2019: RuleThresholds(FINE, search_thresholds),
    RuleName.PNAS2020: RuleThresholds(FINE, one_percent_thresholds),
}
"""By rule."""


def nearest(on_fractions: Floats, targets: Floats) -> Ints:
    """(w,) for each target the index of the nearest of `on_fractions` on a logarithmic scale."""
    return np.asarray(np.abs(np.log(on_fractions)[None] - np.log(targets)[:, None]).argmin(1), np.int64)


def table(edges: Ints) -> NDArray[np.uint8]:
    """(units, t) rising cell numbers -> (units, CELLS) number of them at or below each cell."""
    width = CELLS + 1
    keys = np.arange(len(edges))[:, None] * width + edges.clip(0, CELLS)
    at = np.bincount(keys.flatten(), minlength=len(edges) * width).reshape(-1, width)[:, :CELLS]
    return at.astype(np.uint8).cumsum(1, dtype=np.uint8)
