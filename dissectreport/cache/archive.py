"""Arrays in .npz files: compressed as suits them, and read one by one.

Counts are mostly small numbers without repetitions. Compressed by run lengths they are a fifth smaller than by the
usual search for repetitions. The module `zipfile` cannot choose between the two, so entries are written here; the
result is an ordinary ZIP archive. Its list of entries is read once, because blocks of units are read in turn from many
files.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dissectreport.files import opened

SAMPLE = 1 << 16
"""Bytes of an entry by which its compression is chosen."""
DAY = (1 << 5) | 1
"""The first of January 1980, as ZIP archives write days."""
VERSION, DEFLATED, UTF8 = 20, 8, 1 << 11
LARGEST = 0xFFFFFFFF
HEADER = 30
"""Bytes before the name of an entry."""
WAYS = ((1, zlib.Z_RLE), (4, zlib.Z_FILTERED))
"""Levels and strategies of zlib."""


def archived(entries: Iterable[tuple[str, NDArray[np.generic]]], comment: bytes) -> bytes:
    """An .npz file of arrays by name; the same arrays give the same bytes. ValueError above 4 GB."""
    body, central, count = io.BytesIO(), io.BytesIO(), 0
    for name, array in entries:
        content, title, start = npy(array), f"{name}.npy".encode(), body.tell()
        packed = deflated(content)
        if start + len(content) > LARGEST:
            raise ValueError("arrays of more than 4 GB do not fit into one file")
        sizes = (zlib.crc32(content), len(packed), len(content), len(title), 0)
        facts = struct.pack("<5H3L2H", VERSION, UTF8, DEFLATED, 0, DAY, *sizes)
        body.write(b"PK\3\4" + facts + title + packed)
        central.write(b"PK\1\2" + struct.pack("<H", VERSION) + facts + struct.pack("<3H2L", 0, 0, 0, 0, start) + title)
        count += 1
    start, listed = body.tell(), central.getvalue()
    end = struct.pack("<4H2LH", 0, 0, count, count, len(listed), start, len(comment))
    return body.getvalue() + listed + b"PK\5\6" + end + comment


def npy(array: NDArray[np.generic]) -> bytes:
    """An array as the bytes of an .npy file."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def deflated(content: bytes) -> bytes:
    """Bytes as a DEFLATE stream: by run lengths or by a search for repetitions, whichever suits their beginning."""
    sample = content[:SAMPLE]
    level, strategy = min(WAYS, key=lambda way: len(_deflated(sample, *way)))
    return _deflated(content, level, strategy)


def _deflated(content: bytes, level: int, strategy: int) -> bytes:
    stream = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, strategy)
    return stream.compress(content) + stream.flush()


@lru_cache(maxsize=256)
def entries(path: Path, size: int, time: int) -> Mapping[str, tuple[int, int, int]]:
    """By name of an array where its entry begins, its compressed size, and its size.

    Read once as long as size and time of the file stay the same; zipfile.BadZipFile for other files.
    """
    with opened(path) as file, zipfile.ZipFile(file) as archive:
        found = archive.infolist()
    return {one.filename.removesuffix(".npy"): (one.header_offset, one.compress_size, one.file_size) for one in found}


def read_entry(file: BinaryIO, start: int, packed: int, size: int) -> NDArray[Any]:
    """The array of an entry of an open file; ValueError or zlib.error if it is damaged."""
    file.seek(start)
    title, extra = struct.unpack("<2H", file.read(HEADER)[-4:])
    file.seek(title + extra, io.SEEK_CUR)
    content = zlib.decompress(file.read(packed), -zlib.MAX_WBITS, size)
    return array_of(content)


def array_of(content: bytes) -> NDArray[Any]:
    """The array of an .npy file's bytes; ValueError if they are damaged."""
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        return np.asarray(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))
    beginning = file.tell() + 2 + int.from_bytes(content[file.tell() : file.tell() + 2], "little")
    shape, by_column, kind = npy_header(content[:beginning])
    values = np.frombuffer(content, kind, math.prod(shape), beginning)
    if beginning + values.nbytes != len(content):
        raise ValueError("an array is longer than its header says")
    return values.reshape(shape, order="F" if by_column else "C").copy()


@lru_cache(maxsize=1 << 12)
def npy_header(beginning: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of an .npy file: few are different, and numpy takes half a millisecond to read one."""
    file = io.BytesIO(beginning)
    np.lib.format.read_magic(file)
    shape, by_column, kind = np.lib.format.read_array_header_1_0(file)
    if kind.hasobject:
        raise ValueError("arrays of Python objects are not read")
    return shape, by_column, kind
