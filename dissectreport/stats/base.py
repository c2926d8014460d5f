"""What a statistic is: integer counts that merge exactly, with ratios as methods.

`a.merge(b)` equals having counted the samples of both; any split and any order gives the same bits. Float32 pixel
counts drift, int64 counts do not, so every array here is an integer array (or holds one value per sample).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any, Protocol, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from dissectreport.errors import MergeError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]


class Stat(Protocol):
    """Counts over samples."""

    def merge(self, other: Self) -> Self:
        """The counts of both."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays that `from_arrays` turns back into the same counts."""

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The counts that `arrays` came from."""


@dataclass(frozen=True)
class Counts:
    """Conversion to arrays and back, for statistics of whole numbers only."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The counts as arrays."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The counts back from arrays; an array without axes is a plain number."""
        values = {field.name: np.asarray(arrays[field.name], np.int64) for field in fields(cls)}
        return cls(**{name: value if value.ndim else int(value) for name, value in values.items()})


def by_sample(one: object, other: object) -> dict[str, NDArray[Any]]:
    """The rows of both, by name, in order of their sample numbers, which are the first field."""
    rows = {name: np.concatenate([mine, getattr(other, name)]) for name, mine in vars(one).items()}
    order = np.argsort(next(iter(rows.values())), kind="stable")
    return {name: values[order] for name, values in rows.items()}


S = TypeVar("S", bound=Stat)


def merge_all(stats: Iterable[S]) -> S:
    """The counts of all of `stats`, which must not be empty."""
    return reduce(lambda sofar, more: sofar.merge(more), stats)


def same_shape(what: str, mine: NDArray[Any], other: NDArray[Any]) -> None:
    """Refuse to add counts of different shapes, naming them."""
    if mine.shape != other.shape:
        raise MergeError(f"cannot merge {what}: {mine.shape} here, {other.shape} there")


def union(mine: Ints, other: Ints) -> Ints:
    """The rising numbers that are in either."""
    return np.union1d(mine, other).astype(np.int64)


A = TypeVar("A", bound=NDArray[Any])


def spread(counts: A, numbers: Ints, positions: Ints, axis: int, missing: float = 0) -> A:
    """`counts`, whose `axis` runs over rising `numbers`, laid out over `positions`, with `missing` between."""
    if np.array_equal(numbers, positions):
        return counts
    shape = list(counts.shape)
    shape[axis] = len(positions)
    out = np.full(shape, missing, counts.dtype) if missing else np.zeros(shape, counts.dtype)
    at = [slice(None)] * counts.ndim
    shared = np.isin(numbers, positions)
    at[axis] = np.searchsorted(positions, numbers[shared])  # type: ignore[call-overload]
    out[tuple(at)] = counts if shared.all() else np.compress(shared, counts, axis=axis)
    return cast("A", out)
