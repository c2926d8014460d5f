"""Plug-ins on the device of a worker."""

from __future__ import annotations

from typing import Protocol, TypeVar

import torch

from dissectreport.errors import DissectReportError, answered


class Movable(Protocol):
    """What can be asked for itself on a device."""

    def to(self, device: torch.device) -> object:
        """The same on `device`."""


Plugin = TypeVar("Plugin", bound=Movable)


def moved(plugin: Plugin, device: torch.device, error: type[DissectReportError], who: str) -> Plugin:
    """A plug-in on a device, as its method `to` gives it; an error if that fails, or forgets to return it."""
    there = answered(error, f"{who} failed at to({str(device)!r})", lambda: plugin.to(device))
    if not hasattr(there, "name"):
        raise error(f"the method to of {who} returned a {type(there).__name__}; it must return the plug-in")
    return there  # type: ignore[return-value]
