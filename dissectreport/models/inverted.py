"""A photo as a latent of a generator, in a safetensors file: what `dissectreport invert` writes and `edit` takes.

inverted = read_inverted("inverted/church.safetensors")
with inverted.on(generator):
    image = generator(inverted.latent)

The file has the tensor `latent` (1, *latent_shape), for each layer `residual.LAYER` (1, …), which is added to the
output of the layer, and `photo` (height, width, 3), the photo itself in bytes. Its metadata name the generator and its
identity, and have a digest of all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dissectreport import files
from dissectreport.errors import BadOption, ModelError
from dissectreport.models.base import Generator
from dissectreport.networks.residuals import adding

FORMAT = "dissectreport inverted 3"
ABOUT = ("format", "model", "identity")
DIGEST = "digest"
LATENT, PHOTO, RESIDUAL = "latent", "photo", "residual."


@dataclass(frozen=True)
class Inverted:
    """A latent, and what is added to the outputs of layers."""

    model: str
    """The generator's name."""
    identity: str
    """The generator's identity."""
    latent: Tensor
    """(1, *latent_shape)."""
    residuals: Mapping[str, Tensor]
    """By layer what is added to its output, (1, …)."""
    photo: Tensor
    """(height, width, 3) bytes of the photo, in the size of the generator's images."""

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        tensors = {LATENT: self.latent, PHOTO: self.photo}
        tensors |= {f"{RESIDUAL}{layer}": value for layer, value in self.residuals.items()}
        stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        about = {"format": FORMAT, "model": self.model, "identity": self.identity}
        files.write(path, save(stored, {**about, DIGEST: _digest(about, stored)}))

    def tensors(self) -> list[Tensor]:
        """All of its tensors."""
        return [self.latent, self.photo, *self.residuals.values()]

    @contextmanager
    def on(self, generator: Generator, other_weights: bool = False) -> Iterator[Generator]:
        """The generator, with the residuals added while the block runs.

        Raises a ModelError if they belong to another identity, unless `other_weights` is true, or do not fit.
        """
        if generator.identity != self.identity and not other_weights:
            raise ModelError(
                f"this photo was inverted with other weights of {self.model}, not those of {generator.name}; invert it "
                "again, or use it all the same with --other-weights"
            )
        if tuple(self.latent.shape[1:]) != tuple(generator.latent_shape):
            raise ModelError(
                f"this photo is a latent of shape {tuple(self.latent.shape[1:])}, and {generator.name} takes "
                f"{tuple(generator.latent_shape)}; invert it again with this model"
            )
        with adding(generator.module, self.residuals):
            yield generator


def _digest(about: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 of an inverted photo: its header and its tensors."""
    whole = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        whole.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        whole.update(value.flatten().view(torch.uint8).numpy().tobytes() if value.numel() else b"")
    return whole.hexdigest()


def read_inverted(path: Path | str) -> Inverted:
    """The photo in a file; a BadOption if it is no file of an inverted photo."""
    try:
        with files.opened(Path(path)):
            pass  # A pipe would be waited for.
        with safe_open(Path(path), "pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    except (OSError, SafetensorError) as problem:
        raise BadOption(f"{path} cannot be read: {getattr(problem, 'strerror', None) or problem}") from problem
    intact = about.get(DIGEST) == _digest({name: about.get(name, "") for name in ABOUT}, tensors)
    latent, photo = tensors.pop(LATENT, None), tensors.pop(PHOTO, None)
    is_complete = latent is not None and photo is not None and all(name.startswith(RESIDUAL) for name in tensors)
    if about.get("format") != FORMAT or not is_complete or not {"model", "identity"} <= about.keys():
        raise BadOption(f"{path} is no inverted photo; `dissectreport invert MODEL PHOTO` writes them")
    if not intact:
        raise BadOption(f"{path} is damaged: its digest does not fit its content; invert the photo again")
    if photo.dtype != torch.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise BadOption(f"the photo in {path} is no image in bytes; invert it again")
    numbers = [latent, *tensors.values()]
    if not all(value.is_floating_point() and bool(torch.isfinite(value).all()) for value in numbers):
        raise BadOption(f"{path} has numbers that are not finite; invert the photo again")
    residuals = {name.removeprefix(RESIDUAL): value for name, value in tensors.items()}
    return Inverted(about["model"], about["identity"], latent, residuals, photo)
