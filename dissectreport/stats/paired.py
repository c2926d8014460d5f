"""Pixels of every concept on the same latents, before and after each of several changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from dissectreport.stats.base import Counts, Ints, same_shape


@dataclass(frozen=True)
class Paired(Counts):
    """Whole pixels over all images. Effects are paired, so differences between images cancel."""

    images: int
    pixels: int
    """Pixels of one image's labels."""
    before: Ints
    """(c,) pixels that show each concept of the vocabulary."""
    after: Ints
    """(v, c) the same after each change."""

    def merge(self, other: Self) -> Self:
        """The pixels of both."""
        same_shape("Paired.after", self.after, other.after)
        assert self.pixels == other.pixels, "one segmenter, one size"
        return type(self)(self.images + other.images, self.pixels, self.before + other.before, self.after + other.after)
