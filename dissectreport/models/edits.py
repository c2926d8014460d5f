"""Edits of a generator in a JSON file: units of a layer, and the values to which they are set.

edits = read_edits("edits.json")
with repaired(generator, edits) as better:
    images = better(latents(1, 0, 8, generator.latent_shape))
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from dissectreport import structured
from dissectreport.errors import BadOption, ModelError
from dissectreport.models.base import Generator
from dissectreport.networks.edits import Edit, editing

VERSION = 1
Read = TypeVar("Read")


@dataclass(frozen=True)
class Edits:
    """Units of one layer, the values to which they are set everywhere, and the generator for which they were chosen."""

    model: str
    """The generator's name."""
    identity: str
    """The generator's identity."""
    layer: str
    units: tuple[int, ...]
    values: tuple[float, ...]
    rule: str = ""
    """A description of how the units were chosen."""

    def text(self) -> str:
        """The content of the JSON file."""
        return json.dumps({"edits": VERSION, **asdict(self)}, indent=1) + "\n"


def read_edits(path: Path | str) -> Edits:
    """The edits in a file; a BadOption if it is not a file of edits."""
    return read_checked(path, checked_edits, "`dissectreport artifacts` writes them")


def read_checked(path: Path | str, checked: Callable[[Any], Read], remedy: str) -> Read:
    """What `checked` makes of a JSON file of edits; a BadOption that ends with the remedy if it refuses the content."""
    try:
        content = structured.read_json(Path(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise BadOption(f"edits {path} cannot be read: {reason}") from error
    try:
        return checked(content)
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        why = " ".join(str(error).split())[:120]
        raise BadOption(f"{path} contains no edits ({why}); {remedy}") from error


def checked_edits(content: Any) -> Edits:
    """The edits of a JSON value; TypeError, KeyError or ValueError for any other."""
    if not isinstance(content, dict) or content.get("edits") != VERSION:
        raise ValueError(f"it does not begin with edits {VERSION}")
    units, values = tuple(content["units"]), tuple(content["values"])
    numbers = all(type(value) in (int, float) for value in values)
    if not all(type(unit) is int and unit >= 0 for unit in units) or not numbers or len(units) != len(values):
        raise ValueError("units must be whole numbers, and values must be as many numbers")
    if len(set(units)) < len(units):
        raise ValueError("a unit occurs twice")
    values = tuple(map(float, values))
    if not units or not all(map(isfinite, values)):
        raise ValueError("there must be at least one unit, and all values must be finite")
    texts = {name: content[name] for name in ("model", "identity", "layer")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("model, identity and layer must be texts")
    return Edits(**texts, units=units, values=values, rule=str(content.get("rule", "")))


class ForModel(Protocol):
    """Edits that were made for a certain generator."""

    @property
    def model(self) -> str:
        """The generator's name."""

    @property
    def identity(self) -> str:
        """The generator's identity."""


def check_identity(edits: ForModel, generator: Generator, other_weights: bool) -> None:
    """Refuse edits that were made for another identity, unless `other_weights` is true."""
    if edits.identity != generator.identity and not other_weights:
        raise ModelError(
            f"these edits were made for other weights ({edits.model}) than those of {generator.name}, so its units may "
            "have other meanings: find the artifact units of this model, or allow --other-weights"
        )


@contextmanager
def repaired(generator: Generator, edits: Edits, other_weights: bool = False) -> Iterator[Generator]:
    """The generator, with its units edited while the block runs.

    Raises a ModelError if the edits were made for another identity, unless `other_weights` is true.
    """
    check_identity(edits, generator, other_weights)
    with editing(generator.module, edits.layer, Edit(edits.units, torch.tensor(edits.values))):
        yield generator
