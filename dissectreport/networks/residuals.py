"""Adding residuals to the outputs of layers, while a network runs.

with adding(network, {"layer2": residual}):
    images = network(z)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from dissectreport.errors import ModelError
from dissectreport.networks.hooks import submodule


@contextmanager
def adding(network: nn.Module, residuals: Mapping[str, Tensor]) -> Iterator[None]:
    """Residuals (n or 1, …) are added to the outputs of layers while the block runs; gradients reach them.

    A ModelError is raised when the network runs, if one does not fit its layer.
    """
    with ExitStack() as stack:
        for layer, residual in residuals.items():
            handle = submodule(network, layer).register_forward_hook(_hook(residual, layer))
            stack.callback(handle.remove)
        yield


def _hook(residual: Tensor, layer: str) -> Callable[[nn.Module, object, object], object]:
    def add(_module: nn.Module, _arguments: object, output: object) -> object:
        if not isinstance(output, Tensor) or output.shape[1:] != residual.shape[1:]:
            shape = tuple(getattr(output, "shape", ()))[1:]
            raise ModelError(
                f"a residual of shape {tuple(residual.shape[1:])} does not fit layer {layer!r}, which returns {shape}"
            )
        return output + residual.to(output)

    return add


def outputs_of(network: nn.Module, layers: Sequence[str], run: Callable[[], object]) -> dict[str, Tensor]:
    """What layers return while `run` runs the network, as they return it; by layer."""
    outputs: dict[str, Tensor] = {}

    def keep(layer: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_module: nn.Module, _arguments: object, output: Tensor) -> None:
            outputs[layer] = output.detach().clone()

        return hook

    with ExitStack() as stack:
        for layer in layers:
            stack.callback(submodule(network, layer).register_forward_hook(keep(layer)).remove)
        run()
    return outputs
