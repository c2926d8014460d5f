"""Where units stand on the map: units with similar labels are neighbours, and no two share a cell.

Concepts are placed first, by how often units match both (classical scaling of cosine distances, then stress
majorisation: de Leeuw 1977). A unit stands between the concepts that it matches; the strongest takes the free cell
nearest to that place first.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Places2D = NDArray[np.float64]
STEPS = 60
"""Steps of stress majorisation."""
SHARPNESS = 3.0
"""The power of a match by which a concept draws a unit: the best match counts far more than the others."""
FREE = 1.3
"""Cells for each unit."""


def grid_for(units: int, shape: float = 1.7) -> tuple[int, int]:
    """Columns and rows of a grid with room for the units, about `shape` times as wide as high."""
    rows = max(1, math.ceil(math.sqrt(FREE * units / shape)))
    return math.ceil(FREE * units / rows), rows


def unit_cells(matches: NDArray[np.float64], columns: int, rows: int) -> NDArray[np.int64]:
    """(units,) the cell of each unit, row by row; `matches` (units, concepts) are at least 0, strongest unit first."""
    spots = _between(matches, concept_places(matches)) * (columns - 1, rows - 1)
    down, across = np.divmod(np.arange(columns * rows), columns)
    cells = np.empty(len(matches), np.int64)
    taken = np.zeros(columns * rows)
    for unit, (x, y) in enumerate(spots):
        cells[unit] = int(((across - x) ** 2 + (down - y) ** 2 + taken).argmin())
        taken[cells[unit]] = math.inf
    return cells


def concept_places(matches: NDArray[np.float64]) -> Places2D:
    """(concepts, 2) places of concepts; those that the same units match are near each other."""
    length = np.sqrt((matches**2).sum(0))
    directions = matches / np.where(length > 0, length, 1)
    distances = np.round(1 - np.clip(directions.T @ directions, 0, 1), 6)
    np.fill_diagonal(distances, 0)
    return _majorised(_scaled(distances), distances)


def _scaled(distances: Places2D) -> Places2D:
    """Classical scaling; the sign of an axis is that of its largest number."""
    count = len(distances)
    centred = np.eye(count) - 1 / count
    values, vectors = np.linalg.eigh(-0.5 * centred @ distances**2 @ centred)
    axes = vectors[:, ::-1][:, :2] * np.sqrt(np.maximum(values[::-1][:2], 0))
    axes = np.pad(axes, ((0, 0), (0, 2 - axes.shape[1])))
    return np.asarray(axes * np.where(np.take_along_axis(axes, np.abs(axes).argmax(0)[None], 0) < 0, -1, 1))


def _majorised(places: Places2D, distances: Places2D) -> Places2D:
    for _ in range(STEPS):
        length = (places**2).sum(1)
        apart = np.sqrt(np.maximum(length[:, None] + length - 2 * places @ places.T, 0))
        pull = -np.where(apart > 1e-9, distances / np.maximum(apart, 1e-9), 0)
        np.fill_diagonal(pull, 0)
        np.fill_diagonal(pull, -pull.sum(1))
        places = pull @ places / len(places)
    return places


def _between(matches: NDArray[np.float64], places: Places2D) -> Places2D:
    """(units, 2) places from 0 to 1: half by distance, half by order, so that units fill the map."""
    weights = matches**SHARPNESS
    total = weights.sum(1, keepdims=True)
    spots = np.where(total > 0, weights @ places / np.where(total > 0, total, 1), places.mean(0))
    spots = np.round(spots, 6)
    low, span = spots.min(0), np.ptp(spots, 0)
    by_distance = (spots - low) / np.where(span > 0, span, 1)
    order = spots.argsort(0, kind="stable").argsort(0, kind="stable") / max(len(spots) - 1, 1)
    return np.asarray((by_distance + order) / 2)
