"""The arguments that a network is called with, computed from standard normal numbers.

    Inputs((Noise((512,)),))                                     # 512 standard normal numbers
    Inputs((Noise((100,), "uniform", low=-1, high=1),))          # uniform noise
    Inputs((Noise((128,)), ClassLabels(10)))                          # network(noise, one of ten classes)
    Inputs((Noise((512,)), ClassLabels(10, encoding="one-hot", name="c"), Constant(0.7, name="truncation")))

A sample is a function of (seed, number) alone, because every input is computed from its row of normal numbers: the
normal distribution function turns a normal number into a uniform one, and a uniform number into a class.
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
    """One argument of a network."""

    @property
    def name(self) -> str:
        """The keyword that it is passed as; '' for a positional argument."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the standard normal numbers that one sample needs; (0,) for none."""

    def from_normal(self, normal: Tensor) -> object:
        """(n, *shape) standard normal numbers -> the argument for n samples."""

    def describe(self) -> str:
        """A short description for reports and messages."""


@dataclass(frozen=True)
class Noise:
    """A vector or map of random numbers."""

    shape: tuple[int, ...]
    distribution: str = "normal"
    """normal, truncated (normal within ±`bound`), uniform (`low` to `high`), or sphere (of radius `scale`)."""
    scale: float = 1.0
    """Factor of normal and truncated numbers, or radius of the sphere; not used by uniform."""
    low: float = -1.0
    high: float = 1.0
    bound: float = 2.0
    name: str = ""

    def __post_init__(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            raise BadOption(f"unknown distribution {self.distribution!r}; choose one of {', '.join(DISTRIBUTIONS)}")
        if not self.shape or min(self.shape) < 1:
            raise BadOption(f"shape {list(self.shape)} of a latent; give one or more whole numbers above 0")
        if self.low >= self.high or self.scale <= 0 or self.bound <= 0:
            raise BadOption(
                f"a latent with low {self.low:g}, high {self.high:g}, scale {self.scale:g} and bound {self.bound:g}; "
                "low must be below high, and scale and bound above 0"
            )

    def from_normal(self, normal: Tensor) -> Tensor:
        """(n, *shape) -> (n, *shape) float32."""
        if self.distribution == "uniform":
            return (self.low + (self.high - self.low) * uniform(normal)).to(normal)
        if self.distribution == "truncated":
            upper = uniform(torch.tensor(self.bound))
            normal = torch.special.ndtri(1 - upper + (2 * upper - 1) * uniform(normal)).to(normal)
        elif self.distribution == "sphere":
            normal = normal / normal.flatten(1).norm(dim=1).view(-1, *[1] * len(self.shape))
        return normal * self.scale

    def describe(self) -> str:
        """Such as "512 numbers, normal"."""
        details = {
            "normal": f" with standard deviation {self.scale:g}" if self.scale != 1 else "",
            "truncated": f" at ±{self.bound:g}",
            "uniform": f" from {self.low:g} to {self.high:g}",
            "sphere": f" of radius {self.scale:g}",
        }
        return f"{' × '.join(map(str, self.shape))} numbers, {self.distribution}{details[self.distribution]}"


@dataclass(frozen=True)
class ClassLabels:
    """A class label, drawn uniformly from all classes or from `only`."""

    classes: int
    encoding: str = "index"
    """index (n,) int64, or one-hot (n, classes) float32."""
    only: tuple[int, ...] = ()
    name: str = ""
    shape: tuple[int, ...] = field(default=(1,), init=False)

    def __post_init__(self) -> None:
        if self.classes < 1:
            raise BadOption(f"{self.classes} classes of a label; give at least 1")
        if self.encoding not in ENCODINGS:
            raise BadOption(f"unknown encoding {self.encoding!r} of a label; choose one of {', '.join(ENCODINGS)}")
        wrong = [number for number in self.only if not 0 <= number < self.classes]
        if wrong:
            raise BadOption(f"class {wrong[0]} is not among {self.classes} classes, 0 to {self.classes - 1}")

    def numbers(self, normal: Tensor) -> Tensor:
        """(n, 1) standard normal numbers -> (n,) int64 classes."""
        allowed = torch.tensor(self.only or range(self.classes))
        index = (uniform(normal[:, 0]).cpu() * len(allowed)).long().clamp(max=len(allowed) - 1)
        return allowed[index].to(normal.device)

    def from_normal(self, normal: Tensor) -> Tensor:
        """(n, 1) standard normal numbers -> (n,) int64, or (n, classes) float32 if one-hot."""
        numbers = self.numbers(normal)
        return numbers if self.encoding == "index" else torch.nn.functional.one_hot(numbers, self.classes).to(normal)

    def describe(self) -> str:
        """Such as "one of 10 classes"."""
        return f"one of {len(self.only) or self.classes} classes"


@dataclass(frozen=True)
class Constant:
    """The same value in every call, such as a truncation."""

    value: float | int | bool | str | None
    name: str = ""
    shape: tuple[int, ...] = field(default=(0,), init=False)

    def from_normal(self, normal: Tensor) -> object:
        """The value."""
        return self.value

    def describe(self) -> str:
        """Such as "truncation = 0.7"."""
        return f"{self.name or 'always'} = {self.value}"


@dataclass(frozen=True)
class Inputs:
    """All arguments of a network, in order."""

    arguments: tuple[Argument, ...]
    """At least one of them random; no two with one name."""

    def __post_init__(self) -> None:
        if not any(math.prod(each.shape) for each in self.arguments):
            raise BadOption("none of the inputs is a latent or a label, so all images would be the same; add one")
        names = [each.name for each in self.arguments if each.name]
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise BadOption(f"two inputs are both called {repeated[0]!r}; give them different names")

    @classmethod
    def normal(cls, shape: tuple[int, ...]) -> Inputs:
        """One standard normal latent of this shape."""
        return cls((Noise(shape),))

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of the standard normal numbers of a sample: of the only random input, or all in one vector."""
        sizes = [each.shape for each in self.arguments if math.prod(each.shape)]
        return sizes[0] if len(sizes) == 1 else (sum(math.prod(size) for size in sizes),)

    def arguments_from(self, z: Tensor) -> tuple[list[object], dict[str, object]]:
        """(n, *latent_shape) standard normal numbers -> the positional and the keyword arguments of the network."""
        parts = torch.split(z.flatten(1), [math.prod(each.shape) for each in self.arguments], dim=1)
        values = [
            (each, each.from_normal(part.reshape(len(z), *each.shape)))
            for each, part in zip(self.arguments, parts, strict=True)
        ]
        return [value for each, value in values if not each.name], {each.name: v for each, v in values if each.name}

    def describe(self) -> str:
        """A short description of all of them."""
        return "; ".join(each.describe() for each in self.arguments)


def uniform(normal: Tensor) -> Tensor:
    """Standard normal numbers -> uniform in [0, 1], float64, computed on the CPU so that all devices agree."""
    probabilities: Tensor = torch.special.ndtr(normal.cpu().double())
    return probabilities
