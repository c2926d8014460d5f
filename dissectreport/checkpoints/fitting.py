"""Put tensors into a network, all of them, or say in one line why they do not fit.

fit(network, tensors_at(read_checkpoint(path), part="g_ema", prefix="module."), "generator.pt")
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dissectreport.errors import WeightsError

PARALLEL = "module."
"""What names begin with when a network was saved inside DataParallel."""
WRAPPER = "state_dict"
COUNTER = "num_batches_tracked"
"""Batch norm's counter, which older files lack and evaluation does not use."""


def tensors_at(checkpoint: Mapping[str, object], part: str = "", prefix: str = "") -> dict[str, Tensor]:
    """The tensors by name in a checkpoint, or in its `part` ("a.b" for one inside another), without a `prefix`."""
    found: object = checkpoint
    for step in part.split(".") if part else ():
        if not isinstance(found, Mapping) or step not in found:
            raise WeightsError(f"there is no part {part!r} in this file; {held(checkpoint)}")
        found = found[step]
    if isinstance(found, Mapping) and isinstance(found.get(WRAPPER), Mapping):
        found = found[WRAPPER]
    if not isinstance(found, Mapping):
        raise WeightsError(f"part {part!r} is a {type(found).__name__}; it should be a table of tensors")
    tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(
            f"there are no tensors {f'in part {part!r}' if part else 'at the top of this file'}; {held(found)}"
        )
    if all(name.startswith(PARALLEL) for name in tensors) and not prefix.startswith(PARALLEL):
        tensors = without_prefix(tensors, PARALLEL)
    return without_prefix(tensors, prefix)


def without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it; all of them for ''."""
    found = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    if not found:
        raise WeightsError(f"no tensor's name begins with {prefix!r}; they are {some(list(tensors))}")
    return found


def held(checkpoint: Mapping[str, object]) -> str:
    """What a checkpoint holds, to choose from."""
    parts = [str(name) for name, value in checkpoint.items() if isinstance(value, Mapping)]
    return (
        f"it has the parts {', '.join(parts)}: say part = …"
        if parts
        else f"it holds {some([str(k) for k in checkpoint])}"
    )


def some(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "nothing"


def fit(network: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load tensors that fit a network exactly; WeightsError names the first that is missing, unknown or misshaped.

    A network without storage (on the device meta) takes the tensors themselves.
    """
    expected = network.state_dict()
    given = wrapped_like(tensors, expected)
    line = misfit(given, expected)
    if line:
        raise WeightsError(f"these weights do not fit {what}: {line}")
    counters = {name: torch.zeros_like(expected[name], device="cpu") for name in expected if name.endswith(COUNTER)}
    bare = any(value.is_meta for value in expected.values())
    network.load_state_dict({**counters, **given}, assign=bare)


def wrapped_like(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors with the prefix of DataParallel where it is the network's own, and they came without."""
    inside = bool(expected) and all(name.startswith(PARALLEL) for name in expected)
    if not inside or any(name.startswith(PARALLEL) for name in tensors):
        return tensors
    return {f"{PARALLEL}{name}": value for name, value in tensors.items()}


def misfit(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Why tensors do not fit, '' where they do."""
    problems = [f"{name} is missing" for name in expected if name not in given and not name.endswith(COUNTER)]
    problems += [f"{name} is unknown" for name in given if name not in expected]
    problems += [
        f"{name} has shape {tuple(given[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in given and given[name].shape != expected[name].shape
    ]
    problems += [
        f"{name} is quantized, sparse or without storage; save it as a plain tensor"
        for name, value in given.items()
        if value.is_quantized or value.is_meta or value.layout != torch.strided
    ]
    if not problems:
        return ""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{min(problems)}{more}{prefix_hint(given, expected)}"


def prefix_hint(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """The prefix that would make the names fit, where there is one."""
    first = next(iter(expected), "")
    ends = [name[: -len(first)] for name in given if first and name.endswith(f".{first}")]
    return f"; say prefix = {ends[0]!r}" if ends and all(f"{ends[0]}{name}" in given for name in expected) else ""
