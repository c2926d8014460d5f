"""One flipped bit in any file of a cache or of a site: where it goes unnoticed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path

from dissectreport.cache import records
from dissectreport.cache.store import Store, is_sealed
from dissectreport.pipeline import journal
from dissectreport.report.common.ledger import read_ledger
from dissectreport.report.site.existing_files import changed_files

SMALL = 2000
"""Bytes up to which one bit of every byte is flipped."""
MOST = 40
"""Bits that are flipped in larger files."""


def places(path: Path, small: int = SMALL, most: int = MOST) -> Iterator[tuple[int, int]]:
    """Bytes of a file and a bit of each: every byte of a small one, random ones of a large one."""
    source, length = random.Random(path.name), path.stat().st_size
    chosen = range(length) if length <= small else source.sample(range(length), min(most, length))
    for byte in chosen:
        yield byte, source.randrange(8)


def flipped(content: bytes, byte: int, bit: int) -> bytes:
    """The content with one bit flipped."""
    return content[:byte] + bytes([content[byte] ^ 1 << bit]) + content[byte + 1 :]


def unnoticed_in_cache(cache: Path) -> tuple[list[str], int]:
    """Places in files of a cache whose damage nothing notices, and how many were tried."""
    unnoticed, tried = [], 0
    for path in sorted(path for path in cache.rglob("*") if path.is_file() and journal.FOLDER not in path.parts):
        whole = path.read_bytes()
        # Changed in place: to write a file anew for every bit takes four times as long.
        with path.open("r+b", buffering=0) as file:
            for byte, bit in places(path):
                _put(file, byte, whole[byte] ^ 1 << bit)
                is_sealed.cache_clear()
                tried += 1
                if not _is_noticed(cache, path):
                    unnoticed.append(f"{path.name} {byte}.{bit}")
                _put(file, byte, whole[byte])
        assert path.read_bytes() == whole
    is_sealed.cache_clear()
    return unnoticed, tried


def _put(file: FileIO, at: int, byte: int) -> None:
    file.seek(at)
    file.write(bytes([byte]))


def _is_noticed(cache: Path, path: Path) -> bool:
    if path.suffix == ".npz":
        return not Store(path.parent).is_intact(path.stem)
    if path.parent == cache / "records":
        return records.damaged(cache) == [path]
    return path.name == "facts.json" and not Store(path.parent).has_facts()


def unnoticed_in_site(site: Path, names: Iterable[str]) -> list[str]:
    """Files of a site, of those named, in which a random flipped bit goes unnoticed."""
    unnoticed = []
    for name in names:
        path = site / name
        whole = path.read_bytes()
        (byte, bit), *_ = places(path, small=0, most=1)
        path.write_bytes(flipped(whole, byte, bit))
        if name not in changed_files(site) and read_ledger(site) is not None:
            unnoticed.append(f"{name} {byte}.{bit}")
        path.write_bytes(whole)
    return unnoticed
