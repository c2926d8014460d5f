"""Editing the units of a layer, and running only the rest of the network on edited activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.errors import ModelError
from dissectreport.networks.hooks import EnoughRead, ImageNetwork, as_map, margin_of, submodule, within_margin
from dissectreport.run.patches import patch_grid


@dataclass(frozen=True)
class Prefix:
    """A network run up to a layer, so that the rest can be run repeatedly on edited activations."""

    network: ImageNetwork
    layer: str
    z: Tensor
    activations: Tensor
    """(n, units, h, w) the layer's output with its margin, in channels-last memory format, which is faster."""
    shape: tuple[int, ...]
    """The shape in which the layer itself gives them."""
    finished: tuple[tuple[nn.Module, list[object]], ...]
    """The parts that had run before the layer was done, and what they returned, call by call."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the layer's maps within their margin."""
        height, width = self.on_image(self.activations).shape[2:]
        return height, width

    def on_image(self, maps: Tensor) -> Tensor:
        """(n, k, h, w) maps of the layer -> the part that lies on the image."""
        return within_margin(submodule(self.network.module, self.layer), maps)

    def inside(self, patches: Tensor) -> Tensor:
        """(n,) numbers of patches, row by row -> (n, 1, h, w) True inside; a margin belongs to no patch."""
        margin = margin_of(submodule(self.network.module, self.layer))
        return functional.pad(inside_patches(patches, *self.size), [margin] * 4)

    def repeated(self, times: int) -> Prefix:
        """The same latents so many times, one copy of all after the other: for edits that run together."""
        count = len(self.z)

        def more(output: object) -> object:
            if isinstance(output, Tensor):
                return output.repeat(times, *[1] * (output.ndim - 1)) if output.shape[:1] == (count,) else output
            if type(output) is tuple:
                return tuple(map(more, output))
            return [*map(more, output)] if isinstance(output, list) else output

        return replace(
            self,
            z=cast("Tensor", more(self.z)),
            shape=(times * count, *self.shape[1:]),
            finished=tuple((part, [more(output) for output in outputs]) for part, outputs in self.finished),
        )

    def images(self, activations: Tensor) -> Tensor:
        """(n, units, h, w) in place of the layer's output -> (n, 3, height, width); gradients reach them.

        Parts of the network that ran before the layer give back what they gave, so only what follows is computed.
        """

        def twice(*_args: object, **_kwargs: object) -> object:
            raise ModelError(
                f"layer {self.layer!r} runs more than once for an image, so it cannot be edited; choose another layer"
            )

        with ExitStack() as stack:
            for part, outputs in self.finished:
                stack.enter_context(replaying(part, outputs, part.forward))
            own = submodule(self.network.module, self.layer)
            stack.enter_context(replaying(own, [activations.reshape(self.shape)], twice))
            return self.network(self.z)


def run_prefix(network: ImageNetwork, layer: str, z: Tensor, stop: bool = True) -> Prefix:
    """Run the network on `z` up to `layer`, without gradients.

    Without `stop`, the rest runs too and is ignored: a program that traces the network meets no interruption.
    """
    submodule(network.module, layer)
    calls = _calls(network, layer, z, stop)
    if not calls or calls[-1][0] != layer:
        raise ModelError(f"layer {layer!r} did not run when the model made an image; choose another layer")
    _, output = calls.pop()
    maps = as_map(layer, output)
    parts = dict(network.module.named_modules())
    finished: dict[str, list[object]] = {}
    for name, value in calls:
        finished.setdefault(name, []).append(value)
    return Prefix(
        network,
        layer,
        z,
        maps.contiguous(memory_format=torch.channels_last),
        tuple(cast("Tensor", output).shape),
        tuple((parts[name], outputs) for name, outputs in finished.items()),
    )


def _calls(network: ImageNetwork, layer: str, z: Tensor, stop: bool) -> list[tuple[str, object]]:
    """The outputs of all modules up to `layer`, in order: names and copies, the layer's own last."""
    calls: list[tuple[str, object]] = []
    begun: list[int] = []

    def is_read() -> bool:
        return bool(calls) and calls[-1][0] == layer

    def begin(_module: nn.Module, _args: object) -> None:
        begun.append(len(calls))

    def end(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _args: object, output: object) -> None:
            # Modules inside this one need not run again, because it returns its stored output. The output is
            # copied, because later modules may change it in place.
            if is_read():
                return
            del calls[begun.pop() :]
            calls.append((name, output if name == layer and stop else copied(output)))
            if name == layer and stop:
                raise EnoughRead

        return hook

    parts = {name: part for name, part in network.module.named_modules() if name}
    handles = [part.register_forward_pre_hook(begin) for part in parts.values()]
    handles += [part.register_forward_hook(end(name)) for name, part in parts.items()]
    try:
        with torch.no_grad():
            network(z)
    except EnoughRead:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return calls


def copied(output: object) -> object:
    """A module's output with copied tensors: later modules may change them in place."""
    if isinstance(output, Tensor):
        return output.clone()
    if type(output) is tuple:
        return tuple(map(copied, output))
    return [*map(copied, output)] if isinstance(output, list) else output


@contextmanager
def replaying(part: nn.Module, outputs: Sequence[object], after: Callable[..., object]) -> Iterator[None]:
    """While the block runs, the module returns `outputs`, one for each call, and then the result of `after`."""
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
def editing(module: nn.Module, layer: str, edit: LayerEdit) -> Iterator[None]:
    """While the block runs, the layer's output is edited whenever it runs; no permanent change."""
    part = submodule(module, layer)

    def hook(_module: nn.Module, _args: object, output: object) -> Tensor:
        maps = as_map(layer, output)
        wrong = [unit for unit in edit.units if unit >= maps.shape[1]]
        if wrong:
            raise ModelError(f"unit {wrong[0]} is not in {layer!r}, whose units are 0 to {maps.shape[1] - 1}")
        tensor = cast("Tensor", output)
        return edit(tensor.reshape(maps.shape)).reshape(tensor.shape)

    handle = part.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


class LayerEdit(Protocol):
    """A change of some units of a layer."""

    @property
    def units(self) -> tuple[int, ...]:
        """The units that it changes."""

    def __call__(self, activations: Tensor) -> Tensor:
        """(n, units, h, w) -> the same shape, edited."""


@dataclass(frozen=True)
class Edit:
    """Units set to values, everywhere or in one patch of every image. Nothing is ever changed in place."""

    units: tuple[int, ...]
    values: Tensor | float = 0.0
    """One number, (k,) one number per unit, or (n, k, h, w) activations to take over."""
    where: Tensor | None = None
    """(n, 1, h, w) or (1, 1, h, w) of True where the units are set; None for everywhere."""

    def __call__(self, activations: Tensor) -> Tensor:
        """(n, units, h, w) -> the same shape, edited."""
        if not self.units:
            return activations
        chosen = list(self.units)
        values = torch.as_tensor(self.values, dtype=activations.dtype, device=activations.device)
        values = values.view(1, -1, 1, 1) if values.ndim == 1 else values
        before = activations[:, chosen]
        new = values.expand_as(before) if self.where is None else torch.where(self.where, values, before)
        edited = activations.clone()
        edited[:, chosen] = new
        return edited


def stacked(activations: Tensor, edits: Sequence[Edit]) -> Tensor:
    """(n, units, h, w) -> (edits * n, units, h, w): the result of every edit, one after the other.

    Edits that set each unit to a number, at the same place, are made together.
    """
    places = {id(edit.where) for edit in edits}
    if len(places) > 1 or any(isinstance(edit.values, Tensor) and edit.values.ndim > 1 for edit in edits):
        return torch.cat([edit(activations) for edit in edits])
    chosen = torch.zeros(len(edits), activations.shape[1], dtype=torch.bool)
    values = torch.zeros(len(edits), activations.shape[1])
    for row, edit in enumerate(edits):
        chosen[row, list(edit.units)] = True
        values[row, list(edit.units)] = torch.as_tensor(edit.values, dtype=values.dtype, device=values.device)
    on, new = (rows.to(activations.device)[:, None, :, None, None] for rows in (chosen, values.to(activations.dtype)))
    where = edits[0].where
    return torch.where(on if where is None else on & where, new, activations).flatten(0, 1)


def edited(activations: Tensor, edits: Sequence[Edit]) -> Tensor:
    """The activations after all edits, one after another."""
    for edit in edits:
        activations = edit(activations)
    return activations


def inside_patches(patches: Tensor, height: int, width: int) -> Tensor:
    """(n,) numbers of patches, row by row -> (n, 1, height, width) True inside."""
    rows, columns = patch_grid(height, width)
    down = torch.arange(height, device=patches.device) * rows // height
    across = torch.arange(width, device=patches.device) * columns // width
    numbers = down[:, None] * columns + across[None]
    return numbers[None, None] == patches[:, None, None, None]
