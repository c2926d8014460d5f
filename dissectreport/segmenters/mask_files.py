"""Masks in files: which file belongs to which image, and what the values in them mean.

    layout = find_layout(Path("ADEChallengeData2016/annotations/validation"), None, None)
    layout.entries[0].image, layout.entries[0].masks        # …/images/validation/1.jpg, (…/1.png,)

Three layouts are known: a folder of images and one of masks with the same names (ADE20K, CamVid, and whatever is made
in this way), a folder with `images` and `masks` in it, and one with Broden's index.csv.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dissectreport import structured
from dissectreport.errors import SegmenterError, check_machine
from dissectreport.image_files import opened_image
from dissectreport.vocabulary import NOTHING, Concept, Vocabulary, with_unique_names

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
MASKS = (".png", ".bmp", ".tif", ".tiff", ".gif")
"""Ends of the names of masks; formats that change values are none."""
MASK_FOLDERS = ("annotations", "masks", "labels", "labelled", "segmentations")
IMAGE_FOLDERS = ("images", "samples", "photos")
ENDINGS = re.compile(r"(_L|_P|[_-](mask|label|labels|seg|gt|annotation|labelIds|gtFine_labelIds))$")
"""What names of masks may have behind those of their images."""
NAMES = (
    *("names.txt", "names.csv", "classes.txt", "labels.txt", "label_colors.txt", "label.csv"),
    *("objectInfo150.txt", "objectInfo150.csv"),
)
"""Files in which names are looked for."""
UNNAMED = frozenset(
    ("", "-", "nothing", "none", "background", "void", "unlabelled", "unlabeled", "ignore", "ignored", "unknown")
)
"""Names that mean that a pixel is not labelled."""
BRODEN = "index.csv"
BRODEN_CATEGORIES = {"color": "colour", "object": "object", "part": "part", "material": "material"}
"""The columns of Broden with a label for each pixel, and their categories."""
BRODEN_WHOLE = ("scene", "texture")
"""The columns of Broden with one label for the whole image."""
IGNORED = 255
"""A value that need not be named: most programs write it where a pixel is not labelled."""
WHITE = 0xFFFFFF
"""A colour that need not be named, for the same reason."""
LARGEST = 1 << 16
LONGEST = 10_000
"""Letters of a line of names, at most."""
LARGEST_INDEX = 256 * structured.MEGABYTE
"""Bytes of index.csv, at most."""
SEPARATORS = "\t,;|"
"""What may separate the cells of a line."""
NUMBER = re.compile(r"-?\d{1,9}")
BEGINNING = re.compile(rf"(?:-?\d+[:\s]+){{0,2}}-?\d+ *([{SEPARATORS}])")
"""The numbers with which a line begins, where a separator follows them."""
IN_DOUBT = re.compile(r"(^|\s)\d+\s+\d+\s+\d+$|[|\t]")
"""Names beside a value that are more likely another value, or have a colour behind them."""
IN_DOUBT_ALONE = re.compile(r"^-?\d+\b|\b\d+$|[|\t]")
"""Names without a value that begin or end with one."""


@dataclass(frozen=True)
class Names:
    """What the values of masks mean."""

    vocabulary: Vocabulary
    concept_of: Mapping[int, int]
    """The concept number of each value; of a colour, the value is red + 256 green + 65536 blue."""
    coloured: bool = False
    """Whether masks have colours instead of numbers."""


@dataclass(frozen=True)
class MaskedImage:
    """An image that somebody labelled."""

    image: Path
    masks: tuple[Path | int, ...]
    """The file of each slot, or a concept value for the whole image."""


@dataclass(frozen=True)
class Layout:
    """Labelled images, and what their masks mean."""

    entries: tuple[MaskedImage, ...]
    names: Names
    broden: bool = False
    """Whether a value is red + 256 green, as in Broden."""

    @property
    def slots(self) -> int:
        """The most labels of a pixel."""
        return max(len(entry.masks) for entry in self.entries)


def find_layout(folder: Path, images: Path | None, names: Path | None) -> Layout:
    """The labelled images of a folder of masks; a SegmenterError says what is missing."""
    if not folder.is_dir():
        raise SegmenterError(f"the folder of masks {folder} is not there; name a folder")
    if (folder / BRODEN).is_file():
        return _broden(folder)
    masks, pictures = _folders(folder, images)
    file = names or _names_beside(masks)
    if not file.is_file():
        raise SegmenterError(f"the file of names {file} is not there; name a file")
    return Layout(tuple(_pairs(pictures, masks)), read_names(file))


def _folders(folder: Path, images: Path | None) -> tuple[Path, Path]:
    """The folder of masks and that of images."""
    inside = next((folder / name for name in MASK_FOLDERS if (folder / name).is_dir()), folder)
    if images is not None:
        if not images.is_dir():
            raise SegmenterError(f"the folder of images {images} is not there; name a folder")
        return inside, images
    beside = [inside.with_name(inside.name.removesuffix("annot"))] if inside.name.endswith("annot") else []
    beside += [folder / name for name in IMAGE_FOLDERS]
    for name in IMAGE_FOLDERS:
        parts = [name if part in MASK_FOLDERS else part for part in inside.parts]
        beside += [Path(*parts)] if parts != list(inside.parts) else []
    found = next((path for path in beside if path.is_dir() and path != inside), None)
    if found is None:
        raise SegmenterError(f"the images of the masks in {folder} were not found; name their folder: images = …")
    return inside, found


def _names_beside(masks: Path) -> Path:
    """The file of names in the folder of masks, or in one of the two around it."""
    places = [place / name for place in (masks, *masks.absolute().parents[:2]) for name in NAMES]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise SegmenterError(
            f"{masks} has no file of names; write names.txt with a line for each value, such as '3 tree'"
        )
    return found


def _pairs(images: Path, masks: Path) -> Iterator[MaskedImage]:
    """Each image with its mask; a SegmenterError for the first image without one."""
    pictures = [path for path in sorted(images.rglob("*")) if path.suffix.lower() in IMAGES]
    by_name: dict[str, Path] = {}
    for path in sorted(masks.rglob("*")):
        if path.suffix.lower() in MASKS:
            by_name[_key(path, masks)] = path
    # An image folder that holds the masks too has files that are no images.
    pictures = [path for path in pictures if masks not in path.parents or images == masks]
    lacking = [path for path in pictures if _key(path, images) not in by_name]
    if not pictures or not by_name:
        raise SegmenterError(f"there are no {'images in ' + str(images) if not pictures else 'masks in ' + str(masks)}")
    if lacking:
        raise SegmenterError(
            f"{len(lacking):,} of {len(pictures):,} images in {images.name} have no mask in {masks.name}, such as "
            f"{lacking[0].name}; add it as {lacking[0].stem}.png, or remove the image"
        )
    for path in pictures:
        yield MaskedImage(path, (by_name[_key(path, images)],))


def _key(path: Path, root: Path) -> str:
    """What an image and its mask have in common: the path without its ending."""
    relative = path.relative_to(root)
    return (relative.parent / ENDINGS.sub("", relative.stem)).as_posix()


# --- names -----------------------------------------------------------------------------------------------------------


def read_names(path: Path) -> Names:
    """What a file of names says: a line for each value, as "tree", "3 tree", "3,tree,object" or "64 128 64 tree".

    Names alone count from 1; negative values, which no mask has, are left out. A first line may name columns, and cells
    may be separated by blanks, tabs, commas, semicolons or |. A SegmenterError names a line that is none of these.
    """
    lines = _lines_of(path)
    columns, separator = _header(lines[0][1]) if lines else ({}, "")
    numbered = enumerate(lines[bool(columns) :], 1)
    all_names = [_name(path, line, _cells(line[1], separator), columns, at) for at, line in numbered]
    if len({one.counted for one in all_names}) > 1:
        raise _bad_line(path, next(one.line for one in all_names if one.counted))
    read = [one for one in all_names if one.value >= 0]
    if not read:
        raise SegmenterError(f"the file of names {path} has no names")
    values = [one.value for one in read]
    twice = next((value for value, count in Counter(values).items() if count > 1), None)
    if twice is not None:
        raise SegmenterError(f"the file of names {path} has the value {twice} twice; remove one")
    if len({one.coloured for one in read}) > 1:
        raise SegmenterError(f"the file of names {path} has numbers and colours; give either")
    kept = [one for one in read if one.concept.name.lower() not in UNNAMED]
    concept_of = dict.fromkeys(values, 0) | {one.value: number for number, one in enumerate(kept, 1)}
    vocabulary = Vocabulary(with_unique_names((NOTHING, *(one.concept for one in kept))))
    return Names(vocabulary, concept_of, read[0].coloured)


Line = tuple[int, str]
"""The number of a line, and its text."""


@dataclass(frozen=True)
class _Name:
    """What a line says."""

    value: int
    coloured: bool
    concept: Concept
    counted: bool
    """Whether the value is the place of the line, because the line has none."""
    line: Line


def _lines_of(path: Path) -> list[Line]:
    """The lines of a file without empty ones and comments."""
    try:
        lines = enumerate(map(str.strip, structured.read_lines(path)), 1)
    except (OSError, structured.Malformed) as problem:
        raise SegmenterError(f"the file of names {path} cannot be read: {problem}") from problem
    kept = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if too_long := next((line for line in kept if len(line[1]) > LONGEST), None):
        raise _bad_line(path, too_long)
    return kept


def _header(line: str) -> tuple[dict[str, int], str]:
    """The places of columns that a first line names, and what separates them; {} and '' if it names none."""
    for separator in (_separator(line), *SEPARATORS):
        columns = _columns(_cells(line, separator))
        if columns:
            return columns, separator
    return {}, ""


def _separator(line: str) -> str:
    """What separates the cells of a line: what follows its numbers, or else tabs or commas; '' for blanks."""
    found = BEGINNING.match(line)
    return found[1] if found else next((mark for mark in "\t," if mark in line), "")


def _cells(line: str, separator: str = "") -> list[str]:
    """The cells of a line, separated by blanks after numbers, and by a separator."""
    separator = separator or _separator(line)
    cells = _split_at(line, separator) if separator else [line]
    found = re.fullmatch(r"((?:-?\d+[:\s]+){0,2}-?\d+)(?:[:\s]+(.*))?", cells[0].strip())
    numbers = [*re.split(r"[:\s]+", found[1]), *filter(None, (found[2],))] if found else [cells[0]]
    return [cell.strip() for cell in (*numbers, *cells[1:])]


def _split_at(line: str, separator: str) -> list[str]:
    """The cells of a line; quotes count only where commas separate."""
    return structured.cells([line])[0] if separator == "," else line.split(separator)


def _columns(cells: Sequence[str]) -> dict[str, int]:
    """The places of columns that cells name; {} if they name none."""
    words = [cell.lower() for cell in cells]
    known = {
        "name": ("name", "names", "class", "label"),
        "value": ("idx", "index", "number", "id", "value"),
        "category": ("category", "kind"),
        "red": ("r", "red"),
        "green": ("g", "green"),
        "blue": ("b", "blue"),
    }
    places = {key: words.index(word) for key, group in known.items() for word in group if word in words}
    return places if len(words) > 1 and "name" in places and len(places) > 1 else {}


def _name(path: Path, line: Line, cells: Sequence[str], columns: Mapping[str, int], at: int) -> _Name:
    """What a line says; its value is `at` if it has none."""
    if columns and len(cells) <= max(columns.values()):
        raise _bad_line(path, line)
    given, rest = _by_column(cells, columns) if columns else _by_order([cell for cell in cells if cell])
    if len(given) not in (0, 1, 3) or not 1 <= len(rest) <= 2 or not all(map(NUMBER.fullmatch, given)):
        raise _bad_line(path, line)
    name = rest[0].split(";")[0].strip()
    category = rest[1].split(";")[0].split("(")[0].strip() if rest[1:] else ""
    values = [int(cell) for cell in given] or [at]
    in_doubt = (IN_DOUBT if given else IN_DOUBT_ALONE).search(name)
    unclear = in_doubt or any(NUMBER.fullmatch(part.strip()) for part in (*rest[0].split(";"), category))
    if unclear or max(values) >= (256 if len(values) == 3 else LARGEST) or (len(values) == 3 and min(values) < 0):
        raise _bad_line(path, line)
    value = values[0] + 256 * values[1] + 65536 * values[2] if len(values) == 3 else values[0]
    concept = Concept(name, BRODEN_CATEGORIES.get(category, category) or "object")
    return _Name(value, len(values) == 3, concept, not given, line)


def _by_column(cells: Sequence[str], columns: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """The numbers of a line with named columns, and its name and category."""
    numbers = [cells[columns[key]] for key in ("red", "green", "blue") if key in columns]
    numbers = numbers if len(numbers) == 3 else [cells[columns["value"]]] if "value" in columns else []
    return numbers, [cells[columns[key]] for key in ("name", "category") if key in columns]


def _by_order(cells: Sequence[str]) -> tuple[list[str], list[str]]:
    """The numbers with which a line begins, and what follows them."""
    count = next((place for place, cell in enumerate(cells) if not NUMBER.fullmatch(cell)), len(cells))
    return list(cells[:count]), list(cells[count:])


def _bad_line(path: Path, line: Line) -> SegmenterError:
    number, text = line
    return SegmenterError(
        f"line {number} of {path} is {text[:60]!r}; write a value and a name, such as '3 tree', or a colour and a "
        "name, such as '64 128 64 tree', or names alone, without numbers"
    )


# --- Broden ----------------------------------------------------------------------------------------------------------


def _broden(folder: Path) -> Layout:
    """The labelled images of a folder with index.csv, label.csv and images."""
    if not (folder / "label.csv").is_file():
        raise SegmenterError(f"{folder} has an index.csv, but no label.csv with the names of its labels")
    rows = _broden_rows(folder / BRODEN)
    if not rows or "image" not in rows[0]:
        raise SegmenterError(f"{folder / BRODEN} has no column called image")
    columns = [name for name in (*BRODEN_CATEGORIES, *BRODEN_WHOLE) if name in rows[0]]
    depth = {name: max(len(_split(row[name])) for row in rows) for name in columns}
    entries = [_broden_entry(folder / "images", row, depth) for row in rows]
    return Layout(tuple(entries), read_names(folder / "label.csv"), broden=True)


def _broden_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table whose first line names its columns; missing cells are empty."""
    try:
        rows = [row for row in structured.cells(structured.read_lines(path, LARGEST_INDEX)) if row]
    except (OSError, structured.Malformed) as problem:
        raise SegmenterError(f"{path} cannot be read: {problem}") from problem
    return [dict(zip_longest(rows[0], row[: len(rows[0])], fillvalue="")) for row in rows[1:]]


def _split(cell: str) -> list[str]:
    return [part for part in cell.split(";") if part]


def _broden_entry(images: Path, row: Mapping[str, str], depth: Mapping[str, int]) -> MaskedImage:
    """The image and masks of a row, with as many slots for each column as any row needs."""
    image = _inside(images, row["image"])
    masks: list[Path | int] = []
    for column, count in depth.items():
        cells = _split(row[column])
        found: list[Path | int] = [int(cell) if NUMBER.fullmatch(cell) else _inside(images, cell) for cell in cells]
        masks += [*found, *[0] * (count - len(found))]
    for file in (image, *masks):
        if isinstance(file, Path) and not file.is_file():
            raise SegmenterError(f"{images.parent / BRODEN} names {file.name}, which is not in {images}; add it")
    return MaskedImage(image, tuple(masks))


def _inside(folder: Path, name: str) -> Path:
    """A file in a folder; a SegmenterError for a name that leads out of it."""
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise SegmenterError(f"{name!r} in {folder.parent / BRODEN} leads out of {folder}")
    return path


# --- pixels ----------------------------------------------------------------------------------------------------------


def concepts_in(layout: Layout, mask: Path | int, size: tuple[int, int]) -> NDArray[np.int64]:
    """The concept numbers of a mask, in the mask's own resolution; of the image's `size` for a number.

    A SegmenterError names a value without a name, and a mask of another shape than its image.
    """
    if isinstance(mask, int):
        return np.full(size, layout.names.concept_of.get(mask, 0), np.int64)
    values = _values(layout, mask)
    height, width = values.shape
    if abs(height * size[1] - width * size[0]) > max(height, width, *size):
        raise SegmenterError(
            f"the mask {mask.name} is {width} x {height} pixels and its image {size[1]} x {size[0]}; "
            "a mask must have the shape of its image"
        )
    known = layout.names.concept_of
    present, places = np.unique(values, return_inverse=True)
    unlabelled = (0, WHITE if layout.names.coloured else IGNORED)
    unknown = [int(value) for value in present if value not in known and value not in unlabelled]
    if unknown and not layout.broden:
        shown = tuple(unknown[0] >> shift & 255 for shift in (0, 8, 16)) if layout.names.coloured else unknown[0]
        raise SegmenterError(
            f"the mask {mask.name} has the value {shown}, which the file of names does not have; add it"
        )
    numbers = np.array([known.get(int(value), 0) for value in present], np.int64)
    return numbers[places.reshape(-1)].reshape(values.shape)


def _values(layout: Layout, mask: Path) -> NDArray[np.int64]:
    """The values of a mask's pixels."""
    try:
        with opened_image(mask) as image:
            pixels = np.asarray(image.convert("RGB") if layout.names.coloured or layout.broden else image)
    except Exception as problem:  # Decoders raise many kinds of error for a damaged file.
        check_machine(problem)
        raise SegmenterError(f"the mask {mask.name} cannot be opened: {problem}; replace the file") from problem
    pixels = pixels.astype(np.int64)
    if layout.names.coloured or layout.broden:
        whole: NDArray[np.int64] = pixels[..., 0] + 256 * pixels[..., 1]
        return whole if layout.broden else whole + 65536 * pixels[..., 2]
    if pixels.ndim == 3:
        if not (pixels[..., :1] == pixels[..., : min(3, pixels.shape[2])]).all():
            raise SegmenterError(
                f"the mask {mask.name} has colours, but the file of names has numbers; "
                "write a colour before each name, such as '64 128 64 tree'"
            )
        return pixels[..., 0]
    return pixels


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image; a SegmenterError if it cannot be opened."""
    try:
        with opened_image(path) as image:
            rotated = "exif" in image.info and image.getexif().get(0x0112) in (5, 6, 7, 8)
            width, height = image.size
    except Exception as problem:  # as above
        check_machine(problem)
        raise SegmenterError(f"the image {path.name} cannot be opened: {problem}; replace the file") from problem
    return (width, height) if rotated else (height, width)


def check_sizes(layout: Layout) -> None:
    """Raise a SegmenterError for the first mask that cannot be opened or has another shape than its image."""
    for entry in layout.entries:
        size = image_size(entry.image)
        for mask in entry.masks:
            if isinstance(mask, Path):
                height, width = image_size(mask)
                if abs(height * size[1] - width * size[0]) > max(height, width, *size):
                    raise SegmenterError(
                        f"the mask {mask.name} is {width} x {height} pixels and its image {size[1]} x {size[0]}; "
                        "a mask must have the shape of its image"
                    )


def files_of(layout: Layout) -> Sequence[Path]:
    """All files that labels depend on."""
    masks = [mask for entry in layout.entries for mask in entry.masks if isinstance(mask, Path)]
    return [*(entry.image for entry in layout.entries), *masks]
