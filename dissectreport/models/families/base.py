"""What all families share: how a network is sampled, what it says about itself, and how it takes its tensors."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from dissectreport.checkpoints.names import shown
from dissectreport.errors import BadOption, WeightsError
from dissectreport.models.inputs import Argument, ClassLabels, Inputs, Noise

MAX_DEFAULT = 5
"""At most this many layers are measured when the user names none."""


@dataclass(frozen=True)
class Sampling:
    """How images are drawn from a network of a family."""

    psi: float = 1.0
    """Truncation: 1 for none, towards 0 for typical images."""
    cutoff: int | None = None
    """The first so many layers are truncated; None for all."""
    labels: tuple[int, ...] = ()
    """The classes that are drawn, equally often; () for all."""
    noise: str = "const"
    """const (the fixed pattern in the file, the same in every image) or none."""

    def __post_init__(self) -> None:
        if not 0 <= self.psi <= 1:
            raise BadOption(f"psi is {self.psi:g}; truncation is a number from 0 (the average image) to 1 (none)")
        if self.cutoff is not None and self.cutoff < 0:
            raise BadOption(f"cutoff is {self.cutoff}; give the number of layers that are truncated, 0 or more")
        if self.noise not in ("const", "none"):
            raise BadOption(f"noise is {self.noise!r}; it is const (a fixed pattern) or none")


DEFAULT_SAMPLING = Sampling()
"""No truncation, all classes, the noise of the file."""


@dataclass(frozen=True)
class NetworkTensors:
    """The tensors of one network in a checkpoint, and what else the checkpoint says about it."""

    tensors: Mapping[str, Tensor]
    """By the names that the original program gives them."""
    part: str = ""
    """The key of the network in the file, such as G_ema; '' for a file with one network."""
    prefix: str = ""
    """What all names began with in the file."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings with which the network was made, as far as the file has them."""
    others: str = ""
    """What shows that the file's network is more than these tensors; '' if nothing does."""


class FamilyNetwork(nn.Module):
    """A generator of a known family. Its `forward` takes (n, latent) and, with classes, (n, classes) one-hot labels."""

    title: ClassVar[str] = ""
    """The family's name in messages and on pages."""
    latent_size: int
    """Length of a latent."""
    classes: int
    """Number of classes; 0 for none."""
    resolution: int
    """Height and width of an image in pixels."""
    colours: int = 3
    """Channels of an image."""
    sampling: Sampling

    @property
    def unit_layers(self) -> tuple[str, ...]:
        """The names of the layers whose units can be measured, in the order in which they run."""
        raise NotImplementedError

    @property
    def default_layers(self) -> tuple[str, ...]:
        """The layers that are measured by default, at most five."""
        raise NotImplementedError

    def details(self) -> Iterable[str]:
        """What distinguishes this network within its family, such as "config F"."""
        return ()

    def file_name(self, name: str) -> str:
        """The name that the original program gives to a tensor of this network."""
        return name

    def random_weight(self, name: str, value: Tensor, random: torch.Generator) -> Tensor:
        """A tensor of an untrained network in place of `value`, which is called `name`."""
        raise NotImplementedError

    def latent(self) -> Argument:
        """The latent that the network takes."""
        return Noise((self.latent_size,))

    def inputs(self) -> Inputs:
        """What the network is called with: a latent and, with classes, a label."""
        if not self.classes:
            return Inputs((self.latent(),))
        return Inputs((self.latent(), ClassLabels(self.classes, "one-hot", self.sampling.labels)))

    def describe(self) -> str:
        """One line: family, size, latent and labels."""
        labels = f"{self.classes:,} class{'es' if self.classes > 1 else ''}" if self.classes else "no labels"
        parts = (f"{self.resolution} px", *self.details(), f"{self.latent_size} latents", labels)
        return f"{self.title}, {', '.join(parts)}"

    def describe_sampling(self) -> str:
        """How images are drawn, in words."""
        sampling = self.sampling
        parts = [f"truncation psi {sampling.psi:g}" if sampling.psi < 1 else "no truncation"]
        parts += [f"of the first {sampling.cutoff} layers"] if sampling.psi < 1 and sampling.cutoff is not None else []
        words = [" ".join(parts)]
        if self.classes:
            names = ", ".join(map(str, sampling.labels))
            words.append(f"only class {names}" if names or self.classes == 1 else f"all {self.classes:,} classes mixed")
        return ", ".join(words)

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Load tensors by the original program's names; a WeightsError names the first that does not fit."""
        own = self.state_dict()
        names = {self.file_name(name): name for name in own}
        tensors = {name: _as_number(value, own.get(names.get(name, ""))) for name, value in tensors.items()}
        problem = _mismatch(tensors, {original: own[name] for original, name in names.items()})
        if problem:
            raise WeightsError(f"{problem} (by its other tensors it is {self.describe()})")
        self.load_state_dict({names[original]: value.float() for original, value in tensors.items()})

    def initialise(self, seed: int) -> None:
        """Give the network the random weights with which training starts."""
        random = torch.Generator().manual_seed(seed)
        self.load_state_dict(
            {name: self.random_weight(name, value, random) for name, value in self.state_dict().items()}
        )

    def extra_repr(self) -> str:
        """The settings that change images; a part of the network's identity."""
        return repr(self.sampling)

    def check_sampling(self, layers: int = 0, noise: bool = False) -> None:
        """Raise a BadOption if the sampling asks for what a network of this many truncated layers does not have."""
        cutoff = self.sampling.cutoff
        if cutoff is not None and not layers:
            raise BadOption(f"cutoff is {cutoff}, but a {self.title} has no layers to truncate; leave it out")
        if cutoff is not None and cutoff > layers:
            raise BadOption(f"cutoff is {cutoff}; this {self.title} has {layers} layers to truncate")
        if self.sampling.noise != "const" and not noise:
            raise BadOption(f"noise is {self.sampling.noise!r}, but this {self.title} adds no noise; leave it out")
        if self.sampling.labels and not self.classes:
            raise BadOption(f"label {self.sampling.labels[0]} was given, but this {self.title} has no labels")
        wrong = [label for label in self.sampling.labels if not 0 <= label < self.classes]
        if wrong:
            raise BadOption(f"label {wrong[0]} is out of range: the classes are 0 to {self.classes - 1}")


Family = TypeVar("Family", bound=FamilyNetwork)


def _mismatch(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """The first tensor that does not fit, and the number of others; '' if all do."""
    problems = [_missing(name, tensors) for name in expected if name not in tensors]
    problems += [f"{shown(name)} is unknown" for name in tensors if name not in expected]
    problems += [
        f"{name} has shape {tuple(tensors[name].shape)} instead of {tuple(value.shape)}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{problems[0]}{more}" if problems else ""


def _as_number(value: Tensor, expected: Tensor | None) -> Tensor:
    """A tensor; one number in the shape that is expected, as programs save it as a number or as a list of one."""
    one = expected is not None and expected.numel() == 1 == value.numel() and max(expected.ndim, value.ndim) == 1
    return value.reshape(expected.shape) if one and expected is not None else value


def _missing(name: str, tensors: Mapping[str, Tensor]) -> str:
    """That a tensor is missing, or that it has a norm without all that it is computed from."""
    if f"{name}_orig" in tensors:
        return f"{name}_orig has no fitting {name}_u and {name}_v, so its spectral norm is unknown"
    return f"{name} is missing"


def evenly(names: Iterable[str], limit: int = MAX_DEFAULT) -> tuple[str, ...]:
    """At most `limit` of the names, evenly from the first to the last."""
    every = tuple(names)
    if len(every) <= limit:
        return every
    return tuple(every[round(step * (len(every) - 1) / (limit - 1))] for step in range(limit))


def size_of(tensors: Mapping[str, Tensor], name: str, axes: int) -> tuple[int, ...]:
    """The shape of a tensor, which must be there and have this number of axes."""
    if name not in tensors:
        raise WeightsError(_missing(name, tensors))
    shape = tuple(tensors[name].shape)
    if len(shape) != axes:
        raise WeightsError(f"{name} has shape {shape}; it should have {axes} axes")
    if not math.prod(shape):
        raise WeightsError(f"{name} has shape {shape}, so it is empty")
    return shape


def standard_normal(value: Tensor, random: torch.Generator) -> Tensor:
    """Standard normal numbers of the shape of `value`."""
    return torch.randn(value.shape, generator=random)


def untrained(network: Family, seed: int) -> Family:
    """The same architecture with random weights."""
    control = copy.deepcopy(network)
    control.initialise(seed)
    return control


Make = Callable[[NetworkTensors, Sampling], FamilyNetwork]
"""Makes the network of a family from its tensors, or raises a WeightsError."""
