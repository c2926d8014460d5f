"""Folders named by the SHA-256 of what their content depends on, with files that are written atomically.

A store is a folder whose name is the SHA-256 of the facts that its content depends on. The facts are stored in
`facts.json`. Arrays are kept as .npz files without pickle, each written to a temporary name and renamed. Every file
ends with a digest of its folder, its name and its bytes: a file that was damaged or moved is not read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissectreport import structured
from dissectreport.cache.archive import archived, entries, read_entry
from dissectreport.errors import CacheError
from dissectreport.files import Say, opened, silent, write

DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged file raises."""
SEAL = 64
"""Characters of the digest at the end of a file of arrays, where the ZIP format has room for a comment."""
DIGEST = "digest"
"""The key of the digest in a JSON file of the cache."""


def fingerprint(facts: Mapping[str, Any]) -> str:
    """The name of the folder for these facts: the first 16 digits of the SHA-256 of their canonical JSON."""
    return hashlib.sha256(canonical(facts).encode()).hexdigest()[:16]


def facts_json(facts: Mapping[str, Any]) -> bytes:
    """The content of the file with what a store depends on."""
    return json.dumps(facts, sort_keys=True, indent=1).encode()


def is_store_name(name: object) -> bool:
    """Whether this can be the name of a store's folder: 16 hexadecimal digits, as `fingerprint` gives."""
    return isinstance(name, str) and re.fullmatch(r"[0-9a-f]{16}", name) is not None


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
    def open(cls, cache: Path, facts: Mapping[str, Any], say: Say = silent) -> Store:
        """The store for `facts` under `cache`, made if not there; damaged facts are reported and written again.

        CacheError where its folder is a link.
        """
        store = cls(cache / fingerprint(facts))
        content = facts_json(facts)
        if store.folder.is_symlink():
            raise CacheError(
                f"{store.folder} is a symbolic link, and the cache is not written through links; remove it"
            )
        if not store.facts_path.exists():
            write(store.facts_path, content)
        elif not _holds(store.facts_path, content):
            say(f"{store.facts_path} was damaged; it is written again")
            write(store.facts_path, content)
        return store

    @property
    def facts_path(self) -> Path:
        """The file that says what the content depends on."""
        return self.folder / "facts.json"

    def facts(self) -> dict[str, Any]:
        """What the content depends on; CacheError where they are not those that the folder's name stands for."""
        facts = read_json(self.facts_path)
        if fingerprint(facts) != self.folder.name or content_of(self.facts_path) != facts_json(facts):
            raise CacheError(f"{self.facts_path} is damaged; `dissectreport measure` writes it again")
        return facts

    def has_facts(self) -> bool:
        """Whether `facts` can be read."""
        with suppress(CacheError):
            return bool(self.facts())
        return False

    def path(self, name: str) -> Path:
        """The file of the arrays called `name`."""
        return self.folder / f"{name}.npz"

    def has(self, name: str) -> bool:
        """Whether the arrays called `name` were written."""
        return self.path(name).exists()

    def save(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write arrays under `name`, whole or not at all."""
        write(self.path(name), sealed(packed(arrays), self._owner(name)))

    def load(self, name: str, choose: Callable[[list[str]], Collection[str]] = list) -> dict[str, NDArray[Any]]:
        """The arrays called `name`, or those that `choose` chooses by key; CacheError if missing or damaged."""
        path = self.path(name)
        try:
            state = self._check(name)
            places = entries(path, state.st_size, state.st_mtime_ns)
            keys = titles(path, state.st_size, state.st_mtime_ns)
            with opened(path) as file:
                chosen = {name: keys[name] for name in choose(list(keys))}
                return {name: from_planes(key, read_entry(file, *places[key]))[1] for name, key in chosen.items()}
        except FileNotFoundError as error:
            raise CacheError(f"{path} is missing; `dissectreport measure` measures it again") from error
        except DAMAGE as error:
            raise CacheError(f"{path} is damaged ({error}); `dissectreport measure` measures it again") from error

    def is_intact(self, name: str) -> bool:
        """Whether the arrays called `name` can be read: no bit of the file has changed, and it is in its place."""
        try:
            self._check(name)
        except DAMAGE:
            return False
        return True

    def _owner(self, name: str) -> str:
        return f"{self.folder.name}/{name}"

    def _check(self, name: str) -> os.stat_result:
        """The state of a file; OSError or ValueError if it is missing, damaged, or in the wrong place."""
        path = self.path(name)
        state = path.stat()
        if not is_sealed(path, self._owner(name), state.st_size, state.st_mtime_ns):
            raise ValueError("its digest does not fit its content")
        return state

    def names(self) -> list[str]:
        """The names under which arrays were written, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.npz"))

    def drop(self, name: str) -> None:
        """Delete the arrays called `name`."""
        self.path(name).unlink(missing_ok=True)


def packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of an .npz file; the same arrays give the same bytes.

    The file ends with room for a digest; see `sealed`.
    """
    planes = (byte_planes(name, narrowed(np.asarray(arrays[name]))) for name in sorted(arrays))
    return archived(planes, b"-" * SEAL)


def sealed(content: bytes, owner: str) -> bytes:
    """The bytes of `packed`, ending with the SHA-256 of all others and of the owner: 'folder/name'."""
    body = content[:-SEAL]
    return body + hashlib.sha256(f"{owner}\n".encode() + body).hexdigest().encode()


def content_of(path: Path) -> bytes:
    """The content of a file; OSError for anything else, such as a pipe, on which reading could wait for ever."""
    with opened(path) as file:
        return file.read()


def _holds(path: Path, content: bytes) -> bool:
    with suppress(OSError):
        return content_of(path) == content
    return False


@lru_cache(maxsize=1 << 16)
def is_sealed(path: Path, owner: str, size: int, time: int) -> bool:
    """Whether a file ends with the digest that `sealed` gives it; read once as long as size and time stay the same."""
    content = content_of(path)
    return len(content) == size and content == sealed(content, owner)


def narrowed(array: NDArray[Any]) -> NDArray[Any]:
    """An int64 array in the smallest unsigned type that holds it (its readers widen it again), others as they are."""
    return array if array.dtype != np.int64 or not array.size or array.min() < 0 else narrowest(array)


def narrowest(array: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers that are not negative in the smallest type that holds them.

    >>> narrowest(np.array([255, 0])).dtype, narrowest(np.array([256, 0])).dtype
    (dtype('uint8'), dtype('uint16'))
    """
    return array.astype(np.min_scalar_type(int(array.max())))


def byte_planes(name: str, array: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    """An array of integers of several bytes as (bytes, *shape) uint8, the lowest bytes first; others as they are.

    The planes of the high bytes are mostly zeros: they are compressed in half the time, to two thirds of the size.
    Of counts that fall along the last axis, as those above rising thresholds do, the differences are kept: they need
    fewer bytes. The key says the type, and whether it is of differences, for `from_planes`.

    >>> key, planes = byte_planes("on", np.array([1, 258], np.uint16))
    >>> key, planes.tolist()
    ('on|<u2', [[1, 2], [0, 1]])
    >>> key, planes = byte_planes("on", np.array([[259, 258]], np.uint16))
    >>> key, planes.tolist()
    ('on|>u2', [[[1, 2]], [[0, 1]]])
    """
    if array.dtype.kind not in "iu" or not array.ndim:
        return name, array
    falls = is_falling(array)
    if array.dtype.itemsize == 1 and not falls:
        return name, array
    values = narrowest(differences(array)) if falls else array
    little = values.astype(values.dtype.newbyteorder("<"))
    planes = np.frombuffer(little.tobytes(), np.uint8).reshape(*array.shape, little.dtype.itemsize)
    key = f"{name}|{'>' if falls else '<'}{array.dtype.kind}{array.dtype.itemsize}"
    return key, np.ascontiguousarray(np.moveaxis(planes, -1, 0))


def is_falling(array: NDArray[Any]) -> bool:
    """Whether whole numbers that are not negative nowhere rise along the last of several axes, and fall somewhere."""
    if array.dtype.kind != "u" or array.ndim < 2 or array.shape[-1] < 2 or not array.size:
        return False
    rows = array.reshape(-1, array.shape[-1])
    return all(bool((part[:, :-1] >= part[:, 1:]).all()) for part in (rows[:64], rows)) and bool(rows.any())


def differences(array: NDArray[Any]) -> NDArray[Any]:
    """Counts above rising thresholds -> counts between each of them and the next, and above the last."""
    steps = array.copy()
    steps[..., :-1] -= array[..., 1:]
    return steps


def from_planes(key: str, array: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    """The name and the array that `byte_planes` was given."""
    name, order, kind = plane_kind(key)
    if not kind:
        return name, array
    values = array[0] if len(array) == 1 else _from_bytes(array, f"<{'u' if order == '>' else kind[0]}{len(array)}")
    return name, np.flip(np.cumsum(np.flip(values, -1), -1, dtype=kind), -1) if order == ">" else values


@lru_cache(maxsize=256)
def titles(path: Path, size: int, time: int) -> Mapping[str, str]:
    """By name of an array the key of its entry; read once as long as size and time of the file stay the same."""
    return {plane_kind(key)[0]: key for key in entries(path, size, time)}


@lru_cache(maxsize=1 << 16)
def plane_kind(key: str) -> tuple[str, str, str]:
    """The name, the sign of differences (>) or not (<), and the type that `byte_planes` wrote; '' for other arrays.

    >>> plane_kind("layer|at|<u2"), plane_kind("layer|at")
    (('layer|at', '<', 'u2'), ('layer|at', '', ''))
    """
    written = re.fullmatch(r"(.*)\|([<>])([iu][1248])", key, re.DOTALL)
    return (written[1], written[2], written[3]) if written else (key, "", "")


def _from_bytes(planes: NDArray[np.uint8], kind: str) -> NDArray[Any]:
    """(bytes, *shape) uint8, the lowest bytes first -> (*shape) numbers of a kind."""
    whole = np.empty((*planes.shape[1:], len(planes)), np.uint8)
    for number, plane in enumerate(planes):
        whole[..., number] = plane
    return np.asarray(whole.view(kind)[..., 0])


def sealed_json(value: Mapping[str, Any], owner: str) -> bytes:
    """A JSON object with a digest of itself and of the name of its file, for `check_sealed`."""
    number = hashlib.sha256(f"{owner}\n{canonical(value)}".encode()).hexdigest()
    return json.dumps({**value, DIGEST: number}, indent=1).encode()


def check_sealed(value: Mapping[str, Any], path: Path) -> None:
    """Refuse an object from a file that is not exactly as `sealed_json` wrote it."""
    if content_of(path) != sealed_json({name: item for name, item in value.items() if name != DIGEST}, path.name):
        raise CacheError(f"{path} is damaged: its digest does not fit its content; run `dissectreport measure` again")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of ours; CacheError if it is damaged."""
    try:
        value = structured.read_json(path)
    except (OSError, ValueError) as error:
        raise CacheError(f"{path} cannot be read ({error}); remove it and run again") from error
    if not isinstance(value, dict):
        raise CacheError(f"{path} holds no JSON object; remove it and run again")
    return value


def folders(cache: Path) -> Iterator[Store]:
    """The stores under `cache`, by name."""
    for path in sorted(cache.glob("*/facts.json")):
        if is_store_name(path.parent.name):
            yield Store(path.parent)
