"""Any network with named layers as a `Generator`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from dissectreport.errors import ModelError
from dissectreport.identity import identity_of


def no_drawings(count: int) -> Tensor | None:
    """None: there are no images here like those that the network was trained on."""
    return None


@dataclass(frozen=True, eq=False)
class NetworkGenerator:
    """A network as a generator; `remade(seed)` gives the same architecture with random weights.

    Without `remade` there is no untrained control, and the report says so.
    """

    name: str
    module: nn.Module
    latent_shape: tuple[int, ...]
    image_size: tuple[int, int]
    layers: tuple[str, ...]
    default_layers: tuple[str, ...]
    remade: Callable[[int], nn.Module] | None = None
    drawings: Callable[[int], Tensor | None] = no_drawings
    facts: Mapping[str, Any] = field(default_factory=dict)
    identity: str = ""

    def __post_init__(self) -> None:
        check_layers(self.module, (*self.layers, *self.default_layers))
        self.module.requires_grad_(False).eval()
        if not self.identity:
            object.__setattr__(self, "identity", identity_of(self.module))

    def __call__(self, z: Tensor) -> Tensor:
        """(n, *latent_shape) -> (n, 3, height, width) in [-1, 1]."""
        images: Tensor = self.module(z)
        return images

    def to(self, device: torch.device) -> NetworkGenerator:
        """The same generator on `device`; the network itself moves."""
        return replace(self, module=self.module.to(device))

    def untrained(self, seed: int) -> NetworkGenerator | None:
        """The same architecture with random weights, or None where it is not known how to make it."""
        if self.remade is None:
            return None
        return replace(self, name=f"{self.name}_untrained", module=self.remade(seed), drawings=no_drawings, identity="")

    def drawn(self, count: int) -> Tensor | None:
        """(count, 3, h, w) images in [-1, 1] like those it was trained on, or None."""
        return self.drawings(count)


def check_layers(module: nn.Module, layers: tuple[str, ...]) -> None:
    """Raise a ModelError if `layers` names none, or one that the network does not have."""
    known = dict(module.named_modules())
    missing = [name for name in layers if not name or name not in known]
    if missing or not layers:
        raise ModelError(
            f"{type(module).__name__} has no layer {missing[0]!r}; it has {', '.join(filter(None, known))}"
            if missing
            else f"a generator names the layers that can be read; {type(module).__name__} names none"
        )
