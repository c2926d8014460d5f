"""Edits that a person can take away: units of a layer and the values to which they are set, in a small JSON file.

edits = read_edits("edits.json")
with repaired(generator, edits) as better:
    images = better(latents(1, 0, 8, generator.latent_shape))
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

from dissectreport.errors import BadOption, ModelError
from dissectreport.models.base import Generator
from dissectreport.networks.edits import Edit, editing

VERSION = 1


@dataclass(frozen=True)
class Edits:
    """Units of one layer, the values to which they are set everywhere, and the weights for which they were chosen."""

    model: str
    identity: str
    """The generator's identity."""
    layer: str
    units: tuple[int, ...]
    values: tuple[float, ...]
    rule: str = ""
    """How the units were chosen, in words."""

    def text(self) -> str:
        """The edits as JSON."""
        return json.dumps({"edits": VERSION, **asdict(self)}, indent=1) + "\n"


def read_edits(path: Path | str) -> Edits:
    """The edits of a file; BadOption says what is wrong with it."""
    try:
        held = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise BadOption(f"edits {path} cannot be read: {reason}") from error
    try:
        return _checked(held)
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise BadOption(
            f"{path} holds no edits ({' '.join(str(error).split())[:120]}); `dissectreport artifacts` writes them"
        ) from error


def _checked(held: Any) -> Edits:
    if not isinstance(held, dict) or held.get("edits") != VERSION:
        raise ValueError(f"it does not begin with edits {VERSION}")
    units, given = tuple(held["units"]), tuple(held["values"])
    numbers = all(type(value) in (int, float) for value in given)
    if not all(type(unit) is int and unit >= 0 for unit in units) or not numbers or len(units) != len(given):
        raise ValueError("units are whole numbers, and values as many numbers")
    if len(set(units)) < len(units):
        raise ValueError("a unit is there twice")
    values = tuple(map(float, given))
    if not units or not all(map(isfinite, values)):
        raise ValueError("there must be a unit, and every value must be finite")
    words = {name: held[name] for name in ("model", "identity", "layer")}
    if not all(isinstance(word, str) for word in words.values()):
        raise ValueError("model, identity and layer are words")
    return Edits(**words, units=units, values=values, rule=str(held.get("rule", "")))


@contextmanager
def repaired(generator: Generator, edits: Edits, other_weights: bool = False) -> Iterator[Generator]:
    """The generator, whose images are edited while the block runs; nothing of it is changed for good.

    Edits that were made for other weights are refused, unless `other_weights` allows them.
    """
    if edits.identity != generator.identity and not other_weights:
        raise ModelError(
            f"these edits were made for other weights ({edits.model}) than those of {generator.name}; units of other "
            "weights mean other things: look for artifact units of this model, or allow --other-weights"
        )
    with editing(generator.module, edits.layer, Edit(edits.units, torch.tensor(edits.values))):
        yield generator
