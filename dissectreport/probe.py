"""Reading the units of a layer while a network runs, and laying them out on a grid of pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from dissectreport.errors import ModelError, UnknownName


class _Enough(Exception):
    """Raised inside a hook when everything wanted has been read."""


@contextmanager
def reading(module: nn.Module, layers: Sequence[str], stop: bool = False) -> Iterator[dict[str, Tensor]]:
    """A dictionary that holds each layer's last output (n, units, h, w) while the block runs.

    Outputs are detached and never changed. With `stop`, running the module ends without an error once all layers
    have been read, so that what follows them costs nothing. A layer without spatial extent is read as 1 x 1.
    """
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> nn.modules.module.RemovableHandle:  # type: ignore[name-defined]
        def hook(_module: nn.Module, _args: object, output: object) -> None:
            seen[name] = as_map(name, output)
            if stop and len(seen) == len(layers):
                raise _Enough

        return submodule(module, name).register_forward_hook(hook)

    handles = [keep(name) for name in layers]
    try:
        yield seen
    except _Enough:
        pass
    finally:
        for handle in handles:
            handle.remove()


def read(module: nn.Module, layers: Sequence[str], z: Tensor) -> dict[str, Tensor]:
    """Each layer's output (n, units, h, w) for the latents `z`; the network runs no further than the last of them."""
    with torch.no_grad(), reading(module, layers, stop=True) as seen:
        module(z)
    missing = [name for name in layers if name not in seen]
    if missing:
        raise ModelError(f"layer {missing[0]!r} did not run when the model made an image; choose another layer")
    return seen


def submodule(module: nn.Module, name: str) -> nn.Module:
    """The part of `module` called `name`; UnknownName offers the nearest."""
    parts = dict(module.named_modules())
    if not name or name not in parts:
        raise UnknownName.of("layer", name, [n for n in parts if n])
    found: nn.Module = parts[name]
    return found


def as_map(name: str, output: object) -> Tensor:
    """A layer's output as (n, units, h, w), detached."""
    if not isinstance(output, Tensor):
        raise ModelError(f"layer {name!r} returns a {type(output).__name__}, not a tensor; choose a layer inside it")
    if output.ndim == 2:
        output = output[:, :, None, None]
    if output.ndim != 4:
        raise ModelError(f"layer {name!r} returns shape {tuple(output.shape)}; units need (n, units, h, w)")
    return output.detach()


def check_finite(name: str, activations: Tensor, first: int) -> None:
    """Refuse activations that are not finite, naming the sample."""
    bad = (~torch.isfinite(activations)).flatten(1).any(1)
    if bad.any():
        sample = first + int(bad.nonzero()[0])
        raise ModelError(
            f"layer {name!r} is not finite for sample {sample}; "
            "check the weights, or the half precision they were kept in"
        )


def rotate(activations: Tensor, seed: int) -> Tensor:
    """(n, units, h, w) in a random orthogonal basis of the units: the axis test of Bau et al. 2017."""
    basis = orthogonal(activations.shape[1], seed).to(activations)
    return torch.einsum("uv,nvhw->nuhw", basis, activations)


@lru_cache
def orthogonal(units: int, seed: int) -> Tensor:
    """(units, units) float32 orthogonal matrix, uniform over rotations and reflections."""
    q, r = np.linalg.qr(np.random.RandomState(seed).standard_normal((units, units)))
    return torch.from_numpy((q * np.sign(np.diag(r))).astype(np.float32))


@lru_cache
def weights(source: int, target: int, edge: str = "clamp") -> Tensor:
    """(target, source) float32 matrix of linear interpolation between pixel centres.

    Target pixel x samples source coordinate (x + ½)·source/target - ½. Beyond the outermost centres 'clamp' repeats
    them (the ICLR 2019 rule, which equals `interpolate(..., align_corners=False)`); 'zero' fades towards 0 over
    half a source pixel (the PNAS 2020 rule).
    """
    at = (np.arange(target) + 0.5) * (source / target) - 0.5
    if edge == "clamp":
        at = at.clip(0, source - 1)
    left = np.floor(at).astype(int)
    share = at - left
    matrix = np.zeros((target, source))
    for column, weight in ((left, 1 - share), (left + 1, share)):
        inside = (column >= 0) & (column < source)
        np.add.at(matrix, (np.arange(target)[inside], column[inside]), weight[inside])
    return torch.from_numpy(matrix.astype(np.float32))


def upsample(maps: Tensor, grid: tuple[int, int], edge: str = "clamp") -> Tensor:
    """(n, units, h, w) -> (n, units, *grid) by two small matrix products."""
    rows = weights(maps.shape[-2], grid[0], edge).to(maps)
    columns = weights(maps.shape[-1], grid[1], edge).to(maps)
    return rows @ (maps @ columns.T)
