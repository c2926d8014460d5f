"""Directions and sparse features of a layer as units.

    generator = with_directions(generator, (("layer4", Path("directions.safetensors")),))
    generator.default_layers                                # ("layer4.directions",)

A file has either `directions` (n, channels), or a sparse autoencoder: `encoder` (n, channels), `decoder` (channels, n)
and, where it has them, `bias` (n), `centre` (channels), `threshold` (n or one number) and `keep`, how many of the
largest values stay at each position. The names encoder.weight, decoder.weight, latent_bias (bias) and pre_bias (centre)
are read too. The value of a direction is the activation's component along it; that of a sparse feature is

    a = encoder (x - centre) + bias        where it exceeds the threshold, or 0, and is among the `keep` largest

The layer then has a part called `directions` whose output are these values. What it returns is compared with what they
were, and the difference is added to the layer's output, d decoder. So whatever reads and edits units does the same with
directions: setting one to zero takes its component out of the activations, setting it to v makes the component v, and
without an edit nothing changes, to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dissectreport.checkpoints.weight_files import read_checkpoint, tensors_of
from dissectreport.errors import ModelError, UnknownName, WeightsError
from dissectreport.models.base import Generator
from dissectreport.models.image_model import FolderImageModel
from dissectreport.models.network_generator import NetworkGenerator
from dissectreport.networks.hooks import margin_of

PART = "directions"
"""The name of the part of a layer whose units are directions."""
SPARSE = ("encoder", "decoder", "bias", "centre", "threshold", "keep")
"""What a file of a sparse autoencoder may have."""
NAMES = {"encoder.weight": "encoder", "decoder.weight": "decoder", "latent_bias": "bias", "pre_bias": "centre"}
"""Other names of these parts, with which programs save them."""
REMEDY = "give a .safetensors or .npz file with directions (n, channels), or with encoder and decoder"


class Directions(nn.Module):
    """(n, channels, h, w) activations -> (n, directions, h, w) values of directions or sparse features."""

    encoder: Tensor
    decoder: Tensor
    bias: Tensor
    centre: Tensor
    threshold: Tensor

    def __init__(
        self, tensors: Mapping[str, Tensor], sparse: bool, keep: int = 0, margin: int = 0, origin: str = "directions"
    ) -> None:
        super().__init__()
        self.sparse, self.keep, self.unit_margin, self.origin = sparse, keep, margin, origin
        for name, value in tensors.items():
            self.register_buffer(name, value)

    def extra_repr(self) -> str:
        """What the values depend on besides tensors."""
        return f"sparse={self.sparse}, keep={self.keep}"

    def encode(self, maps: Tensor) -> Tensor:
        """(n, channels, h, w) -> (n, directions, h, w)."""
        if maps.shape[1] != self.encoder.shape[1]:
            raise ModelError(
                f"{self.origin}: directions of {self.encoder.shape[1]} channels, but the layer has {maps.shape[1]}"
            )
        centred = maps - self.centre[:, None, None]
        values = torch.einsum("kc,nchw->nkhw", self.encoder, centred) + self.bias[:, None, None]
        return self._rectified(values) if self.sparse else values

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, h, w) -> (n, directions, h, w), to be read and edited."""
        return self.encode(maps)

    def decode(self, values: Tensor) -> Tensor:
        """(n, directions, h, w) values -> (n, channels, h, w) their part of the activations."""
        return torch.einsum("ck,nkhw->nchw", self.decoder, values)

    def _rectified(self, values: Tensor) -> Tensor:
        on = values > self.threshold[:, None, None]
        if 0 < self.keep < values.shape[1]:
            largest = torch.zeros_like(on).scatter_(1, values.topk(self.keep, dim=1).indices, True)
            on = on & largest
        return torch.where(on, values, torch.zeros_like(values))


class LayerWithDirections(nn.Module):
    """A layer that returns what it returned, with the changes that were made to the values of its directions."""

    def __init__(self, layer: nn.Module, directions: Directions) -> None:
        super().__init__()
        self.layer, self.directions = layer, directions

    def __getattr__(self, name: str) -> Any:
        """Attributes of the layer, which the network may read."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer returns, with changed directions."""
        output = self.layer(*args, **kwargs)
        if not isinstance(output, Tensor) or output.ndim not in (2, 4):
            raise ModelError(f"a layer with directions returns (n, channels, h, w), not {type(output).__name__}")
        maps = output if output.ndim == 4 else output[:, :, None, None]
        change = self.directions(maps) - self.directions.encode(maps)
        return output + self.directions.decode(change).reshape(output.shape)


def read_directions(path: Path, margin: int = 0, layer: str = "") -> tuple[Directions, dict[str, Any]]:
    """The directions or sparse features in a file, and what the report shows of them; `layer` is named in errors.

    Raises a WeightsError if the file has neither, its shapes do not fit each other, or its numbers are not finite.
    """
    checkpoint = read_checkpoint(path, remedy=REMEDY)
    tensors = _named(path, tensors_of(checkpoint.content))
    sparse = "directions" not in tensors
    parts = _sparse(path, tensors) if sparse else _plain(path, tensors)
    keep = _keep(path, tensors["keep"]) if sparse and "keep" in tensors else 0
    kind = "sparse features" if sparse else "directions"
    facts = {"file": path.name, "kind": kind, "directions": len(parts["encoder"]), "sha256": checkpoint.sha256}
    origin = f"{layer}={path.name}" if layer else path.name
    return Directions(parts, sparse, keep, margin, origin), facts


def _named(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file by the names of this module; a WeightsError if a number that is used is not finite."""
    named = {NAMES[name]: value for name, value in tensors.items() if name in NAMES} | dict(tensors)
    for name in ("directions", *SPARSE):
        if name in named and not bool(torch.isfinite(named[name]).all()):
            raise WeightsError(f"{name} in {path} has values that are not finite; {REMEDY}")
    return named


def _keep(path: Path, value: Tensor) -> int:
    """How many of the largest values stay; a WeightsError if that is no whole number from 1."""
    if value.numel() != 1 or float(value) < 1 or float(value) != int(value):
        raise WeightsError(f"keep in {path} is {value.flatten()[:4].tolist()}; it must be one whole number from 1")
    return int(value)


def _plain(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parts for directions, which are made of length 1."""
    rows = tensors["directions"].float()
    lengths = rows.flatten(1).norm(dim=1, keepdim=True) if rows.ndim == 2 else torch.zeros(1)
    if not len(rows) or not bool((lengths > 0).all()):
        raise WeightsError(
            f"the directions in {path} are {tuple(rows.shape)}; there must be rows of channels that are not zero"
        )
    unit = rows / lengths
    zeros = torch.zeros(len(rows))
    return {"encoder": unit, "decoder": unit.T.contiguous(), "bias": zeros, "centre": torch.zeros(rows.shape[1])} | {
        "threshold": zeros
    }


def _sparse(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parts for sparse features."""
    if missing := [name for name in ("encoder", "decoder") if name not in tensors]:
        raise WeightsError(f"{path} has no {missing[0]}, only {', '.join(sorted(tensors)) or 'nothing'}; {REMEDY}")
    encoder = tensors["encoder"].float()
    if encoder.ndim != 2 or not encoder.numel():
        raise WeightsError(
            f"the encoder in {path} is {tuple(encoder.shape)}; it must be (features, channels), at least 1 of each"
        )
    count, channels = encoder.shape
    wanted = {"decoder": (channels, count), "bias": (count,), "centre": (channels,), "threshold": (count,)}
    parts = {"encoder": encoder}
    for name, shape in wanted.items():
        value = tensors.get(name, torch.zeros(())).float()
        if value.numel() == 1 and name != "decoder":
            value = value.reshape(1).expand(shape).clone()
        if value.shape != shape:
            raise WeightsError(
                f"{name} in {path} is {tuple(value.shape)}; for an encoder of {tuple(encoder.shape)} it must be {shape}"
            )
        parts[name] = value
    return parts


def with_directions(generator: Generator, files: Sequence[tuple[str, Path]]) -> Generator:
    """The generator with directions of layers, from files, as layers of their own, which are measured by default.

    Raises an UnknownName for a layer that it does not have, and a ModelError if it is of a kind of its own.
    """
    if not isinstance(generator, NetworkGenerator | FolderImageModel):
        raise ModelError(f"{generator.name} is not a NetworkGenerator, so its layers cannot have directions")
    for layer, _ in files:
        if layer not in generator.layers:
            raise UnknownName.of("layer", layer, generator.layers)
    facts = _attach(generator.module, files)
    reinitialise = generator.reinitialise

    def untrained(seed: int) -> nn.Module:
        assert reinitialise is not None
        module = reinitialise(seed)
        _attach(module, files)
        return module

    names = tuple(layer for layer, _ in files)
    parts = {layer: (f"{_renamed(layer, names)}.{PART}",) for layer in names}
    digests = " ".join(f"{layer}={one['sha256']}" for layer, one in facts.items())
    return replace(
        generator,
        name=f"{generator.name} with directions",
        layers=tuple(name for layer in generator.layers for name in (_renamed(layer, names), *parts.get(layer, ()))),
        default_layers=tuple(name for layer in generator.layers for name in parts.get(layer, ())),
        reinitialise=None if reinitialise is None else untrained,
        facts={**generator.facts, "directions": facts},
        identity=f"{generator.identity} directions {digests}",
    )


def _attach(module: nn.Module, files: Sequence[tuple[str, Path]]) -> dict[str, dict[str, Any]]:
    """Give layers of a network their directions; what the report shows of each."""
    facts = {}
    # Inner layers first: the names of outer ones stay.
    for layer, path in sorted(files, key=lambda file: -file[0].count(".")):
        parent, _, name = layer.rpartition(".")
        holder = module.get_submodule(parent)
        inner = getattr(holder, name)
        directions, facts[layer] = read_directions(path, margin_of(inner), layer)
        device = next((value.device for value in inner.parameters()), torch.device("cpu"))
        setattr(holder, name, LayerWithDirections(inner, directions.to(device)).eval())
    return {layer: facts[layer] for layer, _ in files}


def _renamed(layer: str, names: Sequence[str]) -> str:
    """The name of a layer once `names` have directions: what lies in such a layer lies in its part `layer`.

    >>> _renamed("up.0.conv", ("up.0",)), _renamed("up.0", ("up.0",))
    ('up.0.layer.conv', 'up.0')
    """
    for name in sorted(names, key=len, reverse=True):
        if layer.startswith(f"{name}."):
            layer = f"{name}.layer{layer[len(name) :]}"
    return layer
