"""Files of torch.save whose pickle has a newer protocol than 2, which torch itself does not read as data.

    read_newer(Path("weights.pth"))            # saved with torch.save(…, pickle_protocol=4), as a zip archive or not

Names that a pickle may import stand in the same table as those of NVIDIA's programs; numbers of tensors are read from
where the pickle says that they are.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from dissectreport.checkpoints import plain_data
from dissectreport.checkpoints.pickled_tensors import Budget, Foreign, PickledStorage
from dissectreport.checkpoints.pickles import ZIP, check_repetitions
from dissectreport.checkpoints.stylegan_pickles import PlainPickleReader, content_of
from dissectreport.errors import WeightsError

MAGIC, FORMAT = 0x1950A86A20F9469CFC6C, 1001
"""With what files begin that are no zip archive."""
COUNT_BYTES = 8
"""Of the number of elements before those of each storage."""
STORAGES: Mapping[str, torch.dtype] = {
    f"torch.{name}Storage": kind
    for name, kind in {
        "Float": torch.float32,
        "Double": torch.float64,
        "Half": torch.float16,
        "BFloat16": torch.bfloat16,
        "Long": torch.int64,
        "Int": torch.int32,
        "Short": torch.int16,
        "Char": torch.int8,
        "Byte": torch.uint8,
        "Bool": torch.bool,
    }.items()
}
"""The types of numbers, by what a pickle calls their storage."""
OTHER_ORDER = "its numbers have another order of bytes than those of this machine"
LARGEST_HEADER = 1 << 26
"""The bytes of the pickle in a zip archive, at most."""


class StorageReader(PlainPickleReader):
    """Unpickles plain data, and remembers which storages there are."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream)
        self.kinds: dict[str, tuple[torch.dtype, int]] = {}
        self.storages: dict[str, PickledStorage] = {}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """What is put in the place of a name; the type of its numbers for a storage."""
        name = plain_data.current_name(f"{module_name}.{global_name}")
        return STORAGES[name] if name in STORAGES else super().find_class(module_name, global_name)

    def persistent_load(self, pid: object) -> PickledStorage:
        """An empty storage, which is filled when the pickle was read."""
        if not (isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage"):
            raise Foreign("an object outside the file")
        _, kind, key, _, count, *view = pid
        if not isinstance(kind, torch.dtype) or type(count) is not int or count < 0 or any(view):
            raise Foreign("a storage of another kind")
        if self.kinds.setdefault(str(key), (kind, count)) != (kind, count):
            raise Foreign("one storage with two types of numbers")
        return self.storages.setdefault(str(key), PickledStorage(torch.empty(0, dtype=kind)))


def read_newer(path: Path) -> object:
    """The tables of tensors in a file; a Foreign for a name that is not allowed, and other errors for a damaged one."""
    size = path.stat().st_size
    with path.open("rb") as file:
        is_zip = file.read(len(ZIP)) == ZIP
        file.seek(0)
        loaded = _from_archive(file) if is_zip else _from_sequence(file, size)
    return content_of(loaded, size, Budget(size))


def _from_archive(file: IO[bytes]) -> object:
    """The content of a zip archive: data.pkl, and a file for each storage."""
    with zipfile.ZipFile(file) as archive:
        (name,) = (name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl")
        with archive.open(name) as inner:
            pickled = inner.read(LARGEST_HEADER)
        check_repetitions(io.BytesIO(pickled), 1)
        reader = StorageReader(io.BytesIO(pickled))
        loaded = reader.load()
        folder = name.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise WeightsError(OTHER_ORDER)
        for key, (kind, count) in reader.kinds.items():
            with archive.open(f"{folder}data/{key}") as numbers:
                size = archive.getinfo(f"{folder}data/{key}").file_size
                reader.storages[key].values = _numbers(numbers, kind, count, size)
    return loaded


def _from_sequence(file: IO[bytes], size: int) -> object:
    """The content of a file without an archive: three pickles of facts, the table, the order of storages, and these."""
    check_repetitions(file)
    file.seek(0)
    if PlainPickleReader(file).load() != MAGIC or PlainPickleReader(file).load() != FORMAT:
        raise WeightsError("it does not begin like a file of torch.save")
    facts = PlainPickleReader(file).load()
    if not isinstance(facts, dict) or facts.get("little_endian") is not True:
        raise WeightsError(OTHER_ORDER)
    reader = StorageReader(file)
    loaded = reader.load()
    for key in _keys(PlainPickleReader(file).load()):
        kind, count = reader.kinds[key]
        if int.from_bytes(file.read(COUNT_BYTES), "little") != count:
            raise WeightsError(f"its storage {key} has another number of elements than its tensors")
        reader.storages[key].values = _numbers(file, kind, count, size)
    return loaded


def _keys(value: object) -> Iterator[str]:
    if not isinstance(value, list):
        raise WeightsError("it has no list of storages")
    yield from map(str, value)


def _numbers(stream: IO[bytes], kind: torch.dtype, count: int, most: int) -> Tensor:
    """(count,) numbers of a type from a stream that has at most so many bytes."""
    wanted = count * kind.itemsize
    content = stream.read(wanted) if wanted <= most else b""
    if len(content) != wanted:
        raise WeightsError("it was truncated")
    return torch.frombuffer(bytearray(content), dtype=kind) if count else torch.empty(0, dtype=kind)
