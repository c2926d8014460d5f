"""Select the tensors of a network from a checkpoint, and load them, or explain why they do not fit.

load_exactly(network, select_tensors(read_checkpoint(path), part="g_ema", prefix="module."), "generator.pt")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from dissectreport.errors import WeightsError

Network = TypeVar("Network", bound=nn.Module)

PARALLEL = "module."
"""Prefix of all names if a network was saved inside DataParallel."""
WRAPPER = "state_dict"
COUNTER = "num_batches_tracked"
"""A counter of batch norm, which old files lack and evaluation does not use."""


def select_tensors(checkpoint: Mapping[str, object], part: str = "", prefix: str = "") -> dict[str, Tensor]:
    """The tensors by name in a checkpoint or in its `part` ("a.b" for a nested one), without `prefix` in their names.

    A `state_dict` and the prefix `module.` need not be given. Raises a WeightsError that lists what there is.
    """
    table: object = checkpoint
    for step in part.split(".") if part else ():
        if not isinstance(table, Mapping) or step not in table:
            raise WeightsError(f"there is no part {part!r} in this file; {contents(checkpoint)}")
        table = table[step]
    if isinstance(table, Mapping) and isinstance(table.get(WRAPPER), Mapping):
        table = table[WRAPPER]
    if not isinstance(table, Mapping):
        raise WeightsError(f"part {part!r} is a {type(table).__name__}; it should be a table of tensors")
    tensors = {str(name): value for name, value in table.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(
            f"there are no tensors {f'in part {part!r}' if part else 'at the top of this file'}; {contents(table)}"
        )
    if all(name.startswith(PARALLEL) for name in tensors) and not prefix.startswith(PARALLEL):
        tensors = without_prefix(tensors, PARALLEL)
    return without_prefix(tensors, prefix)


def without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, renamed without it; a WeightsError if there are none."""
    selected = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    if not selected:
        raise WeightsError(f"no tensor's name begins with {prefix!r}; the names are {first_of(list(tensors))}")
    return selected


def contents(checkpoint: Mapping[str, object]) -> str:
    """The parts of a checkpoint, for an error message."""
    parts = [str(name) for name, value in checkpoint.items() if isinstance(value, Mapping)]
    return (
        f"it has the parts {', '.join(parts)}: set part = …"
        if parts
        else f"it contains {first_of([str(k) for k in checkpoint])}"
    )


def first_of(names: list[str]) -> str:
    """The first three names, and the number of others."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "nothing"


def load_exactly(network: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load a state dict into a network. Every tensor must be there and have the right shape.

    `what` names the network in the WeightsError, which names the first tensor that is missing, unknown or of another
    shape. A network on the device meta takes over the tensors without a copy.
    """
    expected = network.state_dict()
    given = with_parallel_prefix(tensors, expected)
    problem = mismatch(given, expected)
    if problem:
        raise WeightsError(f"these weights do not fit {what}: {problem}")
    counters = {name: torch.zeros_like(expected[name], device="cpu") for name in expected if name.endswith(COUNTER)}
    without_storage = any(value.is_meta for value in expected.values())
    network.load_state_dict({**counters, **given}, assign=without_storage)


def with_parallel_prefix(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors, with the prefix of DataParallel added if the network has it and they do not."""
    parallel = bool(expected) and all(name.startswith(PARALLEL) for name in expected)
    if not parallel or any(name.startswith(PARALLEL) for name in tensors):
        return tensors
    return {f"{PARALLEL}{name}": value for name, value in tensors.items()}


def mismatch(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Why tensors do not fit; '' if they do."""
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
    """A hint with the prefix that would make the names fit; '' if there is none."""
    first = next(iter(expected), "")
    prefixes = [name[: -len(first)] for name in given if first and name.endswith(f".{first}")]
    if prefixes and all(f"{prefixes[0]}{name}" in given for name in expected):
        return f"; set prefix = {prefixes[0]!r}"
    return ""


def channels_last(network: Network) -> Network:
    """The network with channels-last weights, which are faster on a CPU."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
