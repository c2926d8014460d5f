"""Select the tensors of a network from a checkpoint, and load them, or explain why they do not fit.

load_exactly(network, select_tensors(read_checkpoint(path).content, part="g_ema", prefix="generator."), "generator.pt")
load_from(network, read_checkpoint(path).content, Place("g_ema", ""), "generator.pt")    # says what would fit
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dissectreport.checkpoints import parts
from dissectreport.checkpoints.names import (
    COUNTER,
    EXTRA_STATE,
    UNUSED,
    StateDict,
    first_of,
    module_of,
    quoted,
    renamings,
    unwrapped,
    versions_of,
)
from dissectreport.checkpoints.parts import Place
from dissectreport.checkpoints.plain_data import as_tensor
from dissectreport.errors import WeightsError

Network = TypeVar("Network", bound=nn.Module)

PARALLEL = "module."
"""Prefix of all names if a network was saved inside DataParallel."""
WRONG_SHAPE = re.compile(r"size mismatch for (\S+): .*?torch\.Size\(\[(.*?)\]\).*?torch\.Size\(\[(.*?)\]\)")
"""What torch says of a tensor of another shape: its name, its shape, and the network's."""
STATISTICS = ("running_mean", "running_var")
ANY_PART = ": set part = …"


# --- which tensors of a file -----------------------------------------------------------------------------------


def select_tensors(
    checkpoint: Mapping[str, object], part: str = "", prefix: str = "", ignore: Sequence[str] = ()
) -> StateDict:
    """The tensors by name in a checkpoint or in its `part` ("a.b" for a nested one), without `prefix` in their names.

    A `state_dict` and the prefix `module.` need not be given. Names that match one of the patterns `ignore` are left
    out. Extra state of modules is kept. Raises a WeightsError that lists what there is.
    """
    table = parts.at(checkpoint, part)
    if table is None:
        raise WeightsError(f"there is no part {part!r} in this file; {_contents(checkpoint)}")
    if isinstance(table, Mapping) and isinstance(table.get(parts.WRAPPER), Mapping):
        table = table[parts.WRAPPER]
    if not isinstance(table, Mapping):
        raise WeightsError(f"part {part!r} is a {type(table).__name__}; it should be a table of tensors")
    values = {str(name): _value(str(name), value) for name, value in table.items()}
    tensors = StateDict.of({name: value for name, value in values.items() if value is not None}, versions_of(table))
    if not tensors:
        raise WeightsError(_no_tensors(part, table))
    if all(name.startswith(PARALLEL) for name in tensors) and not prefix.startswith(PARALLEL):
        tensors = without_prefix(tensors, PARALLEL)
    selected = without_prefix(tensors, prefix)
    return StateDict.of({k: v for k, v in selected.items() if not matches(k, ignore)}, selected.versions)


def _value(name: str, value: object) -> object:
    """A tensor or a module's extra state; None for anything else."""
    return value if name.endswith(EXTRA_STATE) else as_tensor(value)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name matches one of the patterns, in which * stands for anything."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _no_tensors(part: str, table: Mapping[str, object]) -> str:
    where = f"in part {part!r}" if part else "at the top of this file"
    if parts.is_optimizer(table):
        return f"there is the state of an optimizer {where}; give the network's weights, which were saved beside it"
    return f"there are no tensors {where}; {_contents(table)}"


def _contents(checkpoint: Mapping[str, object]) -> str:
    listed = parts.contents(checkpoint)
    return f"{listed}{ANY_PART}" if listed.startswith("it has the parts") else listed


def without_prefix(tensors: StateDict, prefix: str) -> StateDict:
    """The tensors whose names begin with `prefix`, renamed without it; a WeightsError if there are none.

    A dot after the prefix belongs to it, and steps of wrappers such as `module.` may stand within it.
    """
    if not prefix:
        return tensors
    rests = {name: _without(name, prefix) for name in tensors}
    selected = {name: rest.removeprefix(".") for name, rest in rests.items() if rest is not None}
    if not selected:
        raise WeightsError(f"no tensor's name begins with {prefix!r}; the names are {first_of(list(tensors))}")
    versions = {_without(f"{name}.", prefix): value for name, value in (tensors.versions or {}).items()}
    return StateDict.of(
        {rest: tensors[name] for name, rest in selected.items()},
        {rest.strip("."): value for rest, value in versions.items() if rest is not None} or None,
    )


def _without(name: str, prefix: str) -> str | None:
    """A name without a prefix; None if it does not begin with it."""
    for form in (name, unwrapped(name)):
        if form.startswith(prefix):
            return form.removeprefix(prefix)
    return None


# --- into a network --------------------------------------------------------------------------------------------


def load_from(
    network: nn.Module, checkpoint: Mapping[str, object], place: Place, what: str, ignore: Sequence[str] = ()
) -> None:
    """Load the tensors at a place of a checkpoint into a network, which they must fit; see `load_exactly`.

    If they do not, the WeightsError says which part and prefix of the checkpoint would fit.
    """
    try:
        _load(network, select_tensors(checkpoint, place.part, place.prefix, ignore), what)
    except WeightsError as error:
        advice = parts.proposal(checkpoint, network, place)
        raise WeightsError(f"{str(error).removesuffix(ANY_PART)}; {advice}" if advice else str(error)) from error


def load_exactly(network: nn.Module, tensors: Mapping[str, Any], what: str) -> None:
    """Load a state dict into a network by torch's own rules. Every tensor must be there and have the right shape.

    If names differ by wrappers (`module.`, `_orig_mod.`) or by the form of weight norm and spectral norm alone, they
    are changed to the network's. `what` names the network in the WeightsError, which names the first tensor that is
    missing, unknown or of another shape. A network on the device meta takes over the tensors without a copy.
    """
    given = tensors if isinstance(tensors, StateDict) else StateDict.of(tensors, versions_of(tensors))
    try:
        _load(network, given, what)
    except WeightsError as error:
        advice = parts.proposal(tensors, network, Place("", ""))
        raise WeightsError(f"{error}; {advice}" if advice else str(error)) from error


def _load(network: nn.Module, given: StateDict, what: str) -> None:
    problem = _fitted(network, given)
    if problem:
        other = parts.other_kind(given) if " instead of (" in problem or "is missing" in problem else ""
        raise WeightsError(f"these weights do not fit {what}: {problem}{f'; {other}' if other else ''}")


def _fitted(network: nn.Module, given: StateDict) -> str:
    """Load tensors into a network, under the network's names for them; why they do not fit, or ''."""
    problem = _uncopyable(given) or _loaded(network, given)
    renamed = given.renamed(renamings(given, network.state_dict(keep_vars=True))) if problem else given
    return problem if renamed.keys() == given.keys() else _loaded(network, renamed)


def _uncopyable(tensors: Mapping[str, object]) -> str:
    """Why tensors cannot be copied into any network; '' if they can."""
    for name, value in tensors.items():
        if isinstance(value, Tensor) and (value.is_quantized or value.is_meta or value.layout != torch.strided):
            return f"{name} is quantized, sparse or without storage; save it as a plain tensor"
    return ""


def _loaded(network: nn.Module, tensors: StateDict) -> str:
    """Load tensors into a network; why they do not fit, or ''."""
    expected = network.state_dict(keep_vars=True)
    without_storage = any(isinstance(value, Tensor) and value.is_meta for value in expected.values())
    counters = {name: torch.zeros((), dtype=torch.int64) for name in expected if name.endswith(COUNTER)}
    state = StateDict.of({**counters, **_known(tensors, expected)}, tensors.versions)
    long = _long_numbers(tensors, expected)
    if long:
        return long
    try:
        # A network's own load_state_dict may not know `assign`, and may return nothing.
        result = network.load_state_dict(state, strict=False, **({"assign": True} if without_storage else {}))
    except RuntimeError as problem:
        return _refusal(network, tensors, expected, problem)
    missing = _missing(getattr(result, "missing_keys", []), expected)
    return _mismatch(network, missing, getattr(result, "unexpected_keys", []), {})


def _known(tensors: Mapping[str, Any], expected: Mapping[str, object]) -> dict[str, Any]:
    """The tensors without counters of training that the network does not have."""
    return {k: v for k, v in tensors.items() if k in expected or k.rpartition(".")[2] not in UNUSED}


def _long_numbers(tensors: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """Which tensor of several numbers stands where the network has one number, of which torch would take the first."""
    for name, value in tensors.items():
        own = expected.get(name)
        if not isinstance(own, Tensor) or not isinstance(value, Tensor) or is_lazy(own):
            continue
        if own.dim() == 0 and value.numel() != 1:
            return f"{name} has shape {tuple(value.shape)} instead of ()"
    return ""


def _missing(names: Sequence[str], expected: Mapping[str, object]) -> list[str]:
    """The missing names, without those of tensors that have another name which was loaded (tied weights)."""
    loaded = {id(value) for name, value in expected.items() if name not in names}
    return [name for name in names if id(expected.get(name)) not in loaded and not name.endswith(COUNTER)]


def _refusal(
    network: nn.Module, tensors: Mapping[str, Any], expected: Mapping[str, object], problem: RuntimeError
) -> str:
    """Why torch raised an error: tensors of another shape, and names; else what it said."""
    shapes = {
        match[1]: f"({_tuple(match[2])}) instead of ({_tuple(match[3])})"
        for match in WRONG_SHAPE.finditer(str(problem))
    }
    missing = _missing([name for name in expected if name not in tensors and not name.endswith(EXTRA_STATE)], expected)
    unknown = [name for name in _known(tensors, expected) if name not in expected]
    said = " ".join(str(problem).partition("\n")[2].split()) or str(problem)
    return _mismatch(network, missing, unknown, shapes) or said


def _tuple(numbers: str) -> str:
    return f"{numbers}," if numbers and "," not in numbers else numbers


def _mismatch(network: nn.Module, missing: Sequence[str], unknown: Sequence[str], shapes: Mapping[str, str]) -> str:
    """What does not fit, the first of each kind; '' if everything does."""
    found = [
        *_first("is missing", missing),
        *_first("is unknown", unknown),
        *_first("", [f"{name} has shape {shape}" for name, shape in shapes.items()]),
    ]
    advice = _what_to_ignore(network, unknown) if unknown and not missing and not shapes else ""
    return ", ".join(found) + advice


def _first(problem: str, names: Sequence[str]) -> list[str]:
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return [f"{names[0]} {problem}".rstrip() + more] if names else []


def _what_to_ignore(network: nn.Module, unknown: Sequence[str]) -> str:
    """What would do about tensors that a network does not have."""
    steps = sorted({name.rpartition(".")[2] for name in unknown})
    own = {name.rpartition(".")[2] for name in network.state_dict(keep_vars=True)}
    patterns = unknown if len(unknown) <= 2 or own & set(steps) else [f"*.{step}" for step in steps]
    if all(name.endswith(STATISTICS) and _is_instance_norm(network, module_of(name)) for name in unknown):
        return (
            "; since torch 0.4, InstanceNorm keeps no running statistics: leave them out with "
            "ignore = ['*.running_mean', '*.running_var'], or set track_running_stats=True in the network"
        )
    shown = ", ".join(quoted(pattern) for pattern in patterns[:4])
    return f"; if the network does not need it, set ignore = [{shown}]" if len(patterns) <= 4 else ""


def _is_instance_norm(network: nn.Module, name: str) -> bool:
    return isinstance(dict(network.named_modules()).get(name), nn.modules.instancenorm._InstanceNorm)


def channels_last(network: Network) -> Network:
    """The network with channels-last weights, which are faster on a CPU."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
