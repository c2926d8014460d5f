"""Dataclasses of plain values, to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from types import UnionType
from typing import Any, Self, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Plain:
    """Fields of numbers, strings and tuples of them, which JSON keeps unchanged."""

    def to_json(self) -> dict[str, Any]:
        """The fields by name, as values of JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The value that `to_json` gave; TypeError for other fields. Lists of JSON are tuples here."""
        return cls(**{name: tuple(item) if isinstance(item, list) else item for name, item in value.items()})


def check_types(value: Any) -> None:
    """Raise a TypeError for a field of a dataclass, at any depth, that is not of its declared type."""
    for name, hint in get_type_hints(type(value)).items():
        if name in value.__dataclass_fields__ and not _is_of(getattr(value, name), hint):
            raise TypeError(f"{name} cannot be {getattr(value, name)!r:.60}")


def _is_of(value: Any, hint: Any) -> bool:
    if is_dataclass(hint):
        if isinstance(value, hint):  # type: ignore[arg-type]
            check_types(value)
            return True
        return False
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        return isinstance(value, hint) and all(map(_is_of, value, get_type_hints(hint).values()))
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return any(_is_of(value, kind) for kind in inner)
    if origin is tuple:
        kinds = (inner[0],) * len(value) if isinstance(value, tuple) and inner[-1] is ... else inner
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_is_of, value, kinds))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return hint is Any or isinstance(value, origin or hint)
