"""Networks as a user's own code makes them: uncompiled, in float32, and refused if their layers cannot be read.

network = checked_network(function(), "mine.toml: network './net.py:Generator'")
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from dissectreport.errors import BadOption, ModelError
from dissectreport.models.layers import measurable_layers, why_not_measurable
from dissectreport.networks.hooks import ModuleTrace


def checked_network(returned: object, who: str) -> nn.Module:
    """The network that a function returned, uncompiled; a BadOption that begins with `who` if it cannot be read."""
    if isinstance(returned, torch.jit.ScriptModule):
        raise BadOption(
            f"{who} returned a TorchScript program, whose layers cannot be read; give the class of the network, and "
            "weights = … for a file of its weights: torch.save(program.state_dict(), 'weights.pt')"
        )
    if not isinstance(returned, nn.Module):
        raise BadOption(f"{who} returned a {type(returned).__name__}; it should return a torch.nn.Module")
    if "torch._dynamo" in sys.modules:
        torch.compiler.set_stance("force_eager")  # for compiled functions, which cannot be unwrapped
    if torch.get_default_dtype() != torch.float32:  # The function changed it for the whole program.
        torch.set_default_dtype(torch.float32)
        returned.float()
    return uncompiled(returned)


def uncompiled(network: nn.Module) -> nn.Module:
    """The network without torch.compile, which would hide its layers. Its parts are changed in place."""
    network = _inside(network)
    for part in network.modules():
        part._compiled_call_impl = None
        for name, child in part.named_children():
            setattr(part, name, _inside(child))
    return network


def _inside(network: nn.Module) -> nn.Module:
    """What was compiled, if a network is the result of torch.compile; else the network."""
    kind = type(network)
    while kind.__name__ == "OptimizedModule" and kind.__module__.startswith("torch._dynamo"):
        (network,) = network.children()
        kind = type(network)
    return network


def has_sizes(network: nn.Module) -> bool:
    """Whether all sizes of a network's weights are known; those of lazy modules are not before they have run."""
    return not any(is_lazy(value) for value in network.state_dict(keep_vars=True).values())


def check_parts(network: nn.Module, modules: Sequence[ModuleTrace]) -> None:
    """Raise a ModelError if no layer of a network can be measured, which says why."""
    if measurable_layers(modules):
        return
    name = type(network).__name__
    if not modules:
        raise ModelError(
            f"no part of {name} runs as a module, so none of its layers can be read: its forward calls functions, or "
            "part.forward(x); call the parts themselves, part(x)"
        )
    reasons = "; ".join(f"{module.name} {why_not_measurable(module)}" for module in modules[:3])
    raise ModelError(f"no layer of {name} can be measured: {reasons}; units need (n, units, h, w) or (n, units)")
