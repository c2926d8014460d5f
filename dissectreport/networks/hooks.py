"""Reading the units of a layer while a network runs, and in a random basis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from dissectreport.errors import ModelError, UnknownName


class ImageNetwork(Protocol):
    """A network that makes images of latents, and whose parts can be read: every generator."""

    @property
    def module(self) -> nn.Module:
        """The network, for hooks."""

    def __call__(self, z: Tensor) -> Tensor:
        """(n, *latent_shape) -> (n, 3, height, width)."""


class EnoughRead(Exception):
    """Raised inside a hook when all layers have been read."""


@dataclass(frozen=True)
class ModuleTrace:
    """How one module of a network ran for one batch."""

    name: str
    kind: str
    """Its class."""
    runs: int
    """How often it ran."""
    shape: tuple[int, ...]
    """The shape of its last output without the batch; () where it returns no tensor of one row per latent."""
    returned: str
    """The type of its output."""
    parameters: int
    parent: str
    """The part that it is in, '' for the network itself."""

    @property
    def units(self) -> int:
        """Units that can be read, 0 for none: it runs once and gives a vector or a map."""
        return self.shape[0] if self.runs == 1 and len(self.shape) in (1, 3) else 0


def trace_modules(network: ImageNetwork, z: Tensor) -> tuple[tuple[ModuleTrace, ...], Tensor]:
    """Every part of the network that runs for the latents `z`, in the order in which they finish, and the images."""
    traces: dict[str, ModuleTrace] = {}
    parts = {name: part for name, part in network.module.named_modules() if name}

    def keep(name: str, part: nn.Module) -> Callable[[nn.Module, object, object], None]:
        count = sum(value.numel() for value in part.parameters())

        def hook(_module: nn.Module, _args: object, output: object) -> None:
            before = traces.pop(name, None)
            shape = tuple(within_margin(part, output).shape) if isinstance(output, Tensor) else ()
            # Outputs computed from weights alone (as by spectral norm) have no row for each image.
            rows = shape[:1] == z.shape[:1]
            traces[name] = ModuleTrace(
                name,
                type(part).__name__,
                1 + (before.runs if before else 0),
                shape[1:] if rows else (),
                type(output).__name__ + (" without a row for each image" if shape and not rows else ""),
                count,
                name.rpartition(".")[0],
            )

        return hook

    handles = [part.register_forward_hook(keep(name, part)) for name, part in parts.items()]
    try:
        with torch.no_grad():
            images = network(z)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(traces.values()), images


@contextmanager
def reading(module: nn.Module, layers: Sequence[str], stop: bool = False) -> Iterator[dict[str, Tensor]]:
    """A dictionary that holds each layer's last output (n, units, h, w) while the block runs.

    Outputs are detached and never changed. With `stop`, running the module ends without an error once all layers
    have been read, so that what follows them costs nothing. A layer without spatial extent is read as 1 x 1.
    """
    activations: dict[str, Tensor] = {}

    def keep(name: str) -> nn.modules.module.RemovableHandle:  # type: ignore[name-defined]
        part = submodule(module, name)

        def hook(_module: nn.Module, _args: object, output: object) -> None:
            # A copy: later modules, such as rectifiers, may change the layer's output in place.
            activations[name] = within_margin(part, as_map(name, output)).clone()
            if stop and len(activations) == len(layers):
                raise EnoughRead

        return part.register_forward_hook(hook)

    handles = [keep(name) for name in layers]
    try:
        yield activations
    except EnoughRead:
        pass
    finally:
        for handle in handles:
            handle.remove()


def read(network: ImageNetwork, layers: Sequence[str], z: Tensor) -> dict[str, Tensor]:
    """Each layer's output (n, units, h, w) for the latents `z`; the network runs no further than the last of them."""
    with torch.no_grad(), reading(network.module, layers, stop=True) as activations:
        network(z)
    missing = [name for name in layers if name not in activations]
    if missing:
        raise ModelError(f"layer {missing[0]!r} did not run when the model made an image; choose another layer")
    return activations


def submodule(module: nn.Module, name: str) -> nn.Module:
    """The part of `module` called `name`; UnknownName offers the nearest."""
    parts = dict(module.named_modules())
    if not name or name not in parts:
        raise UnknownName.of("layer", name, [n for n in parts if n])
    part: nn.Module = parts[name]
    return part


def as_map(name: str, output: object) -> Tensor:
    """A layer's output as (n, units, h, w), detached."""
    if not isinstance(output, Tensor):
        raise ModelError(f"layer {name!r} returns a {type(output).__name__}, not a tensor; choose a layer inside it")
    if output.ndim == 2:
        output = output[:, :, None, None]
    if output.ndim != 4:
        raise ModelError(f"layer {name!r} returns shape {tuple(output.shape)}; units need (n, units, h, w)")
    return output.detach()


def margin_of(layer: nn.Module) -> int:
    """Cells on every side of a layer's map that lie outside the image: its attribute `unit_margin`, usually 0."""
    return int(getattr(layer, "unit_margin", 0))


def within_margin(layer: nn.Module, maps: Tensor) -> Tensor:
    """(n, units, h, w) of a layer -> the part that lies on the image; other tensors stay as they are."""
    margin = margin_of(layer)
    return maps[..., margin:-margin, margin:-margin] if margin and maps.ndim == 4 else maps


def all_finite(values: Tensor) -> Tensor:
    """() True where all values are finite, on their device: a value that is not is the least or the largest."""
    return torch.isfinite(torch.stack(torch.aminmax(values))).all()


def not_finite(values: Tensor) -> list[int]:
    """The rows of (n, ...) values that are not finite."""
    if values.numel() and bool(all_finite(values)):
        return []
    rows: list[int] = (~torch.isfinite(values)).flatten(1).any(1).nonzero()[:, 0].tolist()
    return rows


class NotFinite(ModelError):
    """A layer or an image that is not finite."""

    def __init__(self, where: str, remedy: str) -> None:
        super().__init__(f"{where}; {remedy}")
        self.where, self.remedy = where, remedy


def finite_rows(values: Tensor) -> Tensor:
    """(n,) True where all values of a row of (n, ...) are finite, on their device."""
    if not values[0].numel():
        return torch.ones(len(values), dtype=torch.bool, device=values.device)
    return torch.isfinite(torch.stack(torch.aminmax(values.flatten(1), dim=1))).all(0)


def check_finite(name: str, activations: Tensor, first: int) -> None:
    """Refuse activations that are not finite, naming the sample."""
    refuse_rows(name, not_finite(activations), first)


def refuse_rows(name: str, bad: Sequence[int], first: int) -> None:
    """Refuse a layer some rows of which are not finite; the first row belongs to sample `first`."""
    if bad:
        raise NotFinite(
            f"layer {name!r} is not finite for sample {first + bad[0]}",
            "check the weights, and whether they were stored in half precision; "
            "`dissectreport check --samples` lists all such samples",
        )


def rotate(activations: Tensor, seed: int, scales: Sequence[float] = ()) -> Tensor:
    """(n, units, h, w) in a random orthogonal basis of the units: the axis test of Bau et al. 2017.

    With `scales` (units,), of the units divided by them; a unit whose scale is 0 is left out.
    """
    basis = orthogonal(activations.shape[1], seed).to(activations)
    if scales:
        weights = torch.tensor([1 / scale if scale else 0.0 for scale in scales], dtype=basis.dtype)
        basis = basis * weights.to(basis)
    return torch.einsum("uv,nvhw->nuhw", basis, activations)


@lru_cache
def orthogonal(units: int, seed: int) -> Tensor:
    """(units, units) float32 orthogonal matrix, uniform over rotations and reflections."""
    q, r = np.linalg.qr(np.random.RandomState(seed).standard_normal((units, units)))
    return torch.from_numpy((q * np.sign(np.diag(r))).astype(np.float32))
