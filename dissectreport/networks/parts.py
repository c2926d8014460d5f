"""A network in two parts, before and after a layer, each a module of its own that takes and returns plain tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import Tensor, nn

from dissectreport.networks.edits import Prefix, run_prefix
from dissectreport.networks.hooks import ImageNetwork


class Tail(nn.Module):
    """The part of a network after a layer: images of the layer's activations.

    Parts after the layer may also use the latent, or what parts before the layer returned; both are inputs.
    """

    def __init__(self, prefix: Prefix) -> None:
        super().__init__()
        self.network = prefix.network.module
        self._prefix = prefix

    def forward(self, activations: Tensor, z: Tensor, *others: Tensor) -> Tensor:
        """Activations (1, units, h, w), the latent and `other_tensors` of its prefix -> (1, 3, height, width)."""
        given = iter(others)
        finished = tuple((part, [_exchanged(one, given) for one in outputs]) for part, outputs in self._prefix.finished)
        return replace(self._prefix, z=z, finished=finished).images(activations)


class Head(nn.Module):
    """The part of a network up to a layer: the layer's activations, and those `other_tensors` that its tail uses."""

    def __init__(self, network: ImageNetwork, layer: str, others: Sequence[int]) -> None:
        super().__init__()
        self.network = network.module
        self._whole, self._layer, self._others = network, layer, tuple(others)

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        """A latent -> activations (1, units, h, w), and the chosen `other_tensors`."""
        prefix = run_prefix(self._whole, self._layer, z, stop=False)
        others = other_tensors(prefix)
        return (prefix.activations.contiguous(), *(others[number] for number in self._others))


def other_tensors(prefix: Prefix) -> list[Tensor]:
    """Every tensor that a part before the layer returned, in a fixed order."""
    return [tensor for _, outputs in prefix.finished for one in outputs for tensor in _tensors(one)]


def _tensors(output: object) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif type(output) in (tuple, list):
        for one in output:  # type: ignore[attr-defined]
            yield from _tensors(one)


def _exchanged(output: object, given: Iterator[Tensor]) -> object:
    """The output of a part, with the next given tensors in place of its own."""
    if isinstance(output, Tensor):
        return next(given)
    if type(output) is tuple:
        return tuple(_exchanged(one, given) for one in output)
    return [_exchanged(one, given) for one in output] if isinstance(output, list) else output
