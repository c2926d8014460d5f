"""What a network is called with, made of standard normal numbers: a sample stays a pure function of (seed, number).

    Inputs((Noise((512,)),))                                     # N(0, 1)^512, given as it is
    Inputs((Noise((100,), "uniform", low=-1, high=1),))          # uniform noise
    Inputs((Noise((128,)), Labels(10)))                          # network(noise, one of ten classes)
    Inputs((Noise((512,)), Labels(10, encoding="one-hot", name="c"), Constant(0.7, name="truncation")))

The normal distribution function makes a normal number uniform; a label is one of equal parts of that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from dissectreport.errors import BadOption

DISTRIBUTIONS = ("normal", "truncated", "uniform", "sphere")
ENCODINGS = ("index", "one-hot")


class Argument(Protocol):
    """One thing that a network is called with."""

    @property
    def name(self) -> str:
        """The keyword that it is passed under; '' for by its place."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the standard normal numbers that one sample of it is made from; (0,) for none."""

    def made(self, normal: Tensor) -> object:
        """(n, *shape) standard normal numbers -> what the network takes."""

    def words(self) -> str:
        """What it is, in a few words."""


@dataclass(frozen=True)
class Noise:
    """A vector or a map of random numbers."""

    shape: tuple[int, ...]
    distribution: str = "normal"
    """normal; truncated (normal within ±`bound`); uniform (from `low` to `high`); sphere (of radius `scale`)."""
    scale: float = 1.0
    """The standard deviation, or the radius."""
    low: float = -1.0
    high: float = 1.0
    bound: float = 2.0
    name: str = ""

    def __post_init__(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            raise BadOption(f"distribution {self.distribution!r} of a latent; there are {', '.join(DISTRIBUTIONS)}")
        if not self.shape or min(self.shape) < 1:
            raise BadOption(f"shape {list(self.shape)} of a latent; it needs one or more whole numbers above 0")
        if self.low >= self.high or self.scale <= 0 or self.bound <= 0:
            raise BadOption("a latent's low must be below its high, and its scale and bound above 0")

    def made(self, normal: Tensor) -> Tensor:
        """(n, *shape) -> (n, *shape) float32."""
        if self.distribution == "uniform":
            return (self.low + (self.high - self.low) * uniform(normal)).to(normal)
        if self.distribution == "truncated":
            edge = uniform(torch.tensor(self.bound))
            normal = torch.special.ndtri(1 - edge + (2 * edge - 1) * uniform(normal)).to(normal)
        elif self.distribution == "sphere":
            normal = normal / normal.flatten(1).norm(dim=1).view(-1, *[1] * len(self.shape))
        return normal * self.scale

    def words(self) -> str:
        """Such as "512 numbers, normal"."""
        more = {
            "normal": f" with standard deviation {self.scale:g}" if self.scale != 1 else "",
            "truncated": f" at ±{self.bound:g}",
            "uniform": f" from {self.low:g} to {self.high:g}",
            "sphere": f" of radius {self.scale:g}",
        }
        return f"{' × '.join(map(str, self.shape))} numbers, {self.distribution}{more[self.distribution]}"


@dataclass(frozen=True)
class Labels:
    """A class label, all equally often, or those in `only`."""

    classes: int
    encoding: str = "index"
    """index (n,) int64, or one-hot (n, classes) float32."""
    only: tuple[int, ...] = ()
    name: str = ""
    shape: tuple[int, ...] = field(default=(1,), init=False)

    def __post_init__(self) -> None:
        if self.classes < 1:
            raise BadOption(f"{self.classes} classes; a label needs at least 1")
        if self.encoding not in ENCODINGS:
            raise BadOption(f"encoding {self.encoding!r} of a label; there are {', '.join(ENCODINGS)}")
        wrong = [number for number in self.only if not 0 <= number < self.classes]
        if wrong:
            raise BadOption(f"class {wrong[0]} is not among {self.classes} classes, 0 to {self.classes - 1}")

    def numbers(self, normal: Tensor) -> Tensor:
        """(n, 1) -> (n,) int64 classes."""
        allowed = torch.tensor(self.only or range(self.classes))
        place = (uniform(normal[:, 0]).cpu() * len(allowed)).long().clamp(max=len(allowed) - 1)
        return allowed[place].to(normal.device)

    def made(self, normal: Tensor) -> Tensor:
        """(n, 1) -> (n,) int64, or (n, classes) float32."""
        numbers = self.numbers(normal)
        return numbers if self.encoding == "index" else torch.nn.functional.one_hot(numbers, self.classes).to(normal)

    def words(self) -> str:
        """Such as "one of 10 classes"."""
        return f"one of {len(self.only) or self.classes} classes"


@dataclass(frozen=True)
class Constant:
    """The same value at every call, such as a truncation or a switch."""

    value: float | int | bool | str | None
    name: str = ""
    shape: tuple[int, ...] = field(default=(0,), init=False)

    def made(self, normal: Tensor) -> object:
        """The value."""
        return self.value

    def words(self) -> str:
        """Such as "truncation = 0.7"."""
        return f"{self.name or 'always'} = {self.value}"


@dataclass(frozen=True)
class Inputs:
    """Everything that a network is called with, in order."""

    arguments: tuple[Argument, ...]

    def __post_init__(self) -> None:
        if not any(math.prod(each.shape) for each in self.arguments):
            raise BadOption("a network needs at least one latent or label; otherwise all its images are the same")
        names = [each.name for each in self.arguments if each.name]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise BadOption(f"two inputs are both called {twice[0]!r}; give them different names")

    @classmethod
    def normal(cls, shape: tuple[int, ...]) -> Inputs:
        """One standard normal latent of this shape, the usual case."""
        return cls((Noise(shape),))

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of a sample's standard normal numbers: that of the only input, or of all inputs' in one row."""
        sizes = [each.shape for each in self.arguments if math.prod(each.shape)]
        return sizes[0] if len(sizes) == 1 else (sum(math.prod(size) for size in sizes),)

    def made(self, z: Tensor) -> tuple[list[object], dict[str, object]]:
        """(n, *latent_shape) standard normal numbers -> the network's arguments by place, and by keyword."""
        parts = torch.split(z.flatten(1), [math.prod(each.shape) for each in self.arguments], dim=1)
        values = [
            (each, each.made(part.reshape(len(z), *each.shape)))
            for each, part in zip(self.arguments, parts, strict=True)
        ]
        return [value for each, value in values if not each.name], {each.name: v for each, v in values if each.name}

    def words(self) -> str:
        """What goes in, in a few words."""
        return "; ".join(each.words() for each in self.arguments)


def uniform(normal: Tensor) -> Tensor:
    """The normal distribution function in float64, on the processor, so that every device draws the same."""
    share: Tensor = torch.special.ndtr(normal.cpu().double())
    return share
