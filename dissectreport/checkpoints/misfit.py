"""Why tensors do not fit a network, and what would do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from dissectreport.checkpoints.names import module_of, quoted, shown

WRONG_SHAPE = re.compile(r"size mismatch for (\S+): .*?torch\.Size\(\[(.*?)\]\).*?torch\.Size\(\[(.*?)\]\)")
"""What torch says of a tensor of another shape: its name, its shape, and the network's."""
STATISTICS = ("running_mean", "running_var")
MOST = 4
"""At most this many patterns are proposed."""


@dataclass(frozen=True)
class Misfit:
    """What does not fit; nothing if all fields are empty."""

    missing: Sequence[str] = ()
    """Names that the network has and the file lacks."""
    unknown: Sequence[str] = ()
    """Names that the file has and the network lacks."""
    shapes: Sequence[str] = ()
    """Sentences about tensors of another shape."""
    other: str = ""
    """Anything else."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.unknown or self.shapes or self.other)

    def __str__(self) -> str:
        """The first of each kind, and the number of others."""
        found = (*_first(self.missing, " is missing"), *_first(self.unknown, " is unknown"), *_first(self.shapes, ""))
        return ", ".join(found) or self.other


def _first(names: Sequence[str], problem: str) -> list[str]:
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return [f"{shown(names[0])}{problem}{more}"] if names else []


def wrong_shapes(said: str) -> list[str]:
    """Sentences about the shapes of which torch complains."""
    return [
        f"{name} has shape ({_comma(given)}) instead of ({_comma(own)})"
        for name, given, own in WRONG_SHAPE.findall(said)
    ]


def _comma(numbers: str) -> str:
    return f"{numbers}," if numbers and "," not in numbers else numbers


def what_to_ignore(network: nn.Module, misfit: Misfit) -> str:
    """The line of a description that leaves out tensors that a network does not have; '' if something else is wrong."""
    unknown = misfit.unknown
    if not unknown or misfit.missing or misfit.shapes:
        return ""
    modules = dict(network.named_modules())
    if all(name.endswith(STATISTICS) and _is_instance_norm(modules, name) for name in unknown):
        return (
            "since torch 0.4, InstanceNorm keeps no running statistics: set "
            "ignore = ['*.running_mean', '*.running_var'], or track_running_stats=True in the network's code"
        )
    patterns = unknown if len(unknown) <= 2 else sorted({f"*{name[name.rfind('.') :]}" for name in unknown})
    shown = ", ".join(map(quoted, patterns))
    return f"if the network does not need it, set ignore = [{shown}]" if len(patterns) <= MOST else ""


def _is_instance_norm(modules: Mapping[str, nn.Module], name: str) -> bool:
    return isinstance(modules.get(module_of(name)), nn.modules.instancenorm._InstanceNorm)
