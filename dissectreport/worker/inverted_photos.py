"""An inverted photo in a network that is edited: the network run up to a layer, with the photo's residuals."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from dissectreport.errors import ModelError
from dissectreport.models.inverted import Inverted
from dissectreport.networks.edits import Prefix, run_prefix
from dissectreport.networks.hooks import submodule
from dissectreport.worker.loaded_networks import Models


def photo_prefix(models: Models, inverted: Inverted, layer: str) -> Prefix:
    """The generator run up to a layer on the photo's latent; what it returned has the photo's residuals.

    Raises a ModelError for a photo of another model, or one with a residual in a layer that runs later, which edits of
    this layer would lose.
    """
    with inverted.on(models.generator):
        z = inverted.latent.to(models.device)
        at = models.call_generator(z, partial(run_prefix, models.generator, layer, z))
    late = later_layers(at, inverted.residuals)
    if late:
        raise ModelError(
            f"this photo was inverted with a residual in {late[0]}, which runs after {layer}; invert it with "
            f"--layers {layer}, or earlier layers, to edit units of {layer}"
        )
    return at


def later_layers(at: Prefix, layers: Iterable[str]) -> list[str]:
    """Those of the layers that had not run when the prefix was done."""
    finished = {id(inner) for part, _ in at.finished for inner in part.modules()}
    module = at.network.module
    return [name for name in layers if name != at.layer and id(submodule(module, name)) not in finished]
