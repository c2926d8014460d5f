"""Find networks in a checkpoint: where its state dicts are, and which one fits a network.

at(content, "models.gen.ema")               # the table under a key, which may itself have dots or be a number
best = places_of(content, network)[:1]      # such as Place(part="g_ema", prefix="")
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dissectreport.checkpoints.names import COUNTER, EXTRA_STATE, common_name, first_of, quoted
from dissectreport.checkpoints.plain_data import as_tensor

WRAPPER = "state_dict"
"""A key under which programs save a state dict; it need not be named."""
DEEPEST, MOST = 6, 5000
AVERAGED = {"ema", "average", "averaged", "avg", "swa", "shadow", "smooth", "smoothed", "gs"}
GENERATOR = {"g", "gen", "generator", "netg", "decoder", "dec", "model"}
READER = {"d", "disc", "discriminator", "netd", "critic", "e", "encoder", "enc"}
"""Words in the names of networks: moving averages, generators, and networks that read images."""
OPTIMIZER = "param_groups"


@dataclass(frozen=True)
class Place:
    """Where the tensors of a network are in a checkpoint."""

    part: str
    prefix: str

    @property
    def words(self) -> frozenset[str]:
        """The words of its names, in lower case."""
        spaced = re.sub(r"([a-z])([A-Z]{2,}|[A-Z](?=[a-z]))", r"\1 \2", f"{self.part} {self.prefix}")
        return frozenset(re.split(r"[\W_]+", spaced.lower()))

    @property
    def averaged(self) -> bool:
        """Whether it is the moving average of a network in training, which makes the better images."""
        return bool(self.words & AVERAGED)

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """What sorts moving averages and generators before others."""
        return bool(self.words & READER), not self.averaged, not self.words & GENERATOR

    def __str__(self) -> str:
        named = (("part", self.part), ("prefix", self.prefix))
        return " and ".join(f"{key} = {quoted(value)}" for key, value in named if value)


def at(content: object, part: str) -> object:
    """What is under a key, or keys joined by dots; None if there is nothing. Keys may have dots, or be numbers."""
    if not part:
        return content
    for key, value in sorted(_items(content), key=lambda item: -len(item[0])):
        if key == part:
            return value
        if part.startswith(f"{key}."):
            found = at(value, part.removeprefix(f"{key}."))
            if found is not None:
                return found
    return None


def _items(content: object) -> list[tuple[str, object]]:
    """The keys and values of a table, or the numbers and items of a list."""
    if isinstance(content, Mapping):
        return [(str(key), value) for key, value in content.items()]
    return [(str(number), item) for number, item in enumerate(content)] if isinstance(content, list | tuple) else []


def is_optimizer(content: object) -> bool:
    """Whether a table is the state of an optimizer."""
    return isinstance(content, Mapping) and OPTIMIZER in content


def state_dicts(content: object) -> dict[str, Mapping[str, object]]:
    """All tables of tensors in a checkpoint by their part, outer ones first, except those of optimizers.

    At most MOST tables and lists are looked at, DEEPEST within each other.
    """
    found: dict[str, Mapping[str, object]] = {}
    waiting: deque[tuple[tuple[str, ...], object, frozenset[int]]] = deque([((), content, frozenset())])
    for _ in range(MOST):
        if not waiting:
            break
        steps, table, around = waiting.popleft()
        if isinstance(table, Mapping) and any(as_tensor(value) is not None for value in table.values()):
            found[".".join(steps)] = table
        around |= {id(table)}
        if len(steps) < DEEPEST and not is_optimizer(table):
            waiting += [
                ((*steps, *_step(key, value)), value, around)
                for key, value in _items(table)
                if isinstance(value, Mapping | list | tuple) and id(value) not in around
            ]
    return found


def _step(key: str, value: object) -> tuple[str, ...]:
    """The step to a value in the name of a part: none to a state_dict."""
    return () if key == WRAPPER and isinstance(value, Mapping) else (key,)


def places_of(content: object, expected: Mapping[str, object]) -> list[Place]:
    """Where a checkpoint has tensors of all the names and shapes of a state dict, the best place first."""
    needed = needed_shapes(expected)
    places = [
        Place(part, prefix)
        for part, table in state_dicts(content).items()
        for prefix in _prefixes(_shapes(table), needed)
    ]
    return sorted(places, key=lambda place: place.rank)


def needed_shapes(expected: Mapping[str, object]) -> dict[str, tuple[int, ...] | None]:
    """The shapes that a state dict needs, by common name; None for those that any shape fits.

    Tensors with several names are left out, because a file may have any one of these.
    """
    names = Counter(id(value) for value in expected.values())
    shapes: dict[str, tuple[int, ...] | None] = {}
    for name, value in expected.items():
        if names[id(value)] == 1 and not name.endswith((COUNTER, EXTRA_STATE)):
            has_shape = isinstance(value, Tensor) and not is_lazy(value)
            shapes[common_name(name)] = _shape(value) if has_shape else None
    return shapes


def _shape(value: Any) -> tuple[int, ...]:
    """A tensor's shape; (1,) for one number, which older versions of torch saved so."""
    return tuple(value.shape) or (1,)


def _shapes(table: Mapping[str, object]) -> dict[str, tuple[int, ...] | None]:
    tensors = {str(name): as_tensor(value) for name, value in table.items()}
    return {common_name(name): _shape(value) for name, value in tensors.items() if value is not None}


def _prefixes(
    given: Mapping[str, tuple[int, ...] | None], needed: Mapping[str, tuple[int, ...] | None]
) -> Iterator[str]:
    """What the names of a network begin with, wherever all of them are there with their shapes."""
    probe = max(needed, key=len, default="")
    for name in given if probe else ():
        prefix = name[: len(name) - len(probe)]
        if not name.endswith(probe) or (prefix and not prefix.endswith(".")):
            continue
        if all(shape in (given.get(prefix + key, ()), None) for key, shape in needed.items()):
            yield prefix


def proposal(content: object, network: nn.Module, given: Place) -> str:
    """The lines of a description that make the weights fit a network, and why; '' if none do."""
    places = places_of(content, network.state_dict(keep_vars=True))
    if not places or given in places:
        return ""
    best, others = places[0], [str(place) for place in places[1:] if str(place)]
    why = (
        "the moving average of the network, which makes better images" if best.averaged else "the names and shapes fit"
    )
    also = f"; {first_of(others)} would fit too" if others else ""
    return f"set {best} ({why}{also})" if str(best) else "leave out part and prefix: the names at the top fit"


def other_kind(tensors: Mapping[str, object]) -> str:
    """What weights seem to be, if they begin with an image and end with one number; '' otherwise."""
    shapes = [tuple(value.shape) for value in tensors.values() if isinstance(value, Tensor) and value.dim() in (2, 4)]
    if len(shapes) < 2 or len(shapes[0]) != 4:
        return ""
    reads = shapes[0][1] in (1, 3, 6) and shapes[0][0] > shapes[0][1] and shapes[-1][0] == 1
    return "they seem to be of a network that reads images, such as a discriminator" if reads else ""


def contents(content: Mapping[str, object]) -> str:
    """What a checkpoint has, for an error message."""
    parts = [part for part in state_dicts(content) if part] or [
        str(name) for name, value in content.items() if isinstance(value, Mapping)
    ]
    best = sorted(parts, key=lambda part: Place(part, "").rank)
    return f"it has the parts {first_of(best, 6)}" if parts else f"it contains {first_of(map(str, content))}"
