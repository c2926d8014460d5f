"""The classes of evaluation images: one sub-folder for each class, or a CSV file of file and class.

    labels = read_labels(open_folder("photos", (224, 224)), ("bedroom", "kitchen"))
    labels["bedroom/17.jpg"]                        # 0, the number of its class

A folder without sub-folders has no labels. Then the network's own predictions are the truth.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

from dissectreport import structured
from dissectreport.errors import BadOption, FolderError, UnknownName, counted
from dissectreport.models.image_folder import ImageFolder, printable

SEPARATORS = ",;\t"
"""What may separate file and class in a table."""
LARGEST = 64 * 10**6
"""Bytes of a file of names or classes, at most."""
INITIAL = re.compile(r"^\s*/\w/")
"""What the names of Places365 begin with: /a/airfield."""
NUMBER_BEHIND = re.compile(r"(?P<name>.*\S)\s+(?P<number>\d{1,9})")
NUMBER_BEFORE = re.compile(r"(?P<number>\d{1,9})\s*[\s,;:]\s*(?P<name>\S.*)")
"""Lines of files of names that number the classes."""


def read_names(path: Path) -> tuple[str, ...]:
    """The names of classes in a file, one per line, in the order of the scores.

    Numbers before or behind all names are places in this order, if they count the classes from 0, or from 1 before
    names; other numbers are a part of the names.
    """
    lines = [name for line in _lines(path) if (name := INITIAL.sub("", line).strip())]
    by_number = _in_order(lines, NUMBER_BEHIND, (0,)) or _in_order(lines, NUMBER_BEFORE, (0, 1))
    return checked_names(by_number or lines, path.name)


def _in_order(lines: Sequence[str], numbered: re.Pattern[str], firsts: Sequence[int]) -> list[str]:
    """The names of numbered lines by their numbers; [] unless these count different names from one of `firsts`."""
    found = [match for line in lines if (match := numbered.fullmatch(line))]
    names = {int(match["number"]): match["name"] for match in found}
    if len(found) != len(lines) or len(set(names.values())) != len(lines) or min(names, default=-1) not in firsts:
        return []
    return [names[number] for number in sorted(names)] if max(names) - min(names) < len(lines) else []


def checked_names(names: Sequence[str], who: str) -> tuple[str, ...]:
    """The names of classes, which must be different and at least two; `who` begins the error."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise BadOption(f"{who}: the class {twice[0]!r} is named twice; give every class a name of its own")
    if len(names) < 2:
        raise BadOption(f"{who}: a classifier has at least two classes, and {len(names)} are named")
    return tuple(map(str, names))


def folder_classes(folder: ImageFolder) -> tuple[str, ...]:
    """The names of the sub-folders with images, sorted: the classes of a folder with one for each. () without any."""
    return tuple(sorted({_class_of(file.name) for file in folder.files if "/" in file.name}))


def _class_of(name: str) -> str:
    """The sub-folder in which an image lies."""
    return name.partition("/")[0]


def read_labels(folder: ImageFolder, classes: Sequence[str], table: Path | None = None) -> dict[str, int]:
    """The number of the class of every readable image of a folder, by the image's name; {} without labels.

    The labels are those of the CSV file `table`, otherwise the names of the sub-folders. Raises a FolderError, a
    BadOption or an UnknownName for labels that cannot be used.
    """
    if table is not None:
        return _labels_of_table(folder, classes, table)
    empty = _empty_folders(folder)
    if not folder_classes(folder) and not empty:
        return {}
    if problem := why_no_classes(folder):
        raise FolderError(f"{folder.name}: {problem}")
    pairs = ((name, _class_of(name)) for name in folder.names)
    return _numbered(pairs, classes, f"class for the sub-folder of {folder.name}")


def why_no_classes(folder: ImageFolder) -> str:
    """Why the sub-folders of a folder do not give every class images; '' if they do."""
    beside = next((name for name in folder.names if "/" not in name), "")
    if beside:
        return (
            f"{printable(beside)} is in no sub-folder, so it has no class; put every image into the folder of its "
            "class, or list the classes in a CSV file"
        )
    empty = next(iter(_empty_folders(folder)), "")
    if empty:
        return f"there is no image of class {printable(empty)!r}, whose folder is empty; add some, or remove the folder"
    kept = set(map(_class_of, folder.names))
    lost = next((file.name for file in folder.files if "/" in file.name and _class_of(file.name) not in kept), "")
    return lost and (
        f"no image of class {printable(_class_of(lost))!r} is used: {_why_left_out(folder, lost)}; add others, or "
        "remove the folder"
    )


def _why_left_out(folder: ImageFolder, name: str) -> str:
    """Why an image is left out, in words."""
    if name in folder.similar:
        return f"{printable(name)} and the like are near-duplicates of images with earlier names"
    reason = next((str(file) for file in folder.skipped if file.name == name), printable(name))
    return f"{reason} and the like cannot be read"


def _empty_folders(folder: ImageFolder) -> list[str]:
    """The sub-folders without an image, sorted."""
    filled = set(folder_classes(folder))
    inside = (path.name for path in folder.path.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(name for name in inside if name not in filled)


def _labels_of_table(folder: ImageFolder, classes: Sequence[str], table: Path) -> dict[str, int]:
    pairs = _pairs(folder, table)
    missing = [name for name in folder.names if name not in pairs]
    if missing:
        raise FolderError(
            f"{table.name} has no class for {counted(len(missing), 'image')} of {folder.name}, such as "
            f"{printable(missing[0])}; add a line for each"
        )
    return _numbered(((name, pairs[name]) for name in folder.names), classes, f"class in {table.name}:")


def table_classes(folder: ImageFolder, table: Path) -> tuple[str, ...]:
    """The different classes of the images of a folder by a CSV file, sorted."""
    return tuple(sorted(set(_pairs(folder, table).values())))


def _pairs(folder: ImageFolder, table: Path) -> dict[str, str]:
    """The class of each image of a folder that a table names; its other rows, such as a header, do not count.

    Cells are separated by what makes most first cells images of the folder.
    """
    files, lines = {file.name for file in folder.files}, [line for line in _lines(table) if line.strip()]
    tables = [_rows(table, lines, separator) for separator in SEPARATORS]
    rows = max(
        tables, key=lambda rows: (sum(_file(row, files) in files for row in rows), sum(len(r) == 2 for r in rows))
    )
    wrong = next((number for number, row in enumerate(rows, 1) if len(row) != 2), 0)
    if wrong:
        raise BadOption(
            f"{table.name}: line {wrong} has {counted(len(rows[wrong - 1]), 'column')}; write file,class with a comma, "
            "a semicolon or a tab between them"
        )
    pairs: dict[str, str] = {}
    for file, name in ((_file(row, files), row[1]) for row in rows):
        if file in files and pairs.setdefault(file, name) != name:
            raise BadOption(
                f"{table.name} gives {printable(file)} the classes {pairs[file]!r} and {name!r}; remove one line"
            )
    return pairs


def _rows(table: Path, lines: Sequence[str], separator: str) -> list[list[str]]:
    try:
        return structured.cells(lines, separator)
    except structured.Malformed as problem:
        raise BadOption(f"{table.name}: {problem}; write file,class in each line") from problem


def _file(row: Sequence[str], files: Container[str]) -> str:
    """The file that a row names, as the folder calls it: with forward slashes, and without ./ before it."""
    name = row[0] if row else ""
    return name if name in files else posixpath.normpath(name.replace("\\", "/"))


def _numbered(pairs: Iterable[tuple[str, str]], classes: Sequence[str], who: str) -> dict[str, int]:
    numbers: Mapping[str, int] = {name: number for number, name in enumerate(classes)}
    labels = {}
    for image, name in pairs:
        if name not in numbers:
            raise UnknownName.of(who, name, classes)
        labels[image] = numbers[name]
    return labels


def _lines(path: Path) -> list[str]:
    try:
        return structured.read_lines(path, LARGEST)
    except OSError as problem:
        raise BadOption(f"{path} cannot be read: {problem.strerror or problem}; name a text file") from problem
    except structured.Malformed as problem:
        raise BadOption(f"{path} cannot be read: {problem}") from problem
