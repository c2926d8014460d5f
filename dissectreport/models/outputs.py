"""How to get (n, 3, h, w) images in [-1, 1] from what a network returns.

OutputFormat()                                    # images in [-1, 1], returned as they are
OutputFormat(low=0, high=1)                       # pixels in [0, 1]
OutputFormat(take="images")                       # a dictionary's key, or an object's attribute
OutputFormat(take=0, channels=(0, 0, 0))          # the first of a tuple; one grey channel as red, green and blue
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from dissectreport.errors import BadOption, ModelError

OVERSHOOT = 3.0
"""Values of a network with range [-1, 1] stay within ± this, even where they exceed the range."""


@dataclass(frozen=True)
class OutputFormat:
    """Which part of a network's output is the image, and how its pixels are coded."""

    take: str | int | None = None
    """Index in a tuple, key of a dictionary, or attribute of an object; None if the network returns the image."""
    channels: tuple[int, ...] = ()
    """The channels that are red, green and blue; () if there are three, in this order."""
    low: float = -1.0
    """The value of black."""
    high: float = 1.0
    """The value of white."""
    declared: bool = False
    """Whether the user stated the range."""
    certain: bool = False
    """Whether the range follows from the network's family, so that pixels outside it do not show another range."""

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise BadOption(f"range [{self.low:g}, {self.high:g}] of an output; the first number must be the smaller")
        if self.channels and len(self.channels) != 3:
            raise BadOption(f"channels {list(self.channels)} of an output; give three: red, green and blue")

    @property
    def changes_images(self) -> bool:
        """Whether images differ from what the network returns."""
        return (self.take, self.channels, self.low, self.high) != (None, (), -1.0, 1.0)

    def images(self, returned: object) -> Tensor:
        """What the network returned -> (n, 3, h, w), nominally in [-1, 1]; a ModelError explains what to change."""
        images = self._image_part(returned)
        if images.ndim != 4 or not images.numel():
            raise ModelError(
                f"the network returns shape {tuple(images.shape)}; images are (n, channels, height, width): "
                "reshape them in the network, or take another of its outputs"
            )
        images = self._rgb(images)
        if (self.low, self.high) == (-1, 1):
            return images
        return (images - self.low) * (2 / (self.high - self.low)) - 1

    def _image_part(self, returned: object) -> Tensor:
        part = returned if self.take is None else part_of(returned, self.take)
        if isinstance(part, np.ndarray) or part is None:
            raise ModelError(f"the network returns a {type(part).__name__} instead of images; need a tensor of torch")
        if not isinstance(part, Tensor):
            raise ModelError(
                f"the network returns a {type(part).__name__} instead of images{contents(part)}; "
                "name the part that is the image: output = { take = … }"
            )
        return part

    def _rgb(self, images: Tensor) -> Tensor:
        count = images.shape[1]
        if not self.channels:
            if count == 3:
                return images
            raise ModelError(f"the network's images have {_channels(count)}, not 3; {_channels_hint(images)}")
        wrong = [number for number in self.channels if not 0 <= number < count]
        if wrong:
            raise ModelError(f"the network's images have no channel {wrong[0]}; they have channels 0 to {count - 1}")
        return images[:, list(self.channels)]


def _channels(count: int) -> str:
    return f"{count} {'channel' if count == 1 else 'channels'}"


def _channels_hint(images: Tensor) -> str:
    if images.shape[1] == 1:
        return "for grey images, set output = { channels = [0, 0, 0] }"
    last = images.shape[-1] in (1, 3, 4)
    permute = "; if channels come last, move them: images.permute(0, 3, 1, 2)" if last else ""
    return f"give the channels that are red, green and blue: output = {{ channels = [0, 1, 2] }}{permute}"


def part_of(returned: object, take: str | int) -> object:
    """An item of a sequence or dictionary, or an attribute; a ModelError lists what there is."""
    if isinstance(take, int) and isinstance(returned, Sequence) and -len(returned) <= take < len(returned):
        return returned[take]
    if isinstance(returned, Mapping) and take in returned:
        return returned[take]
    if isinstance(take, str) and not isinstance(returned, Mapping | Tensor) and hasattr(returned, take):
        return getattr(returned, take)
    raise ModelError(f"the network returns a {type(returned).__name__} without a part {take!r}{contents(returned)}")


def contents(returned: object) -> str:
    """The keys of a dictionary, or the shapes in a sequence, in parentheses; '' for anything else."""
    if isinstance(returned, Mapping):
        return f" (it has {', '.join(map(repr, returned))})"
    if isinstance(returned, Sequence) and not isinstance(returned, str):
        kinds = [str(tuple(part.shape)) if isinstance(part, Tensor) else type(part).__name__ for part in returned]
        return f" (it contains {', '.join(kinds)})"
    return ""


def range_warning(images: Tensor, declared: bool, certain: bool = False) -> str:
    """Why (n, 3, h, w) images are probably not in [-1, 1]; '' if they look right.

    `declared` is `OutputFormat.declared`: then images without values below 0 are not suspicious. `certain` is
    `OutputFormat.certain`: then only images of one colour are.
    """
    lowest, highest = float(images.min()), float(images.max())
    outside = float((images.abs() > OVERSHOOT).float().mean())
    span = f"its pixels range from {lowest:.3g} to {highest:.3g}"
    if lowest == highest:
        return f"all its pixels are {lowest:.3g}; check that its weights were loaded"
    if certain:
        return ""
    if outside > 0.5:
        return f"{span}, most far outside [-1, 1]; give the values of black and white: output = {{ range = [0, 255] }}"
    if not declared and lowest >= 0:
        return (
            f"{span}, as if black were 0; set output = {{ range = [0, 1] }}, "
            "or output = { range = [-1, 1] } if its images really have no dark half"
        )
    return ""
