"""Edits that were painted on one image, in a JSON file: strokes that mix units of a layer with values in some cells.

edits = read_painted("edits.json")
with painted(generator, edits) as edited:
    image = edited(latents(edits.seed, edits.latent, 1, generator.latent_shape))

The file is an object:

    edits       2
    model       the generator's name
    identity    its identity: strokes are made for certain weights
    layer       the layer whose units are edited
    height      rows of cells of the layer's map
    width       cells in a row
    seed        seed of the latents, 1 if it is missing
    latent      number of the latent in the series of the seed, 0 if it is missing
    strokes     a list, applied in order, of objects:
        units       different numbers of units
        values      for each unit the value that it is mixed with: 0 erases
        strength    from 0 (nothing happens) to 1 (the value replaces the activation), 1 if it is missing
        cells       numbers of cells, row by row; null or missing for all

A file of edits of the first kind (`models/edits.py`) is read as one stroke in all cells.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dissectreport.errors import ModelError
from dissectreport.models.base import Generator
from dissectreport.models.edits import VERSION as EVERYWHERE
from dissectreport.models.edits import Edits, check_identity, checked_edits, read_checked
from dissectreport.networks.edits import editing
from dissectreport.networks.hooks import margin_of, submodule

VERSION = 2
MOST_CELLS = 2**20
"""Cells of a layer, at most."""


@dataclass(frozen=True)
class Stroke:
    """Units that are mixed with values, in some cells or in all."""

    units: tuple[int, ...]
    values: tuple[float, ...]
    strength: float = 1.0
    """From 0 to 1, at which the value replaces the activation."""
    cells: tuple[int, ...] | None = None
    """Numbers of cells, row by row; None for all."""

    def on(self, activations: Tensor, margin: int) -> Tensor:
        """(n, units, h, w) with a margin around the cells -> the same shape, after the stroke."""
        chosen, height, width = list(self.units), activations.shape[2] - 2 * margin, activations.shape[3] - 2 * margin
        before = activations[:, chosen]
        values = activations.new_tensor(self.values).view(1, -1, 1, 1)
        mixed = before * (1 - self.strength) + values * self.strength
        if self.cells is not None:
            inside = torch.zeros(height * width, dtype=torch.bool, device=activations.device)
            inside[list(self.cells)] = True
            mixed = torch.where(functional.pad(inside.view(1, 1, height, width), [margin] * 4), mixed, before)
        edited = activations.clone()
        edited[:, chosen] = mixed
        return edited


@dataclass(frozen=True)
class PaintedEdits:
    """Strokes on one image of a generator."""

    model: str
    """The generator's name."""
    identity: str
    """The generator's identity."""
    layer: str
    height: int
    """Rows of cells; 0 for any number, where all strokes are in all cells."""
    width: int
    strokes: tuple[Stroke, ...]
    seed: int = 1
    latent: int = 0

    def text(self) -> str:
        """The content of the JSON file."""
        return json.dumps({"edits": VERSION, **asdict(self)}, indent=1) + "\n"


def read_painted(path: Path | str) -> PaintedEdits:
    """The strokes in a file; a BadOption if it is no file of edits."""
    return read_checked(path, checked_strokes, "the Paint page of a report saves them")


def checked_strokes(content: Any) -> PaintedEdits:
    """The strokes of a JSON value; TypeError, KeyError or ValueError for any other."""
    if isinstance(content, dict) and content.get("edits") == EVERYWHERE:
        return everywhere(checked_edits(content))
    if not isinstance(content, dict) or content.get("edits") != VERSION:
        raise ValueError(f"it does not begin with edits {EVERYWHERE} or {VERSION}")
    texts = {name: content[name] for name in ("model", "identity", "layer")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("model, identity and layer must be texts")
    numbers = {"seed": 1, "latent": 0, **{name: content[name] for name in ("height", "width")}}
    numbers |= {name: content[name] for name in ("seed", "latent") if name in content}
    if not all(type(value) is int and 0 <= value < 2**32 for value in numbers.values()):
        raise ValueError("height, width, seed and latent must be whole numbers")
    cells = numbers["height"] * numbers["width"]
    if not 0 < cells <= MOST_CELLS:
        raise ValueError(f"a layer has 1 to {MOST_CELLS:,} cells")
    if not isinstance(content["strokes"], list):
        raise ValueError("strokes must be a list")
    return PaintedEdits(**texts, strokes=tuple(_stroke(one, cells) for one in content["strokes"]), **numbers)


def _stroke(content: Any, cells: int) -> Stroke:
    if not isinstance(content, dict):
        raise ValueError("a stroke must be an object")
    units, values, strength = content["units"], content["values"], content.get("strength", 1)
    where = content.get("cells")
    if not _are_different_numbers(units, 2**31) or not units:
        raise ValueError("the units of a stroke must be different whole numbers, at least one")
    if not isinstance(values, list) or len(values) != len(units) or not all(map(_is_number, [*values, strength])):
        raise ValueError("a stroke must have as many finite values as units, and a strength")
    if not 0 <= strength <= 1:
        raise ValueError("strength is from 0 to 1")
    if where is not None and not _are_different_numbers(where, cells):
        raise ValueError(f"cells must be different whole numbers below {cells}, or null")
    return Stroke(tuple(units), tuple(map(float, values)), float(strength), None if where is None else tuple(where))


def _are_different_numbers(values: Any, below: int) -> bool:
    """Whether this is a list of different whole numbers from 0 on."""
    if not isinstance(values, list) or not all(type(value) is int and 0 <= value < below for value in values):
        return False
    return len(set(values)) == len(values)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and isfinite(value) and abs(value) < 1e30


def everywhere(edits: Edits) -> PaintedEdits:
    """Edits in all cells as one stroke."""
    return PaintedEdits(edits.model, edits.identity, edits.layer, 0, 0, (Stroke(edits.units, edits.values),))


@contextmanager
def painted(generator: Generator, edits: PaintedEdits, other_weights: bool = False) -> Iterator[Generator]:
    """The generator, with the strokes on its layer while the block runs.

    Raises a ModelError if the strokes were made for another identity, unless `other_weights` is true, or for a layer
    of other size.
    """
    check_identity(edits, generator, other_weights)
    margin = margin_of(submodule(generator.module, edits.layer))
    with editing(generator.module, edits.layer, _AllStrokes(edits, margin)):
        yield generator


@dataclass(frozen=True)
class _AllStrokes:
    """All strokes of some edits, as an edit of the layer."""

    edits: PaintedEdits
    margin: int

    @property
    def units(self) -> tuple[int, ...]:
        return tuple(sorted({unit for stroke in self.edits.strokes for unit in stroke.units}))

    def __call__(self, activations: Tensor) -> Tensor:
        size = tuple(side - 2 * self.margin for side in activations.shape[2:])
        wanted = self.edits.height, self.edits.width
        if wanted not in ((0, 0), size):
            raise ModelError(
                f"these edits are for {wanted[0]} x {wanted[1]} cells, and {self.edits.layer!r} has {size[0]} x "
                f"{size[1]}; paint them again on this model"
            )
        for stroke in self.edits.strokes:
            activations = stroke.on(activations, self.margin)
        return activations
