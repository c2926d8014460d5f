"""Counts that follow from other counts of the same file, which are kept once.

Pixels above a threshold are sums of pixels by bin, and pixels of a label set of one concept alone are often those of
the concept. Of such counts a file keeps which rows and columns of others they are, and the rows that follow from none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissectreport.stats.base import Ints
from dissectreport.stats.joint import above_edges

Arrays = dict[str, NDArray[Any]]

SOURCES: Mapping[str, str] = {
    "chance.observed": "joint.joint",
    "label_sets.on": "chance.observed",
    "label_sets.shifted": "chance.shifted",
}
"""By name the counts from which others may follow. The last axes of all are concepts or label sets, and bins or
thresholds."""
BY_BIN = "joint.joint"
"""Counts by bin: those above a threshold are sums of them."""
ROWS, COLUMNS = "~rows", "~columns"
"""Endings of the names of the rows (-1 for those that follow from none) and columns that counts are of their source."""


def without_shared(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The arrays of a file, in which those that follow from others have only the rows that do not."""
    kept = dict(arrays)
    for name, source in SOURCES.items():
        if name in arrays and source in arrays:
            kept |= _reduced(name, arrays)
    return kept


def _reduced(name: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """What a file keeps of an array, and which rows and columns of its source the others are; {} for none."""
    mine, theirs = (_flat(arrays[one]) for one in (name, SOURCES[name]))
    if mine is None or theirs is None:
        return {}
    rows = _positions(_concepts(name, arrays), _concepts(SOURCES[name], arrays))
    there = np.flatnonzero(rows >= 0)
    own, others = mine[:, there], theirs[:, rows[there]]
    columns = _columns(own, others, name)
    equal = (own == _at(others, columns, name)).all((0, 2))
    rows[there[~equal]] = -1
    return (
        {name: arrays[name][..., rows < 0, :], f"{name}{ROWS}": rows, f"{name}{COLUMNS}": columns}
        if equal.any()
        else {}
    )


def sources_of(name: str, names: Mapping[str, Any]) -> list[str]:
    """What an array of a file is made of: itself, and where it follows from others, these too."""
    if f"{name}{ROWS}" not in names:
        return [name]
    return [name, f"{name}{ROWS}", f"{name}{COLUMNS}", *sources_of(SOURCES[name], names)]


def restored(name: str, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """An array that `without_shared` was given, from those that it kept."""
    rest = arrays[name]
    if f"{name}{ROWS}" not in arrays:
        return rest
    rows, columns = (arrays[f"{name}{end}"].astype(np.int64) for end in (ROWS, COLUMNS))
    source, own = _flat(restored(SOURCES[name], arrays)), _flat(rest)
    assert source is not None and own is not None, "only counts of shards of one size are reduced"
    whole = np.empty((len(own), len(rows), len(columns)), np.int64)
    whole[:, rows < 0] = own
    whole[:, rows >= 0] = _at(source[:, rows[rows >= 0]], columns, name)
    return whole if rest.ndim == own.ndim else whole[None]


def _flat(array: NDArray[Any]) -> NDArray[Any] | None:
    """(units, rows, columns), without the axis of the sizes of shards if there is one size; else None."""
    return array if array.ndim == 3 else array[0] if len(array) == 1 else None


def _concepts(name: str, arrays: Mapping[str, NDArray[Any]]) -> Ints:
    """(rows,) the number of the concept that each row is of; -1 for label sets of none, or of several."""
    kind, _, _ = name.partition(".")
    if kind != "label_sets":
        return np.asarray(arrays[f"{kind}.concepts"])
    sets = arrays["label_sets.sets"]
    return np.where((sets > 0).sum(1) == 1, sets.max(1, initial=0), -1)


def _positions(mine: Ints, theirs: Ints) -> Ints:
    """(rows,) positions of numbers among others that rise; -1 for those that are not among them.

    >>> _positions(np.array([7, -1, 2, 3]), np.array([2, 7])).tolist()
    [1, -1, 0, -1]
    """
    return np.where(np.isin(mine, theirs), np.searchsorted(theirs, mine), -1)


def _columns(own: NDArray[Any], others: NDArray[Any], name: str) -> Ints:
    """(columns,) the column of the source whose sum is nearest to that of each column.

    Counts above thresholds fall from column to column, so that columns of equal sums are equal.
    """
    sums, by_column = own.sum((0, 1)), others.sum((0, 1))
    every = above_edges(by_column) if SOURCES[name] == BY_BIN else by_column
    return np.asarray(np.abs(sums[:, None] - every).argmin(1))


def _at(source: NDArray[Any], columns: Ints, name: str) -> NDArray[Any]:
    """(units, rows, columns) counts of the source: in those columns, or in the bins above them."""
    if SOURCES[name] != BY_BIN:
        return source[..., columns]
    # Sums of whole numbers below 2^24, or 2^53, are exact, and fastest as a product of matrices.
    kind = np.float32 if int(source.sum(2, dtype=np.int64).max(initial=0)) < 2**24 else np.float64
    inside = (np.arange(source.shape[-1])[:, None] > columns).astype(kind)
    return np.asarray(np.matmul(source.astype(kind), inside)).astype(np.int64)
