"""A folder of images of any kind and size, read as a network wants them.

    folder = open_folder("photos", (256, 256))
    images = folder.first(12)                   # (12, 3, 256, 256) in [-1, 1], the same twelve every time
    print(*folder.lines(), sep="\\n")            # what was left out, enlarged or cropped

Images lie at any depth and stand in order of their names, whatever order the file system gives. Hidden files and
folders (.name) are passed over. Opening a folder lists it; the header of every image is read when somebody asks for
`skipped`, and an image is decoded when it is read, so that a large folder costs nothing to open.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import PIL
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from dissectreport.errors import FolderError, counted

SUFFIXES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif", "avif")
"""How the names of images end, in any case."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
"""What images are inside, whatever they are called; Pillow's other readers, some of which run programs, stay closed."""
READING = 1
"""Changes whenever the same file would be read as other pixels."""
NAMED = 3
"""Files that are named in a line."""

T = TypeVar("T")


@dataclass(frozen=True)
class File:
    """A file of a folder."""

    name: str
    """Relative to the folder, with forward slashes."""
    bytes: int
    """-1 where that cannot be told."""


@dataclass(frozen=True)
class Skipped:
    """A file that is left out."""

    name: str
    reason: str

    def __str__(self) -> str:
        """Name and reason, on one line."""
        return f"{printable(self.name)} ({self.reason})"


@dataclass(frozen=True)
class Header:
    """What an image's header says."""

    height: int
    """In pixels, held upright."""
    width: int


@dataclass(frozen=True, eq=False)
class Folder:
    """The images of a folder, each read as (3, height, width) in [-1, 1]."""

    path: Path
    size: tuple[int, int]
    """Height and width to which images are scaled and cropped."""
    files: tuple[File, ...]
    """All that are called images, sorted by name."""
    others: Mapping[str, int] = field(default_factory=dict)
    """Number of other files by the ending of their names."""
    unread: tuple[Skipped, ...] = ()
    """Those that turned out broken when they were read."""
    _seen: dict[str, Header | Skipped] = field(default_factory=dict, repr=False)
    """What headers said, shared with the same folder without some images."""
    _orders: dict[int, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False)

    @property
    def name(self) -> str:
        """The folder's own name, without where it lies."""
        return printable(self.path.name) or "the folder"

    @cached_property
    def identity(self) -> str:
        """A word that changes whenever a file is added, removed or renamed, or has another number of bytes.

        Contents are not read for it: an image that was edited to the same number of bytes goes unnoticed.
        """
        digest = hashlib.sha256(f"{READING} {PIL.__version__} {self.size}\n".encode())
        for file in self.files:
            digest.update(f"{_comparable(file.name)}\0{file.bytes}\n".encode("utf-8", "surrogatepass"))
        return f"folder-{digest.hexdigest()}"

    @cached_property
    def _headers(self) -> tuple[Header | Skipped, ...]:
        fresh = [file.name for file in self.files if file.name not in self._seen]
        self._seen.update(zip(fresh, self._each(read_header, fresh), strict=True))
        known = self._seen | {one.name: one for one in self.unread}
        return tuple(known[file.name] for file in self.files)

    @cached_property
    def skipped(self) -> tuple[Skipped, ...]:
        """The files that are left out: those without an image's header, and those that turned out broken."""
        return tuple(found for found in self._headers if isinstance(found, Skipped))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The images, sorted by name; FolderError where there is none that can be read."""
        left_out = {one.name for one in self.skipped}
        if len(left_out) == len(self.files):
            raise FolderError(self._nothing(self.skipped))
        return tuple(file.name for file in self.files if file.name not in left_out)

    def __len__(self) -> int:
        return len(self.names)

    def images(self, numbers: Iterable[int]) -> Tensor:
        """(n, 3, h, w) images by their numbers among `names`."""
        return self.read([self.names[number] for number in numbers])

    def read(self, names: Sequence[str]) -> Tensor:
        """(n, 3, h, w) images by their names; FolderError names one that cannot be read."""
        images = []
        for found in self._each(self._image, names):
            if isinstance(found, Skipped):
                raise FolderError(f"{self.name}: {found} cannot be read; repair or remove it, and run again")
            images.append(found)
        return torch.stack(images) if images else torch.empty(0, 3, *self.size)

    def first(self, count: int, seed: int = 0) -> Tensor:
        """(n, 3, h, w) the first `count` images in a seed's order that can be read, fewer where there are no more."""
        tried = list(self._until(count, self.order(seed), self._image))
        images = [found for found in tried if not isinstance(found, Skipped)]
        if not images:
            raise FolderError(self._nothing([found for found in tried if isinstance(found, Skipped)]))
        return torch.stack(images)

    def part(self, first: int, count: int, seed: int = 0) -> tuple[list[int], Tensor]:
        """Those of `count` images from place `first` of a seed's order that can be read: places, and (n, 3, h, w)."""
        tried = self._each(self._image, self.order(seed)[first : first + count])
        sound = {first + at: found for at, found in enumerate(tried) if not isinstance(found, Skipped)}
        return list(sound), torch.stack(list(sound.values())) if sound else torch.empty(0, 3, *self.size)

    def order(self, seed: int) -> tuple[str, ...]:
        """The names in an order drawn from the seed, those known to be broken left out, whenever that was found."""
        if seed not in self._orders:
            left_out = {one.name for one in self.unread}
            drawn = [self.files[number].name for number in np.random.RandomState(seed).permutation(len(self.files))]
            self._orders[seed] = tuple(name for name in drawn if name not in left_out)
        return self._orders[seed]

    def sifted(self, wanted: Iterable[tuple[int, int]]) -> Folder:
        """The folder without those images that are broken among the first `count` of each seed's order.

        They are decoded to find out; which are broken further on stays unknown.
        """
        sound: set[Path] = set()

        def prove(path: Path) -> None:
            if path not in sound:
                read_image(path, self.size)
                sound.add(path)

        tried = [found for seed, count in wanted for found in self._until(count, self.order(seed), prove)]
        broken = dict.fromkeys(found for found in tried if isinstance(found, Skipped))
        return replace(self, unread=(*self.unread, *broken)) if broken else self

    def without(self, names: Iterable[str]) -> Folder:
        """The folder without images that are known to be broken."""
        return replace(self, unread=(*self.unread, *(Skipped(name, "broken") for name in names)))

    def facts(self) -> Mapping[str, Any]:
        """What a report says of the folder, in plain JSON values; never where it lies."""
        return {"folder": self.name, "images": len(self), "left_out": len(self.skipped)}

    def lines(self) -> tuple[str, ...]:
        """What a person should know, a line each: what is left out, what is enlarged, what is cropped."""
        assert self.names, "a folder without images was refused"
        height, width = self.size
        seen = [found for found in self._headers if isinstance(found, Header)]
        small = sum(one.height < height or one.width < width for one in seen)
        other = sum(one.height * width != one.width * height for one in seen)
        told = (
            unreadable(self.skipped, len(self.files)) if self.skipped else "",
            of_other_kinds(self.others) if self.others else "",
            f"{part(small, len(seen))} smaller than {height} x {width} and enlarged" if small else "",
            f"{part(other, len(seen))} of another shape than {height} x {width} and cropped" if other else "",
        )
        return tuple(f"{self.name}: {line}" for line in told if line)

    def broken(self) -> str:
        """What turned out broken when it was read, in one line with a count."""
        return f"{self.name}: {unreadable(self.unread, len(self.files))}"

    def _nothing(self, skipped: Sequence[Skipped]) -> str:
        return f"{self.name}: {unreadable(skipped, len(self.files))}; name a folder with images"

    def _image(self, path: Path) -> Tensor:
        return read_image(path, self.size)

    def _until(self, count: int, names: Sequence[str], ask: Callable[[Path], T]) -> Iterator[T | Skipped]:
        """What `ask` gives of one file after another, until it gave something of `count` of them."""
        at = 0
        while count > 0 and at < len(names):
            found = self._each(ask, names[at : at + count])
            at += len(found)
            count -= sum(not isinstance(one, Skipped) for one in found)
            yield from found

    def _each(self, ask: Callable[[Path], T], names: Sequence[str]) -> list[T | Skipped]:
        """What `ask` gives of each file, or why it cannot be read, in order; as many threads as torch may use."""
        with warnings.catch_warnings(), ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
            # Pillow warns of large images and odd metadata; what it cannot read, it refuses.
            warnings.simplefilter("ignore")
            return list(pool.map(partial(self._asked, ask), names))

    def _asked(self, ask: Callable[[Path], T], name: str) -> T | Skipped:
        try:
            return ask(self.path / name)
        # A broken file can make its reader raise anything.
        except Exception as problem:
            return Skipped(name, reason(problem))


def open_folder(path: Path | str, size: tuple[int, int]) -> Folder:
    """The images under a folder, to be read at `size` (height, width); FolderError where there are none."""
    root = Path(path).expanduser()
    if min(size) < 1:
        raise FolderError(f"images of {size[0]} x {size[1]} pixels cannot be read; both sides must be at least 1")
    files, others = [], Counter[str]()
    for name, length in _listed(root):
        suffix = Path(name).suffix.lower()
        if suffix[1:] in SUFFIXES or length < 0:
            files.append(File(name, length))
        else:
            others[suffix or "without an ending"] += 1
    if not files:
        raise FolderError(no_images(str(root), others))
    ordered = tuple(sorted(files, key=lambda file: (_comparable(file.name), file.name)))
    return Folder(root.resolve(), size, ordered, dict(others))


def no_images(folder: str, others: Mapping[str, int]) -> str:
    """One line for a folder in which no file is called an image."""
    there = f", but {of_other_kinds(others)}" if others else ""
    return f"there is no image in {printable(folder)}{there}; images are {', '.join(SUFFIXES)}, at any depth"


def unreadable(skipped: Sequence[Skipped], files: int) -> str:
    """Which files are left out, of how many: the first few by name."""
    named = ", ".join(map(str, skipped[:NAMED]))
    more = f" and {len(skipped) - NAMED:,} more" if len(skipped) > NAMED else ""
    left_out = "is left out" if len(skipped) == 1 else "are left out"
    return f"{len(skipped):,} of {counted(files, 'file')} cannot be read and {left_out}: {named}{more}"


def of_other_kinds(others: Mapping[str, int]) -> str:
    """How many files are not called images, and how they are called."""
    kinds = sorted(others, key=lambda kind: (-others[kind], kind))
    named = ", ".join(map(printable, kinds[:NAMED])) + (" …" if len(kinds) > NAMED else "")
    return f"{counted(sum(others.values()), 'file')} of other kinds ({named}) left out"


def part(some: int, images: int) -> str:
    """The beginning of a sentence about some of the images.

    >>> part(1, 5), part(2, 5)
    ('1 of 5 images is', '2 of 5 images are')
    """
    return f"{some:,} of {counted(images, 'image')} {'is' if some == 1 else 'are'}"


def _listed(root: Path) -> Iterator[tuple[str, int]]:
    """Name and bytes of every file under a folder, in no order; links are followed, but round no circle."""
    problem = _closed(root)
    if problem:
        raise FolderError(problem)
    closed: list[OSError] = []
    seen: set[Path] = set()
    for place, below, names in os.walk(root, followlinks=True, onerror=closed.append):
        folder = Path(place)
        circle = folder.resolve() in seen
        seen.add(folder.resolve())
        # Of two links to one folder the first by name is followed, whatever the file system's order.
        below[:] = [] if circle else sorted(name for name in below if not name.startswith("."))
        for name in [] if circle else names:
            length = None if name.startswith(".") else _length(folder / name)
            if length is not None:
                yield (folder / name).relative_to(root).as_posix(), length
    for error in closed:
        # A folder that cannot be listed counts as a file that cannot be read, so that it is told of.
        yield Path(error.filename).relative_to(root).as_posix(), -1


def _closed(root: Path) -> str:
    """Why a folder cannot be listed, in one line; '' where it can."""
    shown = printable(str(root))
    try:
        with os.scandir(root):
            return ""
    except FileNotFoundError:
        return f"there is no folder {shown}; name one with images"
    except NotADirectoryError:
        return f"{shown} is a file; name the folder that it lies in"
    except OSError as problem:
        return f"the folder {shown} cannot be read: {problem.strerror or problem}; name one with images"


def _length(path: Path) -> int | None:
    """Bytes of a file, -1 where that cannot be told, None for what is no file: reading a pipe would wait for ever."""
    try:
        found = path.stat()
    except OSError:
        return -1 if path.suffix.lower()[1:] in SUFFIXES else None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _comparable(name: str) -> str:
    """The name as every file system would give it: some keep accents as letters of their own."""
    return unicodedata.normalize("NFC", name)


def read_header(path: Path) -> Header:
    """Height and width of an image, without its pixels; raises whatever a broken file makes its reader raise."""
    with _opened(path) as image:
        width, height = image.size
        # Asked of a PNG without it, Pillow decodes the whole image; a TIFF's size is that of the upright image already.
        turned = "exif" in image.info and image.getexif().get(_ORIENTATION) in _TURNED
    return Header(width, height) if turned else Header(height, width)


_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)
"""Orientations, by the EXIF standard, that change height and width over."""


def read_image(path: Path, size: tuple[int, int]) -> Tensor:
    """(3, *size) float32 in [-1, 1]: upright, over white, scaled to cover the size and cropped in the middle.

    Raises whatever a broken file makes its reader raise.
    """
    height, width = size
    with _opened(path) as image:
        # A JPEG can be decoded at 1/2, 1/4 or 1/8; twice the size leaves the rest to the better filter.
        image.draft(None, (2 * max(size), 2 * max(size)))
        upright = ImageOps.exif_transpose(image)
        fitted = ImageOps.fit(plain(upright), (width, height), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(fitted))
    return pixels.permute(2, 0, 1).float() / 127.5 - 1


def plain(image: Image.Image) -> Image.Image:
    """The image in eight bits of red, green and blue, over white where one can see through it."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen_through = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), seen_through).convert("RGB")


def _opened(path: Path) -> Image.Image:
    image = Image.open(path, formats=formats())
    if image.mode in ("I", "F"):
        image.close()
        raise ValueError("its pixels have 32 bits, of which nobody knows how bright they are")
    return image


@lru_cache(maxsize=1)
def formats() -> tuple[str, ...]:
    """Those formats that the Pillow at hand can read."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def reason(problem: Exception) -> str:
    """Why a file cannot be read, in a few words."""
    if isinstance(problem, UnidentifiedImageError):
        return "not an image"
    if isinstance(problem, Image.DecompressionBombError):
        return "too many pixels to be opened without danger"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    return " ".join(str(problem).split()) or type(problem).__name__


def printable(name: str) -> str:
    """The name with every character that cannot be printed on one line as a question mark."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)
