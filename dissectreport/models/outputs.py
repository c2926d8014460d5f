"""From what a network returns to (n, 3, h, w) images in [-1, 1].

Output()                                    # images as they are
Output(low=0, high=1)                       # pixels in [0, 1]
Output(take="images")                       # network(z) returns a dictionary or an object that has them
Output(take=0, channels=(0, 0, 0))          # the first of a tuple, one grey channel shown as three
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from dissectreport.errors import BadOption, ModelError

FAR = 3.0
"""Pixels beyond plus or minus this are no overshooting."""


@dataclass(frozen=True)
class Output:
    """Where in what a network returns the image is, and how its pixels are to be read."""

    take: str | int | None = None
    """The place in a tuple, the key of a dictionary or the attribute of an object; None for what is returned itself."""
    channels: tuple[int, ...] = ()
    """Which three channels are red, green and blue; () where there are just three in this order."""
    low: float = -1.0
    """Black."""
    high: float = 1.0
    """White."""
    declared: bool = False
    """Whether somebody said so, rather than it being assumed."""

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise BadOption(f"an output from {self.low:g} to {self.high:g}; the first must be the smaller")
        if self.channels and len(self.channels) != 3:
            raise BadOption(f"channels {list(self.channels)} of an output; name three: red, green and blue")

    @property
    def unusual(self) -> bool:
        """Whether it changes what the network returns."""
        return (self.take, self.channels, self.low, self.high) != (None, (), -1.0, 1.0)

    def images(self, returned: object) -> Tensor:
        """What the network returned -> (n, 3, h, w), nominally in [-1, 1]; a ModelError says what would do instead."""
        images = self._taken(returned)
        if images.ndim != 4:
            raise ModelError(
                f"the network returns shape {tuple(images.shape)}; images are (n, channels, height, width): "
                "reshape them in the network, or take another of its outputs"
            )
        images = self._coloured(images)
        if (self.low, self.high) == (-1, 1):
            return images
        return (images - self.low) * (2 / (self.high - self.low)) - 1

    def _taken(self, returned: object) -> Tensor:
        found = returned if self.take is None else part_of(returned, self.take)
        if not isinstance(found, Tensor):
            raise ModelError(
                f"the network returns a {type(found).__name__} instead of images{inside(found)}; "
                "say which part is the image: output = { take = … }"
            )
        return found

    def _coloured(self, images: Tensor) -> Tensor:
        count = images.shape[1]
        if not self.channels:
            if count == 3:
                return images
            hint = (
                "for grey images say output = { channels = [0, 0, 0] }"
                if count == 1
                else f"say which of them are red, green and blue: output = {{ channels = [0, 1, 2] }}{last(images)}"
            )
            raise ModelError(
                f"the network's images have {count} {'channel' if count == 1 else 'channels'}, not 3; {hint}"
            )
        wrong = [number for number in self.channels if not 0 <= number < count]
        if wrong:
            raise ModelError(f"the network's images have no channel {wrong[0]}; there are 0 to {count - 1}")
        return images[:, list(self.channels)]


def part_of(returned: object, take: str | int) -> object:
    """The part of a tuple, a dictionary or an object."""
    if isinstance(take, int) and isinstance(returned, Sequence) and -len(returned) <= take < len(returned):
        return returned[take]
    if isinstance(returned, Mapping) and take in returned:
        return returned[take]
    if isinstance(take, str) and not isinstance(returned, Mapping | Tensor) and hasattr(returned, take):
        return getattr(returned, take)
    raise ModelError(f"the network returns a {type(returned).__name__} without a part {take!r}{inside(returned)}")


def inside(returned: object) -> str:
    """What a returned value holds, to choose from: its keys, or the shapes in a tuple."""
    if isinstance(returned, Mapping):
        return f" (it has {', '.join(map(repr, returned))})"
    if isinstance(returned, Sequence) and not isinstance(returned, str):
        kinds = [str(tuple(part.shape)) if isinstance(part, Tensor) else type(part).__name__ for part in returned]
        return f" (it holds {', '.join(kinds)})"
    return ""


def last(images: Tensor) -> str:
    """A hint for images whose channels come last."""
    return "; if they come last, move them: images.permute(0, 3, 1, 2)" if images.shape[-1] in (1, 3, 4) else ""


def doubt_about(images: Tensor, declared: bool) -> str:
    """Why (n, 3, h, w) images can hardly be in [-1, 1] as they should, or ''."""
    lowest, highest = float(images.min()), float(images.max())
    outside = float((images.abs() > FAR).float().mean())
    seen = f"its pixels go from {lowest:.3g} to {highest:.3g}"
    if lowest == highest:
        return f"all its pixels are {lowest:.3g}; check that its weights were loaded"
    if outside > 0.5:
        return f"{seen}, and most are far outside [-1, 1]; say what is black and white: output = {{ range = [0, 255] }}"
    if not declared and lowest >= 0:
        return (
            f"{seen}, as if black were 0; say output = {{ range = [0, 1] }}, "
            "or output = { range = [-1, 1] } if its images really have no dark half"
        )
    return ""
