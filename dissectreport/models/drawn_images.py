"""Images that a program draws, read by number like the images of a folder.

images = DrawnImages("drawn scenes", (64, 64), count=960, draw=draw_some, code="scenes-1")
images.read(["000007", "000012"])               # (2, 3, 64, 64) in [-1, 1], the same every time
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from dissectreport.models.image_folder import Unreadable


@dataclass(frozen=True, eq=False)
class DrawnImages:
    """An `ImageCollection` of `count` images, image `n` of which is a pure function of n."""

    name: str
    """In words, for pages and messages."""
    size: tuple[int, int]
    """Height and width."""
    count: int
    draw: Callable[[Sequence[int]], Tensor]
    """Numbers of images -> (n, 3, height, width) in [-1, 1]."""
    code: str
    """Changes whenever the same number would give another image."""
    undecodable: tuple[Unreadable, ...] = ()
    _orders: dict[int, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False)

    @property
    def identity(self) -> str:
        """Changes whenever the images do."""
        return f"drawn-{self.code}-{self.count}-{self.size[0]}x{self.size[1]}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all images: their numbers, with six digits."""
        return tuple(map(name_of, range(self.count)))

    def __len__(self) -> int:
        return self.count

    def order(self, seed: int) -> tuple[str, ...]:
        """The names in a random order that depends on `seed`."""
        if seed not in self._orders:
            self._orders[seed] = tuple(map(name_of, np.random.RandomState(seed).permutation(self.count).tolist()))
        return self._orders[seed]

    def read(self, names: Sequence[str]) -> Tensor:
        """(n, 3, height, width) in [-1, 1]: the images of these names."""
        return self.draw([int(name) for name in names])

    def validated(self, _prefixes: Iterable[tuple[int, int]]) -> DrawnImages:
        """The same images: a program draws all of them."""
        return self

    def without(self, _names: Iterable[str]) -> DrawnImages:
        """The same images: none is ever unreadable."""
        return self

    def left_out(self) -> tuple[str, ...]:
        """No names: every image is there, and no two of them are alike."""
        return ()

    def description(self) -> Mapping[str, Any]:
        """For the report: `folder` (what the images are called), `images`, and none `unreadable` or `similar`."""
        return {"folder": self.name, "images": self.count, "unreadable": 0, "similar": 0}

    def notes(self) -> tuple[str, ...]:
        """Nothing that a user should know."""
        return ()


def name_of(number: int) -> str:
    """The name of an image.

    >>> name_of(7)
    '000007'
    """
    return f"{number:06d}"
