"""Read weight files: .safetensors, .pth of torch.save (old and new format), .npz of named arrays.

    read_tensors(Path("church.pth"), sha256="7e701dd5")     # {name: tensor}, floating-point tensors as float32
    read_checkpoint(Path("stylegan2.pt")).content["g_ema"]  # a file with several networks

Weights are data: no code in a file is ever run. The format is recognised by the bytes of a file, not by its name. A
file that cannot be read raises a WeightsError of one line.
"""

from __future__ import annotations

import hashlib
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from dissectreport import files
from dissectreport.checkpoints import archives, pickles, plain_data, programs, shards, stylegan_pickles, torch_pickles
from dissectreport.checkpoints.file_type import REMEDY, checked_file_type
from dissectreport.checkpoints.names import shown
from dissectreport.errors import WeightsError, check_machine
from dissectreport.structured import read_json

STATE_DICT = "in the program that wrote it, torch.save(network.state_dict(), 'weights.pth') writes the weights alone"
TENSORFLOW = ("dnnlib.tflib.", "tfutil.")
NVIDIA = ("torch_utils.persistence.", "training.networks", "dnnlib.")
LARGEST_PICKLE = 1 << 26
"""The bytes of a pickle that are inspected to explain a failure, and the size of the largest one in an archive."""
BY_TORCH = bytes.fromhex("6cfc9c46f9206aa85019")
"""The number with which files of torch.save before 1.6 begin."""
SHORT = 32
"""Bytes within which it stands."""
SMALL, RATIO = 1_000_000_000, 20
"""A file may hold this many bytes, or this many times its size, when it is unpacked."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a weight file."""

    path: Path
    sha256: str
    """All 64 digits, in lower case."""
    content: Mapping[str, Any]
    """As it was saved: tensors by name, nested tables of them, numbers and options."""


def read_tensors(path: Path, sha256: str = "", remedy: str = REMEDY) -> dict[str, Tensor]:
    """The tensors of a file with one network, by name; see `tensors_of`."""
    return tensors_of(read_checkpoint(path, sha256, remedy).content)


def read_checkpoint(path: Path, sha256: str = "", remedy: str = REMEDY) -> Checkpoint:
    """The content of a weight file.

    `sha256` is its expected SHA-256, or the first digits of it; '' if unknown. A WeightsError about a damaged or wrong
    file ends with `remedy`.
    """
    parts = shards.parts_of(path)
    if parts:
        return _joined(path, parts, sha256, remedy)
    kind = checked_file_type(path, remedy)
    digest = checked_sha256(path, sha256, remedy) if sha256 else ""
    if path.suffix == ".safetensors" and kind != "safetensors":
        raise WeightsError(f"{path} is not a safetensors file, although its name says so; {remedy}")
    if kind not in READERS:
        raise WeightsError(f"{path} has no format that can be read (.safetensors, .pth of torch.save, .npz); {remedy}")
    try:
        content = READERS[kind](path, remedy)
    except (MemoryError, OSError) as problem:
        why = "it needs more memory than there is" if isinstance(problem, MemoryError) else problem.strerror
        raise WeightsError(f"{path} cannot be read: {why}; {remedy}") from problem
    return Checkpoint(path, digest or checked_sha256(path, "", remedy), _as_table(path, content))


def _joined(path: Path, parts: Sequence[Path], sha256: str, remedy: str) -> Checkpoint:
    """The content of weights that lie in several files; their SHA-256 is that of the files' digests in a row."""
    content: dict[str, Any] = {}
    digests = []
    for part in parts:
        kind = checked_file_type(part, remedy)
        if kind not in READERS:
            raise WeightsError(f"{part} has no format that can be read; {remedy}")
        content |= _as_table(part, READERS[kind](part, remedy))
        digests.append(checked_sha256(part, "", remedy))
    digest = hashlib.sha256("".join(digests).encode()).hexdigest()
    if not digest.startswith(sha256.lower()):
        raise WeightsError(f"the parts of {path} are not those that its card describes; {remedy}")
    return Checkpoint(path, digest, content)


def checked_sha256(path: Path, expected: str, remedy: str) -> str:
    """The SHA-256 of a file; a WeightsError unless it begins with the digits `expected`."""
    digest = files.sha256(path, links=True)
    if not digest.startswith(expected.lower()):
        raise WeightsError(
            f"{path} is not the file that its card describes (SHA-256 {digest[:12]}…, not {expected[:12]}…): "
            f"it was changed or truncated, or is another file; {remedy}"
        )
    return digest


def _as_table(path: Path, content: object) -> Mapping[str, Any]:
    """The content of a file as a table; a list of state dicts is one whose keys are 0, 1 …"""
    if isinstance(content, list | tuple) and any(isinstance(item, Mapping) for item in content):
        return {str(number): item for number, item in enumerate(content)}
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} contains a {type(content).__name__} instead of a table of tensors; {STATE_DICT}")
    return content


def read_card(path: Path, remedy: str) -> dict[str, Any]:
    """The card of a weight file: the JSON file of the same name, with at least the weight file's `sha256`."""
    try:
        card = read_json(path)
    except OSError as problem:
        raise WeightsError(f"{path} cannot be read: {problem.strerror}; {remedy}") from problem
    except ValueError as problem:
        raise WeightsError(
            f"{path} is not JSON ({problem}), so it gives no sha256 for its weights; {remedy}"
        ) from problem
    if not isinstance(card, dict) or not isinstance(card.get("sha256"), str):
        raise WeightsError(f"{path} gives no sha256 for its weights; {remedy}")
    return card


def tensors_of(content: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors of one network, by name; floating-point tensors are converted to float32.

    If the content has a table `state_dict`, its tensors are meant.
    """
    inner = content.get("state_dict", content)
    if not isinstance(inner, Mapping):
        raise WeightsError(f"no weights: 'state_dict' is a {type(inner).__name__}; it should be a table of tensors")
    tensors = {str(name): plain_data.as_tensor(value) for name, value in inner.items()}
    for name, value in inner.items():
        if tensors[str(name)] is None:
            raise WeightsError(f"no weights: {name!r} is a {type(value).__name__}; it should be a tensor")
    named = {name: value.detach() for name, value in tensors.items() if value is not None}
    check_size(named)
    return {name: _as_float32(value) for name, value in named.items()}


def _as_float32(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def check_size(tensors: Mapping[str, Tensor], path: Path | None = None) -> None:
    """Raise a WeightsError for tensors that would take far more memory than the numbers that their file has."""
    plain = [value for value in tensors.values() if value.layout == torch.strided and not value.is_meta]
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in plain}
    needed = sum(value.numel() * value.element_size() for value in plain)
    if needed > max(SMALL, RATIO * sum(storages.values())):
        stored = sum(storages.values())
        whose = f"{path}: " if path else ""
        raise WeightsError(
            f"{whose}these tensors would take {needed / 1e9:,.0f} GB, but their file has {stored:,} bytes of numbers; "
            "such a file is not loaded"
        )


def _safetensors(path: Path, remedy: str) -> object:
    try:
        return load_file(path)
    except Exception as problem:  # of a damaged file, or of a type of numbers that this version does not know
        check_machine(problem)
        line = str(problem).partition("\n")[0]
        raise WeightsError(f"{path} is not a safetensors file, or was truncated ({shown(line)}); {remedy}") from problem


def _zip(path: Path, remedy: str) -> object:
    names = _entries(path, remedy)
    inner = {name.rpartition("/")[2] for name in names}
    if names and all(name.endswith(".npy") for name in names):
        return _arrays(path, remedy)
    if "constants.pkl" in inner:
        return _program(path, remedy, programs.tensors_of_script)
    if "archive_format" in inner or "serialized_exported_program.json" in inner:
        return _program(path, remedy, programs.tensors_of_export)
    if "data.pkl" in inner:
        return _saved_by_torch(path, remedy, lambda: _entry(path, "data.pkl"))
    raise WeightsError(f"{path} {archives.advice_of_zip(path, names)}; {remedy}")


def _program(path: Path, remedy: str, read: Callable[[Path], dict[str, Tensor]]) -> object:
    """The weights beside a program, which is not run."""
    try:
        return read(path)
    except WeightsError:
        raise
    except Exception as problem:  # A damaged archive raises errors of many types.
        check_machine(problem)
        raise WeightsError(f"{path} is damaged, or was truncated ({shown(str(problem))}); {remedy}") from problem


def _entries(path: Path, remedy: str) -> list[str]:
    """The names in a zip archive; a WeightsError if it is damaged, or would unpack to far more than its size."""
    try:
        if not zipfile.is_zipfile(path):
            raise WeightsError(f"{path} was truncated: the directory at its end is missing; {remedy}")
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as problem:
        raise WeightsError(f"{path} is damaged, or was truncated ({shown(str(problem))}); {remedy}") from problem
    size, unpacked = path.stat().st_size, sum(entry.file_size for entry in entries)
    pickles = sum(entry.file_size for entry in entries if entry.filename.endswith(".pkl"))
    if unpacked > max(SMALL, RATIO * size) or pickles > max(LARGEST_PICKLE, RATIO * size):
        raise WeightsError(
            f"{path} has {size:,} bytes and would unpack to {unpacked:,}: a zip bomb, which is not read; {remedy}"
        )
    return [entry.filename for entry in entries]


def _entry(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        entry = next(entry for entry in archive.namelist() if entry.rpartition("/")[2] == name)
        with archive.open(entry) as file:
            return file.read(LARGEST_PICKLE)


def _pickle(path: Path, remedy: str) -> object:
    head = _beginning(path)
    plain = stylegan_pickles.read_plain(path) if BY_TORCH not in head[:SHORT] else None
    if plain is not None:
        return plain
    return _saved_by_torch(path, remedy, lambda: _beginning(path))


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST_PICKLE)


def _saved_by_torch(path: Path, remedy: str, read: Callable[[], bytes]) -> object:
    """What torch.save wrote. `read` returns the bytes of the pickle, which are only inspected.

    If torch refuses a name in the pickle, the file is read again with stand-ins for all data that it names.
    """
    _check_repetitions(path)
    try:
        return _unpickled(path, plain_data.ALWAYS)
    except Exception as problem:  # torch documents no type of error for damaged files.
        check_machine(problem)
        content = _inspected(read)
        names = pickles.imported_names(content)
        foreign = [name for name in names if not plain_data.is_data(name)]
        if foreign:
            raise WeightsError(_refusal(path, [shown(name) for name in foreign])) from problem
        try:
            return _unpickled(path, plain_data.stand_ins(names))
        except Exception as again:
            check_machine(again)
            newer = _newer(path, content)
            if newer is None:
                raise WeightsError(f"{path} {_damage(content, again)}; {remedy}") from again
            return newer


def _newer(path: Path, content: bytes) -> object | None:
    """What torch.save wrote with a newer protocol than torch reads as data; None if it is older, or damaged."""
    if not content.startswith(b"\x80") or content[1:2] <= b"\x02":
        return None
    try:
        return torch_pickles.read_newer(path)
    except Exception as problem:  # A damaged pickle raises errors of many types; the caller says what is wrong.
        check_machine(problem)
        return None


def _check_repetitions(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            pickles.check_repetitions_of_torch(stream)
    except WeightsError as problem:
        raise WeightsError(f"{path}: {problem}") from problem


def _unpickled(path: Path, stand_ins: list[Any]) -> object:
    with warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins):
        warnings.simplefilter("ignore")  # It warns of pickles by other programs, which fail anyway.
        return torch.load(path, map_location="cpu", weights_only=True)


def _inspected(read: Callable[[], bytes]) -> bytes:
    """The bytes of a pickle; none if they cannot be read."""
    try:
        return read()
    except Exception as problem:  # A damaged archive raises errors of many types.
        check_machine(problem)
        return b""


def _damage(content: bytes, problem: Exception) -> str:
    """Why a pickle without code cannot be read."""
    if content[:1] == b"\x80" and content[1:2] > b"\x03":
        return f"is damaged, was truncated, or has more than data (it was saved with pickle protocol {content[1]})"
    line = shown(str(problem).strip().partition("\n")[0][:120])
    return f"is damaged, or was truncated ({line})"


def _refusal(path: Path, names: list[str]) -> str:
    """Why a pickle that imports these names is not loaded, and what to do instead."""
    if any(name.startswith(TENSORFLOW) for name in names):
        return (
            f"{path} is a pickled network of NVIDIA's TensorFlow code ({names[0]}), which is not unpickled; load it in "
            "its own repository, and numpy.savez('weights.npz', **{name: v.eval() for name, v in Gs.vars.items()})"
        )
    if any(name.startswith(NVIDIA) for name in names):
        return (
            f"{path} is a pickled network of NVIDIA's StyleGAN code ({names[0]}), which is not unpickled; in its own "
            "repository load it with legacy.load_network_pkl, and torch.save(data['G_ema'].state_dict(), 'weights.pth')"
        )
    if any(name.startswith("torch.nn.modules.") for name in names):
        return f"{path} contains a whole network ({names[0]}) as Python objects, which are not unpickled; {STATE_DICT}"
    return f"{path} would run {names[0]} when it is loaded; code in weight files is never run; {STATE_DICT}"


def _arrays(path: Path, remedy: str) -> object:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(_in_native_order(file[name])) for name in file.files}
    except Exception as problem:  # A damaged archive raises errors of many types.
        check_machine(problem)
        line = shown(str(problem).partition("\n")[0])
        raise WeightsError(f"{path} contains something other than arrays of numbers ({line}); {remedy}") from problem


def _in_native_order(array: np.ndarray) -> np.ndarray:
    """The same numbers with the order of bytes of this machine, which torch requires."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


READERS: Mapping[str, Callable[[Path, str], object]] = {"safetensors": _safetensors, "zip": _zip, "pickle": _pickle}
