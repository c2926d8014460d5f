"""Any PyTorch network with named layers as a `Generator`.

    NetworkGenerator("mine", network, latent_shape=(128,), image_size=(64, 64), layers=("block1", "block2"))

Set `inputs` if the network takes anything but one standard normal latent, and `output` if it returns anything but
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
from dissectreport.models.outputs import OutputFormat
from dissectreport.models.own_code import uncompiled
from dissectreport.networks.identity import identity_of

OUTPUT = OutputFormat()


def no_training_like_images(count: int) -> Tensor | None:
    """None: no images of the training distribution are available."""
    return None


@dataclass(frozen=True, eq=False)
class NetworkCall:
    """A function from latents to images: `inputs` makes the network's arguments, `output` reads what it returns."""

    module: nn.Module
    inputs: Inputs
    output: OutputFormat

    def __call__(self, z: Tensor) -> Tensor:
        """(n, *latent_shape) standard normal numbers -> (n, 3, height, width), nominally in [-1, 1]."""
        positional, keywords = self.inputs.arguments_from(z)
        return self.output.images(self.module(*positional, **keywords))


@dataclass(frozen=True, eq=False)
class NetworkGenerator:
    """A network as a generator. The network is put into evaluation mode, and its weights need no gradients.

    Raises a BadOption without `latent_shape` or `inputs`, and a ModelError if the network has no such layers.
    """

    name: str
    module: nn.Module
    latent_shape: tuple[int, ...] = ()
    """Shape of one latent; () if `inputs` is set."""
    image_size: tuple[int, int] = (0, 0)
    """Height and width in pixels."""
    layers: tuple[str, ...] = ()
    """Names of the layers that can be measured, as in `module.named_modules()`."""
    default_layers: tuple[str, ...] = ()
    """The layers that are measured by default; () for all."""
    reinitialise: Callable[[int], nn.Module] | None = None
    """`reinitialise(seed)` returns a new network of the same architecture with random weights. None means that the
    report has no untrained control."""
    training_like: Callable[[int], Tensor | None] = no_training_like_images
    """`training_like(count)` returns (count, 3, h, w) images in [-1, 1] from the distribution of the training data."""
    training_like_from: Callable[[int, int], Tensor] | None = None
    """`training_like_from(first, count)` returns a part of these images without making those before it; optional."""
    reference: Path | None = None
    """A folder of real images that is used instead of `training_like`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the report shows about the model; plain JSON values."""
    identity: str = ""
    """Computed from the network, `inputs`, `output` and `code` if it is ''."""
    code: str = ""
    """What else the images depend on, such as the SHA-256 of the file with the network's code."""
    inputs: Inputs | None = None
    """What the network is called with; None for one standard normal latent of `latent_shape`."""
    output: OutputFormat = OUTPUT
    """How to get images from what the network returns."""
    max_samples: int | None = None
    """The number of samples, where only the first ones were labelled by hand; None without a limit."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "module", uncompiled(self.module))
        for name in ("layers", "default_layers"):
            object.__setattr__(self, name, tuple(without_compiled(layer) for layer in getattr(self, name)))
        check_layers(self.module, (*self.layers, *self.default_layers))
        self.module.requires_grad_(False).eval()
        if self.inputs is None and not self.latent_shape:
            raise BadOption(f"generator {self.name!r} has no latent_shape; give it one, or inputs")
        inputs = self.inputs or Inputs.normal(self.latent_shape)
        if self.latent_shape not in ((), inputs.latent_shape):
            raise BadOption(
                f"generator {self.name!r} has latent_shape {self.latent_shape}, but inputs of "
                f"{inputs.latent_shape}; leave latent_shape out"
            )
        identity = self.identity or " ".join(filter(None, (identity_of(self.module), self._settings(), self.code)))
        derived = {"latent_shape": inputs.latent_shape, "default_layers": self.default_layers or self.layers}
        for name, value in {**derived, "identity": identity}.items():
            object.__setattr__(self, name, value)

    def _settings(self) -> str:
        """A digest of `inputs` and `output`; '' if both are the default."""
        settings = (*((self.inputs,) if self.inputs else ()), *((self.output,) if self.output.changes_images else ()))
        return hashlib.sha256(repr(settings).encode()).hexdigest() if settings else ""

    def __call__(self, z: Tensor) -> Tensor:
        """(n, *latent_shape) standard normal numbers -> (n, 3, height, width), nominally in [-1, 1]."""
        return NetworkCall(self.module, self.inputs or Inputs.normal(self.latent_shape), self.output)(z)

    def to(self, device: torch.device) -> NetworkGenerator:
        """The same generator on `device`; the network itself is moved."""
        return replace(self, module=self.module.to(device))

    def untrained(self, seed: int) -> NetworkGenerator | None:
        """The same architecture with random weights, or None without `reinitialise`."""
        if self.reinitialise is None:
            return None
        return replace(
            self,
            name=f"{self.name}_untrained",
            module=self.reinitialise(seed),
            training_like=no_training_like_images,
            training_like_from=None,
            identity="",
        )

    def training_like_images(self, count: int) -> Tensor | None:
        """(count, 3, h, w) images in [-1, 1] from the distribution of the training data, or None."""
        return self.training_like(count)


def without_compiled(layer: str) -> str:
    """A layer's name in the network without torch.compile."""
    return ".".join(step for step in layer.split(".") if step != "_orig_mod")


def check_layers(module: nn.Module, layers: tuple[str, ...]) -> None:
    """Raise a ModelError if `layers` is empty, or names a layer that the network does not have."""
    known = dict(module.named_modules())
    missing = [name for name in layers if not name or name not in known]
    if missing:
        names = ", ".join(filter(None, known))
        raise ModelError(f"{type(module).__name__} has no layer {missing[0]!r}; it has {names}")
    if not layers:
        raise ModelError(f"no layers of {type(module).__name__} are named; give the layers that can be measured")
