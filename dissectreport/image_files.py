"""The one way to open an image: listed formats only, regular files of bounded size, and no program is ever started.

with opened_image(path) as image:
    pixels = np.asarray(image.convert("RGB"))
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dissectreport.files import opened

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
"""The formats that are read, whatever a file is called. Pillow's other readers, some of which run programs, are off."""
MOST_BYTES = 256 * 2**20
"""Most bytes of the file of an image."""
MOST_PIXELS = 2 * 89_478_485
"""Most pixels of an image: twice what Pillow warns of."""


@contextmanager
def opened_image(source: Path | bytes) -> Iterator[Image.Image]:
    """An image from a file, or from the content of one; a link is followed.

    Raises OSError for what is no regular file, is too large, or is of no listed format, and whatever Pillow raises for
    a damaged file.
    """
    with ExitStack() as stack:
        file = BytesIO(source) if isinstance(source, bytes) else stack.enter_context(opened(source))
        if file.seek(0, os.SEEK_END) > MOST_BYTES:
            raise OSError(errno.EFBIG, f"larger than {MOST_BYTES:,} bytes")
        file.seek(0)
        image = stack.enter_context(Image.open(file, formats=formats()))
        if image.width * image.height > MOST_PIXELS:
            raise Image.DecompressionBombError("too many pixels to be opened safely")
        yield image


@lru_cache(maxsize=1)
def formats() -> tuple[str, ...]:
    """The `FORMATS` that the installed Pillow can read."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextmanager
def opened_pixels(source: Path | bytes) -> Iterator[Image.Image]:
    """An image whose pixels have a known range; a ValueError for others."""
    with opened_image(source) as image:
        if image.mode in ("I", "F"):
            raise ValueError("its pixels have 32 bits without a known range")
        yield image


def fitted(source: Path | bytes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(*size, 3) red, green and blue: rotated upright, on white, scaled to cover `size` and cropped at the centre.

    Raises whatever Pillow raises for a damaged file.
    """
    height, width = size
    with opened_pixels(source) as image:
        # A JPEG can be decoded at 1/2, 1/4 or 1/8; twice the size leaves the rest to the better filter.
        image.draft(None, (2 * max(size), 2 * max(size)))
        upright = ImageOps.exif_transpose(image)
        return np.array(ImageOps.fit(rgb(upright), (width, height), Image.Resampling.LANCZOS))


def rgb(image: Image.Image) -> Image.Image:
    """The image with 8 bits of red, green and blue, on white where it is transparent."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    with_alpha = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), with_alpha).convert("RGB")
