"""Folders named by what they hold, written whole or not at all.

A store is a folder whose name is the SHA-256 of the facts that its content depends on; the facts stand beside it in
`facts.json`. Arrays are kept as .npz files without pickle, each written to a temporary name and renamed.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissectreport.errors import CacheError
from dissectreport.files import write

DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged file raises."""


def fingerprint(facts: Mapping[str, Any]) -> str:
    """The name of the folder for these facts: the first 16 digits of the SHA-256 of their canonical JSON."""
    return hashlib.sha256(canonical(facts).encode()).hexdigest()[:16]


def digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """The SHA-256 of arrays: names, types, shapes and bytes."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {value.dtype} {value.shape}\n".encode() + value.tobytes())
    return total.hexdigest()


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: the same value gives the same text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@dataclass(frozen=True)
class Store:
    """One folder of arrays that all depend on the same facts."""

    folder: Path

    @classmethod
    def open(cls, cache: Path, facts: Mapping[str, Any]) -> Store:
        """The store for `facts` under `cache`, made if it is not there; facts of another run are refused."""
        store = cls(cache / fingerprint(facts))
        path = store.folder / "facts.json"
        wanted = json.dumps(facts, sort_keys=True, indent=1).encode()
        # The folder's name is the fingerprint of its facts, so facts that were damaged can be written again.
        if not path.exists() or path.read_bytes() != wanted:
            write(path, wanted)
        return store

    def facts(self) -> dict[str, Any]:
        """What the content depends on."""
        return read_json(self.folder / "facts.json")

    def path(self, name: str) -> Path:
        """Where the arrays called `name` lie."""
        return self.folder / f"{name}.npz"

    def has(self, name: str) -> bool:
        """Whether the arrays called `name` were written."""
        return self.path(name).exists()

    def save(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write arrays under `name`, whole or not at all."""
        write(self.path(name), packed(arrays))

    def load(self, name: str, prefix: str = "") -> dict[str, NDArray[Any]]:
        """The arrays called `name` whose keys begin with `prefix`; CacheError if they are missing or damaged."""
        path = self.path(name)
        try:
            with np.load(path, allow_pickle=False) as file:
                return {key: file[key] for key in file.files if key.startswith(prefix)}
        except FileNotFoundError as error:
            raise CacheError(f"{path} is missing; `dissectreport measure` measures it again") from error
        except DAMAGE as error:
            raise CacheError(f"{path} is damaged ({error}); `dissectreport measure` measures it again") from error

    def is_intact(self, name: str) -> bool:
        """Whether the arrays called `name` can be read: every checksum of the file is right."""
        try:
            with zipfile.ZipFile(self.path(name)) as file:
                return file.testzip() is None
        except DAMAGE:
            return False

    def names(self) -> list[str]:
        """The names under which arrays were written, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.npz"))

    def drop(self, name: str) -> None:
        """Forget the arrays called `name`."""
        self.path(name).unlink(missing_ok=True)


def packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of an .npz file; the same arrays give the same bytes. Fast compression: counts are mostly zeros."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            inner = io.BytesIO()
            np.lib.format.write_array(inner, narrowed(np.asarray(arrays[name])), allow_pickle=False)
            file.writestr(entry, inner.getvalue(), zipfile.ZIP_DEFLATED, 1)
    return buffer.getvalue()


def narrowed(array: NDArray[Any]) -> NDArray[Any]:
    """An int64 array in the smallest unsigned type that holds it (its readers widen it again), others as they are."""
    if array.dtype != np.int64 or not array.size or array.min() < 0:
        return array
    return array.astype(np.min_scalar_type(int(array.max())))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of ours; CacheError if it is damaged."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CacheError(f"{path} cannot be read ({error}); remove it and run again") from error
    if not isinstance(value, dict):
        raise CacheError(f"{path} holds no JSON object; remove it and run again")
    return value


def folders(cache: Path) -> Iterator[Store]:
    """The stores under `cache`, by name."""
    for path in sorted(cache.glob("*/facts.json")):
        yield Store(path.parent)
