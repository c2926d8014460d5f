"""Dataclasses of plain values, to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Plain:
    """Fields of numbers, words and tuples of them, which come back from JSON as they were."""

    def to_json(self) -> dict[str, Any]:
        """The fields by name, as values of JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The value that `to_json` gave; TypeError for other fields. Lists of JSON are tuples here."""
        return cls(**{name: tuple(item) if isinstance(item, list) else item for name, item in value.items()})
