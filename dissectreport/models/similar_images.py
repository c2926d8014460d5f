"""Near-duplicates among images: the same picture in another size or format, a little lighter, or a moment later.

An image looks like another one if their difference hashes (64 bits: whether brightness rises from each cell of an 8 x 9
grid to the next) differ in few bits, and the mean colours of an 8 x 8 grid differ little. Of images that look alike the
first is kept, and the others are its near-duplicates: no two images that are kept look alike, so that nothing is
selected on one image and scored on its copy, and no copies are in two groups of a jackknife.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROWS = 8
MOST_BITS = 6
"""Bits of 64 that may differ."""
MOST_COLOUR, MOST_ANYWHERE = 4.0, 40
"""Differences of colours, of 255, up to which images look alike: their mean, and the largest, which an object that
moved exceeds."""
RISE = 2
"""Brightness rises where it does by more than this, so that even areas have the same bits after compression."""
BANDS = MOST_BITS + 1
"""Hashes that differ in fewer bits than there are bands are equal in one of them."""


@dataclass(frozen=True, eq=False)
class Look:
    """What an image looks like from afar."""

    bits: NDArray[np.bool_]
    """(64,) difference hash."""
    colours: NDArray[np.int16]
    """(192,) mean red, green and blue of an 8 x 8 grid, from 0 to 255."""

    @classmethod
    def of(cls, image: Image.Image) -> Look:
        """The look of an RGB image of any size."""
        grey = np.asarray(image.convert("L").resize((ROWS + 1, ROWS), Image.Resampling.BOX), np.int16)
        colours = np.asarray(image.resize((ROWS, ROWS), Image.Resampling.BOX), np.int16)
        return cls((np.diff(grey, axis=1) > RISE).ravel(), colours.ravel())


def near_duplicates(looks: Iterable[Look]) -> tuple[int, ...]:
    """Rising numbers of those that look like an earlier one that is kept."""
    kept: list[Look] = []
    by_band: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)
    found = []
    for number, look in enumerate(looks):
        keys = [(band, part.tobytes()) for band, part in enumerate(np.array_split(look.bits, BANDS))]
        rivals = sorted({rival for key in keys for rival in by_band[key]})
        if rivals and _alike(look, [kept[rival] for rival in rivals]):
            found.append(number)
            continue
        for key in keys:
            by_band[key].append(len(kept))
        kept.append(look)
    return tuple(found)


def _alike(look: Look, others: list[Look]) -> bool:
    """Whether an image looks like any of some others."""
    bits = np.array([(other.bits != look.bits).sum() for other in others])
    near = [other for other, different in zip(others, bits, strict=True) if different <= MOST_BITS]
    apart = [np.abs(other.colours - look.colours) for other in near]
    return any(each.mean() <= MOST_COLOUR and each.max() <= MOST_ANYWHERE for each in apart)
