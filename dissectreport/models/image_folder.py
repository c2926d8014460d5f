"""A folder of images of any format and size, read at one size.

    folder = open_folder("photos", (256, 256))
    images = folder.first(12)                   # (12, 3, 256, 256) in [-1, 1], the same twelve every time
    print(*folder.notes(), sep="\\n")            # files that were skipped, images that were enlarged or cropped

Images may lie at any depth, and are sorted by name, so that their order does not depend on the file system. Hidden
files and folders (.name) are ignored. Opening a folder only lists it. Headers are read when `skipped`, `names` or
`notes` are first used, and an image is decoded when it is read. When `order`, `names` or `notes` are first used, all
images are decoded in a small size: near-duplicates of an earlier image are left out (`similar_images`).
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
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import PIL
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from dissectreport.errors import FolderError, check_machine, counted
from dissectreport.files import sha256
from dissectreport.image_files import fitted, opened_pixels, rgb
from dissectreport.models.similar_images import Look, near_duplicates

SUFFIXES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif", "avif")
"""Endings of the names of images, in upper or lower case."""
PIXELS_VERSION = 2
"""Increased whenever the same files would give other pixels, or another order."""
MAX_NAMED = 3
"""At most this many files are named in a line."""

T = TypeVar("T")


@dataclass(frozen=True)
class File:
    """A file whose name is that of an image."""

    name: str
    """Relative to the folder, with forward slashes."""
    bytes: int
    """-1 if its size cannot be read."""


@dataclass(frozen=True)
class Unreadable:
    """A file that is skipped."""

    name: str
    reason: str

    def __str__(self) -> str:
        """Name and reason, on one line."""
        return f"{printable(self.name)} ({self.reason})"


@dataclass(frozen=True)
class Header:
    """The size of an image, from its header."""

    height: int
    """In pixels, after rotation by its EXIF orientation."""
    width: int


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """The images of a folder, each read as (3, height, width) in [-1, 1]."""

    path: Path
    size: tuple[int, int]
    """Height and width to which images are scaled and cropped."""
    files: tuple[File, ...]
    """All files with the name of an image, sorted by name."""
    others: Mapping[str, int] = field(default_factory=dict)
    """Number of other files, by the ending of their names."""
    undecodable: tuple[Unreadable, ...] = ()
    """Files that are known to fail when they are decoded; found by `validated`."""
    known_similar: tuple[str, ...] | None = None
    """Names of near-duplicates, if they are known; else they are looked for when they are first needed."""
    _known_headers: dict[str, Header | Unreadable] = field(default_factory=dict, repr=False)
    """Headers that were read; shared with copies of the folder without some images."""
    _orders: dict[int, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False)

    @property
    def name(self) -> str:
        """The folder's own name, without its path."""
        return printable(self.path.name) or "the folder"

    @cached_property
    def identity(self) -> str:
        """Changes whenever a file is added, removed or renamed, or one of its bytes changes."""
        digest = hashlib.sha256(f"{PIXELS_VERSION} {PIL.__version__} {self.size}\n".encode())
        contents = self._read_all(partial(sha256, links=True), [file.name for file in self.files])
        for file, content in zip(self.files, contents, strict=True):
            known = content if isinstance(content, str) else "unreadable"
            digest.update(f"{_comparable(file.name)}\0{known}\n".encode("utf-8", "surrogatepass"))
        return f"folder-{digest.hexdigest()}"

    @cached_property
    def _headers(self) -> tuple[Header | Unreadable, ...]:
        fresh = [file.name for file in self.files if file.name not in self._known_headers]
        self._known_headers.update(zip(fresh, self._read_all(read_header, fresh), strict=True))
        known = self._known_headers | {file.name: file for file in self.undecodable}
        return tuple(known[file.name] for file in self.files)

    @cached_property
    def skipped(self) -> tuple[Unreadable, ...]:
        """The files that are skipped: those without a readable header, and `undecodable`."""
        return tuple(header for header in self._headers if isinstance(header, Unreadable))

    @cached_property
    def similar(self) -> tuple[str, ...]:
        """Names of the near-duplicates of images with an earlier name, which are left out."""
        if self.known_similar is not None:
            return self.known_similar
        readable = self.looks()
        return tuple(readable[number][0] for number in near_duplicates(look for _, look in readable))

    def looks(self) -> list[tuple[str, Look]]:
        """The names of all readable images, and what they look like when small."""
        looks = self._read_all(read_look, [file.name for file in self.files])
        return [(file.name, look) for file, look in zip(self.files, looks, strict=True) if isinstance(look, Look)]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the readable images without near-duplicates, sorted; a FolderError if there is none."""
        skipped = {file.name for file in self.skipped}
        if len(skipped) == len(self.files):
            raise FolderError(self._no_readable(self.skipped))
        left_out = skipped.union(self.similar)
        return tuple(file.name for file in self.files if file.name not in left_out)

    def __len__(self) -> int:
        return len(self.names)

    def images(self, numbers: Iterable[int]) -> Tensor:
        """(n, 3, h, w) in [-1, 1]: the images with these numbers in `names`."""
        return self.read([self.names[number] for number in numbers])

    def read(self, names: Sequence[str]) -> Tensor:
        """(n, 3, h, w) in [-1, 1]: the images of these names; a FolderError if one cannot be read."""
        images = []
        for image in self._read_all(self._image, names):
            if isinstance(image, Unreadable):
                raise FolderError(f"{self.name}: {image} cannot be read; repair or remove it, and run again")
            images.append(image)
        return torch.stack(images) if images else torch.empty(0, 3, *self.size)

    def first(self, count: int, seed: int = 0) -> Tensor:
        """(n, 3, h, w) in [-1, 1]: the first `count` readable images in the order of `seed`, or all of them."""
        results = list(self._until(count, self.order(seed), self._image))
        images = [image for image in results if not isinstance(image, Unreadable)]
        if not images:
            raise FolderError(self._no_readable([file for file in results if isinstance(file, Unreadable)]))
        return torch.stack(images)

    def part(self, first: int, count: int, seed: int = 0) -> tuple[list[int], Tensor]:
        """The readable ones of `count` images from position `first` in the order of `seed`: positions, (n, 3, h, w)."""
        results = self._read_all(self._image, self.order(seed)[first : first + count])
        images = {first + i: image for i, image in enumerate(results) if not isinstance(image, Unreadable)}
        return list(images), torch.stack(list(images.values())) if images else torch.empty(0, 3, *self.size)

    def order(self, seed: int) -> tuple[str, ...]:
        """The names in a random order that depends on `seed` and `files`, without those that are left out."""
        if seed not in self._orders:
            left_out = set(self.left_out())
            permuted = [self.files[number].name for number in np.random.RandomState(seed).permutation(len(self.files))]
            self._orders[seed] = tuple(name for name in permuted if name not in left_out)
        return self._orders[seed]

    def validated(self, prefixes: Iterable[tuple[int, int]]) -> ImageFolder:
        """The folder without images that cannot be decoded.

        For each (seed, count) in `prefixes`, images are decoded in the order of `seed` until `count` are readable.
        Images further on are not tried.
        """
        decoded: set[Path] = set()

        def decode(path: Path) -> None:
            if path not in decoded:
                read_image(path, self.size)
                decoded.add(path)

        results = [result for seed, count in prefixes for result in self._until(count, self.order(seed), decode)]
        failed = dict.fromkeys(result for result in results if isinstance(result, Unreadable))
        undecodable = (*self.undecodable, *failed)
        return replace(self, undecodable=undecodable, known_similar=self.similar) if failed else self

    def left_out(self) -> tuple[str, ...]:
        """Names of the images that are left out: those that are `undecodable`, and `similar` ones."""
        return (*(file.name for file in self.undecodable), *self.similar)

    def without(self, names: Iterable[str]) -> ImageFolder:
        """The folder without the images of these names: those that another process has found to be `left_out`."""
        known = tuple(Unreadable(name, "left out") for name in names)
        return replace(self, undecodable=(*self.undecodable, *known), known_similar=())

    def description(self) -> Mapping[str, Any]:
        """For the report, as plain JSON values.

        `folder` (its name, never its path), `images`, and how many files are left out: `unreadable`, `similar`.
        """
        numbers = {"unreadable": len(self.skipped), "similar": len(self.similar)}
        return {"folder": self.name, "images": len(self), **numbers}

    def notes(self) -> tuple[str, ...]:
        """What a user should know, one line each: files that are skipped, images that are enlarged or cropped."""
        assert self.names, "a folder without images was refused"
        height, width = self.size
        headers = [header for header in self._headers if isinstance(header, Header)]
        small = sum(header.height < height or header.width < width for header in headers)
        other = sum(header.height * width != header.width * height for header in headers)
        notes = (
            unreadable(self.skipped, len(self.files)) if self.skipped else "",
            of_other_kinds(self.others) if self.others else "",
            of_similar(self.similar, len(self.files)) if self.similar else "",
            f"{share(small, len(headers))} smaller than {height} x {width} and enlarged" if small else "",
            f"{share(other, len(headers))} of another shape than {height} x {width} and cropped" if other else "",
        )
        return tuple(f"{self.name}: {line}" for line in notes if line)

    def undecodable_note(self) -> str:
        """One line that counts and names the undecodable files."""
        return f"{self.name}: {unreadable(self.undecodable, len(self.files))}"

    def _no_readable(self, skipped: Sequence[Unreadable]) -> str:
        return f"{self.name}: {unreadable(skipped, len(self.files))}; name a folder with images"

    def _image(self, path: Path) -> Tensor:
        return read_image(path, self.size)

    def _until(self, count: int, names: Sequence[str], read: Callable[[Path], T]) -> Iterator[T | Unreadable]:
        """The results of `read` for one file after another, until `count` of them succeeded."""
        start = 0
        while count > 0 and start < len(names):
            results = self._read_all(read, names[start : start + count])
            start += len(results)
            count -= sum(not isinstance(result, Unreadable) for result in results)
            yield from results

    def _read_all(self, read: Callable[[Path], T], names: Sequence[str]) -> list[T | Unreadable]:
        """The result of `read` for each file, or why it failed, in order; in as many threads as torch uses."""
        with warnings.catch_warnings(), ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
            # Pillow warns of large images and odd metadata; what it cannot read raises an error.
            warnings.simplefilter("ignore")
            return list(pool.map(partial(self._attempt, read), names))

    def _attempt(self, read: Callable[[Path], T], name: str) -> T | Unreadable:
        try:
            return read(self.path / name)
        # Decoders raise many kinds of error for a damaged file.
        except Exception as problem:
            check_machine(problem)
            return Unreadable(name, reason(problem))


def open_folder(path: Path | str, size: tuple[int, int]) -> ImageFolder:
    """The images under a folder, to be read at `size` (height, width); a FolderError if there are none."""
    root = Path(path).expanduser()
    if min(size) < 1:
        raise FolderError(f"image size {size[0]} x {size[1]} is too small; both sides must be at least 1")
    files, others = [], Counter[str]()
    for file in _files_below(root):
        suffix = Path(file.name).suffix.lower()
        if suffix[1:] in SUFFIXES or file.bytes < 0:
            files.append(file)
        else:
            others[suffix or "without an ending"] += 1
    if not files:
        raise FolderError(no_images(str(root), others))
    ordered = tuple(sorted(files, key=lambda file: (_comparable(file.name), file.name)))
    return ImageFolder(root.resolve(), size, ordered, dict(others))


def no_images(folder: str, others: Mapping[str, int]) -> str:
    """One line for a folder in which no file has the name of an image."""
    skipped = f" ({of_other_kinds(others)})" if others else ""
    return f"there is no image in {printable(folder)}{skipped}; images are {', '.join(SUFFIXES)}, at any depth"


def unreadable(skipped: Sequence[Unreadable], files: int) -> str:
    """How many of `files` files are skipped, and the names of the first few."""
    named = ", ".join(map(str, skipped[:MAX_NAMED]))
    more = f" and {len(skipped) - MAX_NAMED:,} more" if len(skipped) > MAX_NAMED else ""
    verb = "is skipped" if len(skipped) == 1 else "are skipped"
    return f"{len(skipped):,} of {counted(files, 'file')} cannot be read and {verb}: {named}{more}"


def of_other_kinds(others: Mapping[str, int]) -> str:
    """How many files have no name of an image, and their endings."""
    kinds = sorted(others, key=lambda kind: (-others[kind], kind))
    named = ", ".join(map(printable, kinds[:MAX_NAMED])) + (" …" if len(kinds) > MAX_NAMED else "")
    return f"{counted(sum(others.values()), 'file')} of other kinds ({named}) skipped"


def of_similar(similar: Sequence[str], files: int) -> str:
    """How many of `files` images are near-duplicates of others, and the names of the first few."""
    named = ", ".join(map(printable, similar[:MAX_NAMED])) + (" …" if len(similar) > MAX_NAMED else "")
    verb = "a near-duplicate of another one and left out" if len(similar) == 1 else "near-duplicates and left out"
    return f"{share(len(similar), files)} {verb}, so that no image is on both sides of a split: {named}"


def share(some: int, images: int) -> str:
    """The beginning of a sentence about some of the images.

    >>> share(1, 5), share(2, 5)
    ('1 of 5 images is', '2 of 5 images are')
    """
    return f"{some:,} of {counted(images, 'image')} {'is' if some == 1 else 'are'}"


def _files_below(root: Path) -> Iterator[File]:
    """Every file under a folder, in no order. Links are followed, but each folder is visited once."""
    problem = _why_not_listed(root)
    if problem:
        raise FolderError(problem)
    errors: list[OSError] = []
    visited: set[Path] = set()
    for path, subfolders, names in os.walk(root, followlinks=True, onerror=errors.append):
        folder = Path(path)
        if folder.resolve() in visited:
            subfolders.clear()
            continue
        visited.add(folder.resolve())
        # Of two links to one folder the first by name is followed, whatever the file system's order.
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in names:
            size = None if name.startswith(".") else _size(folder / name)
            if size is not None:
                yield File((folder / name).relative_to(root).as_posix(), size)
    for error in errors:
        # A folder that cannot be listed is reported like a file that cannot be read.
        yield File(Path(error.filename).relative_to(root).as_posix(), -1)


def _why_not_listed(root: Path) -> str:
    """Why a folder cannot be listed, in one line; '' if it can."""
    shown = printable(str(root))
    try:
        with os.scandir(root):
            return ""
    except FileNotFoundError:
        return f"there is no folder {shown}; name a folder with images"
    except NotADirectoryError:
        return f"{shown} is a file; name the folder that contains it"
    except OSError as problem:
        return f"the folder {shown} cannot be read: {problem.strerror or problem}; name a folder with images"


def _size(path: Path) -> int | None:
    """Bytes of a file; -1 if unknown; None if it is not a regular file (reading a pipe would never end)."""
    try:
        status = path.stat()
    except OSError:
        return -1 if path.suffix.lower()[1:] in SUFFIXES else None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _comparable(name: str) -> str:
    """The name in one Unicode form: some file systems store accents as separate characters."""
    return unicodedata.normalize("NFC", name)


def read_header(path: Path) -> Header:
    """Height and width of an image, without its pixels; raises whatever Pillow raises for a damaged file."""
    with opened_pixels(path) as image:
        width, height = image.size
        # For a PNG without EXIF data, getexif() decodes the whole image. The size of a TIFF is that after rotation.
        rotated = "exif" in image.info and image.getexif().get(_ORIENTATION) in _ROTATED
    return Header(width, height) if rotated else Header(height, width)


_ORIENTATION = 0x0112
_ROTATED = (5, 6, 7, 8)
"""EXIF orientations that exchange height and width."""


def read_image(path: Path, size: tuple[int, int]) -> Tensor:
    """(3, *size) float32 in [-1, 1]: rotated upright, on white, scaled to cover `size` and cropped at the centre.

    Raises whatever Pillow raises for a damaged file.
    """
    return torch.from_numpy(fitted(path, size)).permute(2, 0, 1).float() / 127.5 - 1


def read_look(path: Path) -> Look:
    """What an image looks like from afar; raises whatever Pillow raises for a damaged file."""
    with opened_pixels(path) as image:
        image.draft(None, (SMALL, SMALL))
        return Look.of(rgb(ImageOps.exif_transpose(image)))


SMALL = 32
"""Height and width below which a JPEG is not decoded to see what it looks like."""


def reason(problem: Exception) -> str:
    """Why a file cannot be read, in a few words."""
    if isinstance(problem, UnidentifiedImageError):
        return "not an image"
    if isinstance(problem, Image.DecompressionBombError):
        return "too many pixels to be opened safely"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    return " ".join(str(problem).split()) or type(problem).__name__


def printable(name: str) -> str:
    """The name, with a question mark for every character that cannot be printed on one line."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)
