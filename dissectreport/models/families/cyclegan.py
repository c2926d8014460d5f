"""The ResNet generators of CycleGAN in plain torch, which turn photographs into images of another kind.

    network = from_tensors(NetworkTensors(tensors), Sampling())
    redrawn = network(photographs)

A sequence called `model`: a convolution of 7 x 7 pixels, convolutions that halve the size, residual blocks, transposed
convolutions that double it, and a convolution of 7 x 7 pixels to red, green and blue. A layer's name is that of the
original: model.10 is the output of the first residual block. Norms without weights, and steps of dropout, leave gaps in
the numbers.

Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV 2017.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from dissectreport.checkpoints.names import COUNTER
from dissectreport.errors import WeightsError
from dissectreport.models.families.base import NetworkTensors, Sampling, evenly, size_of
from dissectreport.models.families.redrawing import RedrawingNetwork

MARK = "model.1.weight"
"""The tensor by which the family is recognised, if the others fit."""
KINDS = r"(weight|bias|running_mean|running_var|num_batches_tracked)"
NAME = re.compile(rf"model\.(\d{{1,3}})\.((?:conv_)?block\.\d\.)?{KINDS}")
INNER = re.compile(rf"model\.(\d{{1,3}})\.((?:conv_)?block)\.(\d)\.{KINDS}")
BARE = re.compile(r"\d\.weight")
"""The name of a weight within a residual block."""
WIDE, NARROW = 7, 3
"""Height and width of the first and last kernels, and of the others."""
INITIAL = 0.02
"""Standard deviation of untrained weights."""
STATISTICS = ("running_mean", "running_var", COUNTER)


class GeneratorSteps(NamedTuple):
    """The numbers of the steps with weights in a sequence."""

    down: tuple[int, ...]
    """Convolutions that halve the size."""
    blocks: tuple[int, ...]
    up: tuple[int, ...]
    """Transposed convolutions that double it."""
    last: int

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> GeneratorSteps | None:
        """The steps of such a generator; None for other networks."""
        blocks = sorted({int(match[1]) for name in tensors if (match := INNER.fullmatch(name))})
        convolutions = sorted(weights_of(tensors))
        if not blocks or len(convolutions) < 2 or convolutions[0] != 1:
            return None
        inside = convolutions[1:-1]
        down = tuple(number for number in inside if number < blocks[0])
        return cls(down, tuple(blocks), tuple(number for number in inside if number > blocks[-1]), convolutions[-1])

    def expected(self) -> GeneratorSteps:
        """The numbers that so many steps have in the original program."""
        first = 1 + 3 * (len(self.down) + 1)
        above = first + len(self.blocks)
        return GeneratorSteps(
            tuple(1 + 3 * at for at in range(1, len(self.down) + 1)),
            tuple(range(first, above)),
            tuple(above + 3 * at for at in range(len(self.up))),
            above + 3 * len(self.up) + 1,
        )


class ResidualStep(nn.Module):
    """Two convolutions with norms, added to the input."""

    def __init__(self, tensors: Mapping[str, Tensor], prefix: str, name: str, channels: int) -> None:
        super().__init__()
        own = {key.removeprefix(f"{prefix}.{name}."): value for key, value in tensors.items()}
        places = sorted(int(key[0]) for key, value in own.items() if BARE.fullmatch(key) and value.ndim == 4)
        for place in places:
            after, before = own[f"{place}.weight"].shape[:2]
            if (before, after) != (channels, channels):
                raise WeightsError(
                    f"{prefix}.{name}.{place}.weight takes {before} channels and makes {after}, but {channels} come in "
                    "and are added"
                )
        if len(places) != 2 or places[0] > 1 or places[1] - 2 * places[0] not in (3, 4):
            raise WeightsError(f"{prefix}.{name} has convolutions at {places}; a residual block has two, at 1 and 5")
        # Padding by reflection is a step of its own before each convolution; padding by zeros is none.
        reflected = places[0]
        steps: list[nn.Module] = []
        for at, place in enumerate(places):
            dropped = place - len(steps) - reflected
            steps += [nn.Identity()] * dropped + [nn.ReflectionPad2d(1)] * reflected
            steps += [convolution(own, f"{place}", 1, 1 - reflected), norm(own, place)] + [nn.ReLU()] * (1 - at)
        self.add_module(name, nn.Sequential(*steps))

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, h, w) -> the same shape."""
        (changes,) = self.children()
        return maps + cast(Tensor, changes(maps))


class CycleGAN(RedrawingNetwork):
    """A ResNet generator of any width and number of blocks."""

    title = "CycleGAN"

    def __init__(self, tensors: Mapping[str, Tensor], steps: GeneratorSteps, sampling: Sampling) -> None:
        super().__init__(sampling)
        self.steps = steps
        self.reduction = 2 ** len(steps.down)
        inside = check_channels(tensors, steps)
        parts: list[nn.Module] = [nn.ReflectionPad2d(3), *stage(tensors, 1, convolution(tensors, "model.1", 1, 0))]
        for number in steps.down:
            parts += stage(tensors, number, convolution(tensors, f"model.{number}", 2, 1))
        for number in steps.blocks:
            parts.append(ResidualStep(tensors, f"model.{number}", block_name(tensors, number), inside))
        for number in steps.up:
            parts += stage(tensors, number, doubling(tensors, f"model.{number}"))
        last = convolution(tensors, f"model.{steps.last}", 1, 0)
        self.colours = last.out_channels
        self.model = nn.Sequential(*parts, nn.ReflectionPad2d(3), last, nn.Tanh())

    def details(self) -> tuple[str, ...]:
        """The number of residual blocks."""
        return (f"{len(self.steps.blocks)} residual blocks",)

    def describe(self) -> str:
        """One line: family and blocks, and what it draws."""
        return ", ".join((self.title, *self.details(), "redraws photographs"))

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) photographs in [-1, 1] -> (n, 3, h, w) in [-1, 1]."""
        return cast(Tensor, self.model(images))

    @property
    def unit_layers(self) -> tuple[str, ...]:
        """The rectifiers and residual blocks, in the order in which they run."""
        kinds = nn.ReLU, ResidualStep
        return tuple(f"model.{number}" for number, part in enumerate(self.model) if isinstance(part, kinds))

    @property
    def default_layers(self) -> tuple[str, ...]:
        """From the last rectifier before the residual blocks on, at most five."""
        return evenly(self.unit_layers[len(self.steps.down) :])

    def random_weight(self, name: str, value: Tensor, random: torch.Generator) -> Tensor:
        """A tensor of an untrained network, as the paper draws it."""
        if value.ndim == 4:
            return torch.randn(value.shape, generator=random) * INITIAL
        return torch.ones_like(value) if name.endswith(("weight", "running_var")) else torch.zeros_like(value)


def check_channels(tensors: Mapping[str, Tensor], steps: GeneratorSteps) -> int:
    """The channels between residual blocks; a WeightsError where a step does not take what the one before it makes."""
    before, _, _, _ = size_of(tensors, MARK, 4)
    inside = before
    for number in (*steps.down, *steps.up, steps.last):
        shape = size_of(tensors, f"model.{number}.weight", 4)
        taken, made = shape[:2] if number in steps.up else shape[1::-1]
        if taken != before:
            raise WeightsError(f"model.{number}.weight takes {taken} channels, but {before} come in")
        before, inside = made, made if number in steps.down else inside
    return inside


def stage(tensors: Mapping[str, Tensor], number: int, step: nn.Module) -> list[nn.Module]:
    """A convolution with its norm and rectifier."""
    table = {name.removeprefix("model."): value for name, value in tensors.items()}
    return [step, norm(table, number), nn.ReLU()]


def norm(tensors: Mapping[str, Tensor], after: int) -> nn.Module:
    """The norm after a convolution: of an image if nothing else is known; statistics without weights are not used."""
    channels = outputs_of(tensors, after)
    learned = f"{after + 1}.weight" in tensors
    if learned and f"{after + 1}.running_mean" in tensors:
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels, affine=learned)


def outputs_of(tensors: Mapping[str, Tensor], number: int) -> int:
    """The channels after a convolution, of which a transposed one has them second."""
    shape = size_of(tensors, f"{number}.weight", 4)
    bias = tensors.get(f"{number}.bias")
    following = tensors.get(f"{number + 1}.weight")
    known = bias if bias is not None else following
    return shape[0] if known is None else len(known)


def convolution(tensors: Mapping[str, Tensor], name: str, stride: int, padding: int) -> nn.Conv2d:
    """A convolution of the size of its weight."""
    after, before, side, _ = size_of(tensors, f"{name}.weight", 4)
    return nn.Conv2d(before, after, side, stride, padding, bias=f"{name}.bias" in tensors)


def doubling(tensors: Mapping[str, Tensor], name: str) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles the size."""
    before, after, side, _ = size_of(tensors, f"{name}.weight", 4)
    return nn.ConvTranspose2d(before, after, side, 2, 1, output_padding=1, bias=f"{name}.bias" in tensors)


def block_name(tensors: Mapping[str, Tensor], number: int) -> str:
    """What a residual block calls its sequence: conv_block, or block."""
    return next(m[2] for name in tensors if (m := INNER.fullmatch(name)) and int(m[1]) == number)


def weights_of(tensors: Mapping[str, Tensor]) -> dict[int, Tensor]:
    """The weights of the convolutions outside of residual blocks, by their numbers."""
    found = ((re.fullmatch(r"model\.(\d{1,3})\.weight", name), value) for name, value in tensors.items())
    return {int(match[1]): value for match, value in found if match and value.ndim == 4}


def fits(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of such a generator: its steps have the numbers of the original program."""
    steps = GeneratorSteps.of(tensors)
    if steps is None or steps != steps.expected() or len(steps.down) != len(steps.up):
        return False
    weights = weights_of(tensors)
    first, last = weights[1].shape, weights[steps.last].shape
    return (
        all(NAME.fullmatch(name) for name in tensors)
        and first[1:] == (3, WIDE, WIDE)
        and last == (3, first[0], WIDE, WIDE)
        and all(tuple(weights[number].shape[2:]) == (NARROW, NARROW) for number in (*steps.down, *steps.up))
    )


def is_discriminator(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of the discriminator of patches beside such a generator."""
    weights = list(weights_of(tensors).values())
    return (
        len(weights) >= 3
        and all(NAME.fullmatch(name) for name in tensors)
        and all(weight.shape[2:] == (4, 4) for weight in weights)
        and all(before.shape[0] == after.shape[1] for before, after in pairwise(weights))
        and weights[0].shape[1] in (3, 6)
        and weights[-1].shape[0] == 1
    )


def from_tensors(network: NetworkTensors, sampling: Sampling) -> CycleGAN:
    """The generator of these tensors; a WeightsError says what does not fit."""
    steps = GeneratorSteps.of(network.tensors)
    if steps is None:
        raise WeightsError("it has no residual blocks between convolutions")
    made = CycleGAN(network.tensors, steps, sampling)
    own = made.state_dict()
    counters = {name: value for name, value in own.items() if name.endswith(COUNTER)}
    unused = {name for name in network.tensors if name.endswith(STATISTICS) and name not in own}
    given = {name: value for name, value in network.tensors.items() if name not in unused}
    made.take({**counters, **given})
    return made.eval()
