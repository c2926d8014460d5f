"""DCGANs in plain torch: a sequence of transposed convolutions, batch norms and rectifiers, called `main`.

    network = from_tensors(NetworkTensors(tensors), Sampling())
    images = network(torch.randn(4, 100))

Such is the generator of PyTorch's DCGAN tutorial, and of the many programs that derive from it. A layer's name is that
of the original: main.2 is the output of the first rectifier. Steps without weights between a rectifier and the next
convolution are dropout, which does nothing here.

Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks", ICLR 2016.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from dissectreport.errors import WeightsError
from dissectreport.models.families.base import DEFAULT_SAMPLING, FamilyNetwork, NetworkTensors, Sampling, evenly

MARK = "main.0.weight"
"""The tensor by which the family is recognised, if the others fit."""
BARE_MARK = "0.weight"
"""The same where the sequence has another name, or none."""
SEQUENCE = "main."
NAME = re.compile(r"main\.(\d{1,3})\.(weight|bias|running_mean|running_var|num_batches_tracked)")
CLASSES = "classes"
"""The key of the number of classes in the settings of a network; shapes do not distinguish it from the latent."""
KERNEL = 4
INITIAL = 0.02
"""Standard deviation of untrained weights."""
COLOURS = (1, 3, 4)
"""How many channels an image may have."""
MARGIN_STRIDE = {True: (1, 0), False: (2, 1)}
"""Stride and padding of the first convolution, which makes 4 x 4 pixels, and of the others, which double the size."""


class DCGAN(FamilyNetwork):
    """A generator of transposed convolutions, with or without class labels."""

    title = "DCGAN"

    def __init__(self, tensors: Mapping[str, Tensor], classes: int, sampling: Sampling) -> None:
        super().__init__()
        weights = convolutions(tensors)
        last = max(weights)
        self.classes, self.sampling = classes, sampling
        self.latent_size = int(weights[0].shape[0]) - classes
        self.resolution = KERNEL * 2 ** (len(weights) - 1)
        self.colours = int(weights[last].shape[1])
        if classes < 0 or self.latent_size < 1:
            raise WeightsError(f"{classes} classes do not fit an input of {weights[0].shape[0]} numbers")
        self.check_sampling()
        if sampling.psi != DEFAULT_SAMPLING.psi:
            raise WeightsError("a DCGAN has no truncation; leave psi out")
        self.main = nn.Sequential(*(_step(tensors, weights, number) for number in range(last + 1)), nn.Tanh())

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, latent) and, with classes, (n, classes) one-hot labels -> (n, colours, resolution, resolution)."""
        whole = z if labels is None else torch.cat([z, labels], 1)
        return cast(Tensor, self.main(whole[:, :, None, None]))

    @property
    def unit_layers(self) -> tuple[str, ...]:
        """The rectifiers, in the order in which they run."""
        return tuple(f"main.{number}" for number, step in enumerate(self.main) if isinstance(step, nn.ReLU))

    @property
    def default_layers(self) -> tuple[str, ...]:
        """The rectifiers, at most five."""
        return evenly(self.unit_layers)

    def random_weight(self, name: str, value: Tensor, random: torch.Generator) -> Tensor:
        """A tensor of an untrained network, as the paper draws it."""
        kind = name.rpartition(".")[2]
        if value.ndim == 4:
            return torch.randn(value.shape, generator=random) * INITIAL
        if kind == "weight":
            return 1 + torch.randn(value.shape, generator=random) * INITIAL
        return torch.ones_like(value) if kind == "running_var" else torch.zeros_like(value)


def _step(tensors: Mapping[str, Tensor], weights: Mapping[int, Tensor], number: int) -> nn.Module:
    """The step with this number in the sequence."""
    if number in weights:
        channels_in, channels_out = weights[number].shape[:2]
        stride, padding = MARGIN_STRIDE[number == 0]
        bias = f"main.{number}.bias" in tensors
        return nn.ConvTranspose2d(channels_in, channels_out, KERNEL, stride, padding, bias=bias)
    if f"main.{number}.running_mean" in tensors:
        return nn.BatchNorm2d(len(tensors[f"main.{number}.running_mean"]))
    rectifies = f"main.{number - 1}.weight" in tensors
    return nn.ReLU() if rectifies else nn.Identity()


def convolutions(tensors: Mapping[str, Tensor]) -> dict[int, Tensor]:
    """The weights of convolutions, by their numbers in the sequence."""
    found = {int(match[1]): value for name, value in tensors.items() if (match := NAME.fullmatch(name))}
    weights = {number: tensors.get(f"main.{number}.weight") for number in sorted(found)}
    return {number: weight for number, weight in weights.items() if weight is not None and weight.ndim == 4}


def with_usual_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a sequence, with its usual name where they have none.

    >>> list(with_usual_names({"0.weight": torch.zeros(1), "1.bias": torch.zeros(1)}))
    ['main.0.weight', 'main.1.bias']
    """
    bare = all(name[:1].isdigit() for name in tensors)
    return {f"{SEQUENCE}{name}" if bare else name: value for name, value in tensors.items()}


def fits(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of such a generator: a chain of transposed convolutions that ends in an image."""
    return _is_chain(tensors, 0, 1) and list(convolutions(tensors).values())[-1].shape[1] in COLOURS


def why_not(tensors: Mapping[str, Tensor]) -> str:
    """Why a sequence of convolutions of 4 x 4 pixels is no such generator; '' if it is none or fits."""
    weights = convolutions(tensors)
    square = all(tuple(weight.shape[2:]) == (KERNEL, KERNEL) for weight in weights.values())
    if len(weights) < 3 or not square or not all(NAME.fullmatch(name) for name in tensors):
        return ""
    for (number, before), (following, after) in pairwise(weights.items()):
        if before.shape[1] != after.shape[0]:
            gives, takes = int(before.shape[1]), int(after.shape[0])
            return f"main.{number} gives {gives} channels, but main.{following} takes {takes}"
    channels = int(list(weights.values())[-1].shape[1])
    return "" if channels in COLOURS else f"its last convolution gives {channels} channels, not those of an image"


def is_discriminator(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of the discriminator beside such a generator."""
    return _is_chain(tensors, 1, 0) and next(iter(convolutions(tensors).values())).shape[1] in COLOURS


def _is_chain(tensors: Mapping[str, Tensor], inputs: int, outputs: int) -> bool:
    """Whether the outputs of each convolution are the inputs of the next, by their axes in a weight."""
    weights = list(convolutions(tensors).values())
    return (
        len(weights) >= 3
        and all(NAME.fullmatch(name) for name in tensors)
        and all(tuple(weight.shape[2:]) == (KERNEL, KERNEL) for weight in weights)
        and all(before.shape[outputs] == after.shape[inputs] for before, after in pairwise(weights))
    )


def from_tensors(network: NetworkTensors, sampling: Sampling) -> DCGAN:
    """The generator of these tensors; a WeightsError says what does not fit."""
    for name, value in network.tensors.items():
        mean = f"{name.removesuffix('weight')}running_mean"
        if name.endswith(".weight") and value.ndim == 1 and mean not in network.tensors:
            raise WeightsError(f"{mean} is missing; a DCGAN has batch norm with stored statistics")
    made = DCGAN(network.tensors, int(network.settings.get(CLASSES, 0)), sampling)
    counters = {
        name: value
        for name, value in made.state_dict().items()
        if name.endswith("num_batches_tracked") and name not in network.tensors
    }
    made.take({**network.tensors, **counters})
    return made.eval()
