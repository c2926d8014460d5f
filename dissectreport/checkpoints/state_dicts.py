"""Select the tensors of a network from a checkpoint, and load them, or explain why they do not fit.

load_exactly(network, select_tensors(read_checkpoint(path).content, part="g_ema", prefix="generator."), "generator.pt")
load_from(network, read_checkpoint(path).content, Place("g_ema", ""), "generator.pt")    # says what would fit
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dissectreport.checkpoints import parts
from dissectreport.checkpoints.misfit import Misfit, what_to_ignore, wrong_shapes
from dissectreport.checkpoints.names import (
    COUNTER,
    EXTRA_STATE,
    UNUSED,
    StateDict,
    first_of,
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
ANY_PART = ": set part = …"


# --- which tensors of a file -----------------------------------------------------------------------------------


def select_tensors(checkpoint: Mapping[str, object], part: str = "", prefix: str = "") -> StateDict:
    """The tensors by name in a checkpoint or in its `part` ("a.b" for a nested one), without `prefix` in their names.

    A `state_dict` and the prefix `module.` need not be given. Extra state of modules is kept. Raises a WeightsError
    that lists what there is.
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
    return without_prefix(tensors, prefix)


def _value(name: str, value: object) -> object:
    """A tensor or a module's extra state; None for anything else."""
    return value if name.endswith(EXTRA_STATE) else as_tensor(value)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is as one of the patterns says."""
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

    If they do not, the WeightsError has the line of a description that would do: part, prefix or ignore.
    """
    try:
        tensors = select_tensors(checkpoint, place.part, place.prefix)
    except WeightsError as error:
        advice = parts.proposal(checkpoint, network, place)
        raise WeightsError(_joined(str(error).removesuffix(ANY_PART), advice) if advice else str(error)) from error
    misfit = _fitted(network, tensors, ignore)
    if misfit:
        advice = parts.proposal(checkpoint, network, place) or what_to_ignore(network, misfit)
        raise _does_not_fit(what, misfit, tensors, advice)


def load_exactly(network: nn.Module, tensors: Mapping[str, Any], what: str, ignore: Sequence[str] = ()) -> None:
    """Load a state dict into a network by torch's own rules. Every tensor must be there and have the right shape.

    If names differ by wrappers (`module.`, `_orig_mod.`) or by the form of weight norm and spectral norm alone, they
    are changed to the network's. Tensors that the network lacks are left out if a pattern of `ignore` matches their
    names. `what` names the network in the WeightsError, which names the first tensor that is missing, unknown or of
    another shape. A network on the device meta takes over the tensors without a copy.
    """
    given = tensors if isinstance(tensors, StateDict) else StateDict.of(tensors, versions_of(tensors))
    misfit = _fitted(network, given, ignore)
    if misfit:
        raise _does_not_fit(what, misfit, tensors, parts.proposal(tensors, network, Place("", "")))


def _does_not_fit(what: str, misfit: Misfit, tensors: Mapping[str, object], advice: str) -> WeightsError:
    other = "" if advice or not (misfit.missing or misfit.shapes) else parts.other_kind(tensors)
    return WeightsError(_joined(f"these weights do not fit {what}: {misfit}", advice, other))


def _joined(*sentences: str) -> str:
    return "; ".join(filter(None, sentences))


def _fitted(network: nn.Module, given: StateDict, ignore: Sequence[str]) -> Misfit:
    """Load tensors into a network, under the network's names for them; what does not fit."""
    misfit = _uncopyable(given) or _loaded(network, given, ignore)
    renamed = given.renamed(renamings(given, network.state_dict(keep_vars=True))) if misfit else given
    return misfit if renamed.keys() == given.keys() else _loaded(network, renamed, ignore)


def _uncopyable(tensors: Mapping[str, object]) -> Misfit:
    """Which tensor cannot be copied into any network."""
    for name, value in tensors.items():
        if isinstance(value, Tensor) and (value.is_quantized or value.is_meta or value.layout != torch.strided):
            return Misfit(other=f"{name} is quantized, sparse or without storage; save it as a plain tensor")
    return Misfit()


def _loaded(network: nn.Module, tensors: StateDict, ignore: Sequence[str]) -> Misfit:
    """Load tensors into a network; what does not fit."""
    expected = network.state_dict(keep_vars=True)
    without_storage = any(isinstance(value, Tensor) and value.is_meta for value in expected.values())
    counters = {name: torch.zeros((), dtype=torch.int64) for name in expected if name.endswith(COUNTER)}
    needed = {name: value for name, value in tensors.items() if name in expected or not _is_unused(name, ignore)}
    if long := _long_number(needed, expected):
        return Misfit(shapes=[long])
    try:
        # A network's own load_state_dict may not know `assign`, and may return nothing.
        assign = {"assign": True} if without_storage else {}
        state = StateDict.of({**counters, **needed}, tensors.versions)
        result = network.load_state_dict(state, strict=False, **assign)
    except RuntimeError as problem:
        return _refused(needed, expected, str(problem))
    missing, unknown = getattr(result, "missing_keys", ()), getattr(result, "unexpected_keys", ())
    return Misfit(_missing(missing, expected), unknown)


def _is_unused(name: str, ignore: Sequence[str]) -> bool:
    """Whether a network that does not have a tensor of this name does without it."""
    return name.rpartition(".")[2] in UNUSED or matches(name, ignore)


def _long_number(tensors: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """Which tensor of several numbers the network takes as one number: torch would take the first of them."""
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


def _refused(tensors: Mapping[str, Any], expected: Mapping[str, object], said: str) -> Misfit:
    """What torch complains of when it raises an error: shapes, else names, else in its own words."""
    missing = _missing([name for name in expected if name not in tensors and not name.endswith(EXTRA_STATE)], expected)
    unknown = [name for name in tensors if name not in expected]
    return Misfit(missing, unknown, wrong_shapes(said), " ".join(said.partition("\n")[2].split()) or said)


def channels_last(network: Network) -> Network:
    """The network with channels-last weights, which are faster on a CPU."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
