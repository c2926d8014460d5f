"""Any network with named layers as a `Generator`.

    NetworkGenerator("mine", network, latent_shape=(128,), image_size=(64, 64), layers=("block1", "block2"))

`inputs` is for networks that take anything but one standard normal latent, `output` for those that return anything but
(n, 3, h, w) images in [-1, 1].
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dissectreport.errors import BadOption, ModelError
from dissectreport.models.inputs import Inputs
from dissectreport.models.outputs import Output
from dissectreport.networks.identity import identity_of

OUTPUT = Output()


def no_drawings(count: int) -> Tensor | None:
    """None: there are no images here like those that the network was trained on."""
    return None


@dataclass(frozen=True, eq=False)
class Called:
    """A network called on latents: `inputs` make its arguments of them, `output` images of what it returns."""

    module: nn.Module
    inputs: Inputs
    output: Output

    def __call__(self, z: Tensor) -> Tensor:
        """(n, *latent_shape) standard normal numbers -> (n, 3, height, width), nominally in [-1, 1]."""
        by_place, by_name = self.inputs.made(z)
        return self.output.images(self.module(*by_place, **by_name))


@dataclass(frozen=True, eq=False)
class NetworkGenerator:
    """A network as a generator; `remade(seed)` gives the same architecture with random weights.

    Without `remade` there is no untrained control, and the report says so.
    """

    name: str
    module: nn.Module
    latent_shape: tuple[int, ...] = ()
    """() where `inputs` say it."""
    image_size: tuple[int, int] = (0, 0)
    layers: tuple[str, ...] = ()
    default_layers: tuple[str, ...] = ()
    """() for all layers."""
    remade: Callable[[int], nn.Module] | None = None
    drawings: Callable[[int], Tensor | None] = no_drawings
    drawn_part: Callable[[int, int], Tensor] | None = None
    """Real images from a first number on, so many, where they can be had without those before them."""
    reference: Path | None = None
    """A folder of real images that stands in for `drawings`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    identity: str = ""
    code: str = ""
    """What else the numbers depend on, such as the SHA-256 of the file with the network's code."""
    inputs: Inputs | None = None
    """What the network is called with; None for one standard normal latent of `latent_shape`."""
    output: Output = OUTPUT

    def __post_init__(self) -> None:
        check_layers(self.module, (*self.layers, *self.default_layers))
        self.module.requires_grad_(False).eval()
        if self.inputs is None and not self.latent_shape:
            raise BadOption(f"generator {self.name!r} has no latent_shape; give it one, or inputs")
        takes = self.inputs or Inputs.normal(self.latent_shape)
        if self.latent_shape not in ((), takes.latent_shape):
            raise BadOption(
                f"generator {self.name!r} has latent_shape {self.latent_shape}, but inputs of "
                f"{takes.latent_shape}; leave latent_shape out"
            )
        identity = self.identity or " ".join(filter(None, (identity_of(self.module), self._unusual(), self.code)))
        made = {"latent_shape": takes.latent_shape, "default_layers": self.default_layers or self.layers}
        for name, value in {**made, "identity": identity}.items():
            object.__setattr__(self, name, value)

    def _unusual(self) -> str:
        """What of inputs and output changes the numbers, '' where they are the usual ones."""
        known = (*((self.inputs,) if self.inputs else ()), *((self.output,) if self.output.unusual else ()))
        return hashlib.sha256(repr(known).encode()).hexdigest() if known else ""

    def __call__(self, z: Tensor) -> Tensor:
        """(n, *latent_shape) standard normal numbers -> (n, 3, height, width), nominally in [-1, 1]."""
        return Called(self.module, self.inputs or Inputs.normal(self.latent_shape), self.output)(z)

    def to(self, device: torch.device) -> NetworkGenerator:
        """The same generator on `device`; the network itself moves."""
        return replace(self, module=self.module.to(device))

    def untrained(self, seed: int) -> NetworkGenerator | None:
        """The same architecture with random weights, or None where it is not known how to make it."""
        if self.remade is None:
            return None
        return replace(
            self,
            name=f"{self.name}_untrained",
            module=self.remade(seed),
            drawings=no_drawings,
            drawn_part=None,
            identity="",
        )

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
