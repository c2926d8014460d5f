"""Reading and editing the units of a layer while a network runs, and laying them out on a grid of pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from dissectreport.errors import ModelError, UnknownName
from dissectreport.run.patches import patch_grid


class Runs(Protocol):
    """A network that makes images of latents, and whose parts can be read: every generator."""

    @property
    def module(self) -> nn.Module:
        """The network, for hooks."""

    def __call__(self, z: Tensor) -> Tensor:
        """(n, *latent_shape) -> (n, 3, height, width)."""


class _Enough(Exception):
    """Raised inside a hook when everything wanted has been read."""


@dataclass(frozen=True)
class Seen:
    """What a part of a network was seen to do while one batch ran."""

    name: str
    kind: str
    """Its class."""
    runs: int
    """How often it ran."""
    shape: tuple[int, ...]
    """The shape of its last output without the batch; () where it returns no tensor of a row a latent."""
    returned: str
    """What it returned, in a word."""
    parameters: int
    parent: str
    """The part that it is in, '' for the network itself."""

    @property
    def units(self) -> int:
        """Units that can be read, 0 for none: it runs once and gives a vector or a map."""
        return self.shape[0] if self.runs == 1 and len(self.shape) in (1, 3) else 0


def survey(network: Runs, z: Tensor) -> tuple[tuple[Seen, ...], Tensor]:
    """Every part of the network that runs for the latents `z`, in the order in which they finish, and the images."""
    seen: dict[str, Seen] = {}
    parts = {name: part for name, part in network.module.named_modules() if name}

    def keep(name: str, part: nn.Module) -> Callable[[nn.Module, object, object], None]:
        count = sum(value.numel() for value in part.parameters())

        def hook(_module: nn.Module, _args: object, output: object) -> None:
            before = seen.pop(name, None)
            shape = tuple(output.shape) if isinstance(output, Tensor) else ()
            # What is made of weights alone, as spectral norm makes it, has no row for each image.
            rows = shape[:1] == z.shape[:1]
            seen[name] = Seen(
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
    return tuple(seen.values()), images


@contextmanager
def reading(module: nn.Module, layers: Sequence[str], stop: bool = False) -> Iterator[dict[str, Tensor]]:
    """A dictionary that holds each layer's last output (n, units, h, w) while the block runs.

    Outputs are detached and never changed. With `stop`, running the module ends without an error once all layers
    have been read, so that what follows them costs nothing. A layer without spatial extent is read as 1 x 1.
    """
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> nn.modules.module.RemovableHandle:  # type: ignore[name-defined]
        def hook(_module: nn.Module, _args: object, output: object) -> None:
            # A copy: what follows may change the layer's output in place, as rectifiers often do.
            seen[name] = as_map(name, output).clone()
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


def read(network: Runs, layers: Sequence[str], z: Tensor) -> dict[str, Tensor]:
    """Each layer's output (n, units, h, w) for the latents `z`; the network runs no further than the last of them."""
    with torch.no_grad(), reading(network.module, layers, stop=True) as seen:
        network(z)
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


@dataclass(frozen=True)
class Opened:
    """A network run up to a layer, so that what follows can be run again and again on edited activations."""

    network: Runs
    layer: str
    z: Tensor
    activations: Tensor
    """(n, units, h, w) the layer's output, as the processor likes it: channels last."""
    shape: tuple[int, ...]
    """The shape in which the layer itself gives them."""
    finished: tuple[tuple[nn.Module, list[object]], ...]
    """The parts that had run before the layer was done, and what they returned, call by call."""

    def images(self, activations: Tensor) -> Tensor:
        """(n, units, h, w) in place of the layer's output -> (n, 3, height, width); gradients reach them.

        Parts of the network that ran before the layer give back what they gave, so only the tail is computed.
        """

        def twice(*_args: object, **_kwargs: object) -> object:
            raise ModelError(
                f"layer {self.layer!r} runs more than once for an image, so an edit of it would be only half of one; "
                "choose another layer"
            )

        with ExitStack() as stack:
            for part, outputs in self.finished:
                stack.enter_context(_replaying(part, outputs, part.forward))
            own = submodule(self.network.module, self.layer)
            stack.enter_context(_replaying(own, [activations.reshape(self.shape)], twice))
            return self.network(self.z)


def opened(network: Runs, layer: str, z: Tensor) -> Opened:
    """The network run on `z` up to `layer`, without gradients."""
    submodule(network.module, layer)
    calls: list[tuple[str, object]] = []
    begun: list[int] = []

    def begin(_module: nn.Module, _args: object) -> None:
        begun.append(len(calls))

    def end(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _args: object, output: object) -> None:
            # What ran inside this part need not run again when the part itself gives back its output, and that is
            # kept from what follows, which may change it in place.
            del calls[begun.pop() :]
            calls.append((name, output if name == layer else copied(output)))
            if name == layer:
                raise _Enough

        return hook

    parts = {name: part for name, part in network.module.named_modules() if name}
    handles = [part.register_forward_pre_hook(begin) for part in parts.values()]
    handles += [part.register_forward_hook(end(name)) for name, part in parts.items()]
    try:
        with torch.no_grad():
            network(z)
    except _Enough:
        pass
    finally:
        for handle in handles:
            handle.remove()
    if not calls or calls[-1][0] != layer:
        raise ModelError(f"layer {layer!r} did not run when the model made an image; choose another layer")
    _, output = calls.pop()
    maps = as_map(layer, output)
    before: dict[str, list[object]] = {}
    for name, value in calls:
        before.setdefault(name, []).append(value)
    return Opened(
        network,
        layer,
        z,
        maps.contiguous(memory_format=torch.channels_last),
        tuple(cast("Tensor", output).shape),
        tuple((parts[name], outputs) for name, outputs in before.items()),
    )


def copied(output: object) -> object:
    """What a part returned, its tensors copied: what follows may change them in place."""
    if isinstance(output, Tensor):
        return output.clone()
    if type(output) is tuple:
        return tuple(map(copied, output))
    return [*map(copied, output)] if isinstance(output, list) else output


@contextmanager
def _replaying(part: nn.Module, outputs: Sequence[object], after: Callable[..., object]) -> Iterator[None]:
    """While the block runs, the part gives back `outputs`, one a call, and then what `after` gives."""
    own, left = part.__dict__.get("forward"), iter(outputs)

    def replay(*args: object, **kwargs: object) -> object:
        for output in left:
            return copied(output)
        return after(*args, **kwargs)

    part.forward = replay
    try:
        yield
    finally:
        del part.forward
        if own is not None:
            part.forward = own


@contextmanager
def editing(module: nn.Module, layer: str, edit: Edit) -> Iterator[None]:
    """While the block runs, the layer's output is edited whenever it runs, and nothing is changed for good."""
    part = submodule(module, layer)

    def hook(_module: nn.Module, _args: object, output: object) -> Tensor:
        maps = as_map(layer, output)
        wrong = [unit for unit in edit.units if unit >= maps.shape[1]]
        if wrong:
            raise ModelError(f"unit {wrong[0]} is not in {layer!r}, whose units are 0 to {maps.shape[1] - 1}")
        given = cast("Tensor", output)
        return edit(given.reshape(maps.shape)).reshape(given.shape)

    handle = part.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@dataclass(frozen=True)
class Edit:
    """Units set to values, everywhere or at one place in every image. Nothing is ever changed in place."""

    units: tuple[int, ...]
    values: Tensor | float = 0.0
    """One number, (k,) a number a unit, or (n, k, h, w) activations to take over."""
    where: Tensor | None = None
    """(n, 1, h, w) or (1, 1, h, w) of True where the units are set; None for everywhere."""

    def __call__(self, activations: Tensor) -> Tensor:
        """(n, units, h, w) -> the same shape, edited."""
        if not self.units:
            return activations
        chosen = list(self.units)
        values = torch.as_tensor(self.values, dtype=activations.dtype, device=activations.device)
        values = values.view(1, -1, 1, 1) if values.ndim == 1 else values
        kept = activations[:, chosen]
        new = values.expand_as(kept) if self.where is None else torch.where(self.where, values, kept)
        edited = activations.clone()
        edited[:, chosen] = new
        return edited


def edited(activations: Tensor, edits: Sequence[Edit]) -> Tensor:
    """The activations after all edits, one after another."""
    for edit in edits:
        activations = edit(activations)
    return activations


def at_blocks(places: Tensor, height: int, width: int) -> Tensor:
    """(n,) numbers of places, row by row -> (n, 1, height, width) True inside."""
    rows, columns = patch_grid(height, width)
    down = torch.arange(height, device=places.device) * rows // height
    across = torch.arange(width, device=places.device) * columns // width
    numbers = down[:, None] * columns + across[None]
    return numbers[None, None] == places[:, None, None, None]
