"""The classes of evaluation images: one sub-folder for each class, or a CSV file of file and class.

    labels = read_labels(open_folder("photos", (224, 224)), ("bedroom", "kitchen"))
    labels["bedroom/17.jpg"]                        # 0, the number of its class

A folder without sub-folders has no labels. Then the network's own predictions are the truth.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dissectreport.errors import BadOption, FolderError, UnknownName, counted
from dissectreport.files import read
from dissectreport.models.image_folder import ImageFolder, printable

HEADER = ("file", "class")
"""The first line of a CSV file of classes; it may be left out."""
LARGEST = 64 * 10**6
"""Bytes of a file of names or classes, at most."""
NUMBERED = re.compile(r"(/\w/)?(.*?)(\s+\d+)?")
"""A line of a file of names: Places365 writes /a/airfield 0."""


def read_names(path: Path) -> tuple[str, ...]:
    """The names of classes in a file, one a line, in the order of the scores."""
    lines = [line.strip() for line in _text(path).splitlines()]
    names = tuple(match[2] for line in lines if line and (match := NUMBERED.fullmatch(line)))
    return checked_names(names, path.name)


def checked_names(names: Sequence[str], who: str) -> tuple[str, ...]:
    """The names of classes, which must be different and at least two; `who` begins the error."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise BadOption(f"{who}: the class {twice[0]!r} is named twice; give every class a name of its own")
    if len(names) < 2:
        raise BadOption(f"{who}: a classifier has at least two classes, and {len(names)} are named")
    return tuple(map(str, names))


def folder_classes(folder: ImageFolder) -> tuple[str, ...]:
    """The names of the sub-folders, sorted: the classes of a folder with one sub-folder for each. () without any."""
    return tuple(sorted({name.split("/")[0] for name in folder.names if "/" in name}))


def read_labels(folder: ImageFolder, classes: Sequence[str], table: Path | None = None) -> dict[str, int]:
    """The number of the class of every readable image of a folder, by the image's name; {} without labels.

    The labels are those of the CSV file `table`, otherwise the names of the sub-folders. Raises a FolderError, a
    BadOption or an UnknownName for labels that cannot be used.
    """
    if table is not None:
        return _labels_of_table(folder, classes, table)
    beside = [name for name in folder.names if "/" not in name]
    if len(beside) == len(folder.names) and not _empty_folders(folder):
        return {}
    if beside:
        raise FolderError(
            f"{folder.name}: {printable(beside[0])} is in no sub-folder, so it has no class; put every image into the "
            "folder of its class, or list the classes in a CSV file"
        )
    empty = _empty_folders(folder)
    if empty:
        raise FolderError(
            f"{folder.name}: there is no image of class {printable(empty[0])!r}, whose folder is empty; add some, or "
            "remove the folder"
        )
    return _numbered(((name, name.split("/")[0]) for name in folder.names), classes, f"sub-folder of {folder.name}")


def _empty_folders(folder: ImageFolder) -> list[str]:
    """The sub-folders without a readable image, sorted."""
    filled = set(folder_classes(folder))
    inside = (path.name for path in folder.path.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(name for name in inside if name not in filled)


def _labels_of_table(folder: ImageFolder, classes: Sequence[str], table: Path) -> dict[str, int]:
    rows = [row for row in csv.reader(_text(table).splitlines()) if row]
    wrong = [number for number, row in enumerate(rows, 1) if len(row) != len(HEADER)]
    if wrong:
        raise BadOption(f"{table.name}: line {wrong[0]} has {len(rows[wrong[0] - 1])} columns; write file,class")
    pairs = {file.strip(): name.strip() for file, name in rows if (file, name) != HEADER}
    missing = [name for name in folder.names if name not in pairs]
    if missing:
        raise FolderError(
            f"{table.name} has no class for {counted(len(missing), 'image')} of {folder.name}, such as "
            f"{printable(missing[0])}; add a line for each"
        )
    return _numbered(((name, pairs[name]) for name in folder.names), classes, f"class in {table.name}:")


def table_classes(table: Path) -> tuple[str, ...]:
    """The different classes of a CSV file, sorted."""
    rows = [row for row in csv.reader(_text(table).splitlines()) if len(row) == len(HEADER)]
    return tuple(sorted({name.strip() for file, name in rows if (file, name) != HEADER}))


def _numbered(pairs: Iterable[tuple[str, str]], classes: Sequence[str], who: str) -> dict[str, int]:
    numbers: Mapping[str, int] = {name: number for number, name in enumerate(classes)}
    labels = {}
    for image, name in pairs:
        if name not in numbers:
            raise UnknownName.of(who, name, classes)
        labels[image] = numbers[name]
    return labels


def _text(path: Path) -> str:
    try:
        return read(path, LARGEST, links=True).decode("utf-8-sig")
    except OSError as problem:
        raise BadOption(f"{path} cannot be read: {problem.strerror or problem}; name a text file") from problem
    except UnicodeDecodeError as problem:
        raise BadOption(f"{path} is not UTF-8 text: byte {problem.start} cannot be read") from problem
