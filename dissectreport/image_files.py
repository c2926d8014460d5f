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

from PIL import Image

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
